"""Several tables in one extract, each with its own reading arguments: the argument `data_tables` of `read_events`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clinicalgru.data.dictionary.safe_yaml import load_yaml
from clinicalgru.data.ingest.missing_values import MissingValues
from clinicalgru.data.ingest.read_options import ReadOptions, check_table
from clinicalgru.data.ingest.row_filter import check_row_filter, check_row_filter_source
from clinicalgru.errors import ArgumentError, InputError, describe

SOURCES = ("long", "wide", "yaib", "sql")  # of one table
WITHOUT_LIMITS = ("physionet2012", "physionet2019")  # numbers only
OWN = (
    "source",
    "columns",
    "units",
    "missing",
    "time_format",
    "time_unit",
    "units_in_values",
    "flags_in_values",
    "row_filter",
    "delimiter",
    "encoding",
    "decimal",
    "query",
)
FIX = "Pass dicts such as {'data': 'vitals.csv', 'source': 'wide', 'columns': {'heart_rate': 'HR'}}."
MAX_YAML_BYTES = 1_000_000


@dataclass(frozen=True, eq=False)
class DataTable:
    """One table of an extract.

    Attributes
    ----------
    data : path, DataFrame, Arrow table or address
        The table.
    name : str
        What messages and the ledger call it.
    file : str
        Its file in the folder of the extract; "" where it was given otherwise.
    own : mapping of str to object
        Its own arguments of `read_events`.
    """

    data: Any
    name: str
    file: str = ""
    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> dict[str, Any]:
        """The file and the arguments as plain values, for a manifest."""
        return ({"data": self.file} if self.file else {}) | dict(self.own)

    def options(self, of_all: ReadOptions) -> ReadOptions:
        """Give the arguments of the whole read with the table's own over them.

        Parameters
        ----------
        of_all : ReadOptions
            The arguments of the whole read.

        Returns
        -------
        ReadOptions
            Those of the table.

        Raises
        ------
        ArgumentError
            If an own argument is of another type.
        """
        own = {name: value for name, value in self.own.items() if name != "source"}
        if "missing" in own:
            given = MissingValues.from_argument(own["missing"])
            everywhere = (*of_all.missing.everywhere, *given.everywhere)
            own["missing"] = MissingValues(everywhere, {**of_all.missing.by_name, **given.by_name})
        for name in ("columns", "units"):
            own[name] = {**getattr(of_all, name), **own.get(name, {})}
        return replace(of_all, **own)


def data_tables_of(data: Any, given: Any = None) -> list[DataTable] | None:
    """Take the arguments `data` and `data_tables` of `read_events`.

    Parameters
    ----------
    data : object
        The extract: a list of tables, or the folder of their files.
    given : path, sequence of mapping, or None
        The arguments of each table, or a YAML file of such a list. Of files in a folder, `data` names each.

    Returns
    -------
    list of DataTable or None
        The tables; None for an extract of one kind of table.

    Raises
    ------
    ArgumentError
        If a table or an argument is of another type, or the numbers of tables and arguments differ.
    InputError
        If the YAML file cannot be read.

    Examples
    --------
    >>> from clinicalgru.data.ingest.data_tables import data_tables_of
    >>> [table.name for table in data_tables_of(["a.csv", {"data": "b.csv", "source": "wide"}])]
    ['a.csv', 'b.csv']
    """
    arguments = _arguments(given)
    if isinstance(data, list | tuple):
        is_several = arguments is not None or any(not isinstance(item, str | os.PathLike) for item in data)
        return _of_list(data, arguments) if is_several and data else None
    if arguments is None:
        return None
    if not isinstance(data, str | os.PathLike):
        raise ArgumentError("data as a folder, or a list, of the tables", describe(data), FIX)
    for number, entry in enumerate(arguments, start=1):
        if not isinstance(entry.get("data"), str | os.PathLike):
            raise ArgumentError(f"data_tables {number} with data, a file of the folder", describe(entry), FIX)
    return [
        DataTable(Path(data) / entry["data"], Path(entry["data"]).name, str(entry["data"]), _own(entry, number))
        for number, entry in enumerate(arguments, start=1)
    ]


def check_one_table_sources(source: str, options: ReadOptions) -> None:
    """Raise where arguments that only sources of one table know are given for another.

    Parameters
    ----------
    source : str
        The source.
    options : ReadOptions
        The arguments of `read_events`.

    Raises
    ------
    ArgumentError
        If the source brings tables of its own.
    """
    check_row_filter(options.row_filter)
    if not options.data_tables:
        check_row_filter_source(source, options.row_filter)
    if source in SOURCES:
        return
    expected = f"a source of one table ({', '.join(SOURCES)})"
    if options.data_tables:
        raise ArgumentError(f"{expected} for several tables", source, "Read such an extract by itself.")
    if options.detection_limits != "reject" and source in WITHOUT_LIMITS:
        raise ArgumentError("a source that has limits of detection", source, "Leave detection_limits out.")
    if options.decimal != ".":
        raise ArgumentError(f"{expected} for decimal", source, "Leave decimal out: published tables have points.")
    if options.units_in_values:
        fix = "Leave units_in_values out: published tables have units apart."
        raise ArgumentError(f"{expected} for units_in_values", source, fix)
    if options.flags_in_values:
        fix = "Leave flags_in_values out: published tables have flags apart."
        raise ArgumentError(f"{expected} for flags_in_values", source, fix)


def _arguments(given: Any) -> list[Mapping[str, Any]] | None:
    if isinstance(given, str | os.PathLike):
        given = load_yaml(Path(given), error=InputError, max_bytes=MAX_YAML_BYTES)
    if given is None:
        return None
    if not isinstance(given, Sequence) or not given or not all(isinstance(entry, Mapping) for entry in given):
        raise ArgumentError("data_tables as a list of dicts", describe(given), FIX)
    return list(given)


def _of_list(data: Sequence[Any], arguments: Sequence[Mapping[str, Any]] | None) -> list[DataTable]:
    """The tables of a list; further arguments hold for the table at the same place."""
    if arguments is not None and len(arguments) != len(data):
        got = f"{len(data)} tables and arguments of {len(arguments)}"
        raise ArgumentError("as many data_tables as tables", got, FIX)
    tables = []
    for number, item in enumerate(data, start=1):
        entry = item if isinstance(item, Mapping) else {"data": item}
        further = {} if arguments is None else {name: v for name, v in arguments[number - 1].items() if name != "data"}
        table = entry.get("data")
        check_table(f"data {number}", table)
        name = Path(table).name if isinstance(table, str | os.PathLike) else f"table {number}"
        tables.append(DataTable(table, name, own=_own({**further, **entry}, number)))
    return tables


def _own(entry: Mapping[str, Any], number: int) -> dict[str, Any]:
    own = {name: value for name, value in entry.items() if name != "data" and value is not None}
    unknown = [str(name) for name in own if name not in OWN]
    if unknown:
        got = f"{unknown[0]} of table {number}"
        raise ArgumentError(f"arguments of a table: data, {', '.join(OWN)}", got, FIX)
    if own.get("source", "long") not in SOURCES:
        got = f"another source of table {number}"
        raise ArgumentError(f"a source of one table: {', '.join(SOURCES)}", got, "Read such an extract by itself.")
    return own
