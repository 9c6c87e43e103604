"""Tables from anywhere (DataFrame, Arrow, CSV, CSV.gz, Parquet, a folder of them) as numbered DuckDB relations."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from clinicalgru.errors import InputError

TEXT_FILES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt")
TABLE_FILES = (*TEXT_FILES, ".parquet")
UTF_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True)
class Part:
    """One file or frame of an extract: what to call it in messages, the SQL that reads it, its columns and types."""

    label: str
    sql: str
    types: dict[str, str]
    first_row: int  # the number of its first data row: 2 in a file with a header, as a spreadsheet shows it
    files: tuple[str, ...] = ()  # for many small files in one relation with columns c_file and c_row: their names


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def open_parts(connection: duckdb.DuckDBPyConnection, data: Any, *, delimiter: str | None = None) -> list[Part]:
    """Each file of `data`, or the frame, as a part that can be read row by row.

    Refused: a missing file, a kind of file that is not a table, an empty folder, text that is not UTF-8.
    """
    if isinstance(data, pd.DataFrame):
        return [_frame(connection, _arrow(data))]
    if isinstance(data, pa.Table):
        return [_frame(connection, data)]
    return [_file(connection, path, delimiter) for path in table_files(Path(data))]


def table_files(path: Path) -> list[Path]:
    """The table files at a path: itself, or those of the folder, sorted by name."""
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
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError("each column once", f"column {twice[0]!s} twice", "Rename or drop one.", where="DataFrame")
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        mixed = [str(name) for name in frame.columns if _is_mixed(frame[name])]
        raise InputError(
            "one type in each column", f"mixed types in {', '.join(mixed)}", "Use .astype(str).", where="DataFrame"
        ) from None


def _is_mixed(column: pd.Series) -> bool:
    return pd.api.types.infer_dtype(column, skipna=True).startswith("mixed")


def _frame(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> Part:
    name = f"frame_{id(table)}"
    connection.register(name, table)
    return Part("DataFrame", quoted(name), _types(connection, quoted(name)), first_row=0)


def _file(connection: duckdb.DuckDBPyConnection, path: Path, delimiter: str | None) -> Part:
    if path.suffix.lower() == ".parquet":
        sql, first_row = f"read_parquet({literal(str(path))})", 0
    else:
        delimiter = delimiter or ("\t" if ".tsv" in path.name.lower() else ",")
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in _header(path, delimiter))
        sql, first_row = (
            f"read_csv({literal(str(path))}, auto_detect=false, header=true, delim={literal(delimiter)}, quote='\"', "
            f"escape='\"', strict_mode=true, columns={{{columns}}})",
            2,
        )
    with plain_errors(path.name):
        return Part(path.name, sql, _types(connection, sql), first_row)


def _types(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, str]:
    relation = connection.sql(f"SELECT * FROM {sql} LIMIT 0")
    return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}


def _header(path: Path, delimiter: str) -> list[str]:
    """Column names of a text table, checked before anything is read."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            line = file.readline(1_000_000)
    except (OSError, EOFError):
        raise InputError("a readable file", "a damaged one", "Fetch it again.", where=path.name) from None
    if line[:2] in UTF_MARKS or b"\0" in line:
        raise InputError("UTF-8 text", "UTF-16 or binary content", "Save it as UTF-8.", where=f"{path.name}, row 1")
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise InputError("UTF-8 text", "another encoding", "Save it as UTF-8.", where=f"{path.name}, row 1") from None
    names = next(csv.reader([text], delimiter=delimiter), [])
    if not names:
        raise InputError("a header row", "an empty file", "Export the table again.", where=path.name)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError("each column once", f"column {twice[0]!r} twice", "Rename or drop one.", where=path.name)
    return names


@contextmanager
def plain_errors(label: str) -> Iterator[None]:
    """DuckDB's errors as ours: its messages quote the offending row, so only the row number is kept."""
    try:
        yield
    except duckdb.Error as error:
        raise _as_ours(str(error), label) from None


def _as_ours(message: str, label: str) -> InputError:
    line = re.search(r"CSV Error on Line: (\d+)", message)
    where = f"{label}, row {line[1]}" if line else label
    columns = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if "unicode" in message:
        return InputError("UTF-8 text", "another encoding", "Save it as UTF-8.", where=where)
    if columns:
        fix = "Repair this row: a field may hold an unquoted delimiter, or the file may be cut off."
        return InputError(f"{columns[1]} columns", columns[2], fix, where=where)
    if "unterminated quote" in message:
        return InputError("a closing quote", "a quote that never closes", "Repair the quotes of this row.", where=where)
    if "Out of Memory" in message or "could not allocate" in message:
        return InputError("enough memory", "more than allowed", "Raise memory_gb or free disk space.", where=label)
    return InputError("a readable table", "one that cannot be parsed", "Export it again.", where=where)
