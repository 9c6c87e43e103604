"""Columns of tables under our names: the mapping `columns=` of `read_events`, and identifiers that can be trusted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from clinicalgru.data.ingest.csv_check import INVISIBLE, format_names
from clinicalgru.errors import ArgumentError, InputError, describe

DATA, STAYS, OUTCOMES = "data", "stays", "outcomes"
TABLE_ARGUMENTS = (DATA, STAYS, OUTCOMES)
JOIN = " + "  # between a date and a time of day that stand in two columns
IDENTIFIERS = ("patient_id", "stay_id")
ROW_COLUMNS = ("time", "available_at", "variable", "value", "unit", "code")
STAY_COLUMNS = ("start", "end")
NOT_OF = {DATA: STAY_COLUMNS, STAYS: ROW_COLUMNS, OUTCOMES: (*ROW_COLUMNS, *STAY_COLUMNS)}  # names without a meaning
FLOATING_POINT = re.compile(r"FLOAT|DOUBLE|DECIMAL\(\d+, ?[1-9]\d*\)")


def normalize(name: str) -> str:
    """Return a column name as it is compared: without surrounding white space, in one letter case.

    Parameters
    ----------
    name : str
        The name.

    Returns
    -------
    str
        The name for comparisons.

    Examples
    --------
    >>> from clinicalgru.data.ingest.column_names import normalize
    >>> normalize(" Stay_ID ")
    'stay_id'
    """
    return name.strip(INVISIBLE).casefold()


def check_columns_argument(columns: Any) -> None:
    """Raise unless the argument `columns` maps our names to a table's, or names of tables to such mappings.

    Parameters
    ----------
    columns : object
        What was passed.

    Raises
    ------
    ArgumentError
        If it has another form.
    """
    fix = "Pass a dict, such as columns={'time': 'charttime'} or columns={'stays': {'start': 'admitted'}}."
    if not isinstance(columns, Mapping):
        raise ArgumentError("columns as a dict", describe(columns), fix)
    for ours, theirs in columns.items():
        if not isinstance(ours, str):
            raise ArgumentError("columns as a dict of text to text", f"{describe(ours)} in it", fix)
        if isinstance(theirs, Mapping):
            if ours not in TABLE_ARGUMENTS:
                got = "another name with a dict"
                raise ArgumentError(f"columns of the tables {', '.join(TABLE_ARGUMENTS)}", got, fix)
            pairs = [cell for pair in theirs.items() for cell in pair]
        else:
            pairs = [theirs]
        for cell in pairs:
            if not isinstance(cell, str):
                raise ArgumentError("columns as a dict of text to text", f"{describe(cell)} in it", fix)


def joined_columns(columns: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Find the names in the argument `columns` that stand for two columns, a date and a time of day.

    Parameters
    ----------
    columns : mapping
        The argument.

    Returns
    -------
    dict of str to (str, str)
        Name with a plus between two names -> the two.

    Examples
    --------
    >>> from clinicalgru.data.ingest.column_names import joined_columns
    >>> joined_columns({"time": "Date + Time", "stays": {"start": "admitted"}})
    {'Date + Time': ('Date', 'Time')}
    """
    names = [
        name for theirs in columns.values() for name in (theirs.values() if isinstance(theirs, Mapping) else [theirs])
    ]
    parts = {name: name.split(JOIN) for name in names}
    return {name: (pair[0], pair[1]) for name, pair in parts.items() if len(pair) == 2}


def columns_of(columns: Mapping[str, Any], table: str) -> dict[str, str]:
    """Return the part of the argument `columns` that speaks of one table.

    Parameters
    ----------
    columns : mapping
        The argument: our name -> the table's name, or the name of a table -> such a mapping.
    table : str
        "data", "stays" or "outcomes".

    Returns
    -------
    dict of str to str
        Our name -> the table's. Names that only another table has, such as `start` for the rows, are left out.

    Examples
    --------
    >>> from clinicalgru.data.ingest.column_names import columns_of
    >>> columns_of({"stay_id": "visit", "time": "t", "stays": {"start": "admitted"}}, "stays")
    {'stay_id': 'visit', 'start': 'admitted'}
    """
    spare = NOT_OF[table]
    of_all = {ours: theirs for ours, theirs in columns.items() if isinstance(theirs, str) and ours not in spare}
    return of_all | dict(columns.get(table, {}))


def columns_in(columns: Mapping[str, Any], table: str, have: Iterable[str]) -> dict[str, str]:
    """Return the part of the argument `columns` that speaks of one table, for the columns that it has.

    Parameters
    ----------
    columns : mapping
        The argument.
    table : str
        "data", "stays" or "outcomes".
    have : iterable of str
        The columns of the table.

    Returns
    -------
    dict of str to str
        Our name -> the table's. An identifier that is named for all tables, and that this one has under our name only,
        is left out.

    Examples
    --------
    >>> from clinicalgru.data.ingest.column_names import columns_in
    >>> columns_in({"stay_id": "visit", "time": "t"}, "data", ["stay_id", "t"])
    {'time': 't'}
    """
    names, folded = columns_of(columns, table), {normalize(name) for name in have}
    own = {ours for ours in IDENTIFIERS if ours in folded and normalize(names.get(ours, ours)) not in folded}
    return {ours: theirs for ours, theirs in names.items() if ours not in own}


def match_columns(have: Iterable[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Find the columns of a table by our names.

    Parameters
    ----------
    have : iterable of str
        The columns of the table.
    columns : mapping of str to str
        Our name -> the table's, where they differ.

    Returns
    -------
    dict of str to str
        Our name, the one that `columns` gives, else the column's own -> the table's column. The names in `columns` are
        found in any letter case and with blanks around them.

    Raises
    ------
    InputError
        If `columns` gives one column two names. One column may be both, patient_id and stay_id.

    Notes
    -----
    A name that `columns` gives to another column of the table is no longer the one of the column that bears it.

    Examples
    --------
    >>> from clinicalgru.data.ingest.column_names import match_columns
    >>> match_columns(["Visit", "AGE"], {"stay_id": "visit"})
    {'stay_id': 'Visit', 'AGE': 'AGE'}
    """
    folded = {normalize(name): name for name in have}
    given = {ours: folded[normalize(theirs)] for ours, theirs in columns.items() if normalize(theirs) in folded}
    check_one_name_each(given)
    taken = {*map(normalize, given), *map(normalize, given.values())}
    return given | {theirs: theirs for name, theirs in folded.items() if name not in taken}


def check_one_name_each(given: Mapping[str, str]) -> None:
    """Raise where one column of a table has two of our names, of which one would be lost.

    Parameters
    ----------
    given : mapping of str to str
        Our name -> the table's column.

    Raises
    ------
    InputError
        If two names other than those of identifiers stand for one column.
    """
    first: dict[str, str] = {}
    for ours, theirs in given.items():
        other = first.setdefault(theirs, ours)
        if other != ours and {ours, other} != set(IDENTIFIERS):
            raise InputError(f"one name for the column {theirs}", f"{other} and {ours}", "Leave one out of columns=.")


def check_identifier_types(types: Mapping[str, str], names: Mapping[str, str], where: str) -> None:
    """Raise where identifiers are floating point, which rounds them and writes "11.0" for 11.

    Parameters
    ----------
    types : mapping of str to str
        Column -> its DuckDB type.
    names : mapping of str to str
        Our name -> the table's column.
    where : str
        Name of the table, for the message.

    Raises
    ------
    InputError
        If `patient_id` or `stay_id` is such a column.
    """
    for name in IDENTIFIERS:
        if name in names and FLOATING_POINT.fullmatch(types[names[name]]):
            fix = f"Read it as text: .astype('Int64').astype(str), or dtype={{'{names[name]}': str}} when reading."
            got = "floating point, which rounds long identifiers"
            raise InputError(f"{names[name]} as text or whole numbers", got, fix, where=where)


class OptionalColumns(dict[str, str]):
    """Our names -> the names of columns that a table may lack."""


def check_columns_used(columns: Mapping[str, Any], tables: Mapping[str, Iterable[str]]) -> None:
    """Raise where a name in `columns` is a column of no table.

    Parameters
    ----------
    columns : mapping
        The argument `columns`.
    tables : mapping of str to iterable of str
        Each table that was given, as "data", "stays" or "outcomes" -> its columns.

    Raises
    ------
    InputError
        If a table lacks a column that is named for it; the message lists the columns that there are.
    """
    have = {table: {normalize(name) for name in names} for table, names in tables.items()}
    for ours, theirs in columns.items():
        if isinstance(theirs, OptionalColumns):
            continue
        entries = theirs if isinstance(theirs, Mapping) else {ours: theirs}
        among = [ours] if isinstance(theirs, Mapping) else list(have)
        for name, column in entries.items():
            if not any(normalize(column) in have.get(table, ()) for table in among):
                shown = "; ".join(f"{table}: {format_names(list(tables[table]))}" for table in among if table in tables)
                fix = "Correct the name in columns=, or leave it out."
                raise InputError(f"a column {column} for {name}", f"columns {shown or 'of no such table'}", fix)


def check_one_table_each(columns: Mapping[str, Any], meanings: Mapping[str, Iterable[str]]) -> None:
    """Raise where a name in `columns` that names no table has a meaning in two of them.

    Parameters
    ----------
    columns : mapping
        The argument `columns`. Identifiers may be named for all tables at once.
    meanings : mapping of str to iterable of str
        Each table, as "data", "stays" or "outcomes" -> our names of the columns that are read from it.

    Raises
    ------
    InputError
        If a name fits two tables.
    """
    for ours, theirs in columns.items():
        fits = [table for table, names in meanings.items() if ours in names]
        if isinstance(theirs, str) and ours not in IDENTIFIERS and len(fits) > 1:
            fix = f"Name the table: columns={{{fits[0]!r}: {{{ours!r}: {theirs!r}}}}}."
            raise InputError(f"one table with a column {theirs}", f"one in {' and in '.join(fits)}", fix)
