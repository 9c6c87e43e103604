"""Coverage of prediction sets on stays with known outcomes, in all, by outcome and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clinicalgru.class_names import JOINED, class_text
from clinicalgru.disclosure import MIN_CELL_SIZE, is_small
from clinicalgru.evaluate.bootstrap import MIN_EVENTS
from clinicalgru.evaluate.conformal import ABSENT, EVERYONE, OCCURRED

COLUMNS = ["group", "stays", "coverage", "low", "high", "undecided"]
EITHER = "either"


def set_coverage(
    outcome: Any, sets: NDArray[Any], groups: Mapping[str, Any], *, min_cell_size: int = MIN_CELL_SIZE
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
    min_cell_size : int
        Where fewer stays of any group are, or are not, covered or undecided, no group of that division is shown; 0
        shows all.

    Returns
    -------
    DataFrame
        group, stays, coverage with its 95 % interval (Wilson), undecided: the fraction whose set holds both outcomes.
        All stays first, then those with and without the event. NA is suppressed, or of fewer than 20 stays.

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
    return _counted(covered, sets == EITHER, has_set, divisions, min_cell_size)


def class_set_coverage(
    outcome: Any, sets: NDArray[Any], *, classes: Sequence[str], min_cell_size: int = MIN_CELL_SIZE
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
    min_cell_size : int
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
    return _counted(covered, undecided, has_set, divisions, min_cell_size)


def label_set_coverage(
    outcome: Any, sets: NDArray[Any], *, names: Sequence[str], min_cell_size: int = MIN_CELL_SIZE
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
    min_cell_size : int
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
    for position, name in enumerate(names):
        used = ~np.isnan(true[:, position]) & (sets[:, position] != "")
        if used.any():
            table = set_coverage(true[used, position], sets[used, position], {}, min_cell_size=min_cell_size)
            tables.append(table.assign(group=f"{name}: " + table["group"]))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _counted(
    covered: NDArray[np.bool_],
    undecided: NDArray[np.bool_],
    has_set: NDArray[np.bool_],
    divisions: Sequence[tuple[str, Any]],
    min_cell_size: int,
) -> pd.DataFrame:
    """The groups of each division, with a text before their labels; no numbers of a division with a small group."""
    tables = []
    for prefix, labels in divisions:
        label = pd.Series(np.asarray(labels, dtype=object)).map(str, na_action="ignore")[has_set]
        counts = pd.DataFrame({"stays": 1, "covered": covered[has_set], "undecided": undecided[has_set]})
        counts = counts.astype(int).groupby(label.to_numpy()).sum()
        small = [counts["stays"], counts["stays"] - counts["covered"], counts["undecided"]]
        hidden = any(is_small(float(count), min_cell_size) for column in small for count in column)
        counts.index = [f"{prefix}{label}" for label in counts.index]
        tables.append(_rows(counts, hidden=hidden))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _rows(counts: pd.DataFrame, *, hidden: bool) -> pd.DataFrame:
    """One row for each group of a division; no numbers where they are hidden, or the group is small."""
    from scipy.stats import binomtest

    rows: list[tuple[Any, ...]] = []
    for group, row in counts.iterrows():
        stays, covered, undecided = (int(row[name]) for name in ("stays", "covered", "undecided"))
        if hidden:
            rows.append((group, pd.NA, np.nan, np.nan, np.nan, np.nan))
        elif stays < MIN_EVENTS:
            rows.append((group, stays, np.nan, np.nan, np.nan, np.nan))
        else:
            interval = binomtest(covered, stays).proportion_ci(method="wilson")
            rows.append((group, stays, covered / stays, interval.low, interval.high, undecided / stays))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"stays": "Int64"})
