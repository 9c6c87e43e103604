"""Times of an extract: whether they are dates or hours, and whether they are written in one way."""

from __future__ import annotations

from collections.abc import Sequence

from clinicalgru.data.events import HOUR
from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.row_sql import SWAPPED
from clinicalgru.data.ingest.table_times import Clock
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import InputError

MAX_FIRST_HOUR = 20_000  # day numbers of spreadsheets are 36,000 to 52,000 today


def resolve_time_format(workspace: Workspace, clocks: Sequence[Clock] = ()) -> bool:
    """Decide whether times are dates or hours since the start of the stay.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with all rows of the source.
    clocks : sequence of Clock
        The kinds of times in the further tables (stays, outcomes); all must be that of the rows.

    Returns
    -------
    bool
        True for dates, False for hours.

    Raises
    ------
    InputError
        If a file has two different headers; or an extract has both, dates with and without UTC offset, dates with day
        and month exchanged, or hours of which none is in the first two years of a stay.
    """
    _check_headers(workspace)
    _check_day_month_order(workspace)
    workspace.sql.execute(ingest_sql.ROW_FORMS)
    formats = workspace.sql.execute(ingest_sql.TIME_FORMATS).fetchall()
    if len(formats) == 2:
        is_date, _, part, row, _ = formats[0]
        got = "dates and numbers of hours; first " + ("date" if is_date else "number of hours") + " here"
        fix = "Export all times as dates, or all as hours since the start of the stay."
        raise InputError("one format of time", got, fix, where=workspace.locator.place(part, row, "no time"))
    if formats and not formats[0][0]:
        check_first_hour(formats[0][4], workspace.locator.place(formats[0][2], formats[0][3], "no time"))
    _check_offsets(workspace)
    if formats:
        has_offset = workspace.sql.execute(ingest_sql.HAS_OFFSET).fetchone()
        where = workspace.locator.place(formats[0][2], formats[0][3], "no time")
        is_date = bool(formats[0][0])
        rows = Clock(is_date, is_date and bool(has_offset and has_offset[0]), where)
        _check_clocks([rows, *clocks])
    return bool(formats[0][0]) if formats else any(clock.is_date for clock in clocks)


def check_first_hour(first: int, where: str) -> None:
    """Raise where the earliest of a table's numbers is far too late for a time since the start of a stay.

    Parameters
    ----------
    first : int
        The earliest, in microseconds.
    where : str
        Its place, for the message.

    Raises
    ------
    InputError
        If it is above `MAX_FIRST_HOUR`.
    """
    if first > MAX_FIRST_HOUR * HOUR:
        fix = "Write dates instead of a spreadsheet's day numbers, or give the unit of the numbers with time_unit=."
        got = f"only numbers above {MAX_FIRST_HOUR:,}"
        raise InputError("hours since the start of the stay", got, fix, where=where)


def _check_clocks(clocks: Sequence[Clock]) -> None:
    """Raise where a table's times are of another kind than the first's."""
    first = clocks[0]
    for clock in clocks[1:]:
        if (clock.is_date, clock.has_offset) != (first.is_date, first.has_offset):
            fix = (
                "Write the times of all tables in one way: numbers, or dates with or without offset, or pass timezone=."
            )
            got = f"{clock.words}, while the rows have {first.words}"
            raise InputError("one kind of time in all tables", got, fix, where=clock.where)


def _check_headers(workspace: Workspace) -> None:
    """Raise where a file has a second header of other columns: the rows below it mean something else."""
    for part, row in workspace.sql.execute(
        ingest_sql.FIRST_WITH_REASON.format(reason=ingest_sql.OTHER_HEADER)
    ).fetchall():
        fix = "Files may have been joined: pass them as a folder instead."
        where = workspace.locator.place(part, row, ingest_sql.OTHER_HEADER)
        raise InputError("one header, or the same again", "a header of other columns", fix, where=where)


def _check_day_month_order(workspace: Workspace) -> None:
    """Raise where dates are valid only with day and month exchanged: those with a day up to 12 were read wrongly."""
    for part, row in workspace.sql.execute(ingest_sql.FIRST_WITH_REASON.format(reason=SWAPPED)).fetchall():
        fix = "Export all dates as year-month-day, or name their format with time_format=."
        where = workspace.locator.place(part, row, SWAPPED)
        raise InputError("one order of day and month", "dates with both orders", fix, where=where)


def _check_offsets(workspace: Workspace) -> None:
    """Raise where only some dates have a UTC offset."""
    n_kinds, part, row = workspace.sql.execute(ingest_sql.UTC_OFFSETS).fetchall()[0]
    if n_kinds == 2:
        fix = "Export all times with their UTC offset, or none."
        where = workspace.locator.place(part, row, "no time")
        raise InputError("times with or without UTC offset", "times of both forms", fix, where=where)
