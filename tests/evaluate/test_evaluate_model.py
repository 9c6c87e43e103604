"""`evaluate(model, stays)`: one result for every type of task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from family import TASKS, fitted_case

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, DataWarning
from clinicalgru.evaluate.evaluation import Evaluation
from clinicalgru.evaluate.metric_descriptions import HEADLINES
from clinicalgru.evaluate.patient_overlap import TRAINING
from clinicalgru.model.baselines.comparison import fit_baselines
from clinicalgru.model.evaluation_inputs import PREDICTIONS


@pytest.mark.slow
@pytest.mark.parametrize("task_type", TASKS)
def test_a_model_of_any_type_is_evaluated_next_to_its_baselines(task_type, tmp_path, few_trees):
    if task_type == "survival":
        pytest.importorskip("sksurv")
    case = fitted_case(task_type)
    if task_type == "early_warning":
        case.model.choose_threshold(case.test)
    baselines = fit_baselines(case.train)
    evaluation = cg.evaluate(case.model, case.test, baselines=baselines, train=case.train, n_resamples=5)
    assert isinstance(evaluation, Evaluation)
    assert (evaluation.task_type, evaluation.stays) == (task_type, len(case.test))
    assert list(evaluation.metrics["model"].unique()) == ["GRU", *baselines]
    assert set(HEADLINES[task_type]) <= set(evaluation.metrics["metric"])
    assert "boosted trees" in set(evaluation.differences["baseline"])
    assert evaluation.plot("differences").layout.height > 0
    text = evaluation.to_html(tmp_path / "e.html", provenance={"simulated": "yes"}).read_text(encoding="utf-8")
    assert "How to read the metrics" in text


def test_a_fitted_classifier_gives_what_its_risks_give(fitted, test_stays):
    ours = cg.evaluate(fitted, test_stays, n_resamples=20)
    risk = fitted.predict_proba(test_stays)[:, 1]
    arrays = cg.evaluate(test_stays.outcome, risk, patients=test_stays.patient, n_resamples=20)
    pd.testing.assert_frame_equal(ours.metrics, arrays.metrics)
    alike = cg.evaluate(fitted, test_stays, baselines={"itself": risk}, n_resamples=20)
    assert (alike.differences["estimate"] == 0).all()


def test_patients_that_are_given_count_in_calibration_groups_and_intervals_too(fitted, parts):
    """As where the stays had these patients, or risks were given with them; known patients stay known."""
    stays = parts[3]
    fours = np.arange(len(stays)) // 4
    ours = cg.evaluate(fitted, stays, patients=fours, by_hour=True, n_resamples=5)
    risk = fitted.predict_proba(stays)[:, 1]
    arrays = cg.evaluate(stays.outcome, risk, patients=fours, n_resamples=5)
    pd.testing.assert_frame_equal(ours.curves["GRU"].calibration, arrays.curves["GRU"].calibration)
    of_stays = cg.evaluate(fitted, replace(stays, patient=fours.astype(str)), by_hour=True, n_resamples=5)
    pd.testing.assert_frame_equal(ours.by_hour, of_stays.by_hour)
    pd.testing.assert_frame_equal(ours.prediction_sets, of_stays.prediction_sets)
    single = cg.evaluate(fitted, stays, n_resamples=5).curves["GRU"].calibration
    assert not np.allclose(single["low"], ours.curves["GRU"].calibration["low"])
    seen = parts[0]
    with pytest.warns(DataWarning, match="Not new patients"):
        known = cg.evaluate(fitted, seen, patients=np.arange(len(seen)), n_resamples=5)
    assert known.patient_overlap == {"GRU": {TRAINING: len(seen)}}


@pytest.mark.slow
def test_horizons_that_are_not_evaluated_are_named():
    pytest.importorskip("sksurv")
    case = fitted_case("survival")
    horizons = np.asarray(case.model.head_.horizons)
    cut = horizons[-1] - 1e-3
    outcome = case.test.outcome.copy()
    outcome[:, 1] *= outcome[:, 0] < cut
    outcome[:, 0] = np.minimum(outcome[:, 0], cut)
    evaluation = cg.evaluate(case.model, replace(case.test, outcome=outcome), train=case.train, n_resamples=2)
    named = {f"within {hour:g} hours" for hour in horizons}
    assert set(evaluation.without_calibration) | set(evaluation.calibration) >= named
    assert "follow-up" in evaluation.without_calibration[f"within {horizons[-1]:g} hours"]
    assert "follow-up" in str(evaluation)


def test_what_is_not_stays_or_not_a_baseline_is_refused(fitted, test_stays):
    with pytest.raises(ArgumentError, match="stays as Sequences; got a DataFrame"):
        cg.evaluate(fitted, pd.DataFrame({"a": [1]}))
    with pytest.raises(ArgumentError, match="train as Sequences or None; got the number 5"):
        cg.evaluate(fitted, test_stays, train=5)
    with pytest.raises(ArgumentError, match="a figure among"):
        cg.evaluate(fitted, test_stays, n_resamples=2).plot("luck")


def test_an_early_warning_without_a_threshold_says_how_to_choose_one(test_stays):
    with pytest.raises(ArgumentError, match="choose_threshold"):
        PREDICTIONS["early_warning"](cg.GRUEarlyWarning(), test_stays, None, {})


def test_an_evaluation_knows_that_its_stays_are_simulated(fitted, parts, tmp_path):
    evaluation = cg.evaluate(fitted, parts[3], n_resamples=20, by_hour=False)
    assert evaluation.simulated
    assert "Simulated patients" in evaluation.to_html(tmp_path / "page.html").read_text()
    assert not cg.evaluate([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], n_resamples=20).simulated
