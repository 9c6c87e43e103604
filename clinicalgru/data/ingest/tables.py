"""Tables from anywhere (DataFrame, Arrow, CSV, CSV.gz, Parquet, a folder of them) as numbered DuckDB relations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clinicalgru.data.ingest.csv_check import TextTable, check_once, inspect_text, not_utf_8
from clinicalgru.errors import InputError

TEXT_FILES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt")
TABLE_FILES = (*TEXT_FILES, ".parquet")
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
    """

    label: str
    sql: str
    types: dict[str, str]
    first_row: int  # the number of its first data row: 2 in a file with a header, as a spreadsheet shows it
    files: tuple[str, ...] = ()  # where the relation has columns c_file and c_row: the names of the files in it
    wide: bool = False  # each row is a cell of a wide table: messages name the variable's column
    blanks: str = ""  # SQL of cells without a value that are counted only: c_file, c_row (the first), variable, rows
    text: TextTable | None = None  # for a text table


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


def open_parts(connection: duckdb.DuckDBPyConnection, data: Any, *, delimiter: str | None = None) -> list[TablePart]:
    """Open each file of `data`, or the frame, as a part that can be read row by row.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that will read the parts.
    data : path, DataFrame or Arrow table
        The table, a file, or a folder of files.
    delimiter : str, optional
        Delimiter of text tables, one character; None: found from the header.

    Returns
    -------
    list of TablePart
        The parts, sorted by file name.

    Raises
    ------
    InputError
        If a file is missing, is no table or cannot be read; a folder is empty; or text is not UTF-8.
    """
    if isinstance(data, pd.DataFrame):
        return [_frame(connection, _arrow(data))]
    if isinstance(data, pa.Table):
        return [_frame(connection, data)]
    return [_file(connection, path, delimiter) for path in table_files(Path(data))]


def table_files(path: Path) -> list[Path]:
    """Find the table files at a path: itself, or those of the folder.

    Parameters
    ----------
    path : Path
        A file or folder.

    Returns
    -------
    list of Path
        The files, sorted by name.

    Raises
    ------
    InputError
        If the path does not exist or is not UTF-8, is no table, or is a folder without tables.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError("a path in UTF-8", "another encoding", "Rename the file or folder.", where="data") from None
    if not path.exists():
        raise InputError("an existing file or folder", f"no such path: {path.name}", "Check the path.")
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.name.lower().endswith(TABLE_FILES))
    if not files or not all(file.name.lower().endswith(TABLE_FILES) for file in files):
        raise InputError(
            f"tables ({', '.join(TABLE_FILES)})", f"{path.name}", "Pass a table, or name its format with source=."
        )
    return files


def _arrow(frame: pd.DataFrame) -> pa.Table:
    check_once(tuple(map(str, frame.columns)), "DataFrame")
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        mixed = [str(name) for name in frame.columns if _is_mixed(frame[name])]
        raise InputError(
            "one type in each column", f"mixed types in {', '.join(mixed)}", "Use .astype(str).", where="DataFrame"
        ) from None


def _is_mixed(column: pd.Series) -> bool:
    return pd.api.types.infer_dtype(column, skipna=True).startswith("mixed")


def _frame(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> TablePart:
    check_once(tuple(table.column_names), "DataFrame")
    name = f"frame_{id(table)}"
    connection.register(name, table)
    return TablePart("DataFrame", quoted(name), column_types(connection, quoted(name)), first_row=0)


def _file(connection: duckdb.DuckDBPyConnection, path: Path, delimiter: str | None) -> TablePart:
    if path.suffix.lower() == ".parquet":
        sql = _parquet(path)
        with duckdb_errors(path.name):
            return TablePart(path.name, sql, column_types(connection, sql), first_row=0)
    text = inspect_text(path, delimiter=delimiter)
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in text.names)
    sql = (
        f"read_csv({one_file(path)}, auto_detect=false, header=true, delim={literal(text.delimiter)}, quote='\"', "
        f"escape='\"', strict_mode=true, columns={{{columns}}})"
    )
    with duckdb_errors(path.name, text):
        return TablePart(path.name, sql, column_types(connection, sql), first_row=2, text=text)


def one_file(path: Path) -> str:
    """Write a path as an SQL literal that names this file only: DuckDB takes * ? [ for patterns.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        The literal.
    """
    return literal(re.sub(r"([\[*?])", r"[\1]", str(path)))


def _parquet(path: Path) -> str:
    """SQL of a Parquet file; DuckDB reads a duration as a bare count of its unit, so that it is told the unit."""
    durations = [
        f"to_microseconds(CAST({name} * {MICROSECONDS[field.type.unit]} AS BIGINT)) AS {name}"
        for field in check_parquet(path)
        if pa.types.is_duration(field.type) and (name := quoted(field.name))
    ]
    file = f"read_parquet({one_file(path)})"
    return f"(SELECT * REPLACE ({', '.join(durations)}) FROM {file})" if durations else file


def check_parquet(path: Path) -> pa.Schema:
    """Read a Parquet file once, and refuse one that is damaged or has a column twice.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    pyarrow.Schema
        Its columns.

    Raises
    ------
    InputError
        If the file is damaged, as far as its page checksums show, or has a column twice.

    Notes
    -----
    DuckDB reads pages without comparing their checksums; where the writer stored none, a flipped bit may stay unseen.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            for _ in file.iter_batches(batch_size=65_536, use_threads=False):
                pass
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise InputError(
            "a readable Parquet file", "a truncated or corrupt file", "Export it again.", where=path.name
        ) from None
    check_once(tuple(schema.names), path.name)
    return schema


def derived(connection: duckdb.DuckDBPyConnection, part: TablePart, select: str, *, tail: str = "") -> TablePart:
    """Write the rows of a file as other columns, still numbered as in the file.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that can read the file.
    part : TablePart
        The file.
    select : str
        SQL of the new columns, over the file's row `r`.
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
    numbered = f"SELECT *, row_number() OVER () - 1 + {part.first_row} AS c_row FROM {part.sql}"
    sql = f"(SELECT 0 AS c_file, r.c_row, {select} FROM ({numbered}) r {tail})"
    with duckdb_errors(part.label, part.text):
        types = column_types(connection, sql)
    return TablePart(part.label, sql, types, part.first_row, files=(part.label,), text=part.text)


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


@contextmanager
def duckdb_errors(label: str, text: TextTable | None = None) -> Iterator[None]:
    """Raise DuckDB's errors as ours: its messages quote the offending row, so only what is wrong, and where, is kept.

    Parameters
    ----------
    label : str
        What messages call the table.
    text : TextTable, optional
        The text table that is read; a malformed row is looked for in it.

    Yields
    ------
    None
        Nothing; the block reads the table.

    Raises
    ------
    InputError
        If DuckDB raises.
    """
    try:
        yield
    except (duckdb.Error, UnicodeDecodeError) as error:
        raise _as_ours(str(error), label, text) from None


def _as_ours(message: str, label: str, text: TextTable | None) -> InputError:
    if "Out of Memory" in message or "could not allocate" in message:
        return InputError("enough memory", "more than allowed", "Raise memory_gb or free disk space.", where=label)
    first_malformed_row = text.first_malformed_row() if text else None
    if first_malformed_row is not None:
        return first_malformed_row
    line = re.search(r"CSV Error on Line: (\d+)", message)
    where = f"{label}, row {line[1]}" if line else label
    if "unicode" in message.lower():
        return not_utf_8(where)
    if "invalid state" in message:
        fix = "Write one kind of line end throughout."
        return InputError("lines that end alike", "several kinds of line end or quote", fix, where=where)
    return InputError("a readable table", "one that cannot be parsed", "Export it again.", where=where)
