"""The arguments of `read_events`, checked."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from clinicalgru.checks import check_choice, check_instance, check_number
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.ingest.arrow_tables import is_arrow
from clinicalgru.data.ingest.column_names import check_columns_argument, joined_columns
from clinicalgru.data.ingest.decimal_sql import DECIMALS
from clinicalgru.data.ingest.missing_values import MissingValues
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.text_format import TextFormat, check_encoding
from clinicalgru.data.ingest.time_sql import TIME_UNITS, TimeFormat
from clinicalgru.errors import ArgumentError, describe

TABLES = (str, os.PathLike, pd.DataFrame, pa.Table)
EVENTS = ("admission", "discharge", "death")
DETECTION_LIMITS = ("reject", "bound", "half")
TABLE_NAMES = "a path, list of paths, DataFrame or Arrow table"


@dataclass(frozen=True, eq=False)
class ReadOptions:
    """The arguments of `read_events` of the same names, checked; `dictionary` is made of `variables`.

    Attributes
    ----------
    dictionary : Dictionary
        Data dictionary.
    names : mapping of str to str
        Name in the extract -> variable; the dictionary has them already.
    vocabulary : tuple of str
        Sources and code systems whose names and default units hold too.
    stays : path, DataFrame or Arrow table, optional
        Table of stays.
    outcomes : path, DataFrame or Arrow table, optional
        Table of outcomes.
    columns : mapping of str to str, or of str to such a mapping
        Our column name -> the name in the tables, where they differ; or name of a table ("data", "stays", "outcomes")
        -> such a mapping.
    time_format : str, optional
        strptime format of times; None: ISO 8601, or numbers.
    time_unit : str
        Unit of times that are numbers: one of `TIME_UNITS`.
    units : mapping of str to str
        Variable -> unit of its values where the extract writes none; column of `outcomes` -> unit of its times.
    missing : MissingValues
        Values that mean "not measured"; `read_events` takes a list or a dict.
    outcomes_columns : tuple of str, optional
        Columns of `outcomes` that are outcomes; None: those that hold numbers, yes and no, or dates.
    query : str, optional
        One SELECT, for a database.
    delimiter : str, optional
        Delimiter of text tables, one character; None: found from the header.
    encoding : str
        Encoding of text tables.
    decimal : str
        Mark of decimals in text: one of `DECIMALS`.
    anchor : str, optional
        What a stay is, in sources with several kinds.
    event_codes : mapping of str to tuple of str
        "admission", "discharge" and "death" -> the codes that mean them, in sources whose codes differ by dataset.
    timezone : str, optional
        IANA time zone of times without an offset.
    max_rejected : float
        Largest fraction of rows that may be rejected, 0 to 1.
    allow : frozenset of str
        Variables that may lose any number of their values.
    memory_gb : float
        Memory limit in GB, above 0.
    data_tables : tuple of DataTable
        The tables of the extract with their own arguments; empty where it is of one kind of table.
    detection_limits : str
        What becomes of a value that is a bound, such as "<0.2": one of `DETECTION_LIMITS`.
    units_in_values : bool
        Whether a unit may stand behind a number.
    flags_in_values : bool
        Whether an abnormality flag may stand around a number.
    row_filter : mapping of str to list
        Column -> values of the rows that are used.
    group_columns : tuple of str
        Columns of `stays` that are labels, such as site and ward.

    Raises
    ------
    ArgumentError
        If an argument is of another type or outside its bounds.
    DictionaryError
        If `units` names an unknown variable, or a unit that the variable does not have.
    """

    dictionary: Dictionary
    names: Mapping[str, str] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()
    stays: Any = None
    outcomes: Any = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    time_format: str | None = None
    time_unit: str = "hours"
    units: Mapping[str, str] = field(default_factory=dict)
    missing: MissingValues = field(default_factory=MissingValues)
    outcomes_columns: tuple[str, ...] | None = None
    query: str | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    anchor: str | None = None
    event_codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    timezone: str | None = None
    max_rejected: float = 0.1
    allow: frozenset[str] = frozenset()
    memory_gb: float = 2.0
    data_tables: tuple[Any, ...] = ()
    detection_limits: str = "reject"
    units_in_values: bool = False
    flags_in_values: bool = False
    row_filter: Mapping[str, Any] = field(default_factory=dict)
    group_columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("stays", "outcomes"):
            check_table(name, getattr(self, name), optional=True)
        check_columns_argument(self.columns)
        _check_names("units", self.units)
        for name in ("time_format", "query", "delimiter", "anchor", "timezone"):
            _check_text(name, getattr(self, name))
        for name in ("units_in_values", "flags_in_values"):
            check_instance(name, getattr(self, name), bool)
        check_encoding(self.encoding)
        check_choice("decimal", self.decimal, DECIMALS)
        check_choice("time_unit", self.time_unit, TIME_UNITS)
        check_choice("detection_limits", self.detection_limits, DETECTION_LIMITS)
        check_number("max_rejected", self.max_rejected, minimum=0, maximum=1)
        check_number("memory_gb", self.memory_gb, minimum=0, open_minimum=True)
        for variable, unit in self.units.items():
            if variable in self.dictionary or unit not in TIME_UNITS:  # else the times of an outcome
                self.dictionary.find(variable).conversion(unit)

    @property
    def text_format(self) -> TextFormat:
        """How text tables are written."""
        return TextFormat(self.delimiter, self.encoding, self.decimal, joined_columns(self.columns))

    @property
    def times(self) -> TimeFormat:
        """How times are read, in every table."""
        return TimeFormat(self.time_format, self.time_unit, self.timezone)

    @property
    def row_format(self) -> RowFormat:
        """How the cells of a table of rows are read."""
        return RowFormat(
            self.time_format,
            self.time_unit,
            detection_limits=self.detection_limits,
            decimal=self.decimal,
            has_stays_table=self.stays is not None,
            units_in_values=self.units_in_values,
            flags_in_values=self.flags_in_values,
        )


def check_table(name: str, value: Any, *, optional: bool = False) -> None:
    """Raise unless a value is a table or the path of one.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        What was passed.
    optional : bool
        Whether None is accepted too.

    Raises
    ------
    ArgumentError
        If `value` is of another type.
    """
    if not (_is_table(value) or (optional and value is None)):
        expected = f"{name} as {TABLE_NAMES}{', or None' if optional else ''}"
        raise ArgumentError(expected, describe(value), "Pass a table, or the path of a file or folder.")


def _is_table(value: Any) -> bool:
    """Whether a value is a path, several of them, or a table of any library that speaks Arrow."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(path, str | os.PathLike) for path in value)
    return isinstance(value, TABLES) or is_arrow(value)


def as_path(data: Any, expected: str) -> Path:
    """Take the argument `data` as the path of an extract.

    Parameters
    ----------
    data : object
        What was passed.
    expected : str
        What the path must be, for the message.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    ArgumentError
        If `data` is no path, such as a table.
    """
    if not isinstance(data, str | os.PathLike):
        fix = "Pass its path; a table of measurements is read by source='long' or 'wide'."
        raise ArgumentError(f"data as the path of {expected}", describe(data), fix)
    return Path(data)


def dictionary_of(variables: Any) -> Dictionary:
    """Load the data dictionary: the shipped one, with the user's YAML files or dicts over it.

    Parameters
    ----------
    variables : path, mapping, Dictionary, list of paths and mappings, or None
        The user's own variables. A `Dictionary` is used as it is.

    Returns
    -------
    Dictionary
        The data dictionary.

    Raises
    ------
    ArgumentError
        If `variables` is of another type.
    DictionaryError
        If a file cannot be read, or the dictionary contradicts itself.
    """
    if isinstance(variables, Dictionary):
        return variables
    extra = [] if variables is None else list(variables) if isinstance(variables, list | tuple) else [variables]
    for each in extra:
        if not isinstance(each, str | os.PathLike | Mapping):
            fix = "Pass the path of a YAML file, a dict of it, a list of them, or a Dictionary."
            raise ArgumentError("variables as a path, dict or Dictionary", describe(each), fix)
    return Dictionary.load(*extra)


def allowed_variables(allow: Any, dictionary: Dictionary) -> frozenset[str]:
    """Check the argument `allow` of `read_events`.

    Parameters
    ----------
    allow : str or collection of str
        What was passed: names of variables, or "all".
    dictionary : Dictionary
        Data dictionary.

    Returns
    -------
    frozenset of str
        The variables.

    Raises
    ------
    ArgumentError
        If it is of another type.
    DictionaryError
        If a variable is unknown.
    """
    names = [allow] if isinstance(allow, str) else allow
    if not isinstance(names, Collection) or isinstance(names, Mapping) or not all(isinstance(n, str) for n in names):
        fix = "Pass a list such as allow=['platelets'], or allow='all'."
        raise ArgumentError("allow as a list of variables", describe(allow), fix)
    return frozenset(dictionary) if "all" in names else frozenset(dictionary.find(name).name for name in names)


def event_codes_of(event_codes: Any) -> dict[str, tuple[str, ...]]:
    """Take the argument `event_codes`.

    Parameters
    ----------
    event_codes : mapping of str to str or iterable of str, or None
        "admission", "discharge" and "death" -> codes.

    Returns
    -------
    dict of str to tuple of str
        The codes of each.

    Raises
    ------
    ArgumentError
        If it is of another type, or names another event.

    Examples
    --------
    >>> from clinicalgru.data.ingest.read_options import event_codes_of
    >>> event_codes_of({"death": "MEDS_DEATH"})
    {'death': ('MEDS_DEATH',)}
    """
    fix = "Pass a dict such as {'admission': ['Visit/IP'], 'discharge': ['Visit/IP//end'], 'death': ['MEDS_DEATH']}."
    if not isinstance(event_codes, Mapping | None):
        raise ArgumentError("event_codes as a dict, or None", describe(event_codes), fix)
    codes: dict[str, tuple[str, ...]] = {}
    for name, given in (event_codes or {}).items():
        if name not in EVENTS:
            raise ArgumentError(f"event_codes of {', '.join(EVENTS)}", repr(name), fix)
        codes[name] = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else ()
        if not codes[name] or not all(isinstance(code, str) and code for code in codes[name]):
            raise ArgumentError(f"event_codes[{name!r}] as codes", describe(given), fix)
    return codes


def _check_names(name: str, value: Any) -> None:
    """Raise unless a value is a mapping of text to text."""
    fix = f"Pass a dict, such as {name}={{'creatinine': 'mg/dL'}}."
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{name} as a dict", describe(value), fix)
    for cell in _flat(value.items()):
        if not isinstance(cell, str):
            raise ArgumentError(f"{name} as a dict of text to text", f"{describe(cell)} in it", fix)


def _flat(pairs: Iterable[tuple[Any, Any]]) -> list[Any]:
    return [cell for pair in pairs for cell in pair]


def group_names(group_columns: Any, stays: Any) -> tuple[str, ...]:
    """Check the argument `group_columns` of `read_events`.

    Parameters
    ----------
    group_columns : str, iterable of str, or None
        What was passed.
    stays : object
        The table of the stays.

    Returns
    -------
    tuple of str
        The names.

    Raises
    ------
    ArgumentError
        If it is of another type, or there is no table of stays.
    """
    names = (group_columns,) if isinstance(group_columns, str) else () if group_columns is None else group_columns
    fix = "Pass a list such as group_columns=['site', 'ward'], with the table as stays=."
    if not isinstance(names, Iterable) or isinstance(names, Mapping) or not all(isinstance(n, str) for n in names):
        raise ArgumentError("group_columns as a list of columns", describe(group_columns), fix)
    if names and stays is None:
        raise ArgumentError("stays= with group_columns", "no table of stays", fix)
    return tuple(names)


def outcome_names(outcomes_columns: Any) -> tuple[str, ...] | None:
    """Check the argument `outcomes_columns` of `read_events`.

    Parameters
    ----------
    outcomes_columns : str, iterable of str, or None
        What was passed.

    Returns
    -------
    tuple of str or None
        The names.

    Raises
    ------
    ArgumentError
        If it is of another type or empty.
    """
    if outcomes_columns is None:
        return None
    fix = "Pass a list such as outcomes_columns=['in_hospital_death']."
    names = [outcomes_columns] if isinstance(outcomes_columns, str) else outcomes_columns
    if not isinstance(names, Iterable) or isinstance(names, Mapping) or not (texts := tuple(names)):
        raise ArgumentError("outcomes_columns as a list of columns", describe(outcomes_columns), fix)
    if not all(isinstance(name, str) for name in texts):
        raise ArgumentError("outcomes_columns as a list of text", "another type in it", fix)
    return texts


def _check_text(name: str, value: Any) -> None:
    """Raise unless a value is text or None; a delimiter is one character."""
    if value is not None and not isinstance(value, str):
        raise ArgumentError(f"{name} as text or None", describe(value), "Pass text.")
    if name == "delimiter" and value is not None and len(value) != 1:
        raise ArgumentError("delimiter as one character", f"text of length {len(value)}", 'Pass one, such as ";".')
