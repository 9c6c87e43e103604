"""SQL expressions that read times: dates, numbers of hours, UTC offsets, and local times of a time zone.

With a time zone, times without an offset are local times in it, and all times become UTC, so that elapsed hours are
right across daylight saving changes. Ambiguous local times (clocks set back) and nonexistent ones (clocks set forward)
are rejected and counted.
"""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import duckdb

from clinicalgru.data.ingest.csv_check import INVISIBLE
from clinicalgru.errors import ArgumentError, describe

HOUR = "3600000000"  # microseconds
DAY = "86400000000"
TRIMMED = "c_"  # prefix of the columns that `row_sql` has trimmed already
TIME_UNITS = {  # in hours
    "milliseconds": Fraction(1, 3_600_000),
    "seconds": Fraction(1, 3600),
    "minutes": Fraction(1, 60),
    "hours": Fraction(1),
    "days": Fraction(24),
}
DATE = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?( ?(Z|[+-](0\d|1[0-4])(:?\d{2})?))?"  # offsets end at +14
# The usual form of a date and time, without an offset: what has it and can be cast has digits elsewhere.
USUAL = (
    "({text} LIKE '____-__-__ __:__:__' AND strlen({text}) = 19 AND ord({text}) BETWEEN 48 AND 57 "
    "AND ord({text}[-1]) BETWEEN 48 AND 57 AND {text} NOT LIKE '% % %' AND NOT contains({text}, 'T'))"
)
OFFSET = r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}[^ Z+-]* ?(Z|[+-]\d{2}(:?\d{2})?)"
DAY_MONTH_SWAPPED = r"\d{4}-(1[3-9]|2\d|3[01])-(0[1-9]|1[0-2])([ T].*)?"  # valid only as year, day, month
SENTINEL_DATES = ("0001-01-01", "9999-12-31")  # no date of a measurement is earlier or later
MAX_HOURS = 150 * 8766  # longer than a human life: no number of hours since the start of a stay
NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN")


@dataclass(frozen=True)
class TimeFormat:
    """How the times of a table are read; the arguments of `read_events` of the same names.

    Attributes
    ----------
    time_format : str or None
        strptime format of text; None: ISO 8601, or a number.
    time_unit : str
        Unit of times that are numbers.
    timezone : str or None
        IANA time zone of times without an offset.
    """

    time_format: str | None = None
    time_unit: str = "hours"
    timezone: str | None = None


def has_zone(dtype: str) -> bool:
    """Tell whether a DuckDB type of times has a time zone.

    Parameters
    ----------
    dtype : str
        Name of the type.

    Returns
    -------
    bool
        True for TIMESTAMP WITH TIME ZONE and TIMESTAMPTZ_NS.
    """
    return dtype.startswith("TIMESTAMP") and ("TZ" in dtype or "TIME ZONE" in dtype)


def trim_sql(cell: str) -> str:
    """Write SQL of a cell as text without surrounding white space, including invisible characters.

    Parameters
    ----------
    cell : str
        SQL of the cell.

    Returns
    -------
    str
        SQL of the text.
    """
    if cell.startswith(TRIMMED):
        return cell
    text = f"CAST({cell} AS VARCHAR)"
    is_trimmed = f"ord({text}) BETWEEN 33 AND 126 AND ord({text}[-1]) BETWEEN 33 AND 126"  # twelve times faster
    return f"CASE WHEN {is_trimmed} THEN {text} ELSE trim({text}, '{INVISIBLE}') END"


def number_sql(cell: str, dtype: str) -> str:
    """Write SQL of a cell as a finite number.

    Parameters
    ----------
    cell : str
        SQL of the cell.
    dtype : str
        DuckDB type of the cell.

    Returns
    -------
    str
        SQL of the number; NULL where it is none ("1,5", "<5", "1_000", "inf").
    """
    if dtype.startswith(NUMERIC):
        cast = f"try_cast({cell} AS DOUBLE)"
        return f"CASE WHEN isfinite({cast}) THEN {cast} END"
    text = trim_sql(cell)
    cast = f"try_cast({text} AS DOUBLE)"
    return f"CASE WHEN isfinite({cast}) AND NOT contains({text}, '_') AND NOT contains({text}, '+-') THEN {cast} END"


def digits_sql(cell: str) -> str:
    """Write SQL of a whole number as its digits, as a `time_format` such as %Y%m%d%H%M%S reads them.

    Parameters
    ----------
    cell : str
        SQL of a number, which may be floating point.

    Returns
    -------
    str
        SQL of text.
    """
    return f"CAST(try_cast({cell} AS BIGINT) AS VARCHAR)"


def hours_sql(cell: str, dtype: str, time_unit: str) -> str:
    """Write SQL of a time as it is, or in hours where it is a number of another unit.

    Parameters
    ----------
    cell : str
        SQL of the cell.
    dtype : str
        DuckDB type of the cell.
    time_unit : str
        Unit of numbers: one of `TIME_UNITS`.

    Returns
    -------
    str
        SQL of the time.
    """
    hours = TIME_UNITS[time_unit]
    scale = f"* {hours.numerator} / {hours.denominator}"
    if hours == 1 or dtype.startswith(("TIMESTAMP", "DATE", "INTERVAL")):
        return cell
    if dtype.startswith(NUMERIC):
        return f"CAST({cell} AS DOUBLE) {scale}"
    return f"coalesce(CAST({number_sql(cell, dtype)} {scale} AS VARCHAR), {cell})"


def usual_sql(cell: str, dtype: str, time_format: str | None) -> str:
    """Write SQL of whether a cell is text of the usual form, such as 2031-05-04 13:20:00, if it is a date at all.

    Parameters
    ----------
    cell : str
        SQL of the cell.
    dtype : str
        DuckDB type of the cell.
    time_format : str or None
        strptime format of text; None: ISO 8601, or a number of hours.

    Returns
    -------
    str
        SQL of a truth value.
    """
    if dtype.startswith(("TIMESTAMP", "DATE", "INTERVAL", *NUMERIC)) or time_format is not None:
        return "false"
    return USUAL.format(text=trim_sql(cell))


def time_sql(cell: str, dtype: str, time_format: str | None, *, usual: str = "") -> str:
    """Write SQL of a time in microseconds.

    Parameters
    ----------
    cell : str
        SQL of the cell: a date, or hours.
    dtype : str
        DuckDB type of the cell.
    time_format : str or None
        strptime format of text; None: ISO 8601, or a number of hours.
    usual : str
        SQL of `usual_sql`, where a column holds it already.

    Returns
    -------
    str
        SQL of microseconds: since 1970 (UTC) for a date, since the start of the stay for a number of hours; NULL where
        the cell is neither.
    """
    if dtype.startswith(("TIMESTAMP", "DATE")):
        zone = "TZ" if has_zone(dtype) else ""
        if dtype == "DATE":
            return f"epoch_us(CAST({_bounded_sql(cell, 'DATE')} AS TIMESTAMP))"
        return f"epoch_us({_bounded_sql(f'CAST({cell} AS TIMESTAMP{zone})', f'TIMESTAMP{zone}')})"
    if dtype == "INTERVAL":
        return f"CAST(round(epoch({cell}) * 1e6) AS BIGINT)"
    number, text = number_sql(cell, dtype), trim_sql(cell)
    hours = f"CASE WHEN abs({number}) < {MAX_HOURS} THEN CAST(round({number} * {HOUR}) AS BIGINT) END"
    if dtype.startswith(NUMERIC):
        return hours
    if time_format is not None:
        return f"epoch_us(try_strptime({text}, {_literal(time_format)}))"
    usual = usual or USUAL.format(text=text)  # a cast without time zones is four times faster, and the test twice
    return (  # CASE and not coalesce, of which DuckDB would compute the numbers for every row
        f"CASE WHEN {usual} THEN epoch_us(try_cast({text} AS TIMESTAMP)) "
        f"WHEN regexp_full_match({text}, '{DATE}') THEN epoch_us(try_cast({text} AS TIMESTAMPTZ)) ELSE {hours} END"
    )


def _bounded_sql(date: str, dtype: str) -> str:
    """SQL of a date; infinity and years of more than four digits or BC, whose sums overflow, as a sentinel date."""
    first, last = (f"{dtype} '{day}'" for day in SENTINEL_DATES)
    return f"CASE WHEN {date} < {first} THEN {first} WHEN {date} > {last} THEN {last} ELSE {date} END"


def day_month_swapped_sql(cell: str, dtype: str, time_format: str | None) -> str:
    """Write SQL of whether a cell is a date only with day and month exchanged: the column mixes two orders.

    Parameters
    ----------
    cell : str
        SQL of the cell.
    dtype : str
        DuckDB type of the cell.
    time_format : str or None
        strptime format of text; None: ISO 8601, or a number of hours.

    Returns
    -------
    str
        SQL of a truth value.
    """
    if dtype != "VARCHAR" or (time_format is not None and not ("%d" in time_format and "%m" in time_format)):
        return "false"
    if time_format is None:
        return f"regexp_full_match({trim_sql(cell)}, '{DAY_MONTH_SWAPPED}')"
    swapped = time_format.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m")
    return f"try_strptime({trim_sql(cell)}, {_literal(swapped)}) IS NOT NULL"


def is_date_sql(cell: str, dtype: str, time_format: str | None, *, usual: str = "false") -> str:
    """Write SQL of whether a time is a date and not a number of hours.

    Parameters
    ----------
    cell : str
        SQL of the cell.
    dtype : str
        DuckDB type of the cell.
    time_format : str or None
        strptime format of text; None: ISO 8601, or a number of hours.
    usual : str
        SQL of `usual_sql`, where a column holds it already.

    Returns
    -------
    str
        SQL of a truth value.
    """
    if dtype.startswith(("TIMESTAMP", "DATE")) or time_format is not None:
        return "true"
    if dtype.startswith((*NUMERIC, "INTERVAL")):
        return "false"
    text = trim_sql(cell)
    unsigned = f"CASE WHEN ord({text}) BETWEEN 48 AND 57 THEN {text} ELSE ltrim({text}, '-') END"
    return f"CASE WHEN {usual} THEN true ELSE contains({unsigned}, '-') END"


def has_offset_sql(cell: str, dtype: str, time_format: str | None, *, usual: str = "") -> str:
    """Write SQL of whether a date has a UTC offset.

    Parameters
    ----------
    cell : str
        SQL of the cell.
    dtype : str
        DuckDB type of the cell.
    time_format : str or None
        strptime format of text; None: ISO 8601, or a number of hours.
    usual : str
        SQL of `usual_sql`, where a column holds it already.

    Returns
    -------
    str
        SQL of a truth value.
    """
    if dtype.startswith("TIMESTAMP"):
        return "true" if has_zone(dtype) else "false"
    if time_format is not None:
        return "true" if "%z" in time_format or "%Z" in time_format else "false"
    if dtype != "VARCHAR":
        return "false"
    text = trim_sql(cell)
    return f"CASE WHEN {usual or USUAL.format(text=text)} THEN false ELSE regexp_full_match({text}, '{OFFSET}') END"


# Macros over microseconds. local_time(u): the local time at a UTC instant. utc_near(l, days): the UTC instant of a
# local time by the offset that holds so many days later. count_instants(l): how many UTC instants a local time
# names (0, 1, 2).
# to_instant(l): that instant where it is one.
LOCAL_TIME_MACROS = """
CREATE OR REPLACE MACRO local_time(u) AS epoch_us(timezone({zone}, make_timestamp(u)::TIMESTAMPTZ));
CREATE OR REPLACE MACRO utc_near(l, days) AS
    l - (l + days * {day} - epoch_us(timezone({zone}, make_timestamp(l + days * {day}))));
CREATE OR REPLACE MACRO count_instants(l) AS CASE WHEN utc_near(l, -1) = utc_near(l, 1) THEN 1
    ELSE (local_time(utc_near(l, -1)) = l)::INTEGER + (local_time(utc_near(l, 1)) = l)::INTEGER END;
CREATE OR REPLACE MACRO to_instant(l) AS CASE WHEN utc_near(l, -1) = utc_near(l, 1) THEN utc_near(l, 1)
    WHEN count_instants(l) = 1
        THEN CASE WHEN local_time(utc_near(l, -1)) = l THEN utc_near(l, -1) ELSE utc_near(l, 1) END END;
"""


def declare_timezone(
    connection: duckdb.DuckDBPyConnection, timezone: str | None, *, is_temporary: bool = False
) -> None:
    """Define the macros `count_instants(local)` and `to_instant(local)` for a time zone; without one, only set UTC.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that gets the macros.
    timezone : str or None
        IANA time zone, such as "Europe/Berlin".
    is_temporary : bool
        Whether the macros are of this connection only.

    Raises
    ------
    ArgumentError
        If the time zone is unknown.

    Notes
    -----
    Around a change of the clock there are two candidates, by the offset a day before and by the offset a day after; a
    local time names those that lead back to it.
    """
    connection.execute("SET TimeZone = 'UTC'")
    if timezone is None:
        return
    if not isinstance(timezone, str) or timezone not in _timezones():
        got = f'"{timezone}"' if isinstance(timezone, str) else describe(timezone)
        raise ArgumentError("timezone as an IANA time zone", got, 'Pass a name such as "Europe/Berlin".')
    macros = LOCAL_TIME_MACROS.format(zone=_literal(timezone), day=DAY)
    connection.execute(macros.replace("CREATE OR REPLACE", "CREATE OR REPLACE TEMP") if is_temporary else macros)


@cache
def _timezones() -> set[str]:
    """The names of the time zones of this system, which are read from hundreds of files."""
    return zoneinfo.available_timezones() - {"localtime"}


def _literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
