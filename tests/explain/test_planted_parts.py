"""Stays whose outcome one property of one variable decides: that part of its contribution is the largest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.explain.attribution.contributions import contributions

VARIABLES = {"lactate": (2, 0.6), "heart_rate": (90, 15), "sodium": (140, 4), "creatinine": (1.2, 0.3), "map": (75, 10)}
PARTS = {"value": 0, "recency": 2}  # which of value, measured, timing decides
N_STAYS, N_EXPLAINED, RISKS = 1500, 200, (0.04, 0.6)


def measurements(rng, name):
    """Hours and values of a variable that decides nothing."""
    mean, deviation = VARIABLES[name]
    hours = np.sort(rng.uniform(0, 48, rng.poisson(4) + 1)).round(2)
    return hours, rng.normal(mean, deviation, len(hours)).clip(0.3, 300)


def lactates(rng, kind):
    """Hours and values of lactate, and whether they raise the risk: by level, or by how recent the last is."""
    hours = measurements(rng, "lactate")[0]
    if kind == "value":
        level = rng.normal()
        return hours, (2 + 0.6 * level + rng.normal(0, 0.1, len(hours))).clip(0.3, 20), level > 0
    hours = np.sort(rng.uniform(0, 48, 4)).round(2)
    hours = hours[hours < 30] if rng.random() < 0.5 and (hours < 30).any() else hours
    return hours, rng.normal(2, 0.6, len(hours)).clip(0.3, 20), 48 - hours[-1] < 8


def planted(kind, random_state):
    """Stays of which lactate alone decides the outcome."""
    rng, rows, died = np.random.default_rng(random_state), [], []
    for stay in range(N_STAYS):
        hours, values, high = lactates(rng, kind)
        series = {"lactate": (hours, values)} | {name: measurements(rng, name) for name in list(VARIABLES)[1:]}
        for name, pairs in series.items():
            rows += [(f"p{stay}", f"s{stay}", hour, name, value) for hour, value in zip(*pairs, strict=True)]
        died.append((f"s{stay}", int(rng.random() < RISKS[int(high)])))
    table = pd.DataFrame(rows, columns=["patient_id", "stay_id", "time", "variable", "value"])
    outcomes = pd.DataFrame(died, columns=["stay_id", "in_hospital_death"])
    return cg.select(cg.read_events(table, outcomes=outcomes), cg.Task.load("in_hospital_mortality"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PARTS)
def test_the_part_that_decides_is_the_largest_and_its_variable_comes_first(kind):
    train, validation, test = cg.split_patients(planted(kind, 1), [0.7, 0.15, 0.15], random_state=0)
    network = cg.NetworkConfig(hidden_size=24, readout_size=48)
    model = cg.GRUClassifier(network, max_epochs=12, distillation=0.0, random_state=0)
    model = model.fit(train, validation=validation, verbose=False)
    test = test[np.arange(min(N_EXPLAINED, len(test)))]
    place = [variable.name for variable in test.variables].index("lactate")
    sums = np.zeros((3, len(test), len(test.variables)))
    for part, values in zip(sums, contributions(model, test).parts, strict=True):
        np.add.at(part, (test.stay_of_measurement, test.variable), values)
    right = np.abs(sums[:, :, place]).argmax(axis=0) == PARTS[kind]
    first = np.abs(sums.sum(axis=0)).argmax(axis=1) == place
    assert (right.mean() >= 0.95, first.mean() >= 0.9) == (True, True), (right.mean(), first.mean())
