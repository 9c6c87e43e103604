"""Baseline for survival: boosted trees for the hazard of each interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.baselines.base import (
    Arrays,
    BaselineEstimator,
    array_of,
    by_prefix,
    mean_log_likelihood,
    with_prefix,
)
from clinicalgru.model.baselines.boosted_trees import BoostedTrees
from clinicalgru.model.baselines.summary_baseline import boosted_trees, features, pooled_features
from clinicalgru.model.fit_state import RandomState, check_outcome, check_stays
from clinicalgru.model.targets.survival_intervals import SurvivalIntervals


class DiscreteHazardTrees(BaselineEstimator):
    """Boosted trees for a survival task: the hazard of each interval, with the interval as a feature.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None, default=0
        Seed of the trees.

    References
    ----------
    Tutz and Schmid 2016, Modeling Discrete Time-to-Event Data.

    Examples
    --------
    >>> DiscreteHazardTrees(random_state=1).random_state
    1
    """

    TASK_TYPES = ("survival",)
    intervals_: SurvivalIntervals
    trees_: BoostedTrees

    def __init__(self, *, random_state: RandomState = 0) -> None:
        self.random_state = random_state

    def _learn(self, stays: Sequences) -> None:
        self.intervals_ = SurvivalIntervals.from_stays(stays)
        self.intervals_.check_outcomes(stays, "training stays")
        events, at_risk = self.intervals_.events_at_risk(stays.outcome)
        stay, interval = np.nonzero(at_risk)
        rows = np.column_stack([pooled_features(stays)[stay], interval])
        self.trees_ = BoostedTrees.fit(boosted_trees(self.random_state), rows, events[stay, interval].astype(int))

    def _calibration_pairs(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        hours, event = stays.outcome.T
        last = self.intervals_.cuts[-1]  # nothing is predicted beyond it
        survival = self.predict_survival(stays, self.intervals_.cuts)
        return event * (hours <= last), self.intervals_.survival_at_own_time(survival, np.minimum(hours, last))

    def predict_survival(self, X: Sequences, hours: ArrayLike) -> np.ndarray:
        """Probability of no event by some hours after the prediction.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.
        hours : array-like, shape (hour,)
            Hours after the prediction.

        Returns
        -------
        ndarray, shape (stay, hour)
            Survival; constant beyond the last event of the training stays.
        """
        table, count = features(self._checked(X)), len(self.intervals_.cuts)
        rows = np.column_stack([np.repeat(table, count, axis=0), np.tile(np.arange(count), len(table))])
        hazard = self.trees_.predict_proba(rows)[:, 1].reshape(-1, count)
        survival = self.intervals_.survival_at(np.cumprod(1 - hazard, axis=1), np.asarray(hours, dtype=float))
        return self._calibrated(survival)

    def predict_risk(self, X: Sequences) -> np.ndarray:
        """Probability of the event within each horizon of the task.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        ndarray, shape (stay, horizon)
            Probabilities, in the order of the horizons.
        """
        return 1 - self.predict_survival(X, self.intervals_.horizons)

    def predict(self, X: Sequences) -> np.ndarray:
        """A number that is higher where the event is expected earlier.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        ndarray, shape (stay,)
            Minus the mean number of hours without the event, up to the last training event.
        """
        cuts = np.concatenate([[0.0], self.intervals_.cuts])
        survival = self.predict_survival(X, cuts)
        return np.asarray(-((survival[:, 1:] + survival[:, :-1]) / 2 * np.diff(cuts)).sum(axis=1))

    def score(self, X: Sequences, y: ArrayLike | None = None) -> float:
        """Mean log-likelihood of the intervals in which stays are at risk; higher is better.

        Parameters
        ----------
        X : Sequences
            Stays with outcomes.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.

        Returns
        -------
        float
            At most 0, which is perfect.
        """
        check_outcome(y, check_stays("X", X))
        events, at_risk = self.intervals_.events_at_risk(X.outcome)
        survival = self.predict_survival(X, self.intervals_.cuts)
        previous = np.column_stack([np.ones(len(X)), survival[:, :-1]])
        hazard = 1 - survival / np.maximum(previous, 1e-300)
        return mean_log_likelihood(np.where(at_risk == 1, events, np.nan), hazard)

    @property
    def score_columns_(self) -> list[str]:
        """A column for each horizon."""
        return [f"risk_{hours:g}h" for hours in self.intervals_.horizons]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Risks of each stay; see `predict_risk`."""
        return self.predict_risk(stays)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Cuts, horizons and the arrays of the trees."""
        learned = {"cuts": np.array(self.intervals_.cuts), "horizons": np.array(self.intervals_.horizons)}
        return learned | with_prefix("trees", self.trees_.to_arrays())

    def restore_arrays(self, arrays: Arrays) -> None:
        """Take over what `to_arrays` gave."""
        cuts, horizons = (tuple(array_of(arrays, name).tolist()) for name in ("cuts", "horizons"))
        self.intervals_ = SurvivalIntervals(cuts, horizons)
        self.trees_ = BoostedTrees.from_arrays(by_prefix("trees", arrays))
