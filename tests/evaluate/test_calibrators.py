"""Calibration of several classes, several outcomes and survival: the truth is found, no order is changed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss

import clinicalgru as cg
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import (
    LabelCalibrator,
    SurvivalCalibrator,
    TemperatureCalibrator,
    from_manifest,
)

CUTS = np.array([10.0, 20.0, 40.0, 80.0])


def softmax(logits):
    share = np.exp(logits)
    return share / share.sum(axis=1, keepdims=True)


def drawn_classes(stays=4000):
    chance = np.random.default_rng(1)
    logits = chance.normal(size=(stays, 3))
    truth = (softmax(logits).cumsum(axis=1) < chance.random((stays, 1))).sum(axis=1)
    return truth, logits


def drawn_survival(stays=4000):
    """Events at a known hazard, followed to a time that is chance: outcome (stay, 2), hazard (stay,)."""
    chance = np.random.default_rng(2)
    rate = np.exp(chance.normal(-4, 0.7, stays))
    event, lost = chance.exponential(1 / rate), chance.uniform(0, 100, stays)
    outcome = np.column_stack([np.minimum(event, lost), event <= lost])
    return outcome, rate


def bent(survival, slope, intercept):
    """What this line bends back to the survival that is given."""
    return np.exp(-((-np.log(survival) / np.exp(intercept)) ** (1 / slope)))


@pytest.mark.parametrize("slope", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_planted_is_found(slope):
    truth, logits = drawn_classes()
    fitted = TemperatureCalibrator.fit(truth, softmax(logits / slope))
    assert fitted.slope == pytest.approx(slope, rel=0.1)
    said = fitted.predict(softmax(logits / slope))
    np.testing.assert_allclose(said.sum(axis=1), 1)
    np.testing.assert_array_equal(said.argsort(axis=1), logits.argsort(axis=1))
    assert log_loss(truth, said) <= log_loss(truth, softmax(logits / slope)) + 1e-9


def test_each_outcome_has_a_line_of_its_own_and_one_that_never_came_is_left_alone():
    chance = np.random.default_rng(3)
    score = chance.normal(size=(3000, 3))
    true = (chance.random((3000, 3)) < 1 / (1 + np.exp(-(2 * score - 1)))).astype(float)
    true[:, 2], true[::3, 0] = 0.0, np.nan
    risk = 1 / (1 + np.exp(-score))
    fitted = LabelCalibrator.fit(true, risk)
    known = ~np.isnan(true[:, 0])
    assert fitted.parts[0] == PlattCalibrator.fit(true[known, 0], risk[known, 0])
    assert (fitted.parts[1].slope, fitted.parts[1].intercept) == pytest.approx((2, -1), abs=0.25)
    assert fitted.parts[2] is None
    said = fitted.predict(risk)
    np.testing.assert_array_equal(said[:, 2], risk[:, 2])
    np.testing.assert_array_equal(said.argsort(axis=0), risk.argsort(axis=0))


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (1.0, np.log(2)), (0.6, -0.5), (1.6, 0.4)])
def test_the_line_that_was_planted_in_the_survival_is_found_despite_censoring(slope, intercept):
    """Predicted curves are distorted so that this line corrects them."""
    outcome, rate = drawn_survival()
    truth = np.exp(-rate[:, None] * CUTS)
    distorted = bent(truth, slope, intercept)
    fitted = SurvivalCalibrator.fit(outcome[:, 1], bent(np.exp(-rate * outcome[:, 0]), slope, intercept))
    assert (fitted.slope, fitted.intercept) == pytest.approx((slope, intercept), abs=0.1)
    said = fitted.predict(distorted)
    assert np.abs(said - truth).max() < 0.03
    assert (np.diff(said, axis=1) <= 0).all()
    np.testing.assert_array_equal(said[:, 1].argsort(), distorted[:, 1].argsort())


def test_survival_is_certain_at_the_start_whatever_the_line():
    assert SurvivalCalibrator(slope=0.3, intercept=2.0).predict([1.0]) == [1.0]


@pytest.mark.parametrize(
    ("kind", "calibrator"),
    [
        ("binary", PlattCalibrator(1.5, 0.1)),
        ("early_warning", PlattCalibrator(0.5, -3.0)),
        ("multiclass", TemperatureCalibrator(0.7)),
        ("multilabel", LabelCalibrator((None, PlattCalibrator(1.5, 0.1), None))),
        ("survival", SurvivalCalibrator(1.5, 0.1)),
    ],
)
def test_a_calibrator_comes_back_from_json_as_it_was(kind, calibrator):
    assert from_manifest(kind, json.loads(json.dumps(calibrator.to_dict()))) == calibrator
    assert from_manifest(kind, None) is None


def test_a_slope_that_would_turn_stays_around_is_refused():
    for made in (lambda: TemperatureCalibrator(-1.0), lambda: SurvivalCalibrator(0.0, 1.0)):
        with pytest.raises(cg.ClinicalGRUError, match="slope above 0"):
            made()
