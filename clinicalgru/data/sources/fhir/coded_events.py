"""Coded events of a FHIR export: diagnoses, procedures and drugs, each with the instant at which it was known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clinicalgru.data.ingest.ndjson import check_kind, json_errors, resources_sql
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.tables import TablePart, literal
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import OUTSIDE, RETRACTED

CODE = "STRUCT(coding STRUCT(system VARCHAR, code VARCHAR)[])"
REFERENCE, PERIOD = "STRUCT(reference VARCHAR)", 'STRUCT("start" VARCHAR, "end" VARCHAR)'
ABOUT = {"resourceType": "VARCHAR", "subject": REFERENCE, "encounter": REFERENCE, "context": REFERENCE}
RETRACTED_STATUS = ("entered-in-error", "not-done", "cancelled", "refuted", "draft", "stopped-before-start")
AT_END = "diagnoses without a date, taken at the end of their encounter"
UNDATED = "diagnoses without a date or an ended encounter, not used"
NOT_READ = "prescriptions not read, as drugs given are recorded"
COLUMNS = ["patient_id", "stay_id", "time", "available_at", "variable", "value", "unit", "code", "source_reason"]


@dataclass(frozen=True)
class CodedResource:
    """How a type of resource says what happened and when.

    Attributes
    ----------
    variable : str
        Variable of the dictionary.
    code : str
        SQL of the code.
    moment : str
        SQL of when it happened.
    known : str
        SQL of when that was written down, where the resource says so; else it is taken to be known when it
        happened, and a diagnosis when its encounter ended.
    status : str
        SQL of what says that it is not so.
    fields : dict of str to str
        What is parsed of it besides subject and encounter, with DuckDB's types.
    """

    variable: str
    code: str
    moment: str
    known: str = "NULL"
    status: str = "status"
    fields: dict[str, str] = field(default_factory=dict)


MEDICATION_ID = "coalesce(medicationReference.reference, medication.reference.reference)"
MEDICATION_KEY = f"nullif(regexp_extract({MEDICATION_ID}, '([A-Za-z0-9.-]+)(/_history/[^/]*)?$', 1), '')"
DRUG = f"""coalesce(coalesce(medicationCodeableConcept.coding, medication.concept.coding)[1].code,
    (SELECT m.code FROM fhir_medications m WHERE m.medication = {MEDICATION_KEY}))"""
DRUGS = {"status": "VARCHAR", "medicationCodeableConcept": CODE, "medicationReference": REFERENCE} | {
    "medication": f"STRUCT(concept {CODE}, reference {REFERENCE})"
}
MEDICATION = {"resourceType": "VARCHAR", "id": "VARCHAR", "code": CODE} | {"identifier": 'STRUCT("value" VARCHAR)[]'}
ONSETS = ("onsetDateTime", "onsetPeriod['start']", "recordedDate")  # of a year or month, the next is taken
RESOURCES = {
    "Condition": CodedResource(
        "diagnosis", "code.coding[1].code",
        "coalesce(" + ", ".join(f"if(length({name}) >= 10, {name}, NULL)" for name in ONSETS) + ")",
        known="recordedDate", status="verificationStatus.coding[1].code",
        fields={"code": CODE, "onsetDateTime": "VARCHAR", "onsetPeriod": PERIOD, "recordedDate": "VARCHAR",
                "verificationStatus": CODE},
    ),
    "Procedure": CodedResource(
        "procedure", "code.coding[1].code",
        "coalesce(performedDateTime, occurrenceDateTime, performedPeriod.start, occurrencePeriod.start)",
        known="coalesce(performedPeriod['end'], occurrencePeriod['end'])",
        fields={"status": "VARCHAR", "code": CODE, "performedDateTime": "VARCHAR", "occurrenceDateTime": "VARCHAR",
                "performedPeriod": PERIOD, "occurrencePeriod": PERIOD},
    ),
    "MedicationAdministration": CodedResource(
        "drug", DRUG, "coalesce(effectiveDateTime, occurenceDateTime, effectivePeriod.start, occurencePeriod.start)",
        fields=DRUGS | {"effectiveDateTime": "VARCHAR", "occurenceDateTime": "VARCHAR",  # so spelt in R5
                        "effectivePeriod": PERIOD, "occurencePeriod": PERIOD},
    ),
    "MedicationRequest": CodedResource("drug", DRUG, "authoredOn", fields=DRUGS | {"authoredOn": "VARCHAR"}),
}  # fmt: skip


def add_coded(workspace: Workspace, files: Mapping[str, list[Path]]) -> dict[str, int]:
    """Put the export's diagnoses, procedures and drugs into the intake; needs the table fhir_links.

    Drugs are those given; where the export has no administrations, those prescribed. What is marked as an error,
    not done, refuted or a draft is counted, not used. A diagnosis without a day of onset is dated by its recordedDate,
    else by the end of its encounter; without any of these it is not used.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    files : mapping of str to list of Path
        Files of each type of resource.

    Returns
    -------
    dict of str to int
        Notes: how many diagnoses were dated otherwise, or could not be, and how many prescriptions were not read.

    Raises
    ------
    InputError
        If a file is not NDJSON, or holds resources of several types.
    """
    _create_medications(workspace, files.get("Medication", []))
    notes: dict[str, int] = {}
    for kind, coded in RESOURCES.items():
        for file in files.get(kind, []):
            if kind == "MedicationRequest" and "MedicationAdministration" in files:
                query = f"SELECT count(*) FROM {resources_sql(file, {'resourceType': 'VARCHAR'})}"
                with json_errors(file):
                    n_rows = workspace.sql.execute(query).fetchall()[0][0]
                notes[NOT_READ] = notes.get(NOT_READ, 0) + n_rows
                continue
            with json_errors(file):
                workspace.sql.execute(f"CREATE OR REPLACE TABLE fhir_coded AS {_rows(workspace, coded, file)}")
            check_kind(workspace.sql, "fhir_coded", file, kind)
            part = TablePart(
                file.name, "fhir_coded", dict.fromkeys(COLUMNS, "VARCHAR"), first_row=1, files=(file.name,)
            )
            workspace.add_rows(part, {"source_reason": "source_reason"}, RowFormat(assign_by_time=True))
            counts = workspace.sql.execute("SELECT dated, count(*) FROM fhir_coded WHERE dated <> '' GROUP BY dated")
            for dated, n_rows in counts.fetchall():
                notes[dated] = notes.get(dated, 0) + n_rows
            workspace.sql.execute("DROP TABLE fhir_coded")
    return notes


def _create_medications(workspace: Workspace, files: list[Path]) -> None:
    """Table fhir_medications: the code of each Medication, else its identifier."""
    workspace.sql.execute("CREATE OR REPLACE TABLE fhir_medications (medication VARCHAR PRIMARY KEY, code VARCHAR)")
    for file in files:
        with json_errors(file):
            workspace.sql.execute(f"""
INSERT OR IGNORE INTO fhir_medications
SELECT id, coalesce(code.coding[1].code, identifier[1]."value") FROM {resources_sql(file, MEDICATION)}
WHERE id IS NOT NULL""")


def _rows(workspace: Workspace, coded: CodedResource, file: Path) -> str:
    zone = zone_sql(workspace)
    is_diagnosis, ended = coded.variable == "diagnosis", "l.ended" if coded.variable == "diagnosis" else "NULL"
    dated = (
        f"""CASE WHEN moment IS NOT NULL OR code IS NULL THEN '' WHEN l.ended IS NOT NULL THEN {literal(AT_END)}
        ELSE {literal(UNDATED)} END"""
        if is_diagnosis
        else "''"
    )
    code = f"CASE WHEN {dated} <> {literal(UNDATED)} THEN code END"
    return f"""
SELECT 0 AS c_file, c_row, kind, patient AS patient_id, {stay_sql()} AS stay_id,
    coalesce({instant_sql("moment", zone)}, {ended}) AS time,
    coalesce({end_of_day_sql("known", zone)}, {ended}, CASE WHEN length(moment) = 10
        THEN {end_of_day_sql("moment", zone)} END) AS available_at,
    {literal(coded.variable)} AS variable, NULL::VARCHAR AS value, NULL::VARCHAR AS unit, {code} AS code,
    {dated} AS dated,
    CASE WHEN status_code IN ({", ".join(map(literal, RETRACTED_STATUS))}) THEN {literal(RETRACTED)}
         WHEN code IS NOT NULL AND l.is_outside THEN {literal(OUTSIDE)} END AS source_reason
FROM (
    SELECT c_row, resourceType AS kind, {coded.code} AS code, {coded.moment} AS moment, {coded.known} AS known,
        {coded.status} AS status_code, {patient_sql("subject.reference")} AS patient,
        {reference_id_sql("coalesce(encounter.reference, context.reference)")} AS visit
    FROM {resources_sql(file, ABOUT | coded.fields)}
) LEFT JOIN fhir_links l USING (visit)"""


def stay_sql() -> str:
    """Return SQL of a row's stay.

    An encounter that the export does not know keeps its name, and is counted as such.

    Returns
    -------
    str
        SQL expression.
    """
    return "CASE WHEN l.visit IS NULL THEN visit ELSE l.stay END"


def zone_sql(workspace: Workspace) -> str:
    """Return SQL of the UTC offset of a date: none where a time zone is declared, else that of its encounter, else UTC.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.

    Returns
    -------
    str
        SQL expression, over fhir_links as l.
    """
    return "''" if workspace.has_timezone else "coalesce(l.zone, 'Z')"


def instant_sql(moment: str, zone: str) -> str:
    """Return SQL of an instant in full; a date is its first moment, a month or year is left unreadable.

    Parameters
    ----------
    moment : str
        SQL of a FHIR date, dateTime or instant.
    zone : str
        SQL of the UTC offset of dates.

    Returns
    -------
    str
        SQL expression.
    """
    return f"""CASE length({moment}) WHEN 10 THEN {moment} || 'T00:00:00' || {zone}
    WHEN 4 THEN {moment} || '-00-00T00:00Z' WHEN 7 THEN {moment} || '-00T00:00Z' ELSE {moment} END"""


def end_of_day_sql(moment: str, zone: str) -> str:
    """Return SQL of the instant until which a moment is surely past: of a date, its end.

    Parameters
    ----------
    moment : str
        SQL of a FHIR date, dateTime or instant.
    zone : str
        SQL of the UTC offset of dates.

    Returns
    -------
    str
        SQL expression.
    """
    return f"CASE WHEN length({moment}) = 10 THEN {moment} || 'T23:59:59.999999' || {zone} ELSE {moment} END"


def reference_id_sql(reference: str) -> str:
    """Return SQL of the identifier in a reference.

    References look like Encounter/12, https://.../Encounter/12/_history/1 or urn:uuid:...

    Parameters
    ----------
    reference : str
        SQL of the reference.

    Returns
    -------
    str
        SQL expression.
    """
    return f"nullif(regexp_extract({reference}, '([A-Za-z0-9.-]+)(/_history/[^/]*)?$', 1), '')"


def patient_sql(reference: str) -> str:
    """Return SQL of the patient in a reference; NULL where the subject is a group, device or place.

    Parameters
    ----------
    reference : str
        SQL of the reference.

    Returns
    -------
    str
        SQL expression.
    """
    is_patient = f"({reference} LIKE '%Patient/%' OR {reference} LIKE 'urn:uuid:%')"
    return f"CASE WHEN {is_patient} THEN {reference_id_sql(reference)} END"
