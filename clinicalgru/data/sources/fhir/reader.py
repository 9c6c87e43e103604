"""FHIR bulk export (R4; R5 and STU3 where they differ in what is read) as NDJSON.

Patient, Encounter and Observation; Condition, Procedure, MedicationAdministration and MedicationRequest where they are.

References
----------
HL7 FHIR R4, https://hl7.org/fhir/R4; Bulk Data Access, https://hl7.org/fhir/uv/bulkdata
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from clinicalgru.data.ingest.ndjson import check_kind, json_errors, resource_files, resources_sql
from clinicalgru.data.ingest.read_options import ReadOptions, as_path
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.tables import TablePart, literal
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import CENSORED, NON_NUMERIC, OUTSIDE, RETRACTED
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
)
from clinicalgru.data.sources.hospital_stays import INTENSIVE_CARE_NAME, outcomes_of, stays_of, with_dtypes
from clinicalgru.errors import ArgumentError, InputError

INPATIENT = ("IMP", "ACUTE", "NONAC", "OBSENC")  # HL7 v3 ActCode: inpatient, acute, non-acute, observation
EMERGENCY = ("EMER",)
ANCHORS = ("hospital", "visit", "icu")
NOT_TAKEN_PLACE = ("entered-in-error", "cancelled", "planned")
DIED = "exp"  # discharge disposition: expired
QUANTITY = 'STRUCT("value" VARCHAR, comparator VARCHAR, unit VARCHAR, system VARCHAR, code VARCHAR)'
OTHER_VALUES = (
    "valueCodeableConcept valueString valueBoolean valueRange valueRatio valueSampledData valueTime valueDateTime"
)
VALUE = {"code": CODE, "valueQuantity": QUANTITY, "valueInteger": "VARCHAR"} | dict.fromkeys(
    OTHER_VALUES.split(), "JSON"
)
COMPONENT = f"STRUCT({', '.join(f'{name} {kind}' for name, kind in VALUE.items())})[]"
LEAVING = f"STRUCT(dischargeDisposition {CODE})"
PATIENT = dict.fromkeys(["resourceType", "id", "gender", "birthDate", "deceasedDateTime", "deceasedBoolean"], "VARCHAR")
ENCOUNTER = {"resourceType": "VARCHAR", "id": "VARCHAR", "status": "VARCHAR", "class": "JSON"} | {
    "subject": REFERENCE, "period": PERIOD, "actualPeriod": PERIOD,
    "hospitalization": LEAVING, "admission": LEAVING, "partOf": REFERENCE, "type": "JSON", "serviceType": "JSON",
    "location": "JSON",
}  # fmt: skip
OBSERVATION = VALUE | {
    "resourceType": "VARCHAR", "status": "VARCHAR", "subject": REFERENCE, "encounter": REFERENCE, "context": REFERENCE,
    "effectiveDateTime": "VARCHAR", "effectiveInstant": "VARCHAR", "effectivePeriod": PERIOD, "issued": "VARCHAR",
    "component": COMPONENT,
}  # fmt: skip
UCUM = "http://unitsofmeasure.org"


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add the observations and coded events of a bulk export; each Observation value and component is a row.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str or Path
        Folder of the NDJSON files.
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
        If no encounter is of the kind asked for, or a file is missing or damaged.

    Notes
    -----
    Stays are encounters: inpatient and emergency ones (anchor "hospital", the default), all (anchor "visit"), or
    those whose type, service or location names intensive care (anchor "icu"); the outcomes of the latter are
    those of the encounter that they are part of. A row goes to its encounter, or to the stay that its encounter
    is part of; rows of other encounters are outside every stay. Rows without an encounter, or of the encounter
    around an ICU stay, are assigned by patient and time. The value of a date without a time is available at the
    end of the day (UTC). Retracted and censored values are counted, but not used.
    """
    folder, anchor = as_path(data, "a folder of NDJSON files"), options.anchor or "hospital"
    if anchor not in ANCHORS:
        raise ArgumentError(f"an anchor of fhir: {', '.join(ANCHORS)}", f"{anchor!r}", "Choose one of them.")
    files = {kind: resource_files(folder, kind) for kind in ("Patient", "Encounter", "Observation")}
    workspace.add_name_sources("loinc")
    visits, notes = _visits(workspace, files["Patient"], files["Encounter"])
    kinds = {"hospital": visits["is_admission"] | visits["emergency"], "icu": visits["intensive"]}
    chosen = visits[kinds.get(anchor, visits["took_place"])]
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
    for file in files["Observation"]:
        _add(workspace, file)
    add_coded(workspace, folder)
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
    """One file's observations: judged here are status, comparator and kind of value, which only FHIR has."""
    with json_errors(file):
        workspace.sql.execute(f"CREATE OR REPLACE TABLE fhir_rows AS {_rows(workspace, file)}")
    check_kind(workspace.sql, "fhir_rows", file, "Observation")
    names = ["patient_id", "stay_id", "time", "available_at", "variable", "value", "unit", "source_reason"]
    part = TablePart(file.name, "fhir_rows", dict.fromkeys(names, "VARCHAR"), first_row=1, files=(file.name,))
    workspace.add_rows(part, {"source_reason": "source_reason"}, RowFormat(assign_by_time=True))
    workspace.sql.execute("DROP TABLE fhir_rows")


def _rows(workspace: Workspace, file: Path) -> str:
    moment = "coalesce(effectiveDateTime, effectiveInstant, effectivePeriod['end'], effectivePeriod.start)"
    own = f"{{{', '.join(f'{literal(name)}: {name}' for name in VALUE)}}}"
    has_value = " OR ".join(f"{name} IS NOT NULL" for name in VALUE if name != "code")
    value, quantity = 'coalesce(item.valueQuantity."value", item.valueInteger)', "item.valueQuantity"
    other = " OR ".join(f"item.{name} IS NOT NULL" for name in OTHER_VALUES.split())
    return f"""
SELECT 0 AS c_file, c_row, kind, patient AS patient_id, {stay_sql()} AS stay_id, {instant_sql("moment")} AS time,
    coalesce(issued, CASE WHEN length(moment) = 10 THEN {end_of_day_sql("moment")} END) AS available_at,
    {_name(workspace)} AS variable, {value} AS value,
    CASE WHEN {quantity}.code IS NOT NULL AND {quantity}.system = '{UCUM}' THEN {quantity}.code
         ELSE coalesce({quantity}.unit, {quantity}.code) END AS unit,
    CASE WHEN status IN ('entered-in-error', 'cancelled') THEN {literal(RETRACTED)}
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
    """SQL of an item's name: the coding that the dictionary knows, else its LOINC code, else any code."""
    known = sorted({**workspace.dictionary.names("loinc"), **workspace.dictionary.names("fhir")})
    format_names = "[" + ", ".join(literal(code) for code in known) + "]"
    codes = "list_transform(item.code.coding, lambda c: c.code)"
    loinc = "list_transform(list_filter(item.code.coding, lambda c: c.system = 'http://loinc.org'), lambda c: c.code)"
    mapped = f"list_filter({codes}, lambda code: list_contains({format_names}, code))"
    return f"coalesce({mapped}[1], {loinc}[1], {codes}[1], 'no code')"


def _visits(workspace: Workspace, patients: list[Path], encounters: list[Path]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Encounters that took place, as `visits.outcomes_of` wants them, and how many did not."""
    people = pd.concat([_frame(workspace, file, "Patient", PATIENT, _PATIENT_SQL) for file in patients])
    if people["patient_id"].duplicated().any():
        raise InputError("each patient once", "a patient twice", "Keep one resource a patient.", where="Patient")
    table = pd.concat([_frame(workspace, file, "Encounter", ENCOUNTER, _ENCOUNTER_SQL) for file in encounters])
    took_place = ~table["status"].isin(NOT_TAKEN_PLACE)
    visits = table.merge(people, on="patient_id", how="left").assign(took_place=took_place.to_numpy())
    # the patient may die without a date: then only the disposition can tell where
    visits["deaths_known"] = ~(visits["dead"].fillna(False).astype(bool) & visits["death"].isna())
    visits["is_admission"] = visits["class"].isin(INPATIENT) & visits["took_place"]
    visits["emergency"] = visits["class"].isin(EMERGENCY) & visits["took_place"]
    visits["intensive"] = visits["intensive"].fillna(False).astype(bool) & visits["took_place"]
    visits["record_end"] = visits["start"].max()  # of the whole export: FHIR does not say until when it follows whom
    notes = {"encounters planned, cancelled or entered in error": int((~took_place).sum())}
    return with_dtypes(visits).query("took_place").reset_index(drop=True), notes


_BIRTH = "CASE length(birthDate) WHEN 4 THEN birthDate || '-07-02' WHEN 7 THEN birthDate || '-15' ELSE birthDate END"
_PATIENT_SQL = f"""
id AS patient_id, gender AS sex, epoch_us(try_cast({_BIRTH} AS TIMESTAMPTZ)) AS birth,
epoch_us(try_cast(deceasedDateTime AS TIMESTAMPTZ)) AS death,
deceasedDateTime IS NOT NULL OR coalesce(deceasedBoolean = 'true', false) AS dead"""
_ENCOUNTER_SQL = f"""
id AS stay_id, status, {patient_sql("subject.reference")} AS patient_id,
{reference_id_sql("partOf.reference")} AS parent,
regexp_matches(concat_ws(' ', type::VARCHAR, serviceType::VARCHAR, location::VARCHAR), '{INTENSIVE_CARE_NAME}', 'i')
    AS intensive,
coalesce(class->>'$.code', class->>'$[0].coding[0].code') AS class,
coalesce(period, actualPeriod) AS p, coalesce(length(p['start']) = 10, false) AS start_is_date,
coalesce(length(p['end']) = 10, false) AS end_is_date, epoch_us(try_cast(p['start'] AS TIMESTAMPTZ)) AS start,
epoch_us(try_cast(
    CASE WHEN end_is_date THEN p['end'] || 'T23:59:59.999999Z' ELSE p['end'] END AS TIMESTAMPTZ)) AS "end",
p['start'] IS NOT NULL AND start IS NULL OR p['end'] IS NOT NULL AND "end" IS NULL AS lost,
coalesce(hospitalization, admission).dischargeDisposition.coding[1].code AS disposition,
CASE WHEN disposition IS NOT NULL THEN CAST(disposition = '{DIED}' AS DOUBLE) END AS died_here"""


def _frame(workspace: Workspace, file: Path, kind: str, columns: dict[str, str], sql: str) -> pd.DataFrame:
    """The resources of one small file; refused: another type, no id, a start or end that is no date."""
    with json_errors(file):
        select = f"SELECT c_row, resourceType AS kind, {sql} FROM {resources_sql(file, columns)} ORDER BY c_row"
        workspace.sql.execute(f"CREATE OR REPLACE TABLE fhir_small AS {select}")
    check_kind(workspace.sql, "fhir_small", file, kind)
    frame = workspace.sql.execute("SELECT * FROM fhir_small").df()
    identifier = "patient_id" if kind == "Patient" else "stay_id"
    for wrong, expected in ((frame[identifier].isna(), "an id"), (frame.get("lost", frame["c_row"] < 0), "dates")):
        if wrong.any():
            where = f"{file.name}, row {frame.loc[wrong, 'c_row'].iloc[0]}"
            raise InputError(
                f"{expected} in every {kind}", "a missing or unreadable one", "Export it again.", where=where
            )
    times = [name for name in ("birth", "death", "start", "end") if name in frame]
    return frame.drop(columns=["c_row", "kind", "p", "lost"], errors="ignore").astype(dict.fromkeys(times, "Int64"))


def stay_links(workspace: Workspace, visits: pd.DataFrame, chosen: pd.DataFrame) -> None:
    """Create the table fhir_links: each encounter, the stay of its rows, and when it ended.

    Columns: visit, stay, is_outside, ended. The stay is the encounter itself, the one it is part of, or none.
    Without a stay, the encounter is outside, unless a stay is part of it.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    visits : DataFrame
        All encounters: stay_id, parent (the encounter it is part of), end (microseconds).
    chosen : DataFrame
        Those that are stays.
    """
    own, parent, stays = visits["stay_id"].astype(object), visits["parent"].astype(object), set(chosen["stay_id"])
    of = own.where(own.isin(stays), parent.where(parent.isin(stays), None))
    links = pd.DataFrame({"visit": own, "stay": of, "ended": visits["end"].astype("Int64")})
    links["is_outside"] = of.isna() & ~own.isin(set(chosen["parent"].dropna()))
    workspace.sql.register("links_frame", pa.Table.from_pandas(links, preserve_index=False))
    workspace.sql.execute("""
CREATE TABLE fhir_links AS
SELECT visit::VARCHAR visit, stay::VARCHAR stay, is_outside,
    strftime(make_timestamp(ended::BIGINT), '%Y-%m-%dT%H:%M:%S.%fZ') AS ended FROM links_frame""")
