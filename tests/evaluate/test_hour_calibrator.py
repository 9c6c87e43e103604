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
    cut_risk = expit((signal + 1.5) * np.exp(-0.7 * place) - 1.5 - place)
    return outcome, expit(signal[:, 0]), cut_risk, hours


def test_at_the_end_of_the_window_it_is_the_line_of_the_end(drawn):
    calibrator = HourCalibrator.fit_by_hour(END, *drawn, window=(0.0, 48.0))
    risk = np.linspace(0.01, 0.99, 20)
    np.testing.assert_allclose(calibrator.predict_at(risk, np.full(20, 48.0)), END.predict(risk), rtol=1e-12)
    np.testing.assert_array_equal(calibrator.predict(risk), END.predict(risk))
    np.testing.assert_array_equal(calibrator.predict_at(risk, np.full(20, 99.0)), calibrator.predict_at(risk, [48.0]))


def test_it_finds_how_the_risks_were_distorted(drawn):
    outcome, risk, cut_risk, hours = drawn
    end = PlattCalibrator.fit(outcome, risk)
    calibrator = HourCalibrator.fit_by_hour(end, *drawn, window=(0.0, 48.0))
    for hour, column in zip(hours[0], cut_risk.T, strict=True):
        calibrated = calibrator.predict_at(column, np.full(len(column), hour))
        assert outcome.mean() / calibrated.mean() == pytest.approx(1, abs=0.04)
        line = np.polyfit(logit(column), logit(calibrated), 1)
        assert line[0] / end.slope == pytest.approx(np.exp(0.7 * (np.log1p(hour) / np.log1p(48) - 1)), rel=0.2)


def test_what_the_line_at_the_end_leaves_of_the_level_is_left_at_all_hours(drawn):
    true, shifted = (
        HourCalibrator.fit_by_hour(PlattCalibrator(1.0, level), *drawn, window=(0.0, 48.0)) for level in (0.0, 0.5)
    )
    changes = ("level", "bend", "steepness")
    np.testing.assert_allclose(*([getattr(one, name) for name in changes] for one in (true, shifted)), atol=0.01)


def test_the_slope_is_positive_at_every_hour_and_few_stays_change_little(drawn):
    outcome, risk, cut_risk, hours = (part[:20] for part in drawn)
    wild = HourCalibrator.fit_by_hour(END, 1 - outcome, risk, cut_risk, hours, window=(0.0, 48.0))
    assert (wild.lines(np.linspace(-5, 60, 50))[0] > 0).all()
    none = HourCalibrator.fit_by_hour(END, outcome, risk, np.full_like(cut_risk, np.nan), hours, window=(0.0, 48.0))
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
