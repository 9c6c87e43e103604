"""Coded events of a FHIR export: diagnoses, procedures and drugs, each with the instant at which it was known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from clinicalgru.data.ingest.ndjson import check_kind, found_files, json_errors, resources_sql
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.tables import TablePart, literal
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import OUTSIDE, RETRACTED

CODE = "STRUCT(coding STRUCT(system VARCHAR, code VARCHAR)[])"
REFERENCE, PERIOD = "STRUCT(reference VARCHAR)", 'STRUCT("start" VARCHAR, "end" VARCHAR)'
ABOUT = {"resourceType": "VARCHAR", "subject": REFERENCE, "encounter": REFERENCE, "context": REFERENCE}
RETRACTED_STATUS = ("entered-in-error", "not-done", "cancelled", "refuted", "draft", "stopped-before-start")
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


DRUG = "coalesce(medicationCodeableConcept.coding, medication.concept.coding)[1].code"
DRUGS = {"status": "VARCHAR", "medicationCodeableConcept": CODE, "medication": f"STRUCT(concept {CODE})"}
RESOURCES = {
    "Condition": CodedResource(
        "diagnosis", "code.coding[1].code", "coalesce(onsetDateTime, onsetPeriod.start, recordedDate)",
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


def add_coded(workspace: Workspace, folder: Path) -> None:
    """Put the export's diagnoses, procedures and drugs into the intake; needs the table fhir_links.

    Drugs are those given; where the export has no administrations, those prescribed. What is marked as an error,
    not done, refuted or a draft is counted, not used.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    folder : Path
        Folder of the NDJSON files.

    Raises
    ------
    InputError
        If a file is not NDJSON of the resource that its name says.
    """
    for kind, coded in RESOURCES.items():
        if kind == "MedicationRequest" and found_files(folder, "MedicationAdministration"):
            continue
        for file in found_files(folder, kind):
            with json_errors(file):
                workspace.sql.execute(f"CREATE OR REPLACE TABLE fhir_coded AS {_rows(coded, file)}")
            check_kind(workspace.sql, "fhir_coded", file, kind)
            part = TablePart(
                file.name, "fhir_coded", dict.fromkeys(COLUMNS, "VARCHAR"), first_row=1, files=(file.name,)
            )
            workspace.add_rows(part, {"source_reason": "source_reason"}, RowFormat(assign_by_time=True))
            workspace.sql.execute("DROP TABLE fhir_coded")


def _rows(coded: CodedResource, file: Path) -> str:
    ended = "l.ended" if coded.variable == "diagnosis" else "NULL"
    return f"""
SELECT 0 AS c_file, c_row, kind, patient AS patient_id, {stay_sql()} AS stay_id, {instant_sql("moment")} AS time,
    coalesce({end_of_day_sql("known")}, {ended}, CASE WHEN length(moment) = 10 THEN {end_of_day_sql("moment")} END)
        AS available_at,
    {literal(coded.variable)} AS variable, NULL::VARCHAR AS value, NULL::VARCHAR AS unit, code,
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


def instant_sql(moment: str) -> str:
    """Return SQL of an instant in full; a date is its first moment, a month or year is left unreadable.

    Parameters
    ----------
    moment : str
        SQL of a FHIR date, dateTime or instant.

    Returns
    -------
    str
        SQL expression.
    """
    return f"""CASE length({moment}) WHEN 10 THEN {moment} || 'T00:00:00Z' WHEN 4 THEN {moment} || '-00-00T00:00Z'
    WHEN 7 THEN {moment} || '-00T00:00Z' ELSE {moment} END"""


def end_of_day_sql(moment: str) -> str:
    """Return SQL of the instant until which a moment is surely past: of a date, its end.

    Parameters
    ----------
    moment : str
        SQL of a FHIR date, dateTime or instant.

    Returns
    -------
    str
        SQL expression.
    """
    return f"CASE WHEN length({moment}) = 10 THEN {moment} || 'T23:59:59.999999Z' ELSE {moment} END"


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
