"""The evaluation page of the other types of task: its text, its figures, and that no patient can be identified."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from family import fitted_case

from clinicalgru.evaluate.calibration_groups import kaplan_meier, label_groups, number_groups, survival_groups
from clinicalgru.evaluate.evaluation import evaluate, evaluate_predictions
from clinicalgru.evaluate.multi_metrics import multiclass_predictions, multilabel_predictions, regression_predictions
from clinicalgru.evaluate.survival import survival_predictions
from clinicalgru.view.plots.evaluation_plots import plot_number_groups, plot_risk_groups

CHANCE = np.random.default_rng(0)
HOSTILE = "<b onclick='x()'>sepsis</b> $a$"


def multilabel_evaluation(stays=300, labels=("shock", HOSTILE)):
    score = CHANCE.normal(size=(stays, 2))
    true = (CHANCE.random((stays, 2)) < 1 / (1 + np.exp(-score))).astype(float)
    risk = 1 / (1 + np.exp(-score))
    models = {"GRU": risk, "boosted trees": np.full_like(risk, 0.5)}
    predictions = {name: multilabel_predictions(true, risks, labels=labels) for name, risks in models.items()}
    predictions["GRU"] = replace(predictions["GRU"], notes={"Threshold": "none"})
    return evaluate_predictions(predictions, n_resamples=50)


def test_the_page_says_who_is_better_and_by_how_much(tmp_path):
    evaluation = multilabel_evaluation()
    text = evaluation.to_html(tmp_path / "page.html").read_text()
    own = evaluation.metrics.query("model == 'GRU' and metric == 'auroc_mean'")["estimate"].iloc[0]
    assert f"{own:.3f}" in text
    assert "GRU better" in text
    assert "Threshold: none." in text
    assert "on 300 stays" in text


def test_names_from_the_data_are_text_everywhere(tmp_path):
    text = multilabel_evaluation().to_html(tmp_path / "page.html").read_text()
    assert "<b onclick" not in text
    drawn = plot_risk_groups({HOSTILE: label_groups(np.tile([0.0, 1.0], 100), np.linspace(0, 1, 200))}).to_json()
    drawn += plot_number_groups(HOSTILE, number_groups(np.arange(200.0), np.arange(200.0))).to_json()
    assert "<b onclick" not in drawn
    assert "$a$" not in drawn


def test_a_number_is_drawn_in_its_unit(tmp_path):
    predicted = CHANCE.uniform(0, 100, 400)
    groups = number_groups(predicted + CHANCE.normal(0, 5, 400), predicted)
    assert (groups["stays"] >= 11).all()
    np.testing.assert_allclose(groups["observed"], groups["predicted"], atol=5)
    predictions = {"GRU": regression_predictions(predicted, predicted, outcome_name="days")}
    evaluation = evaluate_predictions(predictions, n_resamples=5)
    assert "Predicted days" in evaluation.to_html(tmp_path / "page.html").read_text()


def test_few_stays_make_no_groups_and_no_counts(tmp_path):
    outcome, risk = np.tile([0.0, 1.0], 5), np.linspace(0, 1, 10)
    assert label_groups(outcome, risk) == "too few stays with it, or without it, for two groups"
    assert number_groups(outcome, risk) == "too few stays for two groups"
    events = np.column_stack([np.arange(1.0, 11), outcome])
    assert survival_groups(events, risk, hours=5.0) == "too few events by then"
    evaluation = evaluate_predictions({"GRU": regression_predictions(risk, risk)}, n_resamples=5)
    text = evaluation.to_html(tmp_path / "page.html").read_text()
    assert "a suppressed number of stays" in text
    assert "10 stays" not in text


def test_what_has_no_calibration_groups_is_named_with_the_reason_in_text_page_and_json(tmp_path):
    """A label of each kind: with groups, rare, never known, and with one risk for all."""
    risk = CHANCE.random((400, 4))
    risk[:, 3] = 0.25
    outcome = (CHANCE.random((400, 4)) < risk).astype(float)
    outcome[:, 1] = np.arange(400) < 15
    outcome[:, 2] = np.nan
    labels = ["in_hospital_death", "shock", "sepsis", "stroke"]
    evaluation = evaluate_predictions({"GRU": multilabel_predictions(outcome, risk, labels=labels)}, n_resamples=5)
    assert list(evaluation.calibration) == labels[:1]
    assert evaluation.to_dict()["without_calibration"] == {
        "shock": "too few stays with it, or without it, for two groups",
        "sepsis": "its outcome is not known in any stay",
        "stroke": "all predictions are alike",
    }
    for text in (str(evaluation), evaluation.to_html(tmp_path / "page.html").read_text()):
        assert "Calibration not evaluated, too few stays with it, or without it, for two groups: shock." in text
        assert "Calibration not evaluated, its outcome is not known in any stay: sepsis." in text
        assert "Calibration not evaluated, all predictions are alike: stroke." in text


def test_rare_classes_and_late_horizons_are_named_too():
    probability = CHANCE.dirichlet([3, 3, 3], 300)
    true = np.where(np.arange(300) < 4, 2, np.arange(300) % 2)
    rare = evaluate_predictions({"GRU": multiclass_predictions(true, probability, classes=[0, 1, 2])}, n_resamples=5)
    assert list(rare.without_calibration) == [name for name in ("class 2",) if name not in rare.calibration]
    assert set(rare.calibration) == {"class 0", "class 1"}
    pytest.importorskip("sksurv")
    times = np.column_stack([np.linspace(1, 100, 300), np.arange(300) > 8])  # the first events are censored
    curves = np.linspace(0.9, 0.1, 300)[:, None] ** np.array([0.1, 1.0])
    early = survival_predictions(times, curves, hours=[5.0, 60.0], train_outcome=times)
    assert early.without_calibration == {"within 5 hours": "too few events by then"}


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


def test_an_evaluation_reads_as_text_and_as_a_notebook_shows_it():
    evaluation = multilabel_evaluation()
    assert "GRU - boosted trees, AUROC, shock" in str(evaluation)
    assert "<b onclick" not in evaluation._repr_html_()
    rows = pd.DataFrame(evaluation.to_dict()["metrics"])
    assert set(rows["model"]) == {"GRU", "boosted trees"}


def test_differences_are_paired_and_a_verdict_needs_an_interval_without_0():
    """Two models that err alike but for a constant: the difference has no spread, however wide each interval."""
    true = CHANCE.normal(size=200)
    models = {name: regression_predictions(true, true + by) for name, by in (("GRU", 1.0), ("trees", 1.5))}
    differences = evaluate_predictions(models, n_resamples=50).differences
    row = differences.set_index("metric").loc["mean_absolute_error"]
    assert (row["estimate"], row["low"], row["high"]) == pytest.approx((-0.5, -0.5, -0.5))
    assert row["verdict"] == "GRU better"


@pytest.mark.parametrize("kind", ["multiclass", "survival"])
def test_a_page_of_a_model_names_its_task_outcome_and_training(kind, tmp_path):
    """Risks alone know none of it; stays of real patients stay real, whatever the model was trained on."""
    case = fitted_case(kind)
    evaluation = evaluate(case.model, replace(case.test, simulated=False), n_resamples=5)
    page = evaluation.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"{case.model.task_.title or case.model.task_.name}. GRU on " in page
    assert "Trained on" in page
    assert "Simulated patients." not in page
