"""Batch: stays as tensors, with masks and time gaps in hours, and without padding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Stays sorted by their number of time steps, longest first.

    A row is one time step of one stay.

    Attributes
    ----------
    value : Tensor of float32, shape (measurement,)
        Measurements, in their own unit.
    variable : Tensor of int64, shape (measurement,)
        The variable of each measurement.
    locf_index : Tensor of int64, shape (row, variable)
        The last measurement at or before the time step (last observation carried forward); `len(value)` for none.
    mask : Tensor of float32, shape (row, variable)
        1 where that measurement became known at this very time step, else 0.
    delta_hours : Tensor of float32, shape (row, variable)
        Hours since the last measurement before this time step; since the first time step where there is none.
    hours : Tensor of float32, shape (row,)
        Hours since the index time.
    stay : Tensor of int64, shape (row,)
        The stay of the batch, from 0.
    sizes : list of int
        Number of stays that have each time step, as `PackedSequence.batch_sizes`; they add up to the rows.
    order : ndarray of int, shape (stay,)
        Position of each stay in the sequences that the batch was made from.
    point_row : Tensor of int64, shape (point,)
        The row after which a prediction is made; -1 in a stay without rows.
    point_stay : Tensor of int64, shape (point,)
        The stay of the batch of each prediction.
    point_hours : Tensor of float64, shape (point,)
        Hours since the index time of each prediction.
    point_number : Tensor of int64, shape (point,)
        Number of the prediction among those of its stay, from 0.
    summaries : Tensor of float32, shape (point, variable x summary + index)
        Summaries of what is known at each prediction, and clinical indices; NaN where there is none.
    static : Tensor of float32, shape (point, static)
        Static covariates as they are known at each prediction; NaN for unknown.
    per_step : bool
        Whether predictions are made after each row with measurements; else at the end of each stay.
    code : Tensor of int64, shape (coded event,)
        Position in the code vocabulary. Empty where coded events are not used.
    code_row : Tensor of int64, shape (coded event,)
        The row at which it became known.
    code_is_new : Tensor of float32, shape (coded event,)
        1 where the stay had no such code before, else 0.

    Notes
    -----
    A point is a prediction time. Rows are in the order of PyTorch's `PackedSequence`: all first time steps, then all
    second ones. Padding takes neither memory nor time, and the length of another stay cannot change a result.
    """

    value: Tensor
    variable: Tensor
    locf_index: Tensor
    mask: Tensor
    delta_hours: Tensor
    hours: Tensor
    stay: Tensor
    sizes: list[int]
    order: np.ndarray
    point_row: Tensor
    point_stay: Tensor
    point_hours: Tensor
    point_number: Tensor
    summaries: Tensor
    static: Tensor
    per_step: bool
    code: Tensor
    code_row: Tensor
    code_is_new: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch with its tensors on a device; 32 bits for numbers of 64 where the device has no others.

        Parameters
        ----------
        device : torch.device
            Where a network computes.

        Returns
        -------
        Batch
            Itself, if it is there.
        """
        return tensors_on(self, device)

    @property
    def _sizes_tensor(self) -> Tensor:
        return torch.tensor(self.sizes, dtype=torch.long, device=self.hours.device)

    @property
    def step(self) -> Tensor:
        """Number of the time step within its stay, from 0, of shape (row,)."""
        return torch.repeat_interleave(self._sizes_tensor)

    @property
    def step_interval_hours(self) -> Tensor:
        """Hours since the time step before, of shape (row,); 0 at the first time step of a stay."""
        first = sum(self.sizes[:1])
        sizes = self._sizes_tensor
        rows = torch.arange(first, len(self.hours), device=self.hours.device)
        before = rows - torch.repeat_interleave(sizes[:-1], sizes[1:])
        return torch.cat([self.hours.new_zeros(first), self.hours[first:] - self.hours[before]])

    def row_of(self, stay: Tensor, step: Tensor) -> Tensor:
        """The rows of some time steps.

        Parameters
        ----------
        stay, step : Tensor of int64
            Stays of the batch, and time steps that they have; of one shape.

        Returns
        -------
        Tensor of int64, of that shape
        """
        sizes = self._sizes_tensor
        return (sizes.cumsum(0) - sizes)[step] + stay

    def reversed_rows(self) -> Tensor:
        """The row that is as far from the end of its stay as each row is from the start.

        Returns
        -------
        Tensor of int64, shape (row,)
        """
        n_steps = torch.bincount(self.stay, minlength=len(self.order))
        return self.row_of(self.stay, n_steps[self.stay] - 1 - self.step)

    def padded_index(self) -> tuple[Tensor, Tensor]:
        """The row of each time step in a padded layout.

        Returns
        -------
        rows : Tensor of int64, shape (stay, step)
            -1 where a stay has no such time step.
        valid : Tensor of bool, shape (stay, step)
            Whether the stay has it.
        """
        sizes = torch.tensor(self.sizes or [0], dtype=torch.long, device=self.hours.device)
        stay = torch.arange(len(self.order), device=self.hours.device)[:, None]
        valid = stay < sizes
        return torch.where(valid, sizes.cumsum(0) - sizes + stay, -1), valid


Record = TypeVar("Record")


def tensors_on(record: Record, device: torch.device) -> Record:
    """Give a dataclass with its tensors on a device; numbers of 64 bits as 32 on "mps", which has no others.

    Parameters
    ----------
    record : dataclass
        Some of its fields are tensors.
    device : torch.device
        Where to.

    Returns
    -------
    dataclass
        Itself, if its tensors are there.
    """
    tensors = {name: value for name, value in vars(record).items() if isinstance(value, Tensor)}
    if all(tensor.device.type == device.type for tensor in tensors.values()):
        return record
    moved = {name: _narrowed(tensor, device).to(device) for name, tensor in tensors.items()}
    return replace(record, **moved)  # type: ignore[type-var]


def _narrowed(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.float() if device.type == "mps" and tensor.dtype == torch.float64 else tensor


def gather_padded(values: Tensor, index: Tensor) -> Tensor:
    """Entries of the first axis, and zeros where the index is -1 or the length of that axis.

    Parameters
    ----------
    values : Tensor, shape (row, ...)
        What to take from.
    index : Tensor of int64, any shape
        Positions from -1 to `len(values)`.

    Returns
    -------
    Tensor, shape (*index.shape, ...)

    Notes
    -----
    `index_select` and its gradient take a third of the time of indexing by a tensor.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.batch import gather_padded
    >>> gather_padded(torch.tensor([5.0, 7.0]), torch.tensor([[1, -1], [2, 0]]))
    tensor([[7., 0.],
            [0., 5.]])
    """
    padded = torch.cat([values, values.new_zeros(1, *values.shape[1:])])
    index = torch.where(index < 0, len(values), index)
    return padded.index_select(0, index.flatten()).unflatten(0, index.shape)
