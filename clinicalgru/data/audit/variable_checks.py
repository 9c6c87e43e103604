"""Checks of whole variables: values that repeat, digits, pairs that contradict each other, absent variables."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from clinicalgru.data.audit.result import EXAMPLES, Check, Finding

MEASURED = "measurements"
CONSTANT = Check("one value", "plausibility", "warning", 0.95, 100, MEASURED, "Nearly all values are the same.")
DIGITS = Check("digit preference", "plausibility", "note", 0.6, 60, MEASURED,
               "Whole numbers that end in 0 or 5 far more often than one in five: rounded by eye.")  # fmt: skip
SENTINEL = Check("sentinel value", "conformance", "warning", 0.5, 10, "rejected rows",
                 "One value makes up most of the implausible ones: a code for something, such as 999.")  # fmt: skip
SELDOM = Check("seldom measured", "completeness", "note", 0.0, 1, "stays", "Measured in fewer than one stay of 100.")
STOPS = Check("not measured for a while", "completeness", "warning", 0.0, 1, "stays",
              "Usual in most stays, but absent from a run of stays by date: a code may have changed.")  # fmt: skip
AT_SITE = Check("absent at a site", "completeness", "warning", 0.0, 1, "stays",
                "Usual at the other sites, and absent from one.")  # fmt: skip
RUN, USUAL_SHARE = 30, 0.5
VALUES = "CREATE TEMP TABLE tops AS SELECT variable, value, count(*) AS n FROM facts GROUP BY ALL"
ONE_VALUE = """
SELECT variable, sum(n)::BIGINT, max(n), arg_max(value, n) FROM tops GROUP BY variable ORDER BY variable
"""
LAST_DIGITS = """
SELECT variable, sum(n)::BIGINT, (sum(n) FILTER (value % 5 = 0))::BIGINT FROM tops GROUP BY variable
HAVING sum(n) FILTER (value = round(value)) > 0.9 * sum(n)
    AND quantile_cont(value, 0.9) - quantile_cont(value, 0.1) >= 20
ORDER BY variable
"""
SENTINELS = """
SELECT variable, sum(n)::BIGINT, max(n)
FROM (SELECT variable, value, count(*) AS n FROM implausible WHERE time IS NOT NULL GROUP BY ALL)
GROUP BY variable ORDER BY variable
"""
SOME_ROWS = "SELECT min(row, {examples}) FROM facts WHERE variable = {variable} AND {condition}"
PRESENCE = """
CREATE TEMP TABLE presence AS
SELECT v.variable, s.stay, s.site, s.block, p.stay IS NOT NULL AS present
FROM (SELECT stay, site, (row_number() OVER (ORDER BY start, stay) - 1) // {run} AS block FROM stays
      WHERE stay IN (SELECT stay FROM facts)) s
CROSS JOIN (SELECT DISTINCT variable FROM facts) v
LEFT JOIN (SELECT DISTINCT variable, stay FROM facts) p ON p.variable = v.variable AND p.stay = s.stay
"""
RARE = "SELECT variable, count(*), count(*) FILTER (present) FROM presence GROUP BY variable ORDER BY variable"
GROUPS = """
SELECT variable, {group}, count(*), count(*) FILTER (present), min(stay, {examples}),
    sum(count(*)) OVER (PARTITION BY variable)::BIGINT,
    sum(count(*) FILTER (present)) OVER (PARTITION BY variable)::BIGINT
FROM presence GROUP BY variable, {group} ORDER BY variable, {group}
"""


@dataclass(frozen=True)
class Pair:
    """Variables that cannot stand to each other as `fault` says, when measured at one instant."""

    check: Check
    names: tuple[str, ...]
    fault: str


def _pair(name: str, says: str, *, severity: str = "warning", share: float = 0.01) -> Check:
    return Check(name, "plausibility", severity, share, 3, MEASURED, says)


DIASTOLIC = _pair("diastolic above systolic", "The diastolic pressure is not below the systolic one.", share=0.005)
MEAN = _pair(
    "mean pressure outside", "The mean pressure lies outside diastolic and systolic, by over 2 mm[Hg].", share=0.03
)
RATIO = _pair("hematocrit and hemoglobin", "Hematocrit is usually three times hemoglobin; here below 2 or above 4.5.")
DIRECT = _pair("direct above total bilirubin", "A part above the whole.")
SUFFIXES = ("", "_invasive", "_noninvasive")
PAIRS = (
    *(Pair(DIASTOLIC, (f"dbp{end}", f"sbp{end}"), "a >= b") for end in SUFFIXES),
    *(Pair(MEAN, (f"dbp{end}", f"sbp{end}", f"map{end}"), "a < b AND (c < a - 2 OR c > b + 2)") for end in SUFFIXES),
    Pair(RATIO, ("hematocrit", "hemoglobin"), "a / b NOT BETWEEN 2 AND 4.5"),
    Pair(DIRECT, ("bilirubin_direct", "bilirubin_total"), "a > b * 1.05 + 0.1"),
)


def check_columns(sql: duckdb.DuckDBPyConnection, names: list[str], *, numeric: list[bool]) -> list[Finding]:
    """Repeated values, digits, sentinels and pairs."""
    sql.execute(VALUES)
    constant = [
        Finding(CONSTANT, names[v], most, n, _rows(sql, v, f"value = {value!r}") if most > 0.95 * n else ())
        for v, n, most, value in sql.execute(ONE_VALUE).fetchall()
        if numeric[v]
    ]
    digits = [
        Finding(DIGITS, names[v], ending or 0, n, _rows(sql, v, "value % 5 = 0") if (ending or 0) > 0.6 * n else ())
        for v, n, ending in sql.execute(LAST_DIGITS).fetchall()
    ]
    sentinels = [Finding(SENTINEL, name, most, n) for name, n, most in sql.execute(SENTINELS).fetchall()]
    found = [*_only_flagged(CONSTANT, constant), *_only_flagged(DIGITS, digits), *_only_flagged(SENTINEL, sentinels)]
    pairs: dict[Check, list[Finding]] = {}
    for pair in PAIRS:
        pairs.setdefault(pair.check, []).append(_judge_pair(sql, pair, names))
    return found + [finding for check, each in pairs.items() for finding in _only_flagged(check, each)]


def _judge_pair(sql: duckdb.DuckDBPyConnection, pair: Pair, names: list[str]) -> Finding:
    if not set(pair.names) <= set(names):
        return Finding(pair.check, pair.names[-1], 0, 0)
    at = [names.index(name) for name in pair.names]
    cells = [f"max(value) FILTER (variable = {v}) AS {letter}" for v, letter in zip(at, "abc", strict=False)]
    known = " AND ".join(f"{letter} IS NOT NULL" for letter in "abc"[: len(at)])
    told = sql.execute(
        f"SELECT count(*) FILTER ({known}), count(*) FILTER ({known} AND {pair.fault}), min(row, {EXAMPLES}) FILTER "
        f"({known} AND {pair.fault}) FROM (SELECT min(row) AS row, {', '.join(cells)} FROM facts WHERE variable IN "
        f"({', '.join(map(str, at))}) GROUP BY stay, time)"
    ).fetchall()[0]
    return Finding(pair.check, pair.names[-1], told[1], told[0], tuple(told[2] or ()))


def check_presence(sql: duckdb.DuckDBPyConnection, names: list[str], *, sites: bool) -> list[Finding]:
    """Variables that are seldom measured, absent for a while, or absent at a site."""
    sql.execute(PRESENCE.format(run=RUN))
    rare = [
        Finding(SELDOM, names[v], have, n)
        for v, n, have in sql.execute(RARE).fetchall()
        if n >= 100 and have < 0.01 * n
    ]
    found = _only_flagged(SELDOM, rare)
    found += _only_flagged(STOPS, _absent(sql, STOPS, names, group="block"))
    return found + (_only_flagged(AT_SITE, _absent(sql, AT_SITE, names, group="site")) if sites else [])


def _absent(sql: duckdb.DuckDBPyConnection, check: Check, names: list[str], *, group: str) -> list[Finding]:
    """Groups of stays in which a variable is absent that most of the other stays have; one finding a variable."""
    found: dict[str, list[Finding]] = {}
    for v, name, n, have, first, all_n, all_have in sql.execute(
        GROUPS.format(group=group, examples=EXAMPLES)
    ).fetchall():
        if have == 0 and n >= RUN and all_n > n and all_have > USUAL_SHARE * (all_n - n):
            word = f"Site: {name}." if group == "site" else ""
            found.setdefault(names[v], []).append(Finding(check, names[v], n, all_n, tuple(first), word))
    return [_together(each) for each in found.values()]


def _together(found: list[Finding]) -> Finding:
    """The same finding in several groups as one."""
    first = found[0]
    rows = tuple(sorted(row for one in found for row in one.examples)[:EXAMPLES])
    words = " ".join(one.detail for one in found if one.detail)
    return Finding(first.check, first.variable, sum(one.count for one in found), first.among, rows, words)


def _rows(sql: duckdb.DuckDBPyConnection, variable: int, condition: str) -> tuple[int, ...]:
    told = sql.execute(SOME_ROWS.format(examples=EXAMPLES, variable=variable, condition=condition)).fetchall()
    return tuple(told[0][0] or ())


def _only_flagged(check: Check, found: list[Finding]) -> list[Finding]:
    """The findings at fault, or one that says that none was."""
    return [finding for finding in found if finding.flagged] or [Finding(check, "", 0, sum(f.among for f in found))]
