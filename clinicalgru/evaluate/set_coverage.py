"""Coverage of prediction sets on stays with known outcomes, in all, by outcome and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clinicalgru.class_names import JOINED, class_text
from clinicalgru.disclosure import MIN_CELL_SIZE, is_small
from clinicalgru.evaluate.bootstrap import MIN_EVENTS, numbered_patients
from clinicalgru.evaluate.conformal import ABSENT, EVERYONE, OCCURRED
from clinicalgru.evaluate.patient_intervals import wilson_interval
from clinicalgru.evaluate.validation import Array

COLUMNS = ["group", "stays", "coverage", "low", "high", "undecided"]
EITHER = "either"


def set_coverage(
    outcome: Any,
    sets: NDArray[Any],
    groups: Mapping[str, Any],
    *,
    patients: Any = None,
    min_cell_size: int = MIN_CELL_SIZE,
) -> pd.DataFrame:
    """Count how many stays have their outcome in their set.

    Parameters
    ----------
    outcome : array-like, shape (n_stays,)
        0 or 1.
    sets : ndarray of str, shape (n_stays,)
        As of `ConformalSets.predict`; "" where there is none.
    groups : mapping of str to array-like of shape (n_stays,)
        Labels of the stays by what divides them.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.
    min_cell_size : int
        Where fewer stays of any group are, or are not, covered or undecided, no group of that division is shown; 0
        shows all.

    Returns
    -------
    DataFrame
        group, stays, coverage with its 95 % interval, undecided: the fraction whose set holds both outcomes. All stays
        first, then those with and without the event. NA is suppressed, or of fewer than 20 patients.

    Notes
    -----
    The interval is that of `wilson_interval`, by patient.

    References
    ----------
    Wilson 1927. Dean and Pagano 2015, J Surv Stat Methodol 3:484-503, intervals of proportions from clusters.

    Examples
    --------
    >>> import numpy as np
    >>> sets = np.array(["no event", "either", "event", "no event"], dtype=object)
    >>> set_coverage([0, 1, 1, 1], sets, {}, min_cell_size=0)["stays"].tolist()
    [4, 3, 1]
    """
    true, has_set = np.asarray(outcome, dtype=float) == 1, sets != ""
    covered = (sets == EITHER) | np.where(true, sets == OCCURRED, sets == ABSENT)
    named = [(f"{name}: ", labels) for name, labels in groups.items()]
    divisions = [("", np.full(len(true), EVERYONE)), ("", np.where(true, OCCURRED, ABSENT)), *named]
    return _counted(covered, sets == EITHER, has_set, divisions, patients, min_cell_size)


def class_set_coverage(
    outcome: Any,
    sets: NDArray[Any],
    *,
    classes: Sequence[str],
    patients: Any = None,
    min_cell_size: int = MIN_CELL_SIZE,
) -> pd.DataFrame:
    """Count how many stays of several classes have their class in their set, in all and by class.

    Parameters
    ----------
    outcome : array-like of int, shape (n_stays,)
        Position of the true class.
    sets : ndarray of str, shape (n_stays,)
        As of `ClassConformalSets.predict`; "" where there is none.
    classes : sequence of str
        Names of the classes.
    patients, min_cell_size : optional
        As for `set_coverage`.

    Returns
    -------
    DataFrame
        As of `set_coverage`; undecided is the fraction whose set holds several classes.

    Examples
    --------
    >>> import numpy as np
    >>> sets = np.array(["0", "0 or 2", "1"], dtype=object)
    >>> class_set_coverage([0, 2, 0], sets, classes=("0", "1", "2"), min_cell_size=0)["group"].tolist()
    ['all', 'class 0', 'class 2']
    """
    true, has_set = np.asarray(outcome, dtype=int), sets != ""
    code, texts = pd.factorize(sets)
    held = [text.split(JOINED) for text in texts]  # of the few distinct sets
    covered = np.array([[name in one for name in classes] for one in held], dtype=bool)[code, true]
    undecided = np.array([len(one) > 1 for one in held], dtype=bool)[code]
    names = np.array([class_text(name) for name in classes], dtype=object)[true]
    divisions = [("", np.full(len(names), EVERYONE)), ("", names)]
    return _counted(covered, undecided, has_set, divisions, patients, min_cell_size)


def label_set_coverage(
    outcome: Any,
    sets: NDArray[Any],
    *,
    names: Sequence[str],
    patients: Any = None,
    min_cell_size: int = MIN_CELL_SIZE,
) -> pd.DataFrame:
    """Count for each label how many stays have it, or its absence, in their set.

    Parameters
    ----------
    outcome : array-like, shape (n_stays, n_labels)
        0, 1, or NaN where it is not known: such stays do not count.
    sets : ndarray of str, shape (n_stays, n_labels)
        As of `LabelConformalSets.predict`; "" where there is none.
    names : sequence of str
        Names of the labels.
    patients, min_cell_size : optional
        As for `set_coverage`.

    Returns
    -------
    DataFrame
        As of `set_coverage`, for each label that has sets, with its name before the group.

    Examples
    --------
    >>> import numpy as np
    >>> sets = np.array([["event", ""], ["no event", ""]], dtype=object)
    >>> label_set_coverage([[1, 0], [1, 1]], sets, names=("a", "b"), min_cell_size=0)["group"].tolist()
    ['a: all', 'a: event']
    """
    true, tables = np.asarray(outcome, dtype=float), []
    patient = numbered_patients(patients, len(true))
    for position, name in enumerate(names):
        used = ~np.isnan(true[:, position]) & (sets[:, position] != "")
        if used.any():
            options: dict[str, Any] = {"patients": patient[used], "min_cell_size": min_cell_size}
            table = set_coverage(true[used, position], sets[used, position], {}, **options)
            tables.append(table.assign(group=f"{name}: " + table["group"]))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _counted(
    covered: NDArray[np.bool_],
    undecided: NDArray[np.bool_],
    has_set: NDArray[np.bool_],
    divisions: Sequence[tuple[str, Any]],
    patients: Any,
    min_cell_size: int,
) -> pd.DataFrame:
    """The groups of each division, with a text before their labels; no numbers of a division with a small group."""
    facts = pd.DataFrame({"patient": numbered_patients(patients, len(covered)), "stays": 1, "covered": covered})
    facts = facts.assign(covered=covered.astype(int), undecided=undecided.astype(int))[has_set]
    tables = []
    for prefix, labels in divisions:
        label = pd.Series(np.asarray(labels, dtype=object)).map(str, na_action="ignore")[has_set]
        counts = facts.drop(columns="patient").groupby(label).sum()
        small = [counts["stays"], counts["stays"] - counts["covered"], counts["undecided"]]
        hidden = any(is_small(float(count), min_cell_size) for column in small for count in column)
        of_group = {str(group): part.groupby("patient").sum() for group, part in facts.groupby(label)}
        tables.append(_rows(counts, of_group, prefix, hidden=hidden))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _rows(counts: pd.DataFrame, of_group: dict[str, pd.DataFrame], prefix: str, *, hidden: bool) -> pd.DataFrame:
    """One row for each group of a division; no numbers where they are hidden, or of too few patients."""
    rows: list[tuple[Any, ...]] = []
    for group, row in counts.iterrows():
        stays, covered, undecided = (int(row[name]) for name in ("stays", "covered", "undecided"))
        own, name = of_group[str(group)], f"{prefix}{group}"
        if hidden:
            rows.append((name, pd.NA, np.nan, np.nan, np.nan, np.nan))
        elif len(own) < MIN_EVENTS:
            rows.append((name, stays, np.nan, np.nan, np.nan, np.nan))
        else:
            low, high = _interval(own["covered"].to_numpy(float), own["stays"].to_numpy(float))
            rows.append((name, stays, covered / stays, low, high, undecided / stays))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"stays": "Int64"})


def _interval(covered: Array, stays: Array) -> tuple[float, float]:
    """Interval of the coverage, from the covered stays and all stays of each patient."""
    rate = covered.sum() / stays.sum()
    products = [[[np.sum((covered - rate * stays) ** 2)]], [[np.sum(stays**2)]]]
    low, high = wilson_interval(np.array([rate]), stays.sum(keepdims=True), np.array(products))
    return float(low[0]), float(high[0])
