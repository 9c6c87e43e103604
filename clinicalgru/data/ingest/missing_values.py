"""Values that stand for "not measured": the argument `missing=` of `read_events`."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from clinicalgru.data.ingest.column_names import normalize
from clinicalgru.errors import ArgumentError, describe

FIX = "Pass a list such as missing=[999, 'not done'], or a dict such as missing={'glucose': [999]}."


@dataclass(frozen=True)
class MissingValues:
    """Values that stand for "not measured", of every column and of single variables.

    Attributes
    ----------
    everywhere : tuple of str
        Values as text, such as "999" and "not done", that mean so in every column.
    by_name : mapping of str to tuple of str
        Variable or column -> further values that mean so there.
    """

    everywhere: tuple[str, ...] = ()
    by_name: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def from_argument(cls, missing: Any) -> MissingValues:
        """Check the argument `missing` of `read_events`.

        Parameters
        ----------
        missing : number, str, iterable of them, mapping of str to such, or None
            What was passed; of a mapping, each name is a variable or a column.

        Returns
        -------
        MissingValues
            The values as text.

        Raises
        ------
        ArgumentError
            If it is of another form.

        Examples
        --------
        >>> from clinicalgru.data.ingest.missing_values import MissingValues
        >>> MissingValues.from_argument({"glucose": 999}).of("glucose")
        ('999',)
        """
        if missing is None:
            return cls()
        if isinstance(missing, Mapping):
            if not all(isinstance(name, str) for name in missing):
                raise ArgumentError("names of variables in missing", "another type among them", FIX)
            return cls(by_name={name: _as_texts(values) for name, values in missing.items()})
        return cls(everywhere=_as_texts(missing))

    def of(self, *names: str) -> tuple[str, ...]:
        """Return the values that mean "not measured" in a column.

        Parameters
        ----------
        *names : str
            The names of the column: the variable's and the table's own.

        Returns
        -------
        tuple of str
            The values as text.
        """
        folded = {normalize(name) for name in names}
        own = [value for name, values in self.by_name.items() if normalize(name) in folded for value in values]
        return tuple(dict.fromkeys([*self.everywhere, *own]))

    def with_columns(self, columns: Mapping[str, str]) -> MissingValues:
        """Return the same, with what is given for a column holding for its variable too.

        Parameters
        ----------
        columns : mapping of str to str
            Column -> variable.

        Returns
        -------
        MissingValues
            With further names.
        """
        further = {variable: self.of(column, variable) for column, variable in columns.items()} if self.by_name else {}
        return MissingValues(self.everywhere, {**self.by_name, **further})

    def with_values(self, name: str, *values: str) -> MissingValues:
        """Return the same with further values of one variable.

        Parameters
        ----------
        name : str
            The variable.
        *values : str
            Values that mean "not measured" there.

        Returns
        -------
        MissingValues
            With these values.
        """
        return MissingValues(self.everywhere, {**self.by_name, name: (*self.by_name.get(name, ()), *values)})

    def check_names(self, known: Iterable[str]) -> None:
        """Raise where a name is neither a variable nor a column.

        Parameters
        ----------
        known : iterable of str
            Variables and columns.

        Raises
        ------
        ArgumentError
            If a name is not among them.
        """
        folded = set(map(normalize, known)) if self.by_name else set()
        unknown = [name for name in self.by_name if normalize(name) not in folded]
        if unknown:
            fix = "Correct the name: a variable of the data dictionary, or a column of one of the tables."
            raise ArgumentError("variables or columns in missing", repr(unknown[0]), fix)

    def is_missing(self, cells: pd.Series, *names: str) -> pd.Series:
        """Mark the cells of a column that hold such a value.

        Parameters
        ----------
        cells : Series of str
            The cells as text.
        *names : str
            The names of the column.

        Returns
        -------
        Series of bool
            True where the cell equals a value, as a number or as a word in any letter case.
        """
        values = self.of(*names)
        if not values:
            return pd.Series(False, index=cells.index)
        found = [number for number in map(as_number, values) if number is not None]
        is_number = pd.to_numeric(cells, errors="coerce").isin(found)
        return is_number | cells.str.casefold().isin([value.casefold() for value in values]).fillna(False).astype(bool)


def as_number(text: str) -> float | None:
    """Read a text as a finite number.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    float or None
        The number; None where it is none.

    Examples
    --------
    >>> from clinicalgru.data.ingest.missing_values import as_number
    >>> as_number("-9.0"), as_number("not done")
    (-9.0, None)
    """
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _as_texts(values: Any) -> tuple[str, ...]:
    """Numbers and words as text."""
    several = isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping)
    return tuple(_as_text(value) for value in (values if several else [values]))


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ArgumentError("missing as finite numbers and words", describe(value), FIX)
    return repr(float(value)) if float(value) != int(float(value)) else str(int(float(value)))
