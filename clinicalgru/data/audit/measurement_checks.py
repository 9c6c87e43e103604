"""Checks of single measurements and of their sequence within a stay: one pass over all rows, in SQL.

Each check is an SQL condition on a row. Columns it may use: the row's number, the previous value and time of the same
stay and variable, the stay's start, end, age and death, and the distribution of the row's variable (table `usual`).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from clinicalgru.data.audit.finding import MAX_EXAMPLES, Check, Finding, flagged_or_total

HOUR = "3600000000"
DAY = "86400000000"
DEFAULT_DATES = "(DATE '1899-12-30', DATE '1900-01-01', DATE '1970-01-01', DATE '1601-01-01', DATE '9999-12-31')"
DAY_MONTH_SWAPPED = (
    "epoch_us(make_timestamp(year(clock), least(day(clock), 12), month(clock), hour(clock), minute(clock), "
    "second(clock)))"
)
WITHIN_STAY = f"BETWEEN start - {HOUR} AND ended + {HOUR}"


@dataclass(frozen=True)
class RowCheck:
    """A check of measurements with its SQL conditions.

    Attributes
    ----------
    check : Check
        The check.
    condition : str
        SQL that is true for rows that are a case.
    applies : str
        SQL that is true for rows that are checked.
    per_variable : bool
        Whether each variable has a finding of its own.
    needs_dates : bool
        Whether the check applies only where times are dates.
    """

    check: Check
    condition: str
    applies: str = "true"
    per_variable: bool = False
    needs_dates: bool = False


def _temporal(
    name: str, message: str, *, severity: str = "error", max_fraction: float = 0.0, min_count: int = 1
) -> Check:
    """A check of times."""
    return Check(name, "temporal plausibility", severity, max_fraction, min_count, "measurements", message)


HAS_BOUNDS = "start IS NOT NULL AND ended IS NOT NULL"
ROW_CHECKS = (
    RowCheck(
        _temporal("measured before the stay", "Over an hour before the start.", severity="warning", max_fraction=0.01,
                  min_count=3),
        f"time < start - {HOUR}", "start IS NOT NULL",
    ),
    RowCheck(
        _temporal("measured after the stay", "Over an hour after the end.",
                  severity="warning", max_fraction=0.01, min_count=3),
        f"time > ended + {HOUR}", "ended IS NOT NULL",
    ),
    RowCheck(
        _temporal("measured after death", "The patient died in the stay and was measured over an hour after its end."),
        f"time > ended + {HOUR}", "died AND ended IS NOT NULL",
    ),
    RowCheck(
        _temporal("measured before birth", "Before the birth that follows from the age at the start."),
        f"time < start - (age + 1) * 365.25 * {DAY}", "start IS NOT NULL AND age IS NOT NULL", needs_dates=True,
    ),
    RowCheck(
        _temporal("wrong year", "Outside the stay, but within it a year earlier or later: probably a wrong year."),
        f"NOT time {WITHIN_STAY} AND (time + 365 * {DAY} {WITHIN_STAY} OR time + 366 * {DAY} {WITHIN_STAY} "
        f"OR time - 365 * {DAY} {WITHIN_STAY} OR time - 366 * {DAY} {WITHIN_STAY})", HAS_BOUNDS, needs_dates=True,
    ),
    RowCheck(
        _temporal("day and month swapped", "Outside the stay, but within it with day and month exchanged."),
        f"NOT time {WITHIN_STAY} AND day(clock) <= 12 AND day(clock) <> month(clock) AND "
        f"{DAY_MONTH_SWAPPED} {WITHIN_STAY}", HAS_BOUNDS,
        needs_dates=True,
    ),
    RowCheck(
        _temporal("in the future", "Later than today; expected where dates were shifted for de-identification."),
        "time > now", needs_dates=True,
    ),
    RowCheck(
        _temporal("default date", "A date that software writes where none is known, such as 1970-01-01."),
        f"CAST(clock AS DATE) IN {DEFAULT_DATES}", needs_dates=True,
    ),
    RowCheck(
        _temporal("available over 30 days later", "available_at is more than 30 days after time.", severity="warning"),
        f"available > time + 30 * {DAY}",
    ),
    RowCheck(
        _temporal("time zone of one variable",
                  "Up to 14 hours before the start of the stay: probably another time zone.",
                  severity="warning", max_fraction=0.12, min_count=5),
        f"time < start AND time >= start - 14 * {HOUR}", "start IS NOT NULL", per_variable=True,
    ),
    RowCheck(
        _temporal("sudden jump", "A change within two hours of more than four interquartile ranges.",
                  severity="warning", max_fraction=0.03, min_count=5),
        "abs(value - previous) > 4 * iqr",
        f"iqr > 0 AND repeats < 0.3 AND time - previous_time <= 2 * {HOUR}",
        per_variable=True,
    ),
    RowCheck(
        _temporal("flatline", "The same value twelve times in a row over six hours; the variable rarely repeats.",
                  severity="warning", max_fraction=0.002, min_count=1),
        f"lowest = highest AND value > p1 AND value < p99 AND time - time_twelfth >= 6 * {HOUR}",
        "repeats < 0.3", per_variable=True,
    ),
    RowCheck(
        _temporal("repeated within a minute", "The same value of the same variable within a minute.",
                  severity="warning",
                  max_fraction=0.02, min_count=5),
        "value = previous AND time > previous_time AND time - previous_time <= 60000000",
        "previous IS NOT NULL AND repeats < 0.9",
        per_variable=True,
    ),
    RowCheck(
        _temporal("midnight heaping", "At exactly 00:00: the time of day may be lost.",
                  severity="warning", max_fraction=0.2,
                  min_count=10),
        f"time % {DAY} = 0", per_variable=True, needs_dates=True,
    ),
    RowCheck(
        Check("long gap", "completeness", "note", 0.0, 5, "measurements",
              "More than 48 hours without any measurement in the stay before this one."),
        f"time - any_previous_time > 48 * {HOUR}", "any_previous_time IS NOT NULL",
    ),
)  # fmt: skip
# Distribution of each variable: 1st and 99th percentile, interquartile range, fraction of values equal to the previous.
USUAL = """
CREATE TEMP TABLE usual AS
SELECT variable, count(*) AS n, approx_quantile(value, 0.01) AS p1, approx_quantile(value, 0.99) AS p99,
    approx_quantile(value, 0.75) - approx_quantile(value, 0.25) AS iqr,
    avg((value = previous)::INT) AS repeats
FROM (SELECT variable, value, lag(value) OVER (PARTITION BY stay, variable ORDER BY row) AS previous FROM facts)
GROUP BY variable
"""
# The aggregates of all checks for each variable, over rows with their predecessors in the stay.
ROW_COUNTS = """
SELECT f.variable, {aggregates}
FROM (
    SELECT *, make_timestamp(time) AS clock,
        lag(value) OVER series AS previous, lag(time) OVER series AS previous_time,
        lag(time, 11) OVER series AS time_twelfth,
        min(value) OVER twelve AS lowest, max(value) OVER twelve AS highest, lag(time) OVER whole AS any_previous_time
    FROM facts
    WINDOW series AS (PARTITION BY stay, variable ORDER BY row), whole AS (PARTITION BY stay ORDER BY row),
        twelve AS (PARTITION BY stay, variable ORDER BY row ROWS 11 PRECEDING)
) f JOIN usual USING (variable) LEFT JOIN stays USING (stay)
GROUP BY f.variable ORDER BY f.variable
"""


def check_measurements(sql: duckdb.DuckDBPyConnection, names: list[str], *, has_dates: bool, now: int) -> list[Finding]:
    """Return the findings of all row checks.

    Parameters
    ----------
    sql : DuckDBPyConnection
        Connection in which the tables `facts` (with `row`) and `stays` are registered.
    names : list of str
        Names of the variables, in the order of their positions.
    has_dates : bool
        Whether times are dates; else the checks that need dates are left out.
    now : int
        The present, in microseconds since 1970.

    Returns
    -------
    list of Finding
        One or more per check.
    """
    rules = [rule for rule in ROW_CHECKS if has_dates or not rule.needs_dates]
    aggregates = [part for rule in rules for part in count_sql(rule.condition, rule.applies, example="row", now=now)]
    sql.execute(USUAL)
    table = sql.execute(ROW_COUNTS.format(aggregates=", ".join(aggregates))).fetchall()
    findings = []
    for i, rule in enumerate(rules):
        findings += _findings(rule, [(names[line[0]], *line[1 + 3 * i : 4 + 3 * i]) for line in table])
    return findings


def count_sql(condition: str, applies: str, *, example: str, now: int) -> list[str]:
    """Return SQL aggregates of a check: rows checked, cases, and first values of a column among the cases.

    Parameters
    ----------
    condition : str
        SQL that is true for rows that are a case; ` now` stands for the present.
    applies : str
        SQL that is true for rows that are checked.
    example : str
        Column whose smallest values are listed.
    now : int
        The present, in microseconds since 1970.

    Returns
    -------
    list of str
        Three SQL expressions.
    """
    cases = f"FILTER (({applies}) AND ({condition.replace(' now', f' {now}')}))"
    return [f"count(*) FILTER ({applies})", f"count(*) {cases}", f"min({example}, {MAX_EXAMPLES}) {cases}"]


def _findings(rule: RowCheck, counts: list[tuple[str, int, int, list[int] | None]]) -> list[Finding]:
    """One finding per flagged variable, or one for all variables together.

    counts: of each variable its name, rows checked, cases, first rows.
    """
    if rule.per_variable:
        separate = [Finding(rule.check, name, cases, n, tuple(rows or ())) for name, n, cases, rows in counts]
        return flagged_or_total(rule.check, separate)
    first = sorted(row for *_, rows in counts for row in rows or [])[:MAX_EXAMPLES]
    n_checked, cases = sum(line[1] for line in counts), sum(line[2] for line in counts)
    return [Finding(rule.check, "", cases, n_checked, tuple(first))]
