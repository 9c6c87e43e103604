"""The times in the further tables (starts and ends of stays, dates among outcomes), read as those of the rows are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb
import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import HOUR
from clinicalgru.data.ingest.connections import small_connection
from clinicalgru.data.ingest.missing_values import MissingValues, as_number
from clinicalgru.data.ingest.row_sql import TYPED, text_sql
from clinicalgru.data.ingest.tables import TablePart, quoted, with_computed
from clinicalgru.data.ingest.time_sql import (
    NUMERIC,
    TimeFormat,
    day_month_swapped_sql,
    declare_timezone,
    digits_sql,
    has_offset_sql,
    hours_sql,
    is_date_sql,
    time_sql,
    trim_sql,
)
from clinicalgru.errors import InputError

TIMES = ("start", "end")
DAY = 24 * HOUR
DATE_ONLY = r"\d{4}-\d{2}-\d{2}"


@dataclass(frozen=True)
class Clock:
    """The kind of the times of a table.

    Attributes
    ----------
    is_date : bool
        Whether they are dates; else numbers since the start of the stay.
    has_offset : bool
        Whether dates have a UTC offset.
    where : str
        Place of a cell of this kind.
    """

    is_date: bool
    has_offset: bool
    where: str = ""

    @property
    def words(self) -> str:
        """The kind in words, for messages."""
        if not self.is_date:
            return "numbers"
        return "dates with UTC offset" if self.has_offset else "dates without UTC offset"


@dataclass(frozen=True)
class TimeColumns:
    """The columns of a table that are times, and how they are read.

    Attributes
    ----------
    times : TimeFormat
        How they are read.
    names : tuple of str
        The columns.
    missing : MissingValues
        Values that mean "not recorded".
    """

    times: TimeFormat
    names: tuple[str, ...]
    missing: MissingValues

    def is_missing(self, written: pd.Series, *names: str) -> pd.Series:
        """Mark the cells of a column that mean "not recorded".

        Parameters
        ----------
        written : Series of str
            The cells as text.
        *names : str
            The names of the column.

        Returns
        -------
        Series of bool
            True for words, and for values that are given for the column. A number that means "not measured" everywhere
            may be a time.
        """
        words = tuple(value for value in self.missing.everywhere if as_number(value) is None)
        return MissingValues(words, self.missing.by_name).is_missing(written, *names)


def read_dates(cells: pd.Series, times: TimeFormat) -> tuple[pd.Series, Clock, dict[str, int]] | None:
    """Read a column as dates, where all of its cells are such.

    Parameters
    ----------
    cells : Series of str
        The cells as text, NA where blank; the index holds the places of the rows.
    times : TimeFormat
        How they are read.

    Returns
    -------
    instants : Series of Int64
        Microseconds since 1970. A date without a time of day is the end of that day.
    clock : Clock
        Whether the dates have an offset.
    undetermined : dict of str to int
        As of `without_undetermined`.
    None
        Instead of all, where a cell is no date or all are blank.

    Raises
    ------
    InputError
        If dates are of both kinds.
    """
    with small_connection() as connection:
        declare_timezone(connection, times.timezone, is_temporary=True)
        connection.register("cells", pa.table({"cell": pa.array(cells, pa.string(), from_pandas=True)}))
        part = TablePart("", "cells", {"cell": "VARCHAR"}, first_row=0)
        found = time_frame(connection, part, "cell", times)
    found.index = cells.index
    found, undetermined = without_undetermined(found)
    filled = found[found["written"].notna()]
    if filled.empty or filled["time"].isna().any() or not filled["is_date"].all():
        return None
    instants, clocks = instants_of(found, ends_of_days=True)
    if len(clocks) > 1:
        fix = "Write all of them with their UTC offset, or none."
        raise InputError("one kind of time", f"{clocks[0].words} and {clocks[1].words}", fix, where=clocks[1].where)
    return instants, clocks[0], undetermined


# A time as microseconds, whether it is a date, has an offset, is a date without a time of day, is written with day and
# month exchanged, and what is written. A local time becomes UTC; of a date without a time of day also the end is found,
# as a change of the clock may make the day longer or shorter, or skip its first hour.
TIME_CELLS = """
{time} AS "time", {is_date} AS is_date, {has_offset} AS has_offset, {is_day} AS is_day, {is_swapped} AS is_swapped,
{written} AS written"""
LOCAL_TIME = """
SELECT * REPLACE (CASE WHEN is_local_day THEN day_begins("time") WHEN is_local THEN to_instant("time") ELSE "time" END
    AS "time", is_date AS has_offset),
    CASE WHEN is_local_day THEN day_begins("time" + {day}) END AS day_end,
    CASE WHEN is_local AND NOT is_local_day THEN count_instants("time") END AS instants
FROM (SELECT *, is_date AND NOT has_offset AS is_local, is_date AND NOT has_offset AND is_day AS is_local_day
    FROM ({select}))"""
DAY_BEGINS = "CREATE OR REPLACE TEMP MACRO day_begins(l) AS coalesce(to_instant(l), utc_near(l, -1))"


def time_frame(connection: duckdb.DuckDBPyConnection, part: TablePart, column: str, times: TimeFormat) -> pd.DataFrame:
    """Read the times of a column, with what is known of each cell.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Connection that can read the file.
    part : TablePart
        The file.
    column : str
        The column.
    times : TimeFormat
        How times are read.

    Returns
    -------
    DataFrame
        time (microseconds), is_date, has_offset, is_day, is_swapped, written; and day_end and instants, where a zone is
        named.
    """
    dtype = part.types[column]
    as_written = quoted(column) if dtype.startswith(TYPED) else trim_sql(quoted(column))
    if times.time_format is not None and dtype.startswith(NUMERIC):
        as_written, dtype = digits_sql(quoted(column)), "VARCHAR"
    cell, written = "c_time", text_sql("c_written", dtype)
    table = with_computed(
        part.sql, {"c_written": as_written}, {"c_time": hours_sql("c_written", dtype, times.time_unit)}
    )
    is_day = "true" if dtype == "DATE" else f"coalesce(regexp_full_match({written}, '{DATE_ONLY}'), false)"
    if times.time_format is not None and dtype == "VARCHAR":
        is_day = "false" if any(code in times.time_format for code in ("%H", "%I", "%X", "%c")) else "true"
    select = "SELECT " + TIME_CELLS.format(
        time=time_sql(cell, dtype, times.time_format),
        is_date=is_date_sql(cell, dtype, times.time_format),
        has_offset=has_offset_sql(cell, dtype, times.time_format),
        is_day=is_day,
        is_swapped=day_month_swapped_sql(cell, dtype, times.time_format),
        written=written,
    )
    select += f" FROM {table}"
    if times.timezone is not None:
        connection.execute(DAY_BEGINS)
        select = LOCAL_TIME.format(select=select, day=DAY)
    found = connection.execute(select).df()
    if times.time_format is not None and dtype == "VARCHAR" and found["time"].isna().all():
        usual = time_frame(connection, part, column, replace(times, time_format=None))
        if usual["is_date"].where(usual["written"].notna(), True).all() and usual["time"].notna().any():
            return usual  # the format is that of another table, and all of this column is ISO 8601
    return found


def instants_of(found: pd.DataFrame, *, ends_of_days: bool) -> tuple[pd.Series, list[Clock]]:
    """Take the microseconds of a column of times, and the kinds of time in it.

    Parameters
    ----------
    found : DataFrame
        As `time_frame` gives it; the index holds the places of the rows.
    ends_of_days : bool
        Whether a date without a time of day is the end of that day.

    Returns
    -------
    instants : Series of Int64
        Microseconds.
    clocks : list of Clock
        The kinds.
    """
    filled = found[found["time"].notna()].reset_index(names="where").drop_duplicates(["is_date", "has_offset"])
    clocks = [Clock(bool(kind.is_date), bool(kind.has_offset), str(kind.where)) for kind in filled.itertuples()]
    instants = found["time"].astype("Int64")
    if not ends_of_days:
        return instants, clocks
    is_day = found["is_day"].isin([True]) & found["is_date"].isin([True])
    ends = instants + is_day.astype("int64") * DAY
    return ends if "day_end" not in found else found["day_end"].astype("Int64").fillna(ends), clocks


def without_undetermined(found: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Take local times that name no instant, or two, as unknown.

    Parameters
    ----------
    found : DataFrame
        As `time_frame` gives it.

    Returns
    -------
    found : DataFrame
        With such cells blank.
    counts : dict of str to int
        How many they are, by what they are: in the hour that is repeated, or skipped, when the clocks change.
    """
    if "instants" not in found:
        return found, {}
    kinds = {"an ambiguous local time": found["instants"] == 2, "a nonexistent local time": found["instants"] == 0}
    counts = {kind: int(is_such.sum()) for kind, is_such in kinds.items() if is_such.any()}
    return found.mask(found["instants"].isin([0, 2])), counts


def check_times(cells: pd.DataFrame, before: str, after: str) -> None:
    """Raise where a time is filled but could not be read.

    Parameters
    ----------
    cells : DataFrame
        As `time_frame` gives it; the index holds the places of the rows.
    before, after : str
        What messages say before and after the place.

    Raises
    ------
    InputError
        If there is such a cell.
    """
    is_unreadable = cells["time"].isna() & cells["written"].notna()
    if is_unreadable.any():
        first = cells.index[is_unreadable][0]
        is_swapped = bool(cells.loc[is_unreadable, "is_swapped"].iloc[0])
        got = "a date with day and month exchanged" if is_swapped else "text that is no date"
        fix = "Write ISO 8601 dates, or name their format with time_format=."
        raise InputError("a date such as 2031-05-04 13:20", got, fix, where=f"{before}{first}{after}")
