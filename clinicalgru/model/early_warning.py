"""Is it about to happen? The head that is asked after each step of a stay."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.model.batch import Batch
from clinicalgru.model.heads import Binary, masked_log_loss, refuse_unknown
from clinicalgru.model.network import ClinicalGRU


@dataclass(frozen=True)
class EarlyWarning:
    """Is it about to happen? A logit after each step; log loss over the steps that count; mean probability.

    gap_hours      an onset so soon after a step is too near to warn of: the step does not count
    horizon_hours  an onset within so many hours after the gap is warned of
    late_hours     steps up to so many hours after the onset still count, as warnings that are due; later ones do not

    >>> EarlyWarning(0.0, 6.0, 0.0).labels(np.array([8.0, 6.0, 1.0, 0.0, np.inf]))
    array([ 0.,  1.,  1., nan,  0.])
    """

    gap_hours: float
    horizon_hours: float
    late_hours: float
    outputs: ClassVar[int] = 1
    every_step: ClassVar[bool] = True

    @classmethod
    def learn(cls, stays: Sequences) -> Self:
        task = stays.task
        return cls(task.gap_hours, float(task.horizon_hours or 0.0), task.late_hours)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def restore(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        return cls(**content)

    def check(self, stays: Sequences, name: str) -> None:
        refuse_unknown(stays.outcome, name)
        labels = self.step_labels(stays)
        if len(np.unique(labels[~np.isnan(labels)])) < 2:
            fix = "Take more stays, or look at onset times and horizon."
            raise TrainingError(f"steps with and without an onset ahead among the {name}", "one kind", fix)

    def step_labels(self, stays: Sequences) -> np.ndarray:
        """(step,) the label after each step of each stay, stay after stay."""
        return self.labels(np.repeat(stays.outcome, stays.steps) - stays.hours[stays.new_step])

    def labels(self, ahead: np.ndarray) -> np.ndarray:
        """(step,) hours until the onset, infinite for none -> 1, 0, or NaN where the step does not count."""
        far = ahead > self.gap_hours
        label = np.where(far & (ahead > self.gap_hours + self.horizon_hours), 0.0, 1.0)
        late = (ahead <= 0) & (ahead > -self.late_hours)
        return np.where(far | late, label, np.nan)

    def start(self, stays: Sequences) -> Tensor | None:
        labels = self.step_labels(stays)
        return torch.logit(torch.tensor([np.nanmean(labels)], dtype=torch.float32))

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        onset = stays.outcome[batch.order][batch.point_stay.numpy()]
        return torch.from_numpy(self.labels(onset - batch.point_hours.numpy())).float()

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return masked_log_loss(logits[..., 0], target.expand(logits.shape[:2]))

    def mixed(self, logits: Tensor) -> Tensor:
        return Binary().mixed(logits)

    def predict(self, mixed: Tensor) -> Tensor:
        return Binary().predict(mixed)
