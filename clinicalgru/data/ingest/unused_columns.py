"""Columns of a table that are not used, counted for the ledger."""

from __future__ import annotations

from collections.abc import Collection

from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.row_sql import text_sql
from clinicalgru.data.ingest.tables import TablePart, quoted
from clinicalgru.data.ingest.workspace import Workspace


def unused_columns(workspace: Workspace, part: TablePart, columns: Collection[str]) -> dict[str, int]:
    """Count the filled cells of the columns that are not used.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    part : TablePart
        The table.
    columns : collection of str
        Its columns that are not used.

    Returns
    -------
    dict of str to int
        A note for each column -> how many of its cells hold something.

    Raises
    ------
    InputError
        If the table cannot be read.
    """
    left = sorted(set(columns) - {"c_file", "c_row"})
    if not left:
        return {}
    counts = ", ".join(f"count({text_sql(quoted(column))})" for column in left)
    with duckdb_errors(part.label):
        row = workspace.sql.execute(f"SELECT {counts} FROM {part.sql}").fetchall()[0]
    return {f"column not used: {column}": int(cells) for column, cells in zip(left, row, strict=True)}
