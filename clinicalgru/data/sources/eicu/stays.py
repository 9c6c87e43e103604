"""Stays, static covariates and outcomes of eICU-CRD: its table patient, and the scores of apachePatientResult."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.ingest.table_cells import check_once
from clinicalgru.data.ingest.tables import TablePart
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.hospital_stays import with_static_variables
from clinicalgru.data.sources.named_columns import columns_by_name, read_table, with_columns

MINUTE = 60 * 1_000_000  # microseconds
DAY_MINUTES = 24 * 60
LONGEST_MINUTES = 366 * DAY_MINUTES * 10
KEYS = ("patientunitstayid", "uniquepid")
NEEDS = (*KEYS, "unitdischargeoffset")
OPTIONAL = (
    *("age", "gender", "admissionheight", "admissionweight", "unittype", "hospitalid", "hospitaladmitoffset"),
    *("hospitaldischargestatus", "unitdischargestatus"),
)
STATUS = {"alive": 0.0, "expired": 1.0}
SEX = {"female": "0", "male": "1"}  # "Other" and "Unknown" are neither
UNIT_TYPES = {  # those that are one of the dictionary's four types; Med-Surg, Neuro and mixed units are unknown
    "cardiac icu": "1",
    "csicu": "2",
    "cticu": "2",
    "micu": "3",
    "sicu": "4",
}
APACHE = {"apachescore": "apache_score", "predictedhospitalmortality": "apache_predicted_death"}
VERSION = "apacheversion"


def read_stays(workspace: Workspace, parts: Sequence[TablePart]) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Read the stays of the table patient.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    parts : sequence of TablePart
        The files of the table.

    Returns
    -------
    stays : DataFrame
        patient_id (uniquepid), stay_id (patientunitstayid), start (0), end (microseconds since the start), site
        (hospitalid), age, sex, height, admission_weight, icu_type, hospital_to_icu_hours.
    outcomes : DataFrame
        in_hospital_death and in_unit_death (1, 0, or NaN where the status is blank or another; a death in the unit is
        one in hospital), length_of_stay (days in the unit).
    notes : dict of str to int
        How many values were changed or could not be used, and which optional columns are absent.

    Raises
    ------
    InputError
        If a column is missing, a stay occurs twice, or an identifier is blank.
    """
    notes = {
        f"optional column absent: {name} of {part.label}": 1
        for part in parts
        for name in OPTIONAL
        if name not in columns_by_name(part)
    }
    chosen = [with_columns(part, NEEDS, OPTIONAL, identifiers=KEYS) for part in parts]
    table = read_table(workspace, chosen, key=KEYS)
    check_once(table, ["patientunitstayid"], parts[0].label)
    table = table.reset_index(drop=True)
    end, end_notes = _minutes(table["unitdischargeoffset"])
    stays = pd.DataFrame(
        {
            "patient_id": table["uniquepid"].astype(object),
            "stay_id": table["patientunitstayid"].astype(object),
            "start": pd.Series(0, index=table.index, dtype="Int64"),
            "end": (end * MINUTE).round().astype("Int64"),
        }
    )
    stays, static_notes = _with_static_covariates(stays, table, workspace.dictionary)
    in_unit, in_hospital = (table[f"{place}dischargestatus"].str.lower().map(STATUS) for place in ("unit", "hospital"))
    outcomes = stays[["patient_id", "stay_id"]].assign(
        in_hospital_death=in_hospital.fillna(in_unit.where(in_unit == 1)).astype(float),
        in_unit_death=in_unit.astype(float),
        length_of_stay=(end / DAY_MINUTES).astype(float),
    )
    return stays, outcomes, notes | end_notes | static_notes


def _minutes(text: pd.Series) -> tuple[pd.Series, dict[str, int]]:
    """Ends of stays in minutes; unknown where they are blank, no number, or before the start."""
    end = pd.to_numeric(text, errors="coerce").astype("Float64")
    is_wrong = (end.isna() & text.notna()) | (end < 0).fillna(False) | (end > LONGEST_MINUTES).fillna(False)
    notes = {
        "stays without a recorded end": int(text.isna().sum()),
        "stays whose end is before their start or no number of minutes (taken as unknown)": int(is_wrong.sum()),
    }
    return end.mask(is_wrong.astype(bool)), {note: count for note, count in notes.items() if count}


def _with_static_covariates(
    stays: pd.DataFrame, table: pd.DataFrame, dictionary: Dictionary
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Stays with their static covariates and the hospital as site; a height or weight of 0 is not recorded."""
    admitted = pd.to_numeric(table["hospitaladmitoffset"], errors="coerce").astype("Float64")
    measured = {
        ours: table[theirs].mask(pd.to_numeric(table[theirs], errors="coerce") == 0)
        for ours, theirs in (("height", "admissionheight"), ("admission_weight", "admissionweight"))
    }
    texts = {
        "age": table["age"],
        "sex": table["gender"].str.lower().map(SEX),
        **measured,
        "icu_type": table["unittype"].str.lower().map(UNIT_TYPES),
        "hospital_to_icu_hours": (-admitted / 60).astype("string").astype(object),
    }
    texts = {name: text.astype(object).where(text.notna(), None) for name, text in texts.items()}
    stays, notes = with_static_variables(stays, dictionary, texts)
    stays["site"] = table["hospitalid"].astype(object)
    return stays, notes


def with_apache(
    workspace: Workspace, outcomes: pd.DataFrame, parts: Sequence[TablePart]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Add the APACHE score and its predicted risk of death in hospital to the outcomes.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    outcomes : DataFrame
        Outcomes of the stays.
    parts : sequence of TablePart
        Files of the table apachePatientResult: one row for each stay and version of the score.

    Returns
    -------
    outcomes : DataFrame
        Outcomes with apache_score and apache_predicted_death of the latest version; -1 is unknown.
    notes : dict of str to int
        How many rows belong to no stay.
    """
    needs = ("patientunitstayid", "apachescore", "predictedhospitalmortality")
    chosen = [with_columns(part, needs, (VERSION,), identifiers=("patientunitstayid",)) for part in parts]
    table = read_table(workspace, chosen, key=("patientunitstayid",))
    scores = table.sort_values(VERSION, kind="stable", na_position="first").drop_duplicates(
        "patientunitstayid", keep="last"
    )
    for theirs, ours in APACHE.items():
        value = pd.to_numeric(scores[theirs], errors="coerce")
        scores[ours] = value.where(value >= 0).astype(float)
    scores = scores.rename(columns={"patientunitstayid": "stay_id"})[["stay_id", *APACHE.values()]]
    joined = outcomes.merge(scores.astype({"stay_id": object}), on="stay_id", how="left")
    n_other = int((~scores["stay_id"].isin(set(outcomes["stay_id"]))).sum())
    return joined, {"scores of no stay of the extract": n_other} if n_other else {}
