"""Checks of stays: their times, patients, static covariates and outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd

from clinicalgru.data.audit.finding import MAX_EXAMPLES, Check, Finding, flagged_or_total
from clinicalgru.data.audit.measurement_checks import DAY, DEFAULT_DATES, count_sql
from clinicalgru.data.events import Events


@dataclass(frozen=True)
class StayCheck:
    """A check of stays with its SQL conditions.

    Attributes
    ----------
    check : Check
        The check.
    condition : str
        SQL that is true for stays that are a case.
    applies : str
        SQL that is true for stays that are checked.
    needs_dates : bool
        Whether the check applies only where times are dates.
    """

    check: Check
    condition: str
    applies: str = "true"
    needs_dates: bool = False


def _stay(
    name: str,
    message: str,
    *,
    category: str = "temporal plausibility",
    severity: str = "error",
    max_fraction: float = 0.0,
    min_count: int = 1,
) -> Check:
    """A check of stays."""
    return Check(name, category, severity, max_fraction, min_count, "stays", message)


HAS_BOUNDS = "start IS NOT NULL AND ended IS NOT NULL"
BMI = "admission_weight / pow(height / 100, 2)"
STAY_CHECKS = (
    StayCheck(_stay("end before start", "The stay ends before it starts."), "ended < start", HAS_BOUNDS),
    StayCheck(_stay("zero length", "The stay ends when it starts.", severity="warning"), "ended = start", HAS_BOUNDS),
    StayCheck(_stay("longer than a year", "A stay of more than 366 days.", severity="warning"),
              f"ended > start + 366 * {DAY}", HAS_BOUNDS),
    StayCheck(_stay("overlapping stays", "Starts before an earlier stay of the patient ends.", severity="warning"),
              "start < ended_before", "start IS NOT NULL AND ended_before IS NOT NULL"),
    StayCheck(_stay("same start", "Another stay of the patient starts at the same time."),
              "start = start_before", "start IS NOT NULL AND start_before IS NOT NULL"),
    StayCheck(_stay("admitted after death", "An earlier stay of the patient ended in death."),
              "coalesce(died_before, false)", "start IS NOT NULL"),
    StayCheck(_stay("starts in the future", "Later than today."), "start > now", "start IS NOT NULL", needs_dates=True),
    StayCheck(_stay("starts on a default date", "A date that software writes where none is known, such as 1970-01-01."),
              f"CAST(make_timestamp(start) AS DATE) IN {DEFAULT_DATES}", "start IS NOT NULL", needs_dates=True),
    StayCheck(_stay("starts at midnight", "At exactly 00:00: the time of day may be lost.", severity="warning",
                    max_fraction=0.2, min_count=10), f"start % {DAY} = 0", "start IS NOT NULL", needs_dates=True),
    StayCheck(_stay("age decreased", "The age is more than a year lower than in an earlier stay of the patient."),
              "age < age_before - 1", "age IS NOT NULL AND age_before IS NOT NULL"),
    StayCheck(_stay("sex changed", "The sex differs from that of an earlier stay of the patient.",
                    category="plausibility"), "sex <> sex_before", "sex IS NOT NULL AND sex_before IS NOT NULL"),
    StayCheck(_stay("height changed", "More than 10 cm from the height in an earlier stay of the patient.",
                    category="plausibility", severity="warning"),
              "abs(height - height_before) > 10", "height IS NOT NULL AND height_before IS NOT NULL"),
    StayCheck(_stay("body mass index", "Weight and height give a body mass index below 10 or above 90 kg/m2.",
                    category="plausibility", severity="warning"),
              f"{BMI} NOT BETWEEN 10 AND 90", "admission_weight IS NOT NULL AND height IS NOT NULL"),
    StayCheck(_stay("pediatric stays", "Younger than 18 years; plausible ranges are those of adults.",
                    category="plausibility", severity="note", max_fraction=0.05, min_count=5),
              "age < 18", "age IS NOT NULL"),
    StayCheck(_stay("nothing measured", "The stay has no measurements.", category="completeness",
                    severity="warning", max_fraction=0.05, min_count=2), "n IS NULL"),
    StayCheck(_stay("no start", "No start, although other stays have one.", category="completeness",
                    severity="warning", max_fraction=0.01), "start IS NULL", "any_start"),
    StayCheck(_stay("no end", "No end, although other stays have one.", category="completeness",
                    severity="warning", max_fraction=0.05), "ended IS NULL", "any_end"),
    StayCheck(_stay("identical record in two patients", "All measurements, ten or more, "
                    "equal those of a stay of another "
                    "patient.", category="plausibility"), "n >= 10 AND twins > 1", "n >= 10"),
)  # fmt: skip
# Each stay with what earlier stays of the patient had, its number of measurements, and the patients with equal records.
STAYS_IN_ORDER = """
CREATE TEMP TABLE stays_in_order AS
SELECT s.*, p.n,
    lag(start) OVER w AS start_before, max(ended) OVER earlier AS ended_before,
    bool_or(died) OVER earlier AS died_before,
    lag(age) OVER w AS age_before, lag(sex) OVER w AS sex_before, lag(height) OVER w AS height_before,
    bool_or(start IS NOT NULL) OVER () AS any_start, bool_or(ended IS NOT NULL) OVER () AS any_end,
    count(DISTINCT patient) OVER (PARTITION BY p.record_hash, p.n) AS twins
FROM stays s LEFT JOIN (
    SELECT stay, count(*) AS n, bit_xor(hash(time - start_or_first, variable, value)) AS record_hash
    FROM (SELECT f.*, min(time) OVER (PARTITION BY stay) AS start_or_first FROM facts f) GROUP BY stay) p USING (stay)
WINDOW w AS (PARTITION BY patient ORDER BY start NULLS LAST, stay),
    earlier AS (PARTITION BY patient ORDER BY start NULLS LAST, stay ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
"""


def check_stays(sql: duckdb.DuckDBPyConnection, *, has_dates: bool, now: int) -> list[Finding]:
    """Return the findings of all stay checks.

    Parameters
    ----------
    sql : DuckDBPyConnection
        Connection in which the tables `facts` and `stays` are registered.
    has_dates : bool
        Whether times are dates; else the checks that need dates are left out.
    now : int
        The present, in microseconds since 1970.

    Returns
    -------
    list of Finding
        One per check.
    """
    rules = [rule for rule in STAY_CHECKS if has_dates or not rule.needs_dates]
    aggregates = [part for rule in rules for part in count_sql(rule.condition, rule.applies, example="stay", now=now)]
    sql.execute(STAYS_IN_ORDER)
    line = sql.execute(f"SELECT {', '.join(aggregates)} FROM stays_in_order").fetchall()[0]
    return [
        Finding(rule.check, "", line[3 * i + 1], line[3 * i], tuple(line[3 * i + 2] or ()))
        for i, rule in enumerate(rules)
    ]


SIMILAR_IDENTIFIERS = Check("similar identifiers", "conformance", "error", 0.0, 1, "stays",
                            "Patient identifiers that differ only in leading zeros, case or .0: possibly one "
                            "patient.")  # fmt: skip
STATIC_MISSING = Check("static covariate missing", "completeness", "warning", 0.6, 1, "stays", "Unknown in most stays.")
OUTCOME_MISSING = Check("outcome missing", "completeness", "warning", 0.1, 1, "stays", "Not recorded in many stays.")
CONSTANT_OUTCOME = Check("constant outcome", "plausibility", "error", 0.0, 1, "stays",
                         "All recorded outcomes are equal: a model cannot learn from it.")  # fmt: skip
MIN_OUTCOMES = 30  # below this number of known outcomes, equal ones are no finding


def check_static(events: Events) -> list[Finding]:
    """Find missing static covariates and outcomes, constant outcomes and similar identifiers.

    Parameters
    ----------
    events : Events
        What `read_events` returned.

    Returns
    -------
    list of Finding
        One or more per check.
    """
    stays = events.stays
    findings = [_similar_identifiers(stays)]
    findings += _missing(STATIC_MISSING, stays, [variable.name for variable in events.static_variables])
    findings += _missing(OUTCOME_MISSING, stays, list(events.outcomes))
    constant = []
    for name in events.outcomes:
        known = stays[name].dropna()
        is_constant = len(known) >= MIN_OUTCOMES and known.nunique() == 1
        constant.append(Finding(CONSTANT_OUTCOME, name, len(known) if is_constant else 0, len(known)))
    return findings + flagged_or_total(CONSTANT_OUTCOME, constant, len(stays))


def _similar_identifiers(stays: pd.DataFrame) -> Finding:
    """Stays of patients whose identifiers are equal once normalised."""
    patients = stays["patient_id"].astype(str)
    normalised = patients.str.strip().str.casefold().str.removesuffix(".0").str.lstrip("0")
    similar = patients.groupby(normalised).transform("nunique") > 1
    return Finding(SIMILAR_IDENTIFIERS, "", int(similar.sum()), len(stays), _first_rows(similar))


def _missing(check: Check, stays: pd.DataFrame, names: list[str]) -> list[Finding]:
    """Columns that are missing in too many stays."""
    findings = []
    for name in names:
        missing = stays[name].isna()
        findings.append(Finding(check, name, int(missing.sum()), len(stays), _first_rows(missing)))
    return flagged_or_total(check, findings, len(stays))


def _first_rows(flags: pd.Series) -> tuple[int, ...]:
    """Positions of the first rows where a flag is set."""
    return tuple(int(row) for row in np.flatnonzero(flags.to_numpy())[:MAX_EXAMPLES])
