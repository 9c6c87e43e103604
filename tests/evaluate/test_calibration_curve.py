"""Flexible calibration curve: against scikit-learn on its own spline, and against known distortions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import clinicalgru as cg
from clinicalgru.evaluate.calibration_curve import calibration_curve


def draw(n, random_state=0):
    rng = np.random.default_rng(random_state)
    score = rng.normal(-1.5, 1.2, n)
    return (rng.random(n) < expit(score)).astype(float), score


def test_the_curve_is_that_of_logistic_regression_on_a_spline():
    """Truncated powers, made linear beyond the outer knots by Harrell's formula, fitted without penalty."""
    outcome, score = draw(800)
    risk = expit(0.7 * score)
    x, knots = 0.7 * score, np.quantile(0.7 * score, [0.05, 0.35, 0.65, 0.95])
    plus = np.maximum(x[:, None] - knots, 0) ** 3
    last = knots[3] - knots[2]
    terms = [
        plus[:, j] - plus[:, 2] * (knots[3] - knots[j]) / last + plus[:, 3] * (knots[2] - knots[j]) / last
        for j in (0, 1)
    ]
    table = np.column_stack([x, *terms])
    theirs = LogisticRegression(C=1e10, max_iter=10_000, tol=1e-10).fit(table, outcome).predict_proba(table)[:, 1]
    ours = calibration_curve(outcome, risk, n_resamples=5)
    assert ours.ici == pytest.approx(np.abs(theirs - risk).mean(), abs=1e-4)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.5, 0.0), (1.0, -1.0), (2.0, 0.5)])
def test_the_distance_is_that_of_a_known_distortion(slope, shift):
    outcome, score = draw(20_000)
    risk = expit(slope * score + shift)
    curve = calibration_curve(outcome, risk, n_resamples=40)
    assert curve.ici == pytest.approx(np.abs(expit(score) - risk).mean(), abs=0.008)
    assert curve.e50 <= curve.e90
    truth = expit((np.log(curve.table["predicted"] / (1 - curve.table["predicted"])) - shift) / slope)
    np.testing.assert_allclose(curve.table["observed"], truth, atol=0.04)
    assert (curve.table["low"] <= curve.table["observed"]).mean() > 0.95


@pytest.mark.slow
def test_the_band_holds_the_truth_in_95_percent():
    held = []
    for random_state in range(120):
        outcome, score = draw(600, random_state)
        table = calibration_curve(outcome, expit(score), n_resamples=150).table
        middle = table.iloc[len(table) // 3]
        held.append(middle["low"] <= middle["predicted"] <= middle["high"])
    assert np.mean(held) == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize("events", [1, 19])
def test_few_events_have_no_curve(events):
    with pytest.raises(cg.ClinicalGRUError, match="20 patients with and without"):
        calibration_curve(np.arange(200) < events, np.linspace(0.1, 0.9, 200))


def test_a_few_distinct_risks_have_a_straight_line():
    risk = np.tile([0.1, 0.3], 200)
    outcome = np.random.default_rng(0).random(400) < risk
    curve = calibration_curve(outcome, risk, n_resamples=20)
    observed = [outcome[risk == value].mean() for value in (0.1, 0.3)]
    assert curve.ici == pytest.approx(np.abs(np.array(observed) - [0.1, 0.3]).mean(), abs=1e-6)
