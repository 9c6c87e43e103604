"""FHIR (R4; R5 and STU3 where they differ in what is read): bulk exports as NDJSON, and Bundles as JSON.

Patient, Encounter and Observation; Condition, Procedure, MedicationAdministration and MedicationRequest where they are.

References
----------
HL7 FHIR R4, https://hl7.org/fhir/R4; Bulk Data Access, https://hl7.org/fhir/uv/bulkdata
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru.data.ingest.detection_limit_sql import limit_sql
from clinicalgru.data.ingest.ndjson import check_kind, json_errors, resources_sql
from clinicalgru.data.ingest.read_options import ReadOptions, as_path
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.tables import TablePart, literal
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import CENSORED, NON_NUMERIC, OUTSIDE, RETRACTED
from clinicalgru.data.sources.fhir.bundles import resource_files
from clinicalgru.data.sources.fhir.coded_events import (
    CODE,
    PERIOD,
    REFERENCE,
    add_coded,
    end_of_day_sql,
    instant_sql,
    patient_sql,
    reference_id_sql,
    stay_sql,
    zone_sql,
)
from clinicalgru.data.sources.fhir.encounters import read_encounters, stay_links
from clinicalgru.data.sources.hospital_stays import CAREUNITS, outcomes_of, stays_of, with_static_variables
from clinicalgru.errors import ArgumentError, InputError

ANCHORS = ("hospital", "visit", "icu")
MIMIC_ITEMS = r"mimic-d-(items|labitems)$"  # code systems of MIMIC-IV on FHIR
QUANTITY = 'STRUCT("value" VARCHAR, comparator VARCHAR, unit VARCHAR, system VARCHAR, code VARCHAR)'
OTHER_VALUES = (
    "valueCodeableConcept valueString valueBoolean valueRange valueRatio valueSampledData valueTime valueDateTime"
)
ABSENT = "dataAbsentReason"
CONTRADICTION = "value with a reason for its absence"
VALUE = {"code": CODE, "valueQuantity": QUANTITY, "valueInteger": "VARCHAR"} | dict.fromkeys(
    [*OTHER_VALUES.split(), ABSENT], "JSON"
)
COMPONENT = f"STRUCT({', '.join(f'{name} {kind}' for name, kind in VALUE.items())})[]"
OBSERVATION = VALUE | {
    "resourceType": "VARCHAR", "status": "VARCHAR", "subject": REFERENCE, "encounter": REFERENCE, "context": REFERENCE,
    "effectiveDateTime": "VARCHAR", "effectiveInstant": "VARCHAR", "effectivePeriod": PERIOD, "issued": "VARCHAR",
    "component": COMPONENT,
}  # fmt: skip
TEXT = "item.valueString->>'$'"
COMPARATORS = "('<', '<=', '>=', '>')"
UCUM = "http://unitsofmeasure.org"


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add the observations and coded events of an export; each Observation value and component is a row.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str or Path
        Folder of NDJSON files, one type of resource in each, or of JSON files: Bundles or single resources.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays, outcomes and notes.

    Raises
    ------
    ArgumentError
        If the anchor is another one, or `data` is no path.
    InputError
        If no encounter is of the requested kind, or a file is missing or damaged.

    Notes
    -----
    Stays are encounters: inpatient and emergency ones (anchor "hospital", the default), all (anchor "visit"), or
    those in intensive care (anchor "icu"), with the outcomes of the encounter that they are part of. Which those are
    says `encounters.read_encounters`. A row goes to its encounter, or to the stay that its encounter is part of; rows
    of other encounters are outside every stay. Rows without an encounter, or of the encounter around an ICU stay, are
    assigned by patient and time. A value is known when it was issued. The value of a date without a time is known at
    the end of the day: in the time zone declared, else at the UTC offset of its encounter, else in UTC. A value without
    an effective time is taken at the time of issue. Retracted and censored values are counted, but not used.

    A file of NDJSON is known by the resourceType of its first resource, not by its name.
    """
    path, anchor = as_path(data, "a folder of NDJSON or JSON files"), options.anchor or "hospital"
    if anchor not in ANCHORS:
        raise ArgumentError(f"an anchor of fhir: {', '.join(ANCHORS)}", f"{anchor!r}", "Choose one of them.")
    files, n_other = resource_files(workspace, path)
    workspace.add_name_sources("loinc")
    visits, notes = read_encounters(workspace, files)
    notes |= {"files without FHIR resources, or hidden, not read": n_other} if n_other else {}
    kinds = {"hospital": visits["is_admission"] | visits["emergency"], "icu": visits["intensive"]}
    chosen = visits[kinds.get(anchor, visits["stay_id"].notna())]
    if chosen.empty:
        raise InputError(
            f"encounters of the kind {anchor}",
            f"{len(visits):,} encounters of other kinds",
            "Try anchor='visit'.",
            where="Encounter",
        )
    notes["encounters of another kind, not taken as stays"] = len(visits) - len(chosen)
    stay_links(workspace, visits, chosen)
    stays, more = stays_of(chosen, workspace.dictionary, where="Encounter")
    if anchor == "icu":
        units = {"icu_type": chosen["careunit"].reset_index(drop=True).map(CAREUNITS).astype(object)}
        stays, _ = with_static_variables(stays, workspace.dictionary, units)
    for file in files["Observation"]:
        _add(workspace, file)
    notes |= add_coded(workspace, files)
    outcomes = _outcomes(visits, around=anchor == "icu").loc[visits["stay_id"].isin(chosen["stay_id"]).to_numpy()]
    return SourceResult(stays, outcomes.reset_index(drop=True), count_unmapped=False, notes=notes | more)


def _outcomes(visits: pd.DataFrame, *, around: bool) -> pd.DataFrame:
    """Outcomes of each encounter; with `around`, but for their length, of the encounter it is part of."""
    outcomes = outcomes_of(visits)
    if not around:
        return outcomes
    of = visits["parent"].where(visits["parent"].isin(visits["stay_id"]), visits["stay_id"])
    taken = outcomes.drop_duplicates("stay_id").set_index("stay_id").loc[of].reset_index(drop=True)
    return outcomes.assign(**{name: taken[name] for name in ("in_hospital_death", "readmission_30d")})


def _add(workspace: Workspace, file: Path) -> None:
    """One file's observations: checked here are status, comparator and kind of value, which only FHIR has."""
    with json_errors(file):
        workspace.sql.execute(f"CREATE OR REPLACE TABLE fhir_rows AS {_rows(workspace, file)}")
    check_kind(workspace.sql, "fhir_rows", file, "Observation")
    names = ["patient_id", "stay_id", "time", "available_at", "variable", "value", "unit", "source_reason"]
    part = TablePart(file.name, "fhir_rows", dict.fromkeys(names, "VARCHAR"), first_row=1, files=(file.name,))
    workspace.add_rows(part, {"source_reason": "source_reason"}, RowFormat(assign_by_time=True))
    workspace.sql.execute("DROP TABLE fhir_rows")


def _rows(workspace: Workspace, file: Path) -> str:
    moment = "coalesce(effectiveDateTime, effectiveInstant, effectivePeriod['end'], effectivePeriod.start, issued)"
    own = f"{{{', '.join(f'{literal(name)}: {name}' for name in VALUE)}}}"
    has_value = " OR ".join(f"{name} IS NOT NULL" for name in VALUE if name not in ("code", ABSENT))
    value, quantity = 'coalesce(item.valueQuantity."value", item.valueInteger)', "item.valueQuantity"
    limit = "NULL::VARCHAR"
    if workspace.uses_limits:
        bound = f"CASE WHEN {quantity}.comparator IN {COMPARATORS} THEN {quantity}.comparator || {value} END"
        limit = f"coalesce({bound}, {limit_sql(TEXT)})"
    zone = zone_sql(workspace)
    other = " OR ".join(f"item.{name} IS NOT NULL" for name in OTHER_VALUES.split())
    return f"""
SELECT 0 AS c_file, c_row, kind, patient AS patient_id, {stay_sql()} AS stay_id, {instant_sql("moment", zone)} AS time,
    coalesce(issued, CASE WHEN length(moment) = 10 THEN {end_of_day_sql("moment", zone)} END) AS available_at,
    {_name(workspace)} AS variable, coalesce({limit}, {value}) AS value,
    CASE WHEN {quantity}.code IS NOT NULL AND {quantity}.system = '{UCUM}' THEN {quantity}.code
         ELSE coalesce({quantity}.unit, {quantity}.code, {_mimic_unit(workspace)}) END AS unit,
    CASE WHEN status IN ('entered-in-error', 'cancelled') THEN {literal(RETRACTED)}
         WHEN {value} IS NOT NULL AND item.{ABSENT} IS NOT NULL THEN {literal(CONTRADICTION)}
         WHEN {limit} IS NOT NULL AND NOT coalesce(l.is_outside, false) THEN NULL
         WHEN {value} IS NULL AND ({other}) THEN {literal(NON_NUMERIC)}
         WHEN {value} IS NOT NULL AND {quantity}.comparator IS NOT NULL THEN {literal(CENSORED)}
         WHEN {value} IS NOT NULL AND l.is_outside THEN {literal(OUTSIDE)} END AS source_reason
FROM (
    SELECT c_row, resourceType AS kind, status, issued, {moment} AS moment,
        {patient_sql("subject.reference")} AS patient,
        {reference_id_sql("coalesce(encounter.reference, context.reference)")} AS visit,
        unnest(list_concat(CASE WHEN {has_value} OR len(coalesce(component, [])) = 0 THEN [{own}] ELSE [] END,
            component)) AS item
    FROM {resources_sql(file, OBSERVATION)}
) LEFT JOIN fhir_links l USING (visit)"""


def _name(workspace: Workspace) -> str:
    """SQL of an item's name: the coding that the dictionary knows, else its LOINC code, else any code.

    Item numbers of MIMIC-IV count in their own code systems only; they give the variable itself.
    """
    known = sorted({**workspace.dictionary.names("loinc"), **workspace.dictionary.names("fhir")})
    format_names = "[" + ", ".join(literal(code) for code in known) + "]"
    codes = "list_transform(item.code.coding, lambda c: c.code)"
    loinc = "list_transform(list_filter(item.code.coding, lambda c: c.system = 'http://loinc.org'), lambda c: c.code)"
    mapped = f"list_filter({codes}, lambda code: list_contains({format_names}, code))"
    mimic = f"{_sql_map(workspace.dictionary.names('mimic-iv'))}[{_mimic_item()}]"
    return f"coalesce({mimic}, {mapped}[1], {loinc}[1], {codes}[1], 'no code')"


def _mimic_item() -> str:
    """SQL of the item number of MIMIC-IV that an item is coded with, if any."""
    is_item = f"regexp_matches(c.system, '{MIMIC_ITEMS}')"
    return f"list_transform(list_filter(item.code.coding, lambda c: {is_item}), lambda c: c.code)[1]"


def _mimic_unit(workspace: Workspace) -> str:
    """SQL of the unit of an item of MIMIC-IV that has none, such as percent of inspired oxygen."""
    names, units = workspace.dictionary.names("mimic-iv"), {}
    for item, name in names.items():
        if (unit := workspace.dictionary[name].unit_in.get("mimic-iv")) is not None:
            units[item] = unit
    return f"{_sql_map(units)}[{_mimic_item()}]"


def _sql_map(texts: Mapping[str, str]) -> str:
    """A mapping of text to text as SQL."""
    keys, values = (", ".join(map(literal, cells)) for cells in (texts.keys(), texts.values()))
    return f"MAP([{keys}]::VARCHAR[], [{values}]::VARCHAR[])"
