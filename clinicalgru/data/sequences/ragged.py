"""Ragged arrays of stays: their fields, how they are sliced, visited and filtered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from types import EllipsisType
from typing import Any, Self

import numpy as np

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.layout import CODE_DTYPES, MEASUREMENT_DTYPES, STAY_FIELDS, concat_ranges
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
    outcome : ndarray of float, shape (stay,) or (stay, column)
    end_hours : ndarray of float, shape (stay,)
    index_time : ndarray of int, shape (stay,)
    has_dates, simulated : bool
    source : str
    flow : tuple of (str, int)
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
    _maps: Any = field(default=None, repr=False)  # the memory maps of the measurements, where they are on disk

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
        rows, starts = concat_ranges(self.starts, index)
        codes, code_starts = concat_ranges(self.code_starts, index)
        by_stay = {name: getattr(self, name)[index] for name in STAY_FIELDS}
        measurements = {name: getattr(self, name)[rows] for name in MEASUREMENT_DTYPES}
        coded = {name: getattr(self, name)[codes] for name in CODE_DTYPES}
        if self._maps is not None:
            self._maps.note_read(len(rows) * sum(array.itemsize for array in measurements.values()))
        return replace(self, starts=starts, code_starts=code_starts, **by_stay, **measurements, **coded, _maps=None)

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

    def chunks(self, index: np.ndarray | None = None) -> Iterator[Self]:
        """The stays in turn, as many per chunk as have some four million measurements.

        Parameters
        ----------
        index : ndarray of int, optional
            Positions of stays; all, as views that copy nothing, where None.

        Yields
        ------
        Sequences
            One chunk.
        """
        if index is not None and not np.array_equal(index, np.arange(len(self))):
            counts = np.cumsum(self.n_measurements[index])
            bounds = np.arange(CHUNK_MEASUREMENTS, int(counts[-1]) if len(counts) else 0, CHUNK_MEASUREMENTS)
            yield from (self[chunk] for chunk in np.split(index, np.searchsorted(counts, bounds)))
            return
        cuts = np.searchsorted(self.starts[:-1], np.arange(CHUNK_MEASUREMENTS, len(self.hours), CHUNK_MEASUREMENTS))
        bounds = np.unique([0, *cuts.tolist(), len(self)])
        if len(bounds) < 3:
            yield self
            return
        for first, end in pairwise(bounds.tolist()):
            yield self._slice(first, end)
            if self._maps is not None:
                self._maps.release()

    def _slice(self, first: int, end: int) -> Self:
        """The stays from one position to before another, as views."""
        rows = slice(self.starts[first], self.starts[end])
        codes = slice(self.code_starts[first], self.code_starts[end])
        by_stay = {name: getattr(self, name)[first:end] for name in STAY_FIELDS}
        measurements = {name: getattr(self, name)[rows] for name in MEASUREMENT_DTYPES}
        coded = {name: getattr(self, name)[codes] for name in CODE_DTYPES}
        starts = self.starts[first : end + 1] - self.starts[first]
        code_starts = self.code_starts[first : end + 1] - self.code_starts[first]
        return replace(self, starts=starts, code_starts=code_starts, **by_stay, **measurements, **coded)

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
        starts = np.concatenate([[0], np.cumsum(mask)])[self.starts]
        return replace(
            self, starts=starts, _maps=None, **{name: getattr(self, name)[mask] for name in MEASUREMENT_DTYPES}
        )

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
        starts = np.concatenate([[0], np.cumsum(mask)])[self.code_starts]
        return replace(self, code_starts=starts, **{name: getattr(self, name)[mask] for name in CODE_DTYPES})

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
        return replace(self, static_variables=tuple(static_variables), static=static)

    def sorted(self) -> Self:
        """Return the stays with measurements in canonical order: stay, hours, time of measurement, variable.

        Returns
        -------
        Sequences
            The stays, with the measurements of each reordered.
        """
        order = np.lexsort((self.variable, -self.availability_lag, self.hours, self.stay_of_measurement))
        return replace(self, **{name: getattr(self, name)[order] for name in MEASUREMENT_DTYPES})
