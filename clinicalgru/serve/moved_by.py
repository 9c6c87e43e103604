"""Which variables moved a prediction most: what it would be without each of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.estimators.registry import FittedModel

N_VARIABLES = 3


def moved_by(model: FittedModel, stays: Sequences, column: int = 0) -> np.ndarray:
    """Find the three variables without which a prediction would change most.

    Parameters
    ----------
    model : estimator
        A fitted model.
    stays : Sequences
        Stays that it predicts.
    column : int
        Which of its `score_columns_`.

    Returns
    -------
    ndarray of str, shape (stay,)
        Such as "lactate +0.081; age -0.02; heart_rate +0.011": the prediction minus the one without the measurements of
        the variable, largest first.

    Notes
    -----
    One variable is left out at a time, so that of two which say the same neither may move the prediction. `explain`
    attributes a prediction to each measurement.
    """
    whole = model.score_rows(stays)[:, column]
    names = np.array([variable.name for variable in (*stays.variables, *stays.static_variables)], dtype=object)
    changes = np.zeros((len(stays), len(names)))
    for number in range(len(names)):
        concerned, without = _without(stays, number)
        seen = model.has_observations(without)
        if seen.any():
            changes[concerned[seen], number] = whole[concerned[seen]] - model.score_rows(without[seen])[:, column]
    changes = np.nan_to_num(changes)
    order = np.argsort(-np.abs(changes), axis=1, kind="stable")[:, :N_VARIABLES]
    return np.array([_words(names[row], change[row]) for row, change in zip(order, changes, strict=True)], dtype=object)


def _without(stays: Sequences, number: int) -> tuple[np.ndarray, Sequences]:
    """The stays that have a variable, as positions and without it."""
    n_series = len(stays.variables)
    if number < n_series:
        concerned = np.unique(stays.stay_of_measurement[stays.variable == number])
        some = stays[concerned]
        return concerned, some.filter_measurements(some.variable != number)
    concerned = np.flatnonzero(~np.isnan(stays.static[:, number - n_series]))
    some = stays[concerned]
    static = some.static.copy()
    static[:, number - n_series] = np.nan
    kept = some.static_column != number - n_series
    stay_of = np.repeat(np.arange(len(some)), np.diff(some.static_starts))
    starts = np.searchsorted(stay_of[kept], np.arange(len(some) + 1))
    columns = {name: getattr(some, name)[kept] for name in ("static_hours", "static_column", "static_value")}
    return concerned, replace(some, static=static, static_starts=starts, **columns)


def _words(names: np.ndarray, changes: np.ndarray) -> str:
    pairs = zip(names, changes, strict=True)
    return "; ".join(f"{name} {change:+.2g}" for name, change in pairs if abs(change) > 0)
