"""Laws of the way from raw table to score: 3, 4, 5, 6, 10, 11."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from helpers import slow_but

import clinicalgru as cg

OTHER_UNIT = {"creatinine": "umol/L", "glucose": "mmol/L", "lactate": "mg/dL", "temperature": "[degF]"}


@pytest.fixture(scope="module")
def tables(cohort):
    """Measurements and stays of the first 60 stays."""
    some = cohort.stays["stay_id"].head(60)
    rows = cohort.measurements[cohort.measurements["stay_id"].isin(some)]
    return rows.reset_index(drop=True), cohort.stays.head(60)


def variable_unit(known, unit):
    """The conversion of a unit, or none where it is another variable's."""
    return known.conversion(unit) if unit in {known.unit, *known.also} else None


def scores(fitted, rows, stays, **reading):
    return cg.score(fitted, rows, stays=stays, as_of="2150-01-01", **reading)


def test_3_shuffled_rows_give_equal_bits(tables, task):
    rows, stays = tables
    shuffled = rows.sample(frac=1, random_state=1)
    ours, theirs = (cg.select(cg.read_events(r, stays=stays), task, include_ineligible=True) for r in (rows, shuffled))
    for field in fields(ours):
        left, right = getattr(ours, field.name), getattr(theirs, field.name)
        if isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right, err_msg=field.name)


@pytest.mark.parametrize("variable", slow_but(("glucose",), OTHER_UNIT))
def test_4_the_same_blood_in_another_unit_has_the_same_risk(fitted, tables, variable):
    rows, stays = tables
    known, other = cg.Dictionary.load()[variable], OTHER_UNIT[variable]
    to_own, from_other = (known.conversion(unit) for unit in (known.unit, other))
    converted = rows.assign(value=rows["value"].astype(float))
    in_own = rows["unit"].fillna(known.unit).map(lambda unit: variable_unit(known, unit) == to_own)
    these = (rows["variable"] == variable) & rows["value"].notna() & in_own
    assert these.sum() > 20
    converted.loc[these, "value"] = converted.loc[these, "value"] / from_other.factor - from_other.offset
    converted.loc[these, "unit"] = other
    np.testing.assert_allclose(scores(fitted, converted, stays)["risk"], scores(fitted, rows, stays)["risk"], atol=1e-6)


@pytest.mark.slow
def test_5_shifting_a_patients_clock_changes_nothing(fitted, tables):
    rows, stays = tables
    shift = pd.to_timedelta(stays.groupby("patient_id").ngroup() * 37.77 - 900, unit="D").dt.round("us")
    by_patient = dict(zip(stays["patient_id"], shift, strict=True))
    moved_rows = rows.assign(**{c: rows[c] + rows["patient_id"].map(by_patient) for c in ("time", "available_at")})
    moved_stays = stays.assign(**{c: stays[c] + stays["patient_id"].map(by_patient) for c in ("start", "end")})
    ours, theirs = scores(fitted, rows, stays), scores(fitted, moved_rows, moved_stays)
    np.testing.assert_array_equal(ours["risk"], theirs["risk"])
    assert (ours["prediction_time"] != theirs["prediction_time"]).mean() > 0.9


def test_6_nothing_after_the_prediction_changes_a_risk(fitted, tables, task):
    rows, stays = tables
    start = rows["stay_id"].map(dict(zip(stays["stay_id"], stays["start"], strict=True)))
    known_at = rows["available_at"].fillna(rows["time"])
    later = known_at > start + pd.to_timedelta(task.window_hours[1], unit="h")
    deleted = rows[~later]
    later_rows = rows[~later].groupby("stay_id").tail(3)
    appended = later_rows.assign(time=later_rows["time"] + pd.Timedelta("50h"), available_at=pd.NaT, value=33.0)
    late_result = later_rows.assign(available_at=later_rows["time"] + pd.Timedelta("60h"), value=31.0)
    corrupted = pd.concat([deleted, appended, late_result], ignore_index=True)
    base = scores(fitted, rows, stays)["risk"]
    np.testing.assert_allclose(scores(fitted, deleted, stays)["risk"], base, atol=1e-6)
    np.testing.assert_allclose(scores(fitted, corrupted, stays, max_rejected=0.5)["risk"], base, atol=1e-6)


def test_6_a_result_known_exactly_at_the_prediction_is_seen_and_one_a_microsecond_later_is_not(task):
    rows = pd.DataFrame(
        {
            "patient_id": "1",
            "stay_id": ["1", "1"],
            "time": pd.to_datetime(["2031-01-03 00:00:00.000000", "2031-01-03 00:00:00.000001"]),
            "variable": ["heart_rate", "heart_rate"],
            "value": [80.0, 90.0],
        }
    )
    stays = pd.DataFrame({"patient_id": ["1"], "stay_id": ["1"], "start": [pd.Timestamp("2031-01-01")]})
    sequences = cg.select(cg.read_events(rows, stays=stays), task, include_ineligible=True)
    assert sequences.value.tolist() == [80.0]
    assert sequences.hours.tolist() == [48.0]


@pytest.mark.slow
def test_10_one_row_a_stay_in_order_whatever_the_chunks(fitted, tables):
    rows, stays = tables
    whole = scores(fitted, rows, stays)
    assert len(whole) == len(stays)
    assert not whole.duplicated(["patient_id", "stay_id"]).any()
    assert whole[["patient_id", "stay_id"]].apply(tuple, axis=1).is_monotonic_increasing
    halves = [
        scores(fitted, rows[rows["stay_id"].isin(part["stay_id"])], part) for part in (stays.iloc[:23], stays.iloc[23:])
    ]
    both = pd.concat(halves).sort_values(["patient_id", "stay_id"], ignore_index=True)
    np.testing.assert_allclose(both["risk"], whole["risk"], atol=1e-6)
    assert (both["status"] == whole["status"]).all()


def test_10_a_stay_without_rows_has_its_row_and_its_reason(fitted, tables):
    rows, stays = tables
    gone = stays["stay_id"].iloc[5]
    table = scores(fitted, rows[rows["stay_id"] != gone], stays).set_index("stay_id")
    assert table.loc[gone, "status"] == "not scored"
    assert "measured" in table.loc[gone, "reason"]
    assert np.isnan(table.loc[gone, "risk"])


def test_11_no_patient_is_in_two_parts(parts):
    names = [set(part.patient) for part in parts]
    assert all(not a & b for i, a in enumerate(names) for b in names[:i])
    assert sum(len(part) for part in parts) == 0 + sum(len(np.unique(part.stay)) for part in parts)


def test_11_fit_refuses_a_patient_in_both_parts(parts):
    with pytest.raises(cg.ClinicalGRUError, match="patients in both"):
        cg.GRUClassifier(max_epochs=1).fit(parts[0], validation=parts[0][: len(parts[0]) // 2], verbose=False)
