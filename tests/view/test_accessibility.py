"""Every page by axe-core in a real browser: nothing serious on a dark phone, a laptop of 1,024 pixels, or A4."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.dashboard.server import DashboardServer
from clinicalgru.dashboard.worklist import Worklist
from clinicalgru.serve.predictions_file import write_predictions
from clinicalgru.view.pages.evaluation_page import evaluation_page
from clinicalgru.view.pages.patient_page import patient_page

from .conftest import make_around, make_evaluation, make_explanation
from .test_browser import ARGUMENTS

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra test)")
axe_core = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed (extra test)")
CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")]
SEEN_AS = ((390, "dark", "screen"), (1024, "light", "screen"), (794, "light", "print"))
KINDS = ("evaluation", "patient", "view", "validation", "drift", "report", "leaks", "audit", "worklist", "stay")
DRAWINGS = {"exclude": [[".main-svg"]]}  # hidden from screen readers; test_lab looks at their contrast
REPORTED = {"resultTypes": ["violations"]}  # to list all that is in order takes as long as to look


@pytest.fixture(scope="module")
def addresses(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The address of one page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    stays = cg.select(cg.read_events(cg.simulate(300, random_state=6)), cg.Task.load("in_hospital_mortality"))
    train, test = cg.split_patients(stays, [0.4, 0.6], random_state=0)
    baseline = cg.SummaryBaseline("logistic regression").fit(train)
    cg.save(baseline, folder / "baseline")
    evaluated = cg.evaluate(baseline, test, n_resamples=20)
    write_predictions(evaluated, test, baseline.predict_proba(test)[:, 1], folder / "predictions.parquet")
    new = cg.simulate(300, random_state=10)
    site = np.where(np.arange(len(new.stays)) % 2, "north", "south")
    rows, others = new.measurements, {"stays": new.stays.assign(site=site), "outcomes": new.outcomes}
    events = cg.read_events(rows[rows["variable"] != "lactate"], **others, group_columns=["site"])
    network = cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1)
    model = cg.GRUClassifier(network, max_epochs=1, distillation=0, random_state=0).fit(train, verbose=False)
    explanation = make_explanation()
    pages = {
        "evaluation": evaluation_page(make_evaluation(), folder / "evaluation.html", **make_around()),
        "patient": patient_page(explanation, folder / "patient.html"),
        "view": cg.PatientView(cg.explain(model, test[[0]]), threshold=0.2).save(folder / "view.html"),
        "validation": cg.validate(baseline, events, n_resamples=20).to_html(folder / "validation.html"),
        "drift": cg.drift(baseline, events).to_html(folder / "drift.html"),
        "report": cg.report(folder / "baseline", predictions=folder / "predictions.parquet").to_html(folder / "r.html"),
        "leaks": cg.check_no_future(baseline, events, n_stays=8).to_html(folder / "leaks.html"),
        "audit": cg.audit(events).to_html(folder / "audit.html"),
    }
    worklist = Worklist(cg.save(model, folder / "bundle"), cg.simulate(40, random_state=4), threshold=0.2)
    with DashboardServer(worklist) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root, key = server.address.split("?")[0], next(row["key"] for row in worklist.rows if row["risk"] is not None)
        served = {"worklist": server.address, "stay": f"{root}stay/{key}"}
        yield {name: path.as_uri() for name, path in pages.items()} | served
        server.shutdown()


@pytest.fixture(scope="module")
def browser(addresses) -> Iterator:
    with playwright.sync_playwright() as tool, tool.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as opened:
        context = opened.new_context(bypass_csp=True)  # the policy of a page lets no other script in
        context.new_page().goto(addresses["worklist"])  # the token becomes a cookie
        yield context


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_serious(browser, addresses, kind):
    page = browser.new_page()
    page.goto(addresses[kind])
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    found, wide = set(), []
    for width, scheme, media in SEEN_AS:
        page.set_viewport_size({"width": width, "height": 1000})
        page.emulate_media(color_scheme=scheme, media=media)
        page.wait_for_timeout(150)
        violations = axe_core.Axe().run(page, context=DRAWINGS, options=REPORTED).response["violations"]
        found |= {
            f"{width} {scheme} {media}: {one['id']} at {one['nodes'][0]['html'][:120]}"
            for one in violations
            if one["impact"] in ("serious", "critical")
        }
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append((width, media))
    page.close()
    assert not found
    assert not wide
