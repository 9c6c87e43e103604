"""Per-variable summaries of what was observed: the whole view of the rival, and a part of the GRU's readout."""

from __future__ import annotations

import numpy as np

from clinicalgru.data.sequences import Sequences

SUMMARIES = ("count", "mean", "spread", "min", "max", "first", "last", "trend", "hours_since_first", "hours_since_last")


def summarise(sequences: Sequences) -> np.ndarray:
    """(stay, variable x summary) float32; NaN = not measured, except counts, which are 0.

    Counts are log(1 + n); hours count back from the prediction time; trend is last minus first; values are in the
    variable's own unit. Order: all summaries of the first variable, then of the second, ...

    Source: Johnson et al., Comput Cardiol 2012;39:249-252, for summaries of the 2012 challenge.
    """
    return np.concatenate([_summarise(block) for block in sequences.blocks()])


def _summarise(sequences: Sequences) -> np.ndarray:
    cells, order, first = cell_facts(sequences)
    table = np.full((len(sequences) * len(sequences.variables), len(SUMMARIES)), np.nan, dtype=np.float32)
    table[:, 0] = 0
    if len(first):
        table[cells[order[first]]] = _columns(sequences, order, first)
    return table.reshape(len(sequences), -1)


def summary_names(sequences: Sequences) -> list[str]:
    """The column names of `summarise`: "heart_rate mean", ..."""
    return [f"{variable.name} {summary}" for variable in sequences.variables for summary in SUMMARIES]


def cell_facts(sequences: Sequences) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which (stay, variable) cell each fact belongs to, the facts in order of cells, and where each cell begins."""
    cells = sequences.stay_of_fact * len(sequences.variables) + sequences.variable
    order = np.argsort(cells, kind="stable")
    ordered = cells[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    return cells, order, first


def _columns(sequences: Sequences, order: np.ndarray, first: np.ndarray) -> np.ndarray:
    value = sequences.value[order].astype(np.float64)
    measured = (sequences.hours - sequences.delay)[order]
    n = np.diff(np.append(first, len(order)))
    last = first + n - 1
    mean = np.add.reduceat(value, first) / n
    deviation = value - np.repeat(mean, n)
    spread = np.sqrt(np.add.reduceat(deviation * deviation, first) / n)
    low, high = np.minimum.reduceat(value, first), np.maximum.reduceat(value, first)
    ago = sequences.end_hours[sequences.stay_of_fact[order]] - measured
    return np.stack(
        [
            np.log1p(n),
            mean,
            spread,
            low,
            high,
            value[first],
            value[last],
            value[last] - value[first],
            ago[first],
            ago[last],
        ],
        axis=1,
    )


def shares(sequences: Sequences) -> list[tuple[np.ndarray, int]]:
    """For each summary, how facts share what it contributed: (fact,) weights that sum to 1 in each cell, and a kind.

    A minimum belongs to the lowest value, a mean to all alike, a spread to each by its squared deviation, a trend half
    to the first and half to the last. Used by explanations. Kinds: 0 value, 1 being measured, 2 timing.
    """
    _, order, first = cell_facts(sequences)
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


def _at(position: np.ndarray, facts: int) -> np.ndarray:
    weight = np.zeros(facts)
    weight[position] = 1
    return weight


def _argfirst(value: np.ndarray, n: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Position of the first lowest value of each cell."""
    cell = np.repeat(np.arange(len(first)), n)
    by_value = np.lexsort((np.arange(len(value)), value, cell))
    return by_value[first]
