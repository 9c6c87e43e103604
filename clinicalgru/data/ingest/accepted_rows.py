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
    """Write the accepted measurements to disk in canonical order, and map them into memory.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with stays and units resolved.

    Returns
    -------
    table : pyarrow.Table
        stay, available and time (microseconds), variable, value (in the unit of the variable); memory-mapped.
    maps : MemoryMaps
        The memory maps of the table.
    n_merged : int
        How many rows were merged with another of the same time.

    Raises
    ------
    InputError
        If memory or disk do not suffice.
    """
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
    """Compute the accepted coded events in canonical order, without exact repetitions.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with stays resolved.

    Returns
    -------
    table : pyarrow.Table
        stay, available and time (microseconds), code (position in the vocabulary).
    vocabulary : tuple of str
        The codes, as "variable//code".
    n_repeated : int
        How many exact repetitions were merged.
    """
    total = workspace.sql.execute(ingest_sql.N_CODED_ROWS).fetchone()
    assert total is not None
    vocabulary = tuple(code for (code,) in workspace.sql.execute(ingest_sql.VOCABULARY).fetchall())
    codes = {"code": pa.array(vocabulary, pa.string()), "id": pa.array(range(len(vocabulary)), pa.int32())}
    workspace.sql.register("vocabulary_frame", pa.table(codes))
    table = workspace.sql.sql(ingest_sql.CODED_EVENTS).to_arrow_table()
    return table, vocabulary, total[0] - table.num_rows


def implausible_values(workspace: Workspace) -> pa.Table:
    """Values of rows that were rejected as implausible.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with stays and units resolved.

    Returns
    -------
    pyarrow.Table
        stay, time (microseconds), variable (name), value (in the unit of the variable).
    """
    return workspace.sql.sql(ingest_sql.IMPLAUSIBLE).to_arrow_table().cast(IMPLAUSIBLE)


def static_rows(workspace: Workspace) -> pd.DataFrame:
    """Static values that occurred as rows; of several, the last by time.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with stays and units resolved.

    Returns
    -------
    DataFrame
        position (of the stay), variable (position), value, has_several (whether there were different values).
    """
    return workspace.sql.execute(ingest_sql.STATIC_VALUES).df()
