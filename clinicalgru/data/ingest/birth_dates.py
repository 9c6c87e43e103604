"""Ages from dates of birth in a stays table."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from clinicalgru.data.ingest.column_names import normalize
from clinicalgru.data.ingest.table_cells import TableCells
from clinicalgru.data.ingest.table_times import DAY

BIRTH_DATE, AGE = "birth_date", "age"
YEAR_DAYS = 365.25


def with_ages(cells: TableCells, *, time_format: str | None) -> TableCells:
    """Replace the column `birth_date` of a stays table by `age`: years at the start of the stay.

    Parameters
    ----------
    cells : TableCells
        The table; its starts are instants.
    time_format : str, optional
        strptime format of times, of which dates of birth may have the date alone; None: ISO 8601.

    Returns
    -------
    TableCells
        The table; as it was where starts are no dates, or the table has an age.
    """
    frame = cells.frame
    columns = {normalize(column): column for column in map(str, frame)}
    is_dated = cells.clock is not None and cells.clock.is_date and "start" in frame
    if BIRTH_DATE not in columns or AGE in columns or not is_dated:
        return cells
    written = frame[columns[BIRTH_DATE]]
    years = (frame["start"].astype("Float64") - _instants(written, time_format)) / (DAY * YEAR_DAYS)
    # an unreadable date is counted as a value that cannot be used, unlike one that was not recorded
    age = years.astype("string").fillna("no date").mask(written.isna() | frame["start"].isna()).astype(written.dtype)
    theirs = cells.written.get(columns[BIRTH_DATE], BIRTH_DATE)
    table = frame.drop(columns=columns[BIRTH_DATE]).assign(age=age)
    return replace(cells, frame=table, written={**cells.written, AGE: theirs})


def _instants(written: pd.Series, time_format: str | None) -> pd.Series:
    """Microseconds since 1970 of dates; NA where unreadable."""
    own = [] if time_format is None else [time_format, re.split(r"[ T]*%[HI]", time_format)[0]]
    moments = pd.Series(pd.NaT, index=written.index, dtype="datetime64[us]")
    for each in [*own, "ISO8601"]:
        moments = moments.fillna(pd.to_datetime(written, format=each, errors="coerce").astype("datetime64[us]"))
    return moments.astype("int64").astype("Float64").mask(moments.isna())
