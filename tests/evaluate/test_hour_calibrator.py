"""Calibration by hour: the line of the end at the end, a positive slope everywhere, and the truth found again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

import clinicalgru as cg
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import from_manifest
from clinicalgru.evaluate.hour_calibrator import HourCalibrator

END = PlattCalibrator(slope=1.3, intercept=0.4)


@pytest.fixture(scope="module")
def drawn():
    """Outcomes, the true risk by hour, and a risk that is twice as far from its middle, and too high, early on."""
    rng = np.random.default_rng(0)
    hours = np.tile([1.0, 4.0, 12.0, 30.0], (4000, 1))
    signal = rng.normal(size=(4000, 1)) - 1.5
    outcome = (rng.random(4000) < expit(signal[:, 0])).astype(float)
    place = np.log1p(hours) / np.log1p(48) - 1
    return outcome, expit((signal + 1.5) * np.exp(-0.7 * place) - 1.5 - place), hours


def test_at_the_end_of_the_window_it_is_the_line_of_the_end(drawn):
    calibrator = HourCalibrator.fit_by_hour(END, *drawn, window=(0.0, 48.0))
    risk = np.linspace(0.01, 0.99, 20)
    np.testing.assert_allclose(calibrator.predict_at(risk, np.full(20, 48.0)), END.predict(risk), rtol=1e-12)
    np.testing.assert_array_equal(calibrator.predict(risk), END.predict(risk))
    np.testing.assert_array_equal(calibrator.predict_at(risk, np.full(20, 99.0)), calibrator.predict_at(risk, [48.0]))


def test_it_finds_how_the_risks_were_distorted(drawn):
    outcome, risk, hours = drawn
    even = PlattCalibrator(slope=1.0, intercept=0.0)
    calibrator = HourCalibrator.fit_by_hour(even, outcome, risk, hours, window=(0.0, 48.0))
    for hour, column in zip(hours[0], risk.T, strict=True):
        calibrated = calibrator.predict_at(column, np.full(len(column), hour))
        assert outcome.mean() / calibrated.mean() == pytest.approx(1, abs=0.04)
        line = np.polyfit(logit(column), logit(calibrated), 1)
        assert line[0] == pytest.approx(np.exp(0.7 * (np.log1p(hour) / np.log1p(48) - 1)), rel=0.2)


def test_the_slope_is_positive_at_every_hour_and_few_stays_change_little(drawn):
    outcome, risk, hours = (part[:20] for part in drawn)
    wild = HourCalibrator.fit_by_hour(END, 1 - outcome, risk, hours, window=(0.0, 48.0))
    assert (wild.lines(np.linspace(-5, 60, 50))[0] > 0).all()
    none = HourCalibrator.fit_by_hour(END, outcome, np.full_like(risk, np.nan), hours, window=(0.0, 48.0))
    np.testing.assert_allclose(none.lines([1.0, 48.0])[0], END.slope)


def test_a_manifest_gives_the_same_calibrator_back(drawn):
    calibrator = HourCalibrator.fit_by_hour(END, *drawn, window=(0.0, 48.0))
    assert from_manifest("binary", calibrator.to_dict()) == calibrator
    assert from_manifest("binary", END.to_dict()) == END


def test_prediction_explanation_and_movement_are_calibrated_alike_at_an_hour(fitted, test_stays):
    assert isinstance(fitted.calibrator_, HourCalibrator)
    stay, cut = test_stays[[2]], test_stays[[2]].truncate_at(10.0)
    risk = fitted.predict_proba(cut)[0, 1]
    assert cg.explain(fitted, stay, at_hours=10.0).risk == pytest.approx(risk, abs=1e-6)
    moved = cg.movement(fitted, stay, at_hours=10.0, n_permutations=2)
    assert moved.risk == pytest.approx(risk, abs=1e-6)
    assert abs(moved.residual) < 1e-6
    course = cg.explain(fitted, stay).risk_trajectory
    row = course.iloc[len(course) // 3]
    then = fitted.predict_proba(stay.truncate_at(row["hours"]))[0, 1]
    assert row["risk"] == pytest.approx(then, abs=1e-6)


def test_a_bundle_keeps_it(fitted, test_stays, tmp_path):
    loaded = cg.load(cg.save(fitted, tmp_path / "model"))
    assert loaded.calibrator_ == fitted.calibrator_
    cut = test_stays[:8].truncate_at(7.0)
    np.testing.assert_array_equal(loaded.predict_proba(cut), fitted.predict_proba(cut))
