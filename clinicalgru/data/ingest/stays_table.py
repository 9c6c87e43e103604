"""The stays table that may accompany an extract: starts, ends and static variables of its stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pandas as pd
import pyarrow as pa

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.birth_dates import AGE, with_ages
from clinicalgru.data.ingest.body_size import warn_of_body_size
from clinicalgru.data.ingest.column_names import (
    DATA,
    IDENTIFIERS,
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
from clinicalgru.data.ingest.static_values import as_numbers, group_notes, static_values, top_coded_notes
from clinicalgru.data.ingest.table_cells import TableCells, check_once, read_cells
from clinicalgru.data.ingest.table_times import TIMES
from clinicalgru.data.ingest.time_format import check_first_hour
from clinicalgru.data.ingest.unit_conversion import default_unit
from clinicalgru.data.ingest.unmapped_values import PATIENT_OF_UNUSED, UNUSED_VALUES
from clinicalgru.data.ingest.workspace import COLUMNS, Workspace
from clinicalgru.errors import InputError

STATIC_OF = {"weight": "admission_weight"}  # a stays table has one value, that of the admission


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
            text_format=options.text_format,
            missing=options.missing,
        )
        workspace.note_columns(STAYS, cells.written.values())
        if AGE not in options.units:
            cells = with_ages(cells, time_format=options.time_format)
        result = _stays(workspace, cells, options)
        _find_patients(workspace, cells.frame[[*IDENTIFIERS]])
    if options.outcomes is not None:
        outcomes = read_outcomes(options, workspace.dictionary, static=_static_columns(workspace, options))
        workspace.note_columns(OUTCOMES, outcomes.columns)
    check_columns_used(options.columns, workspace.columns_seen)
    _check_units_used(workspace, options, outcomes)
    check_one_table_each(options.columns, _meanings(workspace, workspace.columns_seen, outcomes))
    if outcomes is None:
        return result
    result = result.with_outcomes(outcomes)
    is_one_table = options.stays is not None and sorted(cells.written.values()) == sorted(outcomes.columns)
    return replace(result, notes=_without_used(result.notes)) if is_one_table else result


def _without_used(notes: Mapping[str, int]) -> dict[str, int]:
    """Notes of one table that holds stays and outcomes: a column that one of them uses is not one that is not used."""
    unused = [{n.removesuffix(f" ({t})") for n in notes if n.endswith(f" ({t})")} for t in (STAYS, OUTCOMES)]
    of_one = {name for name in unused[0] ^ unused[1] if name.startswith("column not used: ")}
    return {note: count for note, count in notes.items() if note.rpartition(" (")[0] not in of_one}


def _find_patients(workspace: Workspace, stays: pd.DataFrame) -> None:
    """Give rows of tables without patient_id the patients of their stays."""
    if not workspace.without_patient:
        return
    is_shared = stays.duplicated("stay_id")
    if is_shared.any():
        fix = "Name the patients of the rows with columns={'patient_id': 'its name there'}."
        got = "several patients with one stay_id, and rows without patient_id"
        raise InputError("each stay_id once", got, fix, where=f"{STAYS}, {stays.index[is_shared][0]}")
    workspace.sql.register("stays_frame", pa.Table.from_pandas(stays.astype(str), preserve_index=False))
    parts = ", ".join(map(str, sorted(workspace.without_patient)))
    for statement in (ingest_sql.PAIRS_OF_STAYS, ingest_sql.PATIENT_OF_STAY, UNUSED_VALUES, PATIENT_OF_UNUSED):
        workspace.sql.execute(statement.format(parts=parts))
    workspace.sql.unregister("stays_frame")


def _check_units_used(workspace: Workspace, options: ReadOptions, outcomes: OutcomesTable | None) -> None:
    """Raise where `units` names neither a variable nor an outcome."""
    have = set() if outcomes is None else set(map(str, outcomes.frame))
    for name in options.units:
        if name not in workspace.dictionary and name not in have:
            got = f"outcomes {', '.join(sorted(have - {*IDENTIFIERS})) or 'of no table'}"
            raise InputError(f"a variable or an outcome {name}, as units= names it", got, "Correct units=.")


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
    stays, notes, implausible = text[[*IDENTIFIERS]].copy(), dict(cells.notes), []
    for column in TIMES:
        stays[column] = text[column] if column in text else pd.Series(pd.NA, index=text.index, dtype="Int64")
    groups = _groups(cells, options)
    for column in text.columns.difference([*IDENTIFIERS, *TIMES], sort=False):
        own_names = (column, cells.written[column], names.get(normalize(column), column))
        cell = text[column].mask(options.missing.is_missing(text[column], *own_names))
        if normalize(cells.written.get(column, column)) in groups:
            stays[groups[normalize(cells.written.get(column, column))]] = cell.astype(object)
            continue
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
        notes |= top_coded_notes(variable, cell, conversion) | group_notes(variable, cell)
        if n_unusable:
            notes[f"static values not used: {variable.name}"] = n_unusable
            value = as_numbers(variable, cell, conversion).where(stays[variable.name].isna())
            implausible.append(stays[[*IDENTIFIERS]].assign(variable=variable.name, value=value).dropna(subset="value"))
    check_once(stays, list(IDENTIFIERS), STAYS)
    warn_of_body_size(stays, options.units)
    if cells.clock is not None and not cells.clock.is_date and stays["start"].notna().any():
        check_first_hour(int(stays["start"].min()), f"{STAYS}, {cells.clock.where}")
    rejected = pd.concat(implausible) if implausible else pd.DataFrame(columns=[*IDENTIFIERS, "variable", "value"])
    clocks = () if cells.clock is None else (replace(cells.clock, where=f"{STAYS}, {cells.clock.where}"),)
    return SourceResult(
        stays.reset_index(drop=True), implausible=rejected.reset_index(drop=True), notes=notes, clocks=clocks
    )


def _groups(cells: TableCells, options: ReadOptions) -> dict[str, str]:
    """Column as it is compared -> the name that `group_columns` gives it; raises where the table has no such column."""
    have = {normalize(cells.written.get(column, column)) for column in map(str, cells.frame)}
    for name in options.group_columns:
        if normalize(name) not in have or normalize(name) in (*IDENTIFIERS, *TIMES):
            got = f"columns {', '.join(map(str, cells.written.values()))}"
            raise InputError(
                f"a column {name}, as group_columns= names it", got, "Correct group_columns=.", where=STAYS
            )
    return {normalize(name): name for name in options.group_columns}


def _unit(workspace: Workspace, variable: Variable, options: ReadOptions) -> str:
    """The unit of a column of a static variable, under its own name or that of the series."""
    series = {static: name for name, static in STATIC_OF.items()}.get(variable.name, variable.name)
    own = default_unit(workspace, variable, options.units)
    return options.units.get(series, own) if variable.name not in options.units else own
