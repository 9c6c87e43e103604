"""The stays table and the outcomes table that may accompany an extract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import IMPLAUSIBLE
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.row_sql import text_sql
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.tables import TablePart, duckdb_errors, open_parts, quoted
from clinicalgru.data.ingest.time_sql import declare_timezone, has_offset_sql, is_date_sql, time_sql
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import InputError

TIMES = ("start", "end")
KEYS = ("patient_id", "stay_id")


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
        Stays, outcomes, rejected static values and their counts.

    Raises
    ------
    InputError
        If a table cannot be read, or contradicts itself.
    """
    stays: pd.DataFrame | None = None
    implausible: pd.DataFrame | None = None
    notes: dict[str, int] = {}
    if options.stays is not None:
        stays, implausible, notes = read_stays(
            options.stays,
            workspace.dictionary,
            source=workspace.source,
            columns=options.columns,
            timezone=options.timezone,
        )
    outcomes = None
    if options.outcomes is not None:
        outcomes = read_outcomes(options.outcomes, columns=options.columns, renamed={})
    return SourceResult(stays, outcomes, implausible, notes=notes)


def read_stays(
    data: Any, dictionary: Dictionary, *, source: str, columns: Mapping[str, str], timezone: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Read a stays table.

    Parameters
    ----------
    data : path, DataFrame or Arrow table
        Columns patient_id, stay_id (optional), start, end (optional, dates), and static variables of the dictionary.
    dictionary : Dictionary
        Data dictionary.
    source : str
        Source whose names of variables are used.
    columns : mapping of str to str
        Our column name -> the table's, where they differ.
    timezone : str, optional
        Time zone of starts and ends without an offset.

    Returns
    -------
    stays : DataFrame
        patient_id, stay_id, start, end (microseconds), static variables.
    implausible : DataFrame
        Rejected static values: patient_id, stay_id, variable, value.
    notes : dict of str to int
        How many static values were not used.

    Raises
    ------
    InputError
        If a stay occurs twice or has no identifier, or a start or end is no date.
    """
    text = cells_as_text(data, columns, timezone=timezone)
    names = {**{name: name for name in dictionary}, **dictionary.names(source)}
    static = {column: dictionary[names[column]] for column in text if column in names}
    stays, notes, implausible = text[[*KEYS]].copy(), {}, []
    for column in TIMES:
        stays[column] = text[column] if column in text else pd.Series(pd.NA, index=text.index, dtype="Int64")
    for column, variable in static.items():
        if variable.static:
            stays[variable.name], n_unusable = static_values(variable, text[column])
            if n_unusable:
                notes[f"static values not used: {variable.name}"] = n_unusable
                value = pd.to_numeric(text[column], errors="coerce").where(stays[variable.name].isna())
                implausible.append(stays[[*KEYS]].assign(variable=variable.name, value=value).dropna(subset="value"))
    check_once(stays, list(KEYS), "stays")
    rejected = pd.concat(implausible) if implausible else pd.DataFrame(columns=[*KEYS, "variable", "value"])
    return stays.reset_index(drop=True), rejected.reset_index(drop=True), notes


def check_once(table: pd.DataFrame, keys: list[str], name: str) -> None:
    """Raise where a key occurs twice in a table.

    Parameters
    ----------
    table : DataFrame
        The table; its index holds the places of its rows.
    keys : list of str
        Columns that together must differ.
    name : str
        Name of the table, for the message.

    Raises
    ------
    InputError
        If two rows have the same key.
    """
    is_repeated = table.duplicated(keys)
    if is_repeated.any():
        where = f"{name}, {table.index[is_repeated][0]}"
        raise InputError("each stay once", "a stay twice", "Keep one row per stay.", where=where)


def read_outcomes(
    data: Any, *, columns: Mapping[str, str], renamed: Mapping[str, str], missing: tuple[float, ...] = ()
) -> pd.DataFrame:
    """Read an outcomes table: stay_id, patient_id where given, one numeric column per outcome.

    Parameters
    ----------
    data : path, DataFrame or Arrow table
        The table; blank = not recorded.
    columns : mapping of str to str
        Our column name -> the table's, where they differ.
    renamed : mapping of str to str
        The table's outcome -> our name; where it is not empty, other columns are left out.
    missing : tuple of float
        Numbers that mean "not recorded".

    Returns
    -------
    DataFrame
        NaN = not recorded.

    Raises
    ------
    InputError
        If an outcome is text, or a stay occurs twice or has no identifier.
    """
    text = cells_as_text(data, columns, keys=("stay_id",))
    outcomes = text[[name for name in KEYS if name in text]].copy()
    for column in text.columns.difference([*KEYS, *TIMES], sort=False):
        if renamed and column not in renamed:
            continue
        number = pd.to_numeric(text[column], errors="coerce")
        is_text = number.isna() & text[column].notna()
        if is_text.any():
            fix = "Code yes and no as 1 and 0, or leave the column out."
            where = f"outcomes, {text.index[is_text][0]}, column {column}"
            raise InputError("a number, or blank where not recorded", "text that is no number", fix, where=where)
        outcomes[renamed.get(column, column)] = number.astype(float).mask(number.isin(missing))
    check_once(outcomes, [name for name in KEYS if name in outcomes], "outcomes")
    return outcomes.reset_index(drop=True)


def implausible_static(stays: pd.DataFrame, implausible: pd.DataFrame | None) -> pa.Table:
    """Give the rejected static values of a stays table the positions of their stays.

    Parameters
    ----------
    stays : DataFrame
        The stays in canonical order: patient_id, stay_id.
    implausible : DataFrame or None
        patient_id, stay_id, variable, value.

    Returns
    -------
    pyarrow.Table
        stay (position), time (NULL), variable (name), value.
    """
    if implausible is None or implausible.empty:
        return IMPLAUSIBLE.empty_table()
    position = pd.Series(range(len(stays)), index=pd.MultiIndex.from_frame(stays[[*KEYS]]))
    stay = position.loc[pd.MultiIndex.from_frame(implausible[[*KEYS]].astype(object))].to_numpy()
    order = np.lexsort((stay, pd.factorize(implausible["variable"])[0]))
    variable, value = implausible["variable"].iloc[order], implausible["value"].astype(float).iloc[order]
    arrays = (stay[order], [None] * len(order), variable, value)
    columns = [pa.array(array, field.type) for array, field in zip(arrays, IMPLAUSIBLE, strict=True)]
    return pa.Table.from_arrays(columns, schema=IMPLAUSIBLE)


def join_outcomes(stays: pd.DataFrame, outcomes: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Join the stays with their outcomes.

    Parameters
    ----------
    stays : DataFrame
        The stays: patient_id, stay_id.
    outcomes : DataFrame
        stay_id, patient_id where given, one column per outcome.

    Returns
    -------
    joined : DataFrame
        The stays with columns of outcomes; NaN where a stay has none.
    n_unmatched : int
        How many rows of outcomes belong to no stay of the extract.

    Raises
    ------
    InputError
        If the outcomes lack patient_id, and several patients share a stay_id.
    """
    keys = [name for name in KEYS if name in outcomes]
    if keys == ["stay_id"] and stays["stay_id"].duplicated().any():
        got = "stay_id only, which several patients share"
        raise InputError("patient_id in the outcomes", got, "Add patient_id.", where="outcomes")
    joined = stays.merge(outcomes, on=keys, how="left", indicator=True)
    n_matched = joined.pop("_merge").eq("both").sum()
    return joined, len(outcomes) - int(n_matched)


def static_values(variable: Variable, text: pd.Series) -> tuple[pd.Series, int]:
    """Convert text to the values of a static variable.

    Parameters
    ----------
    variable : Variable
        The variable.
    text : Series of str
        Its cells; NA where blank.

    Returns
    -------
    values : Series of float
        Positions of categories, or numbers within the plausible range; NaN where blank or unusable.
    n_unusable : int
        How many cells with text became NaN.
    """
    if variable.words:
        numbers = {word: f"{number:.12g}" for word, number in variable.words.items()}
        text = text.str.casefold().map(numbers).astype(object).where(lambda mapped: mapped.notna(), text)
    if variable.categories:
        category = {name: float(i) for i, name in enumerate(variable.categories)}
        values = text.str.removesuffix(".0").map(category).astype(float)
    else:
        values = pd.to_numeric(text, errors="coerce").astype(float)
        low, high = variable.plausible or (-np.inf, np.inf)
        values = values.where(values.between(low, high))
    return values, int((values.isna() & text.notna()).sum())


def cells_as_text(
    data: Any, columns: Mapping[str, str], keys: tuple[str, ...] = KEYS, *, timezone: str | None = None
) -> pd.DataFrame:
    """All cells as trimmed text (NA where blank), start and end as microseconds; the index holds places of rows.

    Parameters
    ----------
    data : path, DataFrame or Arrow table
        The table.
    columns : mapping of str to str
        Our column name -> the table's, where they differ.
    keys : tuple of str
        Columns that every row must fill.
    timezone : str, optional
        Starts and ends without an offset are local times there.

    Returns
    -------
    DataFrame
        The cells.

    Raises
    ------
    InputError
        If a key is missing or blank, or a local time is ambiguous, nonexistent or no date.
    """
    with duckdb.connect() as connection:
        declare_timezone(connection, timezone)
        has_timezone = timezone is not None
        frames = [_read(connection, part, columns, has_timezone=has_timezone) for part in open_parts(connection, data)]
    table = pd.concat(frames)
    if "stay_id" not in table and "patient_id" in table and "stay_id" in keys:
        table["stay_id"] = table["patient_id"]
    for key in keys:
        if key not in table:
            got = f"columns {', '.join(map(str, table))}"
            raise InputError(f"a column {key}", got, f"Name it with columns={{{key!r}: ...}}.")
        if table[key].isna().any():
            where = str(table.index[table[key].isna()][0])
            raise InputError(f"a {key} in every row", "a blank cell", "Complete or remove the row.", where=where)
    return table


def _instant(cell: str, dtype: str, has_timezone: bool) -> str:
    """SQL of a start or end in microseconds."""
    written = time_sql(cell, dtype, None)
    is_local = f"{is_date_sql(cell, dtype, None)} AND NOT {has_offset_sql(cell, dtype, None)}"
    return f"CASE WHEN {is_local} THEN to_instant({written}) ELSE {written} END" if has_timezone else written


def _read(
    connection: duckdb.DuckDBPyConnection, part: TablePart, columns: Mapping[str, str], *, has_timezone: bool
) -> pd.DataFrame:
    """The cells of one file."""
    ours = {theirs: ours for ours, theirs in columns.items()}
    cells = []
    for theirs, dtype in part.types.items():
        name = ours.get(theirs, theirs)
        sql = _instant(quoted(theirs), dtype, has_timezone) if name in TIMES else text_sql(quoted(theirs))
        cells.append(f"{sql} AS {quoted(name)}")
        if name in TIMES:
            cells.append(f"{text_sql(quoted(theirs))} AS {quoted('written ' + name)}")
    with duckdb_errors(part.label, part.text):
        table = connection.sql(f"SELECT {', '.join(cells)} FROM {part.sql}").df()
    table.index = [f"{part.label}, row {row}" for row in _row_numbers(part, len(table))]
    for name in TIMES:
        if name in table:
            _check_dates(table, name)
            table[name] = table[name].astype("Int64")
    return table


def _row_numbers(part: TablePart, n_rows: int) -> Iterable[int]:
    """The numbers of a file's rows as an editor shows them; raises where the last row may be cut off."""
    rows: Iterable[int] = range(part.first_row, part.first_row + n_rows)
    if part.text is not None:
        rows = part.text.rows_of(set(rows)).values() if part.text.blank_lines else rows
        part.text.check_finished()
    return rows


def _check_dates(table: pd.DataFrame, name: str) -> None:
    """Raise where a start or end is filled but could not be read; drops the column as written."""
    is_unreadable = table[name].isna() & table.pop(f"written {name}").notna()
    if is_unreadable.any():
        where = f"{table.index[is_unreadable][0]}, column {name}"
        raise InputError(
            "a date such as 2031-05-04 13:20", "text that is no date", "Write ISO 8601 dates.", where=where
        )
