"""Columns of dates that were written with a time of day, which is midnight in every row."""

from __future__ import annotations

from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.workspace import Workspace


def resolve_date_columns(workspace: Workspace) -> dict[str, int]:
    """Take columns of which every instant is midnight, on more than one day, for dates.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with all rows of the source.

    Returns
    -------
    dict of str to int
        Rows by note: "times at midnight only, taken for dates: " and the name of the column.
    """
    notes: dict[str, int] = {}
    for kind in ("time", "available"):
        ours = "available_at" if kind == "available" else kind
        parts: dict[str, list[tuple[int, ...]]] = {}
        query = ingest_sql.TIMES_OF_DAY.format(kind=kind, count={"time": "timed", "available": "known"}[kind])
        for part, *counts in workspace.sql.execute(query).fetchall():
            parts.setdefault(workspace.locator.headers[part][1].get(ours, ours), []).append((part, *counts))
        for column, lines in parts.items():
            midnights = sum(line[2] for line in lines)
            days = {day for line in lines for day in line[3:] if day is not None}
            if midnights and len(days) > 1 and not any(line[1] for line in lines):
                files = ", ".join(str(line[0]) for line in lines)
                workspace.sql.execute(ingest_sql.TAKE_FOR_DATES.format(kind=kind, parts=files))
                notes[f"times at midnight only, taken for dates: {column}"] = midnights
    return notes
