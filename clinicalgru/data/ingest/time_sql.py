"""The SQL that reads times: dates, hours since the stay's start, offsets from UTC, local times of a zone.

Local times. With a time zone declared, a time without an offset is understood in it, and every time becomes UTC, so
that elapsed hours are right across the change to and from summer time. Two kinds of local time name no instant: one
that occurs twice (clocks set back) and one that does not exist (clocks set forward). Their rows are rejected and
counted.
"""

from __future__ import annotations

import zoneinfo

import duckdb

from clinicalgru.data.ingest.csv_check import INVISIBLE
from clinicalgru.errors import ArgumentError

HOUR = "3600000000"  # microseconds
DAY = "86400000000"
TRIMMED = "c_"  # how the names of cells begin that `parse` has trimmed, once for all
TIME_UNITS = {"seconds": "/ 3600", "minutes": "/ 60", "hours": "", "days": "* 24"}  # to hours
DATE = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?( ?(Z|[+-](0\d|1[0-4])(:?\d{2})?))?"  # offsets end at +14
OFFSET = r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}[^ Z+-]* ?(Z|[+-]\d{2}(:?\d{2})?)"
SWAPPED = r"\d{4}-(1[3-9]|2\d|3[01])-(0[1-9]|1[0-2])([ T].*)?"  # readable only as year, day, month
LONGEST_HOURS = 150 * 8766  # further from the stay's start than a human life: not a number of hours
NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN")


def trimmed(cell: str) -> str:
    """A cell as text without blanks around it, those that cannot be seen included; `c_...` are such text already."""
    if cell.startswith(TRIMMED):
        return cell
    text = f"CAST({cell} AS VARCHAR)"
    bare = f"left({text}, 1) BETWEEN '!' AND '~' AND right({text}, 1) BETWEEN '!' AND '~'"  # most are: six times faster
    return f"CASE WHEN {bare} THEN {text} ELSE trim({text}, '{INVISIBLE}') END"


def number_sql(cell: str, kind: str) -> str:
    """A cell as a finite number; NULL where it is none ("1,5", "<5", "1_000", "inf")."""
    if kind.startswith(NUMERIC):
        cast = f"try_cast({cell} AS DOUBLE)"
        return f"CASE WHEN isfinite({cast}) THEN {cast} END"
    text = trimmed(cell)
    cast = f"try_cast({text} AS DOUBLE)"
    return f"CASE WHEN isfinite({cast}) AND NOT contains({text}, '_') AND NOT contains({text}, '+-') THEN {cast} END"


def hours_sql(cell: str, kind: str, time_unit: str) -> str:
    """A time as it is, or in hours where it is a number of another unit."""
    scale = TIME_UNITS[time_unit]
    if not scale or kind.startswith(("TIMESTAMP", "DATE", "INTERVAL")):
        return cell
    if kind.startswith(NUMERIC):
        return f"CAST({cell} AS DOUBLE) {scale}"
    return f"coalesce(CAST({number_sql(cell, kind)} {scale} AS VARCHAR), {cell})"


def time_sql(cell: str, kind: str, time_format: str | None) -> str:
    """A cell as microseconds: since 1970 (UTC) for a date, since the stay's start for a number of hours."""
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"epoch_us(CAST({cell} AS TIMESTAMP{'TZ' if 'TIME ZONE' in kind else ''}))"
    if kind == "INTERVAL":
        return f"CAST(round(epoch({cell}) * 1e6) AS BIGINT)"
    number, text = number_sql(cell, kind), trimmed(cell)
    hours = f"CASE WHEN abs({number}) < {LONGEST_HOURS} THEN CAST(round({number} * {HOUR}) AS BIGINT) END"
    if kind.startswith(NUMERIC):
        return hours
    if time_format is not None:
        return f"epoch_us(try_strptime({text}, {_literal(time_format)}))"
    date = f"CASE WHEN regexp_full_match({text}, '{DATE}') THEN epoch_us(try_cast({text} AS TIMESTAMPTZ)) END"
    return f"coalesce({date}, {hours})"


def swapped_sql(cell: str, kind: str, time_format: str | None) -> str:
    """Whether a cell is a date only with day and month exchanged: a sign of two orders in one column."""
    if kind != "VARCHAR" or (time_format is not None and not ("%d" in time_format and "%m" in time_format)):
        return "false"
    if time_format is None:
        return f"regexp_full_match({trimmed(cell)}, '{SWAPPED}')"
    other = time_format.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m")
    return f"try_strptime({trimmed(cell)}, {_literal(other)}) IS NOT NULL"


def is_dated(cell: str, kind: str, time_format: str | None) -> str:
    """Whether a time is a date, not a number of hours."""
    if kind.startswith(("TIMESTAMP", "DATE")) or time_format is not None:
        return "true"
    return "false" if kind.startswith((*NUMERIC, "INTERVAL")) else f"contains(ltrim({trimmed(cell)}, '-'), '-')"


def has_offset(cell: str, kind: str, time_format: str | None) -> str:
    """Whether a date says its offset from UTC."""
    if kind.startswith("TIMESTAMP"):
        return "true" if "TIME ZONE" in kind else "false"
    if time_format is not None:
        return "true" if "%z" in time_format or "%Z" in time_format else "false"
    return f"regexp_full_match({trimmed(cell)}, '{OFFSET}')" if kind == "VARCHAR" else "false"


def declare_zone(connection: duckdb.DuckDBPyConnection, timezone: str | None) -> None:
    """Give a connection the macros `instants(local)` (how many instants a local time names) and `instant(local)`.

    Both take microseconds. Around a change of the clock there are two candidates, one by the offset a day before and
    one by the offset a day after; a local time names those that lead back to it.

    Refused: a zone that is not known.
    """
    connection.execute("SET TimeZone = 'UTC'")
    if timezone is None:
        return
    known = timezone in zoneinfo.available_timezones() - {"localtime"}
    if not known:
        fix = 'Name it as the IANA time zone database does, such as "Europe/Berlin".'
        raise ArgumentError("a time zone", "a name that is none", fix, where="timezone")
    zone = _literal(timezone)
    connection.execute(f"""
CREATE OR REPLACE MACRO shown(u) AS epoch_us(timezone({zone}, make_timestamp(u)::TIMESTAMPTZ));
CREATE OR REPLACE MACRO by_day(l, days) AS
    l - (l + days * {DAY} - epoch_us(timezone({zone}, make_timestamp(l + days * {DAY}))));
CREATE OR REPLACE MACRO instants(l) AS CASE WHEN by_day(l, -1) = by_day(l, 1) THEN 1
    ELSE (shown(by_day(l, -1)) = l)::INTEGER + (shown(by_day(l, 1)) = l)::INTEGER END;
CREATE OR REPLACE MACRO instant(l) AS CASE WHEN by_day(l, -1) = by_day(l, 1) THEN by_day(l, 1)
    WHEN instants(l) = 1 THEN CASE WHEN shown(by_day(l, -1)) = l THEN by_day(l, -1) ELSE by_day(l, 1) END END;
""")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
