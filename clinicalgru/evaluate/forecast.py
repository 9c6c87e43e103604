"""How good forecasts of measurements are: against the last value carried forward, in each variable's own unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.multi_metrics import Figures, tabled
from clinicalgru.evaluate.validation import Array

COLUMNS = ("stay", "variable", "value", "last", "median")


def evaluate_forecast(
    expected: pd.DataFrame,
    *,
    coverage: float = 0.9,
    patients: Any = None,
    n_resamples: int = 1000,
    random_state: int = 0,
    min_cell_size: int = MIN_CELL_SIZE,
) -> pd.DataFrame:
    """Errors of forecasts of single measurements: metric, estimate, low, high.

    expected  one row for each measurement, as `GRUForecaster.expected` gives it: stay (position), variable, value, last
              (the value before), median, and, where there are intervals, low and high
    coverage  that the intervals aim at
    patients  (stay,) who each stay belongs to; None takes every stay for another patient
    min_cell_size  stays in which a variable has to be judged, lest it tell of few
    returns   scaled_error     mean absolute error as a part of that of the last value carried forward (Hyndman and
                               Koehler 2006), mean of the variables: below 1 is better than the last value
              interval_score   width, and 2 / (1 - coverage) times what lies outside (Gneiting and Raftery 2007),
                               likewise scaled; coverage: of all measurements judged
              mean_absolute_error_<variable>   in its own unit; coverage_<variable>

    Judged are measurements of variables that were measured before in the stay, at an earlier step.
    Refused: other columns, no such measurement.

    >>> known = {"stay": [0, 0, 1], "variable": "heart_rate", "value": [80.0, 90, 70], "last": [70.0, 80, 90]}
    >>> table = pd.DataFrame(known | {"median": [75.0, 85, 80]})
    >>> evaluate_forecast(table, min_cell_size=0, n_resamples=5)["estimate"].round(3).tolist()
    [0.5, 6.667]
    """
    _check(expected)
    stays = len(patients) if patients is not None else int(expected["stay"].max()) + 1
    figures = forecast_figures(expected, stays, coverage=coverage, min_cell_size=min_cell_size)
    return tabled(figures, stays, patients=patients, n_resamples=n_resamples, random_state=random_state)


def forecast_figures(
    expected: pd.DataFrame, stays: int, *, coverage: float = 0.9, min_cell_size: int = MIN_CELL_SIZE
) -> Figures:
    """The metrics of `evaluate_forecast` by name, computed together."""
    _check(expected)
    if not 0 < coverage < 1:
        raise ArgumentError("a coverage between 0 and 1", f"{coverage}", "Write coverage=0.9.")
    judged = expected[expected["last"].notna() & expected["median"].notna()]
    enough = judged.groupby("variable")["stay"].nunique() >= max(min_cell_size, 1)
    judged = judged[judged["variable"].map(enough).astype(bool)]
    if judged.empty:
        fix = "Take a longer window, or more stays."
        raise ArgumentError("measurements of variables that were measured before", "none, or in few stays", fix)
    names = sorted(judged["variable"].unique())
    cell = (judged["stay"].to_numpy() * len(names), pd.Index(names).get_indexer(judged["variable"]))

    def sums(number: Any) -> Array:
        """(stay, variable)"""
        total = np.bincount(sum(cell), np.asarray(number, dtype=float), minlength=stays * len(names))
        return np.asarray(total.reshape(stays, len(names)), dtype=float)

    value = judged["value"]
    count, error = sums(np.ones(len(judged))), sums((value - judged["median"]).abs())
    naive = sums((value - judged["last"]).abs())
    inside, score = None, None
    if {"low", "high"} <= {*judged}:
        outside = (judged["low"] - value).clip(lower=0) + (value - judged["high"]).clip(lower=0)
        inside = sums(outside == 0)
        score = sums(judged["high"] - judged["low"] + 2 / (1 - coverage) * outside)

    def figures(weights: Array) -> dict[str, Array]:
        found = {"scaled_error": _scaled(weights @ error, weights @ naive)}
        if inside is not None and score is not None:
            found["interval_score"] = _scaled(weights @ score, weights @ naive)
            found["coverage"] = (weights @ inside).sum(axis=1) / (weights @ count).sum(axis=1)
        each = {"mean_absolute_error": error} | ({} if inside is None else {"coverage": inside})
        return found | {
            f"{metric}_{name}": column
            for metric, total in each.items()
            for name, column in zip(names, _ratio(weights @ total, weights @ count).T, strict=True)
        }

    return figures


def _check(expected: pd.DataFrame) -> None:
    missing = [name for name in COLUMNS if name not in expected]
    if missing:
        fix = "Pass what expected(stays) gave back."
        raise ArgumentError(f"columns {', '.join(COLUMNS)}", f"no {', '.join(missing)}", fix)


def _ratio(part: Array, whole: Array) -> Array:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def _scaled(part: Array, whole: Array) -> Array:
    """(resample,) mean of the ratios of all variables; one whose value never changes has none."""
    ratio = _ratio(part, whole)
    known = ~np.isnan(ratio)
    return np.where(known.any(axis=1), np.nansum(ratio, axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)
