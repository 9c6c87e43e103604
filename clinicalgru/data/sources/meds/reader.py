"""MEDS (Medical Event Data Standard): a folder with data/**/*.parquet and metadata/.

A stay is an ICU stay (anchor "icu": ICU_ADMISSION to ICU_DISCHARGE), a hospital admission (anchor "hospital":
HOSPITAL_ADMISSION to HOSPITAL_DISCHARGE), or, in a dataset that `write_meds` wrote, the stay it was written from
(anchor "stay"). Without anchor=, the first of stay, icu and hospital that occurs. Rows are placed by patient and time.

Codes are read as NAME//unit or PREFIX//NAME//unit, NAME being ours, an itemid of MIMIC-IV, a LOINC code or an OMOP
concept; UNK is no unit. DIAGNOSIS, PROCEDURE, MEDICATION, INFUSION_START and HCPCS are coded events. Billing codes
(ICD, HCPCS) count as known at the next hospital discharge, as they are written then. Where charted copies of laboratory
results stand beside them (MIMIC-IV), the copy is counted as `duplicate`.

Numbers of 32 bits are read as the shortest decimal that they stand for: 98.6, not 98.5999985.

References
----------
https://github.com/Medical-Event-Data-Standard/meds, schema 0.4.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from clinicalgru.data.ingest.outcomes_table import read_outcomes, read_published_outcomes
from clinicalgru.data.ingest.read_options import ReadOptions, as_path
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.table_files import folder_files
from clinicalgru.data.ingest.tables import TablePart, derived, duckdb_errors, open_parts
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.hospital_stays import icd_sql
from clinicalgru.data.sources.meds.stays import BEGINS, ENDS, outcomes_of, stays_of, with_split
from clinicalgru.errors import ArgumentError, InputError, describe

PERSON = ("GENDER", "MEDS_BIRTH", "MEDS_DEATH")
STAY_RECORD = "record of the stay"
FIRST_CHARTED = 220_000  # itemids of MIMIC-IV: laboratory below, bedside chart from here on
NAMES_OF = ("mimic-iv", "loinc", "omop")

PREFIX, SECOND, THIRD = (f"split_part(r.code, '//', {i})" for i in (1, 2, 3))
REST = f"substr(r.code, length({PREFIX}) + 3)"
LANDMARK = f"{PREFIX} IN ({', '.join(repr(code) for code in (*PERSON, *BEGINS.values(), *ENDS.values()))})"
BILLED = f"({PREFIX} = 'HCPCS' OR {PREFIX} IN ('DIAGNOSIS', 'PROCEDURE') AND {SECOND} = 'ICD')"
CHARTED = f"({PREFIX} = 'LAB' AND coalesce(try_cast({SECOND} AS INTEGER), 0) >= {FIRST_CHARTED})"
VARIABLE = f"""
CASE WHEN {LANDMARK} THEN '{STAY_RECORD}'
     WHEN {PREFIX} = 'DIAGNOSIS' THEN 'diagnosis'
     WHEN {PREFIX} = 'HCPCS' OR {PREFIX} = 'PROCEDURE' AND {SECOND} IN ('START', 'ICD') THEN 'procedure'
     WHEN {PREFIX} IN ('INFUSION_START', 'MEDICATION') THEN 'drug'
     WHEN first.name IS NOT NULL THEN first.name
     WHEN second.name IS NOT NULL THEN second.name
     ELSE r.code END"""
UNIT = f"nullif(CASE WHEN first.name IS NOT NULL THEN {REST} ELSE {THIRD} END, 'UNK')"
CODE = f"""
CASE WHEN {PREFIX} = 'DIAGNOSIS' AND {SECOND} = 'ICD' THEN {{diagnosis}}
     WHEN {PREFIX} = 'PROCEDURE' AND {SECOND} = 'ICD' THEN {{procedure}}
     WHEN {PREFIX} = 'PROCEDURE' AND {SECOND} = 'START' THEN coalesce(m.label, {THIRD})
     WHEN {PREFIX} = 'INFUSION_START' THEN coalesce(m.label, {SECOND})
     WHEN {PREFIX} IN ('DIAGNOSIS', 'HCPCS', 'MEDICATION') OR first.role = 'code' THEN {REST} END""".format(
    diagnosis=icd_sql(THIRD, "split_part(r.code, '//', 4)", procedure=False),
    procedure=icd_sql(THIRD, "split_part(r.code, '//', 4)", procedure=True),
)
NAMED = f"""
LEFT JOIN names first ON first.name = {PREFIX} LEFT JOIN names second ON second.name = {SECOND}
LEFT JOIN meds_labels m ON m.code = r.code"""
DISCHARGED = f"""
{NAMED} ASOF LEFT JOIN meds_discharges d ON d.subject = r.subject_id AND d.time >= CAST(r.time AS TIMESTAMP)"""


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add the events of stays, with age, sex, type of unit, outcomes, and each subject's split.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str or Path
        Folder that holds data/ and metadata/.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays, outcomes, notes and labels of codes.

    Raises
    ------
    ArgumentError
        If the anchor is another one, or a stays table is given.
    InputError
        If the codes of the anchor do not occur, or the folder has no data/.

    Notes
    -----
    The split of metadata/subject_splits.parquet becomes the column `split` of the stays. A death in hospital is a
    HOSPITAL_DISCHARGE//DIED; in a dataset without any, a MEDS_DEATH within the hospital stay. Readmission is not
    derived: MEDS does not record the end of follow-up.
    """
    _check(options)
    folder = as_path(data, "a folder with data/ and metadata/")
    if not (folder / "data").is_dir():
        fix = "Pass the folder that holds data/ and metadata/."
        raise InputError("a folder data", f"the folder {folder.name} without it", fix, where=folder.name)
    parts = _open(workspace, folder)
    landmarks = _landmarks(workspace, parts)
    anchor = _anchor(options, landmarks)
    labels = _register(workspace, folder, landmarks)
    workspace.add_name_sources(*NAMES_OF)
    workspace.add_identifier_names(STAY_RECORD)
    for part in parts:
        _add(workspace, part, own=anchor == "stay")
    stays, notes = stays_of(workspace.dictionary, landmarks, anchor)
    outcomes = outcomes_of(stays, landmarks, anchor) if anchor != "stay" else None
    written = folder / "outcomes.parquet"
    if anchor == "stay" and written.is_file():
        outcomes = read_published_outcomes(written, keys={}, renamed={})
    stays = with_split(stays, landmarks, folder).drop(columns=["careunit", "left"], errors="ignore")
    result = SourceResult(stays, outcomes, count_unmapped=False, notes=notes, labels=labels)
    return result if options.outcomes is None else result.with_outcomes(read_outcomes(options, workspace.dictionary))


def _open(workspace: Workspace, folder: Path) -> list[TablePart]:
    """Each shard, called by its path in the dataset, as several are called 0.parquet."""
    parts = []
    found = folder_files(folder / "data")
    workspace.notes.update(found.notes)
    for path in (file for file in found.files if file.suffix == ".parquet"):
        (part,) = open_parts(workspace.sql, path)
        _check_columns(part)
        parts.append(replace(part, label=str(path.relative_to(folder).as_posix())))
    if not parts:
        raise InputError("Parquet files in data", "a folder without them", "Pass a whole dataset.", where=folder.name)
    return parts


def _check(options: ReadOptions) -> None:
    if options.anchor not in (None, *BEGINS):
        raise ArgumentError("anchor icu, hospital or stay", repr(options.anchor), "Choose one of them.")
    for name in ("stays", "timezone"):
        if getattr(options, name) is not None:
            got = describe(getattr(options, name))
            raise ArgumentError(f"{name}=None", got, f"MEDS brings its own; leave {name}= out.")


def _check_columns(part: TablePart) -> None:
    missing = [name for name in ("subject_id", "time", "code") if name not in part.types]
    if missing:
        fix = "Write the dataset again with a MEDS tool."
        got = f"columns {', '.join(name for name in part.types if not name.startswith('c_'))}"
        raise InputError(f"the columns {', '.join(missing)}", got, fix, where=part.label)


def _landmarks(workspace: Workspace, parts: list[TablePart]) -> pd.DataFrame:
    """subject, patient_id, time (microseconds), kind, detail and stay_id of the rows that say who and when."""
    selects = []
    for part in parts:
        stay = "CAST(stay_id AS VARCHAR)" if "stay_id" in part.types else "NULL::VARCHAR"
        selects.append(
            f"SELECT CAST(subject_id AS VARCHAR) AS subject, CAST({_patient(part)} AS VARCHAR) AS patient_id, "
            f"epoch_us(CAST(time AS TIMESTAMP)) AS time, "
            f"{PREFIX} AS kind, nullif({REST}, '') AS detail, {stay} AS stay_id FROM {part.sql} r WHERE {LANDMARK}"
        )
    with duckdb_errors("data"):
        table = workspace.sql.sql(" UNION ALL ".join(selects)).df()
    texts = dict.fromkeys(("subject", "patient_id", "kind", "detail", "stay_id"), object)
    return table.astype(texts | {"time": "Int64"}).sort_values(
        ["patient_id", "time", "kind", "stay_id"], ignore_index=True
    )


def _patient(part: TablePart) -> str:
    """The patient's own identifier, which `write_meds` adds where it is no whole number."""
    return "r.patient_id" if "patient_id" in part.types and "stay_id" in part.types else "r.subject_id"


def _anchor(options: ReadOptions, landmarks: pd.DataFrame) -> str:
    there = [anchor for anchor, code in BEGINS.items() if (landmarks["kind"] == code).any()]
    if options.anchor is None and there:
        return there[0]
    if options.anchor in there:
        return str(options.anchor)
    wanted = BEGINS[options.anchor] if options.anchor else ", ".join(BEGINS.values())
    fix = f"Choose anchor= among {', '.join(there)}." if there else "Add the stays' codes to the dataset."
    raise InputError(f"codes {wanted}", f"{len(landmarks):,} rows of other codes", fix, where="data")


def _register(workspace: Workspace, folder: Path, landmarks: pd.DataFrame) -> dict[str, str]:
    """What the rows are joined with: the label of each code, and the hospital discharges."""
    gone = landmarks[(landmarks["kind"] == ENDS["hospital"]) & landmarks["time"].notna()]
    discharges = pa.table(
        {
            "subject": pa.array(gone["subject"].astype("int64"), pa.int64()),
            "time": pa.array(gone["time"], pa.int64()).cast(pa.timestamp("us")),
        }
    )
    workspace.sql.register("meds_discharges", discharges)
    path = folder / "metadata" / "codes.parquet"
    codes = pa.table({"code": pa.array([], pa.string()), "label": pa.array([], pa.string())})
    if path.is_file():
        (part,) = open_parts(workspace.sql, path)
        label = "any_value(nullif(trim(description), ''))" if "description" in part.types else "NULL::VARCHAR"
        with duckdb_errors(path.name):
            codes = workspace.sql.sql(f"SELECT code, {label} AS label FROM {part.sql} GROUP BY code").to_arrow_table()
    workspace.sql.register("meds_labels", codes)
    labels = dict(zip(codes["code"].to_pylist(), codes["label"].to_pylist(), strict=True))
    return {code: label for code, label in labels.items() if label}


def _add(workspace: Workspace, part: TablePart, *, own: bool) -> None:
    """The rows of a file: those that say it first, the charted copies of laboratory results, the billing codes."""
    kind = part.types.get("numeric_value")
    number = "CAST(r.numeric_value AS VARCHAR)" if kind else "NULL::VARCHAR"
    known = "r.available_at" if own and "available_at" in part.types else "r.time"
    columns = (
        f"{_patient(part)} AS patient_id, {'r.stay_id' if own else 'NULL::VARCHAR'} AS stay_id, r.time, "
        f"{VARIABLE} AS variable, {number} AS value, {UNIT} AS unit, {CODE} AS code"
    )
    plain, billed = f"{columns}, {known} AS available_at", f"{columns}, coalesce(d.time, r.time) AS available_at"
    groups = (
        (plain, f"{NAMED} WHERE NOT {CHARTED} AND NOT {BILLED}", False),
        (plain, f"{NAMED} WHERE {CHARTED}", True),
        (billed, f"{DISCHARGED} WHERE {BILLED}", False),
    )
    for select, tail, is_duplicate_source in groups:
        rows = derived(workspace.sql, part, select, tail=tail)
        workspace.add_rows(rows, {}, RowFormat(assign_by_time=True, is_duplicate_source=is_duplicate_source))
