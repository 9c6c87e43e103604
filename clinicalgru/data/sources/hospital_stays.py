"""Stays, static covariates and outcomes that follow from hospital admissions, for sources that list visits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import HOUR
from clinicalgru.data.ingest.static_values import static_values, top_coded_notes
from clinicalgru.errors import InputError

DAY = 24 * HOUR
YEAR_DAYS = 365.25
READMISSION_DAYS = 30
SEX = {"F": "0", "M": "1"}
CAREUNITS = {  # Beth Israel Deaconess; units that are none of the dictionary's four types, or mixed, are unknown
    "Coronary Care Unit (CCU)": "1",
    "Cardiac Vascular Intensive Care Unit (CVICU)": "2",
    "Medical Intensive Care Unit (MICU)": "3",
    "Surgical Intensive Care Unit (SICU)": "4",
    "Trauma SICU (TSICU)": "4",
}
INTENSIVE_CARE_NAME = r"\b[A-Z]{0,4}ICU\b|\bCCU\b|intensive care|critical care|coronary care unit"
TEXT, TIME = ("patient_id", "stay_id", "sex"), ("start", "end", "birth", "death", "record_end")
FLAGS = ("start_is_date", "end_is_date", "is_admission", "deaths_known")


def with_static_variables(
    stays: pd.DataFrame, dictionary: Dictionary, texts: Mapping[str, pd.Series]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Add static covariates to stays.

    Parameters
    ----------
    stays : DataFrame
        One row per stay; the columns are added to it.
    dictionary : Dictionary
        Data dictionary with the variables.
    texts : mapping of str to Series
        Values of each static variable as text, in the dictionary's unit or categories; NA where unknown.

    Returns
    -------
    stays : DataFrame
        The stays.
    notes : dict of str to int
        How many values of each variable could not be used.
    """
    notes: dict[str, int] = {}
    for name, text in texts.items():
        stays[name], n_unusable = static_values(dictionary[name], text)
        notes |= top_coded_notes(dictionary[name], text)
        if n_unusable:
            notes[f"static values not used: {name}"] = n_unusable
    return stays, notes


def as_dates(microseconds: pd.Series) -> pd.Series:
    """Convert microseconds since 1970 to dates.

    Parameters
    ----------
    microseconds : Series of int
        NA where unknown.

    Returns
    -------
    Series of datetime64
        NaT where unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.data.sources.hospital_stays import as_dates
    >>> as_dates(pd.Series([0, pd.NA], dtype="Int64")).dt.year.tolist()
    [1970.0, nan]
    """
    return microseconds.astype("Int64").astype("Float64").astype(float).astype("datetime64[us]")


def years(microseconds: pd.Series) -> pd.Series:
    """Return the calendar year of times.

    Parameters
    ----------
    microseconds : Series of int
        Times, in microseconds since 1970; NA where unknown.

    Returns
    -------
    Series of float
        Years; NaN where unknown.
    """
    return as_dates(microseconds).dt.year


def days_between(start: pd.Series, end: pd.Series) -> pd.Series:
    """Return the days from start to end.

    Parameters
    ----------
    start : Series of int
        Starts, in microseconds since 1970; NA where unknown.
    end : Series of int
        Ends, in microseconds since 1970; NA where unknown.

    Returns
    -------
    Series of float
        Days; NaN where one is unknown.
    """
    return ((end.astype("Int64") - start.astype("Int64")).astype("Float64") / DAY).astype(float)


def stays_of(visits: pd.DataFrame, dictionary: Dictionary, *, where: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return stays with age at their start and sex.

    Parameters
    ----------
    visits : DataFrame
        patient_id, stay_id, start, end, birth (microseconds, NA = unknown), sex ("female", "male" or NA).
    dictionary : Dictionary
        Data dictionary with the variables age and sex.
    where : str
        Name of the table, for messages.

    Returns
    -------
    stays : DataFrame
        patient_id, stay_id, start, end, age (years), sex.
    notes : dict of str to int
        How many values could not be used.

    Raises
    ------
    InputError
        If a visit occurs twice.
    """
    if visits["stay_id"].duplicated().any():
        raise InputError("unique visit identifiers", "a repeated one", "Keep one row per visit.", where=where)
    stays = visits[["patient_id", "stay_id", "start", "end"]].copy()
    age = (visits["start"] - visits["birth"]).astype("Float64") / (DAY * YEAR_DAYS)
    code = {name: category for category, name in dictionary["sex"].categories.items()}
    texts = {"age": age.astype("string"), "sex": visits["sex"].map(code).astype("string")}
    stays, notes = with_static_variables(stays, dictionary, texts)
    return stays.reset_index(drop=True), notes


def outcomes_of(visits: pd.DataFrame, *, timezone: str | None = None) -> pd.DataFrame:
    """Return the outcomes of each visit; unknown stays unknown (NaN).

    Parameters
    ----------
    visits : DataFrame
        As for `stays_of`, and: death (NA = none recorded), died_here (1, 0, or NA: decided by the day of death),
        deaths_known (whether the source records deaths), is_admission (whether it is an inpatient visit), start_is_date
        and end_is_date (True where only a date is recorded), record_end (end of the patient's follow-up).
    timezone : str, optional
        Time zone in which days begin and end; UTC where None.

    Returns
    -------
    DataFrame
        patient_id, stay_id, in_hospital_death, length_of_stay (days), readmission_30d.

    Notes
    -----
    A death on a day of the visit, from its first to its last, is a death in hospital. A readmission is the patient's
    next inpatient visit that starts within 30 days after the end of this one. It is known only for inpatient visits
    that the patient survived, and unknown where follow-up or life ends before day 30.
    """
    died = _died(visits, timezone)
    return pd.DataFrame(
        {
            "patient_id": visits["patient_id"],
            "stay_id": visits["stay_id"],
            "in_hospital_death": died,
            "length_of_stay": length_of_stay(visits, timezone=timezone),
            "readmission_30d": _readmission(visits, died),
        }
    ).reset_index(drop=True)


def length_of_stay(visits: pd.DataFrame, *, timezone: str | None = None) -> pd.Series:
    """Return the days from start to end; whole days where one of them is a date.

    Parameters
    ----------
    visits : DataFrame
        start, end (microseconds), start_is_date and end_is_date, as for `outcomes_of`.
    timezone : str, optional
        Time zone in which days begin and end; UTC where None.

    Returns
    -------
    Series of float
        Days; NaN where one is unknown or the end is before the start.
    """
    start, end = visits["start"].astype("Float64"), visits["end"].astype("Float64")
    is_date = visits["start_is_date"] | visits["end_is_date"]
    whole_days = _calendar_day(visits["end"], timezone) - _calendar_day(visits["start"], timezone)
    days = ((end - start) / DAY).where(~is_date, whole_days)
    return days.where(days >= 0).astype(float)


def _calendar_day(instants: pd.Series, timezone: str | None) -> pd.Series:
    """The calendar day of times (microseconds), counted from 1970."""
    dates = as_dates(instants)
    if timezone is not None:
        dates = dates.dt.tz_localize("UTC").dt.tz_convert(timezone).dt.tz_localize(None)
    days = pd.Series(dates.astype("int64"), index=instants.index).where(dates.notna())
    return days.astype("Float64") // DAY


def _died(visits: pd.DataFrame, timezone: str | None) -> pd.Series:
    """Death in hospital: as recorded, else by the day of death."""
    day = {name: _calendar_day(visits[name], timezone) for name in ("start", "end", "death")}
    within = (day["death"] >= day["start"]) & (day["death"] <= day["end"])
    known = visits["deaths_known"] & visits["start"].notna() & visits["end"].notna()
    by_day = within.fillna(False).astype(float).where(known.astype(bool))
    return visits["died_here"].astype(float).fillna(by_day)


def _readmission(visits: pd.DataFrame, died: pd.Series) -> pd.Series:
    """Readmission after inpatient visits; NaN after others."""
    selected = visits["is_admission"]
    admissions = visits.loc[selected, ["patient_id", "start", "end", "death"]].assign(died=died[selected])
    until = visits.loc[selected, "end"] + READMISSION_DAYS * DAY
    followed = (visits.loc[selected, "record_end"] >= until).fillna(False).astype(bool)
    return readmitted(admissions, followed=followed, days=READMISSION_DAYS).reindex(visits.index)


def readmitted(admissions: pd.DataFrame, *, followed: pd.Series, days: float = READMISSION_DAYS) -> pd.Series:
    """Return whether another admission starts within some days after the discharge.

    Parameters
    ----------
    admissions : DataFrame
        patient_id, start, end (microseconds), died (1 = in this admission), death (microseconds, NA = none recorded).
    followed : Series of bool
        True where the extract covers all of these days. Without follow-up the outcome is unknown even after a
        readmission: otherwise only readmitted patients would be known at the end of the extract.
    days : float
        Days after the discharge.

    Returns
    -------
    Series of float
        1, 0, or NaN where unknown: no discharge, death in the admission, death within these days without readmission,
        or no follow-up.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.data.sources.hospital_stays import DAY, readmitted
    >>> stays = pd.DataFrame({"patient_id": ["1", "1"], "start": [0, 20 * DAY], "end": [2 * DAY, 25 * DAY],
    ...                       "died": [0.0, 0.0], "death": [pd.NA, pd.NA]})
    >>> readmitted(stays, followed=pd.Series([True, True])).tolist()
    [1.0, 0.0]
    """
    is_readmitted = (_days_to_next_admission(admissions) <= days).set_axis(admissions.index)
    survival = days_between(admissions["end"], admissions["death"])
    is_unknown = (admissions["died"] != 0) | ((survival <= days) & ~is_readmitted)
    return is_readmitted.astype(float).mask(is_unknown | admissions["end"].isna() | ~followed)


def _days_to_next_admission(admissions: pd.DataFrame) -> pd.Series:
    """Days from each discharge to the patient's next admission; NaN where there is none."""
    ends = admissions[["patient_id", "end"]].assign(row=np.arange(len(admissions))).dropna(subset="end")
    starts = admissions[["patient_id", "start"]].dropna().rename(columns={"start": "next"})
    ends, starts = (
        ends.astype({"end": "int64"}).sort_values("end"),
        starts.astype({"next": "int64"}).sort_values("next"),
    )
    pairs = pd.merge_asof(
        ends, starts, left_on="end", right_on="next", by="patient_id", direction="forward", allow_exact_matches=False
    )
    days = pd.Series(np.nan, index=range(len(admissions)))
    days.loc[pairs["row"].to_numpy()] = ((pairs["next"] - pairs["end"]) / DAY).to_numpy(dtype=float)
    return days


def with_dtypes(visits: pd.DataFrame) -> pd.DataFrame:
    """Return visits with the dtypes that the functions of this file need: text, whole microseconds, flags.

    Parameters
    ----------
    visits : DataFrame
        Visits with the columns of `outcomes_of`.

    Returns
    -------
    DataFrame
        A copy.
    """
    dtypes = dict.fromkeys(TEXT, "string") | dict.fromkeys(TIME, "Int64") | dict.fromkeys(FLAGS, bool)
    return visits.astype(dtypes | {"died_here": "Float64"})


def icd_sql(version: str, code: str, *, procedure: bool) -> str:
    """Return SQL of an ICD code with its point, such as ICD10:A41.9.

    Parameters
    ----------
    version : str
        SQL of the version of the ICD, as text: 9 or 10.
    code : str
        SQL of the code without its point.
    procedure : bool
        Whether it is the code of a procedure.

    Returns
    -------
    str
        SQL expression.
    """
    if procedure:
        position = f"CASE WHEN {version} = '9' THEN 2 ELSE 7 END"
    else:
        position = f"CASE WHEN {version} = '9' AND {code} LIKE 'E%' THEN 4 ELSE 3 END"
    with_point = f"left({code}, {position}) || '.' || substr({code}, {position} + 1)"
    return f"'ICD' || {version} || ':' || CASE WHEN length({code}) > {position} THEN {with_point} ELSE {code} END"
