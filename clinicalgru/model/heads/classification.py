"""Heads: what a network is asked at each point, the loss that teaches it, and the prediction it gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU


class Head(Protocol):
    """A question; all functions are pure.

    outputs     numbers that the network gives for each point
    every_step  whether it is asked after each step of a stay, or once, at the end
    """

    @property
    def outputs(self) -> int: ...

    @property
    def every_step(self) -> bool: ...

    @classmethod
    def learn(cls, stays: Sequences) -> Self:
        """The head for these training stays: classes, intervals and the like are learned from them alone."""

    def to_dict(self) -> dict[str, Any]:
        """What it learned, for a manifest."""

    @classmethod
    def restore(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head that `to_dict` wrote, for its network."""

    def check(self, stays: Sequences, name: str) -> None:
        """Refused: outcomes that this head cannot learn from, or be stopped by; `name` says whose."""

    def start(self, stays: Sequences) -> Tensor | None:
        """(output,) what to answer before anything is learned of a stay; None: as the network happens to start."""

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        """What is true at each point of a batch of these stays; NaN = not known."""

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of all members, each on its own: members that learn together would stop being many."""

    def mixed(self, logits: Tensor) -> Tensor:
        """(member, point, output) -> (1, point, output): what the members say together, as one member would say it."""

    def predict(self, mixed: Tensor) -> Tensor:
        """(1, point, output) of `mixed` -> (point, ...) the prediction."""


@dataclass(frozen=True)
class Binary:
    """Will it happen? One logit; log loss; the mean probability of the members.

    >>> Binary().loss(torch.zeros(4, 2, 1), torch.tensor([0.0, 1.0])).item()
    0.6931471824645996
    """

    outputs: ClassVar[int] = 1
    every_step: ClassVar[bool] = False

    @classmethod
    def learn(cls, stays: Sequences) -> Self:
        return cls()

    def to_dict(self) -> dict[str, Any]:
        return {}

    @classmethod
    def restore(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        return cls()

    def check(self, stays: Sequences, name: str) -> None:
        refuse_unknown(stays.outcome, name)
        if len(np.unique(stays.outcome)) < 2:
            raise TrainingError(f"both outcomes among the {name}", "one", "Take more stays or split with another seed.")

    def start(self, stays: Sequences) -> Tensor | None:
        return None

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        return torch.from_numpy(stays.outcome[batch.order]).float()

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits[..., 0], target.expand(logits.shape[:2]))

    def mixed(self, logits: Tensor) -> Tensor:
        return torch.logit(torch.sigmoid(logits.double()).mean(dim=0, keepdim=True))

    def predict(self, mixed: Tensor) -> Tensor:
        return torch.sigmoid(mixed[0, :, 0])


@dataclass(frozen=True)
class MultiClass:
    """Which of several? A logit for each class; log loss; the mean probabilities of the members.

    classes  the values of the outcome among the training stays, ascending

    >>> round(MultiClass((0.0, 1.0, 2.0)).loss(torch.zeros(4, 2, 3), torch.tensor([0.0, 2.0])).item(), 4)
    1.0986
    """

    classes: tuple[float, ...]
    every_step: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @classmethod
    def learn(cls, stays: Sequences) -> Self:
        refuse_unknown(stays.outcome, "stays")
        return cls(tuple(np.unique(stays.outcome).tolist()))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def restore(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        return cls(tuple(content["classes"]))

    def check(self, stays: Sequences, name: str) -> None:
        refuse_unknown(stays.outcome, name)
        if len(self.classes) < 2:
            raise TrainingError("several classes among the stays", "one", "Take more stays, or look at the outcome.")
        new = int((~np.isin(stays.outcome, self.classes)).sum())
        if new:
            fix = "Split with another seed, or merge rare classes."
            raise TrainingError(f"{name} of the classes of the training stays", f"{new} of other classes", fix)

    def start(self, stays: Sequences) -> Tensor | None:
        return None

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        return torch.from_numpy(np.searchsorted(self.classes, stays.outcome[batch.order])).float()

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        wanted = target.long().expand(logits.shape[:2])
        return F.cross_entropy(logits.flatten(0, 1), wanted.flatten())

    def mixed(self, logits: Tensor) -> Tensor:
        return torch.log_softmax(logits.double(), dim=2).exp().mean(dim=0, keepdim=True).clamp_min(1e-300).log()

    def predict(self, mixed: Tensor) -> Tensor:
        return torch.softmax(mixed[0], dim=1)


@dataclass(frozen=True)
class MultiLabel:
    """Which of several, each by itself? A logit for each label; log loss over the known labels; mean probabilities.

    labels  names of the outcomes

    >>> MultiLabel(("a", "b")).loss(torch.zeros(4, 1, 2), torch.tensor([[1.0, torch.nan]])).item()
    0.6931471824645996
    """

    labels: tuple[str, ...]
    every_step: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        return len(self.labels)

    @classmethod
    def learn(cls, stays: Sequences) -> Self:
        return cls(stays.task.outcomes)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def restore(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        return cls(tuple(content["labels"]))

    def check(self, stays: Sequences, name: str) -> None:
        if np.isnan(stays.outcome).all():
            raise TrainingError(f"known outcomes in the {name}", "none", "Use select(events, task).")
        alike = [
            label
            for label, column in zip(self.labels, stays.outcome.T, strict=True)
            if len(np.unique(column[~np.isnan(column)])) < 2
        ]
        if alike and name == "stays":
            fix = "Take more stays, or leave such outcomes out of the task."
            raise TrainingError(f"both values of each outcome among the {name}", f"one of {', '.join(alike)}", fix)

    def start(self, stays: Sequences) -> Tensor | None:
        return None

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        return torch.from_numpy(stays.outcome[batch.order]).float()

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return masked_log_loss(logits, target.expand(logits.shape))

    def mixed(self, logits: Tensor) -> Tensor:
        return Binary().mixed(logits)

    def predict(self, mixed: Tensor) -> Tensor:
        return torch.sigmoid(mixed[0])


def masked_log_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean log loss where the target is known; 0 where it is nowhere known. Both of one shape."""
    known = ~target.isnan()
    losses = F.binary_cross_entropy_with_logits(logits, target.nan_to_num(), reduction="none")
    return (losses * known).sum() / known.sum().clamp_min(1)


def refuse_unknown(outcome: np.ndarray, name: str) -> None:
    """Refused: an outcome that is not known."""
    unknown = int(np.isnan(outcome).sum())
    if unknown:
        fix = "Use select(events, task), which leaves them out and counts them."
        raise TrainingError(f"known outcomes in the {name}", f"{unknown} unknown", fix)
