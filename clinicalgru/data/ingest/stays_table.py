"""The stays table that may accompany an extract: starts, ends and static variables of its stays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pandas as pd

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest.column_names import (
    DATA,
    OUTCOMES,
    STAYS,
    check_columns_used,
    check_one_table_each,
    columns_of,
    normalize,
)
from clinicalgru.data.ingest.outcomes_table import OutcomesTable, read_outcomes
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.rejected_rows import check_static_lost
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.static_values import as_numbers, static_values, top_coded_notes
from clinicalgru.data.ingest.table_cells import TableCells, check_once, read_cells
from clinicalgru.data.ingest.table_times import TIMES, Clock
from clinicalgru.data.ingest.unit_conversion import default_unit
from clinicalgru.data.ingest.workspace import COLUMNS, Workspace
from clinicalgru.errors import InputError

KEYS = ("patient_id", "stay_id")
STATIC_OF = {"weight": "admission_weight"}  # a stays table has one value, that of the admission
MAX_FIRST_HOUR = 20_000  # day numbers of spreadsheets are 36,000 to 52,000 today


def read_tables(workspace: Workspace, options: ReadOptions) -> SourceResult:
    """Read the stays and outcomes tables of `read_events`, where they are given.

    Parameters
    ----------
    workspace : Workspace
        The workspace: its dictionary and source name the static variables.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays, outcomes, rejected static values, their counts, and the kind of their times.

    Raises
    ------
    InputError
        If a table cannot be read, contradicts itself, or lacks a column that `columns` names.
    """
    result, outcomes = SourceResult(), None
    if options.stays is not None:
        cells = read_cells(
            options.stays,
            columns_of(options.columns, STAYS),
            name=STAYS,
            times=options.times,
            delimiter=options.delimiter,
            missing=options.missing,
        )
        workspace.note_columns(STAYS, cells.written.values())
        result = _stays(workspace, cells, options)
    if options.outcomes is not None:
        outcomes = read_outcomes(options, workspace.dictionary, static=_static_columns(workspace, options))
        workspace.note_columns(OUTCOMES, outcomes.columns)
    check_columns_used(options.columns, workspace.columns_seen)
    check_one_table_each(options.columns, _meanings(workspace, workspace.columns_seen, outcomes))
    return result if outcomes is None else result.with_outcomes(outcomes)


def _meanings(workspace: Workspace, tables: Collection[str], outcomes: OutcomesTable | None) -> dict[str, set[str]]:
    """Our names of the columns that are read from each table."""
    known = set(workspace.dictionary)
    wide = known if workspace.is_wide else set()
    meanings = {DATA: {*COLUMNS, *wide}, STAYS: {*TIMES, *known} if STAYS in tables else set()}
    return meanings | ({OUTCOMES: set(map(str, outcomes.frame))} if outcomes is not None else {})


def _static_columns(workspace: Workspace, options: ReadOptions) -> dict[str, str]:
    """Column in lower case -> the static variable that it is, in our names and those of the source."""
    names = {**{name: name for name in workspace.dictionary}, **workspace.dictionary.names(workspace.source)}
    names = {column: STATIC_OF.get(name, name) for column, name in names.items()}
    static = {column: name for column, name in names.items() if workspace.dictionary[name].static}
    exact = {normalize(column): name for column, name in static.items() if column not in workspace.dictionary}
    return exact | {normalize(column): name for column, name in static.items() if column in workspace.dictionary}


def _stays(workspace: Workspace, cells: TableCells, options: ReadOptions) -> SourceResult:
    """The stays of the table, with their static variables."""
    text, names = cells.frame, _static_columns(workspace, options)
    stays, notes, implausible = text[[*KEYS]].copy(), dict(cells.notes), []
    for column in TIMES:
        stays[column] = text[column] if column in text else pd.Series(pd.NA, index=text.index, dtype="Int64")
    for column in text.columns.difference([*KEYS, *TIMES], sort=False):
        own_names = (column, cells.written[column], names.get(normalize(column), column))
        cell = text[column].mask(options.missing.is_missing(text[column], *own_names))
        if normalize(column) not in names:
            notes[f"column not used: {cells.written.get(column, column)} (stays)"] = int(cell.notna().sum())
            continue
        variable = workspace.dictionary[names[normalize(column)]]
        if variable.name in stays:
            where = f"{STAYS}, column {cells.written[column]}"
            raise InputError(f"one column of {variable.name}", "several", "Drop one of them.", where=where)
        conversion = None if variable.categories else variable.conversion(_unit(workspace, variable, options))
        stays[variable.name], n_unusable = static_values(variable, cell, conversion)
        check_static_lost(
            variable,
            cell,
            stays[variable.name],
            max_rejected=options.max_rejected,
            allow=options.allow,
            column=cells.written[column],
        )
        notes |= top_coded_notes(variable, cell, conversion)
        if n_unusable:
            notes[f"static values not used: {variable.name}"] = n_unusable
            value = as_numbers(variable, cell, conversion).where(stays[variable.name].isna())
            implausible.append(stays[[*KEYS]].assign(variable=variable.name, value=value).dropna(subset="value"))
    check_once(stays, list(KEYS), STAYS)
    _check_hours(stays, cells.clock)
    rejected = pd.concat(implausible) if implausible else pd.DataFrame(columns=[*KEYS, "variable", "value"])
    clocks = () if cells.clock is None else (replace(cells.clock, where=f"{STAYS}, {cells.clock.where}"),)
    return SourceResult(
        stays.reset_index(drop=True), implausible=rejected.reset_index(drop=True), notes=notes, clocks=clocks
    )


def _unit(workspace: Workspace, variable: Variable, options: ReadOptions) -> str:
    """The unit of a column of a static variable, under its own name or that of the series."""
    series = {static: name for name, static in STATIC_OF.items()}.get(variable.name, variable.name)
    own = default_unit(workspace, variable, options.units)
    return options.units.get(series, own) if variable.name not in options.units else own


def _check_hours(stays: pd.DataFrame, clock: Clock | None) -> None:
    """Raise where numbers are far too late for times since the start of a stay."""
    if clock is None or clock.is_date:
        return
    first = stays["start"].min()
    if not pd.isna(first) and first > MAX_FIRST_HOUR * 3_600_000_000:
        fix = "Write dates instead of a spreadsheet's day numbers, or give the unit of the numbers with time_unit=."
        raise InputError(
            "hours since the start of the stay",
            f"only numbers above {MAX_FIRST_HOUR:,}",
            fix,
            where=f"{STAYS}, {clock.where}",
        )
