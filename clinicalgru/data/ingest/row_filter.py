"""Rows of an extract that are used, by the values of its own columns, such as the status of a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import duckdb

from clinicalgru.class_names import class_number
from clinicalgru.data.ingest.column_names import normalize
from clinicalgru.data.ingest.csv_check import format_names
from clinicalgru.data.ingest.tables import TablePart, column_types, literal, quoted
from clinicalgru.data.ingest.time_sql import trim_sql
from clinicalgru.data.ledger import LEFT_OUT
from clinicalgru.errors import ArgumentError, InputError, describe

COLUMN = "c_left_out"
FIX = "Pass a dict such as {'STATUS': ['final', 'corrected'], 'ERROR': [0, '']}; '' stands for a blank cell."


def check_row_filter(row_filter: Any) -> None:
    """Raise unless the argument `row_filter` maps columns to their values.

    Parameters
    ----------
    row_filter : object
        What was passed.

    Raises
    ------
    ArgumentError
        If it has another form, or a column has no values.
    """
    if not isinstance(row_filter, Mapping):
        raise ArgumentError("row_filter as a dict", describe(row_filter), FIX)
    for column, values in row_filter.items():
        is_list = isinstance(values, list | tuple) and values
        if not (isinstance(column, str) and is_list and all(isinstance(v, str | int | float) for v in values)):
            raise ArgumentError("row_filter as a dict of columns to lists of their values", "another type in it", FIX)


def check_row_filter_source(source: str, row_filter: Mapping[str, Any]) -> None:
    """Raise where rows of a source cannot be left out.

    Parameters
    ----------
    source : str
        The source of a table.
    row_filter : mapping
        The argument.

    Raises
    ------
    ArgumentError
        If it is given for another source than "long".
    """
    if row_filter and source != "long":
        fix = (
            "Leave it out; in a query, write WHERE. Of several tables, give it to those of source long in data_tables."
        )
        raise ArgumentError("source long for row_filter", source, fix)


def with_left_out(connection: duckdb.DuckDBPyConnection, part: TablePart, row_filter: Mapping[str, Any]) -> TablePart:
    """Add a column with the reason against rows that the filter leaves out.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that can read the table.
    part : TablePart
        The table.
    row_filter : mapping of str to list
        Column -> values of the rows that are used; letter case makes no difference, "" stands for a blank cell.

    Returns
    -------
    TablePart
        The table with the column `COLUMN`; the same where the filter is empty.

    Raises
    ------
    InputError
        If the table lacks a column of the filter.
    """
    if not row_filter:
        return part
    have = {normalize(name): name for name in part.types}
    absent = [name for name in row_filter if normalize(name) not in have]
    if absent:
        got = f"columns {format_names([name for name in part.types if not name.startswith('c_')])}"
        raise InputError(
            f"the columns {', '.join(absent)}, as row_filter names them", got, "Correct it.", where=part.label
        )
    tests = " AND ".join(_test(have[normalize(name)], values) for name, values in row_filter.items())
    sql = f"(SELECT *, CASE WHEN {tests} THEN NULL ELSE {literal(LEFT_OUT)} END AS {COLUMN} FROM {part.sql})"
    return replace(part, sql=sql, types=column_types(connection, sql))


def _test(column: str, values: list[str | float]) -> str:
    """SQL of whether a cell has one of the values: as text, or as a number where it is one."""
    text = f"lower(coalesce({trim_sql(f'CAST({quoted(column)} AS VARCHAR)')}, ''))"
    words = [f"{text} = {literal(str(value).strip().lower())}" for value in values]
    numbers = [number for value in values if (number := class_number(value)) is not None]
    return f"({' OR '.join([*words, *(f'TRY_CAST({text} AS DOUBLE) = {number!r}' for number in numbers)])})"
