"""Checks of single measurements and of the course of a variable in a stay: one pass over all rows, in SQL.

Each check is a condition on a row and on the rows that it is asked of. A row knows its number, the value and time
before it (same stay and variable), its stay's start, end, age and death, and what is usual for its variable.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from clinicalgru.data.audit.result import EXAMPLES, Check, Finding

HOUR = "3600000000"
DAY = "86400000000"
DEFAULTS = "(DATE '1899-12-30', DATE '1900-01-01', DATE '1970-01-01', DATE '1601-01-01', DATE '9999-12-31')"
SWAPPED = (
    "epoch_us(make_timestamp(year(clock), least(day(clock), 12), month(clock), hour(clock), minute(clock), "
    "second(clock)))"
)
INSIDE = f"BETWEEN start - {HOUR} AND ended + {HOUR}"


@dataclass(frozen=True)
class RowCheck:
    """A check with its condition: `fault` among the rows where `among` holds, in all or for each variable."""

    check: Check
    fault: str
    among: str = "true"
    each: bool = False
    has_dates: bool = False  # asked only where times are dates


def _temporal(name: str, says: str, *, severity: str = "error", share: float = 0.0, least: int = 1) -> Check:
    return Check(name, "temporal plausibility", severity, share, least, "measurements", says)


OUTSIDE = "start IS NOT NULL AND ended IS NOT NULL"
ROW_CHECKS = (
    RowCheck(
        _temporal("measured before the stay", "Over an hour before the start.", severity="warning", share=0.01,
                  least=3),
        f"time < start - {HOUR}", "start IS NOT NULL",
    ),
    RowCheck(
        _temporal("measured after the stay", "Over an hour after the end.", severity="warning", share=0.01, least=3),
        f"time > ended + {HOUR}", "ended IS NOT NULL",
    ),
    RowCheck(
        _temporal("measured after death", "The patient died in the stay, and was measured over an hour after its end."),
        f"time > ended + {HOUR}", "died AND ended IS NOT NULL",
    ),
    RowCheck(
        _temporal("measured before birth", "The age at the start puts the birth later."),
        f"time < start - (age + 1) * 365.25 * {DAY}", "start IS NOT NULL AND age IS NOT NULL", has_dates=True,
    ),
    RowCheck(
        _temporal("a year off", "Outside the stay, but inside it a year earlier or later: a slip of the year."),
        f"NOT time {INSIDE} AND (time + 365 * {DAY} {INSIDE} OR time + 366 * {DAY} {INSIDE} "
        f"OR time - 365 * {DAY} {INSIDE} OR time - 366 * {DAY} {INSIDE})", OUTSIDE, has_dates=True,
    ),
    RowCheck(
        _temporal("day and month swapped", "Outside the stay, but inside it once day and month change places."),
        f"NOT time {INSIDE} AND day(clock) <= 12 AND day(clock) <> month(clock) AND {SWAPPED} {INSIDE}", OUTSIDE,
        has_dates=True,
    ),
    RowCheck(
        _temporal("in the future", "Later than today. Dates that were shifted to hide them may be so."),
        "time > now", has_dates=True,
    ),
    RowCheck(
        _temporal("default date", "A date that software writes where none is known, such as 1970-01-01."),
        f"CAST(clock AS DATE) IN {DEFAULTS}", has_dates=True,
    ),
    RowCheck(_temporal("known before it was measured", "available_at lies before time."), "available < time"),
    RowCheck(
        _temporal("whole hours between time and available_at", "Known before it was measured, by whole hours: two time "
                  "zones.", severity="warning"),
        f"available < time AND (time - available) % {HOUR} = 0 AND time - available <= 14 * {HOUR}",
    ),
    RowCheck(
        _temporal("known over 30 days later", "available_at lies more than 30 days after time.", severity="warning"),
        f"available > time + 30 * {DAY}",
    ),
    RowCheck(
        _temporal("clock of one variable", "Before the start of the stay by up to 14 hours: another time zone.",
                  severity="warning", share=0.12, least=5),
        f"time < start AND time >= start - 14 * {HOUR}", "start IS NOT NULL", each=True,
    ),
    RowCheck(
        _temporal("sudden jump", "A change within two hours of over four times the distance between the quartiles.",
                  severity="warning", share=0.03, least=5),
        "abs(value - before) > 4 * middle",
        f"middle > 0 AND repeats < 0.3 AND time - time_before <= 2 * {HOUR}",
        each=True,
    ),
    RowCheck(
        _temporal("frozen", "The same value twelve times in a row over six hours, of a variable that seldom repeats.",
                  severity="warning", share=0.002, least=1),
        f"lowest = highest AND value > p1 AND value < p99 AND time - time_twelfth >= 6 * {HOUR}",
        "repeats < 0.3", each=True,
    ),
    RowCheck(
        _temporal("charted twice", "The same value of one variable again within a minute.", severity="warning",
                  share=0.02, least=5),
        "value = before AND time > time_before AND time - time_before <= 60000000",
        "before IS NOT NULL AND repeats < 0.9",
        each=True,
    ),
    RowCheck(
        _temporal("midnight heap", "At exactly 00:00: the time of day may be lost.", severity="warning", share=0.2,
                  least=10),
        f"time % {DAY} = 0", each=True, has_dates=True,
    ),
    RowCheck(
        Check("silence", "completeness", "note", 0.0, 5, "measurements",
              "More than 48 hours of a stay pass without any measurement before this one."),
        f"time - anything_before > 48 * {HOUR}", "anything_before IS NOT NULL",
    ),
)  # fmt: skip
USUAL = """
CREATE TEMP TABLE usual AS
SELECT variable, count(*) AS n, approx_quantile(value, 0.01) AS p1, approx_quantile(value, 0.99) AS p99,
    approx_quantile(value, 0.75) - approx_quantile(value, 0.25) AS middle,
    avg((value = before)::INT) AS repeats
FROM (SELECT variable, value, lag(value) OVER (PARTITION BY stay, variable ORDER BY row) AS before FROM facts)
GROUP BY variable
"""
COURSE = """
SELECT f.variable, {aggregates}
FROM (
    SELECT *, make_timestamp(time) AS clock,
        lag(value) OVER course AS before, lag(time) OVER course AS time_before,
        lag(time, 11) OVER course AS time_twelfth,
        min(value) OVER twelve AS lowest, max(value) OVER twelve AS highest, lag(time) OVER whole AS anything_before
    FROM facts
    WINDOW course AS (PARTITION BY stay, variable ORDER BY row), whole AS (PARTITION BY stay ORDER BY row),
        twelve AS (PARTITION BY stay, variable ORDER BY row ROWS 11 PRECEDING)
) f JOIN usual USING (variable) LEFT JOIN stays USING (stay)
GROUP BY f.variable ORDER BY f.variable
"""


def check_rows(sql: duckdb.DuckDBPyConnection, names: list[str], *, has_dates: bool, now: int) -> list[Finding]:
    """The findings of all row checks. `facts` (with `row`) and `stays` are registered in `sql`."""
    asked = [rule for rule in ROW_CHECKS if has_dates or not rule.has_dates]
    parts = []
    for rule in asked:
        fault = rule.fault.replace(" now", f" {now}")
        parts.append(f"count(*) FILTER ({rule.among})")
        parts.append(f"count(*) FILTER (({rule.among}) AND ({fault}))")
        parts.append(f"min(row, {EXAMPLES}) FILTER (({rule.among}) AND ({fault}))")
    sql.execute(USUAL)
    table = sql.execute(COURSE.format(aggregates=", ".join(parts))).fetchall()
    findings = []
    for i, rule in enumerate(asked):
        counted = [(names[line[0]], *line[1 + 3 * i : 4 + 3 * i]) for line in table]
        findings += _findings(rule, counted)
    return findings


def _findings(rule: RowCheck, counted: list[tuple[str, int, int, list[int] | None]]) -> list[Finding]:
    """One finding for each variable at fault, or for all together."""
    first = sorted(row for line in counted for row in line[3] or [])[:EXAMPLES]
    whole = Finding(rule.check, "", sum(line[2] for line in counted), sum(line[1] for line in counted), tuple(first))
    if not rule.each:
        return [whole]
    each = [Finding(rule.check, name, fault, among, tuple(rows or ())) for name, among, fault, rows in counted]
    flagged = [finding for finding in each if finding.flagged]
    return flagged or [Finding(rule.check, "", 0, whole.among)]
