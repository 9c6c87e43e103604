"""The wide form: one row for each time of a stay, one column for each variable.

The ledger counts cells here: rows x columns that are variables or static covariates. A blank cell is a measurement not
made. A finding names the row and the variable's own column.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from clinicalgru.data.dictionary.name_words import split_unit
from clinicalgru.data.dictionary.variable import Variable, has_unit
from clinicalgru.data.ingest.column_names import DATA, check_one_name_each, columns_in, columns_of, normalize
from clinicalgru.data.ingest.csv_check import format_names
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.row_sql import text_sql
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.stays_table import read_tables
from clinicalgru.data.ingest.tables import TablePart, literal, open_parts, quoted
from clinicalgru.data.ingest.time_sql import NUMERIC
from clinicalgru.data.ingest.unmapped_values import add_unused_values
from clinicalgru.data.ingest.unused_columns import unused_columns
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import DictionaryError, InputError

KEYS = ("patient_id", "stay_id", "time", "available_at")
FILE_STEP = 1 << 40  # more rows than a file has


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add the cells of tables with one column per variable; stays and outcomes come from their tables.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : DataFrame, str or Path
        Table, or path of a file or folder, with one row per time of a stay.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays, outcomes and notes.

    Raises
    ------
    InputError
        If a table has no patient_id, no time or no variable.
    DictionaryError
        If `columns` has a name that no variable has.

    Notes
    -----
    A column is a variable where the dictionary, the source's names in it (yaib) or `columns` contains its name.
    Other columns are not used, and counted in the ledger's notes. A unit in brackets behind the name of a column, such
    as "Weight (lb)", is that of its values where the variable has it, unless `units` names another.
    """
    notes = add_wide_tables(workspace, data, options)
    supplied = read_tables(workspace, options)
    return replace(supplied, notes={**supplied.notes, **notes})


def add_wide_tables(workspace: Workspace, data: Any, options: ReadOptions) -> dict[str, int]:
    """Add the cells of tables with one column per variable.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : DataFrame, str or Path
        Table, or path of a file or folder, with one row per time of a stay.
    options : ReadOptions
        The arguments that hold for it.

    Returns
    -------
    dict of str to int
        A note for each unused column, with how many of its cells hold something.

    Raises
    ------
    InputError
        If a table has no patient_id, no time or no variable.
    DictionaryError
        If `columns` has a name that no variable has.
    """
    notes: dict[str, int] = {}
    workspace.is_wide = True
    for part in open_parts(workspace.sql, data, text_format=options.text_format, notes=workspace.notes):
        for note, cells in add_wide(workspace, part, options).items():
            notes[note] = notes.get(note, 0) + cells
    return notes


def add_wide(
    workspace: Workspace, part: TablePart, options: ReadOptions, *, leave: Collection[str] = ()
) -> dict[str, int]:
    """Add the cells of one wide table.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    part : TablePart
        The table.
    options : ReadOptions
        The arguments of `read_events`.
    leave : collection of str
        Columns that the caller reads itself.

    Returns
    -------
    dict of str to int
        A note for each unused column, with how many of its cells hold something.

    Raises
    ------
    InputError
        If the table has no patient_id, no time or no variable.
    DictionaryError
        If `columns` has a name that no variable has, unless an outcomes table is given that may have it.
    """
    columns = columns_in(options.columns, DATA, part.types)
    workspace.note_columns(DATA, part.types)
    folded = {normalize(name): name for name in part.types}
    keys = {ours: folded[name] for ours in KEYS if (name := normalize(columns.get(ours, ours))) in folded}
    names = _names(workspace, part, options, taken={*keys.values(), *leave})
    _check(part, columns, keys, names, options)
    workspace.missing = workspace.missing.with_columns(names)
    units = _units(workspace, names, options)
    columns |= {"unit": "unit"} if units else {}
    for column in names.keys() & workspace.value_pairs.keys():
        columns |= dict.fromkeys(workspace.value_pairs[column], column)  # for messages
    numbers = {column for column in names if part.types[column].startswith(NUMERIC)}
    for group in (numbers, names.keys() - numbers):
        if group:
            cells = {column: name for column, name in names.items() if column in group}
            rows = unpivoted(part, keys, cells, "DOUBLE" if group is numbers else "VARCHAR")
            rows = _with_units(rows, {name: units[column] for column, name in cells.items() if column in units})
            workspace.add_rows(rows, columns, options.row_format)
    unused = part.types.keys() - names.keys() - {*keys.values(), *leave}
    add_unused_values(workspace, part, unused, patient=keys.get("patient_id"), stay=keys.get("stay_id"))
    return unused_columns(workspace, part, unused)


def _names(workspace: Workspace, part: TablePart, options: ReadOptions, *, taken: Collection[str]) -> dict[str, str]:
    """Column -> the variable's name, ours or the source's, for each column that is one."""
    columns, outcomes = columns_of(options.columns, DATA), options.outcomes
    folded = {normalize(name): name for name in part.types}
    check_one_name_each(
        {ours: name for ours, name in columns.items() if normalize(name) in folded and ours not in KEYS}
    )
    given = {folded[theirs]: ours for ours, name in columns.items() if (theirs := normalize(name)) in folded}
    known = {*workspace.dictionary, *workspace.value_pairs}.union(
        *(workspace.dictionary.names(name) for name in workspace.name_sources)
    )
    names = {column: given.get(column, _own(column, known)) for column in part.types if column not in taken}
    for column in names.keys() & given.keys():
        if given[column] not in known and outcomes is None:  # else `columns` may speak of their table
            workspace.dictionary.find(given[column])  # refused: a name that no variable has
    # a name that `columns` gives to another column is no longer this one's
    return {
        column: name for column, name in names.items() if name in known and (column in given or name not in columns)
    }


def _units(workspace: Workspace, names: Mapping[str, str], options: ReadOptions) -> dict[str, str]:
    """Column -> the unit in brackets behind its name, such as "Weight (lb)", where the variable has that unit."""
    found = {}
    for column, name in names.items():
        unit, variable = split_unit(column)[1], _variable(workspace, name)
        if unit and variable is not None and variable.name not in options.units and has_unit(variable, unit):
            found[column] = unit
    return found


def _variable(workspace: Workspace, name: str) -> Variable | None:
    """The variable of one of its names; None of two, as of a blood pressure."""
    try:
        return None if name in workspace.value_pairs else workspace.dictionary.find(name)
    except DictionaryError:  # the name of a source
        names = (workspace.dictionary.names(source).get(name) for source in workspace.name_sources)
        return next((workspace.dictionary[one] for one in names if one), None)


def _with_units(rows: TablePart, units: Mapping[str, str]) -> TablePart:
    """Long rows with the units that stand in the names of columns."""
    if not units:
        return rows
    cases = " ".join(f"WHEN {literal(name)} THEN {literal(unit)}" for name, unit in units.items())
    sql = f"(SELECT *, CASE variable {cases} END AS unit FROM {rows.sql})"
    return replace(rows, sql=sql, types=rows.types | {"unit": "VARCHAR"})


def _own(column: str, known: set[str]) -> str:
    """The variable that a column bears the name of, in any letter case; else the name as it is."""
    return column if column in known or normalize(column) not in known else normalize(column)


def _check(
    part: TablePart,
    columns: Mapping[str, str],
    keys: Mapping[str, str],
    names: Mapping[str, str],
    options: ReadOptions,
) -> None:
    """Raise where the table has no patient, no time, or no variable, unless any number of rows may be rejected."""
    got = f"columns {format_names([name for name in part.types if name not in ('c_file', 'c_row')])}"
    known = {"patient_id"} if options.stays is not None and "stay_id" in keys else set()
    for needed in ("patient_id", "time"):
        if needed not in keys.keys() | known:
            fix = f"Name it with columns={{{needed!r}: 'its name there'}}."
            raise InputError(f"a column {columns.get(needed, needed)}", got, fix, where=part.label)
    if not names and options.max_rejected < 1:
        fix = (
            "Name them as in the dictionary, with columns={'heart_rate': 'its name there'}, or with a file of names, "
            "which clinicalgru map drafts."
        )
        raise InputError("columns that are variables", got, fix, where=part.label)


def unpivoted(part: TablePart, keys: Mapping[str, str], cells: Mapping[str, str], kind: str) -> TablePart:
    """Write the cells of a wide table that hold something as long rows, and the count of those that do not.

    Parameters
    ----------
    part : TablePart
        The table.
    keys : mapping of str to str
        Our name -> the table's, of the columns that each long row keeps.
    cells : mapping of str to str
        Column -> the name of its variable.
    kind : str
        DuckDB type of the values: DOUBLE or VARCHAR.

    Returns
    -------
    TablePart
        The long rows.
    """
    at = "c_file, c_row" if part.files else f"0 AS c_file, {part.place}"
    kept = ", ".join(dict.fromkeys(quoted(theirs) for theirs in keys.values()))
    values = ", ".join(
        f"{_value(column, part.types[column], kind)} AS {quoted(name)}" for column, name in cells.items()
    )
    table = f"SELECT {at}, {kept}, {values} FROM {part.relation}"
    each = ", ".join(map(quoted, cells.values()))
    # CASE and not FILTER, of which each keeps a copy of all columns: memory and time quadratic in their number
    counts = ", ".join(
        f"{{variable: {literal(name)}, rows: count(*) - count({quoted(name)}), "
        f"first: min(CASE WHEN {quoted(name)} IS NULL THEN c_file * {FILE_STEP} + c_row END)}}"
        for name in cells.values()
    )
    blanks = (
        f"SELECT first // {FILE_STEP} AS c_file, first % {FILE_STEP} AS c_row, variable, rows "
        f"FROM (SELECT unnest([{counts}], recursive := true) FROM ({table}))"
    )
    types = {theirs: part.types[theirs] for theirs in keys.values()} | {"variable": "VARCHAR", "value": kind}
    return replace(
        part,
        sql=f"(FROM ({table}) UNPIVOT (value FOR variable IN ({each})))",
        types=types,
        files=part.files or (part.label,),
        wide=True,
        blanks=blanks,
    )


def _value(column: str, kind: str, common: str) -> str:
    """A cell as number or text; NULL where it is blank."""
    cell = quoted(column)
    if common == "VARCHAR":
        return text_sql(cell)
    number = f"CAST({cell} AS DOUBLE)"
    return f"CASE WHEN NOT isnan({number}) THEN {number} END" if kind in ("FLOAT", "DOUBLE") else number
