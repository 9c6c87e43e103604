"""What hospital sources share: descriptors and outcomes of a stay that follow from its admission."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import HOUR
from clinicalgru.data.ingest.stays_table import static_values

DAY = 24 * HOUR
SEX = {"F": "0", "M": "1"}
CAREUNITS = {  # Beth Israel Deaconess; units that are none of the dictionary's four types, or mixed, are unknown
    "Coronary Care Unit (CCU)": "1",
    "Cardiac Vascular Intensive Care Unit (CVICU)": "2",
    "Medical Intensive Care Unit (MICU)": "3",
    "Surgical Intensive Care Unit (SICU)": "4",
    "Trauma SICU (TSICU)": "4",
}


def described(
    stays: pd.DataFrame, dictionary: Dictionary, texts: Mapping[str, pd.Series]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Stays with descriptors, and what of them could not be used, counted.

    texts   descriptor -> its values as text in the dictionary's unit or levels, NA where unknown, aligned with `stays`
    """
    notes = {}
    for name, text in texts.items():
        stays[name], lost = static_values(dictionary[name], text)
        if lost:
            notes[f"descriptors not used: {name}"] = lost
    return stays, notes


def years(microseconds: pd.Series) -> pd.Series:
    """The calendar year of times in microseconds; NaN where unknown."""
    return as_dates(microseconds).dt.year


def as_dates(microseconds: pd.Series) -> pd.Series:
    """Microseconds since 1970 as dates; NaT where unknown.

    >>> as_dates(pd.Series([0, pd.NA], dtype="Int64")).dt.year.tolist()
    [1970.0, nan]
    """
    return microseconds.astype("Int64").astype("Float64").astype(float).astype("datetime64[us]")


def days_between(start: pd.Series, end: pd.Series) -> pd.Series:
    """Days from start to end (microseconds); NaN where one is unknown."""
    return ((end.astype("Int64") - start.astype("Int64")).astype("Float64") / DAY).astype(float)


def readmitted(admissions: pd.DataFrame, *, followed: pd.Series, days: float = 30) -> pd.Series:
    """Whether another admission starts after the discharge and within `days` of it: 1, 0, or NaN where not knowable.

    admissions  patient_id, start, end (microseconds), died (1 = in this admission), death (microseconds, NA = none
                recorded)
    followed    True where the extract is known to cover all of these days; whoever is not followed is unknown even if
                readmitted, else the readmitted would be the only ones known at the extract's end

    Not knowable: no discharge, death in the admission, death within these days without readmission, not followed.

    >>> day = 86_400_000_000
    >>> stays = pd.DataFrame({"patient_id": ["1", "1"], "start": [0, 20 * day], "end": [2 * day, 25 * day],
    ...                       "died": [0.0, 0.0], "death": [pd.NA, pd.NA]})
    >>> readmitted(stays, followed=pd.Series([True, True])).tolist()
    [1.0, 0.0]
    """
    out = admissions[["patient_id", "end"]].assign(at=np.arange(len(admissions))).dropna(subset="end")
    back = admissions[["patient_id", "start"]].dropna().rename(columns={"start": "next"})
    out, back = out.astype({"end": "int64"}).sort_values("end"), back.astype({"next": "int64"}).sort_values("next")
    found = pd.merge_asof(
        out, back, left_on="end", right_on="next", by="patient_id", direction="forward", allow_exact_matches=False
    )
    until = pd.Series(np.nan, index=range(len(admissions)))
    until.loc[found["at"].to_numpy()] = ((found["next"] - found["end"]) / DAY).to_numpy(dtype=float)
    again = (until <= days).set_axis(admissions.index)
    lived = days_between(admissions["end"], admissions["death"])
    gone = (admissions["died"] != 0) | ((lived <= days) & ~again)
    return again.astype(float).mask(gone | admissions["end"].isna() | ~followed)


def icd_sql(version: str, code: str, *, procedure: bool) -> str:
    """SQL of an ICD code with its point, as in ICD10:A41.9, from SQL of the version and of the code without it."""
    if procedure:
        at = f"CASE WHEN {version} = '9' THEN 2 ELSE 7 END"
    else:
        at = f"CASE WHEN {version} = '9' AND {code} LIKE 'E%' THEN 4 ELSE 3 END"
    pointed = (
        f"CASE WHEN length({code}) > {at} THEN left({code}, {at}) || '.' || substr({code}, {at} + 1) ELSE {code} END"
    )
    return f"'ICD' || {version} || ':' || {pointed}"
