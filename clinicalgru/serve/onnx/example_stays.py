"""Random stays on which a graph is compared with its model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.registry import Model
from clinicalgru.model.network.network import ClinicalGRU

SIZES = ((1, 1), (3, 40), (33, 12))  # stays, and measurements of the longest
REPEATED = 0.3  # fraction of measurements at the time of the one before
LATE = 0.3  # fraction of measurements that became known later


def example_stays(model: Model, *, random_state: int = 0) -> Iterator[Sequences]:
    """Draw stays of several numbers and lengths from the quantiles that a model has learned.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        The model.
    random_state : int
        Seed.

    Yields
    ------
    Sequences
        Stays with its variables, each with a measurement or more. Some values are unknown, some late, some repeated.
    """
    rng = np.random.default_rng(random_state)
    for n_stays, longest in SIZES:
        yield _drawn(model, n_stays, longest, rng)


def _drawn(model: Model, n_stays: int, longest: int, rng: np.random.Generator) -> Sequences:
    first, last = model.task_.window_hours
    measurements, codes = _measurements(model, n_stays, longest, rng), _codes(model, n_stays, rng)
    latest = measurements["hours"][measurements["starts"][1:] - 1]  # no prediction precedes it
    ends = rng.uniform(first, 2 * last, n_stays).clip(latest, last)
    identifiers = np.arange(n_stays).astype(str).astype(object)
    return Sequences(
        variables=model.variables_,
        static_variables=model.static_variables_,
        task=model.task_,
        patient=identifiers,
        stay=identifiers,
        static=_static(model, n_stays, rng),
        static_starts=np.zeros(n_stays + 1, dtype=np.int64),
        static_hours=np.empty(0),
        static_column=np.empty(0, dtype=np.int16),
        static_value=np.empty(0, dtype=np.float32),
        outcome=np.full(n_stays, np.nan),
        end_hours=ends,
        index_time=np.zeros(n_stays, dtype=np.int64),
        has_dates=False,
        source="random stays",
        simulated=True,
        reading={},
        **measurements,
        **codes,
    )


def _network(model: Model) -> ClinicalGRU:
    return (model.members_[0] if isinstance(model, GRUEnsemble) else model).network_


def _measurements(model: Model, n_stays: int, longest: int, rng: np.random.Generator) -> dict[str, Any]:
    """Arrays of measurements; one stay is as long as may be."""
    lengths = rng.integers(1, longest + 1, n_stays)
    lengths[0] = longest
    total, stay = int(lengths.sum()), np.repeat(np.arange(n_stays), lengths)
    hours = rng.uniform(*model.task_.window_hours, total)
    variable = rng.integers(0, len(model.variables_), total).astype(np.int16)
    hours = hours[np.lexsort((hours, stay))]
    again = np.flatnonzero((rng.random(total) < REPEATED) & (np.diff(stay, prepend=-1) == 0))
    hours[again] = hours[again - 1]  # several at one time, in order of time still
    hours = hours[np.lexsort((hours, stay))]
    knots = _network(model).scaler.value.knots.numpy()
    value = knots[variable, rng.integers(0, knots.shape[1], total)] * rng.uniform(0.9, 1.1, total)
    return {
        "starts": np.concatenate([[0], np.cumsum(lengths)]),
        "hours": hours,
        "availability_lag": np.where(rng.random(total) < LATE, rng.exponential(2.0, total), 0).astype(np.float32),
        "variable": variable,
        "value": value.astype(np.float32),
    }


def _codes(model: Model, n_stays: int, rng: np.random.Generator) -> dict[str, Any]:
    """Arrays of coded events, two for each stay on average; none where the model knows none."""
    vocabulary = _network(model).spec.code_vocabulary
    count = 2 * n_stays if vocabulary else 0
    stay, hours = np.sort(rng.integers(0, n_stays, count)), rng.uniform(*model.task_.window_hours, count)
    return {
        "code_vocabulary": vocabulary,
        "code_starts": np.searchsorted(stay, np.arange(n_stays + 1)),
        "code_hours": hours[np.lexsort((hours, stay))],
        "code": rng.integers(0, max(len(vocabulary), 1), count).astype(np.int32),
    }


def _static(model: Model, n_stays: int, rng: np.random.Generator) -> np.ndarray:
    """(stay, static covariate) one in five unknown."""
    scaler = _network(model).scaler
    columns = [
        rng.integers(0, categories, n_stays) if categories else rng.choice(scaler.static.knots[i].numpy(), n_stays)
        for i, categories in enumerate(scaler.static_variables)
    ]
    static = np.stack(columns, axis=1) if columns else np.zeros((n_stays, 0))
    return np.where(rng.random(static.shape) < 0.2, np.nan, static).astype(np.float32)
