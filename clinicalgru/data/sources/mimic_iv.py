"""MIMIC-IV: a folder with hosp/ and icu/ of csv, csv.gz or Parquet files, as published.

A stay is an ICU stay (anchor "icu", the default) or a hospital admission (anchor "hospital"). A row is placed by the
stay_id or hadm_id that its table has, else by patient and time: laboratory results and an ICU stay share no key, and a
hadm_id cannot tell which ICU stay it was. A laboratory result often stands in labevents and, copied by hand or machine,
in chartevents: labevents counts, as it says when the result was known, and the copy (same stay, variable, instant and
value) is counted as `duplicate`. A storetime before the event (outputs are charted for the hour that ends)
makes a value known at the event, not before.

References
----------
Johnson et al., MIMIC-IV, a freely accessible electronic health record dataset, Sci Data 2023;10:1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import HOUR
from clinicalgru.data.ingest.read_options import ReadOptions, as_path
from clinicalgru.data.ingest.row_sql import RowFormat
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.stays_table import cells_as_text, check_once, read_outcomes
from clinicalgru.data.ingest.tables import TablePart, derived, duckdb_errors, open_parts
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.hospital_stays import (
    CAREUNITS,
    DAY,
    SEX,
    days_between,
    icd_sql,
    readmitted,
    with_static_variables,
    years,
)
from clinicalgru.errors import ArgumentError, InputError, describe

ENDINGS = (".csv.gz", ".csv", ".parquet")
OWN_STAY = {"icu": "r.stay_id", "hospital": "r.hadm_id"}  # of the ICU's tables, which have both
BY_TIME = {"icu": "NULL::VARCHAR", "hospital": "r.hadm_id"}
OF_ADMISSION = {"icu": "a.last_icu", "hospital": "r.hadm_id"}
ADMISSION = "LEFT JOIN mimic_admissions a ON a.hadm = CAST(r.hadm_id AS VARCHAR)"
ITEM = "LEFT JOIN mimic_items i ON i.itemid = CAST(r.itemid AS VARCHAR)"


@dataclass(frozen=True)
class Table:
    """One table of events: where it is, and SQL of the stay, time, value and meaning of a row.

    Attributes
    ----------
    path : str
        Path in the folder, without its ending.
    stay : dict of str to str
        SQL of the stay, by anchor.
    needs : tuple of str
        Columns that the table must have.
    time : str
        SQL of the time of the event.
    stored : str
        SQL of when it was stored.
    variable, value, unit, code : str
        SQL of these.
    tail : str
        SQL of the tables it is joined with.
    is_duplicate_source : bool
        Whether its rows may be copies of rows of another table.
    """

    path: str
    stay: dict[str, str]
    needs: tuple[str, ...]
    time: str
    stored: str
    variable: str = "r.itemid"
    value: str = "NULL::VARCHAR"
    unit: str = "NULL::VARCHAR"
    code: str = "NULL::VARCHAR"
    tail: str = ""
    is_duplicate_source: bool = False

    def select(self, anchor: str) -> str:
        """Return SQL of the intake's columns.

        Parameters
        ----------
        anchor : str
            "icu" or "hospital".

        Returns
        -------
        str
            SQL of the columns, separated by commas.
        """
        known = f"CASE WHEN {self.stored} > {self.time} THEN {self.stored} ELSE {self.time} END"
        return (
            f"r.subject_id AS patient_id, {self.stay[anchor]} AS stay_id, {self.time} AS time, "
            f"{known} AS available_at, {self.variable} AS variable, "
            f"{self.value} AS value, {self.unit} AS unit, {self.code} AS code"
        )


def _measured(path: str, stay: dict[str, str], value: str, *, is_duplicate_source: bool = False) -> Table:
    needs = ("subject_id", "hadm_id", "itemid", "charttime", "storetime", value, "valueuom")
    return Table(
        path,
        stay,
        needs,
        "r.charttime",
        "r.storetime",
        value=f"r.{value}",
        unit="r.valueuom",
        is_duplicate_source=is_duplicate_source,
    )


def _item(path: str, variable: str) -> Table:
    needs = ("subject_id", "hadm_id", "stay_id", "itemid", "starttime", "storetime")
    code = "coalesce(i.label, CAST(r.itemid AS VARCHAR))"
    return Table(path, OWN_STAY, needs, "r.starttime", "r.storetime", variable=f"'{variable}'", code=code, tail=ITEM)


def _icd(path: str, variable: str, time: str) -> Table:
    """Codes for billing: written after the discharge, so known at the discharge only."""
    code = icd_sql("trim(CAST(r.icd_version AS VARCHAR))", "trim(r.icd_code)", procedure=variable == "procedure")
    needs = ("subject_id", "hadm_id", "icd_code", "icd_version")
    return Table(path, OF_ADMISSION, needs, time, "a.discharge", variable=f"'{variable}'", code=code, tail=ADMISSION)


TABLES = (
    _measured("hosp/labevents", BY_TIME, "valuenum"),
    _measured("icu/chartevents", OWN_STAY, "valuenum", is_duplicate_source=True),
    _measured("icu/outputevents", OWN_STAY, "value"),
    _item("icu/inputevents", "drug"),
    _item("icu/procedureevents", "procedure"),
    _icd("hosp/diagnoses_icd", "diagnosis", "a.discharge"),
    _icd("hosp/procedures_icd", "procedure", "CAST(r.chartdate AS TIMESTAMP)"),
)


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
    admissions = _admissions(folder)
    icu = _icu(folder, admissions) if anchor == "icu" or _find(folder, "icu/icustays") is not None else None
    labels = _register(workspace, folder, admissions, icu)
    for table in TABLES:
        _add(workspace, folder, table, anchor)
    chosen = icu if anchor == "icu" and icu is not None else admissions
    stays, notes = _stays(workspace, chosen)
    outcomes = _outcomes(chosen)
    if options.outcomes is not None:
        outcomes = read_outcomes(options.outcomes, columns=options.columns, renamed={})
    return SourceResult(stays, outcomes, count_unmapped=False, notes=notes, labels=labels)


def _find(folder: Path, table: str) -> Path | None:
    return next((path for path in (folder / (table + ending) for ending in ENDINGS) if path.is_file()), None)


def _table(folder: Path, table: str, *, needs: tuple[str, ...], columns: dict[str, str], key: str) -> pd.DataFrame:
    """A small table as text, checked; its index says where a row stands."""
    path = _find(folder, table)
    if path is None:
        fix = "Pass the folder that holds hosp/ and icu/ as published."
        raise InputError(f"{table} ({', '.join(ENDINGS)})", "no such file", fix, where=folder.name)
    text = cells_as_text(path, columns, keys=(key,))
    _check_columns(needs, text.columns.tolist(), path.name)
    check_once(text, [key], path.name)
    return text


def _check_columns(needs: tuple[str, ...], have: list[str], where: str) -> None:
    missing = [name for name in needs if name not in have]
    if missing:
        fix = "Pass the tables of MIMIC-IV 1.0 or later as published."
        got = f"a table of {len(have)} columns without them"
        raise InputError(f"the columns {', '.join(missing)}", got, fix, where=where)


def _admissions(folder: Path) -> pd.DataFrame:
    """Admissions with their patient; hadm = stay_id; start and end in microseconds."""
    needs = ("patient_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod")
    patients = _table(folder, "hosp/patients", needs=needs, columns={"patient_id": "subject_id"}, key="patient_id")
    columns = {"patient_id": "subject_id", "stay_id": "hadm_id", "start": "admittime", "end": "dischtime"}
    needed = ("patient_id", "start", "end", "hospital_expire_flag")
    table = _table(folder, "hosp/admissions", needs=needed, columns=columns, key="stay_id")
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


def _icu(folder: Path, admissions: pd.DataFrame) -> pd.DataFrame:
    columns = {"patient_id": "subject_id", "stay_id": "stay_id", "start": "intime", "end": "outtime"}
    needs = ("patient_id", "start", "end", "hadm_id", "first_careunit")
    table = _table(folder, "icu/icustays", needs=needs, columns=columns, key="stay_id")
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


def _add(workspace: Workspace, folder: Path, table: Table, anchor: str) -> None:
    path = _find(folder, table.path)
    if path is None:
        return
    (part,) = open_parts(workspace.sql, path)
    _check_columns(table.needs, list(part.types), part.label)
    _check_whole(part)
    rows = derived(workspace.sql, part, table.select(anchor), tail=table.tail)
    with duckdb_errors(part.label):
        workspace.add_rows(rows, {}, RowFormat(assign_by_time=True, is_duplicate_source=table.is_duplicate_source))


def _check_whole(part: TablePart) -> None:
    """Refuse identifiers that a tool has made floating point, before they are compared as text."""
    rounded = [name for name in ("hadm_id", "itemid") if part.types.get(name) in ("FLOAT", "DOUBLE")]
    if rounded:
        fix = "Write it as whole numbers or text."
        raise InputError(f"{rounded[0]} as whole numbers or text", "floating point", fix, where=part.label)


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
