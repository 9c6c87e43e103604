"""The audit of an extract: counts everything that looks wrong and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.checks import check_instance
from clinicalgru.data.audit.finding import MAX_EXAMPLES, Check, Finding, ordered
from clinicalgru.data.audit.measurement_checks import check_measurements
from clinicalgru.data.audit.result import Audit
from clinicalgru.data.audit.stay_checks import check_static, check_stays
from clinicalgru.data.audit.timestamp_checks import check_timestamps
from clinicalgru.data.audit.typical_values import typical
from clinicalgru.data.audit.unit_check import check_units
from clinicalgru.data.audit.unit_histograms import site_of
from clinicalgru.data.audit.variable_checks import check_presence, check_values
from clinicalgru.data.events import Events
from clinicalgru.data.ledger import EARLY_BY_HOURS, MISSING, NOT_COUNTED, SENTINEL, TOO_EARLY, Ledger
from clinicalgru.data.repeated_stays import stays_once
from clinicalgru.errors import ArgumentError, describe

DEATH = "in_hospital_death"


def _rows(
    name: str,
    category: str,
    message: str,
    *,
    severity: str = "error",
    max_fraction: float = 0.0,
    min_count: int = 1,
) -> Check:
    """A check of rows of the extract."""
    return Check(name, category, severity, max_fraction, min_count, "rows", message)


REJECTED: Mapping[str, Check] = MappingProxyType(
    {
        reason: _rows(f"rejected: {reason}", "conformance", message)
        for reason, message in {
            "no identifier": "Rows without a patient or stay identifier.",
            "no variable": "Rows without a variable.",
            "no time": "Rows without a time.",
            "time not readable": "Rows whose time cannot be parsed.",
            "available_at not readable": "Rows whose available_at cannot be parsed.",
            "value is not a number": "Rows whose value is text.",
            "unknown variable": "Names that the data dictionary does not contain.",
            "unknown unit": "Units that the data dictionary does not contain.",
            "stay not in the stays table": "Rows of stays that the stays table does not contain.",
        }.items()
    }
)
OTHER = _rows("rejected: other", "conformance", "Rows rejected for another reason.")
IMPLAUSIBLE = _rows(
    "implausible values",
    "plausibility",
    "Values outside the plausible range.",
    severity="warning",
    max_fraction=0.02,
    min_count=3,
)
EMPTY = _rows(
    "missing values", "completeness", "Rows without a value.", severity="note", max_fraction=0.2, min_count=10
)
MERGED = _rows(
    "several values at one time",
    "conformance",
    "Repeated or contradictory rows; each instant became one value.",
    severity="warning",
    max_fraction=0.02,
    min_count=5,
)
AVAILABLE: Mapping[str, Check] = MappingProxyType(
    {
        TOO_EARLY: _rows(
            "available before measured", "temporal plausibility", "available_at is before time, which was used instead."
        ),
        EARLY_BY_HOURS: _rows(
            "time zone of available_at",
            "temporal plausibility",
            "available_at is before time by whole hours: probably two time zones.",
            severity="warning",
        ),
    }
)
UNIT = Check("unit", "plausibility", "error", 0.0, 1, "measurements", "Some or all values seem to be in another unit.")
# The first rows of variable $1 (at site $2) that are closer to the median in the other unit, $4, than to its own, $3.
CLOSER_TO_OTHER_UNIT = f"""
SELECT min(row, {MAX_EXAMPLES}) FROM facts JOIN names USING (variable) JOIN stays USING (stay)
WHERE name = $1 AND $2 IN ('', site) AND value > 0 AND abs(ln(value / $4)) < abs(ln(value / $3))
"""


def audit(events: Events, *, site_column: str | None = None, now: datetime | None = None) -> Audit:
    """Check the quality of an extract: conformance, completeness, plausibility, units and times.

    Parameters
    ----------
    events : Events
        What `read_events` returned; it is not changed.
    site_column : str, optional
        Column of `events.stays` with the site of each stay; adds the checks that compare sites.
    now : datetime, optional
        Time after which dates count as future (UTC where it has no time zone); the present where None.

    Returns
    -------
    Audit
        All checks with their findings. Examples are row numbers of `events.to_frame()` or `events.stays`, never
        identifiers or values.

    Raises
    ------
    ArgumentError
        If `events` is not an `Events`, the stays do not have `site_column`, or `now` is not a date.

    References
    ----------
    Kahn et al. 2016, A harmonized data quality assessment terminology and framework, eGEMs 4(1):1244.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru import audit, read_events, simulate
    >>> cohort = simulate(40)
    >>> ends = cohort.stays["start"] - pd.Timedelta(hours=1)
    >>> result = audit(read_events(cohort.measurements, stays=cohort.stays.assign(end=ends)))
    >>> result.flagged[0].check.name
    'end before start'
    """
    check_instance("events", events, Events, fix="Pass what read_events returns.")
    events = stays_once(events)
    moment, names = _microseconds(now), [variable.name for variable in events.variables]
    is_numeric = [variable.variable_type == "numeric" for variable in events.variables]
    with duckdb.connect() as sql:
        _register(sql, events, site_of(events, site_column))
        findings = check_measurements(sql, names, has_dates=events.has_dates, now=moment)
        findings += check_stays(sql, has_dates=events.has_dates, now=moment)
        findings += check_values(sql, names, is_numeric=is_numeric)
        findings += check_presence(sql, names, by_site=site_column is not None)
        findings += check_timestamps(sql) if events.has_dates else []
        findings += _units(sql, events, site_column)
    findings = [_with_sentinels(finding, events.ledger) for finding in findings]
    findings += [*check_static(events), *_from_ledger(events)]
    return Audit(ordered(findings), events.measurements.num_rows, len(events.stays), events.source, events.simulated)


def _microseconds(now: datetime | None) -> int:
    """Microseconds since 1970 (UTC) of a date; of the present where None."""
    if now is None:
        return int(pd.Timestamp.now(tz="UTC").timestamp() * 1_000_000)
    if not isinstance(now, datetime | np.datetime64 | str):
        raise ArgumentError("now as a date", describe(now), "Pass a datetime.")
    try:
        date = pd.Timestamp(now)
    except ValueError:
        raise ArgumentError("now as a date", describe(now), "Pass a datetime.") from None
    return int(date.timestamp() * 1_000_000)


def _register(sql: duckdb.DuckDBPyConnection, events: Events, sites: pd.Series) -> None:
    """The tables that the checks read: facts (with row numbers), implausible, stays, names."""
    names = pa.array([variable.name for variable in events.variables], pa.string())
    rows = pa.array(np.arange(events.measurements.num_rows, dtype=np.int64))
    sql.execute("SET memory_limit = '1GB'; SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    sql.register("facts", events.measurements.append_column("row", rows))
    sql.register("implausible", events.implausible)
    sql.register("stays", _stays(events, sites))
    sql.register("names", pa.table({"variable": range(len(names)), "name": names}))


def _stays(events: Events, sites: pd.Series) -> pa.Table:
    """What the checks read of a stay; static covariates that the extract does not have are unknown."""
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
    """What was counted while reading: rejected, merged, implausible and missing rows."""
    ledger, lines = events.ledger, events.ledger.findings
    reasons = lines["reason"]
    found = [_rejected(check, lines[reasons == reason], ledger.rows_in) for reason, check in REJECTED.items()]
    found.append(_rejected(OTHER, lines[~reasons.isin([*REJECTED, *NOT_COUNTED, "implausible"])], ledger.rows_in))
    found.append(Finding(MERGED, "", ledger.merged, ledger.rows_in))
    found += [Finding(check, "", ledger.notes.get(note, 0), ledger.rows_in) for note, check in AVAILABLE.items()]
    counts: dict[str, int] = dict(events.counts()[["variable", "measurements"]].itertuples(index=False))
    counts |= {variable.name: int(events.stays[variable.name].notna().sum()) for variable in events.static_variables}
    for check, reason in ((IMPLAUSIBLE, "implausible"), (EMPTY, MISSING)):
        by_variable = [
            Finding(check, name, rows, rows + int(counts.get(name, 0)), detail=f"First at {place}.")
            for name, rows, place in lines.loc[reasons == reason, ["variable", "rows", "where"]].itertuples(index=False)
        ]
        flagged = [finding for finding in by_variable if finding.flagged]
        found += flagged or [Finding(check, "", 0, ledger.rows_in)]
    return found


def _with_sentinels(finding: Finding, ledger: Ledger) -> Finding:
    """The finding of a check of default dates, with those that the reader rejected or took as unknown."""
    if finding.check.name == "default date":
        lines = ledger.findings[ledger.findings["reason"] == SENTINEL]
        n_read, place = int(lines["rows"].sum()), f"First at {lines['where'].iloc[0]}." if len(lines) else ""
    elif finding.check.name == "starts on a default date":
        n_read, place = ledger.notes.get(f"starts of stays that are a {SENTINEL}, taken as unknown", 0), ""
    else:
        return finding
    if not n_read:
        return finding
    return replace(finding, count=finding.count + n_read, n_checked=finding.n_checked + n_read, detail=place)


def _rejected(check: Check, lines: pd.DataFrame, n_rows: int) -> Finding:
    """The lines of the ledger's findings with one reason as a finding."""
    where = f"First at {lines['where'].iloc[0]}." if len(lines) else ""
    return Finding(check, "", int(lines["rows"].sum()), n_rows, detail=where)


def _units(sql: duckdb.DuckDBPyConnection, events: Events, site_column: str | None) -> list[Finding]:
    """Variables that seem to be in another unit, with rows that are closer to its median."""
    found = []
    for flag in check_units(events, site_column=site_column):
        own = typical()[flag.variable].median
        other = own / flag.conversion.factor - flag.conversion.offset
        rows = sql.execute(CLOSER_TO_OTHER_UNIT, [flag.variable, flag.site, own, other]).fetchall()[0][0]
        count = max(round(flag.fraction * flag.n_values), 1)
        found.append(Finding(UNIT, flag.variable, count, flag.n_values, tuple(rows or ()), flag.proposal))
    return found or [Finding(UNIT, "", 0, events.measurements.num_rows)]
