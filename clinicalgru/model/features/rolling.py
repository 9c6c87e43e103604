"""Rolling statistics: what was measured of each variable in the last hours before a prediction."""

from __future__ import annotations

from collections.abc import Sequence as Names

import numpy as np
import pandas as pd

from clinicalgru.checks import check_number, to_python
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.model.features.cells import cells_in_order

ROLLING = ("count", "mean", "min", "max", "slope")
HOUR_TOLERANCE = 1e-6  # a measurement exactly as old as the window, up to this difference, is outside


def check_rolling_hours(given: object) -> tuple[float, ...]:
    """Give the lengths of the windows as a tuple, or raise where they cannot be used.

    Parameters
    ----------
    given : object
        What was passed.

    Returns
    -------
    tuple of float
        Hours, ascending.

    Raises
    ------
    ArgumentError
        Unless they are different positive numbers.

    Examples
    --------
    >>> check_rolling_hours([12, 6])
    (6.0, 12.0)
    """
    hours = to_python(given)
    if not isinstance(hours, tuple):
        raise ArgumentError("rolling_hours as a list of hours", describe(given), "Write rolling_hours=(6, 12, 24).")
    for one in hours:
        check_number("rolling_hours", one, minimum=0, open_minimum=True)
    if len({*hours}) < len(hours):
        raise ArgumentError("rolling_hours that differ", f"{hours}", "Name each window once.")
    return tuple(sorted(float(one) for one in hours))


@np.errstate(invalid="ignore", divide="ignore", over="ignore")  # infinite values: training names their variable
def rolling_at(sequences: Sequences, last: np.ndarray, hours: np.ndarray, *, rolling_hours: Names[float]) -> np.ndarray:
    """Statistics of the measurements that became known in the last hours before each of several points in time.

    Parameters
    ----------
    sequences : Sequences
        Any stays.
    last : ndarray of int, shape (point, variable)
        Position of the latest measurement at the point; `len(sequences.value)` where there is none.
    hours : ndarray, shape (point,)
        Time of the point, in hours since the index time.
    rolling_hours : sequence of float
        Length of each window.

    Returns
    -------
    ndarray of float32, shape (point, variable x window x statistic)
        All windows of the first variable, then of the second, and so on; the statistics are those of `ROLLING`. Counts
        are log(1 + n), 0 where nothing was measured; the others are NaN there. The slope is the change from the first
        to the last measurement of the window, by hour; NaN for one measurement.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(20)), cg.Task.load("in_hospital_mortality"))
    >>> none = np.full((20, len(stays.variables)), len(stays.value))
    >>> rolling_at(stays, none, stays.end_hours, rolling_hours=(6.0,)).shape == (20, 5 * len(stays.variables))
    True
    """
    cells, order, first = cells_in_order(sequences)
    begin = np.repeat(first, np.diff(np.append(first, len(order))))
    value, known_at = sequences.value[order].astype(np.float64), sequences.hours[order]
    measured = known_at - sequences.availability_lag[order]
    sums = pd.Series(value - value[begin]).groupby(cells[order], sort=False).cumsum().to_numpy()
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    found = np.full((*last.shape, len(rolling_hours), len(ROLLING)), np.nan, dtype=np.float32)
    found[..., 0] = 0
    point, variable = np.nonzero(last < len(order))
    end = place[last[point, variable]]
    for number, window in enumerate(rolling_hours):
        limit = hours[point] - window + HOUR_TOLERANCE
        start = _first_after(known_at, limit, begin[end], end + 1)
        inside = start <= end
        low, high = start[inside], end[inside]
        columns = _statistics(value, measured, sums, begin, low, high)
        found[point[inside], variable[inside], number] = np.stack(columns, axis=1)
    return found.reshape(len(last), -1)


def rolling_shares(sequences: Sequences, rolling_hours: Names[float]) -> np.ndarray:
    """Divide what a window contributed equally among its measurements; explanations use it.

    Parameters
    ----------
    sequences : Sequences
        Any stays.
    rolling_hours : sequence of float
        Length of each window before the end of a stay.

    Returns
    -------
    ndarray, shape (measurement, window)
        0 outside the window; the others of a stay, variable and window sum to 1.
    """
    stay = sequences.stay_of_measurement
    cell = stay * len(sequences.variables) + sequences.variable
    limit = sequences.end_hours[stay, None] - np.array(rolling_hours, dtype=float) + HOUR_TOLERANCE
    inside = (sequences.hours[:, None] > limit).astype(float)
    counts = [np.bincount(cell, one)[cell] for one in inside.T]
    return inside / np.maximum(np.stack(counts, axis=1), 1) if counts else inside


def _statistics(
    value: np.ndarray, measured: np.ndarray, sums: np.ndarray, begin: np.ndarray, low: np.ndarray, high: np.ndarray
) -> list[np.ndarray]:
    """The statistics of the measurements from `low` to `high`, both inside, which are of one cell."""
    n = high - low + 1
    lowest, highest = _range_minimum(value, low, high), -_range_minimum(-value, low, high)
    before = np.where(low > begin[low], sums[low - 1], 0.0)
    mean = (value[begin[low]] + (sums[high] - before) / n).clip(lowest, highest)
    slope = (value[high] - value[low]) / (measured[high] - measured[low])
    return [np.log1p(n), mean, lowest, highest, np.where(np.isfinite(slope), slope, np.nan)]


def _first_after(known_at: np.ndarray, limit: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """The first position from `start` on that is later than the limit, or `stop`: a binary search for all at once."""
    low, high = start, stop
    for _ in range(int((stop - start).max(initial=0)).bit_length()):
        middle = (low + high) // 2
        is_open = low < high
        later = known_at[np.minimum(middle, len(known_at) - 1)] > limit
        low, high = np.where(is_open & ~later, middle + 1, low), np.where(is_open & later, middle, high)
    return low


def _range_minimum(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Lowest value from `low` to `high`: of two ranges of a power of two that together cover it (a sparse table)."""
    level = np.frexp(high - low + 1)[1] - 1
    minimum, lowest = value, np.empty(len(low))
    for number in range(int(level.max(initial=-1)) + 1):
        chosen, width = level == number, 2**number
        lowest[chosen] = np.minimum(minimum[low[chosen]], minimum[high[chosen] - width + 1])
        minimum = np.minimum(minimum[:-width], minimum[width:])
    return lowest
