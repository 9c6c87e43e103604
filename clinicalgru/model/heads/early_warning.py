"""Head for an early warning: the risk of an onset within a horizon, after each time step."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
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
from clinicalgru.model.heads.hazards import hazard_loss, hazard_rates, mean_survival_logits, onset_log_odds
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.targets.warning_labels import WarningLabels, hours_to_onset

MAX_HAZARDS = 48  # intervals of a horizon


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
    n_hazards : int
        Number of equal intervals of the horizon, each with a hazard of its own. 0: one risk for the whole horizon.
    priority_rate : float
        With hazards: rate per hour at which an onset in a later interval counts less in the risk.

    Notes
    -----
    Without weighting, the few steps of high utility are outweighed by many of low utility. In cross-validation within
    hospital A of PhysioNet 2019, weighting raised the utility of the GRU from 0.432 to 0.458 and its AUPRC from 0.148
    to 0.164. On the test stays its utility was 0.397 with and 0.393 without weighting.

    With hazards the risk is 1 minus the product of (1 - hazard), and with a priority the sum of the probabilities of an
    onset in each interval times its priority. Late steps count as an onset in the first interval.

    References
    ----------
    Reyna et al. 2020, utility of the PhysioNet/CinC challenge 2019. Yèche et al. 2023, temporal label smoothing; 2024,
    dynamic survival analysis for early event prediction.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.model.heads.early_warning import EarlyWarning
    >>> EarlyWarning(0.0, 6.0, 0.0).labels_at(np.array([8.0, 6.0, 1.0, 0.0, np.inf]))
    array([ 0.,  1.,  1., nan,  0.])
    """

    n_hazards: int = 0
    priority_rate: float = 0.0
    per_step: ClassVar[bool] = True
    supports_distillation: ClassVar[bool] = True
    calibrator_class = PlattCalibrator
    classes: ClassVar[tuple[int, int]] = (0, 1)

    @property
    def n_outputs(self) -> int:
        """One logit, or one for each hazard."""
        return self.n_hazards or 1

    @property
    def _interval_hours(self) -> float:
        return self.horizon_hours / self.n_hazards

    def _priority(self) -> Tensor:
        """(interval,) What an onset in each interval counts in the risk."""
        return torch.exp(-self.priority_rate * self._interval_hours * torch.arange(self.n_hazards, dtype=torch.float64))

    def with_hazards(self, priority_rate: float) -> Self:
        """The head with a hazard for each hour of the horizon, at most 48.

        Parameters
        ----------
        priority_rate : float
            As of the class.

        Returns
        -------
        EarlyWarning
        """
        n_hazards = min(MAX_HAZARDS, max(1, math.ceil(self.horizon_hours)))
        return replace(self, n_hazards=n_hazards, priority_rate=priority_rate)

    @classmethod
    def fit_targets(cls, stays: Sequences) -> Self:
        """The intervals of the task; with a utility also its mean, and the offset of the log-odds."""
        return cls.from_stays(stays)

    def to_dict(self) -> dict[str, Any]:
        """All parameters; those of hazards only where there are hazards, so that older bundles equal theirs."""
        content = asdict(self)
        return (
            content if self.n_hazards else {k: v for k, v in content.items() if k not in ("n_hazards", "priority_rate")}
        )

    @classmethod
    def from_dict(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head that `to_dict` wrote."""
        return cls(**content)

    def validate_targets(self, stays: Sequences, name: str) -> None:
        """Refuse unknown onsets, and steps that all have the same label."""
        self.check_labels(stays, name)

    def initial_bias(self, stays: Sequences) -> Tensor | None:
        """The log-odds of the weighted rate of steps at which a warning is due, or of each hazard."""
        if self.n_hazards:
            hours = hours_to_onset(stays)
            weight = self.signed_weights_at(hours)
            counts = ~np.isnan(weight)
            interval = self.intervals_at(hours[counts]).astype(np.int64)
            return torch.from_numpy(logit(hazard_rates(interval, np.abs(weight[counts]), self.n_hazards))).float()
        rate = np.nanmean(self.step_labels(stays), keepdims=True)
        return torch.from_numpy(logit(rate) + self.log_odds_offset).float()

    def labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """The signed weight of each prediction; with smoothing also its label, with hazards the interval of the onset.

        Then of shape (prediction, 2).
        """
        hours = stays.outcome[batch.order][batch.point_stay.numpy()] - batch.point_hours.numpy()
        weight = torch.from_numpy(self.signed_weights_at(hours)).float()
        if not (self.smoothing_rate or self.n_hazards):
            return weight
        second = self.intervals_at(hours) if self.n_hazards else self.smoothed_at(hours)
        return torch.stack([weight, torch.from_numpy(second).float()], dim=1)

    def intervals_at(self, hours_to_onset: np.ndarray) -> np.ndarray:
        """The interval of the horizon in which the onset lies.

        Parameters
        ----------
        hours_to_onset : ndarray, shape (step,)
            Hours from the step to the onset, infinite where there is none.

        Returns
        -------
        ndarray, shape (step,)
            From 0; `n_hazards` where the onset is later or never. 0 at late steps.
        """
        passed = np.ceil((hours_to_onset - self.gap_hours) / self._interval_hours - 1e-9) - 1
        return np.where(self.labels_at(hours_to_onset) == 0, self.n_hazards, np.clip(passed, 0, self.n_hazards - 1))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted log loss, divided by the number of steps that count."""
        signed = labels if labels.ndim == 1 else labels[:, 0]
        counts = ~signed.isnan()
        if self.n_hazards:
            loss = hazard_loss(logits[:, counts], labels[counts, 1], signed[counts].abs())
            return loss / max(1, logits.shape[0] * int(counts.sum()))
        step_logits, weight = logits[..., 0][:, counts], signed[counts]
        due = (weight > 0).to(step_logits.dtype) if labels.ndim == 1 else labels[counts, 1].to(step_logits.dtype)
        due = due.expand_as(step_logits)
        loss = F.binary_cross_entropy_with_logits(step_logits, due, weight=weight.abs(), reduction="sum")
        return loss / max(1, step_logits.numel())

    def loss_denominator(self, labels: Tensor) -> float:
        """The number of steps that count."""
        return super().loss_denominator(labels if labels.ndim == 1 else labels[:, 0])

    def aggregate_members(self, logits: Tensor) -> Tensor:
        """Log-odds of the mean probability of the members, or of the hazards of their mean survival."""
        return mean_survival_logits(logits) if self.n_hazards else mean_probability_logits(logits)

    def risk_logits(self, logits: Tensor) -> Tensor:
        """Log-odds of an onset within the horizon, of shape (member, prediction, 1)."""
        weights = torch.ones(self.n_hazards, dtype=logits.dtype)
        return onset_log_odds(logits, weights)[..., None] if self.n_hazards else logits

    def _risk(self, aggregated: Tensor) -> Tensor:
        """Log-odds of the risk after each step, of shape (prediction,)."""
        return onset_log_odds(aggregated[0], self._priority()) if self.n_hazards else aggregated[0, :, 0]

    def predict(self, aggregated: Tensor) -> Tensor:
        """The risk after each step, of shape (prediction,)."""
        return torch.sigmoid(self._risk(aggregated))

    def explanation_target(self, target: Target = None, calibrator: Calibrator | None = None) -> ExplanationTarget:
        """The calibrated log-odds of an onset ahead."""
        return replace(binary_target(target, calibrator), pick=self._risk)

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
