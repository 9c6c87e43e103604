"""Metrics of forecasts of measurements: errors relative to the last value carried forward, and in each unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance, check_number
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import MetricSet
from clinicalgru.evaluate.predictions import TaskPredictions
from clinicalgru.evaluate.validation import Array

COLUMNS = ("stay", "variable", "value", "last", "median")
NOTES: Mapping[str, str] = {
    "Measurements": "those of variables that were measured before in the stay, each forecast from the step before it",
    "Error and interval score": "relative to the error of the last value carried forward, mean of the variables",
}


def forecast_predictions(
    expected: pd.DataFrame,
    *,
    n_stays: int | None = None,
    coverage: float = 0.9,
    min_cell_size: int = MIN_CELL_SIZE,
) -> TaskPredictions:
    """Prepare forecasts of single measurements.

    ``scaled_error`` is the mean absolute error divided by that of the last value carried forward, mean of the
    variables: below 1 is better than the last value. ``interval_score`` is the width of the interval, plus
    2 / (1 - coverage) times the distance of a value outside, scaled likewise. ``coverage`` is over all measurements.
    ``mean_absolute_error_<variable>`` is in the variable's unit; ``coverage_<variable>`` is over its measurements.

    Parameters
    ----------
    expected : DataFrame
        One row for each measurement, as `GRUForecaster.expected` returns: stay (position), variable, value, last (value
        before), median, and low and high where there are intervals.
    n_stays : int, optional
        Number of stays; None: up to the last one in the table.
    coverage : float
        Nominal coverage of the intervals, between 0 and 1.
    min_cell_size : int
        Variables that were measured in fewer stays are left out.

    Returns
    -------
    TaskPredictions
        Of measurements with an earlier value in the stay.

    Raises
    ------
    ArgumentError
        If columns are missing, or no such measurement is left.

    References
    ----------
    Hyndman and Koehler 2006 (scaled error); Gneiting and Raftery 2007 (interval score).

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.evaluate.evaluation import evaluate_predictions
    >>> known = {"stay": [0, 0, 1], "variable": "heart_rate", "value": [80.0, 90, 70], "last": [70.0, 80, 90]}
    >>> expected = pd.DataFrame(known | {"median": [75.0, 85, 80]})
    >>> predictions = forecast_predictions(expected, min_cell_size=0)
    >>> evaluate_predictions({"model": predictions}, n_resamples=5).metrics["estimate"].round(3).tolist()
    [0.5, 6.667]
    """
    check_instance("expected", expected, pd.DataFrame, fix="Pass what expected(stays) returned.")
    check_number("coverage", coverage, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
    missing = [name for name in COLUMNS if name not in expected]
    if missing:
        fix = "Pass what expected(stays) returned."
        raise ArgumentError(f"columns {', '.join(COLUMNS)}", f"no {', '.join(missing)}", fix)
    stays = int(expected["stay"].max()) + 1 if n_stays is None else n_stays
    rows = _comparable(expected, min_cell_size)
    return TaskPredictions(
        task_type="forecast",
        n_stays=stays,
        metrics=_metrics(rows, stays, coverage),
        notes=NOTES,
        n_resamples=200,
    )


def _comparable(expected: pd.DataFrame, min_cell_size: int) -> pd.DataFrame:
    """Measurements with a forecast and an earlier value, of variables in enough stays."""
    rows = expected[expected["last"].notna() & expected["median"].notna()]
    enough = rows.groupby("variable")["stay"].nunique() >= max(min_cell_size, 1)
    rows = rows[rows["variable"].map(enough).astype(bool)]
    if rows.empty:
        got = f"0 of {len(expected):,} measurements in enough stays"
        fix = "Take a longer window, or more stays."
        raise ArgumentError("measurements of variables that were measured before", got, fix)
    return rows


def _metrics(rows: pd.DataFrame, stays: int, coverage: float) -> MetricSet:
    """All metrics from sums by stay and variable."""
    names = sorted(rows["variable"].unique())
    cell = rows["stay"].to_numpy() * len(names) + pd.Index(names).get_indexer(rows["variable"])

    def sums(values: Any) -> Array:
        total = np.bincount(cell, np.asarray(values, dtype=float), minlength=stays * len(names))
        return np.asarray(total.reshape(stays, len(names)), dtype=float)

    count, error = sums(np.ones(len(rows))), sums((rows["value"] - rows["median"]).abs())
    last_error = sums((rows["value"] - rows["last"]).abs())
    has_intervals = {"low", "high"} <= {*rows}
    inside, score = map(sums, _intervals(rows, coverage)) if has_intervals else (None, None)

    def metrics(weights: Array) -> dict[str, Array]:
        scaled = weights @ last_error
        values = {"scaled_error": _mean_ratio(weights @ error, scaled)}
        if inside is not None and score is not None:
            values["interval_score"] = _mean_ratio(weights @ score, scaled)
            values["coverage"] = (weights @ inside).sum(axis=1) / (weights @ count).sum(axis=1)
        by_variable = {"mean_absolute_error": error} | ({} if inside is None else {"coverage": inside})
        return values | {
            f"{metric}_{name}": column
            for metric, total in by_variable.items()
            for name, column in zip(names, _ratio(weights @ total, weights @ count).T, strict=True)
        }

    return metrics


def _intervals(rows: pd.DataFrame, coverage: float) -> tuple[pd.Series, pd.Series]:
    """Whether each value lies in its interval, and its interval score."""
    value = rows["value"]
    outside = (rows["low"] - value).clip(lower=0) + (value - rows["high"]).clip(lower=0)
    return outside == 0, rows["high"] - rows["low"] + 2 / (1 - coverage) * outside


def _ratio(part: Array, whole: Array) -> Array:
    """Quotient; NaN where the divisor is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def _mean_ratio(part: Array, whole: Array) -> Array:
    """Mean over the variables of the ratio; a variable whose value never changes has none."""
    ratio = _ratio(part, whole)
    known = ~np.isnan(ratio)
    return np.where(known.any(axis=1), np.nansum(ratio, axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)
