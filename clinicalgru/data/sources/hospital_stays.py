"""What hospital visits say themselves: stays, descriptors and outcomes, for sources that list visits and persons."""

from __future__ import annotations

import pandas as pd

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.sources.admissions import DAY, as_dates, described, readmitted
from clinicalgru.errors import InputError

YEAR_DAYS = 365.25
RETURN_DAYS = 30
INTENSIVE_NAME = r"\b[A-Z]{0,4}ICU\b|\bCCU\b|intensive care|critical care|coronary care unit"
TEXT, TIME = ("patient_id", "stay_id", "sex"), ("start", "end", "birth", "death", "record_end")


def stays_of(visits: pd.DataFrame, dictionary: Dictionary, *, where: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Stays with age at their start and sex, and how many descriptors could not be used.

    visits  patient_id, stay_id, start, end, birth (microseconds, NA = unknown), sex ("female", "male" or NA)
    Refused: a visit that stands twice.
    """
    if visits["stay_id"].duplicated().any():
        raise InputError("each visit once", "a visit twice", "Keep one row a visit.", where=where)
    stays = visits[["patient_id", "stay_id", "start", "end"]].copy()
    years = (visits["start"] - visits["birth"]).astype("Float64") / (DAY * YEAR_DAYS)
    code = {name: level for level, name in dictionary["sex"].categories.items()}
    texts = {"age": years.astype("string"), "sex": visits["sex"].map(code).astype("string")}
    stays, notes = described(stays, dictionary, texts)
    return stays.reset_index(drop=True), notes


def outcomes_of(visits: pd.DataFrame, *, timezone: str | None = None) -> pd.DataFrame:
    """Outcomes of each visit: patient_id, stay_id, in_hospital_death, length_of_stay (days), readmission_30d.

    visits  as for `stays_of`, and: death (NA = none recorded), died_here (1, 0, or NA: go by the day of death),
            deaths_known (whether the source records deaths), admission (whether it is an inpatient visit), start_whole
            and end_whole (True where only a date is recorded), record_end (until when the patient was followed)
    timezone  where days begin and end; None = UTC, which local times without a declared zone are kept in

    A death on a day of the visit, from its first to its last, is a death in hospital. A readmission is the patient's
    next inpatient visit that starts after this one's end, within 30 days; it is asked only of inpatient visits left
    alive, and unknown where the record, or the patient's life, ends before. Unknown stays unknown (NaN).
    """
    died = _died(visits, timezone)
    return pd.DataFrame(
        {
            "patient_id": visits["patient_id"],
            "stay_id": visits["stay_id"],
            "in_hospital_death": died,
            "length_of_stay": days_of(visits, timezone=timezone),
            "readmission_30d": _back(visits, died),
        }
    ).reset_index(drop=True)


def days_of(visits: pd.DataFrame, *, timezone: str | None = None) -> pd.Series:
    """Length in days; whole days where start or end is a date without a time."""
    start, end = visits["start"].astype("Float64"), visits["end"].astype("Float64")
    whole = visits["start_whole"] | visits["end_whole"]
    days = ((end - start) / DAY).where(~whole, _day(visits["end"], timezone) - _day(visits["start"], timezone))
    return days.where(days >= 0).astype(float)  # an end before the start says nothing of the length


def _day(instants: pd.Series, timezone: str | None) -> pd.Series:
    """The calendar day of instants (microseconds), counted from 1970."""
    dates = as_dates(instants)
    if timezone is not None:
        dates = dates.dt.tz_localize("UTC").dt.tz_convert(timezone).dt.tz_localize(None)
    days = pd.Series(dates.astype("int64"), index=instants.index).where(dates.notna())
    return days.astype("Float64") // DAY


def _died(visits: pd.DataFrame, timezone: str | None) -> pd.Series:
    day = {name: _day(visits[name], timezone) for name in ("start", "end", "death")}
    within = (day["death"] >= day["start"]) & (day["death"] <= day["end"])
    known = visits["deaths_known"] & visits["start"].notna() & visits["end"].notna()
    by_day = within.fillna(False).astype(float).where(known.astype(bool))
    return visits["died_here"].astype(float).fillna(by_day)


def _back(visits: pd.DataFrame, died: pd.Series) -> pd.Series:
    """Readmission after inpatient visits; NaN after others."""
    asked = visits["admission"]
    admissions = visits.loc[asked, ["patient_id", "start", "end", "death"]].assign(died=died[asked])
    until = visits.loc[asked, "end"] + RETURN_DAYS * DAY
    followed = (visits.loc[asked, "record_end"] >= until).fillna(False).astype(bool)
    return readmitted(admissions, followed=followed, days=RETURN_DAYS).reindex(visits.index)


def typed(visits: pd.DataFrame) -> pd.DataFrame:
    """Visits with the types these functions count on: text, whole microseconds, flags."""
    kinds = dict.fromkeys(TEXT, "string") | dict.fromkeys(TIME, "Int64")
    flags = dict.fromkeys(("start_whole", "end_whole", "admission", "deaths_known"), bool)
    return visits.astype(kinds | flags | {"died_here": "Float64"})
