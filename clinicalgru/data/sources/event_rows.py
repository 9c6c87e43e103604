"""Rows of a publisher's tables of events, with the stay of each, in the form that the ingest reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from clinicalgru.data.ingest.detection_limit_sql import limit_sql
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.row_sql import RowFormat, text_sql
from clinicalgru.data.ingest.tables import TablePart, derived, literal, quoted
from clinicalgru.data.ingest.time_sql import NUMERIC, number_sql, trim_sql
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import CENSORED, NON_NUMERIC, OUTSIDE
from clinicalgru.data.sources.named_columns import columns_by_name, with_columns
from clinicalgru.data.sources.wide import unpivoted

KEYS = ("patient_id", "stay_id", "time", "available_at", "source_reason")


@dataclass(frozen=True)
class Placement:
    """How the rows of a source find their stay.

    Attributes
    ----------
    key : str
        Column of each table that places a row.
    patient : str
        SQL of the patient of a row `r`.
    stay : str
        SQL of its stay; r.instant is the time of the row.
    tail : str
        SQL of the tables it is joined with; r.instant as above.
    is_outside : str
        SQL of whether a row is outside every stay; r.instant as above.
    instant : callable
        From SQL of a time and its DuckDB type to the column `instant`, which orders times, in layers (see
        `with_computed`).
    row_format : RowFormat
        How the cells are read.
    """

    key: str
    patient: str
    stay: str
    tail: str
    is_outside: str
    instant: Callable[[str, str], Sequence[Mapping[str, str]]]
    row_format: RowFormat


@dataclass(frozen=True)
class EventTable:
    """A table with one value in each row.

    Attributes
    ----------
    name : str
        Name of the table.
    times : tuple of str
        Columns of the time of the event; of those that the table has, the first that is filled counts.
    known : str
        Column of when it was known; "" where there is none.
    variable : str
        SQL of the name of the variable in a row `r`.
    value : str
        SQL of the value.
    needs : tuple of str
        Columns that the table must have besides the one that places a row.
    optional : tuple of str
        Columns that it may lack.
    unit : str
        SQL of the unit.
    code : str
        SQL of the code of a coded event.
    text : str
        SQL of the result as text, which may say that the value is a bound.
    tail : str
        SQL of further tables it is joined with.
    is_duplicate_source : bool
        Whether its rows may be copies of rows of another table.
    """

    name: str
    times: tuple[str, ...]
    known: str
    variable: str
    value: str
    needs: tuple[str, ...]
    optional: tuple[str, ...] = ()
    unit: str = "NULL::VARCHAR"
    code: str = "NULL::VARCHAR"
    text: str = ""
    tail: str = ""
    is_duplicate_source: bool = False


# The variable's own spelling in the dictionary and the words that stand for its values.
NAMES = "LEFT JOIN source_names n ON n.folded = lower(trim(r.event_name)) LEFT JOIN names w ON w.name = n.name"
# A result that is a bound, or text that is neither a number nor a word of the variable.
REASON = f"""
CASE WHEN {{is_outside}} THEN {literal(OUTSIDE)}
     WHEN r.is_limit THEN NULL
     WHEN regexp_matches(r.shown, '^[<>≤≥]') THEN {literal(CENSORED)}
     WHEN r.value_text IS NOT NULL AND r.number IS NULL
          AND NOT coalesce(list_contains(map_keys(w.word_values), lower(r.value_text)), false)
         THEN {literal(NON_NUMERIC)} END"""


def add_events(workspace: Workspace, part: TablePart, table: EventTable, placement: Placement) -> None:
    """Add the rows of a table with one value in each.

    Parameters
    ----------
    workspace : Workspace
        The read in progress, with source_names (see `register_names`).
    part : TablePart
        The file.
    table : EventTable
        What is read of it.
    placement : Placement
        How its rows find their stay.

    Raises
    ------
    InputError
        If a column is missing, an identifier is floating point, or the file cannot be read.
    """
    have = columns_by_name(part)
    times = tuple(name for name in table.times if name in have)
    known = table.known if table.known in have else ""
    part = with_columns(
        part,
        (placement.key, *table.needs),
        [*times, *table.optional, table.known or placement.key],
        identifiers=(placement.key,),
    )
    time, available, instant = _times(part, times, known, placement)
    reason = REASON if table.code == EventTable.code else f"CASE WHEN {{is_outside}} THEN {literal(OUTSIDE)} END"
    select = (
        f"{placement.patient} AS patient_id, {placement.stay} AS stay_id, {time} AS time, {available} AS available_at, "
        f"coalesce(n.name, r.event_name) AS variable, r.event_value AS value, {table.unit} AS unit, "
        f"{table.code} AS code, {reason.format(is_outside=placement.is_outside)} AS source_reason"
    )
    computed, tail = (
        [*instant, *_value_columns(table, uses_limits=workspace.uses_limits)],
        " ".join([placement.tail, table.tail, NAMES]),
    )
    with duckdb_errors(part.label, part.text):
        workspace.add_rows(
            derived(workspace.sql, part, select, computed=computed, tail=tail),
            {"source_reason": "source_reason"},
            replace(placement.row_format, is_duplicate_source=table.is_duplicate_source),
        )


def _value_columns(table: EventTable, *, uses_limits: bool) -> list[dict[str, str]]:
    """Name and value of a row, and the value as trimmed text and as number, in layers (see `with_computed`)."""
    text = table.text or table.value
    limit = limit_sql(text) if uses_limits else "NULL::VARCHAR"
    value = f"coalesce({limit}, CAST({table.value} AS VARCHAR))" if uses_limits else table.value
    return [
        {"event_name": table.variable, "event_value": value, "event_text": text, "is_limit": f"{limit} IS NOT NULL"},
        {"c_value": trim_sql("r.event_value"), "c_shown": trim_sql("r.event_text")},
        {
            "value_text": text_sql("c_value"),
            "shown": text_sql("c_shown"),
            "number": number_sql("c_value", "VARCHAR"),
        },
    ]


def add_cells(
    workspace: Workspace,
    part: TablePart,
    cells: Mapping[str, str],
    placement: Placement,
    *,
    time: str,
    computed: Mapping[str, str] | None = None,
    needs: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
) -> None:
    """Add the cells of a table with one column per variable.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    part : TablePart
        The file.
    cells : mapping of str to str
        Column -> variable; columns that the file lacks are left out.
    placement : Placement
        How its rows find their stay.
    time : str
        Column of the time.
    computed : mapping of str to str, optional
        Variable -> SQL of its value as a number, over a row `r`.
    needs, optional : tuple of str
        Further columns for `computed`.

    Raises
    ------
    InputError
        If a column is missing, an identifier is floating point, or the file cannot be read.
    """
    have = columns_by_name(part)
    cells = {column: variable for column, variable in cells.items() if column in have}
    part = with_columns(part, (placement.key, time, *needs, *cells), optional, identifiers=(placement.key,))
    instant = placement.instant(f"r.{quoted(time)}", part.types[time])
    reason = f"CASE WHEN {placement.is_outside} THEN {literal(OUTSIDE)} END"
    select = ", ".join(
        [
            f"{placement.patient} AS patient_id, {placement.stay} AS stay_id",
            f"r.{quoted(time)} AS time",
            f"{reason} AS source_reason",
            *(f"r.{quoted(column)}" for column in cells),
            *(f"CAST({sql} AS DOUBLE) AS {quoted(name)}" for name, sql in (computed or {}).items()),
        ]
    )
    rows = derived(workspace.sql, part, select, computed=instant, tail=placement.tail)
    named = {**cells, **{name: name for name in computed or {}}}
    numbers = {column for column in named if rows.types[column].startswith(NUMERIC)}
    keys = {name: name for name in KEYS if name in rows.types}
    for group, dtype in ((numbers, "DOUBLE"), (named.keys() - numbers, "VARCHAR")):
        chosen = {column: name for column, name in named.items() if column in group}
        if chosen:
            with duckdb_errors(part.label, part.text):
                workspace.add_rows(
                    unpivoted(rows, keys, chosen, dtype), {"source_reason": "source_reason"}, placement.row_format
                )


def _times(
    part: TablePart, times: tuple[str, ...], known: str, placement: Placement
) -> tuple[str, str, Sequence[Mapping[str, str]]]:
    """SQL of the time, of when the row was known as written, and of the time as something ordered, in layers."""
    columns = [*times, *([known] if known else [])]
    types = {part.types[name] for name in columns}
    dtype = types.pop() if len(types) == 1 else "VARCHAR"
    cells = {name: f"r.{quoted(name)}" for name in columns}
    if types:
        cells = {name: f"CAST({cell} AS VARCHAR)" for name, cell in cells.items()}
    blank = {name: f"nullif(trim({cell}), '')" if dtype == "VARCHAR" else cell for name, cell in cells.items()}
    time = f"coalesce({', '.join(blank[name] for name in times)})" if len(times) > 1 else blank[times[0]]
    instant = placement.instant(time, dtype)
    return time, blank[known] if known else time, instant
