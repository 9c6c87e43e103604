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
    return pooled_by_number(
        np.asarray(values, dtype=np.float64),
        pd.factorize(np.asarray(patients))[0],
        n_groups=n_groups,
        equal=equal,
        min_patients=min_patients,
    )


def pooled_by_number(
    values: np.ndarray,
    patient: np.ndarray,
    *,
    n_groups: int,
    equal: bool = False,
    min_patients: int = MIN_CELL_SIZE,
) -> np.ndarray:
    """Pool values of numbered patients, as `pooled_values` does; for many features of the same patients.

    Parameters
    ----------
    values : ndarray of float64, shape (value,)
        Values, NaN where unknown.
    patient : ndarray of int, shape (value,)
        Patient of each value, numbered from 0.
    n_groups, equal, min_patients
        See `pooled_values`.

    Returns
    -------
    ndarray of float64, shape (value,)
        See `pooled_values`.

    Examples
    --------
    >>> import numpy as np
    >>> pooled_by_number(np.array([1.0, 2.0, 3.0, 10.0]), np.arange(4), n_groups=64, min_patients=2)
    array([1.5, 1.5, 6.5, 6.5])
    """
    pooled, known = np.full(len(values), np.nan), np.flatnonzero(~np.isnan(values))
    if len(known) < min_patients:
        return pooled
    order = known[np.argsort(values[known], kind="stable")]
    patient, ascending = patient[order], values[order]
    rows_of_patient = np.bincount(patient)
    n_patients = len(rows_of_patient)
    groups = _groups(ascending, n_groups, equal)
    single = bool(rows_of_patient.max() == 1)  # no sets are needed to count patients
    merged = _merged_counts(groups, min_patients) if single else _merged(groups, patient, n_patients, min_patients)
    if merged is None:
        return pooled
    group, weight = merged, None if single else _weights(merged, patient, n_patients)
    low = ascending[first := np.flatnonzero(np.diff(group, prepend=-1))]
    high = ascending[np.append(first[1:], len(ascending)) - 1]
    with np.errstate(invalid="ignore"):  # of an infinite value: training names its variable
        total = np.bincount(group, ascending if weight is None else weight * ascending)
        mean = total / np.bincount(group, weight)
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
    columns = [pooled_by_number(column.astype(np.float64), number, n_groups=n_groups) for column in table.T]
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
    cuts = (ranks * len(ascending)).astype(np.int64).clip(0, len(ascending) - 1)
    is_start = np.zeros(len(ascending), dtype=np.int64)
    is_start[np.searchsorted(ascending, ascending[cuts], side="left")] = 1  # never between equal values
    is_start[0] = 0
    return np.cumsum(is_start)


def _weights(group: np.ndarray, patient: np.ndarray, n_patients: int) -> np.ndarray:
    """Weight of each value: those of one patient in a group together have 1."""
    _, pair, repeats = np.unique(group * n_patients + patient, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / repeats[pair])


def _merged(group: np.ndarray, patient: np.ndarray, n_patients: int, min_patients: int) -> np.ndarray | None:
    """Groups of enough patients, from neighbours merged from the lowest up; None where all together are too few."""
    pairs = np.unique(group * n_patients + patient)
    counts = np.bincount(pairs // n_patients)
    is_small = counts < min_patients
    if not is_small.any():
        return group
    few = (pairs[np.repeat(is_small, counts)] % n_patients).tolist()  # the patients of the small groups
    label, current, collected, first = list[int](), 0, set[int](), 0
    for count in counts.tolist():
        label.append(current)
        if count < min_patients:
            collected.update(few[first : first + count])
            first += count
        if count >= min_patients or len(collected) >= min_patients:
            current, collected = current + 1, set[int]()
    return np.asarray(np.minimum(label, current - 1)[group]) if current else None


def _merged_counts(group: np.ndarray, min_patients: int) -> np.ndarray | None:
    """`_merged` where each value is of another patient."""
    label, current, collected = list[int](), 0, 0
    for count in np.bincount(group).tolist():
        label.append(current)
        collected += count
        if collected >= min_patients:
            current, collected = current + 1, 0
    return np.minimum(label, current - 1)[group] if current else None
