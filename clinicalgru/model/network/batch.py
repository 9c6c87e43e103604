"""Batch: some stays as tensors, with masks and real gaps in hours, and no padding.

DIFF: DESIGN speaks of padded tensors. Here the steps of all stays stand below each other, hour by hour
(`PackedSequence`'s layout): no memory and no time goes to padding, and a neighbour's length cannot matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.features.summaries import summaries_at, summaries_at_end


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
    summaries    (point, variable x summary + index)  of what was known at the point; NaN = not measured
    point_number (point,)        which of the points of its stay it is, from 0
    every_step   the points are the rows with measurements; else they are the stays, at their ends
    code         (coded event,)   which code of the vocabulary; none where coded events are not looked at
    code_row     (coded event,)   the row at which it became known
    code_new     (coded event,)   1 where the stay had no such code before, else 0
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
    point_number: Tensor
    every_step: bool
    code: Tensor
    code_row: Tensor
    code_new: Tensor

    @property
    def step(self) -> Tensor:
        """(row,) which step of its stay each row is."""
        return torch.repeat_interleave(torch.tensor(self.sizes, dtype=torch.long))

    @property
    def since(self) -> Tensor:
        """(row,) hours since the step before; 0 at the first step of a stay."""
        first = sum(self.sizes[:1])
        before = torch.arange(first, len(self.hours)) - torch.repeat_interleave(
            torch.tensor(self.sizes[:-1], dtype=torch.long), torch.tensor(self.sizes[1:], dtype=torch.long)
        )
        return torch.cat([self.hours.new_zeros(first), self.hours[first:] - self.hours[before]])

    def row_of(self, stay: Tensor, step: Tensor) -> Tensor:
        """The rows of these steps of these stays; both of one shape, of steps that there are."""
        sizes = torch.tensor(self.sizes, dtype=torch.long)
        return (sizes.cumsum(0) - sizes)[step] + stay

    def mirror(self) -> Tensor:
        """(row,) the row as far from the end of its stay as this one is from the start."""
        steps = torch.bincount(self.stay, minlength=len(self.order))
        return self.row_of(self.stay, steps[self.stay] - 1 - self.step)

    def grid(self) -> tuple[Tensor, Tensor]:
        """(stay, step) the row of each step, -1 where there is none; and whether there is one."""
        sizes = torch.tensor(self.sizes or [0], dtype=torch.long)
        stay = torch.arange(len(self.order))[:, None]
        valid = stay < sizes
        return torch.where(valid, sizes.cumsum(0) - sizes + stay, -1), valid


@dataclass(frozen=True, eq=False)
class Sample:
    """At most so many predictions of each stay, by chance.

    weight  (variable,) of what is measured at the next step: the more follows a step, the likelier it is drawn, and one
            that nothing follows only where there are no others; None: all alike
    """

    count: int
    chance: np.random.Generator
    weight: np.ndarray | None = None


def collate(
    sequences: Sequences,
    *,
    every_step: bool = False,
    codes: bool = False,
    indices: tuple[str, ...] = (),
    sample: Sample | None = None,
) -> Batch:
    """A batch of these stays, with a prediction at the end of each, or after each hour with measurements.

    codes    the steps are the distinct hours of measurements and coded events together, not of measurements alone
    indices  clinical indices beside the summaries
    sample   which of the predictions, by chance; else all

    Source: gaps as in Che et al. 2018, Eq. 2, in hours and without a loop over steps.
    """
    order = np.argsort(-_rows(sequences, codes=codes).steps, kind="stable")
    sequences = sequences[order]
    found, variables = _rows(sequences, codes=codes), len(sequences.variables)
    steps, stay, hours = found.steps, found.stay, found.hours
    begins = np.cumsum(steps) - steps
    rows, facts = len(hours), len(sequences.value)
    here = np.full((rows, variables), -1, dtype=np.int64)  # the fact that arrived at this row
    here[found.of_fact, sequences.variable] = np.arange(facts)
    carried = np.maximum.accumulate(here, axis=0) if rows else here
    carried[carried < sequences.starts[stay][:, None]] = facts  # the last fact of the stay before is not ours
    place, sizes = _time_major(steps, begins)
    by_time = np.empty(rows, dtype=np.int64)
    by_time[place] = np.arange(rows)
    gaps = _gaps(sequences, carried, hours, begins[stay], stay)
    measured = np.zeros(rows, dtype=bool)
    measured[found.of_fact] = True
    carried, hours, stay, measured = carried[by_time], hours[by_time], stay[by_time], measured[by_time]
    last_row = np.where(steps > 0, place[begins + steps - 1] if rows else -1, -1)
    point_row, point_stay, looked = np.flatnonzero(measured), stay[measured], hours[measured]
    if not every_step:
        point_row, point_stay, looked = last_row, np.arange(len(steps)), sequences.end_hours
    if sample is not None:
        follows = None if sample.weight is None else _follows(here >= 0, found.stay, sample.weight)[by_time][point_row]
        kept = sampled(point_stay, sample.count, sample.chance, weight=follows)
        point_row, point_stay, looked = point_row[kept], point_stay[kept], looked[kept]
    if every_step:
        summaries = summaries_at(sequences, carried[point_row], looked, indices=indices)
    else:
        summaries = summaries_at_end(sequences, indices=indices)[point_stay]
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
        summaries=torch.from_numpy(summaries),
        point_number=torch.from_numpy(_rank(point_stay)),
        every_step=every_step,
        code=torch.from_numpy(found.code),
        code_row=torch.from_numpy(place[found.of_code]),
        code_new=torch.from_numpy(_first(found.stay[found.of_code], found.code)),
    )


def looked_up(values: Tensor, index: Tensor) -> Tensor:
    """values[index] along the first axis, of the shape of the index; 0 where it is -1 or `len(values)`: there is none.

    DIFF: `index_select`, since indexing by a tensor takes three times as long with its gradient.

    >>> looked_up(torch.tensor([5.0, 7.0]), torch.tensor([[1, -1], [2, 0]]))
    tensor([[7., 0.],
            [0., 5.]])
    """
    padded = torch.cat([values, values.new_zeros(1, *values.shape[1:])])
    index = torch.where(index < 0, len(values), index)
    return padded.index_select(0, index.flatten()).unflatten(0, index.shape)


class _Rows(NamedTuple):
    """The distinct hours of the stays, stay after stay; and the row of each measurement and coded event."""

    steps: np.ndarray  # (stay,) how many
    stay: np.ndarray  # (row,)
    hours: np.ndarray  # (row,)
    of_fact: np.ndarray  # (fact,)
    of_code: np.ndarray  # (coded event,) none where they are not looked at
    code: np.ndarray  # (coded event,)


def _rows(sequences: Sequences, *, codes: bool) -> _Rows:
    stay_of_measurement, facts = sequences.stay_of_measurement, len(sequences.hours)
    if not codes:
        new, none = sequences.is_new_step, np.empty(0, dtype=np.int64)
        return _Rows(sequences.n_steps, stay_of_measurement[new], sequences.hours[new], np.cumsum(new) - 1, none, none)
    stay = np.concatenate([stay_of_measurement, sequences.stay_of_code])
    hours = np.concatenate([sequences.hours, sequences.code_hours])
    order = np.lexsort((hours, stay))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(hours[order]) != 0) | (np.diff(stay[order]) != 0)
    row = np.empty(len(order), dtype=np.int64)
    row[order] = np.cumsum(new) - 1
    stay, hours = stay[order][new], hours[order][new]
    steps = np.bincount(stay, minlength=len(sequences))
    return _Rows(steps, stay, hours, row[:facts], row[facts:], sequences.code.astype(np.int64))


def _first(stay: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(coded event,) 1 where a stay's code comes for the first time; the events of a stay ascend in time."""
    new = np.zeros(len(code), dtype=np.float32)
    new[np.unique(np.stack([stay, code]), axis=1, return_index=True)[1]] = 1
    return new


def _rank(stay: np.ndarray) -> np.ndarray:
    """Which of the entries of its stay each entry is, from 0."""
    order = np.argsort(stay, kind="stable")
    rank = np.empty(len(stay), dtype=np.int64)
    ordered = stay[order]
    rank[order] = np.arange(len(stay)) - np.searchsorted(ordered, ordered)
    return rank


@np.errstate(divide="ignore")  # what weighs nothing comes last
def sampled(
    stay: np.ndarray, count: int, chance: np.random.Generator, *, weight: np.ndarray | None = None
) -> np.ndarray:
    """At most so many entries of each stay, by chance, in their order; the heavier, the likelier.

    Weighted sampling without replacement: Efraimidis and Spirakis 2006.
    """
    order = chance.permutation(len(stay)) if weight is None else np.argsort(chance.exponential(size=len(stay)) / weight)
    return np.sort(order[_rank(stay[order]) < count])


def _follows(measured: np.ndarray, stay: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(row,) weight of what is measured at the next row of the stay; rows stand stay after stay. measured (row, var)"""
    mass, next_is_its = measured @ weight, stay[1:] == stay[:-1]
    return np.append(np.where(next_is_its, mass[1:], 0.0), 0.0)[: len(mass)]


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
    measured = np.append(sequences.hours - sequences.availability_lag, np.nan)
    before = np.full_like(carried, len(measured) - 1)  # what the row before of the same stay had seen
    same = stay[1:] == stay[:-1]
    before[1:][same] = carried[:-1][same]
    since = measured.take(before)
    np.copyto(since, hours[first][:, None], where=np.isnan(since))
    return (hours[:, None] - since).astype(np.float32)
