"""The page of an evaluation of real patients, read as text and as the data of its figures: no small cell in it."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clinicalgru.evaluate.evaluation import evaluate
from clinicalgru.view.pages.evaluation_page import evaluation_page

from .conftest import make_faithfulness


def judged(stays: int, events: int, random_state: int = 0):
    random = np.random.default_rng(random_state)
    outcome = np.arange(stays) < events
    risk = 1 / (1 + np.exp(-random.normal(np.where(outcome, 0.5, -1.5), 1)))
    return evaluate(outcome, risk, baselines={"trees": random.permutation(risk)}, n_resamples=20)


def around(flow, stays, without):
    rows = {"rows in": 9000, "used": 8990, "merged": 6, "rejected: implausible": 4}
    notes = {"stays": stays, "stays without a series": without}
    frame = pd.DataFrame(list((rows | notes).items()), columns=["what", "rows"])
    return {"ledger": SimpleNamespace(to_frame=lambda: frame), "flow": flow}


def words(html: str) -> str:
    body = re.sub(r"(?s)<(script|style).*?</\1>", " ", html)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def counts_on(html: str) -> list[int]:
    """All counts of stays the page shows, in its words and tables."""
    found = re.findall(r"([\d,]+) (?:stays(?! apart)|with the event|patients|left out)", words(html))
    found += re.findall(r"stays(?: without a series)? ([\d,]+)", words(html))
    return [int(count.replace(",", "")) for count in found]


def traces(html: str) -> list[dict]:
    return [
        t
        for f in re.findall(r'(?s)<script type="application/json">(.*?)</script>', html)
        for t in json.loads(f)["data"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("random_state", range(6))
def test_no_count_and_no_difference_of_counts_is_small(tmp_path, random_state):
    random = np.random.default_rng(random_state)
    stays, events = int(random.integers(200, 500)), int(random.integers(20, 60))
    steps = np.cumsum([stays, *random.choice([0, 2, 7, 10, 11, 30], 4)])[::-1]
    flow = [(f"step {'abcde'[i]}", int(n)) for i, n in enumerate(steps)]
    page = evaluation_page(
        judged(stays, events, random_state), tmp_path / "p.html", **around(flow, steps[0], 3 + random_state * 4)
    )
    shown = counts_on(page.read_text(encoding="utf-8"))
    assert stays in shown
    for count in shown:
        assert not 0 < count < 11
    whole = [count for count in shown if count >= stays]
    within = (
        [int(steps[0]) - (3 + random_state * 4)] if 3 + random_state * 4 in shown else []
    )  # with a series, worked out
    for one, other in itertools.combinations([*whole, *within], 2):
        assert not 0 < abs(one - other) < 11


@pytest.mark.slow
@pytest.mark.parametrize(("stays", "events"), [(400, 60), (1000, 137), (300, 25), (250, 225)])
def test_no_two_points_of_a_curve_lie_a_few_patients_apart(tmp_path, stays, events):
    page = evaluation_page(judged(stays, events), tmp_path / "p.html").read_text(encoding="utf-8")
    drawn = traces(page)
    curves = [t for t in drawn if t.get("mode") == "lines" and "chance" not in t["name"] and "perfect" not in t["name"]]
    assert len(curves) == 6  # ROC, precision and recall, and the flexible calibration, which follows no single stay
    for trace in curves[:2]:  # ROC: others against events
        steps = np.diff(np.array([trace["x"], trace["y"]]) * [[stays - events], [events]], axis=1).round(6)
        np.testing.assert_allclose(steps, steps.round(), atol=1e-6)
        assert ((steps == 0) | (steps >= 11)).all()
    for trace in [t for t in drawn if t.get("mode") == "lines+markers"]:
        groups = [int(re.search(r"of ([\d,]+) stays", said)[1].replace(",", "")) for said in trace["hovertext"]]
        held = np.round(np.array(trace["y"]) * groups)
        assert sum(groups) == stays
        assert held.sum() == events
        for cells in (held, np.array(groups) - held):
            assert ((cells == 0) | (cells >= 11)).all()


def faithful_words(tmp_path, found, **arguments):
    page = evaluation_page(judged(400, 60), tmp_path / "p.html", faithfulness=found, **arguments)
    said = words(page.read_text(encoding="utf-8"))
    return said[said.index("Are the explanations faithful to the model?") :]


@pytest.mark.slow
def test_the_faithfulness_table_stands_on_the_page_with_what_is_said_of_it(tmp_path):
    said = faithful_words(tmp_path, make_faithfulness(beats=0.9))
    assert "contributions +1.440 (+1.400 to +1.500) +1.200 +0.110 +0.010 90.0% 90.0%" in said
    assert "Stays, patients: 400, 400" in said
    assert "Rank correlation with random weights: +0.031" in said
    plain = evaluation_page(judged(400, 60), tmp_path / "p.html").read_text(encoding="utf-8")
    assert "Are the explanations faithful" not in plain


@pytest.mark.slow
def test_a_share_of_few_stays_is_a_bound_and_counts_a_few_apart_are_withheld(tmp_path):
    said = faithful_words(tmp_path, make_faithfulness(beats=394 / 400))
    assert "over 97%" in said
    assert "98.5%" not in said
    assert "Stays, patients: suppressed, suppressed" in faithful_words(tmp_path, make_faithfulness(stays=395))
    hidden = faithful_words(tmp_path, make_faithfulness(stays=None))
    assert "suppressed suppressed" in hidden
    assert "98.5%" not in hidden
    for arguments in ({"min_cell_size": 0}, {"provenance": {"simulated": "yes"}}):
        assert "98.5%" in faithful_words(tmp_path, make_faithfulness(stays=395, beats=0.985), **arguments)


def test_few_events_show_no_curve_no_count_and_no_share(tmp_path):
    page = evaluation_page(judged(400, 9), tmp_path / "p.html").read_text(encoding="utf-8")
    said = words(page)
    assert "400 stays of 400 patients, a suppressed number with the event" in said
    assert "2.2 %" not in said
    assert [t for t in traces(page) if t.get("mode") == "lines+markers"] == []


@pytest.mark.slow
def test_simulated_patients_and_those_who_ask_see_every_count(tmp_path):
    flow = [("stays in the extract", 403), ("adults", 400)]
    for arguments in ({"provenance": {"simulated": "yes"}}, {"min_cell_size": 0}):
        page = evaluation_page(judged(400, 9), tmp_path / "p.html", **around(flow, 403, 3), **arguments)
        said = words(page.read_text(encoding="utf-8"))
        assert "↓ 3 left out" in said
        assert "9 with the event (2.2 %)" in said
        assert "stays without a series 3" in said
    hidden = words(evaluation_page(judged(400, 9), tmp_path / "p.html", **around(flow, 403, 3)).read_text())
    assert "403" not in hidden
    assert (
        "stays in the extract suppressed adults 400 stays" in hidden
    )  # "suppressed stays" would be stays that are suppressed


def test_a_rate_does_not_give_away_events_that_are_those_of_few_patients(tmp_path):
    evaluation = judged(200, 30)
    assert "Event rate here" in words(evaluation_page(evaluation, tmp_path / "all.html").read_text())
    few = replace(evaluation, min_cell_stays=40)
    page = words(evaluation_page(few, tmp_path / "few.html").read_text())
    assert "a suppressed number with the event" in page
    assert "Event rate here" not in page
    assert "15.0 %" not in page
