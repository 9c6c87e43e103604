"""Labels and weights of the time steps of an early-warning task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.evaluate.logistic import logit
from clinicalgru.evaluate.physionet2019 import hourly_utility


@dataclass(frozen=True)
class WarningLabels:
    """The label of each time step: whether the onset lies within the horizon.

    Parameters
    ----------
    gap_hours : float
        A step this close before the onset, or closer, does not count.
    horizon_hours : float
        A step is positive if the onset is at most this many hours after the gap.
    max_late_hours : float
        Steps up to this many hours after the onset still count, as positive. Later steps do not count.
    mean_utility : float
        Mean absolute utility of a warning at the training steps. Each step is weighted by its utility divided by this
        mean. 0 means that all steps have weight 1.
    log_odds_offset : float
        Log-odds by which that weighting shifts the fraction of positive steps.
    smoothing_rate : float
        Rate per hour of `smoothed_at`. 0: labels are 0 or 1.

    Examples
    --------
    >>> import numpy as np
    >>> WarningLabels(0.0, 6.0, 0.0).labels_at(np.array([8.0, 6.0, 1.0, 0.0, np.inf]))
    array([ 0.,  1.,  1., nan,  0.])
    """

    gap_hours: float
    horizon_hours: float
    max_late_hours: float
    mean_utility: float = 0.0
    log_odds_offset: float = 0.0
    smoothing_rate: float = 0.0

    @classmethod
    def from_stays(cls, stays: Sequences) -> Self:
        """Labels for the task of these training stays, with weights if the task names a utility function.

        Parameters
        ----------
        stays : Sequences
            Training stays of an early-warning task.

        Returns
        -------
        WarningLabels
            The labels; `mean_utility` and `log_odds_offset` come from the training steps.
        """
        task = stays.task
        unweighted = cls(task.gap_hours, float(task.horizon_hours or 0.0), task.max_late_hours)
        if not task.utility_function:
            return unweighted
        label, hours = unweighted.step_labels(stays), hours_to_onset(stays)
        counted = ~np.isnan(label)
        utility = _absolute_utility(hours[counted])
        positive = float(label[counted] @ utility / utility.sum())
        weighted, plain = logit(np.array([positive, label[counted].mean()]))
        return replace(unweighted, mean_utility=float(utility.mean()), log_odds_offset=float(weighted - plain))

    def step_labels(self, stays: Sequences) -> np.ndarray:
        """The label of each time step.

        Parameters
        ----------
        stays : Sequences
            Stays of an early-warning task.

        Returns
        -------
        ndarray, shape (step,)
            1, 0, or NaN where the step does not count; stay after stay.
        """
        return self.labels_at(hours_to_onset(stays))

    def stay_weights(self, stays: Sequences) -> np.ndarray:
        """Weights of time steps that count stays: those of a stay sum to 1, or to -1 where no warning is ever due.

        Parameters
        ----------
        stays : Sequences
            Stays of an early-warning task.

        Returns
        -------
        ndarray, shape (step,)
            Above 0 at steps at which a warning is due; 0 at others of such a stay, and at steps that do not count.
        """
        label, stay = self.step_labels(stays), np.repeat(np.arange(len(stays)), stays.n_steps)
        due = np.bincount(stay, weights=label == 1, minlength=len(stays))[stay]
        counted = np.bincount(stay, weights=~np.isnan(label), minlength=len(stays))[stay]
        return np.where(due > 0, (label == 1) / np.maximum(due, 1), (label == 0) / -np.maximum(counted, 1.0))

    def step_weights(self, stays: Sequences) -> np.ndarray:
        """The signed training weight of each time step.

        Parameters
        ----------
        stays : Sequences
            Stays of an early-warning task.

        Returns
        -------
        ndarray, shape (step,)
            As of `signed_weights_at`; stay after stay.
        """
        return self.signed_weights_at(hours_to_onset(stays))

    def labels_at(self, hours_to_onset: np.ndarray) -> np.ndarray:
        """Labels from the hours to the onset.

        Parameters
        ----------
        hours_to_onset : ndarray, shape (step,)
            Hours from the step to the onset, infinite where there is none.

        Returns
        -------
        ndarray, shape (step,)
            1, 0, or NaN where the step does not count.
        """
        beyond_gap = hours_to_onset > self.gap_hours
        label = np.where(beyond_gap & (hours_to_onset > self.gap_hours + self.horizon_hours), 0.0, 1.0)
        late = (hours_to_onset <= 0) & (hours_to_onset > -self.max_late_hours)
        return np.where(beyond_gap | late, label, np.nan)

    def smoothed_at(self, hours_to_onset: np.ndarray) -> np.ndarray:
        """Labels that fall with the hours to the onset (temporal label smoothing).

        1 up to the end of the gap, and 0 from two horizons after it; between them an exponential function that has
        these values at both ends.

        Parameters
        ----------
        hours_to_onset : ndarray, shape (step,)
            Hours from the step to the onset, infinite where there is none.

        Returns
        -------
        ndarray, shape (step,)
            From 0 to 1; those of `labels_at` where `smoothing_rate` is 0.

        References
        ----------
        Yèche et al. 2023, "Temporal Label Smoothing for Early Event Prediction", exponential smoothing with h_min = gap
        and h_max = gap + 2 horizons.

        Examples
        --------
        >>> import numpy as np
        >>> from clinicalgru.model.targets.warning_labels import WarningLabels
        >>> WarningLabels(0.0, 6.0, 0.0, smoothing_rate=0.2).smoothed_at(np.array([0.0, 6.0, 12.0, np.inf])).round(3)
        array([1.   , 0.231, 0.   , 0.   ])
        """
        if not self.smoothing_rate:
            return self.labels_at(hours_to_onset)
        latest = 2 * self.horizon_hours
        hours = np.clip(hours_to_onset - self.gap_hours, 0.0, latest)
        end = np.exp(-self.smoothing_rate * latest)
        return (np.exp(-self.smoothing_rate * hours) - end) / (1 - end)

    def signed_weights_at(self, hours_to_onset: np.ndarray) -> np.ndarray:
        """Training weights from the hours to the onset, with the label as their sign.

        Parameters
        ----------
        hours_to_onset : ndarray, shape (step,)
            Hours from the step to the onset, infinite where there is none.

        Returns
        -------
        ndarray, shape (step,)
            Above 0 for a positive step, below 0 for a negative one, NaN where the step does not count.
        """
        weight = _absolute_utility(hours_to_onset) / self.mean_utility if self.mean_utility else 1.0
        label = self.labels_at(hours_to_onset)
        return np.where(np.isnan(label), np.nan, np.where(label == 1, weight, -weight))

    def check_labels(self, stays: Sequences, name: str) -> None:
        """Check that stays have both positive and negative steps.

        Parameters
        ----------
        stays : Sequences
            Stays of an early-warning task.
        name : str
            What to call them in the message.

        Raises
        ------
        TrainingError
            If an onset is unknown, or all steps that count have one label.
        """
        refuse_unknown(stays.outcome, name)
        labels = self.step_labels(stays)
        found = np.unique(labels[~np.isnan(labels)])
        if len(found) < 2:
            got = f"only steps {'with' if len(found) and found[0] else 'without'} one" if len(found) else "no such step"
            fix = "Take more stays, or check onset times and horizon."
            raise TrainingError(f"steps with and without an onset ahead among the {name}", got, fix)


def refuse_unknown(outcome: np.ndarray, name: str) -> None:
    """Check that every outcome is known.

    Parameters
    ----------
    outcome : ndarray
        Outcomes, NaN where unknown.
    name : str
        What to call the stays in the message.

    Raises
    ------
    TrainingError
        If one is unknown.
    """
    unknown = int(np.isnan(outcome).sum())
    if unknown:
        fix = "Use select(events, task), which leaves them out and counts them."
        raise TrainingError(f"known outcomes in the {name}", f"{unknown} unknown", fix)


def hours_to_onset(stays: Sequences) -> np.ndarray:
    """Hours from each time step to the onset of its stay.

    Parameters
    ----------
    stays : Sequences
        Stays of an early-warning task.

    Returns
    -------
    ndarray, shape (step,)
        Stay after stay; infinite where there is none.
    """
    return np.asarray(np.repeat(stays.outcome, stays.n_steps) - stays.hours[stays.is_new_step])


def _absolute_utility(hours_to_onset: np.ndarray) -> np.ndarray:
    """(step,) absolute difference in PhysioNet 2019 utility between a warning and none."""
    warned, missed = hourly_utility(-hours_to_onset)
    return np.abs(warned - missed)
