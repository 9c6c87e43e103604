"""Platt's correction and the calibration groups."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from scipy.special import logit as scipy_logit
from scipy.stats import binomtest, cauchy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator, calibration_groups
from clinicalgru.evaluate.shrinkage import LEVEL_SCALE, LOG_SLOPE_SCALE, fit_shrunken_line


def too_extreme(random_state: int, *, stays: int = 3000):
    """Risks whose logits are twice and 1 above what they should be."""
    random = np.random.default_rng(random_state)
    logit = random.normal(-1, 1, stays)
    return (random.random(stays) < expit(logit)).astype(float), expit(2 * logit + 1)


def test_risks_too_extreme_and_too_high_are_set_right():
    calibrator = PlattCalibrator.fit(*too_extreme(0))
    assert calibrator.slope == pytest.approx(1 / 2, abs=0.06)
    assert calibrator.intercept == pytest.approx(-1 / 2, abs=0.06)


def unshrunken(outcome, risk):
    """Slope and intercept by scikit-learn, on the targets of Platt."""
    target = np.where(outcome == 1, (outcome.sum() + 1) / (outcome.sum() + 2), 1 / (np.sum(outcome == 0) + 2))
    score, weight = np.tile(scipy_logit(risk), 2)[:, None], np.concatenate([target, 1 - target])
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(score, np.repeat([1, 0], len(outcome)), sample_weight=weight)
    return fitted.coef_[0, 0], fitted.intercept_[0]


def test_the_fit_is_the_mode_of_likelihood_and_prior():
    for random_state in range(3):
        outcome, risk = too_extreme(random_state, stays=60)
        target = np.where(outcome == 1, (outcome.sum() + 1) / (outcome.sum() + 2), 1 / (np.sum(outcome == 0) + 2))

        score = scipy_logit(risk)
        middle = np.average(score, weights=risk * (1 - risk))

        def loss(line, target=target, score=score, middle=middle):
            log = -np.logaddexp(0, -(line[0] + line[1] * score)), -np.logaddexp(0, line[0] + line[1] * score)
            shift = line[0] + (line[1] - 1) * middle
            prior = cauchy.logpdf(shift, scale=LEVEL_SCALE) + cauchy.logpdf(np.log(line[1]), scale=LOG_SLOPE_SCALE)
            return -(target @ log[0] + (1 - target) @ log[1]) - prior

        ours, best = PlattCalibrator.fit(outcome, risk), minimize(loss, [0, 1], method="Nelder-Mead", tol=1e-9).x
        np.testing.assert_allclose([ours.intercept, ours.slope], best, atol=1e-4)


def test_the_slope_lies_between_1_and_the_unshrunken_one_and_comes_close_to_it_with_events():
    distance = []
    for stays in (40, 400, 4000, 40_000):
        outcome, risk = too_extreme(6, stays=stays)
        ours, plain = PlattCalibrator.fit(outcome, risk, level_scale=np.inf).slope, unshrunken(outcome, risk)[0]
        assert min(plain, 1) < ours < max(plain, 1)
        distance.append(abs(ours - plain) / abs(1 - plain))
    assert distance == sorted(distance, reverse=True)
    assert distance[0] > 0.1
    assert distance[-1] < 5e-3


def test_a_small_shift_of_few_stays_is_mostly_chance_and_a_large_one_mostly_stays():
    rng = np.random.default_rng(3)
    true = rng.normal(-2, 1, 150)
    outcome = (rng.random(150) < expit(true)).astype(float)
    kept = []
    for shift in (0.25, 3.0):
        shifted = expit(true + shift)
        ours, free = (PlattCalibrator.fit(outcome, shifted, level_scale=scale) for scale in (LEVEL_SCALE, np.inf))
        moved = [scipy_logit(one.predict(shifted)).mean() - (true + shift).mean() for one in (ours, free)]
        kept.append(moved[0] / moved[1])
    assert 0 < kept[0] < 0.7 < 0.85 < kept[1] < 1


def test_rows_of_one_event_count_once_in_what_shrinks():
    outcome, risk = too_extreme(7, stays=200)
    score = scipy_logit(risk)
    once, often = (
        fit_shrunken_line(outcome, score),
        fit_shrunken_line(np.repeat(outcome, 20), np.repeat(score, 20), repeats=20),
    )
    np.testing.assert_allclose(often, once, atol=1e-5)
    by_events = PlattCalibrator.fit(np.repeat(outcome, 20), np.repeat(risk, 20), n_events=outcome.sum())
    assert (
        abs(by_events.slope - once[0])
        < abs(PlattCalibrator.fit(np.repeat(outcome, 20), np.repeat(risk, 20)).slope - once[0]) / 2
    )


def test_of_fewer_than_20_events_a_slope_below_0_says_nothing():
    outcome, risk = np.r_[np.ones(10), np.zeros(50)], np.r_[np.linspace(0.1, 0.2, 10), np.linspace(0.1, 0.4, 50)]
    assert unshrunken(outcome, risk)[0] < 0 < PlattCalibrator.fit(outcome, risk).slope < 1


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
