"""Baselines of a forecast: the last observation carried forward, and boosted trees."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clinicalgru.checks import check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.baselines.base import ANY_TASK, Arrays, BaselineEstimator, array_of, by_prefix, with_prefix
from clinicalgru.model.baselines.boosted_trees import BoostedTrees
from clinicalgru.model.features.cells import cells_in_order
from clinicalgru.model.features.pooled_values import pooled_table, pooled_values
from clinicalgru.model.features.step_features import step_features
from clinicalgru.model.fit_state import RandomState, check_outcome, check_stays

STEPS = 100_000  # most training steps; stays are drawn until they have so many
MEASUREMENTS = 10_000  # most training measurements of a variable
FEWEST = 100  # a variable measured again fewer times in training is not forecast; its last value is carried forward
TREES: Mapping[str, Any] = MappingProxyType(
    {
        "learning_rate": 0.1,
        "max_iter": 100,
        "max_leaf_nodes": 15,
        "min_samples_leaf": 50,
        "max_features": 0.1,
        "early_stopping": False,
    }
)


def measured(stays: Sequences) -> pd.DataFrame:
    """One row for each measurement, with the value before it.

    Parameters
    ----------
    stays : Sequences
        Any stays.

    Returns
    -------
    DataFrame
        In the order of the stays' own measurements: stay (position), hours (when it became known), variable, value;
        last (value of the variable at the latest earlier step with one, NaN where there is none), later (whether the
        stay has an earlier step).
    """
    cells, order, _ = cells_in_order(stays)
    step = np.cumsum(stays.is_new_step) - 1
    places = np.arange(len(order))
    new_cell = np.diff(cells[order], prepend=-1) != 0
    new_step = new_cell | (np.diff(step[order], prepend=-1) != 0)
    step_start = np.maximum.accumulate(np.where(new_step, places, 0))  # first measurement of the cell at the same step
    cell_start = np.maximum.accumulate(np.where(new_cell, places, 0))
    last = np.empty(len(order))
    last[order] = np.where(step_start > cell_start, stays.value[order][step_start - 1], np.nan)
    names = np.array([variable.name for variable in stays.variables], dtype=object)
    columns = {"hours": stays.hours, "variable": names[stays.variable], "value": stays.value.astype(np.float64)}
    first = (np.cumsum(stays.n_steps) - stays.n_steps)[stays.stay_of_measurement]
    return pd.DataFrame({"stay": stays.stay_of_measurement} | columns | {"last": last, "later": step > first})


class _ForecastBaseline(BaselineEstimator):
    """What both forecasters share: they take any task, and score by the absolute error."""

    TASK_TYPES = ANY_TASK
    evaluated_as = "forecast"
    median_: pd.Series

    def expected(self, X: Sequences) -> pd.DataFrame:
        """The forecast of each measurement; see the subclasses."""
        raise NotImplementedError

    def predict(self, X: Sequences) -> np.ndarray:
        """The forecast of each measurement from the step before it, of shape (measurement,); NaN at a first step."""
        return self.expected(X)["median"].to_numpy()

    def score(self, X: Sequences, y: ArrayLike | None = None) -> float:
        """Minus the mean absolute error, in units of each variable's median absolute value; 0 is perfect."""
        check_outcome(y, check_stays("X", X))
        forecast = self.expected(X).dropna(subset="median")
        scale = forecast["variable"].map(self.median_.abs()).replace(0.0, 1.0).fillna(1.0)
        return float(-((forecast["value"] - forecast["median"]).abs() / scale).mean())

    def _by_variable(self, numbers: pd.Series) -> np.ndarray:
        """(variable,) numbers in the order of `variables_`; NaN where there is none."""
        return np.asarray(numbers.reindex([variable.name for variable in self.variables_]), dtype=np.float64)

    def _restored(self, arrays: Arrays, name: str) -> pd.Series:
        return pd.Series(array_of(arrays, name), index=[variable.name for variable in self.variables_])


class LOCFForecaster(_ForecastBaseline):
    """Last observation carried forward; the training median where nothing was measured.

    Parameters
    ----------
    coverage : float, default=0.9
        Fraction of training changes that the interval around the last value holds.

    Attributes
    ----------
    median_, low_, high_ : Series
        Of each variable: the median value, and the ends of the interval of its changes.

    Examples
    --------
    >>> LOCFForecaster(coverage=0.8).coverage
    0.8
    """

    low_: pd.Series
    high_: pd.Series

    def __init__(self, *, coverage: float = 0.9) -> None:
        self.coverage = coverage

    def _learn(self, stays: Sequences) -> None:
        check_number("coverage", self.coverage, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
        known, ends = measured(stays), [(1 - self.coverage) / 2, (1 + self.coverage) / 2]
        change = _pooled(known["value"] - known["last"], known, stays).groupby(known["variable"])
        self.median_ = _pooled(known["value"], known, stays).groupby(known["variable"]).median()
        self.low_, self.high_ = (change.quantile(end) for end in ends)

    def expected(self, X: Sequences) -> pd.DataFrame:
        """The forecast of each measurement from the step before it.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        DataFrame
            As of `measured`, with median, low and high; NaN at the first step of a stay.
        """
        known = measured(self._checked(X))
        middle = _start(known, self.median_).where(known["later"])
        low, high = (middle + known["variable"].map(end).fillna(0.0) for end in (self.low_, self.high_))
        return known.assign(median=middle, low=low, high=high)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Medians and intervals in the order of `variables_`."""
        return {name: self._by_variable(getattr(self, f"{name}_")) for name in ("median", "low", "high")}

    def restore_arrays(self, arrays: Arrays) -> None:
        """Take over what `to_arrays` gave."""
        self.median_, self.low_, self.high_ = (self._restored(arrays, name) for name in ("median", "low", "high"))


class BoostedTreesForecaster(_ForecastBaseline):
    """Boosted trees for each variable, which predict the median change from its last value.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None, default=0
        Seed of the sampling of stays and measurements, and of the trees.

    Attributes
    ----------
    median_ : Series
        Median value of each variable.
    trees_ : dict of str to BoostedTrees
        Trees by name of the variable; none for variables with too few measurements.

    Examples
    --------
    >>> BoostedTreesForecaster(random_state=1).random_state
    1
    """

    trees_: dict[str, BoostedTrees]

    def __init__(self, *, random_state: RandomState = 0) -> None:
        self.random_state = random_state

    def _learn(self, stays: Sequences) -> None:
        rng = np.random.default_rng(self.random_state)
        order = rng.permutation(len(stays))
        stays = stays[np.sort(order[: max(1, np.searchsorted(np.cumsum(stays.n_steps[order]), STEPS))])]
        patient_of_step = np.repeat(stays.patient, stays.n_steps)
        table = pooled_table(np.concatenate(list(step_features(stays))), patient_of_step)
        known, before = measured(stays), _step_before(stays)
        self.median_ = _pooled(known["value"], known, stays).groupby(known["variable"]).median()
        self.trees_, target = {}, _pooled(known["value"] - _start(known, self.median_), known, stays).to_numpy()
        later = np.flatnonzero(known["later"])
        for name, positions in known[known["later"]].groupby("variable").indices.items():
            rows = later[np.sort(rng.permutation(positions)[:MEASUREMENTS])]
            rows = rows[~np.isnan(target[rows])]
            if len(rows) >= FEWEST:
                self.trees_[str(name)] = BoostedTrees.fit(self._trees(), table[before[rows]], target[rows])

    def expected(self, X: Sequences) -> pd.DataFrame:
        """The forecast of each measurement from the step before it.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        DataFrame
            As of `measured`, with the median; NaN at the first step of a stay.
        """
        stays = self._checked(X)
        known, before, done = measured(stays), _step_before(stays), 0
        middle = _start(known, self.median_).where(known["later"]).to_numpy(copy=True)
        later, of_variable = np.flatnonzero(known["later"]), known[known["later"]].groupby("variable").indices
        for table in step_features(stays):
            for name, trees in self.trees_.items():
                rows = later[of_variable.get(name, np.zeros(0, dtype=int))]
                rows = rows[(before[rows] >= done) & (before[rows] < done + len(table))]
                if len(rows):
                    middle[rows] += trees.predict(table[before[rows] - done])
            done += len(table)
        return known.assign(median=middle)

    def _trees(self) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(loss="absolute_error", random_state=self.random_state, **TREES)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Medians, and the arrays of the trees by position of the variable."""
        arrays = {"median": self._by_variable(self.median_)}
        for number, variable in enumerate(self.variables_):
            if variable.name in self.trees_:
                arrays |= with_prefix(f"variable_{number}", self.trees_[variable.name].to_arrays())
        return arrays

    def restore_arrays(self, arrays: Arrays) -> None:
        """Take over what `to_arrays` gave."""
        self.median_ = self._restored(arrays, "median")
        parts = {v.name: by_prefix(f"variable_{number}", arrays) for number, v in enumerate(self.variables_)}
        self.trees_ = {name: BoostedTrees.from_arrays(part) for name, part in parts.items() if part}


def _pooled(values: pd.Series, known: pd.DataFrame, stays: Sequences) -> pd.Series:
    """Numbers of measurements, each pooled with its neighbours of the same variable."""
    patient, pooled = stays.patient[known["stay"]], np.full(len(known), np.nan)
    for rows in known.groupby("variable").indices.values():
        pooled[rows] = pooled_values(values.to_numpy()[rows], patient[rows], n_groups=256)
    return pd.Series(pooled, index=known.index)


def _start(known: pd.DataFrame, median: pd.Series) -> pd.Series:
    """The last value, or where nothing was measured the median."""
    return known["last"].fillna(known["variable"].map(median).astype(float))


def _step_before(stays: Sequences) -> np.ndarray:
    """(measurement,) the step before that of each measurement; at a stay's first step it belongs to another stay."""
    return np.cumsum(stays.is_new_step) - 2
