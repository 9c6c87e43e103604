"""read_events: any extract becomes checked Events with a ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import Events
from clinicalgru.data.ingest.database import is_address
from clinicalgru.data.ingest.ingest import Intake
from clinicalgru.data.ingest.source import ReadOptions, Source, SourceResult
from clinicalgru.data.ingest.stays_table import join_outcomes, static_values, take_rejected
from clinicalgru.data.ingest.time_sql import TIME_UNITS
from clinicalgru.data.ledger import NOT_COUNTED, Ledger
from clinicalgru.data.simulate.simulate import SimulatedCohort
from clinicalgru.data.sources import long_and_sql, mimic_iv, physionet2012, physionet2019, wide
from clinicalgru.data.sources.fhir import reader as fhir
from clinicalgru.data.sources.meds import reader as meds
from clinicalgru.data.sources.omop import reader as omop
from clinicalgru.errors import ArgumentError, InputError

SOURCES: dict[str, Source] = {
    "fhir": fhir.read,
    "long": long_and_sql.read_long,
    "meds": meds.read,
    "mimic-iv": mimic_iv.read,
    "omop": omop.read,
    "physionet2012": physionet2012.read,
    "physionet2019": physionet2019.read,
    "sql": long_and_sql.read_sql,
    "wide": wide.read,
    "yaib": wide.read,
}


def read_events(
    data: Any,
    *,
    source: str = "long",
    stays: Any = None,
    outcomes: Any = None,
    variables: Any = None,
    columns: Mapping[str, str] | None = None,
    time_format: str | None = None,
    time_unit: str = "hours",
    units: Mapping[str, str] | None = None,
    query: str | None = None,
    delimiter: str | None = None,
    anchor: str | None = None,
    timezone: str | None = None,
    max_rejected: float = 0.1,
    memory_gb: float = 2.0,
) -> Events:
    """Read an extract into checked Events; nothing is lost, converted or rejected without being counted.

    data          a DataFrame, Arrow table, CSV, CSV.gz, Parquet, a folder of them, an archive of the source, or a
                  simulated Ward, which brings its stays and outcomes
    source        "long": columns patient_id, stay_id, time, variable, value, unit, available_at (the last two and
                  stay_id are optional; a row with an open code may hold it in `code`); "physionet2012" and
                  "physionet2019": the challenges as published; "wide": a column for each variable, "yaib": with the
                  names of YAIB cohorts; "sql": the long columns of a query, `data` is a database's address;
                  "mimic-iv": the folder of hosp/ and icu/; "meds": the folder of data/ and metadata/
    stays         table of patient_id, stay_id, start, end and static descriptors; without it a stay starts with its
                  first measurement
    outcomes      table of stay_id and outcomes; blank = not recorded, and stays so
    variables     your own YAML (path), a dict of it, or a Dictionary, over the shipped data dictionary
    columns       our column name -> the name in your tables, where they differ
    time_unit     what times that are numbers count: "seconds", "minutes", "hours" or "days"
    units         our variable -> the unit of its values where the extract writes none: {"glucose": "mmol/L"}
    query         source="sql": one SELECT that gives the long columns
    time_format   strptime format of times that are not ISO 8601, such as "%d/%m/%Y %H:%M"
    anchor        what a stay is, in a source that has several kinds (such as "icu" and "hospital")
    timezone      IANA name such as "Europe/Berlin": times without an offset are local times there and become UTC; those
                  that occur twice or not at all are rejected and counted; None = as written
    max_rejected  largest part of rows that may be rejected; rows without a value, outside every stay, or of a code that
                  nobody mapped do not count
    memory_gb     bound on the memory that reading takes; larger work goes through disk, in the folder of temporary
                  files. DuckDB is held to two fifths of it: its own limit leaves out what its readers of CSV and
                  Parquet, its allocator's caches and its results take. Python with its libraries (about 0.3 GB) and our
                  batches of a million rows have the rest. Not in it: a DataFrame that is handed in, the table of the
                  stays, and pages of the facts on disk that the system keeps while nobody else wants the memory

    A descriptor (age, sex, ...) has one value a stay: of several the last, and the stays table's before any row's; how
    many stays had others is in `ledger.notes`.

    Refused: see the rules in `clinicalgru.data.ingest.ingest`; each error names file, row, column and what to do.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"patient_id": ["007"] * 3, "stay_id": ["1"] * 3, "time": [0.0, 0.5, 0.5],
    ...                      "variable": ["heart_rate", "temperature", "heart_rate"], "value": [88, 98.6, 900],
    ...                      "unit": [None, "degF", None]})
    >>> events = read_events(rows, max_rejected=0.5)
    >>> events.ledger.rejected
    {'implausible': 1}
    >>> events.to_frame()["value"].round(1).tolist()
    [88.0, 37.0]
    """
    if source not in SOURCES:
        raise ArgumentError(f"a source among {', '.join(SOURCES)}", f"{source!r}", "Choose one of them.")
    if time_unit not in TIME_UNITS:
        raise ArgumentError(f"time_unit among {', '.join(TIME_UNITS)}", f"{time_unit!r}", "Choose one of them.")
    cohort = data if isinstance(data, SimulatedCohort) else None
    if cohort is not None:
        data, stays, outcomes = cohort.measurements, cohort.stays, cohort.outcomes
    request = ReadOptions(
        stays=stays,
        outcomes=outcomes,
        columns=columns or {},
        time_format=time_format,
        time_unit=time_unit,
        timezone=timezone,
        delimiter=delimiter,
        anchor=anchor,
        units=units or {},
        query=query,
    )
    dictionary = variables if isinstance(variables, Dictionary) else Dictionary.load(*_listed(variables))
    with Intake(dictionary, source=source, memory_gb=memory_gb, timezone=timezone, units=units) as intake:
        supplied = SOURCES[source](intake, data, request)
        events = _settle(intake, supplied, max_rejected=max_rejected, name=_name(data, source))
    return events if cohort is None else replace(events, source=cohort.description, simulated=True)


def _settle(intake: Intake, supplied: SourceResult, *, max_rejected: float, name: str) -> Events:
    has_dates = intake.settle_clock()
    intake.settle_units()
    stays = intake.settle_stays(supplied.stays, unmapped_is_fault=supplied.unmapped_is_fault)
    stays, rejected = take_rejected(stays)
    facts, merged = intake.facts()
    coded, vocabulary, repeated = intake.coded()
    at_start = _at_start(facts, intake.ordered, supplied.at_start)
    stays, changed = _with_descriptors(intake, stays, facts.filter(at_start), supplied.at_start)
    notes = {**supplied.notes, **changed}
    outcomes: tuple[str, ...] = ()
    if supplied.outcomes is not None:
        stays, notes["outcomes of no stay of the extract"] = join_outcomes(stays, supplied.outcomes)
        outcomes = tuple(supplied.outcomes.columns.difference(["patient_id", "stay_id"], sort=False))
    with_series = _stays_with(facts, pc.invert(at_start))
    intake.maps.release()
    notes |= {"stays": len(stays), "stays without a series": len(stays) - with_series}
    ledger = intake.ledger(merged + repeated, notes=notes, labels=supplied.labels)
    _check_rejected(ledger, max_rejected)
    facts, variables = _only_used(facts, intake.ordered)
    static_variables = tuple(variable for variable in intake.ordered if variable.static and variable.name in stays)
    alive: dict[str, Any] = {"_disk": intake.disk, "_maps": intake.maps}
    alive["implausible"] = pa.concat_tables([intake.implausible(), rejected])
    return Events(
        facts, coded, vocabulary, stays, variables, static_variables, outcomes, ledger, has_dates, name, **alive
    )


def _at_start(facts: pa.Table, ordered: tuple[Variable, ...], names: Mapping[str, str]) -> pa.ChunkedArray:
    """True where a fact at hour 0 is also a descriptor."""
    position = pa.array([i for i, variable in enumerate(ordered) if variable.name in names], pa.int16())
    return pc.and_(pc.equal(facts["time"], 0), pc.is_in(facts["variable"], position))


def _stays_with(facts: pa.Table, which: pa.ChunkedArray) -> int:
    """How many stays have such a fact; chunk by chunk, as a filtered table would be a copy."""
    begins = np.cumsum([0, *map(len, which.chunks)])
    found = [
        facts["stay"].slice(int(at), len(there)).filter(there).unique()
        for at, there in zip(begins, which.chunks, strict=False)
    ]
    return len(pa.chunked_array(found, pa.int32()).unique())


def _with_descriptors(
    intake: Intake, stays: pd.DataFrame, at_start: pa.Table, names: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Stays with the descriptors that came as rows, and in how many of them the rows said more than one thing.

    Of several values the last by time is kept; what the stays table already knows is kept whatever the rows say.
    """
    numbers = {variable.name: i for i, variable in enumerate(intake.ordered)}
    first = at_start.select(["stay", "variable", "value"]).to_pandas().rename(columns={"stay": "position"})
    first["variable"] = [numbers[names[intake.ordered[number].name]] for number in first["variable"]]
    rows, notes = pd.concat([intake.descriptors(), first.assign(changed=False)], ignore_index=True), {}
    for number in sorted(set(rows["variable"].astype(int))):
        variable, group = intake.ordered[number], rows[rows["variable"] == number]
        text = group["value"].map("{:.12g}".format) if variable.categories else group["value"].astype(str)
        values = static_values(variable, text)[0].set_axis(group["position"]).reindex(range(len(stays)))
        notes[f"stays whose {variable.name} changed (the last is used)"] = int(group["changed"].sum())
        if variable.name in stays:
            other = stays[variable.name].notna() & values.notna() & (stays[variable.name] != values)
            notes[f"stays whose {variable.name} is another in the stays table (which is used)"] = int(other.sum())
            values = stays[variable.name].fillna(values)
        stays[variable.name] = values
    return stays, {name: count for name, count in notes.items() if count}


def _only_used(facts: pa.Table, ordered: tuple[Variable, ...]) -> tuple[pa.Table, tuple[Variable, ...]]:
    """Facts numbered by the variables that occur, and these variables."""
    used = np.sort(pc.unique(facts["variable"]).to_numpy())
    number = np.zeros(len(ordered), dtype=np.int16)
    number[used] = np.arange(len(used), dtype=np.int16)
    at = facts.schema.get_field_index("variable")
    chunks = [pa.array(number[chunk.to_numpy()]) for chunk in facts["variable"].chunks]
    column = pa.chunked_array(chunks, type=pa.int16())
    return facts.set_column(at, "variable", column), tuple(ordered[i] for i in used)


def _check_rejected(ledger: Ledger, max_rejected: float) -> None:
    if ledger.n_counted_rejections > max_rejected * max(ledger.rows_in, 1):
        worst = ledger.findings[~ledger.findings["reason"].isin(NOT_COUNTED)].iloc[0]
        most = f"{worst['reason']} {worst['variable']} ({worst['rows']:,})"
        raise InputError(
            f"at most {max_rejected:.0%} of rows rejected",
            f"{ledger.n_counted_rejections:,} of {ledger.rows_in:,}, most often: {most}",
            "Repair the extract, add the variable or unit to your own YAML (variables=), or raise max_rejected.",
            where=f"first at {worst['where']}",
        )


def _listed(variables: Any) -> list[Any]:
    if variables is None:
        return []
    return list(variables) if isinstance(variables, list | tuple) else [variables]


def _name(data: Any, source: str) -> str:
    if is_address(data):
        return f"{source}: {data.partition(':')[0]}"  # the rest may hold a password
    return f"{source}: {Path(data).name}" if isinstance(data, str | Path) else f"{source}: table in memory"
