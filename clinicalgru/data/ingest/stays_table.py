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
from clinicalgru.data.ingest.ingest import Intake
from clinicalgru.data.ingest.row_sql import time_sql, words_sql
from clinicalgru.data.ingest.source import ReadOptions, SourceResult
from clinicalgru.data.ingest.tables import Part, open_parts, plain_errors, quoted
from clinicalgru.data.ingest.time_sql import declare_zone, has_offset, is_dated
from clinicalgru.errors import InputError

TIMES = ("start", "end")
KEYS = ("patient_id", "stay_id")
REJECTED = " (rejected)"  # ends the name of a column with the numbers that could not be used as a descriptor


def read_tables(intake: Intake, request: ReadOptions) -> SourceResult:
    """The stays and outcomes tables of a request, where it has them."""
    stays: pd.DataFrame | None = None
    notes: dict[str, int] = {}
    if request.stays is not None:
        stays, notes = read_stays(
            request.stays, intake.dictionary, source=intake.source, columns=request.columns, timezone=request.timezone
        )
    outcomes = None
    if request.outcomes is not None:
        outcomes = read_outcomes(request.outcomes, columns=request.columns, renamed={})
    return SourceResult(stays, outcomes, notes=notes)


def read_stays(
    data: Any, dictionary: Dictionary, *, source: str, columns: Mapping[str, str], timezone: str | None = None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Stays with start and end (microseconds) and static descriptors, and what had to be left out, counted.

    Columns: patient_id, stay_id (optional), start, end (optional, dates), and static variables of the dictionary.
    Refused: a stay that stands twice, a stay without identifier, a start or end that is no date.
    """
    text = cells_as_text(data, columns, timezone=timezone)
    names = {**{name: name for name in dictionary}, **dictionary.names(source)}
    static_variables = {
        column: dictionary[names[column]] for column in text if column in names and dictionary[names[column]].static
    }
    table, notes = text[["patient_id", "stay_id"]].copy(), {}
    for column in TIMES:
        table[column] = text[column] if column in text else pd.Series(pd.NA, index=text.index, dtype="Int64")
    for column, variable in static_variables.items():
        table[variable.name], lost = static_values(variable, text[column])
        if lost:
            notes[f"descriptors not used: {variable.name}"] = lost
            table[variable.name + REJECTED] = pd.to_numeric(text[column], errors="coerce").where(
                table[variable.name].isna()
            )
    check_once(table, list(KEYS), "stays")
    return table.reset_index(drop=True), notes


def check_once(table: pd.DataFrame, keys: list[str], name: str) -> None:
    """Refuse a table, with places as its index, in which a key stands twice."""
    again = table.duplicated(keys)
    if again.any():
        where = f"{name}, {table.index[again][0]}"
        raise InputError("each stay once", "a stay twice", "Keep one row a stay.", where=where)


def read_outcomes(
    data: Any, *, columns: Mapping[str, str], renamed: Mapping[str, str], missing: tuple[float, ...] = ()
) -> pd.DataFrame:
    """Outcomes by stay: stay_id, patient_id where given, one numeric column each; blank or `missing` = not recorded."""
    text = cells_as_text(data, columns, keys=("stay_id",))
    outcomes = text[[name for name in KEYS if name in text]].copy()
    for column in text.columns.difference([*KEYS, *TIMES], sort=False):
        if renamed and column not in renamed:
            continue
        number = pd.to_numeric(text[column], errors="coerce")
        wrong = number.isna() & text[column].notna()
        if wrong.any():
            fix = "Code yes and no as 1 and 0, or leave the column out."
            where = f"outcomes, {text.index[wrong][0]}, column {column}"
            raise InputError("a number, or blank where not recorded", "text", fix, where=where)
        outcomes[renamed.get(column, column)] = number.astype(float).mask(number.isin(missing))
    check_once(outcomes, [name for name in KEYS if name in outcomes], "outcomes")
    return outcomes.reset_index(drop=True)


def take_rejected(stays: pd.DataFrame) -> tuple[pd.DataFrame, pa.Table]:
    """Stays without the columns of rejected numbers, and these numbers by position: stay, time, variable, value."""
    columns = [str(name) for name in stays if str(name).endswith(REJECTED)]
    found = [IMPLAUSIBLE.empty_table()]
    for column in columns:
        values = stays[column].dropna()
        name = column.removesuffix(REJECTED)
        arrays = [values.index, [None] * len(values), [name] * len(values), values]
        found.append(
            pa.Table.from_arrays(
                [pa.array(a, f.type) for a, f in zip(arrays, IMPLAUSIBLE, strict=True)], schema=IMPLAUSIBLE
            )
        )
    return stays.drop(columns=columns), pa.concat_tables(found)


def join_outcomes(stays: pd.DataFrame, outcomes: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Stays with their outcomes, and how many outcomes belong to no stay of the extract."""
    keys = [name for name in KEYS if name in outcomes]
    if keys == ["stay_id"] and stays["stay_id"].duplicated().any():
        raise InputError(
            "patient_id in the outcomes", "stay_id only, which is not unique", "Add patient_id.", where="outcomes"
        )
    joined = stays.merge(outcomes, on=keys, how="left", indicator=True)
    known = joined.pop("_merge").eq("both").sum()
    return joined, len(outcomes) - int(known)


def static_values(variable: Variable, text: pd.Series) -> tuple[pd.Series, int]:
    """Values of a descriptor (a category as position among its levels), and how many had to become NaN."""
    if variable.words:
        spoken = {word: f"{number:.12g}" for word, number in variable.words.items()}
        text = text.str.casefold().map(spoken).astype(object).where(lambda said: said.notna(), text)
    if variable.categories:
        level = {name: float(i) for i, name in enumerate(variable.categories)}
        values = text.str.removesuffix(".0").map(level).astype(float)
    else:
        values = pd.to_numeric(text, errors="coerce").astype(float)
        low, high = variable.plausible or (-np.inf, np.inf)
        values = values.where(values.between(low, high))
    return values, int((values.isna() & text.notna()).sum())


def cells_as_text(
    data: Any, columns: Mapping[str, str], keys: tuple[str, ...] = KEYS, *, timezone: str | None = None
) -> pd.DataFrame:
    """All cells as trimmed text (NA where blank), start and end as microseconds; the index says where a row stands.

    timezone    starts and ends without an offset are local times there; refused: those that occur twice or not at all
    """
    with duckdb.connect() as connection:
        declare_zone(connection, timezone)
        frames = [_read(connection, part, columns, zoned=timezone is not None) for part in open_parts(connection, data)]
    table = pd.concat(frames)
    if "stay_id" not in table and "patient_id" in table and "stay_id" in keys:
        table["stay_id"] = table["patient_id"]
    for key in keys:
        if key not in table:
            raise InputError(
                f"a column {key}", f"columns {', '.join(map(str, table))}", f"Name it with columns={{{key!r}: ...}}."
            )
        if table[key].isna().any():
            where = str(table.index[table[key].isna()][0])
            raise InputError(f"a {key} in every row", "a blank one", "Complete or remove the row.", where=where)
    return table


def _instant(cell: str, kind: str, zoned: bool) -> str:
    written = time_sql(cell, kind, None)
    local = f"{is_dated(cell, kind, None)} AND NOT {has_offset(cell, kind, None)}"
    return f"CASE WHEN {local} THEN instant({written}) ELSE {written} END" if zoned else written


def _read(
    connection: duckdb.DuckDBPyConnection, part: Part, columns: Mapping[str, str], *, zoned: bool
) -> pd.DataFrame:
    ours = {theirs: ours for ours, theirs in columns.items()}
    cells = []
    for theirs, kind in part.types.items():
        name = ours.get(theirs, theirs)
        sql = _instant(quoted(theirs), kind, zoned) if name in TIMES else words_sql(quoted(theirs))
        cells.append(f"{sql} AS {quoted(name)}")
        if name in TIMES:
            cells.append(f"{words_sql(quoted(theirs))} AS {quoted('written ' + name)}")
    with plain_errors(part.label, part.text):
        table = connection.sql(f"SELECT {', '.join(cells)} FROM {part.sql}").df()
    rows: Iterable[int] = range(part.first_row, part.first_row + len(table))
    if part.text is not None:
        rows = part.text.rows_of(set(rows)).values() if part.text.blank_lines else rows
        part.text.check_finished()
    table.index = [f"{part.label}, row {row}" for row in rows]
    for name in TIMES:
        if name in table:
            lost = table[name].isna() & table.pop(f"written {name}").notna()
            if lost.any():
                where = f"{table.index[lost][0]}, column {name}"
                raise InputError(
                    "a date such as 2031-05-04 13:20", "something else", "Write ISO 8601 dates.", where=where
                )
            table[name] = table[name].astype("Int64")
    return table
