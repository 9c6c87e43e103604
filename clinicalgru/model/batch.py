"""Batch: some stays as tensors, with masks and real gaps in hours, and no padding.

DIFF: DESIGN speaks of padded tensors. Here the steps of all stays stand below each other, hour by hour
(`PackedSequence`'s layout): no memory and no time goes to padding, and a neighbour's length cannot matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences import Sequences
from clinicalgru.model.summaries import summaries_at


@dataclass(frozen=True, eq=False)
class Batch:
    """Stays sorted by their number of steps, longest first; a row is one step of one stay, first all first steps.

    value      (fact,)           measurements in their own unit
    variable   (fact,)           which variable each is
    carried    (row, variable)   the fact last seen at or before the step; `len(value)` = never seen
    observed   (row, variable)   1 where that fact arrived at this very step, else 0
    gap_hours  (row, variable)   hours since the variable was measured before this step; since the first step if never
    hours      (row,)            hours since the anchor
    stay       (row,)            which stay of the batch
    sizes                        how many stays still run at each step; their sum is the number of rows
    static     (stay, static)    NaN = unknown
    order      (stay,)           position of each stay of the batch in the sequences it was made from
    point_row    (point,)        the row after which a prediction is made; -1 in a stay without any
    point_stay   (point,)        which stay of the batch
    point_hours  (point,)        hours since the anchor of the prediction
    summaries    (point, variable x summary)  of what was known at the point; NaN = not measured
    every_step   the points are the rows; else they are the stays, at their ends
    """

    value: Tensor
    variable: Tensor
    carried: Tensor
    observed: Tensor
    gap_hours: Tensor
    hours: Tensor
    stay: Tensor
    sizes: list[int]
    static: Tensor
    order: np.ndarray
    point_row: Tensor
    point_stay: Tensor
    point_hours: Tensor
    summaries: Tensor
    every_step: bool

    @property
    def step(self) -> Tensor:
        """(row,) which step of its stay each row is."""
        return torch.repeat_interleave(torch.tensor(self.sizes, dtype=torch.long))

    def grid(self) -> tuple[Tensor, Tensor]:
        """(stay, step) the row of each step, -1 where there is none; and whether there is one."""
        sizes = torch.tensor(self.sizes or [0], dtype=torch.long)
        stay = torch.arange(len(self.order))[:, None]
        valid = stay < sizes
        return torch.where(valid, sizes.cumsum(0) - sizes + stay, -1), valid


def collate(sequences: Sequences, *, every_step: bool = False) -> Batch:
    """A batch of these stays, with a prediction at the end of each, or after each step.

    Source: gaps as in Che et al. 2018, Eq. 2, in hours and without a loop over steps.
    """
    order = np.argsort(-sequences.steps, kind="stable")
    sequences = sequences[order]
    steps, variables = sequences.steps, len(sequences.variables)
    begins = np.cumsum(steps) - steps
    rows, facts = int(steps.sum()), len(sequences.value)
    row_of_fact = np.cumsum(sequences.new_step) - 1
    here = np.full((rows, variables), -1, dtype=np.int64)  # the fact that arrived at this row
    here[row_of_fact, sequences.variable] = np.arange(facts)
    carried = np.maximum.accumulate(here, axis=0) if rows else here
    stay = np.repeat(np.arange(len(steps)), steps)
    carried[carried < sequences.starts[stay][:, None]] = facts  # the last fact of the stay before is not ours
    hours = sequences.hours[sequences.new_step]
    place, sizes = _time_major(steps, begins)
    by_time = np.empty(rows, dtype=np.int64)
    by_time[place] = np.arange(rows)
    gaps = _gaps(sequences, carried, hours, begins[stay], stay)
    carried, hours, stay = carried[by_time], hours[by_time], stay[by_time]
    last_row = np.where(steps > 0, place[begins + steps - 1] if rows else -1, -1)
    point_row, point_stay, looked = np.arange(rows), stay, hours
    if not every_step:
        point_row, point_stay, looked = last_row, np.arange(len(steps)), sequences.end_hours
    seen = np.vstack([carried, np.full((1, variables), facts)])  # at row -1, nothing
    return Batch(
        value=torch.from_numpy(sequences.value),
        variable=torch.from_numpy(sequences.variable.astype(np.int64)),
        carried=torch.from_numpy(carried),
        observed=torch.from_numpy((here[by_time] >= 0).astype(np.float32)),
        gap_hours=torch.from_numpy(gaps[by_time]),
        hours=torch.from_numpy(hours.astype(np.float32)),
        stay=torch.from_numpy(stay),
        sizes=sizes,
        static=torch.from_numpy(sequences.static),
        order=order,
        point_row=torch.from_numpy(point_row),
        point_stay=torch.from_numpy(point_stay),
        point_hours=torch.from_numpy(looked),
        summaries=torch.from_numpy(summaries_at(sequences, seen[point_row], looked)),
        every_step=every_step,
    )


def _time_major(steps: np.ndarray, begins: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Where each row of stay after stay goes when rows stand step after step, and the stays that run at each step."""
    longest = int(steps.max(initial=0))
    sizes = np.searchsorted(-steps, -np.arange(longest), side="left")
    before = np.cumsum(sizes) - sizes
    step = np.arange(steps.sum()) - np.repeat(begins, steps)
    return before[step] + np.repeat(np.arange(len(steps)), steps), sizes.tolist()


def _gaps(
    sequences: Sequences, carried: np.ndarray, hours: np.ndarray, first: np.ndarray, stay: np.ndarray
) -> np.ndarray:
    """(row, variable) hours since the variable was measured, as known before this row; rows stand stay after stay."""
    measured = np.append(sequences.hours - sequences.delay, 0.0)
    since = hours[:, None] - hours[first][:, None]
    gaps = np.broadcast_to(since, carried.shape).copy()
    before = carried[:-1]  # what the row before had seen
    seen = (before < len(measured) - 1) & (stay[1:] == stay[:-1])[:, None]
    later = np.broadcast_to(hours[1:, None], seen.shape)[seen] - measured[before[seen]]
    gaps[1:][seen] = later
    return gaps.astype(np.float32)
