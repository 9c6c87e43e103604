"""Checks of the stays: their times, their patients, their descriptors and outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd

from clinicalgru.data.audit.measurement_checks import DAY, DEFAULTS
from clinicalgru.data.audit.result import EXAMPLES, Check, Finding
from clinicalgru.data.events import Events


@dataclass(frozen=True)
class StayCheck:
    """A check with its condition: `fault` among the stays where `among` holds."""

    check: Check
    fault: str
    among: str = "true"
    has_dates: bool = False


def _stay(name: str, says: str, *, category: str = "temporal plausibility", severity: str = "error",
          share: float = 0.0, least: int = 1) -> Check:  # fmt: skip
    return Check(name, category, severity, share, least, "stays", says)


BOTH = "start IS NOT NULL AND ended IS NOT NULL"
BMI = "admission_weight / pow(height / 100, 2)"
STAY_CHECKS = (
    StayCheck(_stay("end before start", "The stay ends before it starts."), "ended < start", BOTH),
    StayCheck(_stay("no length", "The stay ends when it starts.", severity="warning"), "ended = start", BOTH),
    StayCheck(_stay("longer than a year", "A stay of more than 366 days.", severity="warning"),
              f"ended > start + 366 * {DAY}", BOTH),
    StayCheck(_stay("overlapping stays", "It starts before an earlier stay of the patient ends.", severity="warning"),
              "start < ended_before", "start IS NOT NULL AND ended_before IS NOT NULL"),
    StayCheck(_stay("same start twice", "Another stay of the patient starts at the same time."),
              "start = start_before", "start IS NOT NULL AND start_before IS NOT NULL"),
    StayCheck(_stay("admitted after death", "An earlier stay of the patient ended in death."),
              "coalesce(died_before, false)", "start IS NOT NULL"),
    StayCheck(_stay("starts in the future", "Later than today."), "start > now", "start IS NOT NULL", has_dates=True),
    StayCheck(_stay("starts on a default date", "A date that software writes where none is known."),
              f"CAST(make_timestamp(start) AS DATE) IN {DEFAULTS}", "start IS NOT NULL", has_dates=True),
    StayCheck(_stay("starts at midnight", "At exactly 00:00: the time of day may be lost.", severity="warning",
                    share=0.2, least=10), f"start % {DAY} = 0", "start IS NOT NULL", has_dates=True),
    StayCheck(_stay("younger than before", "The age is over a year less than in an earlier stay of the patient."),
              "age < age_before - 1", "age IS NOT NULL AND age_before IS NOT NULL"),
    StayCheck(_stay("another sex than before", "The sex differs from that of an earlier stay of the patient.",
                    category="plausibility"), "sex <> sex_before", "sex IS NOT NULL AND sex_before IS NOT NULL"),
    StayCheck(_stay("another height than before", "Over 10 cm from that of an earlier stay of the patient.",
                    category="plausibility", severity="warning"),
              "abs(height - height_before) > 10", "height IS NOT NULL AND height_before IS NOT NULL"),
    StayCheck(_stay("body mass index", "Weight and height give a body mass index below 10 or above 90 kg/m2.",
                    category="plausibility", severity="warning"),
              f"{BMI} NOT BETWEEN 10 AND 90", "admission_weight IS NOT NULL AND height IS NOT NULL"),
    StayCheck(_stay("children", "Younger than 18 years; the ranges in use are those of adults.",
                    category="plausibility", severity="note", share=0.05, least=5), "age < 18", "age IS NOT NULL"),
    StayCheck(_stay("nothing measured", "The stay has no measurement at all.", category="completeness",
                    severity="warning", share=0.05, least=2), "n IS NULL"),
    StayCheck(_stay("no start", "Some stays have a start, this one has none.", category="completeness",
                    severity="warning", share=0.01), "start IS NULL", "any_start"),
    StayCheck(_stay("no end", "Some stays have an end, this one has none.", category="completeness",
                    severity="warning", share=0.05), "ended IS NULL", "any_end"),
    StayCheck(_stay("same record in two patients", "All its measurements, ten or more, are those of a stay of another "
                    "patient.", category="plausibility"), "n >= 10 AND twins > 1", "n >= 10"),
)  # fmt: skip
STAYS = """
CREATE TEMP TABLE told AS
SELECT s.*, p.n,
    lag(start) OVER w AS start_before, max(ended) OVER earlier AS ended_before,
    bool_or(died) OVER earlier AS died_before,
    lag(age) OVER w AS age_before, lag(sex) OVER w AS sex_before, lag(height) OVER w AS height_before,
    bool_or(start IS NOT NULL) OVER () AS any_start, bool_or(ended IS NOT NULL) OVER () AS any_end,
    count(DISTINCT patient) OVER (PARTITION BY p.print, p.n) AS twins
FROM stays s LEFT JOIN (
    SELECT stay, count(*) AS n, bit_xor(hash(time - start_or_first, variable, value)) AS print
    FROM (SELECT f.*, min(time) OVER (PARTITION BY stay) AS start_or_first FROM facts f) GROUP BY stay) p USING (stay)
WINDOW w AS (PARTITION BY patient ORDER BY start NULLS LAST, stay),
    earlier AS (PARTITION BY patient ORDER BY start NULLS LAST, stay ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
"""


def check_stays(sql: duckdb.DuckDBPyConnection, *, has_dates: bool, now: int) -> list[Finding]:
    """The findings of all stay checks."""
    asked = [rule for rule in STAY_CHECKS if has_dates or not rule.has_dates]
    parts = []
    for rule in asked:
        fault = rule.fault.replace(" now", f" {now}")
        parts.append(f"count(*) FILTER ({rule.among})")
        parts.append(f"count(*) FILTER (({rule.among}) AND ({fault}))")
        parts.append(f"min(stay, {EXAMPLES}) FILTER (({rule.among}) AND ({fault}))")
    sql.execute(STAYS)
    line = sql.execute(f"SELECT {', '.join(parts)} FROM told").fetchall()[0]
    return [
        Finding(rule.check, "", line[3 * i + 1], line[3 * i], tuple(line[3 * i + 2] or ()))
        for i, rule in enumerate(asked)
    ]


ALIKE = Check("identifiers alike", "conformance", "error", 0.0, 1, "stays",
              "Patients whose identifiers differ only in leading zeros, case or .0: maybe the same.")  # fmt: skip
UNKNOWN = Check("descriptor unknown", "completeness", "warning", 0.6, 1, "stays", "Unknown in most stays.")
OUTCOME_UNKNOWN = Check("outcome unknown", "completeness", "warning", 0.1, 1, "stays", "Not recorded in many stays.")
OUTCOME_ALIKE = Check("outcome all alike", "plausibility", "error", 0.0, 1, "stays",
                      "All recorded outcomes are the same: nothing can be learned from it.")  # fmt: skip
FEW = 30


def check_descriptors(events: Events) -> list[Finding]:
    """Unknown descriptors and outcomes, outcomes that are all alike, identifiers that are nearly alike."""
    stays = events.stays
    found = [_alike(stays)]
    found += _each(UNKNOWN, stays, [variable.name for variable in events.static_variables])
    found += _each(OUTCOME_UNKNOWN, stays, list(events.outcomes))
    single = []
    for name in events.outcomes:
        known = stays[name].dropna()
        alike = len(known) >= FEW and known.nunique() == 1
        single.append(Finding(OUTCOME_ALIKE, name, len(known) if alike else 0, len(known)))
    return found + _worst(OUTCOME_ALIKE, single, len(stays))


def _alike(stays: pd.DataFrame) -> Finding:
    patients = stays["patient_id"].astype(str)
    plain = patients.str.strip().str.casefold().str.removesuffix(".0").str.lstrip("0")
    several = patients.groupby(plain).transform("nunique") > 1
    rows = np.flatnonzero(several.to_numpy())
    return Finding(ALIKE, "", len(rows), len(stays), tuple(int(row) for row in rows[:EXAMPLES]))


def _each(check: Check, stays: pd.DataFrame, names: list[str]) -> list[Finding]:
    found = []
    for name in names:
        rows = np.flatnonzero(stays[name].isna().to_numpy())
        found.append(Finding(check, name, len(rows), len(stays), tuple(int(row) for row in rows[:EXAMPLES])))
    return _worst(check, found, len(stays))


def _worst(check: Check, found: list[Finding], among: int) -> list[Finding]:
    return [finding for finding in found if finding.flagged] or [Finding(check, "", 0, among)]
