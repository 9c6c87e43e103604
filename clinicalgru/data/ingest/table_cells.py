"""The cells of the further tables (stays, outcomes, static covariates), read by the rules that hold for the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import pandas as pd

from clinicalgru.data.ingest.column_names import IDENTIFIERS, check_identifier_types, match_columns, normalize
from clinicalgru.data.ingest.connections import small_connection
from clinicalgru.data.ingest.csv_check import format_names
from clinicalgru.data.ingest.decimal_sql import decimal_comma_sql
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.missing_values import MissingValues
from clinicalgru.data.ingest.row_sql import text_sql
from clinicalgru.data.ingest.table_times import (
    TIMES,
    Clock,
    TimeColumns,
    check_times,
    instants_of,
    time_frame,
    without_undetermined,
)
from clinicalgru.data.ingest.tables import TablePart, open_parts, quoted, with_computed
from clinicalgru.data.ingest.text_format import PLAIN_TEXT, TextFormat
from clinicalgru.data.ingest.time_sql import TimeFormat, declare_timezone, trim_sql
from clinicalgru.errors import InputError


@dataclass(frozen=True, eq=False)
class TableCells:
    """A table as text under our names.

    Attributes
    ----------
    frame : DataFrame
        One column per column of the table: trimmed text, NA where blank. Times are Int64 microseconds: since 1970 for
        dates, else since the start of the stay. The index holds the places of the rows, for messages.
    clock : Clock or None
        The kind of its times; None where it has none.
    written : mapping of str to str
        Our name -> the table's own.
    notes : mapping of str to int
        Rows that were left out, and times that were taken as unknown, by what they are.
    """

    frame: pd.DataFrame
    clock: Clock | None = None
    written: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)


def read_cells(
    data: Any,
    columns: Mapping[str, str],
    *,
    name: str,
    keys: tuple[str, ...] = IDENTIFIERS,
    times: TimeFormat | None = None,
    text_format: TextFormat = PLAIN_TEXT,
    time_columns: tuple[str, ...] = TIMES,
    missing: MissingValues | None = None,
) -> TableCells:
    """Read all cells of a table.

    Parameters
    ----------
    data : path, DataFrame or Arrow table
        The table, or a folder of such tables.
    columns : mapping of str to str
        Our column name -> the table's, where they differ.
    name : str
        What messages call the table, such as "stays".
    keys : tuple of str
        Columns that every row must fill. Without `stay_id`, a patient is one stay.
    times : TimeFormat, optional
        How `start` and `end` are read; None: as ISO 8601 dates or hours.
    text_format : TextFormat
        How text tables are written.
    time_columns : tuple of str
        The columns that are read as times.
    missing : MissingValues, optional
        Values that mean "not recorded" among the times: its words, and what it gives for the column.

    Returns
    -------
    TableCells
        The cells.

    Raises
    ------
    InputError
        If a key is missing, blank or floating point; or a time is unreadable, or of another kind than the
        others; or a file has a second header of other columns.

    Notes
    -----
    An end that is a date without a time of day is the end of that day; a start is its beginning. Rows that repeat the
    header of their file are left out and counted. With a time zone, a local time in the hour that a change of the clock
    repeats or skips is unknown, and counted.
    """
    times, missing = times or TimeFormat(), missing or MissingValues()
    with small_connection() as connection, errors_in_table(name):
        declare_timezone(connection, times.timezone, is_temporary=True)
        parts = [
            _with_points(part, columns) if text_format.decimal == "," else part
            for part in open_parts(connection, data, text_format=text_format)
        ]
        read = [_read(connection, part, columns, TimeColumns(times, time_columns, missing), name) for part in parts]
    frame = pd.concat([table for table, _, _ in read])
    clocks = {(clock.is_date, clock.has_offset): clock for _, found, _ in reversed(read) for clock in reversed(found)}
    if len(clocks) > 1:
        one, other = clocks.values()
        fix = "Write all times as dates, all with or all without offset, or all as numbers of one unit."
        raise InputError("one kind of time", f"{one.words} and {other.words}", fix, where=f"{name}, {other.where}")
    _check_keys(frame, keys, name)
    written = {ours: theirs for part in parts for ours, theirs in _our_names(part, columns).items()}
    notes: Counter[str] = sum((counts for _, _, counts in read), Counter())
    return TableCells(frame, next(iter(clocks.values()), None), written, dict(notes))


@contextmanager
def errors_in_table(name: str) -> Iterator[None]:
    """Raise errors of a stays or outcomes table with its name before the place.

    Parameters
    ----------
    name : str
        What messages call the table, such as "stays".

    Yields
    ------
    None
        Nothing; the block reads the table.

    Raises
    ------
    InputError
        If the block raises one.
    """
    try:
        yield
    except InputError as error:
        where = f"{name}, {error.where}" if error.where else name
        raise InputError(error.expected, error.got, error.fix, where=where) from None


def cells_as_text(data: Any, columns: Mapping[str, str], keys: tuple[str, ...] = IDENTIFIERS) -> pd.DataFrame:
    """Read a table of a publisher, such as a table of codes, as text.

    Parameters
    ----------
    data : path, DataFrame or Arrow table
        The table.
    columns : mapping of str to str
        Our column name -> the table's, where they differ.
    keys : tuple of str
        Columns that every row must fill.

    Returns
    -------
    DataFrame
        As `TableCells.frame`.
    """
    return read_cells(data, columns, name="table", keys=keys).frame


def check_once(table: pd.DataFrame, keys: list[str], name: str) -> None:
    """Raise where a key occurs twice in a table.

    Parameters
    ----------
    table : DataFrame
        The table; its index holds the places of its rows.
    keys : list of str
        Columns that together must differ.
    name : str
        Name of the table, for the message.

    Raises
    ------
    InputError
        If two rows have the same key.
    """
    is_repeated = table.duplicated(keys)
    if is_repeated.any():
        where = f"{name}, {table.index[is_repeated][0]}"
        raise InputError(
            "each stay once",
            "a stay twice",
            "Keep one row per stay; of ward moves the first start and the last end.",
            where=where,
        )


def _our_names(part: TablePart, columns: Mapping[str, str]) -> dict[str, str]:
    """Our names -> the part's columns; identifiers and times in any letter case."""
    own = {normalize(name): name for name in (*IDENTIFIERS, *TIMES)}
    return {own.get(normalize(ours), ours): theirs for ours, theirs in match_columns(part.types, columns).items()}


def _with_points(part: TablePart, columns: Mapping[str, str]) -> TablePart:
    """The part, where numbers in text with decimal commas have points instead; identifiers stay as they are."""
    keys = {theirs for ours, theirs in _our_names(part, columns).items() if ours in IDENTIFIERS}
    texts = [quoted(name) for name, dtype in part.types.items() if dtype == "VARCHAR" and name not in keys]
    cells = ", ".join(f"{decimal_comma_sql(name)} AS {name}" for name in texts)
    return replace(part, sql=f"(SELECT * REPLACE ({cells}) FROM {part.sql})") if texts else part


def _check_keys(table: pd.DataFrame, keys: tuple[str, ...], name: str) -> None:
    if "stay_id" not in table and "patient_id" in table and "stay_id" in keys:
        table["stay_id"] = table["patient_id"]
    for key in keys:
        if key not in table:
            got = f"columns {format_names(list(map(str, table)))}"
            raise InputError(f"a column {key}", got, f"Name it with columns={{{key!r}: ...}}.", where=name)
        if table[key].isna().any():
            where = f"{name}, {table.index[table[key].isna()][0]}"
            raise InputError(f"a {key} in every row", "a blank cell", "Complete or remove the row.", where=where)


def _read(
    connection: duckdb.DuckDBPyConnection,
    part: TablePart,
    columns: Mapping[str, str],
    time_columns: TimeColumns,
    name: str,
) -> tuple[pd.DataFrame, list[Clock], Counter[str]]:
    """The cells of one file, the kinds of time in it, and what is counted: repeated headers and unknown times."""
    ours = _our_names(part, columns)
    check_identifier_types(part.types, ours, part.label)
    with duckdb_errors(part.label, part.text):
        table = connection.execute(_cells_sql(part, ours)).df()
        read = {
            our_name: time_frame(connection, part, theirs, time_columns.times)
            for our_name, theirs in ours.items()
            if our_name in time_columns.names
        }
    table.index = [f"{part.label}, row {row}" for row in _row_numbers(part, len(table))]
    is_header = _repeats_header(part, table, ours)
    clocks: list[Clock] = []
    notes = Counter({f"repeated header ({name})": int(is_header.sum())} if is_header.any() else {})
    for our_name, found in read.items():
        is_unknown = time_columns.is_missing(found["written"], our_name, ours[our_name])
        found = found.mask(is_unknown | is_header.to_numpy()).set_axis(table.index)
        found, undetermined = without_undetermined(found)
        notes |= {f"{our_name}s of {name} that are {kind}, taken as unknown": n for kind, n in undetermined.items()}
        check_times(found, "", f", column {our_name}")
        table[our_name], kinds = instants_of(found, ends_of_days=our_name == "end")
        clocks += [replace(kind, where=f"{kind.where}, column {our_name}") for kind in kinds]
    return table[~is_header], clocks, notes


def _repeats_header(part: TablePart, table: pd.DataFrame, ours: Mapping[str, str]) -> pd.Series:
    """Mark rows of a text table that repeat its header; raises at a header of other columns."""
    key = next((name for name in IDENTIFIERS if name in ours), None)
    if part.text is None or key is None:
        return pd.Series(False, index=table.index)
    is_header = table[key].map(normalize, na_action="ignore").isin([*IDENTIFIERS, normalize(ours[key])])
    rows = table[is_header]
    is_other = pd.DataFrame(
        {name: rows[name].map(normalize, na_action="ignore") != normalize(ours[name]) for name in ours}
    )
    if is_other.any(axis=None):
        where = str(is_other.index[is_other.any(axis=1)][0])
        fix = "Files may have been joined: pass them as a folder instead."
        raise InputError("one header, or the same again", "a header of other columns", fix, where=where)
    return is_header


def _cells_sql(part: TablePart, ours: Mapping[str, str]) -> str:
    """SELECT of the cells of a file under our names."""
    text = {name: f"c_cell_{place}" for place, name in enumerate(ours.values()) if part.types[name] == "VARCHAR"}
    trimmed = {cell: trim_sql(quoted(name)) for name, cell in text.items()}  # once, and not at each place of a cell
    cells = (
        text_sql(text.get(theirs, quoted(theirs)))
        if our_name in IDENTIFIERS
        else text_sql(text.get(theirs, quoted(theirs)), part.types[theirs])
        for our_name, theirs in ours.items()
    )
    columns = ", ".join(f"{cell} AS {quoted(our_name)}" for our_name, cell in zip(ours, cells, strict=True))
    return f"SELECT {columns} FROM {with_computed(part.sql, trimmed)}"


def _row_numbers(part: TablePart, n_rows: int) -> Iterable[int]:
    """The numbers of a file's rows as an editor shows them; raises where the last row may be cut off."""
    rows: Iterable[int] = range(part.first_row, part.first_row + n_rows)
    if part.text is not None:
        rows = part.text.rows_of(set(rows)).values() if part.text.blank_lines else rows
        part.text.check_finished()
    return rows
