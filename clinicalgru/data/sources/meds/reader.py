"""MEDS (Medical Event Data Standard): a folder with data/**/*.parquet and metadata/.

A stay is an ICU stay (anchor "icu": ICU_ADMISSION to ICU_DISCHARGE), a hospital admission (anchor "hospital":
HOSPITAL_ADMISSION to HOSPITAL_DISCHARGE, or Visit/IP of the ETLs from OMOP), a visit (anchor "visit"), or, in a dataset
that `write_meds` wrote, the stay it was written from (anchor "stay"). Without anchor=, the first of stay, icu, hospital
and visit that occurs. Other codes are named by event_codes=. An admission with a column `end` ends there. Rows are
placed by patient and time.

Codes are read as NAME//unit or PREFIX//NAME//unit, NAME being ours, an itemid of MIMIC-IV, a LOINC code or an OMOP
concept; UNK is no unit. The ETLs from OMOP write VOCABULARY/code, read as VOCABULARY//code, and the unit in a column
`unit`. DIAGNOSIS, PROCEDURE, MEDICATION, INFUSION_START and HCPCS are coded events. Billing codes
(ICD, HCPCS) count as known at the next hospital discharge, as they are written then. Where charted copies of laboratory
results are recorded too (MIMIC-IV), the copy is counted as `duplicate`.

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

from clinicalgru.data.ingest.detection_limit_sql import limit_sql
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.outcomes_table import read_outcomes, read_published_outcomes
from clinicalgru.data.ingest.read_options import ReadOptions, as_path
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.table_files import folder_files
from clinicalgru.data.ingest.tables import TablePart, derived, open_parts
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.meds.code_table import NAMES_OF, create_code_table, end_of_day_sql
from clinicalgru.data.sources.meds.event_codes import BEGINS, ENDS, event_patterns
from clinicalgru.data.sources.meds.labels import is_label_table, read_labels
from clinicalgru.data.sources.meds.stays import outcomes_of, stays_of, with_split
from clinicalgru.errors import ArgumentError, InputError, describe

STAY_RECORD = "record of the stay"


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
    HOSPITAL_DISCHARGE//DIED; in a dataset without any, a MEDS_DEATH within the hospital stay. Where all times of codes
    with one first part are at midnight, they are dates: known at the end of the day, and ends of stays end with it.
    `outcomes` may be a label file of ACES: a label belongs to the stay that its prediction time lies in.
    Readmission is not derived: MEDS does not record the end of follow-up.
    """
    _check(options)
    folder = as_path(data, "a folder with data/ and metadata/")
    if not (folder / "data").is_dir():
        fix = "Pass the folder that holds data/ and metadata/."
        raise InputError("a folder data", f"the folder {folder.name} without it", fix, where=folder.name)
    parts = _open(workspace, folder)
    workspace.add_name_sources(*NAMES_OF)
    workspace.add_identifier_names(STAY_RECORD)
    labels = _code_labels(workspace, folder)
    wanted = options.anchor or ("hospital" if options.event_codes else None)
    create_code_table(workspace, parts, event_patterns(options.event_codes, wanted or "hospital"), STAY_RECORD)
    landmarks = _landmarks(workspace, parts)
    anchor = _anchor(wanted, landmarks)
    _register_discharges(workspace, landmarks)
    n_days = sum(_add(workspace, part, own=anchor == "stay") for part in parts)
    stays, notes = stays_of(workspace.dictionary, landmarks, anchor)
    notes |= {"rows with a date only, known at the end of the day": n_days} if n_days else {}
    outcomes = outcomes_of(stays, landmarks, anchor) if anchor != "stay" else None
    written = folder / "outcomes.parquet"
    if anchor == "stay" and written.is_file():
        outcomes = read_published_outcomes(written, keys={}, renamed={})
    stays = with_split(stays, landmarks, folder).drop(columns=["careunit", "left"], errors="ignore")
    result = SourceResult(stays, outcomes, count_unmapped=False, notes=notes, labels=labels)
    if options.outcomes is None:
        return result
    if is_label_table(workspace.sql, options.outcomes):
        return read_labels(workspace.sql, options.outcomes, result, landmarks)
    return result.with_outcomes(read_outcomes(options, workspace.dictionary))


def _open(workspace: Workspace, folder: Path) -> list[TablePart]:
    """Each shard, called by its path in the dataset, as several are called 0.parquet."""
    parts = []
    found = folder_files(folder / "data")
    workspace.notes.update(found.notes)
    for path in (file for file in found.files if file.suffix == ".parquet"):
        (part,) = open_parts(workspace.sql, path)
        if "subject_id" not in part.types and "patient_id" in part.types:  # schema 0.3 before 0.3.3
            sql = f"(SELECT *, patient_id AS subject_id FROM {part.sql})"
            part = replace(part, sql=sql, types=part.types | {"subject_id": part.types["patient_id"]})
        _check_columns(part)
        parts.append(replace(part, label=str(path.relative_to(folder).as_posix())))
    if not parts:
        raise InputError("Parquet files in data", "a folder without them", "Pass a whole dataset.", where=folder.name)
    return parts


def _check(options: ReadOptions) -> None:
    if options.anchor not in (None, *BEGINS):
        raise ArgumentError("anchor icu, hospital, visit or stay", repr(options.anchor), "Choose one of them.")
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
    """subject, patient_id, time (microseconds), kind, detail, stay_id, ended, is_date of rows that say who and when."""
    selects = []
    ends = ", ".join(
        repr(code) for anchor, code in ENDS.items() if anchor != "stay"
    )  # those are as `write_meds` had them
    moment = "CAST(r.time AS TIMESTAMP)"
    for part in parts:
        stay = "CAST(r.stay_id AS VARCHAR)" if "stay_id" in part.types else "NULL::VARCHAR"
        ended = 'try_cast(r."end" AS TIMESTAMP)' if "end" in part.types else "NULL::TIMESTAMP"
        is_day = f"m.is_date AND {ended} = date_trunc('day', {ended})"
        selects.append(
            f"SELECT CAST(r.subject_id AS VARCHAR) AS subject, CAST({_patient(part)} AS VARCHAR) AS patient_id, "
            f"epoch_us(if(m.is_date AND m.kind IN ({ends}), {end_of_day_sql(moment)}, {moment})) AS time, "
            f"epoch_us(if({is_day}, {end_of_day_sql(ended)}, {ended})) AS ended, "
            f"m.kind, m.detail, m.is_date, {stay} AS stay_id "
            f"FROM {part.sql} r JOIN meds_codes m ON m.code = r.code WHERE m.kind IS NOT NULL"
        )
    with duckdb_errors("data"):
        table = workspace.sql.execute(" UNION ALL ".join(selects)).df()
    texts = dict.fromkeys(("subject", "patient_id", "kind", "detail", "stay_id"), object)
    return table.astype(texts | {"time": "Int64", "ended": "Int64"}).sort_values(
        ["patient_id", "time", "kind", "stay_id"], ignore_index=True
    )


def _patient(part: TablePart) -> str:
    """The patient's own identifier, which `write_meds` adds where it is no whole number."""
    return "r.patient_id" if "patient_id" in part.types and "stay_id" in part.types else "r.subject_id"


def _anchor(wanted: str | None, landmarks: pd.DataFrame) -> str:
    there = [anchor for anchor, code in BEGINS.items() if (landmarks["kind"] == code).any()]
    if wanted is None and there:
        return there[0]
    if wanted in there or (wanted == "visit" and "hospital" in there):
        return str(wanted)
    expected = BEGINS[wanted] if wanted else ", ".join(BEGINS.values())
    fix = f"Choose anchor= among {', '.join(there)}, or" if there else "Add the stays' codes to the dataset, or"
    fix += " name the dataset's codes: event_codes={'admission': [...], 'discharge': [...], 'death': [...]}."
    raise InputError(f"codes {expected}", f"{len(landmarks):,} rows of other codes", fix, where="data")


def _register_discharges(workspace: Workspace, landmarks: pd.DataFrame) -> None:
    """Table meds_discharges: when each subject left a hospital."""
    gone = landmarks[(landmarks["kind"] == ENDS["hospital"]) & landmarks["time"].notna()][["subject", "time"]]
    own = landmarks[(landmarks["kind"] == BEGINS["hospital"]) & landmarks["ended"].notna()][["subject", "ended"]]
    gone = pd.concat([gone, own.rename(columns={"ended": "time"})])
    discharges = pa.table(
        {
            "subject": pa.array(gone["subject"], pa.string()),
            "time": pa.array(gone["time"], pa.int64()).cast(pa.timestamp("us")),
        }
    )
    workspace.sql.register("meds_discharges", discharges)


def _code_labels(workspace: Workspace, folder: Path) -> dict[str, str]:
    """The label of each code, also as the table meds_labels."""
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


def _add(workspace: Workspace, part: TablePart, *, own: bool) -> int:
    """The rows of a file: those that say it first, the charted copies of laboratory results, the billing codes.

    Returns how many have a date only.
    """
    number = "CAST(r.numeric_value AS VARCHAR)" if "numeric_value" in part.types else "NULL::VARCHAR"
    if workspace.uses_limits and "text_value" in part.types:
        number = f"coalesce({number}, {limit_sql('r.text_value')})"
    written = (
        "nullif(regexp_replace(trim(CAST(r.unit AS VARCHAR)), '\\.0+$', ''), '0')" if "unit" in part.types else "NULL"
    )
    day = end_of_day_sql("CAST(r.time AS TIMESTAMP)")
    known = "r.available_at" if own and "available_at" in part.types else f"if(m.is_date, {day}, r.time)"
    columns = (
        f"{_patient(part)} AS patient_id, {'r.stay_id' if own else 'NULL::VARCHAR'} AS stay_id, r.time, "
        f"m.variable, {number} AS value, coalesce(m.unit, u.code, {written}) AS unit, m.word AS code"
    )
    joined = f"LEFT JOIN meds_codes m ON m.code = r.code LEFT JOIN meds_units u ON u.unit = {written}"
    discharged = """ASOF LEFT JOIN meds_discharges d
        ON d.subject = CAST(r.subject_id AS VARCHAR) AND d.time >= CAST(r.time AS TIMESTAMP)"""
    plain, billed = f"{columns}, {known} AS available_at", f"{columns}, coalesce(d.time, {known}) AS available_at"
    groups = (
        (plain, f"{joined} WHERE m.is_charted IS NOT TRUE AND m.is_billed IS NOT TRUE", False),
        (plain, f"{joined} WHERE m.is_charted", True),
        (billed, f"{joined} {discharged} WHERE m.is_billed", False),
    )
    for select, tail, is_duplicate_source in groups:
        rows = derived(workspace.sql, part, select, tail=tail)
        workspace.add_rows(rows, {}, RowFormat(assign_by_time=True, is_duplicate_source=is_duplicate_source))
    if own:
        return 0
    query = f"SELECT count(*) FROM {part.sql} r JOIN meds_codes m ON m.code = r.code WHERE m.is_date AND m.kind IS NULL"
    return int(workspace.sql.execute(query).fetchall()[0][0])
