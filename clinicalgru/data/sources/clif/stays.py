"""Hospital and intensive care stays of CLIF, with static covariates and outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from clinicalgru.data.events import HOUR
from clinicalgru.data.ingest.table_cells import check_once
from clinicalgru.data.ingest.table_times import Clock
from clinicalgru.data.ingest.tables import TablePart
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.clif.icu_stays import icu_stays
from clinicalgru.data.sources.hospital_stays import DAY, YEAR_DAYS, days_between, with_static_variables
from clinicalgru.data.sources.named_columns import read_table, with_columns

SEX = {"female": "0", "male": "1"}
LOCATION_TYPES = {  # those that are one of the dictionary's four types; mixed units are unknown
    "cardiac_icu": "1",
    "cardiothoracic_surgical_icu": "2",
    "cvicu_icu": "2",
    "medical_icu": "3",
    "surgical_icu": "4",
}
DIED = "expired"
UNKNOWN_DISCHARGE = ("missing", "still_admitted")
STAY, PATIENT = "hospitalization_id", "patient_id"


def read_stays(
    workspace: Workspace, tables: Mapping[str, Sequence[TablePart]], *, anchor: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, tuple[Clock, ...], dict[str, int]]:
    """Read the stays of CLIF.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    tables : mapping of str to sequence of TablePart
        Files of patient, hospitalization and, for ICU stays, adt.
    anchor : str
        "icu": stays in intensive care by adt; "hospital": hospitalizations.

    Returns
    -------
    stays : DataFrame
        patient_id, stay_id, start, end (microseconds), site (hospital_id), age, sex, icu_type, hospital_to_icu_hours,
        and hospitalization_id.
    outcomes : DataFrame
        in_hospital_death (1, 0, or NaN where unknown), length_of_stay (days).
    hospitalizations : DataFrame
        hospitalization_id and patient_id of all hospitalizations.
    clocks : tuple of Clock
        The kinds of the times of hospitalization and adt: with or without UTC offset.
    notes : dict of str to int
        How many values were changed or could not be used, and which optional columns are absent.

    Raises
    ------
    InputError
        If a column is missing, a hospitalization occurs twice, an identifier is blank, or a date cannot be read.

    Notes
    -----
    in_hospital_death is 1 where discharge_category is Expired, and 0 where it is another. Where the category is blank,
    Missing or Still Admitted, it is 1 if death_dttm is within the hospitalization, and else unknown.
    """
    hospital, notes = _hospitalizations(workspace, tables)
    locations = None
    if "adt" in tables:
        locations, location_notes = _locations(workspace, tables["adt"])
        notes |= location_notes
    if anchor == "icu":
        assert locations is not None
        chosen, icu_notes = icu_stays(locations, hospital)
        notes |= icu_notes
    else:
        chosen = hospital.assign(stay_id=hospital[STAY], start=hospital["admitted"], end=hospital["left"])
        if locations is not None:
            site = locations.sort_values("in_dttm", kind="stable").drop_duplicates(STAY).set_index(STAY)["hospital_id"]
            chosen["site"] = chosen[STAY].map(site)
    chosen = chosen.reset_index(drop=True)
    stays = chosen[[PATIENT, "stay_id", "start", "end", STAY]].copy()
    stays["site"] = (chosen["site"] if "site" in chosen else pd.Series(pd.NA, index=chosen.index)).astype(object)
    texts = {"age": chosen["age"], "sex": _folded(chosen["sex_category"]).map(SEX)}
    if anchor == "icu":
        texts["icu_type"] = _folded(chosen["location_type"]).map(LOCATION_TYPES)
        hours = (chosen["start"] - chosen["admitted"]).astype("Float64") / HOUR
        texts["hospital_to_icu_hours"] = hours.astype("string")
    texts = {name: text.astype(object).where(text.notna(), None) for name, text in texts.items()}
    stays, static_notes = with_static_variables(stays, workspace.dictionary, texts)
    outcomes = stays[[PATIENT, "stay_id"]].assign(
        in_hospital_death=chosen["died"].astype(float), length_of_stay=days_between(stays["start"], stays["end"])
    )
    clocks = () if workspace.has_timezone else (*_clocks(hospital, "hospitalization"), *_clocks(locations, "adt"))
    return stays, outcomes, hospital[[STAY, PATIENT]], clocks, notes | static_notes


def _clocks(table: pd.DataFrame | None, name: str) -> list[Clock]:
    """The kinds of the times of a table of stays."""
    if table is None:
        return []
    columns = [column for column in table if str(column).startswith("has_offset ")]
    kinds = {(str(column), bool(kind)) for column in columns for kind in table[column].dropna().unique()}
    return [
        Clock(is_date=True, has_offset=kind, where=f"{name}, column {column.removeprefix('has_offset ')}")
        for column, kind in sorted(kinds)
    ]


def _folded(text: pd.Series) -> pd.Series:
    """Categories as CLIF 3.0 writes them: lower case, words joined by underscores."""
    return text.astype("string").str.lower().str.replace(r"[\s_-]+", "_", regex=True)


def _hospitalizations(
    workspace: Workspace, tables: Mapping[str, Sequence[TablePart]]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Hospitalizations with their patient: admitted and left (microseconds), age (text), died."""
    times = ("admission_dttm", "discharge_dttm")
    parts = [
        with_columns(
            part, (PATIENT, STAY, *times), ("age_at_admission", "discharge_category"), identifiers=(PATIENT, STAY)
        )
        for part in tables["hospitalization"]
    ]
    table = read_table(workspace, parts, key=(PATIENT, STAY), times=times)
    check_once(table, [STAY], parts[0].label)
    table = table.merge(_patients(workspace, tables["patient"]), on=PATIENT, how="left")
    admitted, left = table["admission_dttm"], table["discharge_dttm"]
    reversed_ = (left < admitted).fillna(False).astype(bool)
    table = table.assign(admitted=admitted, left=left.mask(reversed_))
    at_birth = ((admitted - table["birth_date"]).astype("Float64") / (DAY * YEAR_DAYS)).astype("string")
    table["age"] = table["age_at_admission"].astype("string").fillna(at_birth)
    table["died"], n_contradicted = _died(table)
    notes = {
        "hospitalizations that end before they start (end taken as unknown)": int(reversed_.sum()),
        "hospitalizations of no patient of the table patient": int(
            (~table["is_patient"].fillna(False).astype(bool)).sum()
        ),
        "hospitalizations left alive, with a death_dttm within them (taken as alive)": n_contradicted,
    }
    return table, {note: count for note, count in notes.items() if count}


def _patients(workspace: Workspace, files: Sequence[TablePart]) -> pd.DataFrame:
    """Patients with sex_category, birth_date and death_dttm (microseconds)."""
    optional = ("sex_category", "birth_date", "death_dttm")
    parts = [with_columns(part, (PATIENT,), optional, identifiers=(PATIENT,)) for part in files]
    table = read_table(workspace, parts, key=(PATIENT,), times=("birth_date", "death_dttm"))
    check_once(table, [PATIENT], parts[0].label)
    return table.drop(columns=["has_offset birth_date", "has_offset death_dttm"]).assign(is_patient=True)


def _died(table: pd.DataFrame) -> tuple[pd.Series, int]:
    """Death in hospital, and how many left alive although their death is dated within the hospitalization."""
    category = _folded(table["discharge_category"])
    is_unknown = category.isna() | category.isin(UNKNOWN_DISCHARGE)
    within = (
        ((table["death_dttm"] >= table["admitted"]) & (table["death_dttm"] <= table["left"])).fillna(False).astype(bool)
    )
    died = (category == DIED).astype("Float64").mask(is_unknown)
    contradicted = within & ~is_unknown & (category != DIED).fillna(False).astype(bool)
    return died.mask(is_unknown & within, 1.0).astype("Float64").astype(float), int(contradicted.sum())


def _locations(workspace: Workspace, files: Sequence[TablePart]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows of adt with in_dttm and out_dttm (microseconds)."""
    times = ("in_dttm", "out_dttm")
    needs = (STAY, *times, "location_category")
    parts = [with_columns(part, needs, ("location_type", "hospital_id"), identifiers=(STAY,)) for part in files]
    table = read_table(workspace, parts, key=(STAY,), times=times).reset_index(drop=True)
    table["location_category"] = _folded(table["location_category"])
    without_start = table["in_dttm"].isna()
    reversed_ = (table["out_dttm"] < table["in_dttm"]).fillna(False).astype(bool)
    notes = {
        "rows of adt without in_dttm (not used)": int(without_start.sum()),
        "rows of adt that end before they start (not used)": int(reversed_.sum()),
    }
    return table[~without_start & ~reversed_], {note: count for note, count in notes.items() if count}
