"""Heads: what a network is asked at each point, the loss that teaches it, and the prediction it gives."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences import Sequences
from clinicalgru.model.batch import Batch


class Head(Protocol):
    """A question; all functions are pure.

    outputs     numbers that the network gives for each point
    every_step  whether it is asked after each step of a stay, or once, at the end
    """

    outputs: int
    every_step: bool

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        """What is true at each point of a batch of these stays; NaN = not known."""

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of all members, each on its own: members that learn together would stop being many."""

    def mixed(self, logits: Tensor) -> Tensor:
        """(member, point, output) -> (1, point, output): what the members say together, as one member would say it."""

    def predict(self, mixed: Tensor) -> Tensor:
        """(1, point, output) of `mixed` -> (point, ...) the prediction."""


class Binary:
    """Will it happen? One logit; log loss; the mean probability of the members.

    >>> Binary().loss(torch.zeros(4, 2, 1), torch.tensor([0.0, 1.0])).item()
    0.6931471824645996
    """

    outputs = 1
    every_step = False

    def target(self, stays: Sequences, batch: Batch) -> Tensor:
        return torch.from_numpy(stays.outcome[batch.order]).float()

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits[..., 0], target.expand(logits.shape[:2]))

    def mixed(self, logits: Tensor) -> Tensor:
        return torch.logit(torch.sigmoid(logits.double()).mean(dim=0, keepdim=True))

    def predict(self, mixed: Tensor) -> Tensor:
        return torch.sigmoid(mixed[0, :, 0])
