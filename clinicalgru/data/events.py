"""Events: the validated long table of an extract, its stays and its ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
NO_TIME = np.iinfo(np.int64).max  # of a stay without events
LABELLED_STAY = "labelled_stay"  # column of the stays: number of the stay that several labels share
IMPLAUSIBLE = pa.schema(
    [("stay", pa.int32()), ("time", pa.int64()), ("variable", pa.string()), ("value", pa.float64())]
)
STATIC_OBSERVATIONS = pa.schema(
    [
        ("stay", pa.int32()),
        ("available", pa.int64()),
        ("time", pa.int64()),
        ("variable", pa.int16()),
        ("value", pa.float64()),
    ]
)


@dataclass(frozen=True, eq=False)
class Events:
    """An extract after ingestion: measurements, coded events and stays, with the ledger of all rows.

    Attributes
    ----------
    measurements : pyarrow.Table
        One row per measurement: stay (position in `stays`), available and time (microseconds), variable (position in
        `variables`), value (in the unit of the variable). In canonical order: patient, stay, available, time, variable.
        Memory-mapped from disk.
    coded : pyarrow.Table
        One row per coded event, such as a diagnosis or drug: stay, available, time, code (position in
        `code_vocabulary`).
    code_vocabulary : tuple of str
        The codes, as "variable//code".
    stays : DataFrame
        patient_id, stay_id, start, end (microseconds, may be missing), static covariates, outcomes. A static covariate
        has the last value of the whole stay here; what was known when stands in `static_observations`. Where a stay
        has several labels, each is an entry of its own, with all rows; `labelled_stay` numbers the stays then.
    variables : tuple of Variable
        Variables that are measured, by name.
    static_variables : tuple of Variable
        Static covariates that occur; a category is stored as its position among the categories.
    outcomes : tuple of str
        Outcome columns of `stays`; missing = unknown.
    named_outcomes : tuple of str
        Those that the source or the argument `outcomes_columns` names as such: only they can be auxiliary targets.
    ledger : Ledger
        Rows in = used + merged + rejected, by reason.
    has_dates : bool
        Whether times are dates; else they are hours since the start of the stay.
    source : str
        Where the data came from.
    simulated : bool
        Whether the patients are synthetic.
    reading : mapping
        How the extract was read: arguments of `read_events`, and which tables, ends and static variables it had.
    implausible : pyarrow.Table
        Rejected values outside the plausible range, for the audit: stay, time, variable (name), value.
    static_observations : pyarrow.Table
        Values of static covariates that occurred as rows, where they changed what was known: stay, available, time,
        variable (position in `static_variables`), value; in this order. A covariate of a stay without an entry was
        known from the start, or is unknown.
    as_of : int or None
        Moment up to which the extract is seen, in microseconds, as `known_at` sets it; None: as far as it goes.
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
    reading: Mapping[str, Any] = field(default_factory=dict)
    named_outcomes: tuple[str, ...] = ()
    implausible: pa.Table = field(default_factory=IMPLAUSIBLE.empty_table, repr=False)
    static_observations: pa.Table = field(default_factory=STATIC_OBSERVATIONS.empty_table, repr=False)
    as_of: int | None = None
    _disk: Any = field(default=None, repr=False)  # keeps the memory-mapped folder
    _maps: Any = field(default=None, repr=False)  # the memory maps of the measurements

    def __getstate__(self) -> dict[str, Any]:
        """A copy or pickle holds the rows themselves, not the temporary files that they are mapped from."""
        return {**vars(self), "_disk": None, "_maps": None}

    def __len__(self) -> int:
        return self.measurements.num_rows + self.coded.num_rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The measurements, about a million at a time; their memory is released in between.

        Yields
        ------
        pyarrow.RecordBatch
            Rows of `measurements`.
        """
        for batch in self.measurements.to_batches():
            yield batch
            if self._maps is not None:
                self._maps.note_read(batch.nbytes)

    def to_frame(self) -> pd.DataFrame:
        """The measurements as a table.

        Returns
        -------
        DataFrame
            patient_id, stay_id, time, available_at, variable, value, unit.
        """
        stay = self.measurements["stay"].to_numpy()
        names = np.array([variable.name for variable in self.variables], dtype=object)
        units = np.array([variable.unit for variable in self.variables], dtype=object)
        variable = self.measurements["variable"].to_numpy()
        return pd.DataFrame(
            {
                "patient_id": self.stays["patient_id"].to_numpy()[stay],
                "stay_id": self.stays["stay_id"].to_numpy()[stay],
                "time": self._as_times(self.measurements["time"].to_numpy()),
                "available_at": self._as_times(self.measurements["available"].to_numpy()),
                "variable": names[variable] if len(names) else [],
                "value": self.measurements["value"].to_numpy(),
                "unit": units[variable] if len(units) else [],
            }
        )

    def counts(self) -> pd.DataFrame:
        """Count the measurements and stays of each variable; a stay with several labels counts once.

        Returns
        -------
        DataFrame
            variable, measurements, stays.
        """
        rows = self.measurements
        if LABELLED_STAY in self.stays:
            is_first = ~self.stays[LABELLED_STAY].duplicated().to_numpy()
            rows = rows.filter(pa.array(is_first[rows["stay"].to_numpy()]))
        counted = rows.group_by("variable").aggregate([("value", "count"), ("stay", "count_distinct")])
        table = counted.to_pandas()
        table.insert(0, "name", [self.variables[i].name for i in table.pop("variable")])
        return table.set_axis(["variable", "measurements", "stays"], axis=1).sort_values("variable", ignore_index=True)

    def auxiliary_targets(self, task: Task) -> pd.DataFrame:
        """Named outcomes that the task does not predict, as auxiliary targets for `fit(..., auxiliary=)`.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        DataFrame
            Numbers by stay_id; no columns where there are no other outcomes, or where patients share a stay_id. Text
            is left out.

        Examples
        --------
        >>> from clinicalgru import Task, read_events, simulate
        >>> events = read_events(simulate(50, random_state=0))
        >>> "in_hospital_death" in events.auxiliary_targets(Task.load("in_hospital_mortality"))
        False
        """
        used, table = {*task.outcomes, task.outcome_time}, self.stays.set_index("stay_id")
        numbers = [name for name in self.named_outcomes if pd.api.types.is_numeric_dtype(table[name])]
        return table[[name for name in numbers if name not in used and table.index.is_unique]]

    def _as_times(self, microseconds: np.ndarray) -> np.ndarray:
        return microseconds.view("datetime64[us]") if self.has_dates else microseconds.view("timedelta64[us]")

    def _repr_html_(self) -> str:
        min_cell_size = 0 if self.simulated else MIN_CELL_SIZE
        summary = {
            "source": self.source,
            "stays": format_count(*suppress_nested([len(self.stays)], min_cell_size=min_cell_size)),
            "measurements": f"{self.measurements.num_rows:,} of {len(self.variables)} variables",
            "coded events": f"{self.coded.num_rows:,} of {len(self.code_vocabulary)} codes",
            "static covariates": ", ".join(variable.label for variable in self.static_variables) or "none",
            "outcomes": ", ".join(self.outcomes) or "none",
        }
        return summary_html("Events", summary, self.ledger.as_html(min_cell_size=min_cell_size))

    def __repr__(self) -> str:
        return (
            f"Events({len(self):,} events of {len(self.stays):,} stays, {len(self.variables)} variables, {self.source})"
        )


def first_times(events: Events) -> np.ndarray:
    """Time of the first event of each stay.

    Parameters
    ----------
    events : Events
        The extract.

    Returns
    -------
    ndarray of int, shape (stay,)
        Microseconds; 0 for a stay without events.
    """
    first = earliest_times(chain(events.coded.to_batches(), events.batches()), len(events.stays))
    return np.where(first == NO_TIME, 0, first)


def earliest_times(batches: Iterable[pa.RecordBatch], n_stays: int) -> np.ndarray:
    """Find the earliest time of each stay.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Columns stay (position) and time (microseconds); each batch is sorted by stay.
    n_stays : int
        Number of stays.

    Returns
    -------
    ndarray of int, shape (stay,)
        Microseconds; `NO_TIME` for a stay that does not occur.
    """
    first = np.full(n_stays, NO_TIME)
    for batch in batches:
        stay = batch["stay"].to_numpy()
        begins = np.flatnonzero(np.diff(stay, prepend=-1))
        if len(begins):
            earliest = np.minimum.reduceat(batch["time"].to_numpy(), begins)
            first[stay[begins]] = np.minimum(first[stay[begins]], earliest)
    return first
