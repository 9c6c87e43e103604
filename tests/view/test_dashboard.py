"""`make dashboard`: its command line, and what a clinician sees of it in a real browser."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from view.test_lab import BROWSER, CHROMIUM, PICTURES, PLOT, ROOT, served

MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="no make on this machine")


@pytest.fixture(scope="module")
def recipe() -> list[str]:
    """The command that serves the page, as make says it."""
    command = [MAKE, "--no-print-directory", "-n", "-o", ".venv/installed", "dashboard"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return shlex.split(next(line for line in lines if "voila" in line))


def test_the_target_serves_a_notebook_and_a_template_that_are_there(recipe):
    setting, program, template, notebook = recipe
    name, folder = setting.split("=")
    assert name == "JUPYTER_PATH"
    assert Path(program).name == "voila"
    assert (ROOT / notebook).is_file()
    place = ROOT / folder / "voila" / "templates" / template.removeprefix("--template=")
    assert (place / "index.html.j2").is_file()


@pytest.fixture
def page(recipe, tmp_path, monkeypatch) -> Iterator:
    """The page once its plots are drawn; the console's errors and the requested hosts."""
    pytest.importorskip("voila", reason="voila is not installed (extra dashboard)")
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    setting, _, template, notebook = recipe
    monkeypatch.setenv(*setting.split("=")[:1], str(ROOT / setting.split("=")[1]))
    command = ["voila", template, str(ROOT / notebook), "--no-browser"]
    errors, hosts = [], set()
    with served(command, tmp_path, path="voila/static/extension.js") as address, sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=BROWSER)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        tab.on("request", lambda request: hosts.add(request.url.split("/")[2]))
        tab.goto(address, timeout=180_000)
        tab.wait_for_selector(PLOT, timeout=180_000)
        yield tab, errors, hosts
        browser.close()


@pytest.mark.lab
def test_a_clinician_sees_the_patient_and_no_code(page):
    tab, errors, hosts = page
    tab.get_by_text("What if", exact=True).first.wait_for(timeout=60_000)
    PICTURES.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=PICTURES / "dashboard.png", full_page=True)
    assert tab.locator(".jp-InputArea-editor:visible").count() == 0
    assert "Predicted risk" in tab.inner_text("body")
    assert errors == []
    assert {host.split(":")[0] for host in hosts if host} <= {"localhost", "127.0.0.1"}
