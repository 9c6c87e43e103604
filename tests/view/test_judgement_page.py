"""The page of a judgement of any kind: its words, its figures, and that nobody can be read off it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clinicalgru.evaluate.calibration_groups import kaplan_meier, number_groups, risk_groups, survival_groups
from clinicalgru.evaluate.judgement import judge
from clinicalgru.evaluate.multi_metrics import all_of, multilabel_metrics, regression_metrics
from clinicalgru.view.pages.judgement_page import judgement_page
from clinicalgru.view.plots.evaluation_plots import plot_groups, plot_number_groups

CHANCE = np.random.default_rng(0)
HOSTILE = "<b onclick='x()'>sepsis</b> $a$"


def judged(stays=300, labels=("shock", HOSTILE)):
    score = CHANCE.normal(size=(stays, 2))
    true = (CHANCE.random((stays, 2)) < 1 / (1 + np.exp(-score))).astype(float)
    risk = 1 / (1 + np.exp(-score))
    models = {"GRU": risk, "boosted trees": np.full_like(risk, 0.5)}
    figures = {name: all_of(multilabel_metrics(true, said, labels=labels)) for name, said in models.items()}
    groups = {label: risk_groups(true[:, i], risk[:, i]) for i, label in enumerate(labels)}
    return judge(figures, stays, kind="multilabel", n_resamples=50, groups=groups, facts={"Threshold": "none"})


def test_the_page_says_who_is_better_and_by_how_much(tmp_path):
    judgement = judged()
    text = judgement_page(judgement, tmp_path / "page.html").read_text()
    own = judgement.metrics.query("model == 'GRU' and metric == 'auroc_mean'")["estimate"].iloc[0]
    assert f"{own:.3f}" in text
    assert "GRU better" in text
    assert "Threshold: none." in text
    assert "on 300 stays" in text


def test_names_from_the_data_are_text_everywhere(tmp_path):
    text = judgement_page(judged(), tmp_path / "page.html").read_text()
    assert "<b onclick" not in text
    drawn = plot_groups({HOSTILE: risk_groups(np.tile([0.0, 1.0], 100), np.linspace(0, 1, 200))}).to_json()
    drawn += plot_number_groups(HOSTILE, number_groups(np.arange(200.0), np.arange(200.0))).to_json()
    assert "<b onclick" not in drawn
    assert "$a$" not in drawn


def test_a_number_is_drawn_in_its_unit(tmp_path):
    predicted = CHANCE.uniform(0, 100, 400)
    groups = number_groups(predicted + CHANCE.normal(0, 5, 400), predicted)
    assert (groups["stays"] >= 11).all()
    np.testing.assert_allclose(groups["observed"], groups["predicted"], atol=5)
    figures = {"GRU": all_of(regression_metrics(predicted, predicted))}
    judgement = judge(figures, 400, kind="regression", n_resamples=5, groups={"days": groups})
    assert "Predicted days" in judgement_page(judgement, tmp_path / "page.html").read_text()


def test_few_stays_make_no_groups_and_no_counts(tmp_path):
    outcome, risk = np.tile([0.0, 1.0], 5), np.linspace(0, 1, 10)
    assert risk_groups(outcome, risk) is None
    assert number_groups(outcome, risk) is None
    assert survival_groups(np.column_stack([np.arange(1.0, 11), outcome]), risk, hours=5.0) is None
    figures = {"GRU": all_of(regression_metrics(risk, risk))}
    text = judgement_page(judge(figures, 10, kind="regression", n_resamples=5), tmp_path / "page.html").read_text()
    assert "withheld stays" in text
    assert "10 stays" not in text


def test_groups_of_survival_are_those_of_kaplan_and_meier():
    sksurv = pytest.importorskip("sksurv.nonparametric")
    hours = CHANCE.exponential(100, 800)
    lost = CHANCE.exponential(150, 800)
    outcome = np.column_stack([np.minimum(hours, lost), hours <= lost]).round(0) + np.array([[1.0, 0.0]])
    ours = kaplan_meier(outcome, 60.0)
    times, survival = sksurv.kaplan_meier_estimator(outcome[:, 1] == 1, outcome[:, 0])
    assert ours[0] == pytest.approx(survival[times <= 60][-1])
    groups = survival_groups(outcome, CHANCE.random(800), hours=60.0)
    assert (groups["stays"] >= 11).all()
    assert np.average(groups["observed"], weights=groups["stays"]) == pytest.approx(1 - ours[0], abs=0.03)
    assert ((groups["low"] <= groups["observed"]) & (groups["observed"] <= groups["high"])).all()


def test_a_judgement_reads_as_text_and_as_a_notebook_shows_it():
    judgement = judged()
    assert "GRU - boosted trees, AUROC, shock" in str(judgement)
    assert "<b onclick" not in judgement._repr_html_()
    rows = pd.DataFrame(judgement.to_dict()["metrics"])
    assert set(rows["model"]) == {"GRU", "boosted trees"}


def test_differences_are_paired_and_a_verdict_needs_an_interval_without_0():
    """Two models that err alike but for a constant: the difference has no spread, however wide each interval."""
    true = CHANCE.normal(size=200)
    figures = {name: all_of(regression_metrics(true, true + by)) for name, by in (("GRU", 1.0), ("trees", 1.5))}
    row = (
        judge(figures, 200, kind="regression", n_resamples=50)
        .differences.set_index("metric")
        .loc["mean_absolute_error"]
    )
    assert (row["estimate"], row["low"], row["high"]) == pytest.approx((-0.5, -0.5, -0.5))
    assert row["verdict"] == "GRU better"
