"""The pages say what the numbers say, and no word in the data becomes part of the page."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest
from scipy.special import logit

from clinicalgru.evaluate.conformal import PredictionSet
from clinicalgru.evaluate.instability import RefitRange
from clinicalgru.evaluate.risk_groups import Standing
from clinicalgru.explain.points import format_points, point_rate
from clinicalgru.view.pages import html_page
from clinicalgru.view.pages.evaluation_page import evaluation_page
from clinicalgru.view.pages.patient_page import patient_page
from clinicalgru.view.text.findings import findings, findings_table

from .conftest import PAYLOADS, make_around, make_evaluation, make_explanation


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """Pages without the 5 MB of plotly, which no test here reads."""
    monkeypatch.setattr(html_page, "get_plotlyjs", lambda: "/* plotly */")


class Elements(HTMLParser):
    """How often each element occurs, and each attribute that would run something."""

    def __init__(self, html: str):
        super().__init__()
        self.found: Counter[str] = Counter()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found[tag] += 1
        self.found.update(f"@{name}" for name, _ in attrs)


def elements(path) -> Counter[str]:
    return Elements(path.read_text(encoding="utf-8")).found


def text(path) -> str:
    body = re.sub(r"(?s)<(script|style).*?</\1>", " ", path.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


@pytest.mark.slow
@pytest.mark.parametrize("payload", ["".join(PAYLOADS), "".join(reversed(PAYLOADS))], ids=["forward", "backward"])
def test_no_word_of_an_evaluation_becomes_an_element(payload, tmp_path):
    clean = evaluation_page(make_evaluation(), tmp_path / "clean.html", **make_around())
    said = lambda word: f"{word}{payload}"  # noqa: E731
    dirty = evaluation_page(make_evaluation(said), tmp_path / "dirty.html", **make_around(said))
    assert elements(dirty) == elements(clean)


@pytest.mark.slow
@pytest.mark.parametrize("payload", ["".join(PAYLOADS), "".join(reversed(PAYLOADS))], ids=["forward", "backward"])
def test_no_word_of_an_explanation_becomes_an_element(payload, tmp_path):
    clean = patient_page(make_explanation(), tmp_path / "clean.html")
    said = lambda word: f"{word}{payload}"  # noqa: E731
    dirty = patient_page(make_explanation(said), tmp_path / "dirty.html", title=said("Explanation of the risk"))
    assert elements(dirty) == elements(clean)


def test_the_headline_gives_every_model_with_its_interval_and_who_wins(evaluation, tmp_path):
    shown = text(evaluation_page(evaluation, tmp_path / "page.html"))
    ranking = evaluation.metrics.query("metric == 'auroc'").set_index("model")
    own = ranking.loc["GRU"]
    assert f"GRU: AUROC {own.estimate:.3f} (95 % interval {own.low:.3f} to {own.high:.3f}); higher is better." in shown
    for row in evaluation.differences.query("metric == 'auroc'").itertuples():
        assert re.search(
            rf"{row.baseline}: AUROC {ranking.loc[row.baseline, 'estimate']:.3f} .*?: {row.verdict}\.", shown
        )


def test_a_baseline_that_wins_is_named_the_winner(evaluation, tmp_path):
    lost = evaluation.differences.assign(verdict="Boosted trees better")
    shown = text(evaluation_page(replace(evaluation, differences=lost), tmp_path / "page.html"))
    assert re.search(r"Boosted trees: AUROC [^;]*; difference [^:]*: Boosted trees better\.", shown)


def test_the_cohort_flow_says_how_many_each_step_left_out(evaluation, tmp_path):
    shown = text(evaluation_page(evaluation, tmp_path / "page.html", **make_around()))
    assert "stays in the extract 1,000 stays ↓ 160 left out" in shown
    assert "rejected: implausible 400" in shown


def test_an_evaluation_alone_needs_no_baselines_ledger_flow_or_provenance(evaluation, tmp_path):
    own = evaluation.metrics.query("model == 'GRU'")
    alone = replace(
        evaluation, metrics=own, differences=evaluation.differences.iloc[:0], curves={"GRU": evaluation.curves["GRU"]}
    )
    shown = text(evaluation_page(alone, tmp_path / "page.html"))
    assert "Nothing was recorded." in shown
    assert "Paired differences" not in shown


@pytest.mark.slow
def test_the_patient_page_says_risk_baseline_gap_and_what_was_not_measured(explanation, tmp_path):
    explanation.risk, explanation.completeness_gap = 0.314, 0.0123
    shown = text(patient_page(explanation, tmp_path / "page.html"))
    assert "Predicted risk of in-hospital mortality: 31 % (average in training 8.1 %)" in shown
    assert re.search(r"Not attributed \+0\.\d points completeness gap, in points of risk", shown)
    assert "log-odds" not in shown.split("How to read this page")[0].replace("in log-odds (CSV)", "")
    assert "Not measured in these hours: Bilirubin." in shown
    assert "Attention is not the explanation" in shown
    assert "Simulated patients" in shown


@pytest.mark.slow
def test_the_table_to_download_gives_each_measurement_with_its_parts_in_log_odds(explanation, tmp_path):
    page = patient_page(explanation, tmp_path / "page.html", top=1).read_text()
    written = unquote(re.search(r'href="data:text/csv;charset=utf-8,([^"]*)"', page)[1])
    table = pd.read_csv(io.StringIO(written))
    rows = explanation.measurements
    assert table["contribution"].iloc[: len(rows)].to_numpy() == pytest.approx(rows["contribution"], abs=1e-6)
    assert {"by_value", "by_measured", "by_timing"} <= set(table)
    both = explanation.static["contribution"].sum() + explanation.absent["contribution"].sum()
    assert table["contribution"].sum() == pytest.approx(
        rows["contribution"].sum() + both + explanation.completeness_gap, abs=1e-4
    )


def test_points_of_all_findings_add_up_to_the_difference_of_the_risks(explanation):
    every = findings(explanation)
    assert every["variable"].is_unique
    explanation.completeness_gap = (
        logit(explanation.risk) - logit(explanation.reference_risk) - every["contribution"].sum()
    )
    total = point_rate(explanation) * (every["contribution"].sum() + explanation.completeness_gap)
    assert total == pytest.approx(explanation.risk - explanation.reference_risk)
    assert f"{format_points(explanation.risk - explanation.reference_risk)}</td>" in findings_table(explanation)


def test_a_page_knows_days_and_clocks_but_dates_only_where_identifiers_are_shown(explanation, tmp_path):
    explanation.zero_time = pd.Timestamp("2030-03-01 20:30")
    shown = text(patient_page(explanation, tmp_path / "page.html"))
    assert "day 3, 20:30" in shown
    assert "2030" not in shown
    explanation.show_id = True
    assert "day 3 (2030-03-03), 20:30" in text(patient_page(explanation, tmp_path / "page.html"))


@pytest.mark.slow
def test_what_a_risk_means_is_said_in_stays_or_why_it_is_not(explanation, tmp_path):
    shown = text(patient_page(explanation, tmp_path / "page.html"))
    assert "with such a risk is not known." in shown
    explanation.standing = Standing(97, 130, 0.6, 0.52, 0.68)
    shown = text(patient_page(explanation, tmp_path / "page.html"))
    assert "Higher than 97 of 100 stays that calibrated the model." in shown
    assert "occurred in about 60 of 100 stays with such a risk (52 to 68; 130 stays)" in shown


def test_what_a_risk_leaves_open_and_how_stable_it_is_are_said_where_they_are_known(explanation, tmp_path):
    """The range of the members is calibrated to nothing: it is on no page."""
    shown = text(patient_page(explanation, tmp_path / "page.html"))
    assert not any(words in shown for words in ("Prediction set", "bootstrap", "members", "percentile"))
    explanation.prediction_set = PredictionSet("either", 0.1, by_outcome=True, hour=48.0)
    explanation.refit_range = RefitRange(0.21, 0.4, 0.031, 50)
    shown = text(patient_page(explanation, tmp_path / "page.html"))
    assert "the risk leaves both open" in shown
    assert "about 90 of 100 patients with the outcome, and 90 of 100 patients without it, have their outcome" in shown
    assert "at hour 48; at other hours that does not hold" in shown
    assert "on 50 bootstrap samples of the training stays give such stays 21 % to 40 % (95 of 100)" in shown
    assert "on average 3 points from this risk" in shown


def test_a_stay_without_any_measurement_or_static_covariate_has_a_page(explanation, tmp_path):
    for table in ("measurements", "static", "attention"):
        setattr(explanation, table, getattr(explanation, table).iloc[:0])
    shown = text(patient_page(explanation, tmp_path / "page.html"))
    assert "Nothing was measured in these hours." in shown
    assert "Static covariates" not in shown


@pytest.mark.slow
def test_the_same_numbers_give_the_same_bytes(tmp_path):
    first, second = (patient_page(make_explanation(), tmp_path / f"{n}.html").read_bytes() for n in "ab")
    assert first == second
