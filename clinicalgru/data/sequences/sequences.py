"""Sequences: ragged facts of the stays a task asks about, one entry per measurement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.task.outcome_kinds import happened
from clinicalgru.data.task.task import Task
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_flow, suppress_nested
from clinicalgru.errors import ArgumentError, VariableMismatch
from clinicalgru.html import summary_html, table

BY_STAY = ("patient", "stay", "static", "outcome", "end_hours", "index_time")
BY_MEASUREMENT = ("hours", "availability_lag", "variable", "value")
MEASUREMENT_DTYPES = {"hours": np.float64, "availability_lag": np.float32, "variable": np.int16, "value": np.float32}
CODE_DTYPES = {"code_hours": np.float64, "code": np.int32}
BLOCK = 4_000_000  # facts looked at together where all stays are gone through


@dataclass(frozen=True, eq=False)
class Sequences:
    """What was known of each stay at its prediction time; nothing is filled, scaled or padded.

    patient, stay     (stay,) identifiers
    starts            (stay + 1,) the facts of stay i are starts[i] to starts[i + 1]
    hours             (fact,) when the value became known, hours since the anchor, ascending within a stay
    availability_lag             (fact,) hours between measurement and then
    variable          (fact,) position in `variables`
    value             (fact,) in the variable's own unit
    code_starts       (stay + 1,) likewise for coded events
    code_hours, code  (coded event,) hours since the anchor, position in `vocabulary`
    static            (stay, static) descriptors; NaN = unknown; a category as its position among the levels
    outcome           (stay,) NaN = not recorded
    end_hours         (stay,) hours since the anchor at which the stay is looked at: the end of the task's window
    index_time      (stay,) microseconds since 1970 of the prediction; 0 where the extract has no dates
    flow              how many stays were left after each step of the selection
    """

    variables: tuple[Variable, ...]
    static_variables: tuple[Variable, ...]
    code_vocabulary: tuple[str, ...]
    task: Task
    patient: np.ndarray
    stay: np.ndarray
    starts: np.ndarray
    hours: np.ndarray
    availability_lag: np.ndarray
    variable: np.ndarray
    value: np.ndarray
    code_starts: np.ndarray
    code_hours: np.ndarray
    code: np.ndarray
    static: np.ndarray
    outcome: np.ndarray
    end_hours: np.ndarray
    index_time: np.ndarray
    has_dates: bool
    source: str
    simulated: bool = False
    flow: tuple[tuple[str, int], ...] = field(default=())
    _pages: Any = field(default=None, repr=False)  # where the facts are mapped from disk: gives memory back

    def __len__(self) -> int:
        return len(self.stay)

    def __getitem__(self, which: Any) -> Sequences:
        """The stays at these positions (list, array, slice or mask), in that order."""
        if isinstance(which, int | np.integer):
            raise ArgumentError("a list of positions", "one number", f"Write sequences[[{which}]].")
        index = np.arange(len(self))[which]
        facts, starts = ranges(self.starts, index)
        codes, code_starts = ranges(self.code_starts, index)
        by_stay = {name: getattr(self, name)[index] for name in BY_STAY}
        by_fact = {name: getattr(self, name)[facts] for name in BY_MEASUREMENT}
        by_code = {name: getattr(self, name)[codes] for name in CODE_DTYPES}
        if self._pages is not None:
            self._pages.touched(len(facts) * sum(array.itemsize for array in by_fact.values()))
        return replace(self, starts=starts, code_starts=code_starts, **by_stay, **by_fact, **by_code, _pages=None)

    def save(self, folder: str | Path) -> Path:
        """Write everything to a folder: numbers as .npy files, identifiers as Arrow text, the rest as readable JSON.

        The folder holds patient data. One that was there before is replaced once the new one is whole.
        Refused: a folder that holds something else.
        """
        from clinicalgru.data.sequences.sequences_io import save_sequences  # here, as it needs Sequences

        return save_sequences(self, folder)

    @staticmethod
    def open(folder: str | Path) -> Sequences:
        """The sequences of a folder that `save`, or `select` with a folder, wrote; measurements stay on disk.

        Whatever works on sequences works on these, and to the same bits. Refused: missing, damaged or cut off files.
        """
        from clinicalgru.data.sequences.sequences_io import open_sequences  # here, as it needs Sequences

        return open_sequences(folder)

    @property
    def mapped(self) -> bool:
        """Whether the measurements are on disk."""
        return self._pages is not None

    def chunks(self) -> Iterator[Sequences]:
        """The stays in turn, as many together as have some four million facts; nothing is copied."""
        cuts = np.searchsorted(self.starts[:-1], np.arange(BLOCK, len(self.hours), BLOCK))
        bounds = np.unique([0, *cuts.tolist(), len(self)])
        if len(bounds) < 3:
            yield self
            return
        for first, end in pairwise(bounds.tolist()):
            yield self._between(first, end)
            if self._pages is not None:
                self._pages.release()

    def _between(self, first: int, end: int) -> Sequences:
        """The stays from one position to before another, as views."""
        facts = slice(self.starts[first], self.starts[end])
        codes = slice(self.code_starts[first], self.code_starts[end])
        by_stay = {name: getattr(self, name)[first:end] for name in BY_STAY}
        by_fact = {name: getattr(self, name)[facts] for name in BY_MEASUREMENT}
        by_code = {name: getattr(self, name)[codes] for name in CODE_DTYPES}
        starts = self.starts[first : end + 1] - self.starts[first]
        code_starts = self.code_starts[first : end + 1] - self.code_starts[first]
        return replace(self, starts=starts, code_starts=code_starts, **by_stay, **by_fact, **by_code)

    @cached_property
    def n_measurements(self) -> np.ndarray:
        """(stay,) measurements of each stay."""
        return np.diff(self.starts)

    @cached_property
    def is_new_step(self) -> np.ndarray:
        """(fact,) True where a fact is the first of a distinct hour of its stay."""
        first = np.ones(len(self.hours), dtype=bool)
        first[1:] = self.hours[1:] != self.hours[:-1]
        first[self.starts[:-1][self.n_measurements > 0]] = True
        return first

    @cached_property
    def n_steps(self) -> np.ndarray:
        """(stay,) distinct hours of each stay."""
        return np.concatenate([block._distinct_hours() for block in self.chunks()])

    def _distinct_hours(self) -> np.ndarray:
        before = np.concatenate([[0], np.cumsum(self.is_new_step)])
        return np.diff(before[self.starts])

    @property
    def stay_of_measurement(self) -> np.ndarray:
        """(fact,) position of the stay each fact belongs to."""
        return np.repeat(np.arange(len(self)), self.n_measurements)

    def filter_measurements(self, keep: np.ndarray) -> Sequences:
        """The same stays with only the facts where `keep` (fact,) is True."""
        kept = np.concatenate([[0], np.cumsum(keep)])[self.starts]
        by_fact = {name: getattr(self, name)[keep] for name in BY_MEASUREMENT}
        return replace(self, starts=kept, **by_fact, _pages=None)

    @property
    def stay_of_code(self) -> np.ndarray:
        """(coded event,) position of the stay each coded event belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.code_starts))

    def filter_coded(self, keep: np.ndarray) -> Sequences:
        """The same stays with only the coded events where `keep` (coded event,) is True."""
        kept = np.concatenate([[0], np.cumsum(keep)])[self.code_starts]
        return replace(self, code_starts=kept, **{name: getattr(self, name)[keep] for name in CODE_DTYPES})

    def until(self, hours: np.ndarray) -> Sequences:
        """The one stay as it was known at each of these hours: (len(hours),) prefixes of it."""
        prefixes = self[np.zeros(len(hours), dtype=int)]
        seen = prefixes.hours <= hours[prefixes.stay_of_measurement]
        later = (np.asarray(hours) - prefixes.end_hours) * 3.6e9
        at = prefixes.index_time + later.astype(np.int64) if self.has_dates else prefixes.index_time
        prefixes = replace(prefixes, end_hours=np.asarray(hours, dtype=float), index_time=at).filter_measurements(seen)
        return prefixes.filter_coded(prefixes.code_hours <= prefixes.end_hours[prefixes.stay_of_code])

    def with_variables(self, variables: Sequence[Variable]) -> Sequences:
        """The same stays seen through these variables: others are left out, absent ones were never measured.

        Refused: a variable of the same name in another unit.
        """
        if tuple(variables) == self.variables:
            return self
        position = {variable.name: i for i, variable in enumerate(variables)}
        for ours in self.variables:
            if ours.name in position and variables[position[ours.name]].unit != ours.unit:
                other = variables[position[ours.name]].unit
                raise VariableMismatch(f"{ours.name} in {other}", ours.unit, "Read the extract with the model's units.")
        number = np.array([position.get(variable.name, -1) for variable in self.variables], dtype=np.int16)
        renumbered = number[self.variable] if len(number) else self.variable
        kept = replace(self, variables=tuple(variables), variable=renumbered).filter_measurements(renumbered >= 0)
        return kept.sorted()

    def with_static_variables(self, static_variables: Sequence[Variable]) -> Sequences:
        """The same stays with these static descriptors, in this order; absent ones are unknown."""
        have = {variable.name: i for i, variable in enumerate(self.static_variables)}
        columns = [
            self.static[:, have[s.name]] if s.name in have else np.full(len(self), np.nan, np.float32)
            for s in static_variables
        ]
        static = np.stack(columns, axis=1) if columns else np.zeros((len(self), 0), np.float32)
        return replace(self, static_variables=tuple(static_variables), static=static)

    def sorted(self) -> Sequences:
        """Facts in canonical order: stay, hours, time of measurement, variable."""
        order = np.lexsort((self.variable, -self.availability_lag, self.hours, self.stay_of_measurement))
        return replace(self, **{name: getattr(self, name)[order] for name in BY_MEASUREMENT})

    def flow_table(self) -> pd.DataFrame:
        """The cohort flow: step, stays left after it, and how many it left out (exact: for the analyst).

        >>> from types import SimpleNamespace
        >>> Sequences.flow_table(SimpleNamespace(flow=(("stays in the extract", 40), ("adults", 28))))
                           step  stays  left_out
        0  stays in the extract     40         0
        1                adults     28        12
        """
        table = pd.DataFrame(list(self.flow), columns=["step", "stays"])
        return table.assign(left_out=-table["stays"].diff().fillna(0).astype(int))

    def to_frame(self) -> pd.DataFrame:
        """One row a measurement, for people: stay (position), hours, variable, value, unit, measured_hours."""
        names = np.array([variable.name for variable in self.variables], dtype=object)
        units = np.array([variable.unit for variable in self.variables], dtype=object)
        return pd.DataFrame(
            {
                "stay": self.stay_of_measurement,
                "hours": self.hours,
                "variable": names[self.variable] if len(names) else [],
                "value": self.value,
                "unit": units[self.variable] if len(units) else [],
                "measured_hours": self.hours - self.availability_lag,
            }
        )

    def to_dense(self) -> tuple[np.ndarray, np.ndarray]:
        """Values (stay, step, variable) and hours (stay, step); NaN = not measured, or no such step.

        Of two results of one variable that became known at once, the one measured last is shown.
        """
        shape = len(self), int(self.n_steps.max(initial=0))
        values = np.full((*shape, len(self.variables)), np.nan, dtype=np.float32)
        hours = np.full(shape, np.nan)
        stay = self.stay_of_measurement
        step = np.cumsum(self.is_new_step) - 1
        step -= (np.cumsum(self.n_steps) - self.n_steps)[stay]
        hours[stay, step] = self.hours
        values[stay, step, self.variable] = self.value
        return values, hours

    def _repr_html_(self) -> str:
        min_cell_size = 0 if self.simulated else MIN_CELL_SIZE
        came = happened(self.outcome, self.task)
        stays, events = suppress_nested(
            [len(self), int(came.sum()) if came is not None else 0], min_cell_size=min_cell_size
        )
        facts = {
            "task": self.task.title or self.task.name,
            "source": self.source,
            "stays": format_count(stays),
            "outcome": self.task.outcome_words + (f", {format_count(events)} with it" if came is not None else ""),
            "measurements": f"{len(self.value):,} of {len(self.variables)} variables",
        }
        steps = suppress_flow(self.flow, within=[stays] if stays is not None else [], min_cell_size=min_cell_size)
        rows = [[step, format_count(left)] for step, left in steps]
        flow = [table("Who is left after each step", ("Step", "Stays"), rows)] if rows else []
        return summary_html("Sequences", facts, *flow)

    def __repr__(self) -> str:
        return f"Sequences({len(self):,} stays, {len(self.hours):,} measurements, {len(self.variables)} variables)"


def ranges(starts: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions starts[i] ... starts[i + 1] - 1 for each i of index, joined, and the starts within them.

    >>> ranges(np.array([0, 2, 5]), np.array([1, 0]))
    (array([2, 3, 4, 0, 1]), array([0, 3, 5]))
    """
    counts = starts[index + 1] - starts[index]
    joined = np.concatenate([[0], np.cumsum(counts)])
    return np.arange(joined[-1]) + np.repeat(starts[index] - joined[:-1], counts), joined
