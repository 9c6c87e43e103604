"""MIMIC-IV: a folder with hosp/ and icu/ of csv, csv.gz or Parquet files, as published.

A stay is an ICU stay (anchor "icu", the default) or a hospital admission (anchor "hospital"). A row is placed by the
stay_id or hadm_id that its table has, else by patient and time: laboratory results and an ICU stay share no key, and a
hadm_id cannot tell which ICU stay it was. A laboratory result often stands in labevents and, copied by hand or machine,
in chartevents: labevents counts, as it says when the result was known, and the copy (same stay, variable, instant and
value) is counted as `duplicate`. A storetime before the event (outputs are charted for the hour that ends)
makes a value known at the event, not before.

A table without an optional column is read without it, and the ledger's notes say so; a needed column is named. Codes of
the ICD as whole numbers (Parquet) have lost leading zeros: they are filled up to three digits and counted in the notes.

References
----------
Johnson et al., MIMIC-IV, a freely accessible electronic health record dataset, Sci Data 2023;10:1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import HOUR
from clinicalgru.data.ingest.connections import small_connection
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.outcomes_table import read_outcomes
from clinicalgru.data.ingest.read_options import ReadOptions, as_path
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.table_cells import cells_as_text, check_once
from clinicalgru.data.ingest.tables import derived, open_parts
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.hospital_stays import (
    CAREUNITS,
    DAY,
    SEX,
    days_between,
    readmitted,
    with_static_variables,
    years,
)
from clinicalgru.data.sources.mimic_iv.event_tables import OWN_STAY, TABLES, Table, check_columns, usable_part
from clinicalgru.errors import ArgumentError, InputError, describe

ENDINGS = (".csv.gz", ".csv", ".parquet")


def read(workspace: Workspace, data: Any, options: ReadOptions) -> SourceResult:
    """Add the events of ICU stays or admissions, with age, sex, type of unit and outcomes.

    Outcomes are in_hospital_death, length_of_stay (days) and readmission_30d (see `_outcomes`), or those of
    `outcomes=`.

    Parameters
    ----------
    workspace : Workspace
        The read in progress; rows are added to it.
    data : str or Path
        Folder that holds hosp/ and icu/.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    SourceResult
        Stays, outcomes, notes and labels of items.

    Raises
    ------
    ArgumentError
        If the anchor is another one, or a stays table or time zone is given: MIMIC-IV brings its own.
    InputError
        If the folder has no patients and admissions.
    """
    anchor = options.anchor or "icu"
    if anchor not in OWN_STAY:
        raise ArgumentError("anchor icu or hospital", repr(anchor), "Choose one of them.")
    for name in ("stays", "timezone"):
        if getattr(options, name) is not None:
            got = describe(getattr(options, name))
            raise ArgumentError(f"{name}=None", got, f"MIMIC-IV brings its own; leave {name}= out.")
    folder = as_path(data, "a folder with hosp/ and icu/")
    absent: dict[str, int] = {}
    admissions = _admissions(folder, absent)
    icu = _icu(folder, admissions, absent) if anchor == "icu" or _find(folder, "icu/icustays") is not None else None
    labels = _register(workspace, folder, admissions, icu)
    remarks: dict[str, int] = dict(absent)
    for table in TABLES:
        remarks |= _add(workspace, folder, table, anchor)
    chosen = icu if anchor == "icu" and icu is not None else admissions
    stays, notes = _stays(workspace, chosen)
    result = SourceResult(stays, _outcomes(chosen), count_unmapped=False, notes=notes | remarks, labels=labels)
    return result if options.outcomes is None else result.with_outcomes(read_outcomes(options, workspace.dictionary))


def _find(folder: Path, table: str) -> Path | None:
    return next((path for path in (folder / (table + ending) for ending in ENDINGS) if path.is_file()), None)


def _table(
    folder: Path,
    table: str,
    absent: dict[str, int],
    *,
    needs: tuple[str, ...],
    optional: tuple[str, ...],
    columns: dict[str, str],
    key: str,
) -> pd.DataFrame:
    """A small table as text, checked; its index says where a row stands. Optional columns it lacks are noted."""
    path = _find(folder, table)
    if path is None:
        fix = "Pass the folder that holds hosp/ and icu/ as published."
        raise InputError(f"{table} ({', '.join(ENDINGS)})", "no such file", fix, where=folder.name)
    with small_connection() as connection:
        (part,) = open_parts(connection, path)
    check_columns(tuple(columns.get(name, name) for name in (key, *needs)), list(part.types), path.name)
    text = cells_as_text(path, columns, keys=(key,))
    check_once(text, [key], path.name)
    missing = [name for name in optional if name not in text]
    absent |= {f"rows of {table} without a column {name}": len(text) for name in missing}
    return text.assign(**dict.fromkeys(missing, pd.Series(pd.NA, index=text.index, dtype=object)))


def _admissions(folder: Path, absent: dict[str, int]) -> pd.DataFrame:
    """Admissions with their patient; hadm = stay_id; start and end in microseconds."""
    patients = _table(
        folder,
        "hosp/patients",
        absent,
        needs=(),
        optional=("gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"),
        columns={"patient_id": "subject_id"},
        key="patient_id",
    )
    table = _table(
        folder,
        "hosp/admissions",
        absent,
        needs=("patient_id", "start", "end"),
        optional=("hospital_expire_flag",),
        columns={"patient_id": "subject_id", "stay_id": "hadm_id", "start": "admittime", "end": "dischtime"},
        key="stay_id",
    )
    table = table.merge(patients, on="patient_id", how="left")
    table["hadm"] = table["stay_id"]
    table["died"] = pd.to_numeric(table["hospital_expire_flag"], errors="coerce").astype(float)
    died = pd.to_datetime(table["dod"], errors="coerce").astype("datetime64[us]")
    table["death"] = died.astype("int64").astype("Int64").mask(died.isna())
    table["readmission_30d"] = readmitted(table, followed=_followed(table))
    return table


def _followed(table: pd.DataFrame, days: float = 30) -> pd.Series:
    """Whether the database surely covers the days after a discharge.

    MIMIC-IV shifts each patient's dates, and says only in which three years a patient's anchor year lies. The database
    reaches at least the latest year in which a discharge of the extract must lie, so it covers all years before that;
    a discharge is followed where the latest year in which its following days may lie is one of those.
    """
    group = table["anchor_year_group"].str.extract(r"(\d{4})\s*-\s*(\d{4})").astype(float)
    shift = group.sub(pd.to_numeric(table["anchor_year"], errors="coerce"), axis=0)
    reached = (years(table["end"]) + shift[0]).max()
    return (years(table["end"] + int(days * DAY)) + shift[1]) <= reached - 1


def _icu(folder: Path, admissions: pd.DataFrame, absent: dict[str, int]) -> pd.DataFrame:
    table = _table(
        folder,
        "icu/icustays",
        absent,
        needs=("patient_id", "start", "end", "hadm_id"),
        optional=("first_careunit",),
        columns={"patient_id": "subject_id", "start": "intime", "end": "outtime"},
        key="stay_id",
    )
    of_admission = admissions.drop(columns=["patient_id", "stay_id", "end"]).rename(columns={"start": "admitted"})
    return table.merge(of_admission, left_on="hadm_id", right_on="hadm", how="left")


def _register(workspace: Workspace, folder: Path, admissions: pd.DataFrame, icu: pd.DataFrame | None) -> dict[str, str]:
    """What the tables are joined with: discharge and last ICU stay of each admission; label of each item."""
    last = pd.Series(dtype=object)
    if icu is not None:
        last = icu.sort_values(["start", "stay_id"]).groupby("hadm")["stay_id"].last()
    frame = pa.table(
        {
            "hadm": pa.array(admissions["hadm"], pa.string()),
            "discharge": pa.array(admissions["end"], pa.int64()).cast(pa.timestamp("us")),
            "last_icu": pa.array(admissions["hadm"].map(last), pa.string()),
        }
    )
    found = [path for name in ("icu/d_items", "hosp/d_labitems") if (path := _find(folder, name)) is not None]
    frames = [_labels(cells_as_text(path, {}, keys=("itemid",))) for path in found]
    items = pd.concat(frames).drop_duplicates("itemid") if frames else pd.DataFrame(columns=["itemid", "label"])
    workspace.sql.register("mimic_admissions", frame)
    names = {name: pa.array(items[name], pa.string()) for name in ("itemid", "label")}
    workspace.sql.register("mimic_items", pa.table(names))
    return dict(zip(items["itemid"], items["label"], strict=True))


def _labels(items: pd.DataFrame) -> pd.DataFrame:
    """itemid and label; the glucose of urine is not the glucose of blood."""
    if "fluid" in items:
        elsewhere = items["fluid"].notna() & (items["fluid"] != "Blood")
        items["label"] = items["label"].mask(elsewhere, items["label"] + ", " + items["fluid"])
    return items[["itemid", "label"]].dropna()


def _add(workspace: Workspace, folder: Path, table: Table, anchor: str) -> dict[str, int]:
    """The rows of a table; what the ledger should say of its columns."""
    path = _find(folder, table.path)
    if path is None:
        return {}
    (opened,) = open_parts(workspace.sql, path)
    table = table.with_limits() if workspace.uses_limits else table
    part, remarks = usable_part(opened, table)
    rows = derived(workspace.sql, part, table.select(anchor), tail=table.tail)
    with duckdb_errors(part.label):
        workspace.add_rows(rows, {}, RowFormat(assign_by_time=True, is_duplicate_source=table.is_duplicate_source))
        counts = {
            remark: workspace.sql.execute(f"SELECT count(*) FROM {part.sql} WHERE {condition}").fetchall()[0][0]
            for remark, condition in remarks.items()
        }
    return {remark: rows for remark, rows in counts.items() if rows}


def _stays(workspace: Workspace, chosen: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Stays with age, sex, type of unit and hours from hospital to ICU admission."""
    stays = chosen[["patient_id", "stay_id", "start", "end"]].reset_index(drop=True)
    chosen = chosen.reset_index(drop=True)
    aged, at = (pd.to_numeric(chosen[name], errors="coerce") for name in ("anchor_age", "anchor_year"))
    admitted = chosen["admitted"] if "admitted" in chosen else chosen["start"]
    texts = {"age": _words(aged + years(admitted) - at), "sex": chosen["gender"].map(SEX)}
    if "first_careunit" in chosen:
        texts["icu_type"] = chosen["first_careunit"].map(CAREUNITS)
        texts["hospital_to_icu_hours"] = _words((chosen["start"] - admitted).astype("Float64") / HOUR)
    return with_static_variables(stays, workspace.dictionary, texts)


def _words(numbers: pd.Series) -> pd.Series:
    return numbers.astype("Float64").astype("string").astype(object)


def _outcomes(chosen: pd.DataFrame) -> pd.DataFrame:
    """in_hospital_death (hospital_expire_flag), length_of_stay in days, readmission_30d.

    A readmission is another admission of the patient that starts within 30 days after the hospital discharge; unknown
    for those who died in the admission, who died within 30 days without a readmission, and whose 30 days the database
    does not surely cover.
    """
    return pd.DataFrame(
        {
            "patient_id": chosen["patient_id"],
            "stay_id": chosen["stay_id"],
            "in_hospital_death": chosen["died"],
            "length_of_stay": days_between(chosen["start"], chosen["end"]),
            "readmission_30d": chosen["readmission_30d"],
        }
    )
