"""Sources "long" and "sql": one row per measurement, from tables or from the query of a database.

Columns: patient_id, stay_id, time, variable, value, unit, available_at, code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa

from clinicalgru.data.ingest.column_names import DATA, columns_in, normalize
from clinicalgru.data.ingest.csv_blocks import NotWellFormedError, large_texts
from clinicalgru.data.ingest.database import WHERE, fetch, is_address
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.row_filter import COLUMN, with_left_out
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.stays_table import read_tables
from clinicalgru.data.ingest.tables import TablePart, column_types, open_parts
from clinicalgru.data.ingest.unused_columns import unused_columns
from clinicalgru.data.ingest.workspace import COLUMNS, Workspace
from clinicalgru.errors import ArgumentError, InputError, describe

BATCH = "sql_batch"


def read_long(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add the rows of a table or folder; stays and outcomes come from their tables.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : DataFrame, str or Path
        Table, or path of a file or folder, with one row per measurement.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays and outcomes of their tables.

    Raises
    ------
    InputError
        If a table lacks a column or cannot be read.
    """
    add_long_tables(workspace, data, options)
    return read_tables(workspace, options)


def add_long_tables(workspace: Workspace, data: Any, options: ReadOptions) -> dict[str, int]:
    """Add the rows of a table or folder.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : DataFrame, str or Path
        Table, or path of a file or folder, with one row per measurement.
    options : ReadOptions
        The arguments that hold for it.

    Returns
    -------
    dict of str to int
        No notes; those on unused columns are in the workspace.

    Raises
    ------
    InputError
        If a table lacks a column or cannot be read.
    """
    if not options.row_filter and _add_in_blocks(workspace, data, options):
        return {}
    for part in open_parts(workspace.sql, data, text_format=options.text_format, notes=workspace.notes):
        columns = dict(columns_in(options.columns, DATA, part.types))
        workspace.note_columns(DATA, part.types)
        part = with_left_out(workspace.sql, part, options.row_filter)
        columns |= {"source_reason": COLUMN} if options.row_filter else {}
        workspace.add_rows(part, columns, options.row_format)
        _note_unused(workspace, part, {**columns, **{name: name for name in options.row_filter}})
    return {}


def _add_in_blocks(workspace: Workspace, data: Any, options: ReadOptions) -> bool:
    """Add large text files that are well-formed throughout; False, and nothing added, where some file is not."""
    texts, found = large_texts(data, options.text_format)
    try:
        with workspace.undone_on_error():
            workspace.notes.update(found.notes)
            for text in texts:
                columns = columns_in(options.columns, DATA, text.names)
                workspace.note_columns(DATA, text.names)
                for part in workspace.add_blocks(text, columns, options.row_format):
                    _note_unused(workspace, part, columns)
    except (NotWellFormedError, InputError, pa.ArrowException, duckdb.Error, OSError):
        return False
    return bool(texts)


def read_sql(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add the rows of a query, batch by batch; row 0 of a message is the first row of the query.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str
        Address of a database.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays and outcomes of their tables.

    Raises
    ------
    ArgumentError
        If `data` is no address or `query` is empty.
    InputError
        If a column occurs twice or is binary.
    """
    add_query(workspace, data, options)
    return read_tables(workspace, options)


def add_query(workspace: Workspace, data: Any, options: ReadOptions) -> dict[str, int]:
    """Add the rows of a query, batch by batch.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str
        Address of a database.
    options : ReadOptions
        The arguments that hold for it; `query` is the query.

    Returns
    -------
    dict of str to int
        No notes; those on unused columns are in the workspace.

    Raises
    ------
    ArgumentError
        If `data` is no address or `query` is empty.
    InputError
        If a column occurs twice or is binary.
    """
    if not is_address(data):
        fix = "Pass the address of a database: postgresql://user@host:5432/database or sqlite:///file.db."
        raise ArgumentError("data as the address of a database", describe(data), fix)
    if not options.query or not options.query.strip():
        fix = "Pass query='SELECT patient_id, time, variable, value FROM ...'."
        raise ArgumentError("query as a SELECT", describe(options.query), fix)
    row = 0
    for batch in fetch(data, options.query):
        columns = columns_in(options.columns, DATA, batch.schema.names)
        _check_columns(batch, columns)
        workspace.note_columns(DATA, batch.schema.names)
        workspace.sql.register(BATCH, pa.Table.from_batches([batch]))
        part = TablePart(WHERE, BATCH, column_types(workspace.sql, BATCH), first_row=row)
        workspace.add_rows(part, columns, options.row_format)
        _note_unused(workspace, part, columns)
        workspace.sql.unregister(BATCH)
        row += batch.num_rows
    return {}


def _note_unused(workspace: Workspace, part: TablePart, columns: Mapping[str, str]) -> None:
    """Count the filled cells of columns without a meaning, in the ledger's notes."""
    used = {normalize(columns.get(name, name)) for name in (*COLUMNS, *columns)}
    for note, cells in unused_columns(
        workspace, part, [name for name in part.types if normalize(name) not in used]
    ).items():
        workspace.notes[note] = workspace.notes.get(note, 0) + cells


def _check_columns(batch: pa.RecordBatch, columns: Mapping[str, str]) -> None:
    """Raise where a column occurs twice or is of a type without a meaning here."""
    names = [name.lower() for name in batch.schema.names]
    if not names:
        fix = "Pass a SELECT of patient_id, time, variable and value."
        raise InputError("a query that gives rows", "one without columns", fix, where=WHERE)
    repeated = [name for name in batch.schema.names if names.count(name.lower()) > 1]
    if repeated:
        got = f"column {repeated[0]!r} twice"
        raise InputError("unique column names", got, "Rename one of them in the query.", where=WHERE)
    used = {columns.get(name, name) for name in COLUMNS}
    for field in batch.schema:
        if field.name in used and (pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)):
            fix, where = f"Write CAST({field.name} AS text) in the query.", f"{WHERE}, column {field.name}"
            raise InputError("text, numbers or dates", f"a column of type {field.type}", fix, where=where)
