"""Checks of timestamps: unused hours of the day, the 12-hour clock, nights with a daylight saving change."""

from __future__ import annotations

import duckdb

from clinicalgru.data.audit.finding import MAX_EXAMPLES, Check, Finding


def _clock(name: str, message: str, *, severity: str = "warning") -> Check:
    """A check of hours of the day."""
    return Check(name, "temporal plausibility", severity, 0.0, 1, "hours", message)


UNUSED_HOUR = _clock("unused hour of day", "An hour of the day without any row, where other hours have many.")
TWELVE_HOUR = _clock(
    "12-hour clock", "Almost no rows after 13:00: afternoon times may have been written as morning times."
)
DST_START = _clock(
    "daylight saving start",
    "No rows in the hour skipped in spring, with rows before and after: times are local. Durations across it are one "
    "hour too long; pass timezone= when reading.",
    severity="note",
)
DST_END = _clock(
    "daylight saving end",
    "Twice as many rows in the hour repeated in autumn: times are local and this hour is ambiguous; pass "
    "timezone= when "
    "reading.",
    severity="note",
)
MIN_ROWS = 30  # mean rows per hour from which on an empty or doubled hour is not due to chance
# Rows in each hour of the day.
ROWS_BY_HOUR = "SELECT hour(make_timestamp(time)), count(*) FROM facts GROUP BY 1 ORDER BY 1"
# Rows in each hour of the nights in which daylight saving starts or ends: the last Sunday of March and
# October (Europe),
# the second of March and the first of November (North America).
ROWS_ON_CHANGE_NIGHTS = """
WITH nights AS (
    SELECT CAST(clock AS DATE) AS day, hour(clock) AS hour, row
    FROM (SELECT make_timestamp(time) AS clock, row FROM facts)
    WHERE dayofweek(clock) = 0 AND hour(clock) < 6 AND month(clock) IN (3, 10, 11))
SELECT CASE WHEN month(day) = 3 AND day(day) BETWEEN 25 AND 31 THEN 'Europe, start'
            WHEN month(day) = 10 AND day(day) BETWEEN 25 AND 31 THEN 'Europe, end'
            WHEN month(day) = 3 AND day(day) BETWEEN 8 AND 14 THEN 'North America, start'
            WHEN month(day) = 11 AND day(day) <= 7 THEN 'North America, end' END AS change,
    hour, count(*), min(row, {examples})
FROM nights GROUP BY ALL HAVING change IS NOT NULL ORDER BY ALL
"""
HOURS_AFFECTED = {"Europe": ((1, 2), (2,)), "North America": ((2,), (1,))}  # hours skipped, hours repeated


def check_timestamps(sql: duckdb.DuckDBPyConnection) -> list[Finding]:
    """Return the findings of all timestamp checks; for times that are dates.

    Parameters
    ----------
    sql : DuckDBPyConnection
        Connection in which the table `facts` is registered.

    Returns
    -------
    list of Finding
        One per check.
    """
    rows = dict(sql.execute(ROWS_BY_HOUR).fetchall())
    total = sum(rows.values())
    unused = 24 - len(rows) if total >= 24 * MIN_ROWS else 0
    late = sum(count for hour, count in rows.items() if hour >= 13)
    is_twelve = total >= 24 * MIN_ROWS and late < 0.03 * total
    findings = [
        Finding(UNUSED_HOUR, "", 0 if is_twelve else unused, 24),
        Finding(TWELVE_HOUR, "", 11 if is_twelve else 0, 24),
    ]
    return findings + _daylight_saving(sql)


def _daylight_saving(sql: duckdb.DuckDBPyConnection) -> list[Finding]:
    """Skipped and repeated hours; of several places the last in alphabetical order is named."""
    nights: dict[str, dict[int, int]] = {}
    examples: dict[str, tuple[int, ...]] = {}
    for change, hour, count, first in sql.execute(ROWS_ON_CHANGE_NIGHTS.format(examples=MAX_EXAMPLES)).fetchall():
        nights.setdefault(change, {})[hour] = count
        examples[change] = tuple(first)
    n_checked = 6 * len(nights)
    findings = {"start": Finding(DST_START, "", 0, n_checked), "end": Finding(DST_END, "", 0, n_checked)}
    for change, counts in nights.items():
        place, side = change.split(", ")
        if _is_local_time(counts, place, side):
            findings[side] = Finding(findings[side].check, "", 1, n_checked, examples[change], f"{place}.")
    return list(findings.values())


def _is_local_time(counts: dict[int, int], place: str, side: str) -> bool:
    """Whether the rows of a night (by hour) show the change of local time.

    side: "start" (an hour is skipped) or "end" (an hour is repeated).
    """
    skipped, repeated = HOURS_AFFECTED[place]
    others = [counts.get(hour, 0) for hour in range(6) if hour not in (*skipped, *repeated)]
    usual = sum(others) / len(others)
    if usual < MIN_ROWS:
        return False
    if side == "start":
        return any(counts.get(hour, 0) == 0 for hour in skipped)
    return any(counts.get(hour, 0) > 1.7 * usual for hour in repeated)
