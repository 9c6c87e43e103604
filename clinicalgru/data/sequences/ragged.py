"""Ragged arrays of stays: their fields, how they are sliced, visited and filtered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from types import EllipsisType
from typing import Any, Self

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.layout import MEASUREMENT_DTYPES, RAGGED, STAY_FIELDS, concat_ranges
from clinicalgru.data.task.task import Task
from clinicalgru.errors import ArgumentError, VariableMismatch, describe

CHUNK_MEASUREMENTS = 4_000_000  # measurements per chunk where all stays are visited


@dataclass(frozen=True, eq=False)
class RaggedStays:
    """The arrays of sequences, and how they are sliced, visited and filtered.

    `Sequences` says what each array means.

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
    groups : DataFrame
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
    reading: Mapping[str, Any] = field(default_factory=dict)
    flow: tuple[tuple[str, int], ...] = field(default=())
    static_starts: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    static_hours: np.ndarray = field(default_factory=lambda: np.empty(0))
    static_column: np.ndarray = field(default_factory=lambda: np.empty(0, np.int16))
    static_value: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    groups: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    _maps: Any = field(default=None, repr=False)  # the memory maps of the measurements, where they are on disk

    def __post_init__(self) -> None:
        if not len(self.static_hours):
            object.__setattr__(self, "static_starts", np.zeros(len(self.stay) + 1, np.int64))
        if len(self.groups) != len(self.stay):
            object.__setattr__(self, "groups", pd.DataFrame(index=range(len(self.stay))))

    def __len__(self) -> int:
        return len(self.stay)

    def __getitem__(self, key: Any) -> Self:
        """The stays at some positions, in that order.

        Parameters
        ----------
        key : list or ndarray of int, ndarray of bool, or slice
            Positions or mask. `sequences[key, ...]` is the same.

        Returns
        -------
        Sequences
            The stays; a copy.

        Raises
        ------
        ArgumentError
            If `key` is a single number or no positions, or is out of range.
        """
        index = self._positions(key)
        arrays = {name: getattr(self, name)[index] for name in STAY_FIELDS}
        for starts, dtypes in RAGGED.items():
            rows, arrays[starts] = concat_ranges(getattr(self, starts), index)
            arrays |= {name: getattr(self, name)[rows] for name in dtypes}
        if self._maps is not None:
            self._maps.note_read(sum(arrays[name].nbytes for name in MEASUREMENT_DTYPES))
        if len(self.groups.columns):
            groups = self.groups.iloc[index].reset_index(drop=True)
        else:
            groups = pd.DataFrame(index=range(len(index)))
        return replace(self, **arrays, groups=groups, _maps=None)

    def _positions(self, key: Any) -> np.ndarray:
        if isinstance(key, tuple) and len(key) == 2 and isinstance(key[1], EllipsisType):
            key = key[0]
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            raise ArgumentError("a list of positions", "one number", f"Write sequences[[{key}]].")
        try:
            index = np.arange(len(self))[key]
        except (IndexError, TypeError, ValueError):
            fix = f"Use positions of 0 to {len(self) - 1}, a slice, or a mask of {len(self)} booleans."
            raise ArgumentError("positions of stays", describe(key), fix) from None
        if index.ndim != 1:
            raise ArgumentError("positions of stays, in one dimension", describe(key), "Index stays only.")
        return index

    def __getstate__(self) -> dict[str, Any]:
        """State for pickling, as worker processes need it: mapped measurements are copied."""
        return self.__dict__ | {"_maps": None}

    @property
    def mapped(self) -> bool:
        """Whether the measurements are on disk."""
        return self._maps is not None

    def chunks(self, index: np.ndarray | None = None, *, size: int | None = None) -> Iterator[Self]:
        """The stays in turn, as many per chunk as have some four million measurements.

        Parameters
        ----------
        index : ndarray of int, optional
            Positions of stays; all, as views that copy nothing, where None.
        size : int, optional
            Another number of measurements per chunk.

        Yields
        ------
        Sequences
            One chunk.
        """
        size = CHUNK_MEASUREMENTS if size is None else size
        if index is not None and not np.array_equal(index, np.arange(len(self))):
            counts = np.cumsum(self.n_measurements[index])
            bounds = np.arange(size, int(counts[-1]) if len(counts) else 0, size)
            yield from (self[chunk] for chunk in np.split(index, np.searchsorted(counts, bounds)))
            return
        cuts = np.searchsorted(self.starts[:-1], np.arange(size, len(self.hours), size))
        bounds = np.unique([0, *cuts.tolist(), len(self)])
        if len(bounds) < 3:
            yield self
            return
        for first, end in pairwise(bounds.tolist()):
            yield self.between(first, end)
            if self._maps is not None:
                self._maps.release()

    def between(self, first: int, end: int) -> Self:
        """The stays from one position to before another, as views that copy nothing.

        Parameters
        ----------
        first, end : int
            Position of the first stay, and of the one after the last.

        Returns
        -------
        Sequences
            These stays.
        """
        arrays = {name: getattr(self, name)[first:end] for name in STAY_FIELDS}
        for name, dtypes in RAGGED.items():
            starts = getattr(self, name)[first : end + 1]
            arrays[name] = starts - starts[0]
            arrays |= {entry: getattr(self, entry)[starts[0] : starts[-1]] for entry in dtypes}
        return replace(self, **arrays, groups=self.groups.iloc[first:end].reset_index(drop=True))

    @cached_property
    def n_measurements(self) -> np.ndarray:
        """(stay,) measurements of each stay."""
        return np.diff(self.starts)

    @cached_property
    def is_new_step(self) -> np.ndarray:
        """(measurement,) True for the first measurement of each distinct hour of a stay."""
        first = np.ones(len(self.hours), dtype=bool)
        first[1:] = self.hours[1:] != self.hours[:-1]
        first[self.starts[:-1][self.n_measurements > 0]] = True
        return first

    @cached_property
    def n_steps(self) -> np.ndarray:
        """(stay,) distinct hours with measurements of each stay."""
        return np.concatenate([chunk._count_steps() for chunk in self.chunks()])

    def _count_steps(self) -> np.ndarray:
        before = np.concatenate([[0], np.cumsum(self.is_new_step)])
        return np.diff(before[self.starts])

    @property
    def stay_of_measurement(self) -> np.ndarray:
        """(measurement,) position of the stay that a measurement belongs to."""
        return np.repeat(np.arange(len(self)), self.n_measurements)

    @property
    def stay_of_code(self) -> np.ndarray:
        """(coded event,) position of the stay that a coded event belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.code_starts))

    def filter_measurements(self, mask: np.ndarray) -> Self:
        """The same stays with only some of their measurements.

        Parameters
        ----------
        mask : ndarray of bool, shape (measurement,)
            True for the measurements to retain.

        Returns
        -------
        Sequences
            The stays, also those that are left without measurements.
        """
        return replace(self, _maps=None, **self._filtered("starts", mask))

    def filter_coded(self, mask: np.ndarray) -> Self:
        """The same stays with only some of their coded events.

        Parameters
        ----------
        mask : ndarray of bool, shape (coded event,)
            True for the coded events to retain.

        Returns
        -------
        Sequences
            The stays, also those that are left without coded events.
        """
        return replace(self, **self._filtered("code_starts", mask))

    def _filtered(self, starts: str, mask: np.ndarray) -> dict[str, Any]:
        """Some of the entries of `RAGGED`, and where those of each stay start."""
        arrays = {name: getattr(self, name)[mask] for name in RAGGED[starts]}
        return arrays | {starts: np.concatenate([[0], np.cumsum(mask)])[getattr(self, starts)]}

    def static_at(self, stay: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """The static covariates as they were known at some hours.

        Parameters
        ----------
        stay : ndarray of int, shape (query,)
            Positions of stays.
        hours : ndarray of float, shape (query,)
            Hours since the index time.

        Returns
        -------
        ndarray of float32, shape (query, static covariate)
            The last value known by then; NaN where none was.
        """
        static = self.static[stay]
        if not len(self.static_hours):
            return static
        of_stay = np.repeat(np.arange(len(self)), np.diff(self.static_starts))
        changes = np.zeros(self.static.shape, dtype=bool)
        changes[of_stay, self.static_column] = True
        query, column = np.nonzero(changes[stay])
        static[query, column] = np.nan
        queries = {"hours": hours[query], "pair": stay[query] * len(self.static_variables) + column}
        known = {"hours": self.static_hours, "pair": of_stay * len(self.static_variables) + self.static_column}
        found = pd.merge_asof(
            pd.DataFrame(queries | {"query": query, "column": column}).sort_values("hours"),
            pd.DataFrame(known | {"value": self.static_value}).sort_values("hours"),
            on="hours",
            by="pair",
        )
        static[found["query"], found["column"]] = found["value"]
        return static

    def with_variables(self, variables: Sequence[Variable]) -> Self:
        """The same stays with these variables; others are removed, absent ones count as never measured.

        Parameters
        ----------
        variables : sequence of Variable
            Variables, in the order to use.

        Returns
        -------
        Sequences
            The stays.

        Raises
        ------
        VariableMismatch
            If a variable of the same name has another unit.
        """
        if tuple(variables) == self.variables:
            return self
        position = {variable.name: i for i, variable in enumerate(variables)}
        for variable in self.variables:
            if variable.name in position and variables[position[variable.name]].unit != variable.unit:
                expected = f"{variable.name} in {variables[position[variable.name]].unit}"
                raise VariableMismatch(expected, variable.unit, "Read the extract with the model's units.")
        number = np.array([position.get(variable.name, -1) for variable in self.variables], dtype=np.int16)
        renumbered = number[self.variable] if len(number) else self.variable
        kept = replace(self, variables=tuple(variables), variable=renumbered).filter_measurements(renumbered >= 0)
        return kept.sorted()

    def with_static_variables(self, static_variables: Sequence[Variable]) -> Self:
        """The same stays with these static covariates; others are removed, absent ones are unknown.

        Parameters
        ----------
        static_variables : sequence of Variable
            Static covariates, in the order to use.

        Returns
        -------
        Sequences
            The stays.
        """
        position = {variable.name: i for i, variable in enumerate(self.static_variables)}
        unknown = np.full(len(self), np.nan, np.float32)
        columns = [self.static[:, position[v.name]] if v.name in position else unknown for v in static_variables]
        static = np.stack(columns, axis=1) if columns else np.zeros((len(self), 0), np.float32)
        number = {v.name: i for i, v in enumerate(static_variables)}
        numbers = np.array([number.get(v.name, -1) for v in self.static_variables], dtype=np.int16)
        renumbered = replace(self, static_variables=tuple(static_variables), static=static)
        if not len(self.static_hours):
            return renumbered
        column = numbers[self.static_column]
        return replace(
            renumbered, **(self._filtered("static_starts", column >= 0) | {"static_column": column[column >= 0]})
        )

    def sorted(self) -> Self:
        """Return the stays with measurements in canonical order: stay, hours, time of measurement, variable.

        Returns
        -------
        Sequences
            The stays, with the measurements of each reordered.
        """
        order = np.lexsort((self.variable, -self.availability_lag, self.hours, self.stay_of_measurement))
        return replace(self, **{name: getattr(self, name)[order] for name in MEASUREMENT_DTYPES})
