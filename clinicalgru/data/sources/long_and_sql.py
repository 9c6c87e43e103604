"""The long form: one row a measurement, with patient_id, stay_id, time, variable, value, unit, available_at, code."""

from __future__ import annotations

from typing import Any

from clinicalgru.data.ingest.ingest import Intake
from clinicalgru.data.ingest.source import ReadOptions, SourceResult
from clinicalgru.data.ingest.stays_table import read_tables
from clinicalgru.data.ingest.tables import open_parts


def read(intake: Intake, data: Any, request: ReadOptions) -> SourceResult:
    """Rows of a DataFrame, Arrow table, CSV, CSV.gz, Parquet or folder; stays and outcomes from their tables."""
    for part in open_parts(intake.sql, data, delimiter=request.delimiter):
        intake.add(part, request.columns, time_format=request.time_format, time_unit=request.time_unit)
    return read_tables(intake, request)
