"""OMOP CDM 5.4: measurements, observations and coded events of visits or ICU visit details.

References
----------
OHDSI, OMOP Common Data Model 5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from clinicalgru.data.dictionary.schemas import schema_folder
from clinicalgru.data.dictionary.yaml_file import read_yaml
from clinicalgru.data.ingest.detection_limit_sql import limit_sql
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.tables import TablePart, literal
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import CENSORED, NON_NUMERIC, OUTSIDE
from clinicalgru.data.sources.omop.stays import read_visits
from clinicalgru.data.sources.omop.tables import Table, end_of_day_sql, open_tables

EQUAL = "4172703"  # the operator =; any other (<, <=, >=, >) makes a value a bound
SIGNS = "MAP {'4171756': '<', '4171754': '<=', '4172704': '>', '4171755': '>='}"
VALUES = {"measurement": "measurement", "observation": "observation"}  # table -> stem of its columns
EVENTS = {  # table -> stem of its columns, stem of its times, variable
    "condition_occurrence": ("condition", "condition_start", "diagnosis"),
    "drug_exposure": ("drug", "drug_exposure_start", "drug"),
    "procedure_occurrence": ("procedure", "procedure", "procedure"),
}
COLUMNS = ["patient_id", "stay_id", "time", "available_at", "variable", "value", "unit", "code", "source_reason"]


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add the events of a CDM from a folder or .zip of CSV or Parquet, or from a PostgreSQL database.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str or Path
        Folder or .zip, or address of the database.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays, outcomes and notes.

    Raises
    ------
    ArgumentError
        If the anchor is another one.
    InputError
        If a needed table is missing or damaged, or no stay is of the requested kind.

    Notes
    -----
    A row goes to its visit (its visit detail with anchor "icu"). Rows of other visits are outside every stay;
    rows without a visit are assigned by patient and time. Where only a date is recorded, values are available at
    its end, diagnoses not before the end of their visit, and a visit ends with its last day. A datetime at 00:00:00 is
    such a date where it equals the row's date, or where its column holds midnights only. Units are those of the unit
    concept, through CONCEPT where the extract has it, else unit_source_value. Values with an operator other than =
    are censored and not used. Where the extract has CONCEPT_ANCESTOR, a concept unknown to the dictionary counts as
    the variable of its nearest known ancestor, unless the nearest ones have several variables. The ledger's notes say
    for how many rows.
    """
    tables = open_tables(workspace, data, text_format=options.text_format)
    stays, outcomes, notes = read_visits(
        workspace, tables, anchor=options.anchor or "hospital", timezone=options.timezone
    )
    _create_names(workspace, tables)
    _create_units(workspace, tables)
    link = "visit_detail_id" if options.anchor == "icu" else "visit_occurrence_id"
    for name, stem in VALUES.items():
        for table in tables.get(name, []):
            names = {"time": f"{stem}_datetime", "variable": f"{stem}_concept_id", "value": "value_as_number"}
            names |= {"unit": "unit_concept_id", "stay_id": link}
            _add(workspace, table, _values(table, stem, link, uses_limits=workspace.uses_limits), names)
    for name, (stem, clock, variable) in EVENTS.items():
        for table in tables.get(name, []):
            names = {"time": f"{clock}_datetime", "value": f"{stem}_concept_id", "stay_id": link}
            _add(workspace, table, _events(table, stem, clock, variable, link), names)
    labels = _concept_names(workspace, tables)
    return SourceResult(
        stays, outcomes, count_unmapped=False, notes=notes | _descendant_rows(workspace, tables), labels=labels
    )


def _add(workspace: Workspace, table: Table, sql: str, names: Mapping[str, str]) -> None:
    """Add rows under the column names of the CDM, so that messages name these."""
    names = {"patient_id": "person_id", "source_reason": "source_reason", **names}
    renamed = ", ".join(f"{ours} AS {names.get(ours, ours)}" for ours in COLUMNS)
    types = {names.get(ours, ours): "VARCHAR" for ours in COLUMNS}
    label = table.part.label
    part = TablePart(
        label,
        f"(SELECT c_file, c_row, {renamed} FROM ({sql}))",
        types,
        table.part.first_row,
        files=(label,),
        text=table.part.text,
    )
    workspace.add_rows(part, names, RowFormat(assign_by_time=True))


def _values(table: Table, stem: str, link: str, *, uses_limits: bool) -> str:
    """SQL of the rows of measurement or observation, with the source's reason against them, if any."""
    value, written = table.text_sql("value_as_number"), table.text_sql("value_source_value")
    operator = f"coalesce({table.identifier_sql('operator_concept_id')}, '{EQUAL}')"
    bound = f"({operator} <> '{EQUAL}' OR coalesce(regexp_matches({written}, '^[<>≤≥]'), false))"
    sign = f"coalesce({SIGNS}[{operator}], regexp_extract({written}, '^[<>≤≥]=?'))"
    text, answer = table.text_sql("value_as_string"), table.identifier_sql("value_as_concept_id")
    other = f"({text} IS NOT NULL OR {answer} IS NOT NULL)"
    limit = f"coalesce(CASE WHEN {bound} THEN {sign} || {value} END, {limit_sql(written)}, {limit_sql(text)})"
    limit = f"CASE WHEN {value} IS NULL OR {bound} THEN {limit} END" if uses_limits else "NULL::VARCHAR"
    concept, unit = table.identifier_sql(f"{stem}_concept_id"), table.identifier_sql("unit_concept_id")
    return f"""
SELECT 0 AS c_file, c_row, patient AS patient_id, {_stay_sql()} AS stay_id, time,
    {_available_sql("time", "is_date")} AS available_at, coalesce(n.name, concept, '0') AS variable,
    coalesce(bounded, value) AS value, NULL::VARCHAR AS code,
    CASE WHEN unit IS NULL THEN unit_text ELSE coalesce(u.code, unit_text, 'unit concept ' || unit) END AS unit,
    CASE WHEN bounded IS NOT NULL AND NOT coalesce({_moved_stay()}, false) THEN NULL
        WHEN value IS NULL AND other THEN {literal(NON_NUMERIC)}
        WHEN value IS NOT NULL AND bound THEN {literal(CENSORED)}
         WHEN value IS NOT NULL AND {_moved_stay()} THEN {literal(OUTSIDE)} END AS source_reason
FROM (
    SELECT c_row, {table.identifier_sql("person_id")} AS patient, {table.identifier_sql(link)} AS visit,
        {table.datetime_sql(stem)} AS time, {table.date_only_sql(stem)} AS is_date,
        {concept} AS concept, {value} AS value,
        {unit} AS unit, {table.text_sql("unit_source_value")} AS unit_text, {bound} AS bound, {other} AS other,
        {limit} AS bounded
    FROM {table.numbered_sql()}
) LEFT JOIN cdm_links l USING (visit) LEFT JOIN cdm_names n USING (concept) LEFT JOIN cdm_units u USING (unit)"""


def _events(table: Table, stem: str, clock: str, variable: str, link: str) -> str:
    """SQL of the rows of a table of coded events; an event without a concept keeps its code in the source."""
    code = f"coalesce({table.identifier_sql(stem + '_concept_id')}, {table.text_sql(stem + '_source_value')})"
    known = _available_sql("time", "is_date")
    if variable == "diagnosis":  # what a visit was billed for is settled when it ends, whatever its date says
        later = "try_cast(l.ended AS TIMESTAMP) > try_cast(time AS TIMESTAMP)"
        known = f"CASE WHEN {later} THEN l.ended ELSE coalesce({known}, time) END"
    return f"""
SELECT 0 AS c_file, c_row, patient AS patient_id, {_stay_sql()} AS stay_id, time, {known} AS available_at,
    {literal(variable)} AS variable, NULL::VARCHAR AS value, code, NULL::VARCHAR AS unit,
    CASE WHEN code IS NOT NULL AND {_moved_stay()} THEN {literal(OUTSIDE)} END AS source_reason
FROM (
    SELECT c_row, {table.identifier_sql("person_id")} AS patient, {table.identifier_sql(link)} AS visit,
        {table.datetime_sql(clock)} AS time, {table.date_only_sql(clock)} AS is_date, {code} AS code
    FROM {table.numbered_sql()}
) LEFT JOIN cdm_links l USING (visit)"""


def _stay_sql() -> str:
    """SQL of the row's stay; an unknown visit keeps its number and is counted as not in the stays table."""
    return "CASE WHEN l.visit IS NULL THEN visit ELSE l.stay END"


def _moved_stay() -> str:
    return "(l.visit IS NOT NULL AND l.stay IS NULL)"


def _available_sql(time: str, is_date: str) -> str:
    """SQL of available_at: the end of the day where only a date is recorded, else NULL (equal to the time)."""
    return f"CASE WHEN {is_date} THEN {end_of_day_sql(time)} END"


def _create_names(workspace: Workspace, tables: Mapping[str, list[Table]]) -> None:
    """Tables cdm_names and cdm_known: variables of concepts, directly or by their LOINC code."""
    known = workspace.dictionary.names("loinc")
    own = workspace.dictionary.names("omop")
    workspace.sql.execute("CREATE TABLE cdm_names (concept VARCHAR, name VARCHAR)")
    workspace.sql.register("loinc_frame", pa.table({"code": list(known), "name": list(known.values())}))
    workspace.sql.register("own_frame", pa.table({"concept": list(own), "name": list(own.values())}))
    for table in tables.get("concept", []):
        with duckdb_errors(table.part.label):
            workspace.sql.execute(f"""
INSERT INTO cdm_names
SELECT concept, any_value(name) FROM (
    SELECT {table.identifier_sql("concept_id")} AS concept,
        {table.text_sql("concept_code")} AS code FROM {table.part.sql}
    WHERE {table.text_sql("vocabulary_id")} = 'LOINC'
) JOIN loinc_frame USING (code) ANTI JOIN own_frame USING (concept) GROUP BY concept""")

    workspace.sql.execute("CREATE TABLE cdm_known AS FROM cdm_names UNION ALL SELECT concept, name FROM own_frame")
    _create_descendants(workspace, tables)


def _create_descendants(workspace: Workspace, tables: Mapping[str, list[Table]]) -> None:
    """Table cdm_descendants (concept, name): unknown concepts with the variable of their nearest known ancestor."""
    above = [
        f"SELECT {table.identifier_sql('descendant_concept_id')} AS descendant, "
        f"{table.identifier_sql('ancestor_concept_id')} AS concept, "
        f"try_cast({table.text_sql('min_levels_of_separation')} AS INTEGER) AS levels FROM {table.part.sql}"
        for table in tables.get("concept_ancestor", [])
    ]
    workspace.sql.execute("CREATE TABLE cdm_descendants (concept VARCHAR, name VARCHAR)")
    if above:
        with duckdb_errors("concept_ancestor"):
            workspace.sql.execute(f"""
INSERT INTO cdm_descendants
SELECT descendant, any_value(name) FROM (
    SELECT descendant, name FROM ({" UNION ALL ".join(above)}) JOIN cdm_known USING (concept)
    WHERE descendant NOT IN (SELECT concept FROM cdm_known)
    QUALIFY levels = min(levels) OVER (PARTITION BY descendant)
) GROUP BY descendant HAVING count(DISTINCT name) = 1""")
    workspace.sql.execute("INSERT INTO cdm_names FROM cdm_descendants")


def _descendant_rows(workspace: Workspace, tables: Mapping[str, list[Table]]) -> dict[str, int]:
    """Rows whose concept is a descendant of a known one, by variable."""
    notes: dict[str, int] = {}
    for name, stem in VALUES.items():
        for table in tables.get(name, []):
            concepts = f"SELECT {table.identifier_sql(f'{stem}_concept_id')} AS concept FROM {table.part.sql}"
            sql = f"SELECT name, count(*) FROM ({concepts}) JOIN cdm_descendants USING (concept) GROUP BY 1 ORDER BY 1"
            for variable, rows in workspace.sql.execute(sql).fetchall():
                note = f"rows of narrower concepts: {variable}"
                notes[note] = notes.get(note, 0) + rows
    return notes


def _create_units(workspace: Workspace, tables: Mapping[str, list[Table]]) -> None:
    """Table cdm_units: UCUM code of each unit concept, from omop_units.yaml, else from the extract's CONCEPT.

    A unit of another vocabulary, such as a hospital's own, counts as its code says, or its name where that is a number.
    """
    ours = {str(concept): code for concept, code in read_yaml(schema_folder() / "omop_units.yaml").items()}
    workspace.sql.register("unit_codes_frame", pa.table({"unit": list(ours), "code": list(ours.values())}))
    workspace.sql.execute("CREATE TABLE cdm_units AS SELECT * FROM unit_codes_frame")
    for table in tables.get("concept", []):
        with duckdb_errors(table.part.label):
            workspace.sql.execute(f"""
INSERT INTO cdm_units
SELECT unit, any_value(code) FROM (
    SELECT {table.identifier_sql("concept_id")} AS unit,
        if({table.text_sql("vocabulary_id")} <> 'UCUM' AND regexp_full_match({table.text_sql("concept_code")}, '\\d+'),
            {table.text_sql("concept_name")}, {table.text_sql("concept_code")}) AS code
    FROM {table.part.sql}
    WHERE {table.text_sql("vocabulary_id")} = 'UCUM' OR {table.text_sql("domain_id")} = 'Unit'
) WHERE code IS NOT NULL AND unit NOT IN (SELECT unit FROM cdm_units) GROUP BY unit""")


def _concept_names(workspace: Workspace, tables: Mapping[str, list[Table]]) -> dict[str, str]:
    """Names of the concepts that occur, from the extract's CONCEPT."""
    labels: dict[str, str] = {}
    for table in tables.get("concept", []):
        with duckdb_errors(table.part.label):
            found = workspace.sql.execute(f"""
SELECT {table.identifier_sql("concept_id")} AS concept, {table.text_sql("concept_name")}
FROM {table.part.sql} WHERE concept IN (SELECT name FROM name_units UNION SELECT code FROM rows)""")
            labels.update(row for row in found.fetchall() if row[1])
    return labels
