"""The SQL that turns the cells of one part into typed rows, each with the first reason against it, if any."""

from __future__ import annotations

from collections.abc import Mapping

from clinicalgru.data.ledger import MISSING
from clinicalgru.data.sources.tables import Part, literal, quoted
from clinicalgru.errors import InputError

HOUR = "3600000000"  # microseconds
DATE = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?"
OFFSET = r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}[^ Z+-]* ?(Z|[+-]\d{2}(:?\d{2})?)"
NOT_MADE = "('', 'na', 'n/a', 'nan', 'null', 'none', '.', '<na>')"
LONGEST_HOURS = 150 * 8766  # further from the stay's start than a human life: not a number of hours
NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN")


def take_in(
    part: Part,
    base: int,
    columns: Mapping[str, str],
    *,
    time_format: str | None,
    missing: tuple[float, ...],
    placed_by_time: bool = False,
) -> str:
    """INSERT of the rows of one part into `rows`.

    base         number of the part's first file
    columns      our column name -> the part's column name, for those it has
    time_format  strptime format of text times; None = ISO 8601, or a number of hours
    missing      values that stand for "not measured" in this source, such as -1
    placed_by_time  leave the stay of rows without stay_id open
    """
    types = {ours: part.types[theirs] for ours, theirs in columns.items()}
    for name in ("patient_id", "stay_id"):
        if types.get(name) in ("FLOAT", "DOUBLE"):
            fix = f"Read it as text: .astype('Int64').astype(str), or dtype={{'{columns[name]}': str}} when reading."
            raise InputError(
                f"{columns[name]} as text or whole numbers",
                "floating point, which rounds long identifiers",
                fix,
                where=part.label,
            )
    cells = ", ".join(f"{quoted(theirs)} AS c_{ours}" for ours, theirs in columns.items())
    place = "c_file, c_row" if part.files else f"0 AS c_file, row_number() OVER () - 1 + {part.first_row} AS c_row"
    absent = ", ".join(f"NULL::VARCHAR AS c_{name}" for name in ("unit", "code") if name not in columns)
    stay = label_sql("c_stay_id" if "stay_id" in columns else "c_patient_id")  # without stay_id, a patient is one stay
    if placed_by_time and "stay_id" not in columns:
        stay = "NULL::VARCHAR"
    no_stay = "" if placed_by_time else " OR stay IS NULL"
    available = "available_at" if "available_at" in columns else "time"
    return f"""
INSERT INTO rows
SELECT {base} + c_file, c_row, patient, stay, time, coalesce(available, time), dated, shifted, name, unit, value,
    CASE WHEN role = 'code' THEN coalesce(code, words) END,
    CASE WHEN patient IS NULL{no_stay} THEN 'no identifier'
         WHEN name IS NULL THEN 'no variable'
         WHEN role = 'code' AND coalesce(code, words) IS NULL THEN {literal(MISSING)}
         WHEN role IS DISTINCT FROM 'code' AND {_unmeasured("value", missing)} THEN {literal(MISSING)}
         WHEN time_words IS NULL THEN 'no time'
         WHEN time IS NULL THEN 'time not readable'
         WHEN available_words IS NOT NULL AND available IS NULL THEN 'available_at not readable'
         WHEN role IS DISTINCT FROM 'code' AND value IS NULL THEN 'value is not a number' END
FROM (
    SELECT c_file, c_row, {label_sql("c_patient_id")} AS patient, {stay} AS stay,
        {words_sql("c_time")} AS time_words,
        {time_sql("c_time", types["time"], time_format)} AS time,
        {words_sql(f"c_{available}")} AS available_words,
        {time_sql(f"c_{available}", types[available], time_format)} AS available,
        {_is_dated("c_time", types["time"], time_format)} AS dated,
        {_has_offset("c_time", types["time"])} AS shifted,
        {label_sql("c_variable")} AS name, {words_sql("c_unit")} AS unit,
        {words_sql("c_code")} AS code, {words_sql("c_value")} AS words,
        {_number("c_value", types["value"])} AS value
    FROM (SELECT {cells}, {place}{", " + absent if absent else ""} FROM {part.sql})
) LEFT JOIN names USING (name)
"""


def label_sql(cell: str) -> str:
    """A name or identifier as trimmed text; NULL where blank ("NA" may well be sodium)."""
    return f"nullif(trim(CAST({cell} AS VARCHAR)), '')"


def words_sql(cell: str) -> str:
    """A cell as trimmed text; NULL where it is blank or says that there is nothing."""
    text = f"trim(CAST({cell} AS VARCHAR))"
    return f"CASE WHEN lower({text}) IN {NOT_MADE} THEN NULL ELSE {text} END"


def time_sql(cell: str, kind: str, time_format: str | None) -> str:
    """A cell as microseconds: since 1970 (UTC) for a date, since the stay's start for a number of hours."""
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"epoch_us(CAST({cell} AS TIMESTAMP{'TZ' if 'TIME ZONE' in kind else ''}))"
    if kind == "INTERVAL":
        return f"CAST(round(epoch({cell}) * 1e6) AS BIGINT)"
    number = _number(cell, kind)
    hours = f"CASE WHEN abs({number}) < {LONGEST_HOURS} THEN CAST(round({number} * {HOUR}) AS BIGINT) END"
    if kind.startswith(NUMERIC):
        return hours
    if time_format is not None:
        return f"epoch_us(try_strptime(trim({cell}), {literal(time_format)}))"
    date = (
        f"CASE WHEN regexp_full_match(trim({cell}), '{DATE}') THEN epoch_us(try_cast(trim({cell}) AS TIMESTAMPTZ)) END"
    )
    return f"coalesce({date}, {hours})"


def _number(cell: str, kind: str) -> str:
    """A cell as a finite number; NULL where it is none ("1,5", "<5", "1_000", "inf")."""
    cast = f"try_cast({cell} AS DOUBLE)"
    plain = "" if kind.startswith(NUMERIC) else f" AND NOT contains({cell}, '_')"
    return f"CASE WHEN isfinite({cast}){plain} THEN {cast} END"


def _unmeasured(name: str, missing: tuple[float, ...]) -> str:
    marks = "".join(f" OR {name} = {mark}" for mark in missing)
    return f"(words IS NULL{marks})"


def _is_dated(cell: str, kind: str, time_format: str | None) -> str:
    if kind.startswith(("TIMESTAMP", "DATE")) or time_format is not None:
        return "true"
    return "false" if kind.startswith((*NUMERIC, "INTERVAL")) else f"contains(ltrim({cell}, '-'), '-')"


def _has_offset(cell: str, kind: str) -> str:
    if kind.startswith("TIMESTAMP"):
        return "true" if "TIME ZONE" in kind else "false"
    return f"regexp_full_match(trim({cell}), '{OFFSET}')" if kind == "VARCHAR" else "false"
