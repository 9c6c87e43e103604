"""Head for an early warning: the risk of an onset within a horizon, after each time step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import Calibrator
from clinicalgru.evaluate.logistic import logit
from clinicalgru.model.heads.classification import binary_target, mean_probability_logits
from clinicalgru.model.heads.explanation_target import ExplanationTarget, Target
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.targets.warning_labels import WarningLabels


@dataclass(frozen=True)
class EarlyWarning(WarningLabels, Head):
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
    smoothing_rate : float
        Rate per hour at which the label falls with the hours to the onset, see `smoothed_at`. 0: it is 0 or 1.

    Notes
    -----
    Without weighting, the few steps of high utility are outweighed by many of low utility. In cross-validation within
    hospital A of PhysioNet 2019, weighting raised the utility of the GRU from 0.432 to 0.458 and its AUPRC from 0.148
    to 0.164. On the test stays its utility was 0.397 with and 0.393 without weighting.

    References
    ----------
    Reyna et al. 2020, utility of the PhysioNet/CinC challenge 2019. Yèche et al. 2023, temporal label smoothing.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.model.heads.early_warning import EarlyWarning
    >>> EarlyWarning(0.0, 6.0, 0.0).labels_at(np.array([8.0, 6.0, 1.0, 0.0, np.inf]))
    array([ 0.,  1.,  1., nan,  0.])
    """

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
        return cls.from_stays(stays)

    def to_dict(self) -> dict[str, Any]:
        """All parameters."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head that `to_dict` wrote."""
        return cls(**content)

    def validate_targets(self, stays: Sequences, name: str) -> None:
        """Refuse unknown onsets, and steps that all have the same label."""
        self.check_labels(stays, name)

    def initial_bias(self, stays: Sequences) -> Tensor | None:
        """The log-odds of the weighted rate of steps at which a warning is due."""
        rate = np.nanmean(self.step_labels(stays), keepdims=True)
        return torch.from_numpy(logit(rate) + self.log_odds_offset).float()

    def labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """The signed weight of each prediction; with smoothing also its label, of shape (prediction, 2)."""
        hours = stays.outcome[batch.order][batch.point_stay.numpy()] - batch.point_hours.numpy()
        weight = torch.from_numpy(self.signed_weights_at(hours)).float()
        if not self.smoothing_rate:
            return weight
        return torch.stack([weight, torch.from_numpy(self.smoothed_at(hours)).float()], dim=1)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted log loss, divided by the number of steps that count."""
        signed = labels if labels.ndim == 1 else labels[:, 0]
        counts = ~signed.isnan()
        step_logits, weight = logits[..., 0][:, counts], signed[counts]
        due = (weight > 0).to(step_logits.dtype) if labels.ndim == 1 else labels[counts, 1].to(step_logits.dtype)
        due = due.expand_as(step_logits)
        loss = F.binary_cross_entropy_with_logits(step_logits, due, weight=weight.abs(), reduction="sum")
        return loss / max(1, step_logits.numel())

    def loss_denominator(self, labels: Tensor) -> float:
        """The number of steps that count."""
        return super().loss_denominator(labels if labels.ndim == 1 else labels[:, 0])

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

    def calibration_pairs(self, stays: Sequences, prediction: np.ndarray) -> tuple[np.ndarray, ...]:
        """Labels, risks and `stay_weights`: steps of one stay are no independent events."""
        return self.step_labels(stays), prediction, self.stay_weights(stays)

    def calibration_events(self, labels: np.ndarray, *rest: np.ndarray) -> dict[str, tuple[float, float]]:
        """Stays with steps at which a warning is due, and stays without any, instead of steps."""
        weight = rest[-1]
        return {self.output_names[0]: (float(weight[weight > 0].sum()), float(-weight[weight < 0].sum()))}

    def calibrator_from(self, labels: np.ndarray, risk: np.ndarray, *rest: np.ndarray) -> Calibrator:
        """The line on the log-odds, shrunk by the number of stays with an onset."""
        known, (events, _) = ~np.isnan(labels), self.calibration_events(labels, *rest)[self.output_names[0]]
        return PlattCalibrator.fit(labels[known], risk[known], n_events=events)

    @staticmethod
    def strata(stays: Sequences) -> np.ndarray:
        """Whether there is an onset."""
        return np.isfinite(stays.outcome)
