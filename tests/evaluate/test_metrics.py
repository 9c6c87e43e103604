"""Metrics against scikit-learn and SciPy, with ties and weights, and against what must hold whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit
from scipy.special import logit as scipy_logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from clinicalgru.evaluate.metrics import (
    RISK_METRICS,
    auprc,
    auroc,
    brier,
    calibration_intercept,
    calibration_slope,
    log_loss,
    observed_expected,
)


def drawn(random_state: int, *, stays: int = 200, decimals: int = 2):
    """Outcomes, risks rounded so that some tie, and three rows of weights, some of them 0."""
    random = np.random.default_rng(random_state)
    outcome = (random.random(stays) < 0.3).astype(float)
    outcome[:2] = 0, 1
    risk = np.clip(np.round(expit(random.normal(size=stays) + outcome - 1), decimals), 0.01, 0.99)
    weights = np.stack([np.ones(stays), random.integers(0, 4, stays), random.random(stays)]).astype(float)
    weights[:, :2] = 1
    return outcome, risk, weights


@pytest.mark.parametrize("decimals", [1, 2, 15])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (auroc, roc_auc_score),
        (auprc, average_precision_score),
        (brier, brier_score_loss),
        (log_loss, sklearn_log_loss),
    ],
)
def test_agrees_with_scikit_learn_with_ties_and_weights(ours, theirs, decimals):
    for random_state in range(20):
        outcome, risk, weights = drawn(random_state, stays=10 + 20 * random_state, decimals=decimals)
        expected = [theirs(outcome, risk, sample_weight=row) for row in weights]
        np.testing.assert_allclose(ours(outcome, risk, weights), expected, rtol=1e-10)


def test_log_loss_agrees_with_scikit_learn_at_risks_of_0_and_1():
    outcome, risk = np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0])
    assert log_loss(outcome, risk, np.ones((1, 3)))[0] == pytest.approx(sklearn_log_loss(outcome, risk))


def test_calibration_slope_agrees_with_logistic_regression_without_penalty():
    for random_state in range(10):
        outcome, risk, weights = drawn(random_state)
        score = scipy_logit(risk)[:, None]
        fits = [LogisticRegression(C=np.inf, tol=1e-10).fit(score, outcome, sample_weight=row) for row in weights]
        expected = [fit.coef_[0, 0] for fit in fits]
        np.testing.assert_allclose(calibration_slope(outcome, risk, weights), expected, rtol=1e-4)


def balance(intercept: float, outcome, risk, weights) -> float:
    """Events observed less events expected once the intercept is added to the log odds."""
    return weights @ (outcome - expit(intercept + scipy_logit(risk)))


def test_calibration_intercept_is_where_expected_events_meet_observed():
    for random_state in range(10):
        outcome, risk, weights = drawn(random_state)
        expected = [brentq(balance, -50, 50, args=(outcome, risk, row), xtol=1e-12) for row in weights]
        np.testing.assert_allclose(calibration_intercept(outcome, risk, weights), expected, atol=1e-7)


def test_observed_to_expected_is_the_ratio_of_weighted_sums():
    outcome, risk, weights = drawn(0)
    expected = [(row * outcome).sum() / (row * risk).sum() for row in weights]
    np.testing.assert_allclose(observed_expected(outcome, risk, weights), expected)


@pytest.mark.parametrize("metric", RISK_METRICS)
def test_a_weight_of_three_is_the_stay_three_times(metric):
    outcome, risk, _ = drawn(1)
    times = np.random.default_rng(1).integers(1, 4, len(outcome))
    weighted = RISK_METRICS[metric](outcome, risk, times[None].astype(float))
    repeated = RISK_METRICS[metric](outcome.repeat(times), risk.repeat(times), np.ones((1, times.sum())))
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7)


@pytest.mark.parametrize("metric", RISK_METRICS)
def test_resamples_judged_together_are_those_judged_one_by_one(metric):
    outcome, risk, _ = drawn(2)
    weights = np.random.default_rng(2).integers(0, 3, (50, len(outcome))).astype(float)
    alone = [RISK_METRICS[metric](outcome, risk, row[None])[0] for row in weights]
    np.testing.assert_allclose(RISK_METRICS[metric](outcome, risk, weights), alone, rtol=1e-7)


def test_a_perfect_forecast_has_brier_0_and_a_constant_one_auroc_one_half():
    outcome = drawn(3)[0]
    ones = np.ones((1, len(outcome)))
    assert brier(outcome, outcome, ones)[0] == 0
    assert auroc(outcome, np.full(len(outcome), 0.3), ones)[0] == 0.5
    assert auroc(outcome, outcome, ones)[0] == 1


@pytest.mark.parametrize(
    "risk",
    [
        pytest.param([0.1, 0.2, 0.8, 0.9], id="apart"),
        pytest.param([0.9, 0.8, 0.2, 0.1], id="apart the wrong way round"),
        pytest.param([0.1, 0.5, 0.5, 0.9], id="touching in one risk"),
        pytest.param([0.4, 0.4, 0.4, 0.4], id="one risk for all"),
    ],
)
def test_a_calibration_slope_that_does_not_exist_is_unknown(risk):
    assert np.isnan(calibration_slope(np.array([0.0, 0, 1, 1]), np.array(risk), np.ones((1, 4)))[0])


def test_one_outcome_class_makes_unknown_what_it_must_and_spares_the_other_resamples():
    outcome, risk = np.array([0.0, 1, 0, 1, 0, 1]), np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.9])
    weights = np.array([[1.0, 0, 1, 0, 1, 0], [1, 1, 1, 1, 1, 1]])
    for metric in (auroc, auprc, calibration_slope, calibration_intercept):
        unknown, known = metric(outcome, risk, weights)
        assert np.isnan(unknown)
        assert np.isfinite(known)


RISKS = [1e-9, 1e-3, 0.2, 0.5, 0.7, 1 - 1e-9]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(RISKS)), min_size=4))
def test_slope_and_intercept_settle_wherever_the_classes_overlap(stays):
    outcome, risk = np.array(stays, dtype=float).T
    events, others = risk[outcome == 1], risk[outcome == 0]
    assume(len(events) and len(others) and events.max() > others.min() and others.max() > events.min())
    assert np.isfinite(calibration_slope(outcome, risk, np.ones((1, len(risk))))[0])
    assert np.isfinite(calibration_intercept(outcome, risk, np.ones((1, len(risk))))[0])


def test_a_wrong_risk_of_exactly_0_or_1_weighs_as_the_last_number_before_it():
    outcome, risk, weights = drawn(4)
    risk[:2] = 1, 0  # certain, and wrong: drawn() gives the first stay no event and the second one
    nearly = np.clip(risk, 2.3e-16, 1 - 2.3e-16)
    for metric in (calibration_slope, calibration_intercept):
        np.testing.assert_allclose(metric(outcome, risk, weights), metric(outcome, nearly, weights), rtol=0.01)
