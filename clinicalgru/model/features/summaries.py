"""Per-variable summaries of what was observed: the whole view of the baseline, and a part of the GRU's readout."""

from __future__ import annotations

from collections.abc import Sequence as Names

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.features.cells import cells_in_order
from clinicalgru.model.features.clinical_indices import SUMMARIES, with_indices
from clinicalgru.model.features.rolling import rolling_at


def summarise(sequences: Sequences, *, indices: Names = (), rolling_hours: Names[float] = ()) -> np.ndarray:
    """Summarise the measurements of each variable up to the prediction time, for each stay.

    Parameters
    ----------
    sequences : Sequences
        Any stays.
    indices : sequence of str
        Formulas of clinical indices.
    rolling_hours : sequence of float
        Lengths of windows before the prediction time, whose statistics are added, see `rolling_at`.

    Returns
    -------
    ndarray of float32, shape (stay, variable x summary + index + variable x window x statistic)
        All summaries of the first variable, then of the second, and so on; then the clinical indices, and the
        statistics of windows. Values are in the unit of the variable; NaN where not measured, except counts: 0.

    Notes
    -----
    Counts are log(1 + n); hours count back from the prediction time; `change` is the last value minus the first.

    References
    ----------
    Johnson et al., Comput Cardiol 2012;39:249-252, for summaries of the 2012 challenge.
    """
    blocks = sequences.chunks()
    return np.concatenate([summaries_at_end(one, indices=indices, rolling_hours=rolling_hours) for one in blocks])


@np.errstate(invalid="ignore")  # of an infinite value: training names its variable
def summaries_at_end(sequences: Sequences, *, indices: Names = (), rolling_hours: Names[float] = ()) -> np.ndarray:
    """Summarise the measurements of each variable as `summarise` does, all stays at once.

    Parameters
    ----------
    sequences : Sequences
        Stays that fit into memory.
    indices : sequence of str
        Formulas of clinical indices.
    rolling_hours : sequence of float
        Lengths of windows, see `summarise`.

    Returns
    -------
    ndarray of float32, shape (stay, feature)
        In the order of `summarise`.
    """
    variables, value = len(sequences.variables), sequences.value.astype(np.float64)
    summaries = np.full((len(sequences) * variables, len(SUMMARIES)), np.nan)
    summaries[:, 0] = 0
    latest = np.full(len(summaries), len(value))
    cells, order, first = cells_in_order(sequences)
    if len(first):
        last = np.append(first[1:], len(order)) - 1
        value, measured, begins = (
            value[order],
            (sequences.hours - sequences.availability_lag)[order],
            value[order][first],
        )
        n = last - first + 1
        off = value - np.repeat(begins, n)
        sums = (np.add.reduceat(off, first), np.add.reduceat(off * off, first))
        range_ = (np.minimum.reduceat(value, first), np.maximum.reduceat(value, first))
        hours = np.repeat(sequences.end_hours, variables)[cells[order][first]]
        columns = _columns(n, begins, value[last], sums=sums, range_=range_)
        columns += [hours - measured[first], hours - measured[last]]
        summaries[cells[order][first]] = np.stack(columns, axis=1)
        latest[cells[order][first]] = order[last]
    table = _with_indices(summaries.reshape(len(sequences), variables * len(SUMMARIES)), sequences, indices)
    at_end = latest.reshape(len(sequences), variables)
    return _with_rolling(table, sequences, at_end, sequences.end_hours, rolling_hours)


def summaries_at(
    sequences: Sequences,
    last: np.ndarray,
    hours: np.ndarray,
    *,
    indices: Names = (),
    rolling_hours: Names[float] = (),
) -> np.ndarray:
    """Summarise what was known at each of several points in time.

    Parameters
    ----------
    sequences : Sequences
        Any stays.
    last : ndarray of int, shape (point, variable)
        Position of the latest measurement at the point; `len(sequences.value)` where there is none.
    hours : ndarray, shape (point,)
        Time of the point, in hours since the index time.
    indices : sequence of str
        Formulas of clinical indices.
    rolling_hours : sequence of float
        Lengths of windows, see `summarise`.

    Returns
    -------
    ndarray of float32, shape (point, feature)
        In the order of `summarise`.
    """
    columns = [np.append(column, np.nan)[last] for column in _running(sequences)]
    columns[0] = np.nan_to_num(columns[0])
    columns[-2:] = [np.asarray(hours)[:, None] - measured for measured in columns[-2:]]
    summaries = np.stack(columns, axis=2, dtype=np.float32, casting="same_kind")
    table = _with_indices(summaries.reshape(len(last), summaries.shape[1] * summaries.shape[2]), sequences, indices)
    return _with_rolling(table, sequences, last, hours, rolling_hours)


def _with_indices(summaries: np.ndarray, sequences: Sequences, indices: Names) -> np.ndarray:
    return with_indices(
        summaries.astype(np.float32, copy=False), [variable.name for variable in sequences.variables], indices
    )


def _with_rolling(
    table: np.ndarray, sequences: Sequences, last: np.ndarray, hours: np.ndarray, rolling_hours: Names[float]
) -> np.ndarray:
    if not rolling_hours:
        return table
    return np.concatenate([table, rolling_at(sequences, last, hours, rolling_hours=rolling_hours)], axis=1)


@np.errstate(invalid="ignore")
def _running(sequences: Sequences) -> list[np.ndarray]:
    """Summaries of the variable up to each measurement; for hours since, the hours they are counted from."""
    value, measured = sequences.value.astype(np.float64), sequences.hours - sequences.availability_lag
    cells, order, begin = cells_in_order(sequences)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = np.repeat(order[begin], np.diff(np.append(begin, len(order))))
    off = value - value[first]
    by_cell = pd.DataFrame({"value": value, "off": off, "square": off * off}).groupby(pd.Series(cells), sort=False)
    sums = (by_cell["off"].cumsum().to_numpy(), by_cell["square"].cumsum().to_numpy())
    range_ = (by_cell["value"].cummin().to_numpy(), by_cell["value"].cummax().to_numpy())
    n = by_cell.cumcount().to_numpy() + 1
    return [*_columns(n, value[first], value, sums=sums, range_=range_), measured[first], measured]


def _columns(
    n: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    *,
    sums: tuple[np.ndarray, np.ndarray],
    range_: tuple[np.ndarray, np.ndarray],
) -> list[np.ndarray]:
    """The summaries but the hours, in their order.

    sums  of deviations from the first value, and of their squares: no digits are lost, whatever the size of the value
    """
    mean = sums[0] / n
    std = np.sqrt(np.maximum(sums[1] / n - mean * mean, 0))
    return [np.log1p(n), first + mean, std, *range_, first, last, last - first]


def summary_names(sequences: Sequences) -> list[str]:
    """Give the names of the summaries, such as "heart_rate mean".

    Parameters
    ----------
    sequences : Sequences
        Any stays.

    Returns
    -------
    list of str
        One name for each column of `summarise` without indices.
    """
    return [f"{variable.name} {summary}" for variable in sequences.variables for summary in SUMMARIES]


def shares(sequences: Sequences) -> list[tuple[np.ndarray, int]]:
    """Divide what each summary contributed among the measurements of its cell; explanations use it.

    Parameters
    ----------
    sequences : Sequences
        Any stays.

    Returns
    -------
    list of tuple of ndarray and int
        For each summary the weights of the measurements, of shape (measurement,), which sum to 1 in each cell, and the
        type of contribution: 0 value, 1 being measured, 2 timing.

    Notes
    -----
    A minimum belongs to the lowest value, a mean to all alike, a standard deviation to each by its squared deviation,
    a change half to the first and half to the last.
    """
    _, order, first = cells_in_order(sequences)
    n = np.diff(np.append(first, len(order)))
    last = first + n - 1
    value = sequences.value[order].astype(np.float64)
    even = np.repeat(1 / n, n)
    deviation = (value - np.repeat(np.add.reduceat(value, first) / n, n)) ** 2 if len(first) else value
    total = np.repeat(np.add.reduceat(deviation, first), n) if len(first) else value
    by_deviation = np.where(total > 0, deviation / np.where(total > 0, total, 1), even)
    at_first, at_last = _at(first, len(order)), _at(last, len(order))
    lowest, highest = _at(_argfirst(value, n, first), len(order)), _at(_argfirst(-value, n, first), len(order))
    ends = (at_first + at_last) / 2
    weights = [even, even, by_deviation, lowest, highest, at_first, at_last, ends, at_first, at_last]
    kinds = [1, 0, 0, 0, 0, 0, 0, 0, 2, 2]
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return [(weight[back], kind) for weight, kind in zip(weights, kinds, strict=True)]


def _at(position: np.ndarray, size: int) -> np.ndarray:
    weight = np.zeros(size)
    weight[position] = 1
    return weight


def _argfirst(value: np.ndarray, n: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Position of the first lowest value of each cell."""
    cell = np.repeat(np.arange(len(first)), n)
    by_value = np.lexsort((np.arange(len(value)), value, cell))
    return by_value[first]
