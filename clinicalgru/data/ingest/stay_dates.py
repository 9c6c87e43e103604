"""Dates that are no dates, and stays whose times contradict each other or their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from clinicalgru.data.ingest.ingest_sql import ROW_FORMS
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.table_times import DAY, TIMES
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import SENTINEL

YEAR = 365.25 * DAY
OLDEST = pd.Timestamp("1901-01-01").value // 1000  # before it: 0001-01-01, 1753-01-01, 1899-12-30, 1900-01-01
NEWEST = pd.Timestamp("2250-01-01").value // 1000  # de-identified dates reach 2200; 2999 and 9999 stand for "open"
# 1970-01-01, where a time was filled with 0: in any time zone, and as a date without time, which is known at its end
EPOCH = (-14 * 3_600_000_000, DAY + 14 * 3_600_000_000)
FAR = int(10 * YEAR)  # a sentinel is this far from the middle of the extract
IN_EPOCH = f"{{column}} BETWEEN {EPOCH[0]} AND {EPOCH[1]}"
IS_SENTINEL = f"is_date AND ({{column}} < {OLDEST} OR {{column}} > {NEWEST} OR {IN_EPOCH})"
MAY_BE_SENTINEL = f"""
SELECT count(*) > 0 FROM row_forms WHERE is_date AND (
    least(time_first, available_first) < {OLDEST} OR greatest(time_last, available_last) > {NEWEST}
    OR time_first <= {EPOCH[1]} AND time_last >= {EPOCH[0]}
    OR available_first <= {EPOCH[1]} AND available_last >= {EPOCH[0]})
"""
MIDDLE = "SELECT quantile_disc(time, 0.5)::BIGINT FROM rows WHERE is_date AND time IS NOT NULL"
REJECT = """
UPDATE rows SET reason = '{reason}' WHERE reason IS NULL AND ({time} AND abs(time - {middle}) > {far}
    OR {available} AND abs(available - {middle}) > {far})
"""


def without_sentinel_dates(
    workspace: Workspace, result: SourceResult, *, has_dates: bool
) -> tuple[SourceResult, dict[str, int]]:
    """Reject rows at dates that stand for "unknown", and take such starts and ends of stays as unknown.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with all rows of the source.
    result : SourceResult
        What the source knows besides its rows.
    has_dates : bool
        Whether times are dates.

    Returns
    -------
    result : SourceResult
        With such starts, ends and times of outcomes missing.
    notes : dict of str to int
        How many they are.

    Notes
    -----
    A sentinel is a date before 1901 or after 2249, or the first day of 1970 in any time zone, that is more than ten
    years away from the middle of all rows.
    """
    if not has_dates:
        return result, {}
    time, available = (IS_SENTINEL.format(column=column) for column in ("time", "available"))
    has_some = workspace.sql.execute(MAY_BE_SENTINEL).fetchall()[0][0]
    dates = [*_dates(result.stays, TIMES), *_dates(result.outcomes, _date_columns(result.outcomes))]
    if not has_some and not any(_is_sentinel(times).any() for times in dates):
        return result, {}
    found = workspace.sql.execute(MIDDLE).fetchone()
    middle = 0 if found is None or found[0] is None else int(found[0])
    workspace.sql.execute(REJECT.format(reason=SENTINEL, time=time, available=available, middle=middle, far=FAR))
    workspace.sql.execute(ROW_FORMS)
    stays, of_stays = _without(result.stays, TIMES, middle)
    outcomes, of_outcomes = _without(result.outcomes, _date_columns(result.outcomes), middle)
    notes = {f"{name}s of stays that are a {SENTINEL}, taken as unknown": count for name, count in of_stays.items()}
    notes |= {f"{name} (outcomes) is a {SENTINEL}, taken as unknown": count for name, count in of_outcomes.items()}
    return replace(result, stays=stays, outcomes=outcomes), {name: count for name, count in notes.items() if count}


def _date_columns(outcomes: pd.DataFrame | None) -> list[str]:
    """The outcomes that are times, written as dates."""
    return [] if outcomes is None else [name for name in map(str, outcomes) if str(outcomes[name].dtype) == "Int64"]


def _dates(table: pd.DataFrame | None, columns: Sequence[str]) -> list[pd.Series]:
    return [] if table is None else [table[name] for name in columns if name in table]


def _without(
    table: pd.DataFrame | None, columns: Sequence[str], middle: int
) -> tuple[pd.DataFrame | None, dict[str, int]]:
    """A table with sentinel dates missing, and how many there were in each column."""
    if table is None:
        return None, {}
    table, counts = table.copy(), {}
    for name in columns:
        if name in table:
            times = table[name].astype("Int64")
            is_sentinel = _is_sentinel(times) & ((times - middle).abs() > FAR).fillna(False)
            table[name] = times.mask(is_sentinel)
            counts[name] = int(is_sentinel.sum())
    return table, counts


def _is_sentinel(times: pd.Series) -> pd.Series:
    times = times.astype("Int64")
    return ((times < OLDEST) | (times > NEWEST) | times.between(*EPOCH)).fillna(False).astype(bool)


def stay_notes(stays: pd.DataFrame, first: pd.Series, *, has_dates: bool) -> dict[str, int]:
    """Count stays whose times contradict each other or their rows.

    Parameters
    ----------
    stays : DataFrame
        The stays: start, end.
    first : Series of Int64
        Time of the first measurement of each stay.
    has_dates : bool
        Whether times are dates.

    Returns
    -------
    dict of str to int
        Counts above 0, by name.
    """
    start, end = stays["start"].astype("Int64"), stays["end"].astype("Int64")
    counts = {"stays that end before they start": (end < start).fillna(False).sum()}
    counts["stays of more than a year"] = (end - start > YEAR).fillna(False).sum()
    if has_dates:
        counts["stays that begin more than a year before their first row"] = (first - start > YEAR).fillna(False).sum()
    return {name: int(count) for name, count in counts.items() if count}
