"""Accepted rows of an extract: measurements, coded events, static values; and the implausible values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import IMPLAUSIBLE
from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.merge_duplicates import MEASUREMENTS, merge_duplicates
from clinicalgru.data.ingest.sort_rows import sorted_rows
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sequences.memmap import MemoryMaps, mapped_table

STREAM_ROWS = 122_880  # of DuckDB at a time: a row group of its tables
CODED = pa.schema([("stay", pa.int32()), ("available", pa.int64()), ("time", pa.int64()), ("code", pa.int32())])


def measurements(workspace: Workspace) -> tuple[pa.Table, tuple[Variable, ...], MemoryMaps, dict[str, int]]:
    """Write the accepted measurements to disk in canonical order, and map them into memory.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with stays and units resolved.

    Returns
    -------
    table : pyarrow.Table
        stay, available and time (microseconds), variable (position in `variables`), value (in its unit); memory-mapped.
    variables : tuple of Variable
        Variables that are measured.
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
    used = sorted(variable for (variable,) in workspace.sql.execute(ingest_sql.SERIES).fetchall())
    number = np.zeros(len(workspace.variables), dtype=np.int16)
    number[used] = np.arange(len(used), dtype=np.int16)
    with (
        duckdb_errors("the extract"),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, MEASUREMENTS) as writer,
    ):
        batches = _sorted_batches(workspace, used)
        for batch, merged in merge_duplicates(batches, [variable.merge for variable in workspace.variables]):
            numbers = pa.array(number[batch.column("variable").to_numpy()])
            writer.write_batch(batch.set_column(batch.schema.names.index("variable"), "variable", numbers))
            n_merged.update(merged)
    table, maps = mapped_table(path)
    return table, tuple(workspace.variables[i] for i in used), maps, dict(n_merged)


def _sorted_batches(workspace: Workspace, used: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """The accepted measurements in order."""
    n_later, n_rows, n_stays = (
        workspace.sql.execute(query).fetchall()[0][0]
        for query in (ingest_sql.N_LATER, ingest_sql.N_SERIES, ingest_sql.N_STAYS)
    )
    columns = {"time": "time, " if n_later else "", "place": _place_sql(workspace, used)}
    rows = workspace.sql.sql(ingest_sql.MEASUREMENTS.format(**columns)).to_arrow_reader(STREAM_ROWS)
    for batch in sorted_rows(rows, n_rows=n_rows, n_stays=n_stays, folder=Path(workspace.folder.name)):
        yield batch if n_later else batch.append_column("time", batch.column("available"))


def _place_sql(workspace: Workspace, used: Sequence[int]) -> str:
    """SQL of the place in the extract, a column to sort by, where some variable needs its last value."""
    last = [str(i) for i in used if workspace.variables[i].merge == "last"]
    if not last:
        return ""
    with duckdb_errors("the extract"):
        differing = workspace.sql.execute(ingest_sql.DIFFERING_VALUES.format(variables=", ".join(last))).fetchall()
    if not differing:
        return ""
    variables = ", ".join(str(variable) for (variable,) in differing)
    return f"CASE WHEN variable IN ({variables}) THEN {ingest_sql.PLACE} ELSE 0 END AS place, "


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
