"""Notebook 04 in JupyterLab in a real browser: what can be moved moves what it should, and nobody is called."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import environment_of_children

import clinicalgru

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra test)")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.skipif(find_spec("jupyterlab") is None, reason="JupyterLab is not installed (extra notebook)"),
]
ROOT = Path(clinicalgru.__file__).parents[1]
PICTURES = ROOT / "out" / "lab"
BROWSER = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
TOKEN = "only-for-this-test"
FAILED = "[data-mime-type='application/vnd.jupyter.error']"
SETTINGS = {  # all cells in the page at once; no question about news
    "notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
    "apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
}
PLOT = ".js-plotly-plot .scatterlayer .trace"


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


@contextmanager
def served(command: list[str], folder: Path, *, path: str) -> Iterator[str]:
    """The address of a Jupyter program that keeps all its files in a temporary folder."""
    port, room = free_port(), folder / "jupyter"
    places = ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "JUPYTER_RUNTIME_DIR")
    own = {name: str(room / name.lower()) for name in (*places, "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    address = f"http://127.0.0.1:{port}"
    for name, settings in SETTINGS.items():
        file = room / "jupyterlab_settings_dir" / "@jupyterlab" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", *command, f"--port={port}"],
            stdout=log,
            stderr=log,
            env=environment_of_children() | own,
        )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/{path}", timeout=2)
                break
            except OSError:
                time.sleep(0.25)
        yield address
    finally:
        program.terminate()
        program.wait(timeout=20)


@pytest.fixture(scope="module")
def opened(tmp_path_factory) -> Iterator:
    """Notebook 04 with all its cells run; at the end, the console is free of errors and no request left the machine."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    command = [
        "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={TOKEN}",
        "--LabApp.extension_manager=readonly", "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None",
        f"--ServerApp.root_dir={folder / 'notebooks'}",
    ]  # fmt: skip
    with (
        served(command, folder, path=f"api?token={TOKEN}") as address,
        playwright.sync_playwright() as tool,
        tool.chromium.launch(executable_path=CHROMIUM, args=BROWSER) as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.said, page.requested = [], []
        page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(f"{address}/lab/tree/04_explain_a_patient.ipynb?token={TOKEN}")
        page.wait_for_function("window.jupyterapp?.commands.hasCommand('notebook:run-all-cells')", timeout=90_000)
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        page.wait_for_selector("text='Python 3 (ipykernel) | Idle'", timeout=60_000)
        page.wait_for_timeout(500)  # what is run before the kernel is there is not run at all
        command_of(page, "application:toggle-left-area")
        command_of(page, "notebook:run-all-cells")
        page.wait_for_selector(f".cg-cohort tbody tr, {FAILED}", timeout=200_000, state="attached")
        failed = page.locator(FAILED)
        assert failed.count() == 0, failed.first.text_content()
        page.wait_for_selector(PLOT, timeout=60_000, state="attached")
        page.wait_for_timeout(1500)
        yield page
        assert page.said == []  # after all that the tests of this process did
        local = re.compile(r"(https?|ws)://127\.0\.0\.1:|data:|blob:")
        assert [url for url in page.requested if not local.match(url)] == []


def command_of(page, name: str, arguments: str = "{}") -> None:
    page.evaluate(f"void window.jupyterapp.commands.execute('{name}', {arguments})")


def view(page):
    return page.locator(".clinicalgru").first


def tiles(page) -> str:
    return view(page).locator(".cg-tiles").first.text_content()


def cursor(page) -> float:
    """Where the upright line stands, in hours."""
    return page.evaluate("document.querySelector('.clinicalgru .js-plotly-plot').layout.shapes.at(-1).x0")


def risks(page) -> list[float]:
    found = "document.querySelector('.clinicalgru .js-plotly-plot').data.find((t) => t.name === 'predicted risk').y"
    return page.evaluate(f"Array.from({found})")


def slider(page, label: str):
    here = view(page).locator(".widget-slider", has=page.locator(f".widget-label:text-is('{label}')"))
    return here.locator(".noUi-handle").first


def wait_until(page, holds, *, seconds: float = 15.0) -> None:
    for _ in range(int(seconds * 10)):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not happen in time")


def settle(page) -> None:
    """Wait until nothing has changed for two seconds."""
    said = ""
    for _ in range(10):
        said, before = tiles(page) + str(risks(page)), said
        if said == before:
            return
        page.wait_for_timeout(2000)


def test_the_view_is_drawn_with_its_words(opened):
    said = view(opened).text_content()
    assert "Predicted risk of death in hospital" in said
    assert "Not attributed" in said
    assert view(opened).locator(PLOT).count() >= 10


def test_the_cursor_moves_with_the_slider_by_keyboard_and_the_effects_with_it(opened):
    handle = slider(opened, "Hour")
    before, said = cursor(opened), view(opened).locator("caption").first.text_content()
    handle.focus()
    for _ in range(8):
        opened.keyboard.press("ArrowLeft")
    wait_until(opened, lambda: cursor(opened) == pytest.approx(before - 2.0))
    wait_until(opened, lambda: view(opened).locator("caption").first.text_content() != said)
    assert f"up to hour {before - 2.0:g}" in view(opened).locator("caption").first.text_content()


def test_a_click_on_a_measurement_takes_the_cursor_there(opened):
    before = cursor(opened)
    mark = view(opened).locator(".subplot.x2y2 .scatterlayer .trace").nth(1).locator(".points path").first
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.wait_for_timeout(400)
    opened.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    wait_until(opened, lambda: cursor(opened) != before)


def test_the_dropdown_chooses_what_the_slider_and_the_picture_show(opened):
    choose = view(opened).locator("select").first
    choose.select_option(label="Lactate (mmol/L)")
    panel = view(opened).locator(".cg-panel").last
    wait_until(opened, lambda: re.search(r"Plausible: [\d.]+ mmol/L", panel.text_content()))
    titles = lambda: view(opened).locator(".js-plotly-plot").first.text_content()  # noqa: E731
    wait_until(opened, lambda: "Lactate (mmol/L)" in titles())


def test_what_if_changes_the_risk_while_it_slides_and_reset_brings_it_back(opened):
    before, shown = risks(opened), tiles(opened)
    handle = slider(opened, "Value")
    handle.focus()
    for _ in range(6):
        opened.keyboard.press("PageUp")
    wait_until(opened, lambda: "→" in tiles(opened))
    wait_until(opened, lambda: risks(opened) != before)
    settle(opened)  # what the browser still holds back would come after the reset
    assert "What if: the risk would" in view(opened).text_content()
    view(opened).get_by_role("button", name="Reset", exact=True).click()
    wait_until(opened, lambda: tiles(opened) == shown)
    assert risks(opened) == pytest.approx(before)


def test_what_is_not_plausible_is_refused_in_words(opened):
    number = view(opened).locator("input[type=number]").first
    number.fill("99999")
    number.press("Enter")
    wait_until(opened, lambda: "Expected" in view(opened).text_content())
    view(opened).get_by_role("button", name="Reset", exact=True).click()
    wait_until(opened, lambda: "Expected" not in view(opened).text_content())


def test_the_cohort_sorts_filters_and_opens_a_patient_by_click_and_by_key(opened):
    table = opened.locator(".cg-cohort")
    first = lambda: table.locator("tbody th").first.text_content()  # noqa: E731
    assert first() == "1"
    table.locator("thead button").nth(1).click()
    wait_until(opened, lambda: first() != "1")
    before = opened.locator(".clinicalgru .js-plotly-plot").count()
    table.locator("tbody tr").nth(3).click()
    wait_until(opened, lambda: opened.locator(".clinicalgru .js-plotly-plot").count() == before + 1, seconds=40)
    table.locator("tbody tr").nth(1).focus()
    opened.keyboard.press("Enter")
    wait_until(opened, lambda: table.locator("tbody tr").nth(1).get_attribute("aria-selected") == "true")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("width", [1280, 1920])
def test_both_themes_are_readable_at_both_widths(opened, theme, width):
    command_of(opened, "apputils:change-theme", f"{{theme: 'JupyterLab {theme}'}}")
    opened.set_viewport_size({"width": width, "height": 1100})
    opened.wait_for_timeout(2500)
    opened.evaluate("document.querySelector('.clinicalgru').scrollIntoView()")
    opened.wait_for_timeout(700)
    PICTURES.mkdir(parents=True, exist_ok=True)
    opened.screenshot(path=PICTURES / f"patient-{theme}-{width}.png")
    opened.evaluate("document.querySelector('.cg-cohort').scrollIntoView()")
    opened.wait_for_timeout(300)
    opened.screenshot(path=PICTURES / f"cohort-{theme}-{width}.png")
    ink, ground = opened.evaluate("""(() => {
        const view = document.querySelector('.clinicalgru');
        const text = view.querySelector('.js-plotly-plot text.ytitle');
        return [getComputedStyle(text).fill, getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor];
    })()""")
    assert contrast(ink, ground) > 7
    box = view(opened).bounding_box()
    assert box["width"] <= width
    assert view(opened).evaluate("(e) => e.scrollWidth <= e.clientWidth")


def contrast(one: str, other: str) -> float:
    """The contrast of two colours by WCAG 2."""
    light = []
    for colour in (one, other):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        light.append(sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_axe_finds_nothing_serious_in_the_widgets_and_a_saved_notebook_keeps_their_tables(opened):
    axe_core = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    part = {"include": [[".clinicalgru"]], "exclude": [[".main-svg"]]}
    reported = {"resultTypes": ["violations"]}  # to list all that is in order takes as long as to look
    violations = axe_core.Axe().run(opened, context=part, options=reported).response["violations"]
    serious = [one for one in violations if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"][:100]) for one in serious] == []
    saved = "window.jupyterapp.shell.currentWidget.context"
    opened.evaluate(f"{saved}.save()")
    cells = opened.evaluate(f"JSON.stringify({saved}.model.toJSON())")
    outputs = [output for cell in json.loads(cells)["cells"] for output in cell.get("outputs", [])]
    shown = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    assert any("<table" in text and "data:image/svg+xml" in text for text in shown)
    assert opened.locator(".cg-static").count() == 2
    assert opened.locator(".cg-static:visible").count() == 0  # the widgets are there


def test_a_notebook_opened_again_without_its_kernel_shows_pictures_and_tables(opened):
    """The last test of this file: it ends the kernel."""
    opened.evaluate("window.jupyterapp.shell.currentWidget.context.save()")
    opened.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    opened.wait_for_timeout(1000)
    again = opened.context.browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    again.goto(f"{opened.url}?token={TOKEN}")
    again.wait_for_selector(".cg-static", timeout=90_000)
    again.wait_for_timeout(3000)
    static = again.locator(".cg-static:visible")
    assert static.count() == 2
    assert static.first.locator("img").evaluate("(image) => image.complete && image.naturalWidth > 0")
    assert static.first.locator("table tr").count() > 5
    static.first.scroll_into_view_if_needed()
    again.wait_for_timeout(300)
    again.screenshot(path=PICTURES / "opened-again.png")
    again.context.close()
