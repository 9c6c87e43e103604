"""Copies of stays as one batch, made from their batch and not from their measurements: nothing is summarised again."""

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
class Copies:
    """Some stays of a batch, each as often as wanted, and where everything in them comes from.

    batch  as `network.batch(stays[which])` would give it
    fact, row, event  (copy's entry,) the fact, row and coded event of the stays that it is a copy of
    of_fact           (fact,) which copy; of a row and an event: batch.stay
    """

    batch: Batch
    fact: Tensor
    row: Tensor
    event: Tensor
    of_fact: Tensor

    @property
    def of_event(self) -> Tensor:
        """(coded event,) which copy."""
        return self.batch.stay[self.batch.code_row]


def copied(stays: Sequences, batch: Batch, which: np.ndarray) -> Copies:
    """The stays at these positions, asked at their ends.

    stays, batch  the stays as they stand in their batch, longest first
    which         (copy,) ascending, so that longer stays still come first
    """
    copy, steps = torch.from_numpy(which), torch.bincount(batch.stay, minlength=len(stays))[which]
    sizes, stay, row = _rows(batch, copy, steps)
    facts, starts = concat_ranges(stays.starts, which)
    first = torch.from_numpy(starts[:-1] - stays.starts[which])[stay]
    fact, carried = torch.from_numpy(facts), batch.carried[row]
    made = replace(
        batch,
        value=batch.value[fact],
        variable=batch.variable[fact],
        carried=torch.where(carried == len(batch.value), len(fact), carried + first[:, None]),
        observed=batch.observed[row],
        gap_hours=batch.gap_hours[row],
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
    made, event = _with_codes(replace(made, point_row=made.row_of(made.point_stay, steps - 1)), stays, batch, which)
    of_fact = torch.repeat_interleave(made.point_stay, torch.from_numpy(stays.n_measurements[which]))
    return Copies(made, fact, row, event, of_fact)


def _rows(batch: Batch, copy: Tensor, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How many copies run at each step; of each row, which copy it is of, and of which row of the stays."""
    sizes = (steps[:, None] > torch.arange(int(steps.max()))).sum(dim=0)
    step = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    stay = torch.arange(len(step)) - torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    return sizes, stay, batch.row_of(copy[stay], step)


def _with_codes(made: Batch, stays: Sequences, batch: Batch, which: np.ndarray) -> tuple[Batch, Tensor]:
    """The copies with the coded events of their stays; and of which event each is a copy."""
    event, of_event = torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
    if len(batch.code):
        event = torch.from_numpy(concat_ranges(stays.code_starts, which)[0])
        of_event = torch.repeat_interleave(made.point_stay, torch.from_numpy(np.diff(stays.code_starts)[which]))
    code_row = made.row_of(of_event, batch.step[batch.code_row[event]])
    return replace(made, code=batch.code[event], code_new=batch.code_new[event], code_row=code_row), event


def at_the_end(stay: Sequences, batch: Batch, *, indices: tuple[str, ...]) -> Batch:
    """One stay asked at its end, from its batch asked after each step; as `network.batch(stay)` would give it."""
    waited = float(stay.end_hours[0] - batch.point_hours[-1])
    later = np.array([waited if name.startswith("hours_since") else 0.0 for name in SUMMARIES], dtype=np.float32)
    of_variables = len(stay.variables) * len(SUMMARIES)
    summaries = batch.summaries[-1:, :of_variables].numpy() + np.tile(later, len(stay.variables))
    last = torch.tensor([len(batch.hours) - 1])
    return replace(
        batch,
        point_row=last,
        point_stay=torch.zeros_like(last),
        point_hours=torch.from_numpy(stay.end_hours),
        point_number=torch.zeros_like(last),
        summaries=torch.from_numpy(with_indices(summaries, [one.name for one in stay.variables], indices)),
        every_step=False,
    )
