"""Eligible stays of a task: anchors, conditions, gap, horizon, and the cohort flow that accounts for every stay."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import three_rows

import clinicalgru as cg
from clinicalgru.data.dictionary.schemas import schema_folder

STAYS = pd.DataFrame(
    {
        "patient_id": ["007", "012", "012", "100"],
        "stay_id": list("1234"),
        "start": ["2031-01-01 08:00", "2031-02-01", "2031-06-01", "2031-03-01"],
        "end": ["2031-01-03 08:00", "2031-02-11", "2031-06-01 23:00", "2031-03-20"],
        "age": ["70", "17", "18", ""],
        "icu_type": ["3", "1", "4", "3"],
    }
)
OUTCOMES = pd.DataFrame(
    {
        "stay_id": list("1234"),
        "sepsis": [1, 1, 1, 0],
        "sepsis_hours": [10.0, 3.0, None, None],
        "days": [2.0, 10.0, 1.0, None],
    }
)


@pytest.fixture(scope="module")
def events():
    return cg.read_events(three_rows(), stays=STAYS, outcomes=OUTCOMES)


def task_of(**fields):
    return cg.Task.from_dict({"name": "t", "outcome": "sepsis", "window_hours": [0, 6]} | fields, where="t.yaml")


def flow_of(events, **fields):
    return cg.select(events, task_of(**fields)).flow


@pytest.mark.slow
def test_conditions_become_steps_and_an_unknown_value_is_a_step_of_its_own(events):
    include = [{"label": "adults", "column": "age", "at_least": 18}]
    exclude = [{"label": "surgical", "column": "icu_type", "among": ["Surgical ICU"]}]
    assert flow_of(events, include=include, exclude=exclude)[:4] == (
        ("stays in the extract", 4),
        ("age recorded", 3),
        ("adults", 2),
        ("not: surgical", 1),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ({"column": "length_hours", "at_least": 48}, ["1", "2", "4"]),
        ({"column": "length_hours", "below": 48}, ["3"]),
        ({"column": "stay_number", "at_most": 1}, ["1", "2", "4"]),
        ({"column": "icu_type", "among": ["Medical ICU", 1]}, ["1", "2", "4"]),
        ({"column": "days", "above": 1, "at_most": 2}, ["1"]),
        ({"variable": "heart_rate", "at_least": 2}, ["1", "2"]),
        ({"variable": "heart_rate", "below": 2}, ["3", "4"]),
    ],
)
def test_each_kind_of_condition_keeps_whom_it_should(events, condition, kept):
    assert cg.select(events, task_of(include=[condition])).stay.tolist() == kept


@pytest.mark.slow
def test_an_excluded_stay_is_one_whose_value_is_known_to_meet_the_condition(events):
    old = {"column": "age", "at_least": 65}
    assert cg.select(events, task_of(exclude=[old])).stay.tolist() == ["2", "3"]


@pytest.mark.slow
def test_an_outcome_in_time_counts_within_the_horizon_only_and_leaves_out_who_had_it_before(events):
    timed = {"outcome_time": "sepsis_hours", "window_hours": [0, 2]}
    expected = {(0, 24): [1, 1, 0], (0, 5): [0, 1, 0], (0, 8): [1, 1, 0]}
    for (gap, horizon), outcome in expected.items():
        chosen = cg.select(events, task_of(**timed, gap_hours=gap, horizon_hours=horizon))
        assert chosen.stay.tolist() == ["1", "2", "4"]  # stay 3 had it, nobody knows when
        assert chosen.outcome.tolist() == outcome
    gapped = cg.select(events, task_of(**timed, gap_hours=2, horizon_hours=24))
    assert gapped.flow[-2:] == (
        ("outcome not within the gap of 2 hours", 2),
        ("something measured in the window", 2),
    )
    late = cg.select(events, task_of(outcome_time="sepsis_hours", window_hours=[0, 3], horizon_hours=24))
    assert late.flow[-2:] == (("outcome not yet occurred", 2), ("something measured in the window", 2))
    assert late.stay.tolist() == ["1", "4"]  # at hour 3 exactly is already


def test_an_event_exactly_at_the_end_of_the_gap_is_within_it_and_one_at_the_end_of_the_horizon_counts(events):
    timed = {"outcome_time": "sepsis_hours", "window_hours": [0, 2]}  # stay 1: 8 hours after the prediction, stay 2: 1
    for gap, excluded in {0.999: [], 1.0: ["2"], 7.999: ["2"], 8.0: ["1", "2"]}.items():
        chosen = cg.select(events, task_of(**timed, gap_hours=gap, horizon_hours=24))
        assert chosen.stay.tolist() == [stay for stay in ["1", "2", "4"] if stay not in excluded]
    for horizon, outcome in {7.999: [0, 1, 0], 8.0: [1, 1, 0]}.items():
        assert cg.select(events, task_of(**timed, horizon_hours=horizon)).outcome.tolist() == outcome


@pytest.mark.slow
def test_the_end_of_the_stay_may_say_when_the_outcome_came(events):
    chosen = cg.select(events, task_of(outcome_time="end", horizon_hours=42))
    assert dict(zip(chosen.stay, chosen.outcome, strict=True)) == {"1": 1, "2": 0, "3": 1, "4": 0}


@pytest.mark.slow
def test_a_number_above_a_bound_is_an_outcome_and_an_unknown_number_is_unknown(events):
    chosen = cg.select(events, task_of(outcome="days", outcome_threshold=2))
    assert dict(zip(chosen.stay, chosen.outcome, strict=True)) == {"1": 0, "2": 1, "3": 0}


@pytest.mark.slow
def test_an_anchor_is_the_first_time_a_value_became_known(events):
    anchored = cg.select(events, task_of(anchor={"variable": "lactate", "above": 2}, window_hours=[-2, 1]))
    assert anchored.flow[:2] == (("stays in the extract", 4), ("index time reached (first lactate above 2)", 1))
    # drawn at 02:00, known at 03:00: hours count from 03:00
    assert anchored.to_frame().query("variable == 'lactate'")["hours"].tolist() == [0.0]
    assert anchored.to_frame()["hours"].tolist() == [-2.0, -1.0, 0.0]
    assert anchored.index_time.view("datetime64[us]").astype(str).tolist() == ["2031-02-01T04:00:00.000000"]


@pytest.mark.slow
def test_an_anchor_at_the_end_looks_back_and_leaves_out_who_has_none(events):
    back = cg.select(events, task_of(anchor="end", window_hours=[-72, 0]))
    assert back.flow[1] == ("index time reached (end of the stay)", 4)
    assert back.stay.tolist() == ["1", "3"]  # nothing of stays 2 and 4 in their last three days
    assert back.hours.max() <= 0


@pytest.mark.slow
def test_who_never_reaches_the_anchor_stays_in_for_scoring_and_shows_nothing(events):
    every = cg.select(events, task_of(anchor={"variable": "lactate", "above": 2}), include_ineligible=True)
    assert len(every) == 4
    assert every.n_measurements.tolist() == [0, 1, 0, 0]
    assert np.isnat(every.index_time.view("datetime64[us]")).tolist() == [True, False, True, True]
    nobody = cg.select(events, task_of(anchor={"variable": "sodium"}), include_ineligible=True)
    assert nobody.n_measurements.sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"include": [{"column": "agee", "at_least": 1}]},
            r"task t, include 1 \(agee .*\), column: .* among age",
        ),
        ({"include": [{"column": "patient_id", "among": ["x"]}]}, "a column among"),
        (
            {"include": [{"variable": "pulse", "at_least": 1}]},
            "variable: Expected a variable among creatinine",
        ),
        ({"include": [{"column": "icu_type", "among": ["ward"]}]}, r"among: Expected categories among 1 \(Coronary"),
        ({"anchor": {"variable": "pulse"}}, "task t, anchor: Expected a variable among"),
        ({"outcome_time": "onset", "horizon_hours": 3}, "task t, outcome_time: Expected the outcome onset"),
        ({"outcome": "days"}, "task t, outcome: Expected days of 0 or 1; got 2 other values"),
        (
            {"include": [{"label": "none", "column": "age", "above": 120}]},
            "task t: .* one eligible stay; .* none: 0",
        ),
    ],
)
def test_what_the_events_do_not_have_is_refused_by_task_and_field(events, fields, message):
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.select(events, task_of(**fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"include": [{"at_least": 3}]}, "t.yaml, include 1: Expected either column or variable; got neither of them"),
        ({"include": [{"column": "age", "variable": "lactate"}]}, "got both"),
        ({"include": [{"column": "age"}]}, "Expected a condition; got an entry without limits"),
        ({"exclude": [{"column": "age", "atleast": 3}]}, "t.yaml, exclude 1: .* got atleast"),
        ({"exclude": [{"column": "age", "at_least": "x"}]}, "t.yaml, exclude 1, at_least: Expected a number; got text"),
        ({"exclude": {"column": "age"}}, "t.yaml, exclude: Expected a list of conditions"),
        ({"anchor": "admission"}, "task t, anchor: Expected anchor: start, end"),
        ({"anchor": {"above": 2}}, "t.yaml, anchor: Expected anchor: start, end, or a variable"),
        ({"horizon_hours": 24}, "task t, outcome_time: Expected outcome_time, which gap and horizon are"),
        ({"horizon_hours": 0, "outcome_time": "end"}, "a horizon above 0 hours"),
    ],
)
def test_a_task_that_cannot_be_meant_is_refused_by_file_and_field(fields, message):
    with pytest.raises(cg.ClinicalGRUError, match=message):
        task_of(**fields)


def test_every_task_comes_back_from_its_fields(tmp_path):
    tasks = [cg.Task.load(file.stem) for file in (schema_folder() / "tasks").glob("*.yaml")]
    tasks.append(task_of(anchor={"variable": "lactate", "above": 2}, include=[{"column": "age", "among": [1, 2]}]))
    for task in tasks:
        assert cg.Task.from_dict(task.to_dict()) == task


@pytest.mark.slow
def test_physionet_2012_flow_is_as_published(physionet_2012, real_data):
    events = physionet_2012("a")
    flow = cg.select(events, cg.Task.load("in_hospital_mortality")).flow
    assert [stays for _, stays in flow] == [4000, 4000, 4000, 3997]
    raw = pd.read_csv(real_data / "physionet2012" / "Outcomes-a.txt")
    for name, days in (("long_stay", 7), ("long_stay_3d", 3)):
        chosen = cg.select(events, cg.Task.load(name))
        known = raw[raw["Length_of_stay"] >= 0].astype({"RecordID": str}).set_index("RecordID")["Length_of_stay"]
        assert dict(chosen.flow)[f"outcome recorded (stay of more than {days} days)"] == len(known)
        np.testing.assert_array_equal(chosen.outcome, known.loc[chosen.stay] > days)
    adults = task_of(
        outcome="in_hospital_death",
        include=[{"column": "age", "at_least": 65}, {"column": "icu_type", "among": ["Medical ICU"]}],
    )
    frame = events.stays
    assert dict(cg.select(events, adults).flow)["icu_type among Medical ICU"] == int(
        ((frame["age"] >= 65) & (frame["icu_type"] == 2)).sum()
    )
