"""Accepted rows of an extract: measurements, coded events, static values; and the implausible values."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import IMPLAUSIBLE
from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.merge_duplicates import MEASUREMENTS, merge_duplicates
from clinicalgru.data.ingest.tables import duckdb_errors
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sequences.memmap import MemoryMaps, mapped_table

CHUNK_ROWS = 1_000_000


def measurements(workspace: Workspace) -> tuple[pa.Table, MemoryMaps, int]:
    """Sorted measurements, memory-mapped, and how many rows were merged with another of the same time."""
    path, n_merged = Path(workspace.folder.name) / "facts.arrow", 0
    with (
        duckdb_errors("the extract"),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, MEASUREMENTS) as writer,
    ):
        reader = workspace.sql.sql(ingest_sql.MEASUREMENTS).to_arrow_reader(CHUNK_ROWS)
        for batch, merged in merge_duplicates(reader):
            writer.write_batch(batch)
            n_merged += merged
    return *mapped_table(path), n_merged


def coded_events(workspace: Workspace) -> tuple[pa.Table, tuple[str, ...], int]:
    """Sorted coded events, their vocabulary, and how many exact repetitions were merged."""
    total = workspace.sql.execute(ingest_sql.N_CODED_ROWS).fetchone()
    assert total is not None
    vocabulary = tuple(code for (code,) in workspace.sql.execute(ingest_sql.VOCABULARY).fetchall())
    codes = {"code": pa.array(vocabulary, pa.string()), "id": pa.array(range(len(vocabulary)), pa.int32())}
    workspace.sql.register("vocabulary_frame", pa.table(codes))
    table = workspace.sql.sql(ingest_sql.CODED_EVENTS).to_arrow_table()
    return table, vocabulary, total[0] - table.num_rows


def implausible_values(workspace: Workspace) -> pa.Table:
    """Values rejected as implausible: stay, time, variable, value (in the variable's own unit)."""
    return workspace.sql.sql(ingest_sql.IMPLAUSIBLE).to_arrow_table().cast(IMPLAUSIBLE)


def static_rows(workspace: Workspace) -> pd.DataFrame:
    """Static values that occurred as rows: position, variable, value (the last by time), has_several."""
    return workspace.sql.execute(ingest_sql.STATIC_VALUES).df()
