"""Dates shifted and names changed under a key: what stays the same, to the microsecond, and what cannot be undone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.deidentify import pseudonymise, shift_dates
from clinicalgru.data.events import HOUR

KEY = "a key that nobody else has"
DAY = 24 * HOUR


@pytest.fixture(scope="module")
def moved(events):
    return shift_dates(events, key=KEY)


def test_every_date_of_a_patient_moves_by_the_same_whole_days(events, moved):
    stay = events.measurements["stay"].to_numpy()
    shift = (moved.stays["start"] - events.stays["start"]).to_numpy(dtype=np.int64)
    assert (moved.stays["end"] - events.stays["end"]).to_numpy(dtype=np.int64).tolist() == shift.tolist()
    for name in ("time", "available"):
        np.testing.assert_array_equal(
            moved.measurements[name].to_numpy() - events.measurements[name].to_numpy(), shift[stay]
        )
        of_codes = moved.coded[name].to_numpy() - events.coded[name].to_numpy()
        np.testing.assert_array_equal(of_codes, shift[events.coded["stay"].to_numpy()])
    days = pd.Series(shift).groupby(events.stays["patient_id"].to_numpy())
    assert (days.nunique() == 1).all()
    assert (shift % DAY == 0).all()
    assert 0 < np.abs(shift // DAY).min() <= np.abs(shift // DAY).max() <= 365
    assert days.first().nunique() > 100  # patients move apart


def test_nothing_but_dates_is_changed(events, moved):
    for name in ("stay", "variable", "value"):
        assert moved.measurements[name].equals(events.measurements[name])
    kept = events.stays.columns.drop(["start", "end"])
    pd.testing.assert_frame_equal(moved.stays[kept], events.stays[kept])
    assert moved.ledger is events.ledger


@pytest.mark.slow
def test_no_risk_is_changed(events, moved, fitted):
    before, after = (cg.score(fitted, some, as_of="2150-01-01") for some in (events, moved))
    np.testing.assert_array_equal(before["risk"], after["risk"])
    np.testing.assert_array_equal(before["status"], after["status"])


def test_the_same_key_moves_alike_and_another_key_does_not(events, moved):
    again, other = (shift_dates(events, key=key) for key in (KEY.encode(), KEY + "!"))
    assert again.stays["start"].equals(moved.stays["start"])
    assert (other.stays["start"] != moved.stays["start"]).mean() > 0.95


def test_no_number_of_days_is_left_out_and_none_is_0(three):
    stays = pd.DataFrame({"patient_id": [f"p{i}" for i in range(400)], "start": "2031-01-01"})
    events = cg.read_events(three.assign(patient_id="p1", stay_id="p1"), stays=stays)
    days = (shift_dates(events, key=KEY, days=3).stays["start"] - events.stays["start"]) // DAY
    assert sorted(set(days)) == [-3, -2, -1, 1, 2, 3]
    assert days.value_counts().min() > 40


def test_unknown_starts_stay_unknown_and_hours_are_refused(three):
    events = cg.read_events(three)
    assert shift_dates(events, key=KEY).stays["start"].isna().all()
    with pytest.raises(cg.ClinicalGRUError, match="Expected events with dates"):
        shift_dates(replace(events, has_dates=False), key=KEY)


@pytest.mark.parametrize("function", [shift_dates, pseudonymise])
def test_a_short_key_is_refused_and_no_message_or_repr_holds_a_key(events, function):
    with pytest.raises(cg.ClinicalGRUError, match="a key of 16 bytes or more; got 5 bytes") as caught:
        function(events, key="a key")
    assert "'a key'" not in str(caught.value)
    assert KEY not in repr(vars(function(events, key=KEY)))


def test_other_names_in_their_own_order_with_the_same_facts(events):
    named = pseudonymise(events, key=KEY)
    keys = list(zip(named.stays["patient_id"], named.stays["stay_id"], strict=True))
    assert keys == sorted(keys)
    assert not set(named.stays["patient_id"]) & set(events.stays["patient_id"])
    assert named.stays["stay_id"].is_unique
    assert (
        named.stays.groupby("patient_id")
        .size()
        .value_counts()
        .equals(events.stays.groupby("patient_id").size().value_counts())
    )
    columns = ["start", "time", "available_at", "variable", "value"]  # a stay's start identifies it in this cohort
    tables = []
    for some in (events, named):
        frame = some.to_frame()
        start = some.stays.set_index("stay_id")["start"]
        tables.append(
            frame.assign(start=start.loc[frame["stay_id"]].to_numpy()).sort_values(columns, ignore_index=True)
        )
    pd.testing.assert_frame_equal(tables[0][columns], tables[1][columns])
    assert (np.diff(named.measurements["stay"].to_numpy()) >= 0).all()
    assert (np.diff(named.coded["stay"].to_numpy()) >= 0).all()


@pytest.mark.slow
def test_other_names_change_no_risk(events, fitted):
    before, after = cg.score(fitted, events), cg.score(fitted, pseudonymise(events, key=KEY))
    np.testing.assert_allclose(np.sort(before["risk"].dropna()), np.sort(after["risk"].dropna()), atol=1e-6)


@pytest.mark.slow
def test_nothing_shown_unasked_names_a_patient(three, fitted, test_stays):
    named = cg.read_events(three.replace({"007": "CANARY-4711", "1": "CANARY-4712"}))
    task = cg.Task.from_dict({"name": "t", "outcome": "died", "window_hours": [0, 48]})
    sequences = cg.select(named, task, include_ineligible=True)
    why = cg.explain(fitted, test_stays[[0]])
    for shown in (repr(named), str(named.ledger), named.ledger._repr_html_(), repr(sequences), str(sequences[[0]])):
        assert "CANARY" not in shown
    for identifier in (test_stays.stay[0], test_stays.patient[0]):
        assert identifier not in repr(why) + str(why) + repr(test_stays[[0]])


def test_rejected_values_move_with_their_stays():
    rows = pd.DataFrame(
        {
            "patient_id": list("abab"),
            "time": ["2031-01-01 08:00", "2031-01-01 09:00", "2031-01-02 08:00", "2031-01-02 09:00"],
            "variable": "heart_rate",
            "value": [80, 900, 8000, 81],
        }
    )
    stays = pd.DataFrame({"patient_id": ["a", "b"], "start": "2031-01-01 07:00", "age": [4000, 50]})
    events = cg.read_events(rows, stays=stays, max_rejected=1)

    def hours(some):
        """(patient's rank by age, hours since the start or -1, value) of each rejected value."""
        table = some.implausible.to_pandas()
        start = some.stays["start"].astype("int64").to_numpy()[table["stay"]]
        since = ((table["time"] - start) / 3_600_000_000).fillna(-1).round(6)
        has_age = some.stays["age"].notna().to_numpy()[table["stay"]]
        return sorted(zip(has_age.tolist(), since, table["value"], strict=True))

    for other in (shift_dates(events, key=KEY), pseudonymise(events, key=KEY)):
        assert hours(other) == hours(events)
    assert len(hours(events)) == 3
