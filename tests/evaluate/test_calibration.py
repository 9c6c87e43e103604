"""Platt's correction and the calibration groups."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.special import logit as scipy_logit
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator, calibration_groups


def too_extreme(random_state: int, *, stays: int = 3000):
    """Risks whose logits are twice and 1 above what they should be."""
    random = np.random.default_rng(random_state)
    logit = random.normal(-1, 1, stays)
    return (random.random(stays) < expit(logit)).astype(float), expit(2 * logit + 1)


def test_risks_too_extreme_and_too_high_are_set_right():
    calibrator = PlattCalibrator.fit(*too_extreme(0))
    assert calibrator.slope == pytest.approx(1 / 2, abs=0.06)
    assert calibrator.intercept == pytest.approx(-1 / 2, abs=0.06)


def test_the_fit_agrees_with_scikit_learn_on_the_targets_of_platt():
    for random_state in range(5):
        outcome, risk = too_extreme(random_state, stays=60)
        target = np.where(outcome == 1, (outcome.sum() + 1) / (outcome.sum() + 2), 1 / (np.sum(outcome == 0) + 2))
        score, weight = np.tile(scipy_logit(risk), 2)[:, None], np.concatenate([target, 1 - target])
        theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(score, np.repeat([1, 0], 60), sample_weight=weight)
        ours = PlattCalibrator.fit(outcome, risk)
        np.testing.assert_allclose([ours.slope, ours.intercept], [theirs.coef_[0, 0], theirs.intercept_[0]], atol=1e-4)


def test_calibration_keeps_the_order():
    outcome, risk = too_extreme(1)
    risk[:4] = 0, 1e-12, 1 - 1e-12, 1
    calibrated = PlattCalibrator.fit(outcome, risk).predict(risk)
    assert (np.diff(calibrated[np.argsort(risk)]) >= 0).all()
    assert roc_auc_score(outcome, calibrated) == pytest.approx(roc_auc_score(outcome, risk), abs=1e-12)


@given(slope=st.floats(0.01, 100), intercept=st.floats(-50, 50), risks=st.lists(st.floats(0, 1), min_size=2))
def test_no_calibrator_ever_turns_two_stays_around(slope, intercept, risks):
    calibrated = PlattCalibrator(slope=slope, intercept=intercept).predict(np.sort(risks))
    assert (np.diff(calibrated) >= 0).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


def test_separated_outcomes_leave_the_fit_finite():
    calibrator = PlattCalibrator.fit([0, 0, 1, 1], [0.0, 0.2, 0.8, 1.0])
    assert np.isfinite([calibrator.slope, calibrator.intercept]).all()


def test_risks_that_run_against_the_outcome_are_refused_with_what_that_means():
    outcome, risk = too_extreme(2)
    with pytest.raises(ArgumentError, match="Higher risks went with fewer events"):
        PlattCalibrator.fit(outcome, 1 - risk)


def test_one_risk_for_all_and_a_slope_of_zero_are_refused():
    with pytest.raises(ArgumentError, match="one risk for all stays"):
        PlattCalibrator.fit([0, 1, 1], [0.2, 0.2, 0.2])
    with pytest.raises(ArgumentError, match="slope above 0"):
        PlattCalibrator(slope=0.0, intercept=0.0)
    with pytest.raises(ArgumentError, match="finite"):
        PlattCalibrator.from_dict({"slope": float("nan"), "intercept": 0.0})


def test_a_calibrator_written_as_json_comes_back_equal():
    calibrator = PlattCalibrator.fit(*too_extreme(3))
    assert PlattCalibrator.from_dict(json.loads(json.dumps(calibrator.to_dict()))) == calibrator


def test_groups_hold_every_stay_once_and_their_means():
    outcome, risk = too_extreme(4, stays=1234)
    groups = calibration_groups(outcome, risk)
    assert len(groups) == 10
    assert groups["stays"].sum() == 1234
    assert groups["stays"].between(123, 124).all()
    assert groups["predicted"].is_monotonic_increasing
    assert groups["observed"] @ groups["stays"] == pytest.approx(outcome.sum())
    assert groups["predicted"] @ groups["stays"] == pytest.approx(risk.sum())


def test_stays_of_equal_risk_are_never_parted():
    outcome, risk = np.array([0.0, 1.0] * 50), np.repeat([0.1, 0.2, 0.9], [60, 30, 10])
    groups = calibration_groups(outcome, risk)
    assert groups["predicted"].round(12).tolist() == [0.1, 0.2, 0.9]
    assert groups["stays"].tolist() == [60, 30, 10]
    assert len(calibration_groups(outcome, np.full(100, 0.3))) == 1


def test_the_wilson_interval_agrees_with_scipy():
    for row in calibration_groups(*too_extreme(5, stays=77)).itertuples():
        expected = binomtest(round(row.observed * row.stays), row.stays).proportion_ci(method="wilson")
        np.testing.assert_allclose([row.low, row.high], [expected.low, expected.high], atol=1e-12)
