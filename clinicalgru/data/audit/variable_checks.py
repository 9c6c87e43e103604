"""Checks of whole variables: constant values, digit preference, contradictory pairs, absent variables."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from clinicalgru.data.audit.finding import MAX_EXAMPLES, Check, Finding, flagged_or_total

CONSTANT = Check("constant value", "plausibility", "warning", 0.95, 100, "measurements",
                 "Nearly all values are equal.")  # fmt: skip
DIGITS = Check("digit preference", "plausibility", "note", 0.6, 60, "measurements",
               "Far more than one in five whole numbers end in 0 or 5: values were rounded by hand.")  # fmt: skip
SENTINEL = Check("sentinel value", "conformance", "warning", 0.5, 10, "rejected rows",
                 "One value makes up most of the implausible ones: probably a code such as 999.")  # fmt: skip
RARE = Check("rarely measured", "completeness", "note", 0.0, 1, "stays", "Measured in fewer than one stay in 100.")
INTERRUPTED = Check("measurement interrupted", "completeness", "warning", 0.0, 1, "stays",
                    "Measured in most stays, but absent from consecutive stays by date: a code may have "
                    "changed.")  # fmt: skip
ABSENT_AT_SITE = Check("absent at a site", "completeness", "warning", 0.0, 1, "stays",
                       "Measured at the other sites, but absent from one.")  # fmt: skip
BLOCK_SIZE = 30  # consecutive stays, and fewest stays of a site, in which absence is a finding
USUAL_FRACTION = 0.5  # of the other stays that have the variable
# How often each value of each variable occurs.
VALUE_COUNTS = "CREATE TEMP TABLE value_counts AS SELECT variable, value, count(*) AS n FROM facts GROUP BY ALL"
# The most frequent value of each variable.
MOST_FREQUENT = """
SELECT variable, sum(n)::BIGINT, max(n), arg_max(value, n) FROM value_counts GROUP BY variable ORDER BY variable
"""
# Values that end in 0 or 5, of variables with whole numbers over a range of 20 or more.
LAST_DIGITS = """
SELECT variable, sum(n)::BIGINT, (sum(n) FILTER (value % 5 = 0))::BIGINT FROM value_counts GROUP BY variable
HAVING sum(n) FILTER (value = round(value)) > 0.9 * sum(n)
    AND quantile_cont(value, 0.9) - quantile_cont(value, 0.1) >= 20
ORDER BY variable
"""
# The most frequent of the implausible values of each variable.
MOST_FREQUENT_IMPLAUSIBLE = """
SELECT variable, sum(n)::BIGINT, max(n)
FROM (SELECT variable, value, count(*) AS n FROM implausible WHERE time IS NOT NULL GROUP BY ALL)
GROUP BY variable ORDER BY variable
"""
# The first rows of a variable on which a condition holds.
FIRST_ROWS = "SELECT min(row, {examples}) FROM facts WHERE variable = {variable} AND {condition}"
# Whether each stay with measurements has each variable; block: consecutive stays by date.
PRESENCE = """
CREATE TEMP TABLE presence AS
SELECT v.variable, s.stay, s.site, s.block, p.stay IS NOT NULL AS present
FROM (SELECT stay, site, (row_number() OVER (ORDER BY start, stay) - 1) // {block_size} AS block FROM stays
      WHERE stay IN (SELECT stay FROM facts)) s
CROSS JOIN (SELECT DISTINCT variable FROM facts) v
LEFT JOIN (SELECT DISTINCT variable, stay FROM facts) p ON p.variable = v.variable AND p.stay = s.stay
"""
# Stays, and stays with the variable.
STAYS_WITH_VARIABLE = """
SELECT variable, count(*), count(*) FILTER (present) FROM presence GROUP BY variable ORDER BY variable
"""
# The same in each group of stays (a site or a block), with the totals over all groups.
STAYS_WITH_VARIABLE_BY_GROUP = """
SELECT variable, {group}, count(*), count(*) FILTER (present), min(stay, {examples}),
    sum(count(*)) OVER (PARTITION BY variable)::BIGINT,
    sum(count(*) FILTER (present)) OVER (PARTITION BY variable)::BIGINT
FROM presence GROUP BY variable, {group} ORDER BY variable, {group}
"""
# Times of a stay at which all variables of a pair were measured, and those at which they contradict each other.
PAIR_COUNTS = """
SELECT count(*) FILTER ({known}), count(*) FILTER ({known} AND {condition}),
    min(row, {examples}) FILTER ({known} AND {condition})
FROM (SELECT min(row) AS row, {cells} FROM facts WHERE variable IN ({variables}) GROUP BY stay, time)
"""


@dataclass(frozen=True)
class Pair:
    """Variables that contradict each other where a condition holds at one time.

    Attributes
    ----------
    check : Check
        The check.
    names : tuple of str
        Names of the variables, called a, b and c in this order in the condition.
    condition : str
        SQL that is true where they contradict each other.
    """

    check: Check
    names: tuple[str, ...]
    condition: str


def _pair(name: str, message: str, *, max_fraction: float = 0.01) -> Check:
    """A check of variables measured at the same time."""
    return Check(name, "plausibility", "warning", max_fraction, 3, "measurements", message)


DIASTOLIC = _pair("diastolic above systolic", "Diastolic pressure is not below systolic.", max_fraction=0.005)
MEAN = _pair(
    "mean pressure out of range",
    "Mean pressure is more than 2 mm[Hg] below diastolic or above systolic.",
    max_fraction=0.03,
)
RATIO = _pair("hematocrit-hemoglobin ratio", "Usually about 3; here below 2 or above 4.5.")
DIRECT = _pair("direct above total bilirubin", "Direct bilirubin is part of total bilirubin, but is higher.")
SUFFIXES = ("", "_invasive", "_noninvasive")
PAIRS = (
    *(Pair(DIASTOLIC, (f"dbp{end}", f"sbp{end}"), "a >= b") for end in SUFFIXES),
    *(Pair(MEAN, (f"dbp{end}", f"sbp{end}", f"map{end}"), "a < b AND (c < a - 2 OR c > b + 2)") for end in SUFFIXES),
    Pair(RATIO, ("hematocrit", "hemoglobin"), "a / b NOT BETWEEN 2 AND 4.5"),
    Pair(DIRECT, ("bilirubin_direct", "bilirubin_total"), "a > b * 1.05 + 0.1"),
)


def check_values(sql: duckdb.DuckDBPyConnection, names: list[str], *, is_numeric: list[bool]) -> list[Finding]:
    """Find constant values, digit preference, sentinel values and contradictory pairs.

    Parameters
    ----------
    sql : DuckDBPyConnection
        Connection in which the tables `facts` and `implausible` are registered.
    names : list of str
        Names of the variables, in the order of their positions.
    is_numeric : list of bool
        Of each variable, whether it is a number (and not a category).

    Returns
    -------
    list of Finding
        One or more per check.
    """
    sql.execute(VALUE_COUNTS)
    findings = [*_constant(sql, names, is_numeric), *_digits(sql, names)]
    counts = sql.execute(MOST_FREQUENT_IMPLAUSIBLE).fetchall()
    findings += flagged_or_total(SENTINEL, [Finding(SENTINEL, name, most, n) for name, n, most in counts])
    by_check: dict[Check, list[Finding]] = {}
    for pair in PAIRS:
        by_check.setdefault(pair.check, []).append(_check_pair(sql, pair, names))
    return findings + [finding for check, pairs in by_check.items() for finding in flagged_or_total(check, pairs)]


def _constant(sql: duckdb.DuckDBPyConnection, names: list[str], is_numeric: list[bool]) -> list[Finding]:
    """Numeric variables whose values are nearly all equal."""
    findings = []
    for v, n, most, value in sql.execute(MOST_FREQUENT).fetchall():
        if is_numeric[v]:
            is_constant = most > CONSTANT.max_fraction * n
            rows = _first_rows(sql, v, f"value = {value!r}") if is_constant else ()
            findings.append(Finding(CONSTANT, names[v], most, n, rows))
    return flagged_or_total(CONSTANT, findings)


def _digits(sql: duckdb.DuckDBPyConnection, names: list[str]) -> list[Finding]:
    """Variables whose values end in 0 or 5 too often."""
    findings = []
    for v, n, in_fives in sql.execute(LAST_DIGITS).fetchall():
        count = in_fives or 0
        rows = _first_rows(sql, v, "value % 5 = 0") if count > DIGITS.max_fraction * n else ()
        findings.append(Finding(DIGITS, names[v], count, n, rows))
    return flagged_or_total(DIGITS, findings)


def _first_rows(sql: duckdb.DuckDBPyConnection, variable: int, condition: str) -> tuple[int, ...]:
    """The first rows of a variable on which an SQL condition holds."""
    query = FIRST_ROWS.format(examples=MAX_EXAMPLES, variable=variable, condition=condition)
    return tuple(sql.execute(query).fetchall()[0][0] or ())


def _check_pair(sql: duckdb.DuckDBPyConnection, pair: Pair, names: list[str]) -> Finding:
    """How often the variables of a pair contradict each other; nothing is checked where one is absent."""
    if not set(pair.names) <= set(names):
        return Finding(pair.check, pair.names[-1], 0, 0)
    positions = [names.index(name) for name in pair.names]
    letters = "abc"[: len(positions)]
    query = PAIR_COUNTS.format(
        cells=", ".join(
            f"max(value) FILTER (variable = {v}) AS {letter}" for v, letter in zip(positions, letters, strict=True)
        ),
        known=" AND ".join(f"{letter} IS NOT NULL" for letter in letters),
        condition=pair.condition,
        variables=", ".join(map(str, positions)),
        examples=MAX_EXAMPLES,
    )
    n_checked, count, rows = sql.execute(query).fetchall()[0]
    return Finding(pair.check, pair.names[-1], count, n_checked, tuple(rows or ()))


def check_presence(sql: duckdb.DuckDBPyConnection, names: list[str], *, by_site: bool) -> list[Finding]:
    """Find variables that are rarely measured, interrupted for a time, or absent at a site.

    Parameters
    ----------
    sql : DuckDBPyConnection
        Connection in which the tables `facts` and `stays` are registered.
    names : list of str
        Names of the variables, in the order of their positions.
    by_site : bool
        Whether to look for variables that are absent at a site.

    Returns
    -------
    list of Finding
        One or more per check.
    """
    sql.execute(PRESENCE.format(block_size=BLOCK_SIZE))
    rare = [
        Finding(RARE, names[v], n_present, n)
        for v, n, n_present in sql.execute(STAYS_WITH_VARIABLE).fetchall()
        if n >= 100 and n_present < 0.01 * n
    ]
    findings = flagged_or_total(RARE, rare)
    findings += flagged_or_total(INTERRUPTED, _absent(sql, INTERRUPTED, names, group="block"))
    return findings + (
        flagged_or_total(ABSENT_AT_SITE, _absent(sql, ABSENT_AT_SITE, names, group="site")) if by_site else []
    )


def _absent(sql: duckdb.DuckDBPyConnection, check: Check, names: list[str], *, group: str) -> list[Finding]:
    """Groups of stays without a variable that most of the other stays have; one finding per variable."""
    by_variable: dict[str, list[Finding]] = {}
    query = STAYS_WITH_VARIABLE_BY_GROUP.format(group=group, examples=MAX_EXAMPLES)
    for v, name, n, n_present, first, total, total_present in sql.execute(query).fetchall():
        if n_present == 0 and n >= BLOCK_SIZE and total > n and total_present > USUAL_FRACTION * (total - n):
            detail = f"Site: {name}." if group == "site" else ""
            by_variable.setdefault(names[v], []).append(Finding(check, names[v], n, total, tuple(first), detail))
    return [_combined(findings) for findings in by_variable.values()]


def _combined(findings: list[Finding]) -> Finding:
    """The findings of one variable in several groups as one."""
    first = findings[0]
    rows = tuple(sorted(row for finding in findings for row in finding.examples)[:MAX_EXAMPLES])
    detail = " ".join(finding.detail for finding in findings if finding.detail)
    count = sum(finding.count for finding in findings)
    return Finding(first.check, first.variable, count, first.n_checked, rows, detail)
