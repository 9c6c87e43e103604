"""Small builders that tests share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import clinicalgru as cg
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.evaluate.evaluation import evaluate_predictions
from clinicalgru.evaluate.predictions import TaskPredictions
from clinicalgru.model.baselines import forecast_baselines, summary_baseline, tree_baselines

Fact = tuple[int, float, float]


def environment_of_children() -> dict[str, str]:
    """The environment of a process that a test starts, without what `absent` leaves out."""
    paths = [str(Path(__file__).parent / "absent"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def slow_but(quick: Iterable[str], names: Iterable[str]) -> list[Any]:
    """Parameters of a test or fixture; the quick suite takes only those named first."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


@contextmanager
def ten_trees() -> Iterator[None]:
    """Boosted trees of ten rounds for hundreds, of a forecast from 1,000 measurements of a variable for 10,000."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (summary_baseline, tree_baselines, forecast_baselines):
            patch.setattr(module, "TREES", {**module.TREES, "max_iter": 10})
        patch.setattr(forecast_baselines, "MEASUREMENTS", 1000)
        yield


def fact(variable: int, hours: float, value: float) -> Fact:
    """One measurement: variable by position, hours since the anchor, value."""
    return variable, hours, value


def stays_of(sequences: Sequences, added: dict[int, list[Fact]]) -> Sequences:
    """The stays with these facts added to them, by position."""
    stay = np.concatenate([sequences.stay_of_measurement, [i for i, facts in added.items() for _ in facts]])
    new = np.array([f for facts in added.values() for f in facts]).reshape(-1, 3)
    variable = np.concatenate([sequences.variable, new[:, 0].astype(np.int16)])
    hours, value = np.concatenate([sequences.hours, new[:, 1]]), np.concatenate([sequences.value, new[:, 2]])
    lag = np.concatenate([sequences.availability_lag, np.zeros(len(new), np.float32)])
    order = np.lexsort((variable, hours, stay))
    return replace(
        sequences,
        starts=np.searchsorted(stay[order], np.arange(len(sequences) + 1)),
        variable=variable[order],
        hours=hours[order],
        value=value[order].astype(np.float32),
        availability_lag=lag[order],
    )


def to_dense(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Values (stay, step, variable) and hours (stay, step); NaN = not measured, or no such step."""
    shape = len(sequences), int(sequences.n_steps.max(initial=0))
    values = np.full((*shape, len(sequences.variables)), np.nan, dtype=np.float32)
    hours = np.full(shape, np.nan)
    stay = sequences.stay_of_measurement
    step = np.cumsum(sequences.is_new_step) - 1
    step -= (np.cumsum(sequences.n_steps) - sequences.n_steps)[stay]
    hours[stay, step] = sequences.hours
    values[stay, step, sequences.variable] = sequences.value
    return values, hours


def with_network(arguments: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The same arguments of an estimator, with other options of its network."""
    network = clone(arguments.get("network", cg.NetworkConfig()))
    return arguments | {"network": network.set_params(**options)}


def metrics_of(predictions: TaskPredictions, *, n_resamples: int = 5, patients: object = None) -> pd.DataFrame:
    """The metrics of one model by name: estimate, low, high."""
    evaluation = evaluate_predictions({"model": predictions}, n_resamples=n_resamples, patients=patients)
    return evaluation.metrics.set_index("metric")


def followed(model, stay, monitor=None, *, first=0, last=None):
    """A monitor after some of the measurements of a stay."""
    if monitor is None:
        static = {v.name: x for v, x in zip(stay.static_variables, stay.static[0], strict=True) if not np.isnan(x)}
        monitor = cg.Monitor(model, static=static)
    names = [variable.name for variable in stay.variables]
    for at in range(first, len(stay.hours) if last is None else last):
        known = float(stay.hours[at])
        used = monitor.update(
            names[stay.variable[at]],
            float(stay.value[at]),
            hours=known - float(stay.availability_lag[at]),
            available_hours=known,
        )
        assert used
    return monitor
