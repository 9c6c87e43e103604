"""Values pooled over patients, so that nothing a model stores is the value of a single patient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE

TAIL = 0.001  # fraction of the values in each of the outermost groups, where that is 11 patients or more


def pooled_values(
    values: np.ndarray,
    patients: Any,
    *,
    n_groups: int = 64,
    equal: bool = False,
    min_patients: int = MIN_CELL_SIZE,
) -> np.ndarray:
    """Replace each value by the mean of its group of neighbours, which are of at least 11 patients (microaggregation).

    Parameters
    ----------
    values : ndarray, shape (value,)
        Numbers, NaN where unknown.
    patients : array-like, shape (value,)
        Patient of each value.
    n_groups : int
        Number of groups; fewer where there are not enough patients. Equal values are in one group.
    equal : bool
        Whether all groups are of about the same size; else those at both ends are smaller.
    min_patients : int
        Smallest number of patients of a group.

    Returns
    -------
    ndarray of float64, shape (value,)
        Within a group, each patient counts once. NaN for all where fewer patients have a value.

    References
    ----------
    Domingo-Ferrer and Mateo-Sanz 2002, "Practical data-oriented microaggregation for statistical disclosure control".

    Examples
    --------
    >>> import numpy as np
    >>> pooled_values(np.array([1.0, 2.0, 3.0, 10.0]), ["a", "b", "c", "d"], min_patients=2)
    array([1.5, 1.5, 6.5, 6.5])
    """
    values = np.asarray(values, dtype=np.float64)
    pooled, known = np.full(len(values), np.nan), np.flatnonzero(~np.isnan(values))
    if len(known) < min_patients:
        return pooled
    order = known[np.argsort(values[known], kind="stable")]
    patient, names = pd.factorize(np.asarray(patients)[order])
    ascending, n_patients = values[order], len(names)
    group = _merged(_groups(ascending, n_groups, equal), patient, n_patients, min_patients)
    if group is None:
        return pooled
    weight = np.ones(len(group))
    if n_patients < len(order):
        _, pair, repeats = np.unique(group * n_patients + patient, return_inverse=True, return_counts=True)
        weight = 1.0 / repeats[pair]  # of the values of one patient in a group together: 1
    low = np.minimum.reduceat(ascending, first := np.flatnonzero(np.diff(group, prepend=-1)))
    high = np.maximum.reduceat(ascending, first)
    with np.errstate(invalid="ignore"):  # of an infinite value: training names its variable
        mean = np.bincount(group, weight * ascending) / np.bincount(group, weight)
    pooled[order] = np.where(low == high, low, mean)[group]
    return pooled


def pooled_table(table: np.ndarray, patients: Any, *, n_groups: int = 256) -> np.ndarray:
    """Pool each column of a table of features; see `pooled_values`.

    Parameters
    ----------
    table : ndarray, shape (row, feature)
        Features, NaN where unknown.
    patients : array-like, shape (row,)
        Patient of each row.
    n_groups : int
        Number of groups of each column.

    Returns
    -------
    ndarray, shape (row, feature)
        A column that fewer than 11 patients have is unknown in all rows.

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.isnan(pooled_table(np.ones((5, 1)), np.arange(5))).all())
    True
    """
    number = pd.factorize(np.asarray(patients))[0]
    columns = [pooled_values(column, number, n_groups=n_groups) for column in table.T]
    return np.stack(columns, axis=1).astype(table.dtype) if columns else table


def rounded_outward(low: float, high: float) -> tuple[float, float]:
    """Round a range to simple numbers outside of it, so that its ends are no longer those of two patients.

    Parameters
    ----------
    low, high : float
        Lowest and highest value.

    Returns
    -------
    tuple of float
        Multiples of 1, 2 or 5 times a power of ten, of about a twentieth of the range, below `low` and above `high`.

    Examples
    --------
    >>> rounded_outward(0.3, 47.3)
    (0.0, 48.0)
    """
    rough = (high - low) / 20 or max(abs(high), 1.0) / 20
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(factor * power - rough))
    return (math.ceil(low / step) - 1) * step, (math.floor(high / step) + 1) * step


def _groups(ascending: np.ndarray, n_groups: int, equal: bool) -> np.ndarray:
    """The number of the group of each value; equal values are in one."""
    ranks = (np.arange(n_groups) + (0.0 if equal else 0.5)) / n_groups
    ranks = ranks if equal else np.concatenate([ranks, [TAIL, 1 - TAIL]])
    cuts = np.unique((ranks * len(ascending)).astype(np.int64).clip(0, len(ascending) - 1))
    starts = np.searchsorted(ascending, ascending[cuts], side="left")  # never between equal values
    is_start = np.zeros(len(ascending), dtype=np.int64)
    is_start[starts[starts > 0]] = 1
    return np.cumsum(is_start)


def _merged(group: np.ndarray, patient: np.ndarray, n_patients: int, min_patients: int) -> np.ndarray | None:
    """Groups of enough patients, from neighbours merged from the lowest up; None where all together are too few."""
    if len(patient) == n_patients:  # one value of each patient: no sets are needed to count patients
        return _merged_counts(group, min_patients)
    pairs = np.unique(group * n_patients + patient)
    starts = np.searchsorted(pairs, np.arange(group[-1] + 2) * n_patients)
    if np.diff(starts).min() >= min_patients:
        return group
    label, current, collected = np.zeros(group[-1] + 1, dtype=np.int64), 0, set[int]()
    for number, (first, end) in enumerate(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)):
        label[number] = current
        if end - first < min_patients:
            collected.update((pairs[first:end] % n_patients).tolist())
        if end - first >= min_patients or len(collected) >= min_patients:
            current, collected = current + 1, set[int]()
    if current == 0:
        return None
    return np.asarray(np.minimum(label, current - 1)[group])


def _merged_counts(group: np.ndarray, min_patients: int) -> np.ndarray | None:
    """`_merged` where each value is of another patient."""
    label, current, collected = list[int](), 0, 0
    for count in np.bincount(group).tolist():
        label.append(current)
        collected += count
        if collected >= min_patients:
            current, collected = current + 1, 0
    return np.minimum(label, current - 1)[group] if current else None
