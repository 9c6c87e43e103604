"""Head for an early warning: the risk of an onset within a horizon, after each time step."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import Calibrator
from clinicalgru.evaluate.logistic import logit
from clinicalgru.evaluate.physionet2019 import hourly_utility
from clinicalgru.model.heads.classification import binary_target, mean_probability_logits
from clinicalgru.model.heads.explanation_target import ExplanationTarget, Target
from clinicalgru.model.heads.head import Head, refuse_unknown
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU


@dataclass(frozen=True)
class EarlyWarning(Head):
    """The risk of an onset, after each time step: a logit, weighted log loss over the steps that count, mean risk.

    Parameters
    ----------
    gap_hours : float
        Blanking interval. A step does not count if the onset follows within so many hours; an onset exactly at the end
        of the gap is still within it.
    horizon_hours : float
        A warning is due if the onset follows within so many hours after the gap.
    max_late_hours : float
        Steps at or after the onset count as due up to, but not including, so many hours after it. Later ones do not
        count.
    mean_utility : float
        Mean gain or cost of a warning at a training step, by the utility of the task. Each step is weighted by its own
        relative to this mean. 0: all steps have the same weight.
    log_odds_offset : float
        Log-odds by which the weighting raises the rate of steps at which a warning is due. Subtracted after training.

    Notes
    -----
    Without weighting, the few steps of high utility are outweighed by many of low utility. In cross-validation within
    hospital A of PhysioNet 2019, weighting raised the utility of the GRU from 0.432 to 0.458 and its AUPRC from 0.148
    to 0.164. On the test stays its utility was 0.397 with and 0.393 without weighting.

    References
    ----------
    Reyna et al. 2020, utility of the PhysioNet/CinC challenge 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.model.heads.early_warning import EarlyWarning
    >>> EarlyWarning(0.0, 6.0, 0.0).labels_at(np.array([8.0, 6.0, 1.0, 0.0, np.inf]))
    array([ 0.,  1.,  1., nan,  0.])
    """

    gap_hours: float
    horizon_hours: float
    max_late_hours: float
    mean_utility: float = 0.0
    log_odds_offset: float = 0.0
    per_step: ClassVar[bool] = True
    supports_distillation: ClassVar[bool] = True
    calibrator_class = PlattCalibrator
    classes: ClassVar[tuple[int, int]] = (0, 1)

    @property
    def n_outputs(self) -> int:
        """One logit."""
        return 1

    @classmethod
    def fit_targets(cls, stays: Sequences) -> Self:
        """The intervals of the task; with a utility also its mean, and the offset of the log-odds."""
        task = stays.task
        unweighted = cls(task.gap_hours, float(task.horizon_hours or 0.0), task.max_late_hours)
        if not task.utility_function:
            return unweighted
        label, hours = unweighted.step_labels(stays), _hours_to_onset(stays)
        counts = ~np.isnan(label)
        weight = _utility_weight(hours[counts])
        weighted_rate = float(label[counts] @ weight / weight.sum())
        weighted, plain = logit(np.array([weighted_rate, label[counts].mean()]))
        return replace(unweighted, mean_utility=float(weight.mean()), log_odds_offset=float(weighted - plain))

    def to_dict(self) -> dict[str, Any]:
        """All parameters."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head that `to_dict` wrote."""
        return cls(**content)

    def validate_targets(self, stays: Sequences, name: str) -> None:
        """Refuse unknown onsets, and steps that all have the same label."""
        refuse_unknown(stays.outcome, name)
        labels = self.step_labels(stays)
        if len(np.unique(labels[~np.isnan(labels)])) < 2:
            fix = "Take more stays, or check onset times and horizon."
            raise TrainingError(f"steps with and without an onset ahead among the {name}", "one kind only", fix)

    def step_labels(self, stays: Sequences) -> np.ndarray:
        """The label of each time step, stay after stay; see `labels_at`.

        Parameters
        ----------
        stays : Sequences
            Their outcome is the hour of the onset, infinite for none.

        Returns
        -------
        ndarray, shape (step,)
        """
        return self.labels_at(_hours_to_onset(stays))

    def step_weights(self, stays: Sequences) -> np.ndarray:
        """The signed weight of each time step, stay after stay; see `signed_weights_at`.

        Parameters
        ----------
        stays : Sequences
            Their outcome is the hour of the onset, infinite for none.

        Returns
        -------
        ndarray, shape (step,)
        """
        return self.signed_weights_at(_hours_to_onset(stays))

    def labels_at(self, hours_to_onset: np.ndarray) -> np.ndarray:
        """Whether a warning is due.

        Parameters
        ----------
        hours_to_onset : ndarray, shape (step,)
            Hours from the step to the onset: negative after it, infinite for none.

        Returns
        -------
        ndarray, shape (step,)
            1, 0, or NaN where the step does not count.
        """
        after_gap = hours_to_onset > self.gap_hours
        label = np.where(after_gap & (hours_to_onset > self.gap_hours + self.horizon_hours), 0.0, 1.0)
        late = (hours_to_onset <= 0) & (hours_to_onset > -self.max_late_hours)
        return np.where(after_gap | late, label, np.nan)

    def signed_weights_at(self, hours_to_onset: np.ndarray) -> np.ndarray:
        """The weight of a step in the loss, with the sign of its label.

        Parameters
        ----------
        hours_to_onset : ndarray, shape (step,)
            As of `labels_at`.

        Returns
        -------
        ndarray, shape (step,)
            Above 0 where a warning is due, below 0 where it is not, NaN where the step does not count.
        """
        weight = _utility_weight(hours_to_onset) / self.mean_utility if self.mean_utility else 1.0
        label = self.labels_at(hours_to_onset)
        return np.where(np.isnan(label), np.nan, np.where(label == 1, weight, -weight))

    def initial_bias(self, stays: Sequences) -> Tensor | None:
        """The log-odds of the weighted rate of steps at which a warning is due."""
        rate = np.nanmean(self.step_labels(stays), keepdims=True)
        return torch.from_numpy(logit(rate) + self.log_odds_offset).float()

    def labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """The signed weight of each prediction of the batch; see `signed_weights_at`."""
        onset = stays.outcome[batch.order][batch.point_stay.numpy()]
        return torch.from_numpy(self.signed_weights_at(onset - batch.point_hours.numpy())).float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted log loss, divided by the number of steps that count."""
        counts = ~labels.isnan()
        step_logits, weight = logits[..., 0][:, counts], labels[counts]
        due = (weight > 0).to(step_logits.dtype).expand_as(step_logits)
        loss = F.binary_cross_entropy_with_logits(step_logits, due, weight=weight.abs(), reduction="sum")
        return loss / max(1, step_logits.numel())

    def aggregate_members(self, logits: Tensor) -> Tensor:
        """Log-odds of the mean probability of the members."""
        return mean_probability_logits(logits)

    def predict(self, aggregated: Tensor) -> Tensor:
        """The risk after each step, of shape (prediction,)."""
        return torch.sigmoid(aggregated[0, :, 0])

    def explanation_target(self, target: Target = None, calibrator: Calibrator | None = None) -> ExplanationTarget:
        """The calibrated log-odds of an onset ahead."""
        return binary_target(target, calibrator)

    def calibration_labels(self, stays: Sequences) -> np.ndarray:
        """The label of each time step, stay after stay."""
        return self.step_labels(stays)

    @staticmethod
    def strata(stays: Sequences) -> np.ndarray:
        """Whether there is an onset."""
        return np.isfinite(stays.outcome)

    def estimand(self, outcome: str) -> str:
        """The probability that an onset is ahead."""
        return f"after each time step the probability that `{outcome}` is about to begin,"


def _hours_to_onset(stays: Sequences) -> np.ndarray:
    """Hours from each time step to the onset of its stay, stay after stay; infinite for none."""
    return np.asarray(np.repeat(stays.outcome, stays.n_steps) - stays.hours[stays.is_new_step])


def _utility_weight(hours_to_onset: np.ndarray) -> np.ndarray:
    """Absolute difference of utility between a warning and none, at each step, as of PhysioNet 2019."""
    warning, silence = hourly_utility(-hours_to_onset)
    return np.abs(warning - silence)
