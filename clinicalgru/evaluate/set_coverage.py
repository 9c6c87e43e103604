"""Coverage of prediction sets on stays with known outcomes, in all, by outcome and by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
    divisions = {"": np.full(len(true), EVERYONE), "outcome": np.where(true, OCCURRED, ABSENT), **groups}
    tables = []
    for name, labels in divisions.items():
        label = pd.Series(np.asarray(labels, dtype=object)).map(str, na_action="ignore")[has_set]
        counts = pd.DataFrame({"stays": 1, "covered": covered[has_set], "undecided": (sets == EITHER)[has_set]})
        counts = counts.astype(int).groupby(label.to_numpy()).sum()
        small = [counts["stays"], counts["stays"] - counts["covered"], counts["undecided"]]
        hidden = any(is_small(float(count), min_cell_size) for column in small for count in column)
        counts.index = [label if name in ("", "outcome") else f"{name}: {label}" for label in counts.index]
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
