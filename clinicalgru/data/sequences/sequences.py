"""Sequences: the measurements of the stays of a task, ragged, one entry per measurement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance
from clinicalgru.data.sequences.columns import Column, PositionIndexer, check_exchangeable
from clinicalgru.data.sequences.ragged import RaggedStays
from clinicalgru.data.sequences.sequences_io import read_sequences, write_sequences
from clinicalgru.data.task.outcome_kinds import occurred
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_flow, suppress_nested
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.html import summary_html, table

MICROSECONDS = 3.6e9  # per hour


class Sequences(RaggedStays):
    """What was known of each stay at its prediction time; nothing is imputed, scaled or padded.

    Sequences slice like an array of stays: `sequences[index]` takes a list or array of positions, a slice or a mask.
    scikit-learn's splitters, searches and `permutation_importance` accept them as `X`; a "column" is then all
    measurements of one variable, or one static covariate.

    Attributes
    ----------
    variables : tuple of Variable
        The variables that `variable` points to.
    static_variables : tuple of Variable
        The static covariates.
    code_vocabulary : tuple of str
        The codes that `code` points to.
    task : Task
        The task.
    patient, stay : ndarray of str, shape (stay,)
        Identifiers.
    starts : ndarray of int, shape (stay + 1,)
        The measurements of stay i are `starts[i]` to `starts[i + 1] - 1`.
    hours : ndarray of float, shape (measurement,)
        When the value became known, in hours since the index time; ascending within a stay.
    availability_lag : ndarray of float, shape (measurement,)
        Hours from the measurement until the value became known.
    variable : ndarray of int, shape (measurement,)
        Position in `variables`.
    value : ndarray of float, shape (measurement,)
        The value, in the unit of its variable.
    code_starts : ndarray of int, shape (stay + 1,)
        The coded events of stay i are `code_starts[i]` to `code_starts[i + 1] - 1`.
    code_hours : ndarray of float, shape (coded event,)
        Hours since the index time.
    code : ndarray of int, shape (coded event,)
        Position in `code_vocabulary`.
    static : ndarray of float, shape (stay, static covariate)
        Static covariates, the last value known at the prediction time; NaN = unknown; a category as its position among
        the categories.
    static_starts : ndarray of int, shape (stay + 1,)
        The static observations of stay i are `static_starts[i]` to `static_starts[i + 1] - 1`.
    static_hours : ndarray of float, shape (static observation,)
        When a value of a static covariate became known, in hours since the index time. Covariates that did not change
        after the start of the window have no entry.
    static_column : ndarray of int, shape (static observation,)
        Position in `static_variables`.
    static_value : ndarray of float, shape (static observation,)
        The value.
    outcome : ndarray of float, shape (stay,) or (stay, column)
        Outcome of the task; NaN = unknown.
    end_hours : ndarray of float, shape (stay,)
        Prediction time in hours since the index time: the end of the task's window.
    index_time : ndarray of int, shape (stay,)
        Microseconds since 1970 of the prediction time; 0 where the extract has no dates.
    has_dates : bool
        Whether the extract has dates.
    source : str
        Where the data came from.
    simulated : bool
        Whether the patients are synthetic.
    reading : mapping
        How the extract was read; see `Events.reading`.
    flow : tuple of (str, int)
        Stays left after each step of the selection.
    groups : DataFrame, shape (stay, column)
        Labels of the stays, such as site and ward: for splits, subgroups and tables, never learned from; NA = unknown.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> extract = cg.simulate(40, random_state=0)
    >>> sequences = cg.select(cg.read_events(extract), cg.Task.load("in_hospital_mortality"))
    >>> len(sequences), len(sequences[:5]), len(sequences[[3, 1]])
    (38, 5, 2)
    >>> died = sequences[sequences.outcome == 1]
    >>> died.outcome.tolist()
    [1.0, 1.0]
    >>> sequences[:1].to_frame().columns.tolist()
    ['stay', 'hours', 'variable', 'value', 'unit', 'measured_hours']
    >>> early = sequences.truncate_at(24)
    >>> len(early), bool(early.hours.max() <= 24)
    (38, True)
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(stays, variables + static covariates)."""
        return len(self), len(self.variables) + len(self.static_variables)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Refuse to become an array: measurements are ragged."""
        fix = "Use an estimator of clinicalgru, or the table of to_frame()."
        raise ArgumentError("a table of numbers", describe(self), fix)

    @property
    def columns(self) -> np.ndarray:
        """Names of the variables, then of the static covariates."""
        return np.array([variable.name for variable in (*self.variables, *self.static_variables)], dtype=object)

    @property
    def index(self) -> np.ndarray:
        """Positions of the stays."""
        return np.arange(len(self))

    @property
    def iloc(self) -> PositionIndexer:
        """Stays by position, and columns with their stays in another order, as scikit-learn reads them."""
        return PositionIndexer(self)

    @property
    def loc(self) -> PositionIndexer:
        """The same as `iloc`: stays have no labels."""
        return PositionIndexer(self)

    def take(self, indices: Any, axis: int = 0) -> AssignableSequences:
        """The stays at some positions, as scikit-learn's splitters take them.

        Parameters
        ----------
        indices : array-like of int
            Positions.
        axis : int
            0 only: a stay has no columns to take.

        Returns
        -------
        AssignableSequences
            A copy.

        Raises
        ------
        ArgumentError
            If `axis` is not 0.
        """
        if axis != 0:
            raise ArgumentError("axis=0", f"axis={axis}", "Use with_variables to choose variables.")
        return self[np.asarray(indices, dtype=int)].copy()

    def copy(self) -> AssignableSequences:
        """A copy whose columns can be assigned, as `permutation_importance` does.

        Returns
        -------
        AssignableSequences
            A copy that shares the arrays; assigning a column replaces them in the copy only.
        """
        copied = AssignableSequences.__new__(AssignableSequences)
        copied.__dict__.update(self.__dict__)
        return copied

    def save(self, folder: str | Path) -> Path:
        """Write the sequences to a folder.

        Numbers become .npy files, identifiers Arrow text, the rest readable JSON. The folder holds patient data. An
        existing folder of sequences is replaced once the new one is complete.

        Parameters
        ----------
        folder : str or Path
            The folder.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        ArgumentError
            If the folder holds something else.
        """
        return write_sequences(self, folder)

    @staticmethod
    def open(folder: str | Path) -> Sequences:
        """Open sequences that `save`, or `select` with a folder, wrote; measurements stay on disk.

        Sequences on disk give the same results, to the bit, as sequences in memory.

        Parameters
        ----------
        folder : str or Path
            The folder.

        Returns
        -------
        Sequences
            The sequences, with memory-mapped measurements.

        Raises
        ------
        InputError
            If a file is missing, damaged or cut off.
        """
        return Sequences(**read_sequences(folder))

    def truncate_at(self, hours: float | np.ndarray, *, retained: np.ndarray | None = None) -> Sequences:
        """Each stay as it was known at an hour.

        Parameters
        ----------
        hours : float or ndarray, shape (stay,)
            Hours since the index time, one for all stays or one per stay. A stay that ends earlier stays as it is.
        retained : ndarray of bool, shape (measurement,), or None
            Measurements that are left, if they were known by then. None: all.

        Returns
        -------
        Sequences
            The stays with the prediction time moved, and without what became known later: measurements, coded events
            and values of static covariates.

        Raises
        ------
        ArgumentError
            If `hours` has another shape, or one of them is unknown (NaN).
        """
        cut = np.asarray(hours, dtype=float)
        if cut.shape not in ((), (len(self),)):
            fix = "Pass one number, or one per stay; prefixes(hours) cuts one stay at several hours."
            raise ArgumentError(f"hours as a number or of shape ({len(self)},)", describe(cut), fix)
        if np.isnan(cut).any():
            raise ArgumentError("hours that are known", "NaN", "Leave stays without an hour out.")
        end_hours = np.minimum(cut, self.end_hours)
        moved = ((end_hours - self.end_hours) * MICROSECONDS).astype(np.int64)
        index_time = self.index_time + moved if self.has_dates else self.index_time
        is_earlier = (end_hours < self.end_hours)[:, None]
        static = np.where(is_earlier, self.static_at(self.index, end_hours), self.static)
        known = self.static_hours <= np.repeat(end_hours, np.diff(self.static_starts))
        arrays = self._filtered("static_starts", known) | {"static": static}
        cut_stays = replace(self, end_hours=end_hours, index_time=index_time, **arrays)
        is_known = self.hours <= np.repeat(end_hours, self.n_measurements)
        cut_stays = cut_stays.filter_measurements(is_known if retained is None else is_known & retained)
        return cut_stays.filter_coded(self.code_hours <= end_hours[self.stay_of_code])

    def prefixes(self, hours: np.ndarray) -> Sequences:
        """One stay as it was known at several hours.

        Parameters
        ----------
        hours : ndarray, shape (prefix,)
            Hours since the index time.

        Returns
        -------
        Sequences
            One entry per hour.

        Raises
        ------
        ArgumentError
            If these are not the sequences of exactly one stay.
        """
        if len(self) != 1:
            raise ArgumentError("one stay", f"{len(self)} stays", "Use truncate_at(hours), or sequences[[i]].prefixes.")
        return self[np.zeros(len(hours), dtype=int)].truncate_at(np.asarray(hours))

    def to_frame(self) -> pd.DataFrame:
        """The measurements as a table.

        Returns
        -------
        DataFrame
            One row per measurement: stay (position), hours, variable, value, unit, measured_hours.
        """
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

    def _repr_html_(self) -> str:
        min_cell_size = 0 if self.simulated else MIN_CELL_SIZE
        event = occurred(self.outcome, self.task)
        stays, events = suppress_nested(
            [len(self), int(event.sum()) if event is not None else 0], min_cell_size=min_cell_size
        )
        facts = {
            "task": self.task.title or self.task.name,
            "source": self.source,
            "stays": format_count(stays),
            "outcome": self.task.outcome_words + (f", {format_count(events)} with it" if event is not None else ""),
            "measurements": f"{len(self.value):,} of {len(self.variables)} variables",
        }
        steps = suppress_flow(self.flow, within=[stays] if stays is not None else [], min_cell_size=min_cell_size)
        rows = [[step, format_count(left)] for step, left in steps]
        flow = [table("Stays left after each step", ("Step", "Stays"), rows)] if rows else []
        return summary_html("Sequences", facts, *flow)

    def __repr__(self) -> str:
        return f"Sequences({len(self):,} stays, {len(self.hours):,} measurements, {len(self.variables)} variables)"


class AssignableSequences(Sequences):
    """Sequences whose columns can be replaced; everything else is as in `Sequences`.

    `copy()` and `take()` return them, since scikit-learn's `permutation_importance` assigns the permuted column
    to a copy. Arrays are never changed in place, so the sequences that were copied stay as they are.

    Attributes
    ----------
    variables, static_variables : tuple of Variable
    code_vocabulary : tuple of str
    task : Task
    patient, stay : ndarray of str, shape (stay,)
    starts, code_starts : ndarray of int, shape (stay + 1,)
    hours, availability_lag, value : ndarray of float, shape (measurement,)
    variable : ndarray of int, shape (measurement,)
    code_hours : ndarray of float, shape (coded event,)
    code : ndarray of int, shape (coded event,)
    static : ndarray of float, shape (stay, static covariate)
    static_starts : ndarray of int, shape (stay + 1,)
    static_hours, static_value : ndarray of float, shape (static observation,)
    static_column : ndarray of int, shape (static observation,)
    outcome : ndarray of float, shape (stay,) or (stay, column)
    end_hours : ndarray of float, shape (stay,)
    index_time : ndarray of int, shape (stay,)
    has_dates, simulated : bool
    source : str
    reading : mapping
    flow : tuple of (str, int)
    groups : DataFrame, shape (stay, column)
    """

    def __setitem__(self, name: str, column: Column) -> None:
        """Replace a column by one of `iloc[rows, position]`.

        Parameters
        ----------
        name : str
            A name of `columns`.
        column : SeriesColumn or StaticColumn
            What to put there, stay by stay.

        Raises
        ------
        ArgumentError
            If the stays have several prediction times: values would be seen from after a stay's own prediction.
        """
        check_exchangeable(self)
        arrays: dict[str, Any] = column.assign_to(self, self.columns.tolist().index(name))
        changed = replace(self, _maps=None, **arrays)
        self.__dict__.clear()  # with cached properties
        self.__dict__.update(changed.__dict__)


def as_sequences(name: str, value: Any) -> Sequences:
    """Check an argument that must be sequences; the one place where estimators do so.

    Parameters
    ----------
    name : str
        Name of the argument, for the error.
    value : object
        What was passed.

    Returns
    -------
    Sequences
        `value`; also `AssignableSequences`, which scikit-learn passes, are sequences.

    Raises
    ------
    ArgumentError
        If `value` is anything else.
    """
    check_instance(name, value, Sequences, fix="Pass the Sequences that select returns.")
    return value  # type: ignore[no-any-return]
