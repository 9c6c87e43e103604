"""SQL that turns the cells of one table into typed rows, each with the first reason against it, if any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clinicalgru.data.ingest.column_names import IDENTIFIERS, check_identifier_types
from clinicalgru.data.ingest.decimal_sql import decimal_comma_sql
from clinicalgru.data.ingest.detection_limit_sql import LIMIT
from clinicalgru.data.ingest.ingest_sql import OTHER_HEADER
from clinicalgru.data.ingest.insert_sql import (
    CELLS_IN_UTC,
    CELLS_WITH_MEANING,
    INSERT_ROWS,
    LOCAL_TIME_REASONS,
    NEW_IDENTIFIERS,
    NEW_NAME_UNITS,
    UNKNOWN_IDENTIFIERS,
    UNKNOWN_NAME_UNITS,
    WITH_TIMES,
)
from clinicalgru.data.ingest.missing_sql import missing_sql
from clinicalgru.data.ingest.missing_values import MissingValues
from clinicalgru.data.ingest.tables import TablePart, literal, quoted, with_computed
from clinicalgru.data.ingest.time_of_day_sql import time_of_day_sql
from clinicalgru.data.ingest.time_sql import (
    NUMERIC,
    day_month_swapped_sql,
    digits_sql,
    has_offset_sql,
    hours_sql,
    is_date_sql,
    number_sql,
    time_sql,
    trim_sql,
    usual_sql,
)
from clinicalgru.data.ingest.value_flags import with_bare_numbers_sql
from clinicalgru.data.ingest.value_pairs import NOT_A_PAIR, with_pair_names_sql, with_pairs_sql
from clinicalgru.data.ledger import MISSING

MISSING_WORDS = r"(?i)(na|n/a|nan|null|none|\.|<na>)?"  # of at most four letters; none begins with a digit
TIMES = ("time", "available_at")
KEYS = ("patient_id", "stay_id", "variable", "unit")
WRITTEN = (*KEYS, *TIMES)  # columns of which each different cell is read once
CELLS, KEY_CELLS = "raw_cells", "raw_keys"  # relations that hold the cells, and those of KEYS
TYPED = (*NUMERIC, "TIMESTAMP", "DATE", "INTERVAL")
MAX_IDENTIFIER_LENGTH = 200
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
    detection_limits : str or None
        What becomes of a value that is a bound, such as "<0.2": "reject", "bound" or "half"; None: as the workspace
        says.
    decimal : str
        Mark of decimals in text, "." or ",".
    has_stays_table : bool
        Whether a table of stays has their patients, so that rows with a stay_id may lack patient_id.
    units_in_values : bool
        Whether a unit may stand behind the number.
    flags_in_values : bool
        Whether an abnormality flag may stand around the number.
    """

    time_format: str | None = None
    time_unit: str = "hours"
    missing_values: tuple[float, ...] = ()
    assign_by_time: bool = False
    is_duplicate_source: bool = False
    detection_limits: str | None = None
    decimal: str = "."
    has_stays_table: bool = False
    units_in_values: bool = False
    flags_in_values: bool = False


@dataclass(frozen=True)
class RowStatements:
    """SQL that adds the rows of one table.

    Attributes
    ----------
    cells : str
        SELECT of the columns of the table as c_ and our name, with the place of each row: the relation `CELLS`.
    keys : str
        SELECT of those that identifiers, names and units are made of: the relation `KEY_CELLS`.
    new_keys : tuple of str
        Statements that read `KEY_CELLS`, and compute once what many rows share.
    insert : str
        INSERT from `CELLS` into `rows`.
    """

    cells: str
    keys: str
    new_keys: tuple[str, ...]
    insert: str


def row_statements(
    part: TablePart,
    first_file: int,
    columns: Mapping[str, str],
    row_format: RowFormat,
    *,
    has_timezone: bool,
    has_pairs: bool,
    missing: MissingValues,
) -> RowStatements:
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
    has_pairs : bool
        Whether some names stand for two variables (see `pairs_in`).
    missing : MissingValues
        Values that mean "not measured".

    Returns
    -------
    RowStatements
        The statements.

    Raises
    ------
    InputError
        If identifiers are floating point.
    """
    check_identifier_types(part.types, columns, part.label)
    types = {ours: _dtype(ours, part.types[theirs], row_format.time_format) for ours, theirs in columns.items()}
    cells = _cells(part, columns, types, row_format)
    value_text = text_sql("c_value", types["value"])
    of_limit, is_limit = _limit_of_detection(value_text, row_format.detection_limits)
    raw = _raw_cells(part, columns, types, row_format)
    needs = {"patient": "patient_id" in columns, "stay": not row_format.assign_by_time}
    insert = INSERT_ROWS.format(
        first_file=first_file,
        is_duplicate_source=str(row_format.is_duplicate_source).lower(),
        is_corrupt="is_corrupt" if part.text else "false",
        no_identifier=" OR ".join(f"{name} IS NULL" for name, needed in needs.items() if needed),
        missing=literal(MISSING),
        not_a_pair=literal(NOT_A_PAIR),
        is_missing=missing_sql(value_text, row_format.missing_values, missing, names=("value", columns["value"])),
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
    all_cells = f"SELECT {', '.join([*raw.values(), _place(part)])} FROM {part.relation}"
    keys = f"SELECT {', '.join(raw[name] for name in (*KEYS, 'value', *_text_times(types)))} FROM {part.sql}"
    if types["value"] == "VARCHAR":
        marks = {"has_units": row_format.units_in_values, "has_flags": row_format.flags_in_values}
        all_cells, keys = (with_bare_numbers_sql(one, row_format.decimal, **marks) for one in (all_cells, keys))
    return RowStatements(
        cells=with_pairs_sql(all_cells, types["value"], row_format.decimal) if has_pairs else all_cells,
        keys=with_pair_names_sql(keys) if has_pairs else keys,
        new_keys=(
            *(_distinct_times(name, types, row_format) for name in _text_times(types)),
            NEW_IDENTIFIERS.format(
                patient=text_sql("c_patient"),
                stay=text_sql("c_stay"),
                is_corrupt=_is_corrupt("c_patient", "c_stay"),
                relation=_trimmed(UNKNOWN_IDENTIFIERS, c_patient="patient_id_written", c_stay="stay_id_written"),
            ),
            NEW_NAME_UNITS.format(
                name=name_sql("c_name"),
                unit=text_sql("c_unit"),
                relation=_trimmed(UNKNOWN_NAME_UNITS, c_name="variable_written", c_unit="unit_written"),
            ),
        ),
        insert=insert,
    )


def _cells(part: TablePart, columns: Mapping[str, str], types: Mapping[str, str], row_format: RowFormat) -> str:
    """SQL of the cells of each row: as text, c_ and our name; parsed, under our names."""
    is_header, is_other_header = _headers(part, columns, row_format.time_format)
    parsed = {
        "code": text_sql("c_code"),
        "source_reason": "c_source_reason",
        "number": number_sql("c_value", types["value"]),
        "is_header": is_header,
        "is_other_header": is_other_header,
    }
    layers: list[dict[str, str]] = [{}, {}, {}, parsed]
    relation = CELLS_WITH_MEANING.format(cells=CELLS)
    for ours in TIMES:
        if ours in _text_times(types):
            relation = WITH_TIMES.format(relation=relation, ours=ours)
        else:
            layers = [layer | more for layer, more in zip(layers, _time_cells(ours, types, row_format), strict=True)]
    return f"SELECT * FROM {with_computed(relation, *layers)}"


def _limit_of_detection(value_text: str, rule: str | None) -> tuple[str, str]:
    """SQL of the branch that reads a bound such as "<0.2" as a number, and of whether a value is such a bound."""
    if rule in (None, "reject"):
        return "", "false"
    number = f"try_cast(regexp_extract({value_text}, {literal(LIMIT)}, 1) AS DOUBLE)"
    value = f"{number} * if(regexp_matches({value_text}, '^[<≤]'), 0.5, 1)" if rule == "half" else number
    is_limit = f"(number IS NULL AND regexp_full_match({value_text}, {literal(LIMIT)}))"
    return f"WHEN {is_limit} THEN {value}", f"coalesce({is_limit}, false)"


def _text_times(types: Mapping[str, str]) -> list[str]:
    """The columns of times that are text: parsing takes long, and several rows have the same time."""
    return [ours for ours in TIMES if types.get(ours) == "VARCHAR"]


def _distinct_times(ours: str, types: Mapping[str, str], row_format: RowFormat) -> str:
    """SQL of a table of the different cells of a column of times, with what they mean."""
    cells = f"(SELECT DISTINCT {ours}_written FROM {KEY_CELLS})"
    computed = with_computed(cells, *_time_cells(ours, types, row_format))
    return f"CREATE OR REPLACE TEMP TABLE distinct_{ours} AS FROM {computed}"


def _time_cells(ours: str, types: Mapping[str, str], row_format: RowFormat) -> list[dict[str, str]]:
    """SQL of a column of times, in layers (see `with_computed`): in hours, its form, time, and what is known of it."""
    name = ours.removesuffix("_at")
    if ours not in types:  # without available_at, a value is known when it is measured
        of_day = {f"{name}_is_date": "NULL::BOOLEAN", f"{name}_has_offset": "NULL::BOOLEAN"}
        return [{}, {}, {name: "NULL::BIGINT"}, {**of_day, f"{name}_of_day": "NULL::UTINYINT"}]
    cell, written, dtype = f"c_{ours}", f"{ours}_written", types[ours]
    time, prefix = (cell, dtype, row_format.time_format), "" if name == "time" else f"{name}_"
    usual = f"{name}_is_usual"
    is_date = is_date_sql(*time, usual=usual)
    return [
        {cell: hours_sql(trim_sql(written) if dtype == "VARCHAR" else written, dtype, row_format.time_unit)},
        {usual: usual_sql(*time)},
        {name: time_sql(*time, usual=usual)},
        {
            f"{prefix}is_date": is_date,
            f"{prefix}has_offset": has_offset_sql(*time, usual=usual),
            f"{name}_of_day": time_of_day_sql(*time, time=name, is_date=is_date, usual=usual),
        },
    ]


def _raw_cells(
    part: TablePart, columns: Mapping[str, str], types: Mapping[str, str], row_format: RowFormat
) -> dict[str, str]:
    """SQL of the columns of a table: those of `WRITTEN` as they are, others trimmed, as c_ and our name.

    Absent columns are NULL. Without stay_id, a patient is one stay, unless the rows are open: to be assigned to a stay
    by their time.
    """
    cells = {ours: _cell(ours, theirs, types[ours], is_plain=_is_plain(part)) for ours, theirs in columns.items()}
    for ours in types.keys() & set(TIMES):
        if types[ours] == "VARCHAR" and part.types[columns[ours]].startswith(NUMERIC):
            cells[ours] = digits_sql(quoted(columns[ours]))
    if row_format.decimal == ",":
        of_numbers = [ours for ours in ("value", *TIMES) if types.get(ours) == "VARCHAR"]
        cells |= {ours: decimal_comma_sql(quoted(columns[ours])) for ours in of_numbers}
    if "stay_id" not in cells and not row_format.assign_by_time:
        cells["stay_id"] = cells["patient_id"]
    optional = (*IDENTIFIERS, "unit", "code", "source_reason")
    absent = {name: "NULL::VARCHAR" for name in optional if name not in cells}
    names = {ours: f"{ours}_written" if ours in WRITTEN else f"c_{ours}" for ours in cells | absent}
    return {ours: f"{cell} AS {names[ours]}" for ours, cell in (cells | absent).items()}


def _place(part: TablePart) -> str:
    """SQL of the place of each row: the number of its file in the table, and of the row in it."""
    return "c_file, c_row" if part.files else f"0 AS c_file, {part.place}"


def _headers(part: TablePart, columns: Mapping[str, str], time_format: str | None) -> tuple[str, str]:
    """SQL of whether a row of a text file repeats its header, and of whether it is a header of other columns.

    A name is no time, unless it looks like a number or a `time_format` reads it, so that few rows need to be compared.
    """
    own = {} if part.text is None else {o: t for o, t in columns.items() if t in part.text.names}
    if part.text is None or "time" not in own:
        return "false", "false"
    cells = {ours: trim_sql(f"{ours}_written") if ours in KEYS else f"c_{ours}" for ours in own}
    same = " AND ".join(f"coalesce({cells[ours]} = {literal(theirs)}, false)" for ours, theirs in own.items())
    names = sorted({name.casefold() for name in (*part.text.names, *own)})
    is_name = f"coalesce(list_position([{', '.join(map(literal, names))}], lower(c_time)) > 0, false)"
    is_compared = "time IS NULL" if time_format is None and all(name[0].isalpha() for name in names) else "true"
    return (
        f"CASE WHEN {is_compared} THEN {same} ELSE false END",
        f"CASE WHEN {is_compared} THEN {is_name} AND NOT ({same}) ELSE false END",
    )


def _dtype(ours: str, dtype: str, time_format: str | None) -> str:
    """The type that a cell is read as: numbers and times as they are, all else as text, as are digits of a format."""
    if ours in TIMES and time_format is not None and dtype.startswith(NUMERIC):
        return "VARCHAR"
    unchanged = {"value": NUMERIC, "time": TYPED, "available_at": TYPED}.get(ours, ())
    return dtype if dtype.startswith(unchanged) or ours == "source_reason" else "VARCHAR"


def _is_plain(part: TablePart) -> bool:
    """Whether the cells are those of a text file that has nothing to be trimmed."""
    return part.text is not None and part.text.is_plain and not part.files


def _cell(ours: str, theirs: str, dtype: str, *, is_plain: bool) -> str:
    """SQL of a cell; text is trimmed, but for what is trimmed later, once for each different cell."""
    if dtype != "VARCHAR" or ours == "source_reason" or is_plain:
        return quoted(theirs)
    return f"CAST({quoted(theirs)} AS VARCHAR)" if ours in WRITTEN else trim_sql(quoted(theirs))


def _trimmed(relation: str, **cells: str) -> str:
    """SQL of a relation of `KEY_CELLS` with the trimmed text of its cells."""
    return with_computed(relation.format(key_cells=KEY_CELLS), {name: trim_sql(cell) for name, cell in cells.items()})


def _is_corrupt(*cells: str) -> str:
    """SQL of whether identifiers hold what a broken quote or file leaves in them; it would make another patient."""
    pattern = literal(r"[\x00-\x1f\x7f\"]")
    tests = []
    for cell in cells:
        text = trim_sql(cell)
        is_long = (
            f"CASE WHEN strlen({text}) > {MAX_IDENTIFIER_LENGTH} THEN length({text}) > {MAX_IDENTIFIER_LENGTH} END"
        )
        tests.append(f"coalesce(regexp_matches({text}, {pattern}) OR {is_long}, false)")
    return " OR ".join(tests)


def name_sql(cell: str) -> str:
    """Write SQL of a name as trimmed text.

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
