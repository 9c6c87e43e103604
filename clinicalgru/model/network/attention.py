"""Attention of each prediction over the time steps of its stay, with a preference for recent hours."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinicalgru.model.network.batch import Batch, gather_padded
from clinicalgru.model.network.config import N_ATTENTION_HEADS
from clinicalgru.model.network.generator import linear

ContextAndWeights = tuple[Tensor, Tensor]
MASKED_SCORE = -1e30


class AttentionWeights(NamedTuple):
    """Attention weights with the hours of the time steps.

    Parameters
    ----------
    weight : Tensor, shape (stay, point, step)
        Weights of a prediction sum to 1 over the time steps up to it, and are 0 after it. All are 0 in a stay without
        time steps.
    hours : Tensor, shape (stay, step)
        Hours since the index time; NaN where there is no time step.
    """

    weight: Tensor
    hours: Tensor


class AdditiveAttention(nn.Module):
    """Additive attention over the states up to each prediction.

    Parameters
    ----------
    width : int
        Size of a state.
    size : int
        Size of the hidden layer.

    Notes
    -----
    Deviation from the paper: hours before the prediction, times a learned rate of at least 0, are subtracted from the
    score. A softmax does not change when a constant is added to all scores, so that hours may be counted from any time.

    References
    ----------
    Bahdanau et al. 2015.
    """

    def __init__(self, width: int, size: int = 32) -> None:
        super().__init__()
        self.width = width
        self.inner = linear(width, size)
        self.outer = linear(size, 1, bias=False)
        self.rate = nn.Parameter(torch.tensor(-4.0, dtype=torch.float32))

    def forward(self, states: Tensor, batch: Batch) -> ContextAndWeights:
        """Context of each prediction.

        Parameters
        ----------
        states : Tensor, shape (row, width)
            States of the encoder.
        batch : Batch
            The batch of these rows.

        Returns
        -------
        context : Tensor, shape (point, width)
            0 in a stay without time steps.
        weight : Tensor, shape (stay, point, step)
            As of `AttentionWeights`.
        """
        rows, valid = batch.padded_index()
        hours = gather_padded(batch.hours, rows)
        score = gather_padded(self.outer(torch.tanh(self.inner(states))).squeeze(1), rows)
        score = score + F.softplus(self.rate) * (hours - hours[:, :1])
        visible = _visible(valid, batch)
        weight = torch.softmax(score[:, None, :].masked_fill(~visible, MASKED_SCORE), dim=2) * visible
        if batch.per_step or weight.shape[1] > 1:
            context = torch.bmm(weight, gather_padded(states, rows))
            return context[batch.point_stay, _point_index(batch)], weight
        of_row = weight.flatten().index_select(0, batch.stay * weight.shape[2] + batch.step)
        context = states.new_zeros(len(batch.order), self.width).index_add(0, batch.stay, states * of_row[:, None])
        return context.index_select(0, batch.point_stay), weight


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention of the state at each prediction to the states up to it.

    Parameters
    ----------
    width : int
        Size of a state, a multiple of 4 heads.

    Notes
    -----
    Deviation from the paper: hours before the prediction, times a learned rate of each head of at least 0, are
    subtracted from the score.

    References
    ----------
    Vaswani et al. 2017.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.query, self.key, self.value = (linear(width, width) for _ in range(3))
        self.out = linear(width, width)
        self.rate = nn.Parameter(torch.linspace(-6.0, -2.0, N_ATTENTION_HEADS, dtype=torch.float32))

    def forward(self, states: Tensor, batch: Batch) -> ContextAndWeights:
        """Context of each prediction, and the mean weights of the heads.

        Parameters
        ----------
        states : Tensor, shape (row, width)
            States of the encoder.
        batch : Batch
            The batch of these rows.

        Returns
        -------
        context : Tensor, shape (point, width)
            0 in a stay without time steps.
        weight : Tensor, shape (stay, point, step)
            As of `AttentionWeights`.
        """
        padded, hours, visible = _padded_states(states, batch)
        queried = padded
        if not batch.per_step:
            last = (visible.sum(dim=2) - 1).clamp_min(0)
            queried = padded.gather(1, last[:, :, None].expand(-1, -1, padded.shape[2]))
        query, key, value = (
            layer(part).unflatten(2, (N_ATTENTION_HEADS, -1))
            for layer, part in ((self.query, queried), (self.key, padded), (self.value, padded))
        )
        score = torch.einsum("sphd,skhd->shpk", query, key) / math.sqrt(query.shape[3])
        score = score + (F.softplus(self.rate)[:, None] * (hours - hours[:, :1])[:, None])[:, :, None]
        weight = torch.softmax(score.masked_fill(~visible[:, None], MASKED_SCORE), dim=3) * visible[:, None]
        context = torch.einsum("shpk,skhd->sphd", weight, value).flatten(2)
        has_steps = visible.any(dim=2)[:, :, None]
        return (self.out(context) * has_steps)[batch.point_stay, _point_index(batch)], weight.mean(dim=1)


class _NoAttention(nn.Module):
    """No attention: the readout sees the state at the prediction only, which has all the weight."""

    width = 0

    def forward(self, states: Tensor, batch: Batch) -> ContextAndWeights:
        """An empty context, and all the weight on the last time step up to each prediction.

        Parameters
        ----------
        states : Tensor, shape (row, width)
            States of the encoder.
        batch : Batch
            The batch of these rows.

        Returns
        -------
        context : Tensor, shape (point, 0)
        weight : Tensor, shape (stay, point, step)
            As of `AttentionWeights`.
        """
        _, _, visible = _padded_states(states, batch)
        later = torch.cat([visible[:, :, 1:], torch.zeros_like(visible[:, :, :1])], dim=2)
        return states.new_zeros(len(batch.point_stay), 0), (visible & ~later).to(states.dtype)


ATTENTION: dict[str | None, type[AdditiveAttention] | type[MultiHeadAttention]] = {
    "additive": AdditiveAttention,
    "multihead": MultiHeadAttention,
}


def attention(name: str | None, width: int) -> AdditiveAttention | MultiHeadAttention | _NoAttention:
    """An attention layer.

    Parameters
    ----------
    name : {"additive", "multihead", None}
        Which one.
    width : int
        Size of a state.

    Returns
    -------
    nn.Module
    """
    return _NoAttention() if name is None else ATTENTION[name](width)


def attention_weights(weight: Tensor, batch: Batch) -> AttentionWeights:
    """Attention weights with the hours of the time steps.

    Parameters
    ----------
    weight : Tensor, shape (stay, point, step)
        From an attention layer.
    batch : Batch
        The batch that it was given.

    Returns
    -------
    AttentionWeights
    """
    rows, valid = batch.padded_index()
    hours = gather_padded(batch.hours, rows)
    return AttentionWeights(weight, hours.masked_fill(~valid, torch.nan))


def _padded_states(states: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """States (stay, step, width) and hours (stay, step) with 0 as padding, and the time steps that each prediction may
    see (stay, point, step)."""
    rows, valid = batch.padded_index()
    return gather_padded(states, rows), gather_padded(batch.hours, rows), _visible(valid, batch)


def _visible(valid: Tensor, batch: Batch) -> Tensor:
    """The time steps that each prediction may see (stay, point, step)."""
    visible = valid[:, None, :]
    if batch.per_step:
        return visible & valid.new_ones(valid.shape[1], valid.shape[1]).tril() & valid[:, :, None]
    if len(batch.point_stay) == len(valid):
        return visible
    n_points = torch.bincount(batch.point_stay, minlength=len(valid)).max()
    last = batch.point_stay.new_full((len(valid), int(n_points)), -1)
    has_rows = batch.point_row >= 0
    last[batch.point_stay[has_rows], batch.point_number[has_rows]] = batch.step[batch.point_row[has_rows]]
    return visible & (torch.arange(valid.shape[1], device=valid.device) <= last[:, :, None])


def _point_index(batch: Batch) -> Tensor:
    """Position of each prediction on the second axis of the weights: its time step, or its number in the stay."""
    return batch.step[batch.point_row] if batch.per_step else batch.point_number
