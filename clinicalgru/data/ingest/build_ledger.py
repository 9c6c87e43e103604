"""The ledger of an ingest: what became of each row, with the place of the first row of each finding."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa

from clinicalgru.data.dictionary.variable import MERGES
from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.unit_conversion import default_unit
from clinicalgru.data.ingest.unmapped_values import unmapped_values
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import FINDINGS, MISSING, TIME_NOTES, UNMAPPED, Ledger


def build_ledger(
    workspace: Workspace,
    *,
    n_merged: Mapping[str, int],
    units: Mapping[str, str],
    notes: Mapping[str, int],
    labels: Mapping[str, str],
) -> Ledger:
    """Build the ledger of all rows.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with a stay or a reason for each row.
    n_merged : mapping of str to int
        How many rows were merged with another: "exact repeats", or by how different values were merged.
    units : mapping of str to str
        Variable -> unit of its values where the extract writes none.
    notes : mapping of str to int
        Other counts, by name.
    labels : mapping of str to str
        Code -> its meaning according to the source.

    Returns
    -------
    Ledger
        What happened to each row.
    """
    accepted = dict(workspace.sql.execute(ingest_sql.ACCEPTED).fetchall())
    total = workspace.sql.execute(ingest_sql.TOTAL).fetchone()
    assert total is not None
    n_static = accepted.get("static", 0) + accepted.get("identifier", 0)
    merged = sum(n_merged.values())
    findings = _findings(workspace)
    return Ledger(
        rows_in=total[0],
        used=sum(accepted.values()) - n_static - merged,
        static_values=n_static,
        merged=merged,
        findings=findings,
        converted=_converted(workspace, units),
        notes={**_merge_notes(n_merged), **_time_notes(workspace), **_limit_notes(workspace), **notes},
        labels=labels,
        unmapped_values=unmapped_values(workspace, reported=set(findings["variable"])),
    )


def _merge_notes(n_merged: Mapping[str, int]) -> dict[str, int]:
    """Rows merged with another, by how."""
    names = {merge: f"different values of one instant ({merge})" for merge in MERGES}
    return {f"merged: {names.get(how, how)}": rows for how, rows in n_merged.items() if rows}


def _time_notes(workspace: Workspace) -> dict[str, int]:
    """Rows of which the time at which they were known differs from the extract's, or is not recorded."""
    counts = workspace.sql.execute(ingest_sql.TIME_NOTES).fetchall()[0]
    return {note: rows for note, rows in zip(TIME_NOTES, counts, strict=True) if rows}


def _limit_notes(workspace: Workspace) -> dict[str, int]:
    """Accepted values that are bounds, such as "<0.2"."""
    if not workspace.has_limits:
        return {}
    counts = workspace.sql.execute(ingest_sql.LIMITS_OF_DETECTION).fetchall()
    return {f"limits of detection used as values: {variable}": rows for variable, rows in sorted(counts)}


def _findings(workspace: Workspace) -> pd.DataFrame:
    """Rejected rows by reason and variable, with the place of the first; unsafe names are left blank."""
    rows = workspace.sql.execute(ingest_sql.FINDINGS.format(missing=MISSING)).fetchall()
    workspace.locator.locate((part, row) for *_, part, row, _ in rows)
    unknown = {name for reason, name, *_ in rows if reason != UNMAPPED} - {*workspace.dictionary, ""}
    unsafe = unknown - _safe_names(workspace, unknown)
    findings = [
        (reason, "" if name in unsafe else name, *counts, workspace.locator.place(part, row, reason, name=own))
        for reason, name, *counts, part, row, own in rows
    ]
    return pd.DataFrame(findings, columns=FINDINGS)


def _safe_names(workspace: Workspace, names: set[str]) -> set[str]:
    """Unknown names that may be reported: in a misaligned row, a name may be an identifier, a date or a value."""
    if not names:
        return names
    workspace.sql.register("unknown_frame", pa.table({"name": pa.array(sorted(names), pa.string())}))
    return {name for (name,) in workspace.sql.execute(ingest_sql.SAFE_NAMES).fetchall()}


def _converted(workspace: Workspace, units: Mapping[str, str]) -> dict[str, int]:
    """Rows converted from another unit, by "variable: unit -> unit"."""
    counts = {}
    for position, unit, rows in workspace.sql.execute(ingest_sql.CONVERTED).fetchall():
        variable = workspace.variables[position]
        counts[f"{variable.name}: {unit or default_unit(workspace, variable, units)} -> {variable.unit}"] = rows
    return counts
