"""Several tables in one extract, each read with its own arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.column_names import DATA, check_columns_used, columns_of, normalize
from clinicalgru.data.ingest.data_tables import DataTable
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.row_filter import check_row_filter, check_row_filter_source
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.stays_table import read_tables
from clinicalgru.data.ingest.table_cells import errors_in_table
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.long_and_sql import add_long_tables, add_query
from clinicalgru.data.sources.wide import add_wide_tables
from clinicalgru.errors import InputError

ADD: dict[str, Callable[[Workspace, Any, ReadOptions], dict[str, int]]] = {
    "long": add_long_tables,
    "sql": add_query,
    "wide": add_wide_tables,
    "yaib": add_wide_tables,
}


def read_several(workspace: Workspace, tables: Sequence[DataTable], options: ReadOptions) -> SourceResult:
    """Add the rows of each table; stays and outcomes come from their tables.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    tables : sequence of DataTable
        The tables, each with its own arguments.
    options : ReadOptions
        The arguments of the whole read.

    Returns
    -------
    SourceResult
        Stays, outcomes, and how many rows each table has.

    Raises
    ------
    InputError
        If a table lacks a column or cannot be read, or has no stay_id where others do and no table of stays has starts.

    Notes
    -----
    Rows of a table without stay_id go to the patient's stay at their time, where the table of stays has identifiers of
    its own.
    """
    notes: dict[str, int] = {}
    is_wide, without_stay = False, dict[str, range]()
    for table in tables:
        source, first = table.own.get("source", workspace.source), len(workspace.locator.files)
        if source not in workspace.name_sources:
            workspace.add_name_sources(source)
        with errors_in_table(table.name):
            more, has_stay = _add(workspace, table, source, options)
        if not has_stay:
            without_stay[table.name] = range(first, len(workspace.locator.files))
        for note, count in more.items():
            notes[note] = notes.get(note, 0) + count
        is_wide |= workspace.is_wide
    workspace.is_wide = is_wide
    supplied = read_tables(workspace, options)
    _find_stays_by_time(workspace, supplied, without_stay, is_mixed=0 < len(without_stay) < len(tables))
    return SourceResult(**{**vars(supplied), "notes": {**notes, **supplied.notes}})


def _find_stays_by_time(
    workspace: Workspace, supplied: SourceResult, without_stay: Mapping[str, range], *, is_mixed: bool
) -> None:
    """Let rows of tables without stay_id find their stay by patient and time, where a stay is no patient."""
    stays = pd.DataFrame({"patient_id": [], "stay_id": [], "start": []}) if supplied.stays is None else supplied.stays
    has_own = bool((stays["patient_id"] != stays["stay_id"]).any())
    if not without_stay or not (has_own or is_mixed):
        return
    parts = ", ".join(str(part) for numbers in without_stay.values() for part in numbers)
    (n_hours,) = workspace.sql.execute(ingest_sql.N_WITHOUT_DATE.format(parts=parts)).fetchall()[0]
    if not has_own or n_hours or stays["start"].isna().all():
        got = "none in it, and no starts of stays as dates by which its rows find their stay"
        fix = "Name the column with columns={'stay_id': ...}, or pass stays= with patient_id, stay_id, start and end."
        raise InputError("a column stay_id", got, fix, where=next(iter(without_stay)))
    for statement in (ingest_sql.PAIRS_WITHOUT_STAY, ingest_sql.WITHOUT_STAY):
        workspace.sql.execute(statement.format(parts=parts))


def _add(workspace: Workspace, table: DataTable, source: str, options: ReadOptions) -> tuple[dict[str, int], bool]:
    """The rows of one table: its notes, with the number of its rows, and whether it has a column stay_id."""
    own, seen, missing = table.options(options), workspace.columns_seen, workspace.missing
    check_row_filter(own.row_filter)
    check_row_filter_source(source, own.row_filter)
    first, before = len(workspace.locator.files), _n_rows(workspace)
    workspace.columns_seen, workspace.missing, workspace.is_wide = {}, own.missing, False
    workspace.locator.table = table.name if len(table.name.split()) == 2 else ""
    try:
        notes = ADD[source](workspace, table.data, own)
        have = workspace.columns_seen
    finally:
        workspace.columns_seen, workspace.missing, workspace.locator.table = seen, missing, ""
    check_columns_used({DATA: table.own.get("columns", {})}, have)
    own.missing.check_names([*workspace.dictionary, *have.get(DATA, ()), *options.missing.by_name])
    workspace.note_columns(DATA, have.get(DATA, ()))
    for name, unit in table.own.get("units", {}).items():
        variable = workspace.dictionary.find(name).name
        of_table = {"unit": unit.strip(), "variable": variable}
        workspace.sql.execute(ingest_sql.PAIRS_WITH_UNIT, of_table)
        workspace.sql.execute(ingest_sql.UNIT_OF_TABLE, {**of_table, "first": first})
    stay = columns_of(own.columns, DATA).get("stay_id", "stay_id")
    has_stay = {normalize(stay), "stay_id"} & {normalize(name) for name in have.get(DATA, ())}
    return notes | {f"rows of {table.name}": _n_rows(workspace) - before}, bool(has_stay)


def _n_rows(workspace: Workspace) -> int:
    (count,) = workspace.sql.execute(ingest_sql.TOTAL).fetchall()[0]
    return int(count)
