"""Explanation targets: the number that is explained is that of the calibrated prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from family import fitted_case

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import LabelCalibrator, SurvivalCalibrator, TemperatureCalibrator
from clinicalgru.evaluate.logistic import logit
from clinicalgru.model.heads.classification import Binary, MultiClass, MultiLabel
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.heads.explanation_target import target_horizon
from clinicalgru.model.heads.forecast import Forecast
from clinicalgru.model.heads.regression import Regression
from clinicalgru.model.heads.survival import Survival
from clinicalgru.model.network.layers import QuantileScaler

HEADS = {
    "binary": Binary(),
    "multiclass": MultiClass((0.0, 1.0, 2.0)),
    "multilabel": MultiLabel(("a", "b")),
    "regression": Regression((0.0, 1.0, 3.0), (0.5, 2.0)),
    "survival": Survival((24.0, 48.0), (24.0, 48.0)),
    "early_warning": EarlyWarning(0.0, 6.0, 0.0),
}


def drawn(head):
    return head.aggregate_members(torch.randn(3, 5, head.n_outputs, generator=torch.Generator().manual_seed(0)))


def test_a_binary_target_is_the_calibrated_log_odds():
    head, line = HEADS["binary"], PlattCalibrator(0.8, 0.3)
    aggregated = drawn(head)
    calibrated = line.predict(head.predict(aggregated).numpy())
    np.testing.assert_allclose(head.explanation_target(None, line)(aggregated), logit(calibrated), atol=1e-6)


def test_a_label_is_named_and_calibrated_by_its_own_line():
    head, line = HEADS["multilabel"], LabelCalibrator((None, PlattCalibrator(0.8, 0.3)))
    aggregated = drawn(head)
    calibrated = line.predict(head.predict(aggregated).numpy())
    target = head.explanation_target("b", line)
    assert target.name == "b"
    np.testing.assert_allclose(target(aggregated), logit(calibrated[:, 1]), atol=1e-6)
    assert head.explanation_target().name == "a"


def test_a_class_is_the_log_odds_against_all_others_and_the_last_one_by_default():
    head, temperature = HEADS["multiclass"], TemperatureCalibrator(0.7)
    aggregated = drawn(head)
    calibrated = temperature.predict(head.predict(aggregated).numpy())
    np.testing.assert_allclose(
        head.explanation_target(1.0, temperature)(aggregated), logit(calibrated[:, 1]), atol=1e-6
    )
    assert head.explanation_target().name == "class 2"


@pytest.mark.parametrize("calibrator", [None, SurvivalCalibrator(0.9, 0.2)])
def test_a_horizon_is_the_log_odds_of_the_event_by_then(calibrator):
    head = HEADS["survival"]
    aggregated = drawn(head)
    survival = head.survival_at(head.predict(aggregated).numpy(), np.array([36.0]))[:, 0]
    survival = survival if calibrator is None else calibrator.predict(survival)
    target = head.explanation_target(36.0, calibrator)
    assert target.name == "within 36 hours"
    np.testing.assert_allclose(target(aggregated), logit(1 - survival), atol=1e-6)


def test_a_regression_target_is_the_mean_in_the_unit_of_the_outcome():
    head = HEADS["regression"]
    aggregated, target = drawn(head), head.explanation_target()
    assert target.unit == "outcome"
    np.testing.assert_allclose(target(aggregated), head.mean(head.predict(aggregated).numpy()), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "target", "message"),
    [
        ("binary", "death", "no target for a model with one output; got 'death'"),
        ("early_warning", 1.0, "no target for a model with one output; got 1.0"),
        ("regression", "days", "no target"),
        ("multilabel", "c", "a label among a, b; got 'c'"),
        ("multiclass", 3.0, "a class among 0, 1, 2; got 3.0"),
        ("survival", 49.0, "a horizon above 0 and up to 48 hours; got 49.0"),
        ("survival", "soon", "a horizon above 0 and up to 48 hours; got 'soon'"),
    ],
)
def test_a_target_that_the_head_does_not_have_is_refused(kind, target, message):
    with pytest.raises(cg.ClinicalGRUError, match=message):
        HEADS[kind].explanation_target(target)


def test_a_forecast_has_no_target():
    with pytest.raises(cg.ClinicalGRUError, match="a model that predicts an outcome; got Forecast"):
        Forecast(QuantileScaler(2)).explanation_target()


@pytest.mark.parametrize("kind", HEADS)
def test_each_named_target_has_a_name_for_tables(kind):
    head = HEADS[kind]
    assert len(head.output_names) == max(1, len(head.targets))
    for target, name in zip(head.targets, head.output_names, strict=False):
        assert head.explanation_target(target).name == name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "survival", "early_warning"])
def test_a_head_fits_the_calibrator_of_its_estimator(kind):
    from copy import copy

    case = fitted_case(kind)
    model = copy(case.model).calibrate(case.test)
    pairs = model.head_.calibration_pairs(case.test, case.model._predicted(case.test).numpy())
    calibrator = model.head_.calibrator_from(*pairs)
    assert calibrator.to_dict() == model.calibrator_.to_dict()


def test_without_a_target_the_horizon_is_the_longest_that_training_saw():
    assert target_horizon(None, [24.0, 168.0], 280.0) == 168.0
    assert target_horizon(None, [24.0, 336.0], 280.0) == 280.0
    assert target_horizon(36, [24.0, 336.0], 280.0) == 36.0
    with pytest.raises(ArgumentError, match="a horizon above 0 and up to 280 hours; got 336"):
        target_horizon(336.0, [24.0, 336.0], 280.0)
