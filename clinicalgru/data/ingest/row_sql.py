"""SQL that turns the cells of one table into typed rows, each with the first reason against it, if any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clinicalgru.data.ingest.column_names import check_identifier_types, normalize
from clinicalgru.data.ingest.missing_values import MissingValues, as_number
from clinicalgru.data.ingest.tables import TablePart, literal, quoted, with_computed
from clinicalgru.data.ingest.time_of_day_sql import time_of_day_sql
from clinicalgru.data.ingest.time_sql import (
    NUMERIC,
    day_month_swapped_sql,
    has_offset_sql,
    hours_sql,
    is_date_sql,
    number_sql,
    time_sql,
    trim_sql,
    usual_sql,
)
from clinicalgru.data.ledger import MISSING

MISSING_WORDS = r"(?i)(na|n/a|nan|null|none|\.|<na>)?"  # of at most four letters; none begins with a digit
TIMES = ("time", "available_at")
TYPED = (*NUMERIC, "TIMESTAMP", "DATE", "INTERVAL")
MAX_IDENTIFIER_LENGTH = 200
LIMIT = r"[<>≤≥]=?\s*([0-9]+\.?[0-9]*|\.[0-9]+)"  # a value that is a bound
OTHER_HEADER = "another header within the file"  # stops the load: the columns of the rows below it have another order
SWAPPED = "day and month exchanged"  # stops the load: days up to 12 would be read wrongly without a sign


@dataclass(frozen=True)
class RowFormat:
    """How the cells of a table are read.

    Attributes
    ----------
    time_format : str or None
        strptime format of text times; None: ISO 8601, or a number.
    time_unit : str
        Unit of times that are numbers: one of `TIME_UNITS`.
    missing_values : tuple of float
        Numbers that mean "not measured" in this source, such as -1.
    assign_by_time : bool
        Whether a row without stay_id goes to the patient's stay at its time (start and end included; of two stays the
        one that started later). Without this, each patient is one stay.
    is_duplicate_source : bool
        Whether values that also occur in another table of the source are counted as `duplicate` and not used.
    detection_limits : str
        What becomes of a value that is a bound, such as "<0.2": "reject", "bound" or "half".
    """

    time_format: str | None = None
    time_unit: str = "hours"
    missing_values: tuple[float, ...] = ()
    assign_by_time: bool = False
    is_duplicate_source: bool = False
    detection_limits: str = "reject"


# INSERT of the cells of one table into `rows`, with the reason against each row. What few rows need stands in CASE or
# after AND, where DuckDB computes it for these rows only, such as the text of a cell that is no number. What stands in
# coalesce, or after IN with a list of more than a few words, it computes for every row.
INSERT_ROWS = """
INSERT INTO rows
SELECT {first_file} + c_file, c_row,
    CASE WHEN NOT is_header AND NOT is_other_header AND NOT is_corrupt THEN patient END, stay, time,
    available, is_date, has_offset, time_of_day, available_of_day, name, unit,
    CASE WHEN number IS NOT NULL THEN number {of_limit}
         ELSE word_values[lower({value_text})] END AS value, {is_duplicate_source},
    CASE WHEN role = 'code' THEN coalesce(code, {value_text}) END,
    CASE WHEN is_header THEN 'repeated header'
         WHEN is_other_header THEN {other_header}
         WHEN is_corrupt THEN 'stray quote or control character'
         WHEN {no_identifier} THEN 'no identifier'
         WHEN name IS NULL THEN 'no variable'
         WHEN role = 'identifier' THEN NULL
         WHEN role = 'code' AND coalesce(code, {value_text}) IS NULL THEN {missing}
         WHEN role IS DISTINCT FROM 'code' AND {is_missing} THEN coalesce(source_reason, {missing})
         WHEN time IS NULL AND {time_text} IS NULL THEN 'no time'
         {local_time_reasons}
         WHEN time IS NULL AND {is_swapped} THEN {swapped}
         WHEN time IS NULL THEN 'time not readable'
         WHEN available IS NULL AND {available_text} IS NOT NULL THEN 'available_at not readable'
         WHEN available IS NOT NULL AND (available_is_date <> is_date OR available_has_offset <> has_offset)
             THEN 'available_at in another format than time'
         WHEN role IS DISTINCT FROM 'code' AND value IS NULL AND source_reason IS NULL THEN 'value is not a number'
         ELSE source_reason END,
    {is_limit}
FROM ({cells}) LEFT JOIN names USING (name)
"""
# The cells with local times as UTC, and how many UTC instants each local time names.
CELLS_IN_UTC = """
SELECT * REPLACE (
        CASE WHEN NOT is_date OR has_offset THEN time
             WHEN time_of_day = 2 THEN start_of_day(time) ELSE to_instant(time) END AS time,
        CASE WHEN NOT available_is_date OR available_has_offset THEN available
             WHEN available_of_day = 2 THEN start_of_day(available) ELSE to_instant(available) END AS available,
        true AS has_offset, true AS available_has_offset),
    CASE WHEN is_date AND NOT has_offset AND time_of_day <> 2 THEN count_instants(time) END AS time_instants,
    CASE WHEN available_is_date AND NOT available_has_offset AND available_of_day <> 2
         THEN count_instants(available) END AS available_instants
FROM ({cells})"""
LOCAL_TIME_REASONS = """
         WHEN time_instants = 2 THEN 'ambiguous local time'
         WHEN time_instants = 0 THEN 'nonexistent local time'
         WHEN available_instants = 2 THEN 'ambiguous available_at'
         WHEN available_instants = 0 THEN 'nonexistent available_at'"""


def insert_sql(
    part: TablePart,
    first_file: int,
    columns: Mapping[str, str],
    row_format: RowFormat,
    *,
    has_timezone: bool,
    missing: MissingValues,
) -> str:
    """Write SQL that inserts the rows of a table into `rows`.

    Parameters
    ----------
    part : TablePart
        The table.
    first_file : int
        Number of its first file.
    columns : mapping of str to str
        Our column name -> the table's, for those it has.
    row_format : RowFormat
        How the cells are read.
    has_timezone : bool
        Whether times without an offset are local times (see `declare_timezone`).
    missing : MissingValues
        Values that mean "not measured".

    Returns
    -------
    str
        One INSERT.

    Raises
    ------
    InputError
        If identifiers are floating point.
    """
    check_identifier_types(part.types, columns, part.label)
    types = {ours: _dtype(ours, part.types[theirs]) for ours, theirs in columns.items()}
    cells = _cells(part, columns, types, row_format)
    value_text = text_sql("c_value", types["value"])
    of_limit, is_limit = _limit_of_detection(value_text, row_format.detection_limits)
    return INSERT_ROWS.format(
        first_file=first_file,
        is_duplicate_source=str(row_format.is_duplicate_source).lower(),
        no_identifier=f"patient IS NULL{'' if row_format.assign_by_time else ' OR stay IS NULL'}",
        missing=literal(MISSING),
        is_missing=_is_missing(value_text, row_format.missing_values, missing, names=("value", columns["value"])),
        local_time_reasons=LOCAL_TIME_REASONS if has_timezone else "",
        value_text=value_text,
        of_limit=of_limit,
        is_limit=is_limit,
        time_text=text_sql("c_time", types["time"]),
        available_text=text_sql("c_available_at", types["available_at"]) if "available_at" in types else "NULL",
        is_swapped=day_month_swapped_sql("c_time", types["time"], row_format.time_format),
        swapped=literal(SWAPPED),
        other_header=literal(OTHER_HEADER),
        cells=CELLS_IN_UTC.format(cells=cells) if has_timezone else cells,
    )


def _cells(part: TablePart, columns: Mapping[str, str], types: Mapping[str, str], row_format: RowFormat) -> str:
    """SQL of the cells of each row: as text, c_ and our name; parsed, under our names."""
    stay_cell = "c_stay_id" if "stay_id" in columns else "c_patient_id"  # without stay_id, a patient is one stay
    is_open = row_format.assign_by_time and "stay_id" not in columns
    is_header, is_other_header = _headers(part, columns, row_format.time_format)
    is_corrupt = _is_corrupt("c_patient_id", stay_cell, is_plain=_is_plain(part)) if part.text else "false"
    parsed = {
        "patient": name_sql("c_patient_id"),
        "stay": "NULL::VARCHAR" if is_open else name_sql(stay_cell),
        "name": name_sql("c_variable"),
        "unit": text_sql("c_unit"),
        "code": text_sql("c_code"),
        "source_reason": "c_source_reason",
        "number": number_sql("c_value", types["value"]),
        "is_header": is_header,
        "is_other_header": is_other_header,
        "is_corrupt": is_corrupt,
    }
    layers: list[dict[str, str]] = [{}, {}, {}, parsed]
    for name, ours in (("time", "time"), ("available", "available_at")):
        cells = _time_cells(name, f"c_{ours}", types[ours], row_format) if ours in types else _no_time_cells(name)
        layers = [layer | more for layer, more in zip(layers, cells, strict=True)]
    raw = f"(SELECT {_raw_cells(part, columns, types)} FROM {part.sql})"
    return f"SELECT * FROM {with_computed(raw, *layers)}"


def _limit_of_detection(value_text: str, rule: str) -> tuple[str, str]:
    """SQL of the branch that reads a bound such as "<0.2" as a number, and of whether a value is such a bound."""
    if rule == "reject":
        return "", "false"
    number = f"try_cast(regexp_extract({value_text}, {literal(LIMIT)}, 1) AS DOUBLE)"
    value = f"{number} * if(regexp_matches({value_text}, '^[<≤]'), 0.5, 1)" if rule == "half" else number
    is_limit = f"(number IS NULL AND regexp_full_match({value_text}, {literal(LIMIT)}))"
    return f"WHEN {is_limit} THEN {value}", f"coalesce({is_limit}, false)"


def _time_cells(name: str, cell: str, dtype: str, row_format: RowFormat) -> list[dict[str, str]]:
    """SQL of a column of times, in layers (see `with_computed`): in hours, its form, time, and what is known of it."""
    time, prefix = (cell, dtype, row_format.time_format), "" if name == "time" else f"{name}_"
    usual = f"{name}_is_usual"
    is_date = is_date_sql(*time, usual=usual)
    return [
        {cell: hours_sql(f"{cell}_written", dtype, row_format.time_unit)},
        {usual: usual_sql(*time)},
        {name: time_sql(*time, usual=usual)},
        {
            f"{prefix}is_date": is_date,
            f"{prefix}has_offset": has_offset_sql(*time, usual=usual),
            f"{name}_of_day": time_of_day_sql(*time, time=name, is_date=is_date, usual=usual),
        },
    ]


def _no_time_cells(name: str) -> list[dict[str, str]]:
    """A column of times that the table lacks: without available_at, a value is known when it is measured."""
    of_day = {f"{name}_is_date": "NULL::BOOLEAN", f"{name}_has_offset": "NULL::BOOLEAN"}
    return [{}, {}, {name: "NULL::BIGINT"}, {**of_day, f"{name}_of_day": "NULL::UTINYINT"}]


def _raw_cells(part: TablePart, columns: Mapping[str, str], types: Mapping[str, str]) -> str:
    """SQL of the columns of a table as c_ and our name, with the place of each row; absent columns are NULL.

    Columns of times have _written after their name.
    """
    cells = [
        f"{_cell(ours, theirs, types[ours], is_plain=_is_plain(part))} AS c_{ours}{'_written' if ours in TIMES else ''}"
        for ours, theirs in columns.items()
    ]
    place = "c_file, c_row" if part.files else f"0 AS c_file, row_number() OVER () - 1 + {part.first_row} AS c_row"
    absent = [f"NULL::VARCHAR AS c_{name}" for name in ("unit", "code", "source_reason") if name not in columns]
    return ", ".join([*cells, place, *absent])


def _headers(part: TablePart, columns: Mapping[str, str], time_format: str | None) -> tuple[str, str]:
    """SQL of whether a row of a text file repeats its header, and of whether it is a header of other columns.

    A name is no time, unless it looks like a number or a `time_format` reads it, so that few rows need to be compared.
    """
    own = {} if part.text is None else {o: t for o, t in columns.items() if t in part.text.names}
    if part.text is None or "time" not in own:
        return "false", "false"
    same = " AND ".join(f"coalesce(c_{ours} = {literal(theirs)}, false)" for ours, theirs in own.items())
    names = sorted({name.casefold() for name in (*part.text.names, *own)})
    is_name = f"coalesce(list_position([{', '.join(map(literal, names))}], lower(c_time)) > 0, false)"
    is_compared = "time IS NULL" if time_format is None and all(name[0].isalpha() for name in names) else "true"
    return (
        f"CASE WHEN {is_compared} THEN {same} ELSE false END",
        f"CASE WHEN {is_compared} THEN {is_name} AND NOT ({same}) ELSE false END",
    )


def _dtype(ours: str, dtype: str) -> str:
    """The type that a cell is read as: numbers and times as they are, all else as text."""
    unchanged = {"value": NUMERIC, "time": TYPED, "available_at": TYPED}.get(ours, ())
    return dtype if dtype.startswith(unchanged) or ours == "source_reason" else "VARCHAR"


def _is_plain(part: TablePart) -> bool:
    """Whether the cells are those of a text file that has nothing to be trimmed."""
    return part.text is not None and part.text.is_plain and not part.files


def _cell(ours: str, theirs: str, dtype: str, *, is_plain: bool) -> str:
    """SQL of a cell, with text trimmed."""
    is_text = dtype == "VARCHAR" and ours != "source_reason" and not is_plain
    return trim_sql(quoted(theirs)) if is_text else quoted(theirs)


def _is_corrupt(*cells: str, is_plain: bool) -> str:
    """SQL of whether identifiers hold what a broken quote or file leaves in them; it would make another patient."""
    pattern = literal(r"[\x00-\x1f\x7f\"]")
    tests = []
    for cell in dict.fromkeys(cells):
        text = trim_sql(cell)
        is_long = (
            f"CASE WHEN strlen({text}) > {MAX_IDENTIFIER_LENGTH} THEN length({text}) > {MAX_IDENTIFIER_LENGTH} END"
        )
        tests.append(f"coalesce({'' if is_plain else f'regexp_matches({text}, {pattern}) OR '}{is_long}, false)")
    return " OR ".join(tests)


def name_sql(cell: str) -> str:
    """Write SQL of a name or identifier as trimmed text.

    Parameters
    ----------
    cell : str
        SQL of the cell.

    Returns
    -------
    str
        SQL of the text; NULL where it is blank ("NA" may be sodium).
    """
    return f"nullif({trim_sql(cell)}, '')"


def text_sql(cell: str, dtype: str = "VARCHAR") -> str:
    """Write SQL of a cell as trimmed text.

    Parameters
    ----------
    cell : str
        SQL of the cell.
    dtype : str
        DuckDB type of the cell.

    Returns
    -------
    str
        SQL of the text; NULL where it is blank, NaN or a word for missing.
    """
    if dtype in ("FLOAT", "DOUBLE"):
        return f"CASE WHEN NOT isnan({cell}) THEN CAST({cell} AS VARCHAR) END"
    if dtype.startswith(TYPED):
        return f"CAST({cell} AS VARCHAR)"  # has no white space around it, and casting twice is slow
    text = trim_sql(cell)
    # a list of words after IN would become a join, which DuckDB computes for every row
    is_other = f"strlen({text}) > 4 OR ord({text}) BETWEEN 47 AND 59"
    is_missing = f"regexp_full_match({text}, {literal(MISSING_WORDS)})"
    return f"CASE WHEN {is_other} THEN {text} WHEN {is_missing} THEN NULL ELSE {text} END"


def _is_missing(
    value_text: str, missing_values: tuple[float, ...], missing: MissingValues, *, names: tuple[str, ...]
) -> str:
    """SQL of whether a row has no value: a blank, the source's number for it, or one that the user names."""
    tests = [f"(number IS NULL AND {value_text} IS NULL)", *(f"value = {number}" for number in missing_values)]
    tests += [_equals(value_text, text) for text in missing.of(*names)]
    for name, texts in missing.by_name.items():
        own = " OR ".join(_equals(value_text, text) for text in texts) or "false"
        folded = literal(normalize(name))
        tests.append(f"((lower(canonical) = {folded} OR lower(name) = {folded}) AND ({own}))")
    return f"({' OR '.join(tests)})"


def _equals(value_text: str, text: str) -> str:
    """SQL of whether a cell holds a number, or a word in any letter case."""
    number = as_number(text)
    is_number = "" if number is None else f" OR number = {number!r}"
    return f"coalesce(lower({value_text}) = {literal(text.lower())}{is_number}, false)"
