"""Discrete time intervals of a survival task, for networks and tree baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.evaluate.logistic import clip_probability
from clinicalgru.model.features.pooled_values import pooled_values, rounded_outward
from clinicalgru.model.targets.warning_labels import refuse_unknown

N_INTERVALS = 20


@dataclass(frozen=True)
class SurvivalIntervals:
    """Intervals after the prediction, each with about the same number of training events.

    Parameters
    ----------
    cuts : tuple of float
        Hours after the prediction at which each interval ends.
    horizons : tuple of float
        Hours after the prediction at which a risk is reported.

    Examples
    --------
    >>> import numpy as np
    >>> intervals = SurvivalIntervals((24.0, 48.0), (48.0,))
    >>> intervals.survival_at(np.array([[0.5, 0.25]]), np.array([0.0, 24.0, 36.0])).round(3)
    array([[1.   , 0.5  , 0.354]])
    """

    cuts: tuple[float, ...]
    horizons: tuple[float, ...]

    @classmethod
    def from_stays(cls, stays: Sequences) -> Self:
        """Intervals at quantiles of the event times of these training stays.

        Parameters
        ----------
        stays : Sequences
            Training stays of a survival task.

        Returns
        -------
        SurvivalIntervals
            Up to 20 intervals; their ends are means of event times of 11 patients or more, and a simple number after
            the last event. The horizons are the task's, or the quartiles of the event times.

        Raises
        ------
        TrainingError
            If an outcome is unknown, or fewer than two stays have the event.
        """
        refuse_unknown(stays.outcome, "training stays")
        hours = stays.outcome[stays.outcome[:, 1] == 1, 0]
        if len(hours) < 2:
            fix = "Take more stays, or a longer horizon."
            raise TrainingError("two stays with the event or more among the training stays", f"{len(hours)}", fix)
        pooled = pooled_values(hours, stays.patient[stays.outcome[:, 1] == 1], n_groups=N_INTERVALS, equal=True)
        last = np.array([rounded_outward(0.0, hours.max())[1]])
        pooled = last if np.isnan(pooled).any() else pooled
        cuts = np.unique([*pooled[pooled < pooled.max()], *last])
        quartiles = tuple(np.unique(np.quantile(pooled, [0.25, 0.5, 0.75])).tolist())
        return cls(tuple(cuts.tolist()), stays.task.survival_horizons_hours or quartiles)

    def events_at_risk(self, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """In which interval each stay has its event, and in which it is at risk.

        Parameters
        ----------
        outcome : ndarray, shape (stay, 2)
            Hours of follow-up, and 1 if the event ended it.

        Returns
        -------
        event : ndarray of float32, shape (stay, interval)
            1 where the event falls into the interval.
        counted : ndarray of float32, shape (stay, interval)
            1 where the stay was followed to the end of the interval, or had its event there.
        """
        outcome = np.asarray(outcome, dtype=np.float32)
        cuts = np.asarray(self.cuts, dtype=np.float32)
        hours, occurred = outcome[:, :1], outcome[:, 1:]
        previous = np.concatenate([np.zeros(1, np.float32), cuts[:-1]])
        event = occurred * (hours > previous) * (hours <= cuts)
        return event, event + (hours >= cuts) * (1 - event)

    def check_outcomes(self, stays: Sequences, name: str) -> None:
        """Check that outcomes can be used.

        Parameters
        ----------
        stays : Sequences
            Stays of a survival task.
        name : str
            What to call them in the message.

        Raises
        ------
        TrainingError
            If an outcome is unknown or not after the prediction, or no stay has the event.
        """
        refuse_unknown(stays.outcome, name)
        hours, event = stays.outcome.T
        early = int((hours <= 0).sum())
        if early:
            fix = "Use select(events, task), which leaves stays with an earlier outcome out and counts them."
            raise TrainingError(f"hours above 0 in the {name}", f"{early} of 0 or less", fix)
        if not (event == 1).any():
            raise TrainingError(
                f"stays with the event among the {name}", "0 of them", "Split with another random_state."
            )

    def survival_at(self, survival: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """Survival at some hours, the same for all stays; the hazard is constant within an interval.

        Parameters
        ----------
        survival : ndarray, shape (stay, interval)
            Probability of no event by the end of each interval.
        hours : ndarray, shape (hour,)
            Hours after the prediction.

        Returns
        -------
        ndarray, shape (stay, hour)
            Probability of no event by each hour. Beyond the last interval it stays constant.
        """
        logs, above, fraction = self._between(survival, hours)
        return np.asarray(np.exp(logs[:, above - 1] + fraction * (logs[:, above] - logs[:, above - 1])))

    def survival_at_own_time(self, survival: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """Survival of each stay at its own hour.

        Parameters
        ----------
        survival : ndarray, shape (stay, interval)
            Probability of no event by the end of each interval.
        hours : ndarray, shape (stay,)
            Hours after the prediction.

        Returns
        -------
        ndarray, shape (stay,)
            Probability of no event by the hour.
        """
        logs, above, fraction = self._between(survival, hours)
        row = np.arange(len(logs))
        return np.asarray(np.exp(logs[row, above - 1] + fraction * (logs[row, above] - logs[row, above - 1])))

    def mean_log_likelihood(self, survival: np.ndarray, outcome: np.ndarray) -> float:
        """Mean log-likelihood of the stays that count in any interval.

        Parameters
        ----------
        survival : ndarray, shape (stay, interval)
            Probability of no event by the end of each interval.
        outcome : ndarray, shape (stay, 2)
            Hours of follow-up, and 1 if the event ended it.

        Returns
        -------
        float
            At most 0; higher is better.

        Examples
        --------
        >>> import numpy as np
        >>> intervals = SurvivalIntervals((24.0, 48.0), (48.0,))
        >>> round(intervals.mean_log_likelihood(np.array([[0.5, 0.25]]), np.array([[30.0, 1.0]])), 3)  # log(1 / 4)
        -1.386
        """
        event, counted = self.events_at_risk(outcome)
        before = np.concatenate([np.ones((len(survival), 1)), survival[:, :-1]], axis=1)
        hazard = clip_probability(1 - survival / np.maximum(before, 1e-300))
        likelihood = event * np.log(hazard) + (counted - event) * np.log1p(-hazard)
        return float(likelihood.sum() / max(1, counted.max(axis=1).sum()))

    def _between(self, survival: np.ndarray, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log survival from hour 0 on, the column at or above each hour, and the fraction of the way to it."""
        logs = np.log(np.maximum(np.concatenate([np.ones((len(survival), 1)), survival], axis=1), 1e-300))
        cuts = np.concatenate([[0.0], self.cuts])
        above = np.searchsorted(cuts, hours, side="left").clip(1, len(cuts) - 1)
        return logs, above, np.clip((hours - cuts[above - 1]) / (cuts[above] - cuts[above - 1]), 0, 1)
