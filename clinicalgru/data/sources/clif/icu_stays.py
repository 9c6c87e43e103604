"""Intensive care stays of CLIF: rows of adt in intensive care that follow each other without a gap."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clinicalgru.errors import InputError

STAY = "hospitalization_id"
ICU = "icu"


def icu_stays(locations: pd.DataFrame, hospital: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Merge the rows of adt in intensive care that touch or overlap into stays.

    Parameters
    ----------
    locations : DataFrame
        Rows of adt: hospitalization_id, location_category (lower case), in_dttm, out_dttm (microseconds, out_dttm NA
        where unknown), location_type, hospital_id.
    hospital : DataFrame
        Hospitalizations: hospitalization_id, left (microseconds), and what stays take from them.

    Returns
    -------
    stays : DataFrame
        The hospitalization's columns for each stay, and stay_id (hospitalization and number), start, end, location_type
        and site of its first row.
    notes : dict of str to int
        How many rows belong to no hospitalization, and how many ends were not recorded.

    Raises
    ------
    InputError
        If no row is in intensive care.

    Notes
    -----
    Where out_dttm is blank, the end is the in_dttm of the hospitalization's next location, or else its discharge.
    """
    known = locations[STAY].isin(set(hospital[STAY]))
    rows = (
        locations[known]
        .sort_values([STAY, "in_dttm"], kind="stable")
        .merge(hospital[[STAY, "left"]], on=STAY, how="left")
    )
    following = rows.groupby(STAY)["in_dttm"].shift(-1)
    is_open = rows["out_dttm"].isna()
    rows["out_dttm"] = rows["out_dttm"].fillna(following).fillna(rows["left"])
    is_icu = (rows["location_category"] == ICU).fillna(False).astype(bool)
    if not is_icu.any():
        fix = 'Pass anchor="hospital", or the adt of intensive care.'
        raise InputError("rows of adt with location_category icu", "none", fix, where="adt")
    notes = {
        "rows of adt of no hospitalization (not used)": int((~known).sum()),
        "rows of adt in intensive care without out_dttm (until the next location or discharge)": int(
            (is_open & is_icu).sum()
        ),
    }
    icu = rows[is_icu].assign(number=_numbers(rows[is_icu]))
    stays = icu.groupby([STAY, "number"], as_index=False).agg(
        start=("in_dttm", "min"),
        end=("out_dttm", "max"),
        n_open=("out_dttm", lambda ends: ends.isna().sum()),
        location_type=("location_type", "first"),
        site=("hospital_id", "first"),
    )
    stays["end"] = stays["end"].mask(stays["n_open"] > 0)
    stays["stay_id"] = stays[STAY].astype(str) + "-" + stays["number"].astype(str)
    stays = stays.merge(hospital, on=STAY, how="left")
    return stays, {note: count for note, count in notes.items() if count}


def _numbers(icu: pd.DataFrame) -> pd.Series:
    """The number of each row's stay in its hospitalization: a row that starts after all before it ended begins one."""
    ends = icu["out_dttm"].astype("Float64").fillna(np.inf).astype(float)
    latest = ends.groupby(icu[STAY]).cummax().groupby(icu[STAY]).shift()
    begins = (icu["in_dttm"].astype(float) > latest) | latest.isna()
    return begins.astype(int).groupby(icu[STAY]).cumsum()
