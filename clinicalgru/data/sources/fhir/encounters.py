"""Encounters of a FHIR export with their patients: which are admissions, emergencies and stays in intensive care."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from clinicalgru.data.ingest.ndjson import check_kind, json_errors, resources_sql
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.fhir.coded_events import CODE, PERIOD, REFERENCE, patient_sql, reference_id_sql
from clinicalgru.data.sources.hospital_stays import INTENSIVE_CARE_NAME, with_dtypes
from clinicalgru.errors import InputError

# HL7 v3 ActCode: inpatient, acute, non-acute, observation, short stay
INPATIENT = ("IMP", "ACUTE", "NONAC", "OBSENC", "SS")
EMERGENCY = ("EMER",)
NOT_TAKEN_PLACE = ("entered-in-error", "cancelled", "planned")
# discharge dispositions that are deaths: of HL7, of the patient status of UB-04, and in words
DIED = ("exp", "20", "40", "41", "42", "died", "dead", "death", "deceased", "expired")
LEVELS = 5  # of encounters that are part of another, and of locations
PLACES = "STRUCT(location STRUCT(reference VARCHAR, display VARCHAR))[]"
LEAVING = f"STRUCT(admitSource {CODE}, dischargeDisposition {CODE})"
PATIENT = dict.fromkeys(["resourceType", "id", "gender", "birthDate", "deceasedDateTime", "deceasedBoolean"], "VARCHAR")
ENCOUNTER = {"resourceType": "VARCHAR", "id": "VARCHAR", "status": "VARCHAR", "class": "JSON"} | {
    "subject": REFERENCE, "period": PERIOD, "actualPeriod": PERIOD, "hospitalization": LEAVING, "admission": LEAVING,
    "partOf": REFERENCE, "type": "JSON", "serviceType": "JSON", "identifier": "JSON", "location": PLACES,
}  # fmt: skip
LOCATION = {"resourceType": "VARCHAR", "id": "VARCHAR", "name": "VARCHAR", "alias": "JSON", "type": "JSON"} | {
    "partOf": REFERENCE
}
_BIRTH = "CASE length(birthDate) WHEN 4 THEN birthDate || '-07-02' WHEN 7 THEN birthDate || '-15' ELSE birthDate END"
_PATIENT_SQL = f"""
id AS patient_id, gender AS sex, epoch_us(try_cast({_BIRTH} AS TIMESTAMPTZ)) AS birth,
epoch_us(try_cast(deceasedDateTime AS TIMESTAMPTZ)) AS death,
CASE WHEN length(deceasedDateTime) = 10 THEN deceasedDateTime END AS death_day,
deceasedDateTime IS NOT NULL OR coalesce(deceasedBoolean = 'true', false) AS dead"""
_ENCOUNTER_SQL = f"""
id AS stay_id, status, {patient_sql("subject.reference")} AS patient_id,
{reference_id_sql("partOf.reference")} AS parent,
regexp_matches(concat_ws(' ', class::VARCHAR, type::VARCHAR, serviceType::VARCHAR, identifier::VARCHAR),
    '{INTENSIVE_CARE_NAME}', 'i') AS intensive,
list_transform(location, lambda place: {reference_id_sql("place.location.reference")}) AS places,
list_transform(location, lambda place: place.location.display) AS place_names,
coalesce(class->>'$.code', class->>'$[0].coding[0].code') AS class,
coalesce(period, actualPeriod) AS p, left(p['start'], 10) AS first_day, left(p['end'], 10) AS last_day,
regexp_extract(substr(coalesce(p['end'], p['start']), 11), '(Z|[+-]\\d{{2}}:\\d{{2}})$') AS zone,
coalesce(length(p['start']) = 10, false) AS start_is_date,
coalesce(length(p['end']) = 10, false) AS end_is_date, epoch_us(try_cast(p['start'] AS TIMESTAMPTZ)) AS start,
epoch_us(try_cast(
    CASE WHEN end_is_date THEN p['end'] || 'T23:59:59.999999Z' ELSE p['end'] END AS TIMESTAMPTZ)) AS "end",
p['start'] IS NOT NULL AND start IS NULL OR p['end'] IS NOT NULL AND "end" IS NULL AS lost,
coalesce(hospitalization, admission) AS leaving, lower(leaving['dischargeDisposition'].coding[1].code) AS disposition,
serviceType IS NOT NULL AND (disposition IS NOT NULL OR leaving['admitSource'].coding[1].code IS NOT NULL) AS admitted,
CASE WHEN disposition IS NOT NULL THEN CAST(disposition IN {DIED} AS DOUBLE) END AS died_here"""
_LOCATION_SQL = f"""
id AS place, {reference_id_sql("partOf.reference")} AS within, name,
regexp_matches(concat_ws(' ', name, alias::VARCHAR, type::VARCHAR), '{INTENSIVE_CARE_NAME}', 'i') AS intensive"""


def read_encounters(workspace: Workspace, files: Mapping[str, list[Path]]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read the encounters that took place.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    files : mapping of str to list of Path
        Files of each type of resource: Patient and Encounter, and Location where the export has it.

    Returns
    -------
    visits : DataFrame
        What `hospital_stays.outcomes_of` needs, and: parent (the encounter it is part of), emergency, intensive,
        careunit (name of its first location), zone (UTC offset of its times, as written).
    notes : dict of str to int
        How many encounters did not take place.

    Raises
    ------
    InputError
        If a patient occurs twice, or a resource has no id or an unreadable period.

    Notes
    -----
    An admission is of an inpatient class; or it names a hospital service and the origin or destination of the patient,
    as MIMIC-IV's admissions of the classes AMB and EMER do. An encounter that is part of an admission or emergency is
    neither. An encounter is in intensive care if its class, type, service or identifier says so; if all its locations
    do; or if it is part of another and one of its locations does. A Location within an intensive care unit is one too.
    An encounter around one in intensive care is none.
    """
    people = pd.concat([_frame(workspace, file, "Patient", PATIENT, _PATIENT_SQL) for file in files["Patient"]])
    if people["patient_id"].duplicated().any():
        raise InputError("each patient once", "a patient twice", "Keep one resource a patient.", where="Patient")
    table = pd.concat([_frame(workspace, file, "Encounter", ENCOUNTER, _ENCOUNTER_SQL) for file in files["Encounter"]])
    took_place = (~table["status"].isin(NOT_TAKEN_PLACE)).to_numpy()
    visits = table.merge(people, on="patient_id", how="left")[took_place].reset_index(drop=True)
    frames = [_frame(workspace, file, "Location", LOCATION, _LOCATION_SQL) for file in files.get("Location", [])]
    visits = _with_places(visits, pd.concat(frames) if frames else None)
    # the patient may die without a date: then only the disposition can tell where
    visits["deaths_known"] = ~(visits["dead"].fillna(False).astype(bool) & visits["death"].isna())
    by_day = (visits["death_day"] >= visits["first_day"]) & (visits["death_day"] <= visits["last_day"])
    is_known = visits["death_day"].notna() & visits["first_day"].notna() & visits["last_day"].notna()
    visits["died_here"] = visits["died_here"].fillna(by_day.astype(float).where(is_known))
    admission = visits["class"].isin(INPATIENT) | visits["admitted"].fillna(False).astype(bool)
    is_part = visits["parent"].isin(visits.loc[admission | visits["class"].isin(EMERGENCY), "stay_id"])
    visits["is_admission"], visits["emergency"] = admission & ~is_part, visits["class"].isin(EMERGENCY) & ~is_part
    visits["record_end"] = visits["start"].max()  # of the whole export: FHIR does not say until when it follows whom
    notes = {"encounters planned, cancelled or entered in error": int((~took_place).sum())}
    return with_dtypes(visits), notes


def _with_places(visits: pd.DataFrame, locations: pd.DataFrame | None) -> pd.DataFrame:
    """Encounters with `intensive` and `careunit`, from the names and resources of their locations."""
    places = visits[["places", "place_names"]].explode(["places", "place_names"])
    named = places["place_names"].astype("string")
    is_intensive = named.str.contains(INTENSIVE_CARE_NAME, regex=True, case=False).fillna(False).astype(bool)
    if locations is not None:
        known = locations.drop_duplicates("place").set_index("place")
        within, units = pd.Series(known.index, index=known.index), known["intensive"].fillna(False).astype(bool)
        for _ in range(LEVELS):
            within = within.map(known["within"])
            units |= within.map(known["intensive"]).fillna(False).astype(bool)
        is_intensive |= places["places"].map(units).fillna(False).astype(bool)
        named = named.fillna(places["places"].map(known["name"]).astype("string"))
    is_place = (places["places"].notna() | places["place_names"].notna()).groupby(level=0).any()
    of_visit = is_intensive.groupby(level=0)
    by_place = is_place & (of_visit.all() | (of_visit.any() & visits["parent"].notna()))
    intensive = visits["intensive"].fillna(False).astype(bool) | by_place
    intensive &= ~visits["stay_id"].isin(visits.loc[intensive, "parent"])  # around a stay in intensive care
    return visits.assign(intensive=intensive, careunit=named.groupby(level=0).first().astype(object))


def _frame(workspace: Workspace, file: Path, kind: str, columns: dict[str, str], sql: str) -> pd.DataFrame:
    """The resources of one small file; refused: another type, no id, a start or end that is no date."""
    with json_errors(file):
        select = f"SELECT c_row, resourceType AS kind, {sql} FROM {resources_sql(file, columns)} ORDER BY c_row"
        workspace.sql.execute(f"CREATE OR REPLACE TABLE fhir_small AS {select}")
    check_kind(workspace.sql, "fhir_small", file, kind)
    frame = workspace.sql.execute("SELECT * FROM fhir_small").df()
    identifier = {"Patient": "patient_id", "Encounter": "stay_id", "Location": "place"}[kind]
    for wrong, expected in ((frame[identifier].isna(), "an id"), (frame.get("lost", frame["c_row"] < 0), "dates")):
        if wrong.any():
            where = f"{file.name}, row {frame.loc[wrong, 'c_row'].iloc[0]}"
            raise InputError(
                f"{expected} in every {kind}", "a missing or unreadable one", "Export it again.", where=where
            )
    times = [name for name in ("birth", "death", "start", "end") if name in frame]
    return frame.drop(columns=["c_row", "kind", "p", "lost", "leaving"], errors="ignore").astype(
        dict.fromkeys(times, "Int64")
    )


def stay_links(workspace: Workspace, visits: pd.DataFrame, chosen: pd.DataFrame) -> None:
    """Create the table fhir_links: each encounter, the stay of its rows, when it ended, and its UTC offset.

    Columns: visit, stay, is_outside, ended, zone. The stay is the encounter itself, the nearest one it is part of, or
    none. Without a stay, the encounter is outside, unless a stay is part of it.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    visits : DataFrame
        All encounters: stay_id, parent (the encounter it is part of), end (microseconds), zone.
    chosen : DataFrame
        Those that are stays.
    """
    own, stays = visits["stay_id"].astype(object), set(chosen["stay_id"])
    parents = visits.drop_duplicates("stay_id").set_index("stay_id")["parent"].astype(object)
    of, above, around = own.where(own.isin(stays), None), own, set()
    for _ in range(LEVELS):
        above = above.map(parents)
        around |= set(above[own.isin(stays)].dropna())
        of = of.where(of.notna(), above.where(above.isin(stays), None))
    links = pd.DataFrame({"visit": own, "stay": of, "ended": visits["end"].astype("Int64"), "zone": visits["zone"]})
    links["is_outside"] = of.isna() & ~own.isin(around)
    workspace.sql.register("links_frame", pa.Table.from_pandas(links, preserve_index=False))
    workspace.sql.execute("""
CREATE TABLE fhir_links AS
SELECT visit::VARCHAR visit, stay::VARCHAR stay, is_outside, nullif(zone::VARCHAR, '') zone,
    strftime(make_timestamp(ended::BIGINT), '%Y-%m-%dT%H:%M:%S.%fZ') AS ended FROM links_frame""")
