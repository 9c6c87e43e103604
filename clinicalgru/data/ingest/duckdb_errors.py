"""Errors of DuckDB as ours, without the rows that it quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from clinicalgru.data.ingest.csv_check import TextTable, not_utf_8
from clinicalgru.errors import InputError, system_error, system_error_number

MISSING_COLUMN = re.compile(r'does not have a column named "(\w+)"|Referenced column "(\w+)" not found')


@contextmanager
def duckdb_errors(label: str, text: TextTable | None = None) -> Iterator[None]:
    """Raise DuckDB's errors as ours: its messages quote the offending row, so only what is wrong, and where, is kept.

    Parameters
    ----------
    label : str
        What messages call the table.
    text : TextTable, optional
        The text table that is read; a malformed row is searched in it.

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
    except OSError as error:
        raise system_error(error, label) from None
    except (duckdb.Error, UnicodeDecodeError) as error:
        raise _as_ours(str(error), label, text) from None


def _as_ours(message: str, label: str, text: TextTable | None) -> InputError:
    if "Out of Memory" in message or "could not allocate" in message:
        return InputError("enough memory", "more than allowed", "Raise memory_gb or free disk space.", where=label)
    if (number := system_error_number(message)) is not None:
        return system_error(OSError(number, ""), label)
    if column := MISSING_COLUMN.search(message):
        got = "a table without it"
        return InputError(f"a column {column[1] or column[2]}", got, "Export the table with this column.", where=label)
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
