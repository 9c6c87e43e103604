"""Losses, as pure functions."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def binary_loss(logits: Tensor, outcome: Tensor) -> Tensor:
    """Mean log loss of every member on its own: members that learn together would stop being many.

    logits (member, stay); outcome (stay,) 0 or 1

    >>> import torch
    >>> binary_loss(torch.zeros(4, 2), torch.tensor([0.0, 1.0])).item()
    0.6931471824645996
    """
    return F.binary_cross_entropy_with_logits(logits, outcome.expand_as(logits))
