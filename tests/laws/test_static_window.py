"""Laws of static covariates that occur as rows: a value is known from its own time on, and never before."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import clinicalgru as cg
from clinicalgru.data.task.task import Task
from clinicalgru.model.features.step_features import step_features
from clinicalgru.model.heads.classification import Binary
from clinicalgru.model.training.inference import predict

STATIC = ("age", "sex", "icu_type", "height", "admission_weight")


@pytest.fixture(scope="module")
def tables(cohort):
    """Measurements and stays of 60 stays, with the static covariates as rows: at hour 1, and changed until hour 70."""
    stays, rng = cohort.stays.head(60), np.random.default_rng(5)
    rows = cohort.measurements[cohort.measurements["stay_id"].isin(stays["stay_id"])]
    names = [name for name in STATIC if name in stays]
    long = stays.melt(["patient_id", "stay_id", "start"], names, "variable", "value").dropna(subset="value")
    long["value"] = pd.to_numeric(long["value"], errors="coerce")
    long = long.dropna(subset="value")
    first = long.assign(hours=1.0)
    changed = long[long["variable"].isin(["age", "admission_weight"])]
    changed = changed.assign(hours=rng.uniform(2, 70, len(changed)), value=changed["value"] + 1)
    static = pd.concat([first, changed])
    start = pd.to_datetime(static["start"])
    static = static.assign(time=start + pd.to_timedelta(static["hours"], unit="h").dt.round("s"))
    static = static.drop(columns=["start", "hours"])
    static["time"] = static["time"].astype(rows["time"].dtype) if rows["time"].dtype != object else static["time"]
    return rows, static, stays.drop(columns=names)


def events_of(tables, static=None):
    rows, own, stays = tables
    outcomes = pd.DataFrame({"stay_id": stays["stay_id"], "in_hospital_death": 0})
    return cg.read_events(pd.concat([rows, own if static is None else static]), stays=stays, outcomes=outcomes)


def window(task, hours):
    return Task.from_dict(task.to_dict() | {"window_hours": [0, hours]})


@pytest.mark.slow
def test_a_value_recorded_after_the_prediction_changes_no_risk(fitted, tables):
    _, static, stays = tables
    start = pd.to_datetime(static["stay_id"].map(stays.set_index("stay_id")["start"]))
    late = static.assign(value=static["value"] * 0 + 61, time=start + pd.Timedelta(hours=48, seconds=1))
    late = late[late["variable"].isin(["age", "admission_weight"])]
    late["time"] = late["time"].astype(static["time"].dtype)
    before = events_of(tables)
    after = events_of(tables, pd.concat([static, late]))
    assert after.static_observations.num_rows > before.static_observations.num_rows
    ours, theirs = (cg.score(fitted, events, as_of="2150-01-01") for events in (before, after))
    np.testing.assert_array_equal(ours["risk"], theirs["risk"])


@pytest.mark.slow
def test_cutting_a_stay_is_selecting_it_with_an_earlier_window(fitted, tables, task):
    events = events_of(tables)
    whole = cg.select(events, task, include_ineligible=True)
    assert len(whole.static_hours)
    for hours in (0.5, 1.0, 12.0, 47.0):
        ours, theirs = whole.truncate_at(hours), cg.select(events, window(task, hours), include_ineligible=True)
        np.testing.assert_array_equal(ours.static, theirs.static)
        np.testing.assert_array_equal(ours.static_at(ours.index, ours.end_hours), theirs.static)
        known = fitted.has_observations(ours)
        np.testing.assert_array_equal(fitted.predict_proba(ours[known]), fitted.predict_proba(theirs[known]))
    assert np.isnan(whole.truncate_at(0.5).static).all()
    hours = np.linspace(0, 60, len(whole))
    each = whole.truncate_at(hours)
    assert each.stay.tolist() == whole.stay.tolist()
    for i in (0, 17, 40, 59):
        np.testing.assert_array_equal(each[[i]].static, whole[[i]].truncate_at(hours[i]).static)


@pytest.mark.slow
def test_the_prediction_after_each_step_knows_what_was_known_then(fitted, tables, task, tmp_path):
    stays = cg.select(events_of(tables), task)[:8]
    same = {name: getattr(Binary(), name) for name in ("n_outputs", "aggregate_members", "predict")}
    every = predict(fitted.network_, stays, head=SimpleNamespace(**same, per_step=True))
    ended = [stays[[i]].prefixes(np.unique(stays[[i]].hours)) for i in range(len(stays))]
    expected = torch.cat([predict(fitted.network_, prefixes, head=Binary()) for prefixes in ended])
    torch.testing.assert_close(every, expected, atol=1e-6, rtol=0)
    static = np.concatenate(list(step_features(stays)))[:, -1 - stays.static.shape[1] : -1]
    np.testing.assert_array_equal(static, np.concatenate([prefixes.static for prefixes in ended]))
    opened = cg.Sequences.open(stays.save(tmp_path / "stays"))
    np.testing.assert_array_equal(opened[[3, 1]].truncate_at(9).static, stays[[3, 1]].truncate_at(9).static)


@pytest.mark.slow
def test_the_course_and_an_explanation_know_no_more_than_the_cut_stay(fitted, tables, task):
    stay = cg.select(events_of(tables), task)[[2]]
    cut = stay.truncate_at(20.0)
    ours, theirs = cg.explain(fitted, stay, at_hours=20.0), cg.explain(fitted, cut)
    assert ours.risk == theirs.risk
    np.testing.assert_array_equal(ours.static["value"], theirs.static["value"])
    trajectory = cg.explain(fitted, stay).risk_trajectory
    earlier = trajectory[trajectory["hours"] <= 20]
    np.testing.assert_allclose(earlier["risk"], theirs.risk_trajectory["risk"][: len(earlier)], atol=1e-6)


@pytest.mark.slow
def test_rows_at_the_start_are_what_a_stays_table_says(fitted, tables, task, cohort):
    rows, static, stays = tables
    own = static.drop_duplicates(["stay_id", "variable"])
    start = own["stay_id"].map(stays.set_index("stay_id")["start"])
    as_rows = cg.read_events(pd.concat([rows, own.assign(time=start.astype(own["time"].dtype))]), stays=stays)
    as_table = cg.read_events(rows, stays=cohort.stays.head(60))
    ours, theirs = (cg.select(events, task, include_ineligible=True) for events in (as_rows, as_table))
    np.testing.assert_array_equal(ours.static, theirs.static)
    assert not len(ours.static_hours)
    np.testing.assert_array_equal(fitted.predict_proba(ours), fitted.predict_proba(theirs))


def test_a_criterion_knows_what_was_known_at_the_prediction(tables, task):
    events = events_of(tables)
    grown = Task.from_dict(task.to_dict() | {"include": [{"label": "grown", "column": "age", "at_least": 0}]})
    every = cg.select(events, grown, include_ineligible=True)
    known = ~np.isnan(every.static[:, [variable.name for variable in every.static_variables].index("age")])
    flow = dict(cg.select(events, grown).flow)
    assert flow["grown"] == flow.get("age recorded", 60) == known.sum()
    with pytest.raises(cg.ClinicalGRUError, match="age recorded: 0"):
        cg.select(events, window(grown, 0.5))


def test_a_later_result_of_an_earlier_measurement_does_not_replace_a_newer_one():
    rows = pd.DataFrame(
        {
            "patient_id": "1",
            "stay_id": "1",
            "time": [0.0, 1.0, 2.0, 5.0],
            "available_at": [0.0, 6.0, 2.0, 5.0],
            "variable": ["heart_rate", *["admission_weight"] * 3],
            "value": [80, 71, 72, 72],
        }
    )
    events = cg.read_events(rows)
    assert events.static_observations.to_pandas()["value"].tolist() == [72]
    task = Task.from_dict({"name": "t", "outcome": "x", "window_hours": [0, 9]})
    stays = cg.select(events, task, include_ineligible=True)
    assert stays.truncate_at(1.5).static.tolist() != [[72]]
    assert stays.truncate_at(2.0).static.tolist() == [[72]]


@pytest.mark.slow
def test_what_was_known_when_survives_meds_pseudonyms_and_shifted_dates(tables, task, tmp_path):
    events = events_of(tables)
    again = cg.read_events(cg.write_meds(events, tmp_path / "meds"), source="meds")
    key = "a secret of 16 or more"
    ours = cg.select(events, task, include_ineligible=True).truncate_at(20.0)
    for other in (again, cg.shift_dates(events, key=key)):
        theirs = cg.select(other, task, include_ineligible=True).truncate_at(20.0)
        np.testing.assert_array_equal(theirs.static, ours.static)
    named = cg.pseudonymise(events, key=key)  # other names, and so another order of the stays
    theirs = cg.select(named, task, include_ineligible=True).truncate_at(20.0)
    np.testing.assert_array_equal(np.sort(theirs.static, axis=0), np.sort(ours.static, axis=0))
