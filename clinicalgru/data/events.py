"""Events: the checked long table, its stays, and the ledger of how it came to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ledger import Ledger
from clinicalgru.data.task.task import Task
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_nested
from clinicalgru.html import summary_html

HOUR = 3_600_000_000  # microseconds
IMPLAUSIBLE = pa.schema(
    [("stay", pa.int32()), ("time", pa.int64()), ("variable", pa.string()), ("value", pa.float64())]
)


@dataclass(frozen=True, eq=False)
class Events:
    """Validated measurements of stays, in canonical order (patient, stay, available_at, time, variable).

    measurements       Arrow table, one row a measurement: stay (position in `stays`), available and time (microseconds),
                variable (position in `variables`), value (in the variable's own unit); memory-mapped from disk
    coded       Arrow table, one row a coded event (diagnosis, drug, ...): stay, available, time, code (position in
                `vocabulary`)
    code_vocabulary  the codes, as "variable//code"
    stays       patient_id, stay_id, start, end (microseconds, may be missing), static descriptors, outcomes
    variables   series variables that occur, sorted by name
    static_variables     static descriptors that occur; categories as position among the variable's levels
    outcomes    names of the outcome columns of `stays` (missing = not recorded)
    ledger      rows in = used + merged + rejected, by reason
    has_dates       True where times are dates; False where they are hours since the stay's start
    source      where the data came from, in words
    simulated   True where the patients are not real
    implausible Arrow table of the rejected values outside the plausible range, for the audit only: stay, time (missing
                for a descriptor of the stays table), variable (name), value
    """

    measurements: pa.Table
    coded: pa.Table
    code_vocabulary: tuple[str, ...]
    stays: pd.DataFrame
    variables: tuple[Variable, ...]
    static_variables: tuple[Variable, ...]
    outcomes: tuple[str, ...]
    ledger: Ledger
    has_dates: bool
    source: str
    simulated: bool = False
    implausible: pa.Table = field(default_factory=IMPLAUSIBLE.empty_table, repr=False)
    _disk: Any = field(default=None, repr=False)  # keeps the memory-mapped folder alive
    _maps: Any = field(default=None, repr=False)  # of the mapped facts: gives memory back

    def __len__(self) -> int:
        return self.measurements.num_rows + self.coded.num_rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The facts, about a million at a time; memory that reading them took is given back between."""
        for batch in self.measurements.to_batches():
            yield batch
            if self._maps is not None:
                self._maps.note_read(batch.nbytes)

    def to_frame(self) -> pd.DataFrame:
        """All measurements as a table for people: patient_id, stay_id, time, available_at, variable, value, unit."""
        stay = self.measurements["stay"].to_numpy()
        names = np.array([variable.name for variable in self.variables], dtype=object)
        units = np.array([variable.unit for variable in self.variables], dtype=object)
        variable = self.measurements["variable"].to_numpy()
        return pd.DataFrame(
            {
                "patient_id": self.stays["patient_id"].to_numpy()[stay],
                "stay_id": self.stays["stay_id"].to_numpy()[stay],
                "time": self._clock(self.measurements["time"].to_numpy()),
                "available_at": self._clock(self.measurements["available"].to_numpy()),
                "variable": names[variable] if len(names) else [],
                "value": self.measurements["value"].to_numpy(),
                "unit": units[variable] if len(units) else [],
            }
        )

    def counts(self) -> pd.DataFrame:
        """Measurements and stays of each variable."""
        table = (
            self.measurements.group_by("variable")
            .aggregate([("value", "count"), ("stay", "count_distinct")])
            .to_pandas()
        )
        table.insert(0, "name", [self.variables[i].name for i in table.pop("variable")])
        return table.set_axis(["variable", "measurements", "stays"], axis=1).sort_values("variable", ignore_index=True)

    def further_outcomes(self, task: Task) -> pd.DataFrame:
        """What is recorded of the stays besides what a task asks: numbers by stay_id, for `fit(..., auxiliary=)`.

        No columns where nothing else is recorded, or where patients share a stay_id.

        >>> from clinicalgru import Task, read_events, simulate
        >>> events = read_events(simulate(50, random_state=0))
        >>> "in_hospital_death" in events.further_outcomes(Task.load("in_hospital_mortality"))
        False
        """
        asked, table = {*task.outcomes, task.outcome_time}, self.stays.set_index("stay_id")
        return table[[name for name in self.outcomes if name not in asked and table.index.is_unique]]

    def _clock(self, microseconds: np.ndarray) -> np.ndarray:
        return microseconds.view("datetime64[us]") if self.has_dates else microseconds.view("timedelta64[us]")

    def _repr_html_(self) -> str:
        min_cell_size = 0 if self.simulated else MIN_CELL_SIZE
        facts = {
            "source": self.source,
            "stays": format_count(*suppress_nested([len(self.stays)], min_cell_size=min_cell_size)),
            "measurements": f"{self.measurements.num_rows:,} of {len(self.variables)} variables",
            "coded events": f"{self.coded.num_rows:,} of {len(self.code_vocabulary)} codes",
            "descriptors": ", ".join(variable.label for variable in self.static_variables) or "none",
            "outcomes": ", ".join(self.outcomes) or "none",
        }
        return summary_html("Events", facts, self.ledger.as_html(min_cell_size=min_cell_size))

    def __repr__(self) -> str:
        return (
            f"Events({len(self):,} events of {len(self.stays):,} stays, {len(self.variables)} variables, {self.source})"
        )


def first_times(events: Events) -> np.ndarray:
    """(stay,) microseconds of the earliest event of each stay; 0 for a stay without any."""
    first = np.full(len(events.stays), np.iinfo(np.int64).max)
    for batch in chain(events.coded.to_batches(), events.batches()):
        stay = batch["stay"].to_numpy()
        begins = np.flatnonzero(np.diff(stay, prepend=-1))  # events stand stay after stay
        if len(begins):
            earliest = np.minimum.reduceat(batch["time"].to_numpy(), begins)
            first[stay[begins]] = np.minimum(first[stay[begins]], earliest)
    return np.where(first == np.iinfo(np.int64).max, 0, first)
