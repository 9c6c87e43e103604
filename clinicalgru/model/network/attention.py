"""Attention: how each point looks back at the steps of its stay, knowing how long ago each was."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinicalgru.model.network.batch import Batch, looked_up
from clinicalgru.model.network.config import N_ATTENTION_HEADS
from clinicalgru.model.network.generator import linear

Seen = tuple[Tensor, Tensor]


class Attended(NamedTuple):
    """How each point attends to the steps of its stay.

    weight  (stay, point, step)  sum to 1 up to the point, 0 after it; 0 in a stay without steps
    hours   (stay, step)         hours since the anchor of each step; NaN where there is none
    """

    weight: Tensor
    hours: Tensor


class Additive(nn.Module):
    """Additive attention of each point over the steps of its stay up to it, with a learned preference for recent hours.

    Source: Bahdanau et al. 2015. DIFF: hours before the end, times a learned rate at or above zero, are subtracted from
    the score, so that attention knows real time.
    """

    def __init__(self, width: int, size: int = 32) -> None:
        super().__init__()
        self.width = width
        self.inner = linear(width, size)
        self.outer = linear(size, 1, bias=False)
        self.rate = nn.Parameter(torch.tensor(-4.0, dtype=torch.float32))

    def forward(self, states: Tensor, batch: Batch) -> Seen:
        """Context (point, width), and weights (stay, point, step) as in `Attended`.

        states (row, width). A stay without steps has weights and context of 0. What is common to all steps of a stay
        leaves no trace in its weights, so that the hours may be counted from any moment: from the point, or the end.
        """
        padded, hours, seen = _laid_out(states, batch)
        score = self.outer(torch.tanh(self.inner(padded))).squeeze(2) + F.softplus(self.rate) * (hours - hours[:, :1])
        weight = torch.softmax(score[:, None, :].masked_fill(~seen, -1e30), dim=2) * seen
        context = torch.bmm(weight, padded)
        return context[batch.point_stay, _place(batch)], weight


class MultiHead(nn.Module):
    """Scaled dot-product attention of the state at each point to those up to it; each head forgets at its own rate.

    Source: Vaswani et al. 2017. DIFF: hours before the point, times a learned rate of the head at or above zero, are
    subtracted from the score.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.query, self.key, self.value = (linear(width, width) for _ in range(3))
        self.out = linear(width, width)
        self.rate = nn.Parameter(torch.linspace(-6.0, -2.0, N_ATTENTION_HEADS, dtype=torch.float32))

    def forward(self, states: Tensor, batch: Batch) -> Seen:
        """Context (point, width), and weights (stay, point, step), the mean of the heads, as in `Attended`."""
        padded, hours, seen = _laid_out(states, batch)
        asking = padded
        if not batch.every_step:
            last = (seen[:, 0].sum(dim=1) - 1).clamp_min(0)
            asking = padded.gather(1, last[:, None, None].expand(-1, 1, padded.shape[2]))
        query, key, value = (
            layer(part).unflatten(2, (N_ATTENTION_HEADS, -1))
            for layer, part in ((self.query, asking), (self.key, padded), (self.value, padded))
        )
        score = torch.einsum("sphd,skhd->shpk", query, key) / math.sqrt(query.shape[3])
        score = score + (F.softplus(self.rate)[:, None] * (hours - hours[:, :1])[:, None])[:, :, None]
        weight = torch.softmax(score.masked_fill(~seen[:, None], -1e30), dim=3) * seen[:, None]
        context = torch.einsum("shpk,skhd->sphd", weight, value).flatten(2)
        some = seen.any(dim=2)[:, :, None]
        return (self.out(context) * some)[batch.point_stay, _place(batch)], weight.mean(dim=1)


class LastOnly(nn.Module):
    """No attention: the readout sees the state at the point and no other; the whole weight lies on it."""

    width = 0

    def forward(self, states: Tensor, batch: Batch) -> Seen:
        """Context (point, 0), and weights (stay, point, step) as in `Attended`."""
        _, _, seen = _laid_out(states, batch)
        later = torch.cat([seen[:, :, 1:], torch.zeros_like(seen[:, :, :1])], dim=2)
        return states.new_zeros(len(batch.point_stay), 0), (seen & ~later).to(states.dtype)


ATTENTION: dict[str | None, type[Additive] | type[MultiHead]] = {"additive": Additive, "multihead": MultiHead}


def attention(kind: str | None, width: int) -> Additive | MultiHead | LastOnly:
    """The attention of this name over states of this width; None: the last state alone."""
    return LastOnly() if kind is None else ATTENTION[kind](width)


def attended(weight: Tensor, batch: Batch) -> Attended:
    """The weights with the hours of their steps."""
    rows, valid = batch.grid()
    hours = looked_up(batch.hours, rows)
    return Attended(weight, hours.masked_fill(~valid, torch.nan))


def _laid_out(states: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """States (stay, step, width) and hours (stay, step), 0 where there is no step; which steps a point may see
    (stay, point, step)."""
    rows, valid = batch.grid()
    padded, hours = looked_up(states, rows), looked_up(batch.hours, rows)
    seen = valid[:, None, :]
    if batch.every_step:
        seen = seen & valid.new_ones(valid.shape[1], valid.shape[1]).tril() & valid[:, :, None]
    return padded, hours, seen


def _place(batch: Batch) -> Tensor:
    """(point,) which of the points of its stay's weights each is: the step, or the only one."""
    return batch.step[batch.point_row] if batch.every_step else torch.zeros_like(batch.point_stay)
