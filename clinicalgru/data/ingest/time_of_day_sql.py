"""Dates without a time of day: SQL that distinguishes them from instants, and when their day begins and ends.

What was measured on a date was known at the end of that day at the latest, and perhaps not before: a value is available
at its last microsecond. Its time stays the beginning of the day. A column in which every instant is midnight, on more
than one day, is a column of dates that a database or a program wrote with a time of day; a single midnight may be one.
"""

from __future__ import annotations

import re

import duckdb

from clinicalgru.data.ingest.time_sql import DAY, NUMERIC, trim_sql

# What a cell says about the time of day; NULL for numbers of hours.
HAS_TIME, MIDNIGHT, NO_TIME = 0, 1, 2
TIME_DIRECTIVES = re.compile(r"%-?[HIfgMScXsT]")
# From 00:01 on: nearly all cells, so that this test alone is five times as fast.
LATER = "(substr({text}, 11, 6) BETWEEN ' 00:01' AND ' 24' OR substr({text}, 11, 6) BETWEEN 'T00:01' AND 'T24')"
NO_CLOCK = "(substr({text}, 11, 1) NOT IN (' ', 'T') OR NOT substr({text}, 12, 1) BETWEEN '0' AND '9')"
MIDNIGHT_TEXT = r"(:00(\.0*)?)?( ?(Z|[+-].*))?"  # what may follow 00:00


def time_of_day_sql(cell: str, dtype: str, time_format: str | None, *, time: str, is_date: str, usual: str) -> str:
    """Write SQL of what a cell says about the time of day.

    Parameters
    ----------
    cell : str
        SQL of the cell.
    dtype : str
        DuckDB type of the cell.
    time_format : str or None
        strptime format of text; None: ISO 8601, or a number of hours.
    time : str
        SQL of its microseconds, as written.
    is_date : str
        SQL of whether it is a date and not a number of hours.
    usual : str
        SQL of whether it has the usual form (see `usual_sql`).

    Returns
    -------
    str
        SQL of `HAS_TIME`, `MIDNIGHT` or `NO_TIME`; NULL for a number of hours.
    """
    if dtype.startswith((*NUMERIC, "INTERVAL")):
        return "NULL::UTINYINT"
    if dtype.startswith("DATE"):
        return f"{NO_TIME}::UTINYINT"
    at_midnight = f"({time}) % {DAY} = 0"
    if not dtype.startswith("TIMESTAMP"):
        if time_format is not None and not TIME_DIRECTIVES.search(time_format):
            return f"{NO_TIME}::UTINYINT"
        if time_format is None:
            text = trim_sql(cell)
            rest = f"regexp_full_match(substr({text}, 17), '{MIDNIGHT_TEXT}')"
            return (
                f"CASE WHEN {usual} THEN CASE WHEN suffix({text}, ' 00:00:00') THEN {MIDNIGHT} ELSE {HAS_TIME} END "
                f"WHEN {LATER.format(text=text)} THEN {HAS_TIME} WHEN NOT {is_date} THEN NULL"
                f" WHEN {NO_CLOCK.format(text=text)} THEN {NO_TIME}"
                f" WHEN substr({text}, 12, 5) = '00:00' AND {rest} THEN {MIDNIGHT} ELSE {HAS_TIME} END::UTINYINT"
            )
    return f"CASE WHEN {at_midnight} THEN {MIDNIGHT} ELSE {HAS_TIME} END::UTINYINT"


# Macros over microseconds. start_of_day(l): the first instant of the day that begins at a local time, which a change of
# the clock may skip or repeat. end_of_day(u): the last instant of the day that began at an instant.
DAYS = f"""
CREATE OR REPLACE MACRO start_of_day(l) AS l;
CREATE OR REPLACE MACRO end_of_day(u) AS u + {DAY} - 1;
"""
LOCAL_DAYS = f"""
CREATE OR REPLACE MACRO start_of_day(l) AS coalesce(to_instant(l), utc_near(l, -1));
CREATE OR REPLACE MACRO last_instant(l) AS coalesce(to_instant(l), greatest(utc_near(l, -1), utc_near(l, 1)));
CREATE OR REPLACE MACRO end_of_day(u) AS last_instant(local_time(u) + {DAY} - 1);
"""


def declare_days(connection: duckdb.DuckDBPyConnection, *, has_timezone: bool) -> None:
    """Define the macros `start_of_day(local)` and `end_of_day(instant)`.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that gets the macros; where it has a time zone, after `declare_timezone`.
    has_timezone : bool
        Whether days begin and end in the declared time zone; else as written.
    """
    connection.execute(LOCAL_DAYS if has_timezone else DAYS)
