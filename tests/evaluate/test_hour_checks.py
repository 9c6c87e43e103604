"""Checks of calibration by hour: their figures, verdicts, and what an explanation makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit, ndtri
from scipy.stats import t as student_t

import clinicalgru as cg
from clinicalgru.evaluate.calibrators import from_manifest
from clinicalgru.evaluate.conformal import ABSENT, OCCURRED
from clinicalgru.evaluate.hour_calibrator import HourCalibrator, check_by_hour
from clinicalgru.evaluate.hour_checks import HourCheck, calibration_verdict, check_calibration
from clinicalgru.evaluate.set_coverage import set_coverage
from clinicalgru.explain.attribution.explain import explain
from clinicalgru.view.plots.timeline import plot_patient
from clinicalgru.view.plots.timeline_data import is_uncalibrated


def cohort(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """Outcome, risk at the end and at three cuts, and hours: log-odds that add up evidence, calibrated at each time."""
    outcome = (rng.random(n) < 0.2).astype(float)
    evidence = rng.normal((outcome[:, None] - 0.5) * 0.8, np.sqrt(0.8), (n, 4))
    known = logit(0.2) + evidence.cumsum(axis=1)
    hours = np.stack([rng.uniform(first, first + 4, n) for first in (0, 20, 40)], axis=1)
    return outcome, expit(known[:, -1]), expit(known[:, :-1]), hours


def test_the_figures_are_those_of_a_logistic_regression():
    rng = np.random.default_rng(0)
    outcome, risk, *_ = cohort(rng, 800)
    (check,) = check_calibration(outcome, risk, np.full(800, 48.0))
    patient = np.arange(800) // 3  # statsmodels' robust variance by patient, as for generalised estimating equations
    (by_patient,) = check_calibration(outcome, risk, np.full(800, 48.0), patient)
    for one, group in ((check, np.arange(800)), (by_patient, patient)):
        clusters = {"cov_type": "cluster", "cov_kwds": {"groups": group}}
        fitted = sm.Logit(outcome, sm.add_constant(logit(risk))).fit(disp=0, **clusters)
        smaller = min(len(np.unique(group[outcome == value])) for value in (0, 1))
        half = student_t.ppf(0.975, smaller - 1) * fitted.bse[1]
        slope = (one.calibration_slope, one.calibration_slope_low, one.calibration_slope_high)
        assert slope == pytest.approx((fitted.params[1], fitted.params[1] - half, fitted.params[1] + half), abs=1e-6)
    assert check.observed_expected == pytest.approx(outcome.sum() / risk.sum())


def test_intervals_cover_the_truth_in_95_of_100_samples():
    rng, covered = np.random.default_rng(1), []
    for _ in range(400):
        log_odds = rng.normal(-1.5, 1, 400)
        outcome = (rng.random(400) < expit(log_odds)).astype(float)
        (check,) = check_calibration(outcome, expit(log_odds), np.full(400, 6.0))
        covered += [
            (
                check.observed_expected_low < 1 < check.observed_expected_high,
                check.calibration_slope_low < 1 < check.calibration_slope_high,
            )
        ]
    assert np.all(np.abs(np.mean(covered, axis=0) - 0.95) < 0.035)


@pytest.mark.slow
def test_intervals_cover_the_truth_where_patients_have_several_stays():
    """A mean of four stays, whose outcomes go together: intervals that count stays cover it in about 76 of 100."""
    rng, covered = np.random.default_rng(3), []
    for _ in range(250):
        n_stays = rng.poisson(3, 100) + 1
        patient = np.repeat(np.arange(100), n_stays)
        risk = expit(rng.normal(-1.2, 0.8, 100)[patient] + rng.normal(0, 0.3, len(patient)))
        liability = np.sqrt(0.7) * rng.normal(size=100)[patient] + np.sqrt(0.3) * rng.normal(size=len(patient))
        outcome, in_set = (liability < ndtri(risk)).astype(float), liability < ndtri(0.9)
        checks = [check_calibration(outcome, risk, np.full(len(risk), 6.0), one)[0] for one in (patient, None)]
        coverage = [interval_of_sets(in_set, one) for one in (patient, None)]
        covered.append(
            [
                [one.observed_expected_low < 1 < one.observed_expected_high for one in checks],
                [one.calibration_slope_low < 1 < one.calibration_slope_high for one in checks],
                [low < 0.9 < high for low, high in coverage],
            ]
        )
    by_patient, by_stay = np.mean(covered, axis=0).T
    assert np.all(np.abs(by_patient - 0.95) < 0.035)
    assert np.all(by_stay < 0.85)


def interval_of_sets(in_set, patients):
    """Interval of the coverage of sets that hold a fraction of the outcomes."""
    sets = np.where(in_set, OCCURRED, ABSENT)
    table = set_coverage(np.ones(len(in_set)), sets, {}, patients=patients, min_cell_size=0)
    return table[["low", "high"]].iloc[0]


def test_few_events_are_not_checked():
    outcome = np.repeat([1.0, 0.0], [19, 300])
    assert check_calibration(outcome, np.full(319, 0.06), np.full(319, 6.0)) == []
    twice = np.repeat([1.0, 0.0], [38, 300])  # 38 stays of 19 patients
    patient = np.concatenate([np.arange(38) // 2, np.arange(300) + 19])
    assert check_calibration(twice, np.full(338, 0.1), np.full(338, 6.0), patient) == []


@pytest.mark.parametrize(
    ("expected", "slope", "verdict"),
    [
        ((0.92, 1.08), (0.9, 1.1), "yes"),
        ((0.7, 1.3), (0.8, 1.4), "unclear"),
        ((1.02, 1.08), (0.9, 1.1), "yes"),  # within the tolerated range, though 1 is outside
        ((0.92, 1.08), (0.3, 0.8), "no"),
        ((np.nan, np.nan), (0.9, 1.1), "unclear"),
    ],
)
def test_a_verdict_needs_the_intervals(expected, slope, verdict):
    assert calibration_verdict({"observed_expected": expected, "calibration_slope": slope}) == verdict


def test_risks_that_no_line_can_calibrate_fail_where_they_do():
    rng = np.random.default_rng(2)
    outcome, risk, cuts, hours = cohort(rng, 6000)
    good = check_by_hour(outcome, risk, cuts, hours, window=(0.0, 48.0))
    assert all(check.verdict != "no" for check in good)
    assert good[-1].verdict == "yes"
    cuts[:, 1] = expit(logit(cuts[:, 1]) * 3 + 2.5)  # the middle is off in a way that is not smooth in the hour
    bad = check_by_hour(outcome, risk, cuts, hours, window=(0.0, 48.0))
    assert bad[1].verdict == "no"
    assert bad[-1] == good[-1]


def test_checks_survive_a_manifest():
    check = HourCheck(0.0, 4.0, 1.2, 1.1, 1.3, 0.9, 0.8, 1.0)
    calibrator = HourCalibrator(1.0, 0.0, 0.0, 48.0, checks=(check,))
    assert from_manifest("binary", calibrator.to_dict()) == calibrator
    assert calibrator.verdicts([0.0, 3.0, 47.0]).tolist() == ["no"] * 3
    with pytest.raises(cg.ClinicalGRUError, match="finite"):
        replace(check, observed_expected=np.inf)


@pytest.mark.slow
def test_an_explanation_draws_hours_in_grey_that_failed_and_says_why(fitted, parts):
    stay = parts[3][[0]]
    calibrator = fitted.calibrator_
    good = HourCheck(0.0, 12.0, 1.0, 0.95, 1.05, 1.0, 0.9, 1.1)
    bad = HourCheck(13.0, 30.0, 1.4, 1.2, 1.6, 1.0, 0.9, 1.1)
    end = replace(good, first_hour=31.0, last_hour=48.0)
    try:
        fitted.calibrator_ = replace(calibrator, checks=(good, bad, end))
        explanation = explain(fitted, stay)
        fitted.calibrator_ = replace(calibrator, checks=())
        unchecked = explain(fitted, stay)
    finally:
        fitted.calibrator_ = calibrator
    trajectory = explanation.risk_trajectory
    grey = is_uncalibrated(trajectory)
    assert grey.equals(trajectory["hours"].between(12.5, 30.5))
    assert "At hours 13 to 30" in explanation.trajectory_note
    assert "1.40 (1.20 to 1.60)" in explanation.trajectory_note
    trace = next(one for one in plot_patient(explanation).data if one.name == "not known to be calibrated")
    drawn = {hour for hour, risk in zip(trace.x, trace.y, strict=True) if risk is not None}
    assert set(trajectory["hours"][grey]) <= drawn
    assert is_uncalibrated(unchecked.risk_trajectory).iloc[:-1].all()
    assert "not evaluated" in unchecked.trajectory_note
