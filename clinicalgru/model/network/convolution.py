"""Causal convolution over the steps of each stay, on packed rows: the front end of a CNN-GRU."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinicalgru.model.network.batch import Batch, looked_up
from clinicalgru.model.network.generator import linear


class Convolutions(nn.Module):
    """Causal convolutions, one upon the other: each sees a step and those before it, and passes on every stride-th.

    Strides are counted back from the last step of a stay, so that what was measured last is always seen, and stays of
    any length fit without padding. A step before the first counts as 0. A kernel spans two strides and a step more.

    Source: LeCun et al. 1998; with a recurrence behind, Ordóñez and Roggen 2016. DIFF: on packed rows of ragged stays.

    strides  of each convolution; 1 keeps all steps
    """

    def __init__(self, inputs: int, hidden: int, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.strides, self.hidden = strides, hidden
        self.kernels = [2 * stride + 1 for stride in strides]
        widths = [inputs, *[hidden] * (len(strides) - 1)]
        sizes = [kernel * width for kernel, width in zip(self.kernels, widths, strict=True)]
        self.layers = nn.ModuleList(linear(size, hidden) for size in sizes)

    def forward(self, inputs: Tensor, gap_hours: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Batch]:
        """inputs (row, inputs), gap_hours (row, variable) -> the same of the rows passed on, and a batch of these rows.

        Over a stride, a gap is at least the hours since the step passed on before.
        """
        for layer, stride, kernel in zip(self.layers, self.strides, self.kernels, strict=True):
            coarse, rows = strided(batch, stride)
            taps = looked_up(inputs, earlier_rows(batch, rows, kernel))
            inputs = F.relu(layer(taps.flatten(1)))
            gap_hours = torch.maximum(gap_hours[rows], coarse.since[:, None]) if stride > 1 else gap_hours
            batch = coarse
        return inputs, gap_hours, batch


def strided(batch: Batch, stride: int) -> tuple[Batch, Tensor]:
    """The batch at each stride-th step of its stays, counted back from the last; and the rows it is made of."""
    if stride == 1:
        return batch, torch.arange(len(batch.hours))
    steps = torch.bincount(batch.stay, minlength=len(batch.order))
    left = (steps + stride - 1) // stride
    longest = int(left.max()) if len(left) else 0
    sizes = (left[:, None] > torch.arange(longest)).sum(dim=0)
    stay = torch.arange(len(left)).expand(longest, -1)[torch.arange(len(left)) < sizes[:, None]]
    number = torch.repeat_interleave(torch.arange(longest), sizes)
    step = steps[stay] - 1 - stride * (left[stay] - 1 - number)
    rows = batch.row_of(stay, step)
    last = sizes.cumsum(0) - sizes
    ends = torch.where(left > 0, last[(left - 1).clamp_min(0)] + torch.arange(len(left)), -1) if longest else left - 1
    coarse = replace(
        batch,
        hours=batch.hours[rows],
        stay=stay,
        sizes=sizes.tolist(),
        point_row=ends[batch.point_stay],
    )
    return coarse, rows


def earlier_rows(batch: Batch, rows: Tensor, kernel: int) -> Tensor:
    """(len(rows), kernel) each of these rows and those of the steps before it in its stay; -1 where there is none."""
    step = batch.step[rows][:, None] - torch.arange(kernel)
    found = batch.row_of(batch.stay[rows][:, None].expand_as(step), step.clamp_min(0))
    return torch.where(step >= 0, found, -1)
