"""Tables from anywhere (frames, Arrow streams, CSV, Parquet, a folder or list of them) as numbered DuckDB relations.

Every option of DuckDB's readers that changes what is read is named here: with its defaults, the name of a folder such
as patient_id=0099 would overwrite a column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clinicalgru.data.ingest.arrow_tables import (
    LABEL,
    arrow_table,
    is_arrow,
    is_stream,
    store_file,
    store_stream,
    temporary_folder,
)
from clinicalgru.data.ingest.column_names import normalize
from clinicalgru.data.ingest.compression import format_of
from clinicalgru.data.ingest.csv_check import LONGEST_LINE, TextTable, check_once, format_names, inspect_text
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.table_files import ARROW_FILES, PARQUET_FILES, find_tables, one_file
from clinicalgru.data.ingest.text_format import PLAIN_TEXT, TextFormat
from clinicalgru.data.ingest.time_sql import has_zone, trim_sql
from clinicalgru.errors import InputError

ANY_FILE = (  # of all readers of DuckDB
    "filename=false, hive_partitioning=false, hive_types_autocast=false, union_by_name=false, file_row_number=false, "
    "allow_empty=true"
)
ANY_TEXT = (
    f"auto_detect=false, header=true, strict_mode=true, all_varchar=true, nullstr='', "
    f"allow_quoted_nulls=true, null_padding=false, ignore_errors=false, store_rejects=false, normalize_names=false, "
    f"skip=0, comment='', encoding='utf-8', max_line_size={LONGEST_LINE}, parallel=true, {ANY_FILE}"
)
QUOTED = f"quote='\"', escape='\"', {ANY_TEXT}"
UNQUOTED = f"quote='', escape='', {ANY_TEXT}"
PARQUET_OPTIONS = f"binary_as_string=true, utf8_validation='strict', int96_as='timestamp', {ANY_FILE}"
MICROSECONDS = {"s": "1000000", "ms": "1000", "us": "1", "ns": "0.001"}


@dataclass(frozen=True)
class TablePart:
    """One file or frame of an extract: what to call it in messages, the SQL that reads it, its columns and types.

    Attributes
    ----------
    label : str
        What messages call it.
    sql : str
        SQL of the relation, to stand after FROM.
    types : dict of str to str
        Name of each column -> its DuckDB type.
    first_row : int
        Number of its first data row: 2 in a file with a header, as a spreadsheet shows it.
    files : tuple of str
        Names of the files in it, where the relation has columns c_file and c_row.
    wide : bool
        Whether each row is a cell of a wide table: messages name the variable's column.
    blanks : str
        SQL of cells without a value that are counted only: c_file, c_row (the first), variable, rows.
    text : TextTable or None
        What is known of a text table.
    numbered : dict of str to str
        SQL of a file that numbers its rows from 0 -> the same with these numbers as a further column, file_row_number.
        Another `sql` is not in it, and its rows are counted.
    """

    label: str
    sql: str
    types: dict[str, str]
    first_row: int  # the number of its first data row: 2 in a file with a header, as a spreadsheet shows it
    files: tuple[str, ...] = ()  # where the relation has columns c_file and c_row: the names of the files in it
    wide: bool = False  # each row is a cell of a wide table: messages name the variable's column
    blanks: str = ""  # SQL of cells without a value that are counted only: c_file, c_row (the first), variable, rows
    text: TextTable | None = None  # for a text table
    numbered: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """SQL of c_row, the number of each row, over `relation`.

        DuckDB counts rows in a single thread. Where the file numbers them, it reads on all cores.
        """
        number = "file_row_number" if self.sql in self.numbered else "row_number() OVER () - 1"
        return f"{number} + {self.first_row} AS c_row"

    @property
    def relation(self) -> str:
        """SQL of the rows that `place` numbers, to stand after FROM."""
        return self.numbered.get(self.sql, self.sql)

    @property
    def is_stored(self) -> bool:
        """Whether it is a Parquet file or a table in memory, of which single columns can be read at little cost."""
        return self.text is None and not self.files and not self.wide


def quoted(name: str) -> str:
    """Write a name as an SQL identifier.

    Parameters
    ----------
    name : str
        The name.

    Returns
    -------
    str
        The name in double quotes.
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Write a text as an SQL literal.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    str
        The text in single quotes.
    """
    return "'" + text.replace("'", "''") + "'"


def open_parts(
    connection: duckdb.DuckDBPyConnection,
    data: Any,
    *,
    text_format: TextFormat = PLAIN_TEXT,
    notes: dict[str, int] | None = None,
) -> list[TablePart]:
    """Open each file of `data`, or the frame, as a part that can be read row by row.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that will read the parts.
    data : path, list of paths, DataFrame, Arrow table, or object with `__arrow_c_stream__`
        The table, a file, or a folder of files.
    text_format : TextFormat
        How text tables are written.
    notes : dict of str to int, optional
        Gets a note for the ledger about each file of a folder that is not read, such as a hidden one.

    Returns
    -------
    list of TablePart
        The parts, sorted by file name.

    Raises
    ------
    InputError
        If a file is missing, is no table or cannot be read; a folder is empty, or has files that may be tables and
        cannot be read; files differ in their columns; or text is not UTF-8.
    """
    if isinstance(data, pd.DataFrame) or is_arrow(data):
        part = (
            _stored(connection, store_stream(data, connection), LABEL)
            if is_stream(data)
            else _frame(connection, arrow_table(data, connection))
        )
        return [_with_joined(connection, part, text_format)]
    found = find_tables([Path(path) for path in (data if isinstance(data, list | tuple) else [data])])
    parts = [_with_joined(connection, _file(connection, path, text_format), text_format) for path in found.files]
    for part in parts:
        if part.text and part.text.plain != part.text.path:
            found.note("unpacked to be read", part.label)
    if notes is not None:
        notes.update(found.notes)
    for part in parts[1:]:
        _check_alike(parts[0], part)
    return parts


def _check_alike(first: TablePart, other: TablePart) -> None:
    """Refuse two files of one extract that differ in their columns; their order and letter case may differ."""
    expected = {name.casefold(): name for name in first.types}
    got = {name.casefold(): name for name in other.types}
    missing, spare = [expected[n] for n in expected.keys() - got], [got[n] for n in got.keys() - expected]
    if missing or spare:
        parts = [("without", sorted(missing), first), ("with also", sorted(spare), other)]
        differ = " and ".join(f"{word} {format_names(n, list(of.types))}" for word, n, of in parts if n)
        fix = "Export all files with the same columns, or read them apart."
        raise InputError(f"the columns of {first.label} in each file", f"a file {differ}", fix, where=other.label)


def _frame(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> TablePart:
    name = f"frame_{id(table)}"
    with duckdb_errors(LABEL):
        connection.register(name, table)
        return _with_usual_times(connection, TablePart(LABEL, quoted(name), {}, first_row=0))


def _file(connection: duckdb.DuckDBPyConnection, path: Path, text_format: TextFormat) -> TablePart:
    if path.name.lower().endswith(ARROW_FILES):
        return _stored(connection, store_file(path, connection), path.name)
    if format_of(path) == "parquet":
        return _stored(connection, path, path.name)
    if path.name.lower().endswith(PARQUET_FILES):
        fix = "Export it again."
        raise InputError("a readable Parquet file", "a truncated or corrupt file", fix, where=path.name)
    path = text_format.as_utf_8(path, lambda: temporary_folder(connection))
    text = inspect_text(path, delimiter=text_format.delimiter, make_folder=lambda: temporary_folder(connection))
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in text.names)
    sql = (
        f"read_csv({one_file(text.plain)}, {QUOTED}, delim={literal(text.delimiter)}, columns={{{columns}}}, "
        f"compression={literal(text.compression)})"
    )
    with duckdb_errors(path.name, text):
        return TablePart(path.name, sql, column_types(connection, sql), first_row=2, text=text)


def _stored(connection: duckdb.DuckDBPyConnection, path: Path, label: str) -> TablePart:
    """A Parquet file, under the name of what it holds."""
    sql, numbered = _parquet(path)
    with duckdb_errors(label):
        return _with_usual_times(connection, TablePart(label, sql, {}, first_row=0, numbered=numbered))


def _with_joined(connection: duckdb.DuckDBPyConnection, part: TablePart, text_format: TextFormat) -> TablePart:
    """The part with one column for two that are named together, such as "Date + Time", in place of these two."""
    have = {normalize(name): name for name in part.types}
    computed, used = {}, set()
    for name, (first, second) in text_format.joined.items():
        if normalize(name) not in have and normalize(first) in have and normalize(second) in have:
            date, time = have[normalize(first)], have[normalize(second)]
            day = f"CAST({quoted(date)} AS DATE)" if part.types[date].startswith("TIMESTAMP") else quoted(date)
            day, clock = (f"nullif({trim_sql(cell)}, '')" for cell in (day, quoted(time)))
            computed[name] = f"CASE WHEN {day} IS NOT NULL THEN concat_ws(' ', {day}, {clock}) END"
            used |= {date, time}
    if not computed:
        return part
    left = ", ".join(map(quoted, used))
    return _rewritten(connection, part, lambda sql: f"(SELECT * EXCLUDE ({left}) FROM {with_computed(sql, computed)})")


def _rewritten(connection: duckdb.DuckDBPyConnection, part: TablePart, rewrite: Callable[[str], str]) -> TablePart:
    """The part with other columns, and their types."""
    sql = rewrite(part.sql)
    numbered = {sql: rewrite(part.relation)} if part.sql in part.numbered else {}
    return replace(part, sql=sql, numbered=numbered, types=column_types(connection, sql))


def _with_usual_times(connection: duckdb.DuckDBPyConnection, part: TablePart) -> TablePart:
    """The part with its types, where times of any precision are microseconds, with their time zone or without.

    DuckDB gives times in nanoseconds with a time zone a type of its own, which few of its functions take.
    """
    usual = {
        name: "TIMESTAMP WITH TIME ZONE" if has_zone(dtype) else "TIMESTAMP"
        for name, dtype in column_types(connection, part.sql).items()
        if dtype.startswith("TIMESTAMP") and dtype not in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
    }
    if usual:
        casts = ", ".join(f"CAST({quoted(name)} AS {dtype}) AS {quoted(name)}" for name, dtype in usual.items())
        return _rewritten(connection, part, lambda sql: f"(SELECT * REPLACE ({casts}) FROM {sql})")
    return replace(part, types=column_types(connection, part.sql))


def _parquet(path: Path) -> tuple[str, dict[str, str]]:
    """SQL of a Parquet file, and of the same with its row numbers, unless it has a column of their name.

    DuckDB reads a duration as a bare count, so the unit is given.
    """
    schema = _check_parquet(path)
    durations = [
        f"to_microseconds(CAST({name} * {MICROSECONDS[column.type.unit]} AS BIGINT)) AS {name}"
        for column in schema
        if pa.types.is_duration(column.type) and (name := quoted(column.name))
    ]
    file = f"read_parquet({one_file(path)}, {PARQUET_OPTIONS})"
    columns = f"* REPLACE ({', '.join(durations)})" if durations else "*"
    is_free = "file_row_number" not in map(str.lower, schema.names)
    sql = f"(SELECT {columns} FROM {file})" if durations else file
    return sql, {sql: f"(SELECT {columns}, file_row_number FROM {file})"} if is_free else {}


def _check_parquet(path: Path) -> pa.Schema:
    """Read a Parquet file once, and refuse one that is damaged or has a column twice.

    DuckDB reads pages without comparing their checksums; where the writer stored none, a flipped bit may stay unseen.
    """
    try:
        schema = pq.read_schema(path)
        texts = [each.name for each in schema if pa.types.is_string(each.type) or pa.types.is_large_string(each.type)]
        # a text that repeats is then read once
        with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts) as file:
            for _ in file.iter_batches(batch_size=65_536, use_threads=False):
                pass
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise InputError(
            "a readable Parquet file", "a truncated or corrupt file", "Export it again.", where=path.name
        ) from None
    check_once(tuple(schema.names), path.name)
    return schema


def derived(
    connection: duckdb.DuckDBPyConnection,
    part: TablePart,
    select: str,
    *,
    computed: Sequence[Mapping[str, str]] = (),
    tail: str = "",
) -> TablePart:
    """Write the rows of a file as other columns, still numbered as in the file.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that can read the file.
    part : TablePart
        The file.
    select : str
        SQL of the new columns, over the file's row `r`.
    computed : sequence of mapping of str to str
        Further columns of `r` that the new ones use, in layers (see `with_computed`).
    tail : str
        SQL of joins and conditions.

    Returns
    -------
    TablePart
        The rows, with c_file and c_row.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    numbered = f"SELECT *, {part.place} FROM {part.relation}"
    sql = f"(SELECT 0 AS c_file, r.c_row, {select} FROM {with_computed(f'({numbered})', *computed)} r {tail})"
    with duckdb_errors(part.label, part.text):
        types = column_types(connection, sql)
    return TablePart(part.label, sql, types, part.first_row, files=(part.label,), text=part.text)


def with_computed(sql: str, *layers: Mapping[str, str]) -> str:
    """Write SQL of a relation with further columns, of which each layer may use those of the layers before it.

    DuckDB computes a column once. An expression that is pasted into others is copied each time, and SQL grows with
    every level of such nesting.

    Parameters
    ----------
    sql : str
        SQL of the relation, to stand after FROM.
    *layers : mapping of str to str
        Name -> SQL of a column, over the columns of the relation and of the layers before.

    Returns
    -------
    str
        SQL of the relation, to stand after FROM.

    Examples
    --------
    >>> with_computed("cells", {"c_text": "trim(r.cell)"})
    '(SELECT r.*, trim(r.cell) AS "c_text" FROM cells r)'
    """
    for layer in filter(None, layers):
        columns = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in layer.items())
        sql = f"(SELECT r.*, {columns} FROM {sql} r)"
    return sql


def column_types(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, str]:
    """Find the columns of a relation.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that can read it.
    sql : str
        SQL of the relation, to stand after FROM.

    Returns
    -------
    dict of str to str
        Name of each column -> its DuckDB type.
    """
    relation = connection.sql(f"SELECT * FROM {sql} LIMIT 0")
    return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}
