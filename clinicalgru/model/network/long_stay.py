"""A stay of very many time steps: its outputs from some of them at a time, so that its length needs no memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.features.summaries import summaries_at_end
from clinicalgru.model.network.attention import MultiHeadAttention
from clinicalgru.model.network.batch import gather_padded
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.network.running import RunningStay

SEGMENT_CELLS = 2**18  # time steps x variables at a time


def can_be_divided(network: ClinicalGRU) -> bool:
    """Whether the time steps of a stay can be taken in some at a time.

    Parameters
    ----------
    network : ClinicalGRU
        The network.

    Returns
    -------
    bool
        False where it looks back at all rows, or its cell is not a GRU with the reset gate after the product.
    """
    spec = network.spec
    looks_back = spec.bidirectional or spec.convolution or spec.feedback_delay_hours is not None or spec.code_vocabulary
    is_plain = (spec.cell, spec.reset) == ("gru", "after") and network.device.type == "cpu"
    return is_plain and not looks_back and not isinstance(network.attention, MultiHeadAttention)


def long_stay_logits(network: ClinicalGRU, stay: Sequences) -> Tensor:
    """Outputs of all members at the end of one stay.

    Parameters
    ----------
    network : ClinicalGRU
        A network that `can_be_divided`.
    stay : Sequences
        One stay with measurements.

    Returns
    -------
    Tensor, shape (member, 1, output)

    Notes
    -----
    They are those of a batch within rounding: the sums of the attention are over parts.
    """
    running = RunningStay.of(network)
    for rows in _segments(network, stay):
        running.follow(network, *rows)
    spec = network.spec
    summaries = summaries_at_end(stay, indices=spec.clinical_indices, rolling_hours=spec.rolling_hours)
    return running.logits_with(network, float(stay.end_hours[0]), stay.static, summaries)


@torch.no_grad()
def _segments(network: ClinicalGRU, stay: Sequences) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Scores carried forward, masks, time gaps, and hours since the first row, of some time steps at a time."""
    width = len(stay.variables)
    new = np.flatnonzero(stay.is_new_step)  # the first measurement of each row
    hours, measured_at = stay.hours[new], stay.hours - stay.availability_lag
    value, variable = torch.from_numpy(stay.value), torch.from_numpy(stay.variable.astype(np.int64))
    score = network.scaler.value.at(value, variable)
    last = np.full(width, -1)  # the latest measurement of each variable
    size = max(1, SEGMENT_CELLS // width)
    for first in range(0, len(new), size):
        begin, end = new[first], new[first + size] if first + size < len(new) else len(stay.hours)
        at = hours[first : first + size]
        row = np.cumsum(stay.is_new_step[begin:end]) - 1
        measured = np.full((len(at) + 1, width), -1)
        measured[0] = last
        measured[row + 1, stay.variable[begin:end]] = np.arange(begin, end)
        mask = torch.from_numpy((measured[1:] >= 0).astype(np.float32))
        known = np.maximum.accumulate(measured, axis=0)
        last = known[-1]
        since = np.where(known[:-1] >= 0, measured_at[known[:-1]], hours[0])
        delta = torch.from_numpy((at[:, None] - since).astype(np.float32))
        since_begin = torch.from_numpy((at - hours[0]).astype(np.float32))
        yield gather_padded(score, torch.from_numpy(known[1:])), mask, delta, since_begin
