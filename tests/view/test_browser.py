"""The pages in a real browser: drawn, silent, alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from clinicalgru.explain.result import Explanation
from clinicalgru.view.pages.evaluation_page import evaluation_page
from clinicalgru.view.pages.html_page import figure, section, write
from clinicalgru.view.pages.html_page import page as html_page
from clinicalgru.view.pages.patient_page import patient_page
from clinicalgru.view.plots.evaluation_plots import plot_by_hour
from clinicalgru.view.widgets.patient_view import PatientView

from .conftest import PAYLOADS, make_around, make_evaluation, make_explanation

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
ELEMENTS = "['script', 'img', 'iframe', 'a', 'object', 'embed', 'form', 'svg', 'b', 'style', 'meta', 'link']"


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


def look(browser, path: Path, *, width: int = 1280) -> dict:
    """What a browser made of a page: messages, requests, elements, and whether the page is too wide."""
    page = browser.new_page(viewport={"width": width, "height": 1000})
    said, requested = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append("a dialog"), dialog.dismiss()))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(path.as_uri())
    for plot in page.locator(
        ".plot"
    ).all():  # not wait_for_function: the policy of the page refuses what that evaluates
        plot.locator(".main-svg").first.wait_for(state="attached")
    page.wait_for_timeout(500)
    counted = page.evaluate(f"Object.fromEntries({ELEMENTS}.map((n) => [n, document.querySelectorAll(n).length]))")
    shown = page.evaluate("[...document.querySelectorAll('.plot svg text')].map((t) => t.textContent).join('\\n')")
    buttons = page.evaluate("[...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title)")
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    page.close()
    requested = [
        url for url in requested if url.startswith(("http", "ws")) or (url.startswith("file") and url != path.as_uri())
    ]
    return {"said": said, "requested": requested, "elements": counted, "shown": shown, "wide": wide, "buttons": buttons}


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, tuple[Path, Path]]:
    folder, said = tmp_path_factory.mktemp("pages"), lambda word: word + "".join(PAYLOADS)
    clean = evaluation_page(make_evaluation(), folder / "e.html", **make_around())
    dirty = evaluation_page(make_evaluation(said), folder / "e2.html", **make_around(said))
    stay, dirty_stay = (patient_page(make_explanation(s), folder / f"p{n}.html") for n, s in enumerate((str, said)))
    view, dirty_view = (
        PatientView(Explanation(**vars(make_explanation(s))), threshold=0.2).save(folder / f"v{n}.html")
        for n, s in enumerate((str, said))
    )
    return {"evaluation": (clean, dirty), "patient": (stay, dirty_stay), "view": (view, dirty_view)}


def test_no_table_runs_off_the_paper(browser, pages):
    page = browser.new_page(viewport={"width": 703, "height": 1000})  # A4 without its margins
    page.emulate_media(media="print")
    page.goto(pages["evaluation"][0].as_uri())
    too_wide = "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1)"
    assert page.evaluate(f"{too_wide}.map((box) => box.getAttribute('aria-label'))") == []
    page.close()


def test_panels_in_a_row_are_stacked_on_a_phone(browser, tmp_path):
    hours = {"hours": [6.0, 24.0], "estimate": [0.8, 0.9], "low": [0.7, 0.8], "high": [0.9, 1.0]}
    metrics = ("auroc", "observed_expected", "calibration_slope")
    table = pd.concat([pd.DataFrame(hours).assign(metric=metric) for metric in metrics])
    drawn = figure(plot_by_hour(replace(make_evaluation(), by_hour=table)), "By hour", "")
    path = write(html_page("Panels", "", section("By hour", drawn), provenance={}), tmp_path / "p.html")
    for width, is_stacked in ((390, True), (1280, False)):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(path.as_uri())
        page.locator(".plot .main-svg").first.wait_for()
        boxes = [page.locator(f".subplot.{panel} .scatterlayer").bounding_box() for panel in ("xy", "x2y2", "x3y3")]
        titles = [one.bounding_box() for one in page.locator(".plot .infolayer .annotation").all()]
        page.close()
        for title, box, below in zip(titles, boxes, [*boxes[1:], None], strict=True):
            assert title["y"] < box["y"] + 10
            assert (below is None or box["y"] + box["height"] < below["y"]) or not is_stacked
        assert all(box["width"] > 200 for box in boxes)


@pytest.mark.parametrize("kind", ["evaluation", "patient", "view"])
@pytest.mark.parametrize("width", [1280, 1920])
def test_a_page_is_drawn_without_errors_requests_or_sideways_scrolling(browser, pages, kind, width):
    seen = look(browser, pages[kind][0], width=width)
    assert seen["said"] == []
    assert seen["requested"] == []
    assert not seen["wide"]
    assert {button[:5] for button in seen["buttons"]} == {"Downl", "Zoom", "Pan", "Zoom ", "Reset"}
    assert "Hours since the index time" in seen["shown"] or "Recall" in seen["shown"]


@pytest.mark.parametrize("kind", ["evaluation", "patient", "view"])
def test_words_from_the_data_run_nothing_add_nothing_and_are_shown_as_they_are(browser, pages, kind):
    clean, dirty = (look(browser, path) for path in pages[kind])
    assert dirty["said"] == []
    assert dirty["requested"] == []
    assert dirty["elements"] == clean["elements"]
    assert PAYLOADS[0] in dirty["shown"]
