"""The table meds_codes: what each code of a MEDS dataset means, computed once for each code that occurs."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from clinicalgru.data.dictionary.schemas import schema_folder
from clinicalgru.data.dictionary.yaml_file import read_yaml
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.tables import TablePart, literal
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.hospital_stays import icd_sql
from clinicalgru.data.sources.meds.event_codes import kind_sql

FIRST_CHARTED = 220_000  # itemids of MIMIC-IV: laboratory below, bedside chart from here on
NAMES_OF = ("mimic-iv", "loinc", "omop", "eicu")

PREFIX, SECOND, THIRD, FOURTH = (f"split_part(r.code, '//', {i})" for i in (1, 2, 3, 4))
REST = f"substr(r.code, length({PREFIX}) + 3)"
LAST = "regexp_extract(r.code, '[^/]+$')"
IS_OMOP = "NOT contains(r.written, '//')"  # LOINC/8867-4, as the ETLs from OMOP write vocabulary and code
OF_ICD = f"{PREFIX} IN ('DIAGNOSIS', 'PROCEDURE') AND {SECOND} = 'ICD'"
DIAGNOSES = f"""({PREFIX} IN ('DIAGNOSIS', 'ADMISSION_DIAGNOSIS', 'condition_occurrence', 'ICD10CM', 'ICD9CM')
    OR {IS_OMOP} AND r.part_of LIKE 'condition%')"""
PROCEDURES = f"""({PREFIX} IN ('HCPCS', 'CPT4', 'ICD10PCS', 'ICD9Proc', 'procedure_occurrence', 'TREATMENT')
    OR {PREFIX} = 'PROCEDURE' AND {SECOND} IN ('START', 'ICD') OR {IS_OMOP} AND r.part_of LIKE 'procedure%')"""
DRUGS = f"""({PREFIX} IN ('INFUSION_START', 'MEDICATION', 'RxNorm', 'RxNorm Extension', 'NDC', 'drug_exposure',
    'drug_exposure_start') OR {IS_OMOP} AND r.part_of LIKE 'drug%')"""
# written for billing when the stay is over, whatever their time says
BILLED = f"""(kind IS NULL AND ({PREFIX} IN ('HCPCS', 'condition_occurrence')
    OR {PREFIX} IN ('ICD10CM', 'ICD9CM', 'ICD10PCS', 'ICD9Proc') OR {OF_ICD}
    OR {IS_OMOP} AND r.part_of LIKE 'condition%'))"""
CHARTED = f"({PREFIX} = 'LAB' AND coalesce(try_cast({SECOND} AS INTEGER), 0) >= {FIRST_CHARTED})"
VITAL = f"if({PREFIX} = 'VITALS', lower(replace({LAST}, '_', '')), NULL)"  # of the ETL of eICU
VARIABLE = f"""
CASE WHEN kind IS NOT NULL THEN {{stay_record}}
     WHEN {DIAGNOSES} THEN 'diagnosis' WHEN {PROCEDURES} THEN 'procedure' WHEN {DRUGS} THEN 'drug'
     WHEN first.name IS NOT NULL THEN first.name
     WHEN second.name IS NOT NULL THEN second.name
     WHEN vital.name IS NOT NULL THEN vital.name
     ELSE r.written END"""
AFTER_NAME = f"CASE WHEN first.name IS NOT NULL THEN {REST} WHEN vital.name IS NULL THEN {THIRD} END"
UNIT = f"nullif(nullif({AFTER_NAME}, 'UNK'), '')"
WORD = f"""
CASE WHEN {OF_ICD} AND {PREFIX} = 'DIAGNOSIS' THEN {{diagnosis}}
     WHEN {OF_ICD} THEN {{procedure}}
     WHEN {PREFIX} = 'PROCEDURE' AND {SECOND} = 'START' THEN coalesce(m.label, {THIRD})
     WHEN {PREFIX} = 'INFUSION_START' THEN coalesce(m.label, {SECOND})
     WHEN {PREFIX} IN ('ICD10CM', 'ICD10PCS') THEN 'ICD10:' || {SECOND}
     WHEN {PREFIX} IN ('ICD9CM', 'ICD9Proc') THEN 'ICD9:' || {SECOND}
     WHEN {PREFIX} IN ('condition_occurrence', 'procedure_occurrence', 'drug_exposure', 'drug_exposure_start')
         THEN concat_ws(':', {SECOND}, nullif({THIRD}, ''))
     WHEN {IS_OMOP} AND ({DIAGNOSES} OR {PROCEDURES} OR {DRUGS}) THEN {PREFIX} || ':' || {SECOND}
     WHEN {DIAGNOSES} OR {PROCEDURES} OR {DRUGS} OR first.role = 'code' THEN {REST} END""".format(
    diagnosis=icd_sql(THIRD, f"replace({FOURTH}, '.', '')", procedure=False),
    procedure=icd_sql(THIRD, f"replace({FOURTH}, '.', '')", procedure=True),
)
SEEN = """
SELECT CAST(code AS VARCHAR) AS code, {table} AS part_of,
    bool_and(CAST(time AS TIMESTAMP) = date_trunc('day', CAST(time AS TIMESTAMP))) AS at_midnight
FROM {part} GROUP BY 1, 2"""
CODES = """
CREATE TABLE meds_codes AS
SELECT r.written AS code, kind, nullif(if(kind = 'GENDER', {last}, {rest}), '') AS detail,
    coalesce(bool_and(at_midnight) OVER (PARTITION BY coalesce(kind, {prefix})), false) AS is_date,
    coalesce({billed}, false) AS is_billed, coalesce({charted}, false) AND NOT is_billed AS is_charted,
    {variable} AS variable, {unit} AS unit, {word} AS word
FROM (
    SELECT *, {kind} AS kind,
        if(regexp_matches(written, '^[A-Za-z][A-Za-z0-9 _-]*/[^ /]') AND NOT contains(written, '//'),
        regexp_replace(written, '/', '//'), written) AS code
    FROM (SELECT code AS written, any_value(part_of) AS part_of, bool_and(at_midnight) AS at_midnight
        FROM ({seen}) WHERE code IS NOT NULL GROUP BY code)
) r
LEFT JOIN names first ON first.name = {prefix} LEFT JOIN names second ON second.name = {second}
LEFT JOIN names vital ON vital.name = {vital} LEFT JOIN meds_labels m ON m.code = r.written"""


def end_of_day_sql(moment: str) -> str:
    """Return SQL of the last moment of the day of a timestamp.

    Parameters
    ----------
    moment : str
        SQL of the timestamp.

    Returns
    -------
    str
        SQL expression.
    """
    return f"(date_trunc('day', {moment}) + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND)"


def create_code_table(
    workspace: Workspace, parts: list[TablePart], patterns: Mapping[str, str], stay_record: str
) -> None:
    """Create the tables meds_codes and meds_units; needs meds_labels.

    meds_codes has, for each code: kind (of an admission, discharge or person), detail, is_date, is_billed, is_charted,
    variable, unit and word (of a coded event). Times are dates where those of all codes of its kind, or with its first
    part, are at midnight.

    Parameters
    ----------
    workspace : Workspace
        The read in progress, with the names of all sources.
    parts : list of TablePart
        The shards.
    patterns : mapping of str to str
        What `event_patterns` returned.
    stay_record : str
        Variable of codes that only say who and when.
    """
    units = {str(concept): code for concept, code in read_yaml(schema_folder() / "omop_units.yaml").items()}
    workspace.sql.register("meds_units", pa.table({"unit": list(units), "code": list(units.values())}))
    seen = []
    for part in parts:
        column = next((name for name in ("table", "table_name") if name in part.types), None)
        seen.append(SEEN.format(table=f'CAST("{column}" AS VARCHAR)' if column else "NULL::VARCHAR", part=part.sql))
    sql = CODES.format(
        kind=kind_sql(patterns, "written"),
        last=LAST,
        rest=REST,
        prefix=PREFIX,
        second=SECOND,
        vital=VITAL,
        billed=BILLED,
        charted=CHARTED,
        variable=VARIABLE.format(stay_record=literal(stay_record)),
        unit=UNIT,
        word=WORD,
        seen=" UNION ALL ".join(seen),
    )
    with duckdb_errors("data"):
        workspace.sql.execute(sql)
