"""Repeated stays as one batch, made from the batch of the stays: nothing is summarised again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.features.clinical_indices import SUMMARIES, with_indices
from clinicalgru.model.network.batch import Batch


@dataclass(frozen=True, eq=False)
class BatchCopies:
    """Some stays of a batch, each repeated, and the origin of every entry.

    Attributes
    ----------
    batch : Batch
        Equal to ``network.make_batch(stays[which])``.
    measurement, row, coded : Tensor of int, shape (entry,)
        Which measurement, row and coded event of the stays each entry is a copy of.
    measurement_copy : Tensor of int, shape (measurement,)
        Which copy each measurement belongs to; for rows this is ``batch.stay``.
    """

    batch: Batch
    measurement: Tensor
    row: Tensor
    coded: Tensor
    measurement_copy: Tensor

    @property
    def coded_copy(self) -> Tensor:
        """Which copy each coded event belongs to, of shape (coded event,)."""
        return self.batch.stay[self.batch.code_row]


def copy_stays(stays: Sequences, batch: Batch, which: np.ndarray) -> BatchCopies:
    """Repeat stays of a batch, each with a prediction at its end.

    Parameters
    ----------
    stays : Sequences
        In the order of the batch, longest first.
    batch : Batch
        The batch of the stays.
    which : ndarray of int, shape (copy,)
        Positions of the stays, ascending, so that longer stays still come first.

    Returns
    -------
    BatchCopies
    """
    copy, steps = torch.from_numpy(which), torch.bincount(batch.stay, minlength=len(stays))[which]
    sizes, stay, row = _rows(batch, copy, steps)
    measurements, starts = concat_ranges(stays.starts, which)
    first = torch.from_numpy(starts[:-1] - stays.starts[which])[stay]
    measurement, carried = torch.from_numpy(measurements), batch.locf_index[row]
    copies = replace(
        batch,
        value=batch.value[measurement],
        variable=batch.variable[measurement],
        locf_index=torch.where(carried == len(batch.value), len(measurement), carried + first[:, None]),
        mask=batch.mask[row],
        delta_hours=batch.delta_hours[row],
        hours=batch.hours[row],
        stay=stay,
        sizes=sizes.tolist(),
        static=batch.static[copy],
        order=np.arange(len(which)),
        point_stay=torch.arange(len(which)),
        point_hours=batch.point_hours[copy],
        point_number=torch.zeros_like(copy),
        summaries=batch.summaries[copy],
    )
    copies = replace(copies, point_row=copies.row_of(copies.point_stay, steps - 1))
    copies, coded = _with_coded(copies, stays, batch, which)
    measurement_copy = torch.repeat_interleave(copies.point_stay, torch.from_numpy(stays.n_measurements[which]))
    return BatchCopies(copies, measurement, row, coded, measurement_copy)


def end_batch(stay: Sequences, batch: Batch, *, clinical_indices: tuple[str, ...]) -> Batch:
    """Derive the batch of one stay with a prediction at its end from its batch with one after each time step.

    Parameters
    ----------
    stay : Sequences
        One stay.
    batch : Batch
        With a prediction after each time step.
    clinical_indices : tuple of str
        Those of the network.

    Returns
    -------
    Batch
        Equal to ``network.make_batch(stay)``.
    """
    waited = float(stay.end_hours[0] - batch.point_hours[-1])
    later = np.array([waited if name.startswith("hours_since") else 0.0 for name in SUMMARIES], dtype=np.float32)
    n_summaries = len(stay.variables) * len(SUMMARIES)
    summaries = batch.summaries[-1:, :n_summaries].numpy() + np.tile(later, len(stay.variables))
    names = [variable.name for variable in stay.variables]
    last = torch.tensor([len(batch.hours) - 1])
    return replace(
        batch,
        point_row=last,
        point_stay=torch.zeros_like(last),
        point_hours=torch.from_numpy(stay.end_hours),
        point_number=torch.zeros_like(last),
        summaries=torch.from_numpy(with_indices(summaries, names, clinical_indices)),
        static=torch.from_numpy(stay.static),
        per_step=False,
    )


def _rows(batch: Batch, copy: Tensor, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number of copies that run at each step; for each row, its copy and the row of the stays that it repeats."""
    sizes = (steps[:, None] > torch.arange(int(steps.max()))).sum(dim=0)
    step = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    stay = torch.arange(len(step)) - torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    return sizes, stay, batch.row_of(copy[stay], step)


def _with_coded(copies: Batch, stays: Sequences, batch: Batch, which: np.ndarray) -> tuple[Batch, Tensor]:
    """The copies with the coded events of their stays; and which event each of these repeats."""
    coded, coded_copy = torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
    if len(batch.code):
        coded = torch.from_numpy(concat_ranges(stays.code_starts, which)[0])
        counts = torch.from_numpy(np.diff(stays.code_starts)[which])
        coded_copy = torch.repeat_interleave(copies.point_stay, counts)
    code_row = copies.row_of(coded_copy, batch.step[batch.code_row[coded]])
    return replace(copies, code=batch.code[coded], code_is_new=batch.code_is_new[coded], code_row=code_row), coded
