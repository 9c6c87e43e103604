"""Columns and cells of a publisher's tables: found by name in any letter case, missing ones named."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pandas as pd
import pyarrow as pa

from clinicalgru.data.ingest.csv_check import format_names
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.row_sql import TYPED, text_sql
from clinicalgru.data.ingest.tables import TablePart, quoted, with_computed
from clinicalgru.data.ingest.time_sql import has_offset_sql, is_date_sql, time_sql, trim_sql
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import InputError

ROUNDED = ("FLOAT", "DOUBLE")


def with_columns(
    part: TablePart, needs: Collection[str], optional: Collection[str] = (), *, identifiers: Collection[str] = ()
) -> TablePart:
    """Read some columns of a table under their published names.

    Parameters
    ----------
    part : TablePart
        The file.
    needs : collection of str
        Columns that it must have, in lower case; letter case and blanks around the file's names are ignored.
    optional : collection of str
        Further columns; NULL where the file has none.
    identifiers : collection of str
        Those of them that may not be floating point, which rounds long identifiers.

    Returns
    -------
    TablePart
        The file with these columns.

    Raises
    ------
    InputError
        If a column is missing, or an identifier is floating point; the message names file and column.
    """
    have = columns_by_name(part)
    missing = [name for name in needs if name not in have]
    if missing:
        fix = "Pass the table as published, with this column."
        got = f"columns {format_names(list(part.types))}"
        raise InputError(f"a column {', '.join(missing)}", got, fix, where=part.label)
    rounded = [name for name in identifiers if name in have and part.types[have[name]] in ROUNDED]
    if rounded:
        fix = "Write it as whole numbers or text."
        raise InputError(f"{rounded[0]} as whole numbers or text", "floating point", fix, where=part.label)
    names = list(dict.fromkeys([*needs, *optional]))
    cells = [f"{quoted(have[name]) if name in have else 'NULL::VARCHAR'} AS {quoted(name)}" for name in names]
    types = {name: part.types[have[name]] if name in have else "VARCHAR" for name in names}
    return replace(part, sql=f"(SELECT {', '.join(cells)} FROM {part.sql})", types=types)


def columns_by_name(part: TablePart) -> dict[str, str]:
    """Return the columns of a file by their published names.

    Parameters
    ----------
    part : TablePart
        The file.

    Returns
    -------
    dict of str to str
        Name in lower case, without blanks around it -> name in the file.
    """
    return {name.strip().casefold(): name for name in part.types}


def instant_columns(name: str, cell: str, dtype: str, *, has_timezone: bool) -> list[dict[str, str]]:
    """Write SQL of a date in microseconds since 1970 (UTC), as layers of columns (see `with_computed`).

    Parameters
    ----------
    name : str
        Name of the column with the microseconds, NULL where the cell is no date. Whether a date has a UTC offset is in
        the column with "_has_offset" after it.
    cell : str
        SQL of the cell.
    dtype : str
        DuckDB type of the cell.
    has_timezone : bool
        Whether dates without an offset are local times (see `declare_timezone`).

    Returns
    -------
    list of dict of str to str
        Name -> SQL of columns, layer by layer.
    """
    is_typed, text = dtype.startswith(TYPED), f"c_{name}"
    trimmed = (text, dtype if is_typed else "VARCHAR", None)
    has_offset, written = f"{name}_has_offset", f"{name}_written"
    is_date, instant = is_date_sql(*trimmed), written
    if has_timezone:
        instant = f"CASE WHEN {has_offset} THEN {written} ELSE to_instant({written}) END"
    return [
        {text: cell if is_typed else trim_sql(cell)},
        {has_offset: has_offset_sql(*trimmed), written: f"CASE WHEN {is_date} THEN {time_sql(*trimmed)} END"},
        {name: instant},
    ]


def read_table(
    workspace: Workspace, parts: Sequence[TablePart], *, key: Collection[str], times: Collection[str] = ()
) -> pd.DataFrame:
    """Read a small table whole.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    parts : sequence of TablePart
        The files, with the columns to read (see `with_columns`).
    key : collection of str
        Columns that every row must fill.
    times : collection of str
        Columns of dates.

    Returns
    -------
    DataFrame
        Cells as trimmed text (NA where blank); `times` as microseconds (Int64) with a column "has_offset <name>" (1, 0
        or NA). The index says where a row stands.

    Raises
    ------
    InputError
        If a key is blank, or a date cannot be read.
    """
    table = pd.concat([_read_file(workspace, part, times) for part in parts])
    for name in key:
        if table[name].isna().any():
            where = f"{table.index[table[name].isna()][0]}, column {name}"
            raise InputError(f"a {name} in every row", "a blank cell", "Complete or remove the row.", where=where)
    return table


def _read_file(workspace: Workspace, part: TablePart, times: Collection[str]) -> pd.DataFrame:
    cells = [f"{text_sql(quoted(name), dtype)} AS {quoted(name)}" for name, dtype in part.types.items()]
    sql = part.sql
    for name in times:
        cell, dtype, instant = quoted(name), part.types[name], f"instant_{name}"
        sql = with_computed(sql, *instant_columns(instant, cell, dtype, has_timezone=workspace.has_timezone))
        offset = f"CASE WHEN {text_sql(cell, dtype)} IS NOT NULL THEN ({instant}_has_offset)::INT END"
        cells += [quoted(instant), f"{offset} AS {quoted('has_offset ' + name)}"]
    with duckdb_errors(part.label, part.text):
        table = workspace.sql.sql(f"SELECT {', '.join(cells)} FROM {sql}").df()
    rows = list(range(part.first_row, part.first_row + len(table)))
    if part.text is not None:
        rows = list(part.text.rows_of(set(rows)).values()) if part.text.blank_lines else rows
        part.text.check_finished()
    table.index = [f"{part.label}, row {row}" for row in rows]
    for name in times:
        instant = table.pop(f"instant_{name}").astype("Int64")
        unreadable = instant.isna() & table[name].notna()
        if unreadable.any():
            where = f"{table.index[unreadable][0]}, column {name}"
            fix = "Write ISO 8601 dates; local times are unique where the offset is written."
            raise InputError("a date such as 2031-05-04 13:20", "text that is no date", fix, where=where)
        table[name] = instant
    return table.astype({name: "Int64" for name in table if name.startswith("has_offset ")})


def register_names(workspace: Workspace) -> None:
    """Create the table source_names: the dictionary's names of the source, to be found in any letter case.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; it gets a table of folded, name.
    """
    known = [*workspace.dictionary.names(workspace.source), *workspace.dictionary]
    by_fold = pd.DataFrame({"folded": [name.lower() for name in known], "name": known}).drop_duplicates("folded")
    workspace.sql.register("source_names_frame", pa.Table.from_pandas(by_fold.astype(str), preserve_index=False))
    workspace.sql.execute("CREATE TABLE source_names AS SELECT * FROM source_names_frame")


def mapped_columns(
    workspace: Workspace, part: TablePart, *, leave: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Find the columns of a table that are variables of the dictionary.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    part : TablePart
        The file.
    leave : collection of str
        Columns that are none, in lower case.

    Returns
    -------
    mapped : dict of str to str
        Column in lower case -> the variable's name in the source or the dictionary.
    unused : list of str
        Columns that are no variable.
    """
    names = {name.casefold(): name for name in (*workspace.dictionary, *workspace.dictionary.names(workspace.source))}
    columns = [column for column in columns_by_name(part) if column not in leave]
    mapped = {column: names[column] for column in columns if column in names}
    return mapped, [column for column in columns if column not in mapped]
