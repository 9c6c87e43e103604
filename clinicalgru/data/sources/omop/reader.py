"""OMOP CDM 5.4: measurements, observations and coded events of visits or ICU visit details.

Source: OHDSI, OMOP Common Data Model 5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from clinicalgru.data.dictionary.schemas import schema_folder
from clinicalgru.data.dictionary.yaml_file import read_yaml
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.tables import TablePart, duckdb_errors, literal
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import CENSORED, NON_NUMERIC, OUTSIDE
from clinicalgru.data.sources.omop.stays import read_visits
from clinicalgru.data.sources.omop.tables import Table, open_tables

EQUAL = "4172703"  # the operator =; any other (<, <=, >=, >) makes a value a bound
VALUES = {"measurement": "measurement", "observation": "observation"}  # table -> stem of its columns
EVENTS = {  # table -> stem of its columns, stem of its times, variable
    "condition_occurrence": ("condition", "condition_start", "diagnosis"),
    "drug_exposure": ("drug", "drug_exposure_start", "drug"),
    "procedure_occurrence": ("procedure", "procedure", "procedure"),
}
COLUMNS = ["patient_id", "stay_id", "time", "available_at", "variable", "value", "unit", "code", "source_reason"]


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """A CDM from a folder or .zip of CSV or Parquet, or from the address of a PostgreSQL database.

    A row goes to its visit (its visit detail with anchor "icu"); a row of another visit is outside every stay; a row of
    no visit goes by patient and time. Of a day without a time of day, values are known at its end, and diagnoses at the
    end of their visit at the earliest. A value with an operator other than = is counted as a bound, not used.

    Where the extract has CONCEPT_ANCESTOR, a concept that the dictionary does not know is taken for the variable of the
    nearest concept above it that it knows, unless the nearest are of several; the ledger's notes say for how many rows.
    """
    tables = open_tables(workspace, data, delimiter=options.delimiter)
    stays, outcomes, notes = read_visits(
        workspace, tables, anchor=options.anchor or "hospital", timezone=options.timezone
    )
    _load_names(workspace, tables)
    _load_units(workspace, tables)
    link = "visit_detail_id" if options.anchor == "icu" else "visit_occurrence_id"
    for name, stem in VALUES.items():
        for table in tables.get(name, []):
            names = {"time": f"{stem}_datetime", "variable": f"{stem}_concept_id", "value": "value_as_number"}
            names |= {"unit": "unit_concept_id", "stay_id": link}
            _add(workspace, table, _values(table, stem, link), names)
    for name, (stem, clock, variable) in EVENTS.items():
        for table in tables.get(name, []):
            names = {"time": f"{clock}_datetime", "value": f"{stem}_concept_id", "stay_id": link}
            _add(workspace, table, _events(table, stem, clock, variable, link), names)
    labels = _labels(workspace, tables)
    return SourceResult(stays, outcomes, count_unmapped=False, notes=notes | _below(workspace, tables), labels=labels)


def _add(workspace: Workspace, table: Table, sql: str, names: Mapping[str, str]) -> None:
    """Hands rows over under the names that their columns have in the CDM, so that messages name these."""
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


def _values(table: Table, stem: str, link: str) -> str:
    """Rows of measurement or observation, with the reader's own reason against them, if any."""
    value, written = table.text("value_as_number"), table.text("value_source_value")
    operator = f"coalesce({table.identifier('operator_concept_id')}, '{EQUAL}')"
    bound = f"({operator} <> '{EQUAL}' OR coalesce(regexp_matches({written}, '^[<>≤≥]'), false))"
    other = f"({table.text('value_as_string')} IS NOT NULL OR {table.identifier('value_as_concept_id')} IS NOT NULL)"
    concept, unit = table.identifier(f"{stem}_concept_id"), table.identifier("unit_concept_id")
    return f"""
SELECT 0 AS c_file, c_row, patient AS patient_id, {_stay()} AS stay_id, time,
    {_known_at("time", "whole")} AS available_at, coalesce(n.name, concept, '0') AS variable,
    value, NULL::VARCHAR AS code,
    CASE WHEN unit IS NULL THEN unit_text ELSE coalesce(u.code, unit_text, 'unit concept ' || unit) END AS unit,
    CASE WHEN value IS NULL AND other THEN {literal(NON_NUMERIC)} WHEN value IS NOT NULL AND bound THEN {literal(CENSORED)}
         WHEN value IS NOT NULL AND {_elsewhere()} THEN {literal(OUTSIDE)} END AS source_reason
FROM (
    SELECT c_row, {table.identifier("person_id")} AS patient, {table.identifier(link)} AS visit,
        {table.moment(stem)} AS time, {table.whole(stem)} AS whole, {concept} AS concept, {value} AS value,
        {unit} AS unit, {table.text("unit_source_value")} AS unit_text, {bound} AS bound, {other} AS other
    FROM {table.numbered()}
) LEFT JOIN cdm_links l USING (visit) LEFT JOIN cdm_names n USING (concept) LEFT JOIN cdm_units u USING (unit)"""


def _events(table: Table, stem: str, clock: str, variable: str, link: str) -> str:
    """Rows of a table of coded events; where OMOP has no concept for one, its code in the source."""
    code = f"coalesce({table.identifier(stem + '_concept_id')}, {table.text(stem + '_source_value')})"
    known = _known_at("time", "whole")
    if variable == "diagnosis":  # what a visit was billed for is settled when it ends, whatever its date says
        later = "try_cast(l.ended AS TIMESTAMP) > try_cast(time AS TIMESTAMP)"
        known = f"CASE WHEN {later} THEN l.ended ELSE coalesce({known}, time) END"
    return f"""
SELECT 0 AS c_file, c_row, patient AS patient_id, {_stay()} AS stay_id, time, {known} AS available_at,
    {literal(variable)} AS variable, NULL::VARCHAR AS value, code, NULL::VARCHAR AS unit,
    CASE WHEN code IS NOT NULL AND {_elsewhere()} THEN {literal(OUTSIDE)} END AS source_reason
FROM (
    SELECT c_row, {table.identifier("person_id")} AS patient, {table.identifier(link)} AS visit,
        {table.moment(clock)} AS time, {table.whole(clock)} AS whole, {code} AS code
    FROM {table.numbered()}
) LEFT JOIN cdm_links l USING (visit)"""


def _stay() -> str:
    """The row's stay; a visit that no table knows keeps its number, and is counted as not in the stays table."""
    return "CASE WHEN l.visit IS NULL THEN visit ELSE l.stay END"


def _elsewhere() -> str:
    return "(l.visit IS NOT NULL AND l.stay IS NULL)"


def _known_at(time: str, whole: str) -> str:
    """The end of the day, of which only the date is known; else NULL, which is the time itself."""
    return f"CASE WHEN {whole} THEN {time} || ' 23:59:59.999999' END"


def _load_names(workspace: Workspace, tables: Mapping[str, list[Table]]) -> None:
    """Concepts whose LOINC code the dictionary knows, where it does not know the concept itself."""
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
    SELECT {table.identifier("concept_id")} AS concept, {table.text("concept_code")} AS code FROM {table.part.sql}
    WHERE {table.text("vocabulary_id")} = 'LOINC'
) JOIN loinc_frame USING (code) ANTI JOIN own_frame USING (concept) GROUP BY concept""")

    workspace.sql.execute("CREATE TABLE cdm_known AS FROM cdm_names UNION ALL SELECT concept, name FROM own_frame")
    _load_descendants(workspace, tables)


def _load_descendants(workspace: Workspace, tables: Mapping[str, list[Table]]) -> None:
    """cdm_below (concept, name): unknown concepts, and the variable of the nearest known concept above each."""
    above = [
        f"SELECT {table.identifier('descendant_concept_id')} AS below, "
        f"{table.identifier('ancestor_concept_id')} AS concept, "
        f"try_cast({table.text('min_levels_of_separation')} AS INTEGER) AS levels FROM {table.part.sql}"
        for table in tables.get("concept_ancestor", [])
    ]
    workspace.sql.execute("CREATE TABLE cdm_below (concept VARCHAR, name VARCHAR)")
    if above:
        with duckdb_errors("concept_ancestor"):
            workspace.sql.execute(f"""
INSERT INTO cdm_below
SELECT below, any_value(name) FROM (
    SELECT below, name FROM ({" UNION ALL ".join(above)}) JOIN cdm_known USING (concept)
    WHERE below NOT IN (SELECT concept FROM cdm_known)
    QUALIFY levels = min(levels) OVER (PARTITION BY below)
) GROUP BY below HAVING count(DISTINCT name) = 1""")
    workspace.sql.execute("INSERT INTO cdm_names FROM cdm_below")


def _below(workspace: Workspace, tables: Mapping[str, list[Table]]) -> dict[str, int]:
    """How many rows went to a variable because their concept lies below one that is known."""
    notes: dict[str, int] = {}
    for name, stem in VALUES.items():
        for table in tables.get(name, []):
            concepts = f"SELECT {table.identifier(f'{stem}_concept_id')} AS concept FROM {table.part.sql}"
            sql = f"SELECT name, count(*) FROM ({concepts}) JOIN cdm_below USING (concept) GROUP BY 1 ORDER BY 1"
            for variable, rows in workspace.sql.execute(sql).fetchall():
                note = f"rows of narrower concepts: {variable}"
                notes[note] = notes.get(note, 0) + rows
    return notes


def _load_units(workspace: Workspace, tables: Mapping[str, list[Table]]) -> None:
    """UCUM code of each unit concept: from our own table, else from the extract's CONCEPT."""
    ours = {str(concept): code for concept, code in read_yaml(schema_folder() / "omop_units.yaml").items()}
    workspace.sql.register("unit_codes_frame", pa.table({"unit": list(ours), "code": list(ours.values())}))
    workspace.sql.execute("CREATE TABLE cdm_units AS SELECT * FROM unit_codes_frame")
    for table in tables.get("concept", []):
        with duckdb_errors(table.part.label):
            workspace.sql.execute(f"""
INSERT INTO cdm_units
SELECT unit, any_value(code) FROM (
    SELECT {table.identifier("concept_id")} AS unit, {table.text("concept_code")} AS code FROM {table.part.sql}
    WHERE {table.text("vocabulary_id")} = 'UCUM'
) WHERE code IS NOT NULL AND unit NOT IN (SELECT unit FROM cdm_units) GROUP BY unit""")


def _labels(workspace: Workspace, tables: Mapping[str, list[Table]]) -> dict[str, str]:
    """What the extract's CONCEPT calls the concepts that occur."""
    labels: dict[str, str] = {}
    for table in tables.get("concept", []):
        with duckdb_errors(table.part.label):
            found = workspace.sql.execute(f"""
SELECT {table.identifier("concept_id")} AS concept, {table.text("concept_name")}
FROM {table.part.sql} WHERE concept IN (SELECT name FROM rows UNION SELECT code FROM rows)""")
            labels.update(row for row in found.fetchall() if row[1])
    return labels
