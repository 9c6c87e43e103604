"""Causal convolution over the time steps of each stay, on packed rows: the front end of a CNN-GRU."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clinicalgru.model.network.batch import Batch, gather_padded
from clinicalgru.model.network.generator import linear


class Convolutions(nn.Module):
    """Stacked causal convolutions, each over a time step and those before it, with a stride.

    Parameters
    ----------
    inputs, hidden : int
        Number of inputs of a row, and of outputs.
    strides : tuple of int
        Stride of each convolution; 1 keeps all time steps. A kernel has two strides and one time step more.

    Notes
    -----
    Strides are counted back from the last time step of a stay, so that the latest measurements are always included and
    stays of any length need no padding. Time steps before the first count as 0. Deviation from the papers: ragged stays
    on packed rows.

    References
    ----------
    LeCun et al. 1998. Ordóñez and Roggen 2016, convolution followed by a recurrence.
    """

    def __init__(self, inputs: int, hidden: int, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.strides, self.hidden = strides, hidden
        self.kernels = [2 * stride + 1 for stride in strides]
        widths = [inputs, *[hidden] * (len(strides) - 1)]
        sizes = [kernel * width for kernel, width in zip(self.kernels, widths, strict=True)]
        self.layers = nn.ModuleList(linear(size, hidden) for size in sizes)

    def forward(self, inputs: Tensor, delta_hours: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Batch]:
        """Convolve the inputs.

        Parameters
        ----------
        inputs : Tensor, shape (row, inputs)
            Inputs of each row.
        delta_hours : Tensor, shape (row, variable)
            Time gaps.
        batch : Batch
            The batch of these rows.

        Returns
        -------
        outputs : Tensor, shape (remaining row, hidden)
        delta_hours : Tensor, shape (remaining row, variable)
            With a stride, at least the hours since the remaining time step before.
        batch : Batch
            The batch of the remaining rows.
        """
        for layer, stride, kernel in zip(self.layers, self.strides, self.kernels, strict=True):
            coarse, rows = strided(batch, stride)
            taps = gather_padded(inputs, earlier_rows(batch, rows, kernel))
            inputs = F.relu(layer(taps.flatten(1)))
            if stride > 1:
                delta_hours = torch.maximum(delta_hours[rows], coarse.step_interval_hours[:, None])
            batch = coarse
        return inputs, delta_hours, batch


def strided(batch: Batch, stride: int) -> tuple[Batch, Tensor]:
    """Every stride-th time step of each stay, counted back from the last.

    Parameters
    ----------
    batch : Batch
        Stays.
    stride : int
        At least 1.

    Returns
    -------
    coarse : Batch
        The remaining time steps.
    rows : Tensor of int64
        The row of the batch that each of them was.
    """
    if stride == 1:
        return batch, torch.arange(len(batch.hours), device=batch.hours.device)
    device = batch.hours.device
    n_steps = torch.bincount(batch.stay, minlength=len(batch.order))
    left = (n_steps + stride - 1) // stride
    longest = int(left.max()) if len(left) else 0
    sizes = (left[:, None] > torch.arange(longest, device=device)).sum(dim=0)
    stay = torch.arange(len(left), device=device).expand(longest, -1)[
        torch.arange(len(left), device=device) < sizes[:, None]
    ]
    number = torch.repeat_interleave(torch.arange(longest, device=device), sizes)
    rows = batch.row_of(stay, n_steps[stay] - 1 - stride * (left[stay] - 1 - number))
    begins = sizes.cumsum(0) - sizes
    last_row = left - 1
    if longest:
        stays = torch.arange(len(left), device=device)
        last_row = torch.where(left > 0, begins[(left - 1).clamp_min(0)] + stays, -1)
    point_row = last_row[batch.point_stay]
    return replace(batch, hours=batch.hours[rows], stay=stay, sizes=sizes.tolist(), point_row=point_row), rows


def earlier_rows(batch: Batch, rows: Tensor, kernel: int) -> Tensor:
    """Each row and the rows of the time steps before it in the same stay.

    Parameters
    ----------
    batch : Batch
        Stays.
    rows : Tensor of int64, shape (n,)
        Rows of the batch.
    kernel : int
        Number of time steps.

    Returns
    -------
    Tensor of int64, shape (n, kernel)
        The row itself first; -1 where there is none.
    """
    step = batch.step[rows][:, None] - torch.arange(kernel, device=batch.hours.device)
    earlier = batch.row_of(batch.stay[rows][:, None].expand_as(step), step.clamp_min(0))
    return torch.where(step >= 0, earlier, -1)
