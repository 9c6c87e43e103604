"""Checks of the clock: hours of the day that never occur, the 12-hour clock, days whose clocks are put on or back."""

from __future__ import annotations

import duckdb

from clinicalgru.data.audit.result import EXAMPLES, Check, Finding


def _clock(name: str, says: str, *, share: float = 0.0, severity: str = "warning") -> Check:
    return Check(name, "temporal plausibility", severity, share, 1, "hours", says)


EMPTY = _clock("hour of day never used", "An hour of the day without any row, where the others have many.")
TWELVE = _clock("twelve-hour clock", "Hardly any row after 13:00: the afternoon may have been written as the morning.")
SPRING = _clock("clock put on", "No row in the hour that is skipped in spring, with rows all around: times are local. "
                "The hours across it are one too many; name the time zone when reading.", severity="note")  # fmt: skip
AUTUMN = _clock("clock put back", "Twice the rows in the hour that comes twice in autumn: times are local and this "
                "hour is ambiguous; name the time zone when reading.", severity="note")  # fmt: skip
MANY = 30  # rows that the hours around have at least, so that none, or twice as many, is no chance
HOURS = "SELECT hour(make_timestamp(time)), count(*) FROM facts GROUP BY 1 ORDER BY 1"
# the last Sunday of March and October (Europe), the second of March and the first of November (North America)
NIGHTS = """
WITH nights AS (
    SELECT CAST(clock AS DATE) AS day, hour(clock) AS hour, row
    FROM (SELECT make_timestamp(time) AS clock, row FROM facts)
    WHERE dayofweek(clock) = 0 AND hour(clock) < 6 AND month(clock) IN (3, 10, 11))
SELECT CASE WHEN month(day) = 3 AND day(day) BETWEEN 25 AND 31 THEN 'Europe, spring'
            WHEN month(day) = 10 AND day(day) BETWEEN 25 AND 31 THEN 'Europe, autumn'
            WHEN month(day) = 3 AND day(day) BETWEEN 8 AND 14 THEN 'North America, spring'
            WHEN month(day) = 11 AND day(day) <= 7 THEN 'North America, autumn' END AS change,
    hour, count(*), min(row, {examples})
FROM nights GROUP BY ALL HAVING change IS NOT NULL ORDER BY ALL
"""
SKIPPED = {"Europe": ((1, 2), (2,)), "North America": ((2,), (1,))}  # the hours skipped, and those that come twice


def check_clock(sql: duckdb.DuckDBPyConnection) -> list[Finding]:
    """The findings of the clock, where times are dates."""
    hours = dict(sql.execute(HOURS).fetchall())
    total = sum(hours.values())
    empty = 24 - len(hours) if total >= 24 * MANY else 0
    late = sum(rows for hour, rows in hours.items() if hour >= 13)
    twelve = total >= 24 * MANY and late < 0.03 * total
    found = [Finding(EMPTY, "", 0 if twelve else empty, 24), Finding(TWELVE, "", 11 if twelve else 0, 24)]
    return found + _changes(sql)


def _changes(sql: duckdb.DuckDBPyConnection) -> list[Finding]:
    nights: dict[str, dict[int, int]] = {}
    rows: dict[str, tuple[int, ...]] = {}
    for change, hour, count, first in sql.execute(NIGHTS.format(examples=EXAMPLES)).fetchall():
        nights.setdefault(change, {})[hour] = count
        rows[change] = tuple(first)
    spring = Finding(SPRING, "", 0, 6 * len(nights))
    autumn = Finding(AUTUMN, "", 0, 6 * len(nights))
    for change, counts in nights.items():
        place, season = change.split(", ")
        skipped, twice = SKIPPED[place]
        around = [counts.get(hour, 0) for hour in range(6) if hour not in (*skipped, *twice)]
        usual = sum(around) / len(around)
        if season == "spring" and usual >= MANY and any(counts.get(hour, 0) == 0 for hour in skipped):
            spring = Finding(SPRING, "", 1, 6 * len(nights), rows[change], f"{place}.")
        if season == "autumn" and usual >= MANY and any(counts.get(hour, 0) > 1.7 * usual for hour in twice):
            autumn = Finding(AUTUMN, "", 1, 6 * len(nights), rows[change], f"{place}.")
    return [spring, autumn]
