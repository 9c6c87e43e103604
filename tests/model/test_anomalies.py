"""Sensor faults planted on the synthetic cohort are what a forecast finds odd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import clinicalgru as cg

VITALS = ("heart_rate", "map", "respiratory_rate", "temperature", "spo2")


@pytest.mark.slow
def test_planted_sensor_faults_are_found():
    """A fault replaces a vital sign by a value between the 0.1 and 99.9 percentiles of the cohort.

    It differs from the true value by at least two standard deviations."""
    events = cg.read_events(cg.simulate(500, random_state=5))
    stays = cg.select(events, cg.Task("next", "", (0.0, 48.0), task_type="forecast"))
    train, tune, test = cg.split_patients(stays, [0.6, 0.15, 0.25], random_state=0)
    model = cg.GRUForecaster(
        network=cg.NetworkConfig(hidden_size=16, readout_size=32, ensemble_size=2), max_epochs=4
    ).fit(train, validation=tune, verbose=False)
    names = [variable.name for variable in test.variables]
    vital = np.isin(test.variable, [names.index(name) for name in VITALS if name in names])
    chance, value = np.random.default_rng(0), test.value.copy()
    chosen = np.flatnonzero(vital & (chance.random(len(value)) < 0.02))
    for number in np.unique(test.variable[chosen]):
        of_it = test.value[test.variable == number]
        low, high = np.quantile(of_it, [0.001, 0.999])
        here = chosen[test.variable[chosen] == number]
        drawn = chance.uniform(low, high, len(here))
        away = np.abs(drawn - test.value[here]) > 2 * of_it.std()
        value[here] = np.where(away, drawn, value[here])
    fault = value != test.value
    odd = model.anomaly_scores(replace(test, value=value))
    evaluated = vital & ~np.isnan(odd)
    assert fault[evaluated].sum() > 50
    assert roc_auc_score(fault[evaluated], odd[evaluated]) >= 0.9
