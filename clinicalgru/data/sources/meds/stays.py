"""The stays of a MEDS dataset, from its codes of admission and discharge, and what follows from them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.sources.hospital_stays import CAREUNITS, DAY, as_dates, days_between, with_static_variables
from clinicalgru.data.sources.meds.event_codes import BEGINS, ENDS

DIED = r"(?i)(?:^|//?)(?:DIED|DEAD|DEATH|DECEASED|EXPIRED|EXP)(?:$|//?)"  # in the code of a discharge
SEX = {"f": "0", "female": "0", "8532": "0", "m": "1", "male": "1", "8507": "1"}


def stays_of(dictionary: Dictionary, landmarks: pd.DataFrame, anchor: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return stays from first to last code, with age, sex and type of unit.

    Parameters
    ----------
    dictionary : Dictionary
        Data dictionary with the variables.
    landmarks : DataFrame
        Codes of admission, discharge and person: patient_id, stay_id, subject, kind, time (microseconds),
        detail, is_date (whether times of this kind are days).
    anchor : str
        "stay", "icu", "hospital" or "visit".

    Returns
    -------
    stays : DataFrame
        One row per stay.
    notes : dict of str to int
        How many values could not be used.
    """
    if anchor == "stay":
        return _own_stays(landmarks), {}
    stays = intervals(landmarks, anchor)
    birth = landmarks[landmarks["kind"] == "MEDS_BIRTH"].drop_duplicates("patient_id").set_index("patient_id")["time"]
    sex = landmarks[landmarks["kind"] == "GENDER"].drop_duplicates("patient_id").set_index("patient_id")["detail"]
    born, began = as_dates(stays["patient_id"].map(birth)), as_dates(stays["start"])
    before = began.dt.month * 100 + began.dt.day < born.dt.month * 100 + born.dt.day
    age = (began.dt.year - born.dt.year - before).astype("Float64")
    texts = {
        "age": age.astype("string").astype(object),
        "sex": stays["patient_id"].map(sex).astype("string").str.casefold().map(SEX),
    }
    if anchor == "icu":
        texts["icu_type"] = stays["careunit"].map(CAREUNITS)
    return with_static_variables(stays, dictionary, texts)


def intervals(landmarks: pd.DataFrame, anchor: str) -> pd.DataFrame:
    """Return each admission with its end: its own, else the subject's next discharge before the next admission.

    Parameters
    ----------
    landmarks : DataFrame
        Codes of admission, discharge and person, as for `stays_of`, and: ended (microseconds, of an admission that
        says when it ends).
    anchor : str
        "icu", "hospital" or "visit"; every admission to hospital is a visit.

    Returns
    -------
    DataFrame
        patient_id, stay_id (subject-number, in the order of time), start, end, careunit, and left (detail of the
        discharge).
    """
    anchors = ("visit", "hospital") if anchor == "visit" else (anchor,)
    has_time = landmarks["time"].notna()
    begins = landmarks[landmarks["kind"].isin([BEGINS[name] for name in anchors]) & has_time]
    ends = landmarks[landmarks["kind"].isin([ENDS[name] for name in anchors]) & has_time]
    stays = begins[["patient_id", "time", "ended", "detail"]].rename(columns={"time": "start", "detail": "careunit"})
    stays = stays.drop_duplicates(["patient_id", "start", "ended", "careunit"])
    stays = stays.reset_index(drop=True).astype({"start": "int64"})
    ends = ends[["patient_id", "time", "detail"]].rename(columns={"time": "end"}).astype({"end": "int64"})
    found = pd.merge_asof(
        stays.assign(at=stays.index).sort_values("start"),
        ends.sort_values("end"),
        left_on="start",
        right_on="end",
        by="patient_id",
        direction="forward",
        allow_exact_matches=False,  # who leaves one admission for the next at one minute
    ).set_index("at")
    stays["end"], stays["left"] = found["end"].astype("Int64"), found["detail"]
    following = stays.groupby("patient_id")["start"].shift(-1)
    other = (stays["end"] > following).fillna(False).astype(bool)
    stays["end"], stays["left"] = stays["end"].mask(other), stays["left"].mask(other)
    own = stays.pop("ended").astype("Int64")
    stays["left"] = stays["left"].where(own.isna() | (stays["end"] == own).fillna(False).astype(bool), None)
    stays["end"] = own.fillna(stays["end"])
    number = (stays.groupby("patient_id").cumcount() + 1).astype(str)
    stays["stay_id"] = stays["patient_id"] + "-" + number
    return stays


def _own_stays(landmarks: pd.DataFrame) -> pd.DataFrame:
    """The stays that `write_meds` wrote, under their own identifiers."""
    keys = ["patient_id", "stay_id"]
    begins = landmarks[landmarks["kind"] == BEGINS["stay"]][[*keys, "time"]].rename(columns={"time": "start"})
    ends = landmarks[landmarks["kind"] == ENDS["stay"]][[*keys, "time"]].rename(columns={"time": "end"})
    return begins.merge(ends, on=keys, how="left")


def outcomes_of(stays: pd.DataFrame, landmarks: pd.DataFrame, anchor: str) -> pd.DataFrame:
    """Return in_hospital_death and length_of_stay (days) of each stay.

    Parameters
    ----------
    stays : DataFrame
        What `stays_of` returned.
    landmarks : DataFrame
        Codes of admission, discharge and person: patient_id, stay_id, subject, kind, time (microseconds),
        detail, is_date (whether times of this kind are days).
    anchor : str
        "stay", "icu", "hospital" or "visit".

    Returns
    -------
    DataFrame
        patient_id, stay_id and the outcomes; NaN where unknown.
    """
    hospital = stays if anchor in ("hospital", "visit") else intervals(landmarks, "hospital")
    deaths = landmarks[(landmarks["kind"] == "MEDS_DEATH") & landmarks["time"].notna()]
    deaths = deaths.drop_duplicates("patient_id").set_index("patient_id")
    dead = hospital["patient_id"].map(deaths["time"]).astype("Int64")
    by_day = hospital["patient_id"].isin(deaths.index[deaths["is_date"].astype(bool)])  # died on a day of the stay
    first = hospital["start"].astype("Int64").where(~by_day, hospital["start"] // DAY * DAY)
    within = ((dead >= first) & (dead <= hospital["end"])).fillna(False).astype(bool)
    died = hospital["left"].astype("string").str.contains(DIED).fillna(False).astype(bool)
    hospital = hospital.assign(died=(died if died.any() else within).astype(float).where(hospital["end"].notna()))
    if anchor == "icu":
        hospital = _of_icu(stays, hospital)
    return pd.DataFrame(
        {
            "patient_id": stays["patient_id"],
            "stay_id": stays["stay_id"],
            "in_hospital_death": hospital["died"].to_numpy(dtype=float),
            "length_of_stay": days_between(stays["start"], stays["end"]),
        }
    )


def _of_icu(stays: pd.DataFrame, hospital: pd.DataFrame) -> pd.DataFrame:
    """The hospital admission of each ICU stay: the next to end, if it began before the ICU stay ended.

    The ICU's clock may be some minutes ahead of the admission's.
    """
    left = stays[["patient_id", "start", "end"]].assign(at=stays.index).sort_values("start")
    right = hospital.dropna(subset="end").astype({"end": "int64"}).sort_values("end")
    right = right[["patient_id", "start", "end", "died"]].rename(columns={"start": "admitted", "end": "left"})
    found = pd.merge_asof(left, right, left_on="start", right_on="left", by="patient_id", direction="forward")
    outside = (found["admitted"] > found["end"]).fillna(False).astype(bool)
    return found.assign(died=found["died"].mask(outside)).set_index("at").reindex(stays.index)


def with_split(stays: pd.DataFrame, landmarks: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return stays with the split of their subject, where the dataset has splits.

    Parameters
    ----------
    stays : DataFrame
        What `stays_of` returned.
    landmarks : DataFrame
        Codes of admission, discharge and person: patient_id, stay_id, subject, kind, time (microseconds),
        detail, is_date (whether times of this kind are days).
    folder : Path
        Folder of the dataset.

    Returns
    -------
    DataFrame
        The stays, with a column `split` where the dataset has splits.
    """
    path = folder / "metadata" / "subject_splits.parquet"
    if not path.is_file():
        return stays
    splits = pd.read_parquet(path, columns=["subject_id", "split"]).drop_duplicates("subject_id")
    split = splits["split"].set_axis(splits["subject_id"].astype(str))
    subject = landmarks.drop_duplicates("patient_id").set_index("patient_id")["subject"]
    return stays.assign(split=stays["patient_id"].map(subject).map(split).astype(object))
