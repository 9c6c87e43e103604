"""The long form from a database: any query that gives the long columns; see `database` for addresses and drivers."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from clinicalgru.data.ingest.database import WHERE, fetch, is_address
from clinicalgru.data.ingest.ingest import LONG, Intake
from clinicalgru.data.ingest.source import ReadOptions, SourceResult
from clinicalgru.data.ingest.stays_table import read_tables
from clinicalgru.data.ingest.tables import Part, column_types
from clinicalgru.errors import ArgumentError, InputError

BATCH = "sql_batch"


def read(intake: Intake, data: Any, request: ReadOptions) -> SourceResult:
    """Rows of `request.query` at the address `data`, batch by batch; row 0 of a message is the query's first row."""
    if not is_address(data):
        fix = "Pass the address of a database: postgresql://user@host:5432/database or sqlite:///file.db."
        raise ArgumentError("an address", "something else", fix)
    if not request.query or not request.query.strip():
        raise ArgumentError("query", "none", "Pass query='SELECT patient_id, time, variable, value FROM ...'.")
    row = 0
    for batch in fetch(data, request.query):
        _check_columns(batch, request)
        intake.sql.register(BATCH, pa.Table.from_batches([batch]))
        part = Part(WHERE, BATCH, column_types(intake.sql, BATCH), first_row=row)
        intake.add(part, request.columns, time_format=request.time_format, time_unit=request.time_unit)
        intake.sql.unregister(BATCH)
        row += batch.num_rows
    return read_tables(intake, request)


def _check_columns(batch: pa.RecordBatch, request: ReadOptions) -> None:
    names = [name.lower() for name in batch.schema.names]
    twice = [name for name in batch.schema.names if names.count(name.lower()) > 1]
    if twice:
        raise InputError("each column once", f"column {twice[0]!r} twice", "Rename one in the query.", where=WHERE)
    used = {request.columns.get(name, name) for name in LONG}
    for field in batch.schema:
        if field.name in used and (pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)):
            fix = f"Write CAST({field.name} AS text) in the query."
            raise InputError(
                "text, numbers or dates", "a type of the database's own", fix, where=f"{WHERE}, column {field.name}"
            )
