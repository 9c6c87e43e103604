"""Is it about to happen? The head that is asked after each step of a stay."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.evaluate.logistic import logit
from clinicalgru.evaluate.physionet2019 import hourly_utility
from clinicalgru.model.heads.classification import Binary, refuse_unknown
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU


@dataclass(frozen=True)
class EarlyWarning:
    """Is it about to happen? A logit after each step; weighed log loss over the steps that count; mean probability.

    gap_hours      an onset so soon after a step is too near to warn of: the step does not count
    horizon_hours  an onset within so many hours after the gap is warned of
    max_late_hours     steps up to so many hours after the onset still count, as warnings that are due; later ones do not
    worth          what a warning gains or costs at a step of the training stays, on average, by the task's utility:
                   each step weighs by what it is there; 0 = all weigh alike
    lift           log-odds by which that lifts the share of steps at which a warning is due

    Rare steps at which much can be gained teach little among many at which little can be lost: weighed by the utility
    of PhysioNet 2019, GRU and trees had a higher utility and AUPRC on stays of hospital A that were neither trained on
    nor tested on (GRU .458 and .164, all alike .432 and .148). On the stays they were judged on, the GRU hardly gained
    (.397, .393 before).

    >>> EarlyWarning(0.0, 6.0, 0.0).labels(np.array([8.0, 6.0, 1.0, 0.0, np.inf]))
    array([ 0.,  1.,  1., nan,  0.])
    """

    gap_hours: float
    horizon_hours: float
    max_late_hours: float
    worth: float = 0.0
    lift: float = 0.0
    outputs: ClassVar[int] = 1
    every_step: ClassVar[bool] = True

    @classmethod
    def learn(cls, stays: Sequences) -> Self:
        task = stays.task
        alike = cls(task.gap_hours, float(task.horizon_hours or 0.0), task.max_late_hours)
        if not task.utility_function:
            return alike
        label, ahead = alike.step_labels(stays), _ahead(stays)
        counts = ~np.isnan(label)
        worth = _worth(ahead[counts])
        share = float(label[counts] @ worth / worth.sum())
        weighed, plain = logit(np.array([share, label[counts].mean()]))
        return replace(alike, worth=float(worth.mean()), lift=float(weighed - plain))

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
        return self.labels(_ahead(stays))

    def step_weights(self, stays: Sequences) -> np.ndarray:
        """(step,) of each step of each stay, stay after stay; see `weighed`."""
        return self.weighed(_ahead(stays))

    def labels(self, ahead: np.ndarray) -> np.ndarray:
        """(step,) hours until the onset, infinite for none -> 1, 0, or NaN where the step does not count."""
        far = ahead > self.gap_hours
        label = np.where(far & (ahead > self.gap_hours + self.horizon_hours), 0.0, 1.0)
        late = (ahead <= 0) & (ahead > -self.max_late_hours)
        return np.where(far | late, label, np.nan)

    def weighed(self, ahead: np.ndarray) -> np.ndarray:
        """(step,) how much each step teaches: above 0 where a warning is due, else below; NaN: it does not count."""
        weight = _worth(ahead) / self.worth if self.worth else 1.0
        label = self.labels(ahead)
        return np.where(np.isnan(label), np.nan, np.where(label == 1, weight, -weight))

    def start(self, stays: Sequences) -> Tensor | None:
        share = np.nanmean(self.step_labels(stays), keepdims=True)
        return torch.from_numpy(logit(share) + self.lift).float()

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        """(point,) as of `weighed`."""
        onset = stays.outcome[batch.order][batch.point_stay.numpy()]
        return torch.from_numpy(self.weighed(onset - batch.point_hours.numpy())).float()

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        counts = ~target.isnan()
        said, weight = logits[..., 0][:, counts], target[counts]
        due = (weight > 0).to(said.dtype).expand_as(said)
        loss = F.binary_cross_entropy_with_logits(said, due, weight=weight.abs(), reduction="sum")
        return loss / max(1, said.numel())

    def mixed(self, logits: Tensor) -> Tensor:
        return Binary().mixed(logits)

    def predict(self, mixed: Tensor) -> Tensor:
        return Binary().predict(mixed)


def _ahead(stays: Sequences) -> np.ndarray:
    """(step,) hours from each step of each stay to its onset, stay after stay; infinite for none."""
    return np.asarray(np.repeat(stays.outcome, stays.n_steps) - stays.hours[stays.is_new_step])


def _worth(ahead: np.ndarray) -> np.ndarray:
    """(step,) what a warning gains or costs, by the utility of PhysioNet 2019. ahead (step,) hours to the onset."""
    warned, missed = hourly_utility(-ahead)
    return np.abs(warned - missed)
