"""The SQL that turns the cells of one part into typed rows, each with the first reason against it, if any."""

from __future__ import annotations

from collections.abc import Mapping

from clinicalgru.data.ingest.tables import Part, literal, quoted
from clinicalgru.data.ingest.time_sql import (
    NUMERIC,
    has_offset,
    hours_sql,
    is_dated,
    number_sql,
    swapped_sql,
    time_sql,
    trimmed,
)
from clinicalgru.data.ledger import MISSING
from clinicalgru.errors import InputError

NOT_MADE = "('', 'na', 'n/a', 'nan', 'null', 'none', '.', '<na>')"
TYPED = (*NUMERIC, "TIMESTAMP", "DATE", "INTERVAL")
LONGEST_IDENTIFIER = 200  # letters
SWAPPED = "day and month exchanged"  # stops the load: rows with days up to 12 cannot show it


def take_in(
    part: Part,
    base: int,
    columns: Mapping[str, str],
    *,
    time_format: str | None,
    time_unit: str = "hours",
    missing: tuple[float, ...],
    assign_by_time: bool = False,
    second: bool = False,
    zoned: bool = False,
) -> str:
    """INSERT of the rows of one part into `rows`.

    base         number of the part's first file
    columns      our column name -> the part's column name, for those it has
    time_format  strptime format of text times; None = ISO 8601, or a number of hours
    time_unit    what times that are numbers count, of TIME_UNITS
    missing      values that stand for "not measured" in this source, such as -1
    assign_by_time  leave the stay of rows without stay_id open
    second       these rows may repeat what rows of another part say
    zoned        times without offset are local times of the declared zone (`clock.declare_zone`)
    """
    _check_identifiers(part, columns)
    open_stay = assign_by_time and "stay_id" not in columns
    cells = _cells(part, columns, time_format=time_format, time_unit=time_unit, open_stay=open_stay)
    return f"""
INSERT INTO rows
SELECT {base} + c_file, c_row, CASE WHEN NOT again AND NOT damaged THEN patient END, stay, time,
    coalesce(available, time), dated,
    shifted, name, unit, coalesce(number, spoken[lower(words)]) AS value, {str(second).lower()},
    CASE WHEN role = 'code' THEN coalesce(code, words) END,
    CASE WHEN again THEN 'repeated header'
         WHEN damaged THEN 'stray quote or control character'
         WHEN patient IS NULL{"" if assign_by_time else " OR stay IS NULL"} THEN 'no identifier'
         WHEN name IS NULL THEN 'no variable'
         WHEN role = 'identifier' THEN NULL
         WHEN role = 'code' AND coalesce(code, words) IS NULL THEN {literal(MISSING)}
         WHEN role IS DISTINCT FROM 'code' AND {_unmeasured("value", missing)}
             THEN coalesce(refused, {literal(MISSING)})
         WHEN time_words IS NULL THEN 'no time'
         {_LOCAL_REASONS if zoned else ""}
         WHEN time IS NULL AND exchanged THEN {literal(SWAPPED)}
         WHEN time IS NULL THEN 'time not readable'
         WHEN available_words IS NOT NULL AND available IS NULL THEN 'available_at not readable'
         WHEN available IS NOT NULL AND (available_dated <> dated OR available_shifted <> shifted)
             THEN 'available_at in another format than time'
         WHEN role IS DISTINCT FROM 'code' AND value IS NULL AND refused IS NULL THEN 'value is not a number'
         ELSE refused END
FROM ({_ZONED.format(cells=cells) if zoned else cells}) LEFT JOIN names USING (name)
"""


_ZONED = """
SELECT * REPLACE (
        CASE WHEN dated AND NOT shifted THEN instant(time) ELSE time END AS time,
        CASE WHEN available_dated AND NOT available_shifted THEN instant(available) ELSE available END AS available,
        true AS shifted, true AS available_shifted),
    CASE WHEN dated AND NOT shifted THEN instants(time) END AS named,
    CASE WHEN available_dated AND NOT available_shifted THEN instants(available) END AS available_named
FROM ({cells})"""
_LOCAL_REASONS = """
         WHEN named = 2 THEN 'ambiguous local time'
         WHEN named = 0 THEN 'nonexistent local time'
         WHEN available_named = 2 THEN 'ambiguous available_at'
         WHEN available_named = 0 THEN 'nonexistent available_at'"""


def _cells(part: Part, columns: Mapping[str, str], *, time_format: str | None, time_unit: str, open_stay: bool) -> str:
    """SELECT of the cells of each row as they read, under our names."""
    types = {ours: _kind(ours, part.types[theirs]) for ours, theirs in columns.items()}
    cells = ", ".join(f"{_cell(ours, theirs, types[ours], time_unit)} AS c_{ours}" for ours, theirs in columns.items())
    place = "c_file, c_row" if part.files else f"0 AS c_file, row_number() OVER () - 1 + {part.first_row} AS c_row"
    absent = "".join(f", NULL::VARCHAR AS c_{name}" for name in ("unit", "code", "refused") if name not in columns)
    stay_cell = "c_stay_id" if "stay_id" in columns else "c_patient_id"  # without stay_id, a patient is one stay
    stay = label_sql(stay_cell)
    late = "available_at" if "available_at" in columns else "time"
    time, available = ("c_time", types["time"], time_format), (f"c_{late}", types[late], time_format)
    names = [f"coalesce(c_{name} = {literal(columns[name])}, false)" for name in ("time", "value")]
    is_text = part.text is not None and types["time"] == types["value"] == "VARCHAR"
    return f"""
    SELECT c_file, c_row, {label_sql("c_patient_id")} AS patient, {"NULL::VARCHAR" if open_stay else stay} AS stay,
        {words_sql("c_time", types["time"])} AS time_words, {time_sql(*time)} AS time,
        {is_dated(*time)} AS dated, {has_offset(*time)} AS shifted, {swapped_sql(*time)} AS exchanged,
        {words_sql(f"c_{late}", types[late])} AS available_words, {time_sql(*available)} AS available,
        {is_dated(*available)} AS available_dated, {has_offset(*available)} AS available_shifted,
        {label_sql("c_variable")} AS name, {words_sql("c_unit")} AS unit,
        {words_sql("c_code")} AS code, {words_sql("c_value", types["value"])} AS words, c_refused AS refused,
        {number_sql("c_value", types["value"])} AS number,
        {" AND ".join(names) if is_text else "false"} AS again,
        {_damaged("c_patient_id", stay_cell) if part.text else "false"} AS damaged
    FROM (SELECT {cells}, {place}{absent} FROM {part.sql})"""


def _kind(ours: str, kind: str) -> str:
    """The type that a cell is read as: numbers and times as they are, all else as text."""
    as_they_are = {"value": NUMERIC, "time": TYPED, "available_at": TYPED}.get(ours, ())
    return kind if kind.startswith(as_they_are) or ours == "refused" else "VARCHAR"


def _cell(ours: str, theirs: str, kind: str, time_unit: str) -> str:
    cell = trimmed(quoted(theirs)) if kind == "VARCHAR" and ours != "refused" else quoted(theirs)
    return hours_sql(cell, kind, time_unit) if ours in ("time", "available_at") else cell


def _damaged(*cells: str) -> str:
    """Whether identifiers hold what a broken quote or a broken file leaves in them; it would make another patient."""
    broken = literal(r"[\x00-\x1f\x7f\"]")
    return " OR ".join(
        f"coalesce(regexp_matches({trimmed(cell)}, {broken}) OR length({trimmed(cell)}) > {LONGEST_IDENTIFIER}, false)"
        for cell in dict.fromkeys(cells)
    )


def _check_identifiers(part: Part, columns: Mapping[str, str]) -> None:
    for name in ("patient_id", "stay_id"):
        if name in columns and part.types[columns[name]] in ("FLOAT", "DOUBLE"):
            fix = f"Read it as text: .astype('Int64').astype(str), or dtype={{'{columns[name]}': str}} when reading."
            got = "floating point, which rounds long identifiers"
            raise InputError(f"{columns[name]} as text or whole numbers", got, fix, where=part.label)


def label_sql(cell: str) -> str:
    """A name or identifier as trimmed text; NULL where blank ("NA" may well be sodium)."""
    return f"nullif({trimmed(cell)}, '')"


def words_sql(cell: str, kind: str = "VARCHAR") -> str:
    """A cell as trimmed text; NULL where it is blank or says that there is nothing."""
    if kind in ("FLOAT", "DOUBLE"):
        return f"CASE WHEN NOT isnan({cell}) THEN CAST({cell} AS VARCHAR) END"
    if kind.startswith(TYPED):
        return f"CAST({cell} AS VARCHAR)"  # nothing around it, and written as text but once: that is slow
    text = trimmed(cell)
    return f"CASE WHEN lower({text}) IN {NOT_MADE} THEN NULL ELSE {text} END"


def _unmeasured(name: str, missing: tuple[float, ...]) -> str:
    marks = "".join(f" OR {name} = {mark}" for mark in missing)
    return f"(words IS NULL{marks})"
