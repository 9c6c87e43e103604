"""Accepted rows of an extract: measurements, coded events, static values; and the implausible values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import IMPLAUSIBLE
from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.merge_duplicates import MEASUREMENTS, merge_duplicates
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sequences.memmap import MemoryMaps, mapped_table

CHUNK_ROWS = 1_000_000
SORTED_ROWS = 4_000_000  # at a time
CODED = pa.schema([("stay", pa.int32()), ("available", pa.int64()), ("time", pa.int64()), ("code", pa.int32())])


def measurements(workspace: Workspace) -> tuple[pa.Table, MemoryMaps, dict[str, int]]:
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
    n_merged : dict of str to int
        How many rows were merged with another of the same instant: exact repeats, or by how their values were merged.

    Raises
    ------
    InputError
        If memory or disk do not suffice.
    """
    path, n_merged = Path(workspace.folder.name) / "facts.arrow", Counter[str]()
    is_known_later = workspace.sql.execute(ingest_sql.N_LATER).fetchall()[0][0] > 0
    time, times = ("time", "available, time") if is_known_later else ("available", "available")  # a key less to sort by
    columns = {"place": _place_sql(workspace), "time": time, "times": times}
    with (
        duckdb_errors("the extract"),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, MEASUREMENTS) as writer,
    ):
        batches = _sorted_batches(workspace, columns)
        for batch, merged in merge_duplicates(batches, [variable.merge for variable in workspace.variables]):
            writer.write_batch(batch)
            n_merged.update(merged)
    return *mapped_table(path), dict(n_merged)


def _sorted_batches(workspace: Workspace, columns: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """The accepted measurements in order: stays are sorted some millions of rows at a time, which bounds the memory."""
    n_rows, n_stays = (
        workspace.sql.execute(query).fetchall()[0][0] for query in (ingest_sql.N_SERIES, ingest_sql.N_STAYS)
    )
    n_parts = max(1, min(n_stays, round(n_rows / SORTED_ROWS)))
    bounds = [n_stays * number // n_parts for number in range(n_parts + 1)]
    for first, end in pairwise(bounds):
        stays = "true" if n_parts == 1 else f"position >= {first} AND position < {end}"
        query = ingest_sql.MEASUREMENTS.format(**columns, stays=stays)
        yield from workspace.sql.sql(query).to_arrow_reader(CHUNK_ROWS)


def _place_sql(workspace: Workspace) -> str:
    """SQL of the place in the extract, a key to sort by, where some variable needs its last value."""
    occurring = {variable for (variable,) in workspace.sql.execute(ingest_sql.SERIES).fetchall()}
    last = [str(i) for i in sorted(occurring) if workspace.variables[i].merge == "last"]
    if not last:
        return ""
    with duckdb_errors("the extract"):
        differing = workspace.sql.execute(ingest_sql.DIFFERING_VALUES.format(variables=", ".join(last))).fetchall()
    if not differing:
        return ""
    variables = ", ".join(str(variable) for (variable,) in differing)
    return f"CASE WHEN variable IN ({variables}) THEN {ingest_sql.PLACE} ELSE 0 END, "


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
    total = workspace.sql.execute(ingest_sql.N_CODED_ROWS).fetchall()[0][0]
    if not total:
        return CODED.empty_table(), (), 0
    workspace.sql.execute(ingest_sql.CODED_ROWS)
    vocabulary = tuple(code for (code,) in workspace.sql.execute(ingest_sql.VOCABULARY).fetchall())
    codes = {"code": pa.array(vocabulary, pa.string()), "id": pa.array(range(len(vocabulary)), pa.int32())}
    workspace.sql.register("vocabulary_frame", pa.table(codes))
    table = workspace.sql.sql(ingest_sql.CODED_EVENTS).to_arrow_table()
    return table, vocabulary, total - table.num_rows


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
    if not workspace.sql.execute(ingest_sql.N_IMPLAUSIBLE).fetchall()[0][0]:
        return IMPLAUSIBLE.empty_table()
    return workspace.sql.sql(ingest_sql.IMPLAUSIBLE).to_arrow_table().cast(IMPLAUSIBLE)


def static_rows(workspace: Workspace) -> pd.DataFrame:
    """Static values that occurred as rows, without exact repetitions.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with stays and units resolved.

    Returns
    -------
    DataFrame
        stay (position), variable (position), available and time (microseconds), value, is_top_coded (whether it was
        given as a group, such as "> 89").
    """
    return workspace.sql.execute(ingest_sql.STATIC_VALUES).df()
