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

from clinicalgru.data.events import Events
from clinicalgru.data.ledger import MISSING, Ledger
from clinicalgru.data.simulate import Ward
from clinicalgru.data.sources import physionet2012
from clinicalgru.data.sources.intake import Intake
from clinicalgru.data.sources.stays import join_outcomes, read_outcomes, read_stays, static_values
from clinicalgru.data.sources.tables import open_parts
from clinicalgru.data.variables import Dictionary, Variable
from clinicalgru.errors import ArgumentError, InputError

SOURCES = ("long", "physionet2012")


def read_events(
    data: Any,
    *,
    source: str = "long",
    stays: Any = None,
    outcomes: Any = None,
    variables: Any = None,
    columns: Mapping[str, str] | None = None,
    time_format: str | None = None,
    delimiter: str | None = None,
    max_rejected: float = 0.1,
    memory_gb: float = 2.0,
) -> Events:
    """Read an extract into checked Events; nothing is lost, converted or rejected without being counted.

    data          a DataFrame, Arrow table, CSV, CSV.gz, Parquet, a folder of them, an archive of the source, or a
                  simulated Ward, which brings its stays and outcomes
    source        "long": columns patient_id, stay_id, time, variable, value, unit, available_at (the last two and
                  stay_id are optional; a row with an open code may hold it in `code`); "physionet2012": the challenge
    stays         table of patient_id, stay_id, start, end and static descriptors; without it a stay starts with its
                  first measurement
    outcomes      table of stay_id and outcomes; blank = not recorded, and stays so
    variables     your own YAML (path), a dict of it, or a Dictionary, over the shipped data dictionary
    columns       our column name -> the name in your tables, where they differ
    time_format   strptime format of times that are not ISO 8601, such as "%d/%m/%Y %H:%M"
    max_rejected  largest part of rows that may be rejected (rows without a value do not count)
    memory_gb     bound on memory; larger work goes through disk

    Refused: see the rules in `clinicalgru.data.sources.intake`; each error names file, row, column and what to do.

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
    ward = data if isinstance(data, Ward) else None
    if ward is not None:
        data, stays, outcomes = ward.measurements, ward.stays, ward.outcomes
    dictionary = variables if isinstance(variables, Dictionary) else Dictionary.load(*_listed(variables))
    own = source == "physionet2012"
    identifiers = (physionet2012.IDENTIFIER,) if own else ()
    with Intake(dictionary, source=source, memory_gb=memory_gb, identifiers=identifiers) as intake:
        if own:
            part, table = physionet2012.stays_part(Path(data))
            intake.sql.register(part.sql, table)
            intake.add(part, {}, missing=physionet2012.NOT_MEASURED)
        else:
            for part in open_parts(intake.sql, data, delimiter=delimiter):
                intake.add(part, columns or {}, time_format=time_format)
        events = _settle(intake, stays, outcomes, columns or {}, max_rejected=max_rejected, name=_name(data, source))
    return events if ward is None else replace(events, source=ward.description, simulated=True)


def _settle(
    intake: Intake, stays: Any, outcomes: Any, columns: Mapping[str, str], *, max_rejected: float, name: str
) -> Events:
    dated = intake.settle_clock()
    intake.settle_units()
    notes: dict[str, int] = {}
    given = None
    if stays is not None:
        given, notes = read_stays(stays, intake.dictionary, source=intake.source, columns=columns)
    table = intake.settle_stays(given)
    facts, merged = intake.facts()
    coded, vocabulary, repeated = intake.coded()
    table = _with_descriptors(intake, table, facts)
    outcome_names: tuple[str, ...] = ()
    if outcomes is not None:
        renamed = physionet2012.OUTCOMES if intake.source == "physionet2012" else {}
        keys = {"stay_id": physionet2012.IDENTIFIER} if renamed else columns
        missing = physionet2012.NOT_MEASURED if renamed else ()
        known = read_outcomes(outcomes, columns=keys, renamed=renamed, missing=missing)
        table, notes["outcomes of no stay of the extract"] = join_outcomes(table, known)
        outcome_names = tuple(known.columns.difference(["patient_id", "stay_id"], sort=False))
    notes |= {"stays": len(table), "stays without a series": _without_series(intake, facts, len(table))}
    ledger = intake.ledger(merged + repeated, notes=notes)
    _check_rejected(ledger, max_rejected)
    facts, variables = _only_used(facts, intake.ordered)
    statics = tuple(variable for variable in intake.ordered if variable.static and variable.name in table)
    return Events(
        facts, coded, vocabulary, table, variables, statics, outcome_names, ledger, dated, name, _disk=intake.disk
    )


def _with_descriptors(intake: Intake, stays: pd.DataFrame, facts: pa.Table) -> pd.DataFrame:
    """Stays with the descriptors that came as rows; what the stays table already knows is kept."""
    for name in ("start", "end"):
        if name not in stays:
            stays[name] = pd.Series(pd.NA, index=stays.index, dtype="Int64")
    rows = intake.descriptors()
    if intake.source == "physionet2012":
        rows = pd.concat([rows, _admission_weight(facts, intake.ordered)], ignore_index=True)
    for position in sorted(set(rows["variable"])):
        variable, group = intake.ordered[position], rows[rows["variable"] == position]
        text = group["value"].map("{:.12g}".format) if variable.levels else group["value"].astype(str)
        values = static_values(variable, text)[0].set_axis(group["position"]).reindex(range(len(stays)))
        stays[variable.name] = stays[variable.name].fillna(values) if variable.name in stays else values
    return stays


def _admission_weight(facts: pa.Table, ordered: tuple[Variable, ...]) -> pd.DataFrame:
    """The weight at hour 0, which the challenge gives as a descriptor and as the first of a series."""
    names = [variable.name for variable in ordered]
    rows = (
        facts.filter(_is_admission_weight(facts, ordered))
        .select(["stay", "value"])
        .to_pandas()
        .rename(columns={"stay": "position"})
    )
    return rows.assign(variable=names.index("admission_weight"))


def _is_admission_weight(facts: pa.Table, ordered: tuple[Variable, ...]) -> pa.ChunkedArray:
    weight = [variable.name for variable in ordered].index("weight")
    return pc.and_(pc.equal(facts["time"], 0), pc.equal(facts["variable"], weight))


def _without_series(intake: Intake, facts: pa.Table, stays: int) -> int:
    """Stays with nothing measured but what is also a descriptor."""
    if intake.source == "physionet2012":
        facts = facts.filter(pc.invert(_is_admission_weight(facts, intake.ordered)))
    return stays - pc.count_distinct(facts["stay"]).as_py()


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
    if ledger.faults > max_rejected * max(ledger.rows_in, 1):
        worst = ledger.findings[ledger.findings["reason"] != MISSING].iloc[0]
        most = f"{worst['reason']} {worst['variable']} ({worst['rows']:,})"
        raise InputError(
            f"at most {max_rejected:.0%} of rows rejected",
            f"{ledger.faults:,} of {ledger.rows_in:,}, most often: {most}",
            "Repair the extract, add the variable or unit to your own YAML (variables=), or raise max_rejected.",
            where=f"first at {worst['where']}",
        )


def _listed(variables: Any) -> list[Any]:
    if variables is None:
        return []
    return list(variables) if isinstance(variables, list | tuple) else [variables]


def _name(data: Any, source: str) -> str:
    return f"{source}: {Path(data).name}" if isinstance(data, str | Path) else f"{source}: table in memory"
