"""Each measurement and what was known before it; and the baselines of a forecast: the last value, and boosted trees."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.baselines.step_trees import tables_by_step
from clinicalgru.model.features.summaries import cell_facts

STEPS = 100_000  # that trees learn from, at most: those of as many stays as have so many
MEASUREMENTS = 10_000  # of a variable, likewise
FEWEST = (
    100  # measurements of a variable that a forecast is learned from; of one with fewer, the last value is expected
)


def measured(stays: Sequences) -> pd.DataFrame:
    """One row for each measurement, as the stays hold them.

    stay (position), hours (when it became known), variable, value; last: the value of the variable last seen at an
    earlier step of the stay, NaN where there was none; later: whether there was an earlier step
    """
    cells, order, _ = cell_facts(stays)
    step = np.cumsum(stays.is_new_step) - 1
    places = np.arange(len(order))
    other_cell = np.diff(cells[order], prepend=-1) != 0
    other_step = other_cell | (np.diff(step[order], prepend=-1) != 0)
    together = np.maximum.accumulate(np.where(other_step, places, 0))  # the first of those that came at one step
    begin = np.maximum.accumulate(np.where(other_cell, places, 0))
    last = np.empty(len(order))
    last[order] = np.where(together > begin, stays.value[order][together - 1], np.nan)
    names = np.array([variable.name for variable in stays.variables], dtype=object)
    columns = {"hours": stays.hours, "variable": names[stays.variable], "value": stays.value.astype(np.float64)}
    first = (np.cumsum(stays.n_steps) - stays.n_steps)[stays.stay_of_measurement]
    return pd.DataFrame({"stay": stays.stay_of_measurement} | columns | {"last": last, "later": step > first})


class LOCFForecaster:
    """What was last measured, is measured again; where nothing was, the median. Intervals: changes of training stays;
    none where they show no change.

    coverage  of the intervals

    >>> LOCFForecaster(coverage=0.8).coverage
    0.8
    """

    def __init__(self, *, coverage: float = 0.9) -> None:
        self.coverage = coverage

    def fit(self, stays: Sequences) -> Self:
        """Learn the medians, and how far values change from one measurement to the next."""
        known, ends = measured(stays), [(1 - self.coverage) / 2, (1 + self.coverage) / 2]
        change = (known["value"] - known["last"]).groupby(known["variable"])
        self.median_ = known.groupby("variable")["value"].median()
        self.low_, self.high_ = (change.quantile(end) for end in ends)
        return self

    def expected(self, stays: Sequences) -> pd.DataFrame:
        """`measured`, with median, low and high of what was expected of each; NaN at the first step of a stay."""
        known = measured(stays)
        middle = _start(known, self.median_).where(known["later"])
        low, high = (middle + known["variable"].map(end).fillna(0.0) for end in (self.low_, self.high_))
        return known.assign(median=middle, low=low, high=high)


class BoostedTreesForecaster:
    """Boosted trees, a set for each variable, that say how far its next value lies from the last one.

    They see what the trees of an early warning see at each step; see `tables_by_step`. They aim at the median.

    >>> BoostedTreesForecaster(random_state=1).random_state
    1
    """

    def __init__(self, *, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, stays: Sequences) -> Self:
        """Learn from the stays; of many, from some by chance."""
        chance = np.random.default_rng(self.random_state)
        order = chance.permutation(len(stays))
        stays = stays[np.sort(order[: max(1, np.searchsorted(np.cumsum(stays.n_steps[order]), STEPS))])]
        table = np.concatenate(list(tables_by_step(stays)))
        known, before = measured(stays), _step_before(stays)
        self.median_ = known.groupby("variable")["value"].median()
        target = known["value"] - _start(known, self.median_)
        self.trees_: dict[str, tuple[np.ndarray, Any]] = {}
        places = np.flatnonzero(known["later"])
        for name, its in known[known["later"]].groupby("variable").indices.items():
            rows = places[np.sort(chance.permutation(its)[:MEASUREMENTS])]
            if len(rows) >= FEWEST:
                seen = table[before[rows]]
                columns = np.flatnonzero(~np.isnan(seen).all(axis=0))  # scikit-learn's trees fail on others
                self.trees_[str(name)] = columns, self._trees().fit(seen[:, columns], target.to_numpy()[rows])
        return self

    def expected(self, stays: Sequences) -> pd.DataFrame:
        """`measured`, with the median of what was expected of each; NaN at the first step of a stay."""
        known, before = measured(stays), _step_before(stays)
        middle = _start(known, self.median_).where(known["later"]).to_numpy(copy=True)
        places, of_variable, done = np.flatnonzero(known["later"]), known[known["later"]].groupby("variable").indices, 0
        for table in tables_by_step(stays):
            for name, (columns, trees) in self.trees_.items():
                rows = places[of_variable.get(name, np.zeros(0, dtype=int))]
                rows = rows[(before[rows] >= done) & (before[rows] < done + len(table))]
                if len(rows):
                    middle[rows] += trees.predict(table[before[rows] - done][:, columns])
            done += len(table)
        return known.assign(median=middle)

    def _trees(self) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(
            loss="absolute_error",
            learning_rate=0.1,
            max_iter=100,
            max_leaf_nodes=15,
            min_samples_leaf=50,
            max_features=0.1,
            early_stopping=False,
            random_state=self.random_state,
        )


def _start(known: pd.DataFrame, median: pd.Series) -> pd.Series:
    """The last value, or where nothing was measured the median."""
    return known["last"].fillna(known["variable"].map(median).astype(float))


def _step_before(stays: Sequences) -> np.ndarray:
    """(fact,) the step before that of each measurement, stay after stay; of another stay at a stay's first step."""
    return np.cumsum(stays.is_new_step) - 2
