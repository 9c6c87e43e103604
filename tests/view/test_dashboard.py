"""The dashboard: who gets an answer, what the worklist holds, and what a clinician sees in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from family import fitted_case
from plotly.offline import get_plotlyjs

import clinicalgru as cg
from clinicalgru.dashboard.server import COOKIE, HOST, DashboardServer
from clinicalgru.dashboard.worklist import Worklist
from clinicalgru.errors import InputError
from clinicalgru.view.pages.html_page import PLOTLY_PATH
from clinicalgru.view.pages.worklist_page import worklist_html

from .test_browser import ARGUMENTS

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    stays = cg.select(cg.read_events(cg.simulate(60, random_state=0)), cg.Task.load("in_hospital_mortality"))
    network = cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1)
    model = cg.GRUClassifier(network, max_epochs=1, distillation=0, random_state=0).fit(stays, verbose=False)
    return cg.save(model, tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture(scope="module")
def extract():
    return cg.simulate(50, random_state=4)


@pytest.fixture(scope="module")
def scores(bundle, extract, tmp_path_factory) -> Path:
    """Two runs: in the first every risk was lower by 10 points."""
    now = cg.score(bundle, extract)
    before = now.assign(as_of=now["as_of"] - pd.Timedelta(hours=1), risk=now["risk"] - 0.1)
    path = tmp_path_factory.mktemp("scores") / "scores.parquet"
    pd.concat([before, now]).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def worklist(bundle, extract, scores) -> Worklist:
    return Worklist(bundle, extract, scores=scores, threshold=0.2)


@pytest.fixture(scope="module")
def server(worklist) -> Iterator[DashboardServer]:
    with DashboardServer(worklist) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def ask(server: DashboardServer, path: str, **headers: str) -> tuple[int, str]:
    url = f"http://{HOST}:{server.server_address[1]}{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_rows_are_the_newest_run_with_the_change_and_nobody_is_named(worklist, extract, scores):
    table = pd.read_parquet(scores).groupby("stay_id").last()
    assert len(worklist.rows) == len(table)
    scored = [row for row in worklist.rows if row["risk"] is not None]
    assert sorted(row["risk"] for row in scored) == pytest.approx(sorted(table["risk"].dropna()), abs=1e-5)
    assert [row["change"] for row in scored] == pytest.approx([0.1] * len(scored), abs=1e-4)
    text = json.dumps(worklist.data()) + worklist.html()
    assert not any(f'"{stay}"' in text for stay in table.index)


def test_the_run_before_is_named_where_there_is_one(worklist, bundle, extract, scores, tmp_path):
    as_of = sorted(pd.read_parquet(scores)["as_of"].unique(), reverse=True)
    assert [worklist.run["as_of"], worklist.run["before"]] == [f"{moment:%Y-%m-%d %H:%M}" for moment in as_of]
    table = pd.read_parquet(scores).query("as_of == @as_of[0]")
    later = table.assign(stay_id=table["stay_id"].where(table.index != table.index[0], "later"), risk=table["risk"] / 2)
    later.to_parquet(tmp_path / "one.parquet")
    one = Worklist(bundle, extract, scores=tmp_path / "one.parquet")
    assert one.run["before"] == ""
    assert one.run["not_in_extract"] == 1
    row = max((row for row in one.rows if row["risk"] is not None), key=lambda row: row["risk"])
    assert "The worklist shows" in one.patient(row["key"])  # half of what the extract gives
    row = max((row for row in worklist.rows if row["risk"] is not None), key=lambda row: row["risk"])
    assert "The worklist shows" not in worklist.patient(row["key"])


def test_a_stay_without_a_prediction_has_no_risk_on_its_page(worklist):
    rows = [row for row in worklist.rows if row["risk"] is None]
    assert rows
    for row in rows[:3]:
        html = worklist.patient(row["key"])
        assert f"This stay has no prediction: {row['reason']}." in html
        assert "Predicted risk" not in html
        assert "Simulated patients" in html
    assert not any(re.search(r"\d{4}-\d\d-\d\d", row["reason"]) for row in rows)  # a date of a stay needs --identify


def test_a_forecast_has_no_worklist_and_a_number_is_no_risk(bundle, extract, monkeypatch):
    assert ">Prediction</button>" in worklist_html([], run={}, threshold=None, provenance={}, is_risk=False)
    monkeypatch.setattr(
        "clinicalgru.dashboard.worklist.load_model", lambda *_, **__: SimpleNamespace(evaluated_as="forecast")
    )
    with pytest.raises(InputError, match="a forecast"):
        Worklist(bundle, extract)


@pytest.mark.slow
def test_a_worklist_of_a_regression_shows_the_number_and_no_percent(extract, tmp_path):
    fitted = fitted_case("regression").model
    listed = Worklist(cg.save(fitted, tmp_path / "bundle"), extract, threshold=0.2)
    assert max(row["risk"] for row in listed.rows if row["risk"] is not None) > 1
    assert '"is_risk": false' in listed.html()
    assert 'value="20"' not in listed.html()


def test_identifiers_are_shown_where_they_are_asked_for(bundle, extract, scores):
    rows = Worklist(bundle, extract, scores=scores, show_id=True).rows
    assert {row["name"] for row in rows} == set(pd.read_parquet(scores)["stay_id"])


@pytest.mark.slow
def test_scores_of_another_model_type_and_an_empty_folder_are_refused(bundle, extract, tmp_path):
    with pytest.raises(InputError, match="folder without any"):
        Worklist(bundle, extract, scores=tmp_path)
    pd.DataFrame({"stay_id": ["1"], "mean": [2.0]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises((InputError, ValueError)):
        Worklist(bundle, extract, scores=tmp_path / "other.csv")


def test_only_the_token_opens_and_only_on_its_own_host(server):
    token = {"Cookie": f"{COOKIE}={server.token}"}
    assert server.server_address[0] == HOST
    assert ask(server, "/")[0] == 403
    assert ask(server, "/rows.json", Cookie=f"{COOKIE}=wrong")[0] == 403
    assert ask(server, "/rows.json", Host="evil.example", **token)[0] == 403
    assert ask(server, "/rows.json", **token)[0] == 200
    assert ask(server, PLOTLY_PATH)[0] == ask(server, "/frame")[0] == 403
    assert ask(server, "/frame", **token)[0] == 200
    assert ask(server, PLOTLY_PATH, **token) == (200, get_plotlyjs())
    assert ask(server, "/stay/../../etc/passwd", **token)[0] == 404
    assert ask(server, "/stay/0000000000000000", **token)[0] == 404


def test_a_port_in_use_is_one_clear_error(worklist, server):
    with pytest.raises(InputError, match="free port"):
        DashboardServer(worklist, server.server_address[1])


@pytest.mark.slow
def test_the_page_of_a_stay_is_that_of_its_explanation(server, worklist):
    row = max((row for row in worklist.rows if row["risk"] is not None), key=lambda row: row["risk"])
    status, html = ask(server, f"/stay/{row['key']}", Cookie=f"{COOKIE}={server.token}")
    assert status == 200
    assert f"<h1>{row['name']}</h1>" in html
    assert "Predicted risk of" in html
    assert f'<script src="{PLOTLY_PATH}">' in html  # a browser reads plotly once, not with each page
    assert len(html) < 1_000_000
    assert "Simulated patients" in html


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize(("width", "scheme"), [(1500, "dark"), (390, "light")])
def test_a_clinician_filters_opens_and_comes_back_to_the_same_place(server, width, scheme):
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    said, hosts, plotly = [], set(), []
    with sync.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
        tab.on("request", lambda request: plotly.append(request.url) if PLOTLY_PATH in request.url else None)
        with tab.expect_response(lambda answer: "/stay/" in answer.url) as made:  # of the row on top, before any click
            tab.goto(server.address)
        assert made.value.url.endswith(tab.locator("#rows tr").first.get_attribute("data-key"))
        if width >= 1400:  # plotly has drawn once
            tab.frame_locator("#patient").locator(".plot .main-svg").first.wait_for(state="attached", timeout=60_000)
        assert "token" not in tab.url
        tab.fill("#threshold", "5")
        tab.click("thead button[data-column=name]")
        names = tab.locator("#rows th").all_inner_texts()
        assert names == sorted(names, key=lambda name: int(name.split()[1]))
        scored = tab.locator("#rows tr:has-text('%')").first
        name = scored.locator("th").inner_text()
        scored.click()
        page = tab.frame_locator("#patient") if width >= 1400 else tab
        page.locator(".plot .main-svg").first.wait_for(timeout=60_000)
        assert page.locator("h1").inner_text() == name
        assert not tab.evaluate("document.documentElement.scrollWidth > innerWidth")
        page.locator("nav a").first.click()
        tab.wait_for_selector("#rows tr[aria-current=true]")
        assert tab.locator("#rows tr[aria-current=true] th").inner_text() == name
        assert tab.locator("#patient").is_hidden()
        assert tab.input_value("#threshold") == "5"
        assert tab.locator("#rows th").all_inner_texts() == names
        assert "5 % (●)" in tab.locator("#count").inner_text()
        if width >= 1400:  # by keyboard alone; the frame goes on with the plotly that it has
            other = tab.locator("#rows tr:has-text('%') a").nth(1)
            other.focus()
            tab.keyboard.press("Enter")
            page.locator(f"h1:text-is('{other.inner_text()}')").wait_for()
            page.locator(".plot .main-svg").first.wait_for(timeout=60_000)
            tab.evaluate("refresh()")  # the open stay stays open
            assert page.locator("h1").inner_text() == other.inner_text()
            assert len(plotly) == 1
            page.locator("nav a").first.click()
            tab.wait_for_selector("#patient", state="hidden")
        tab.locator("#rows a").nth(2).focus()  # refreshing takes no focus away
        tab.evaluate("refresh()")
        tab.wait_for_timeout(300)
        assert tab.evaluate("document.activeElement.textContent") == names[2]
        tab.emulate_media(media="print")
        assert tab.locator("#controls").is_hidden()
        browser.close()
    assert said == []
    assert hosts == {HOST}


def test_a_worklist_of_two_thousand_stays_is_a_small_page(worklist):
    risks = np.random.default_rng(0).random(45 * len(worklist.rows)).round(5).tolist()
    rows = [row | {"key": f"{risk:.16f}", "risk": risk} for row, risk in zip(worklist.rows * 45, risks, strict=True)]
    html = worklist_html(rows, run={}, threshold=None, provenance={})
    assert len(rows) > 2000
    assert len(html) < 1_000_000
