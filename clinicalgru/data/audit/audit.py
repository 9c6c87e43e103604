"""audit: everything that looks wrong in events, counted and pointed at; nothing is mended.

The framework is that of Kahn et al. 2016, A harmonized data quality assessment terminology and framework, eGEMs
4(1):1244: conformance, completeness, plausibility.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.audit.measurement_checks import check_rows
from clinicalgru.data.audit.result import EXAMPLES, Audit, Check, Finding, ordered
from clinicalgru.data.audit.stay_checks import check_descriptors, check_stays
from clinicalgru.data.audit.timestamp_checks import check_clock
from clinicalgru.data.audit.typical_values import typical
from clinicalgru.data.audit.unit_check import check_units, site_of
from clinicalgru.data.audit.variable_checks import check_columns, check_presence
from clinicalgru.data.events import Events
from clinicalgru.data.ledger import MISSING, NO_FAULTS

DEATH = "in_hospital_death"


def _rows(name: str, category: str, says: str, *, severity: str = "error", share: float = 0.0, least: int = 1) -> Check:
    return Check(name, category, severity, share, least, "rows", says)


REJECTED: Mapping[str, Check] = MappingProxyType(
    {
        reason: _rows(f"rejected: {reason}", "conformance", says)
        for reason, says in {
            "no identifier": "Rows that name no patient or stay.",
            "no variable": "Rows that name no variable.",
            "no time": "Rows without a time.",
            "time not readable": "Rows whose time is none.",
            "available_at not readable": "Rows whose available_at is no time.",
            "value is not a number": "Rows whose value is text.",
            "unknown variable": "Names that the dictionary does not know.",
            "unknown unit": "Units that the dictionary does not know.",
            "stay not in the stays table": "Rows of stays that nobody announced.",
        }.items()
    }
)
OTHER = _rows("rejected: other", "conformance", "Rows rejected for another reason.")
IMPLAUSIBLE = _rows(
    "implausible values", "plausibility", "Outside the plausible range.", severity="warning", share=0.02, least=3
)
EMPTY = _rows("empty values", "completeness", "Rows without a value.", severity="note", share=0.2, least=10)
MERGED = _rows("several values at one instant", "conformance", "Repeated rows, or rows that contradict each other; "
               "they were joined into their mean.", severity="warning", share=0.02, least=5)  # fmt: skip
UNIT = Check("unit", "plausibility", "error", 0.0, 1, "measurements",
             "Part of the values, or all, seem to be in another unit.")  # fmt: skip
NEARER = f"""
SELECT min(row, {EXAMPLES}) FROM facts JOIN names USING (variable) JOIN stays USING (stay)
WHERE name = $1 AND $2 IN ('', site) AND value > 0 AND abs(ln(value / $4)) < abs(ln(value / $3))
"""


def audit(events: Events, *, by: str | None = None, now: datetime | None = None) -> Audit:
    """Everything that looks wrong in events, by check: name, category, severity, threshold, count, example rows.

    events  what `read_events` gave; they are not changed
    by      a column of `events.stays` that says the site of each stay
    now     the date after which times are in the future (UTC); None: today
    returns an Audit; its examples are row numbers of `events.to_frame()` or `events.stays`, never identifiers or values
    refuses a column that the stays do not have (ArgumentError)

    Source: Kahn et al. 2016 (eGEMs 4(1):1244).

    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> cohort = simulate(40)
    >>> ends = cohort.stays["start"] - pd.Timedelta(hours=1)
    >>> found = audit(read_events(cohort.measurements, stays=cohort.stays.assign(end=ends)))
    >>> found.flagged[0].check.name
    'end before start'
    """
    sites = site_of(events, by)
    today = pd.Timestamp.now(tz="UTC") if now is None else pd.Timestamp(now)
    moment = int(today.timestamp() * 1_000_000)
    names = [variable.name for variable in events.variables]
    with duckdb.connect() as sql:
        sql.execute("SET memory_limit = '1GB'; SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        sql.register("facts", _numbered(events.measurements))
        sql.register("implausible", events.implausible)
        sql.register("stays", _stays(events, sites))
        sql.register("names", pa.table({"variable": range(len(names)), "name": pa.array(names, pa.string())}))
        found = check_rows(sql, names, has_dates=events.has_dates, now=moment)
        found += check_stays(sql, has_dates=events.has_dates, now=moment)
        found += check_columns(
            sql, names, numeric=[variable.variable_type == "numeric" for variable in events.variables]
        )
        found += check_presence(sql, names, sites=by is not None)
        found += check_clock(sql) if events.has_dates else []
        found += _units(sql, events, by)
    found += [*check_descriptors(events), *_from_ledger(events)]
    return Audit(ordered(found), events.measurements.num_rows, len(events.stays), events.source, events.simulated)


def _numbered(facts: pa.Table) -> pa.Table:
    return facts.append_column("row", pa.array(np.arange(facts.num_rows, dtype=np.int64)))


def _stays(events: Events, sites: pd.Series) -> pa.Table:
    """What the checks may know of a stay; a descriptor that the events do not have is unknown."""
    stays = events.stays
    unknown = pd.Series(np.nan, index=stays.index)
    numbers = {name: stays.get(name, unknown) for name in ("age", "sex", "height", "admission_weight")}
    columns = {name: pa.array(column.astype(float), from_pandas=True) for name, column in numbers.items()}
    return pa.table(
        {
            "stay": pa.array(np.arange(len(stays), dtype=np.int32)),
            "patient": pa.array(pd.factorize(stays["patient_id"])[0]),
            "start": pa.array(stays["start"], pa.int64()),
            "ended": pa.array(stays["end"], pa.int64()),
            "died": pa.array(stays.get(DEATH, unknown).eq(1)),
            "site": pa.array(sites, pa.string()),
            **columns,
        }
    )


def _from_ledger(events: Events) -> list[Finding]:
    """What the intake counted already."""
    ledger, findings = events.ledger, events.ledger.findings
    found = []
    for reason, check in REJECTED.items():
        found.append(_reason(check, findings[findings["reason"] == reason], ledger.rows_in))
    others = ~findings["reason"].isin([*REJECTED, *NO_FAULTS, "implausible"])
    found.append(_reason(OTHER, findings[others], ledger.rows_in))
    found.append(Finding(MERGED, "", ledger.merged, ledger.rows_in))
    counts: dict[str, int] = dict(events.counts()[["variable", "measurements"]].itertuples(index=False))
    counts |= {variable.name: int(events.stays[variable.name].notna().sum()) for variable in events.static_variables}
    for check, reason in ((IMPLAUSIBLE, "implausible"), (EMPTY, MISSING)):
        lines = findings[findings["reason"] == reason]
        each = [
            Finding(check, name, rows, rows + int(counts.get(name, 0)), detail=f"First at {place}.")
            for name, rows, place in lines[["variable", "rows", "where"]].itertuples(index=False)
        ]
        found += [one for one in each if one.flagged] or [Finding(check, "", 0, ledger.rows_in)]
    return found


def _reason(check: Check, lines: pd.DataFrame, rows: int) -> Finding:
    where = f"First at {lines['where'].iloc[0]}." if len(lines) else ""
    return Finding(check, "", int(lines["rows"].sum()), rows, detail=where)


def _units(sql: duckdb.DuckDBPyConnection, events: Events, by: str | None) -> list[Finding]:
    """Columns that seem to be in another unit; the examples are rows nearer to what is usual there."""
    found = []
    for flag in check_units(events, by=by):
        own = typical()[flag.variable].centre
        other = own / flag.conversion.factor - flag.conversion.offset
        told = sql.execute(NEARER, [flag.variable, flag.site, own, other]).fetchall()
        count = max(round(flag.part * flag.values), 1)
        found.append(Finding(UNIT, flag.variable, count, flag.values, tuple(told[0][0] or ()), flag.proposal))
    return found or [Finding(UNIT, "", 0, events.measurements.num_rows)]
