"""Tasks, selection, splits and the views of sequences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import to_dense

import clinicalgru as cg
from clinicalgru.data.dictionary.schemas import schema_folder
from clinicalgru.errors import DataWarning


@pytest.fixture
def by_hand(three):
    outcomes = pd.DataFrame({"stay_id": ["1", "2", "3", "4"], "died": [0, 1, None, 0]})
    return cg.read_events(three, outcomes=outcomes)


def task_of(**fields):
    return cg.Task.from_dict({"name": "t", "outcome": "died", "window_hours": [0, 48]} | fields)


def test_a_window_sees_what_became_known_in_it_both_ends_included(by_hand):
    sequences = cg.select(by_hand, task_of(window_hours=[0, 3.25]), include_ineligible=True)
    first = sequences[[0]]
    assert first.hours.tolist() == [0.0, 1.5, 1.5, 3.25]
    assert first.availability_lag.tolist() == [0, 0, 0, 1.25]
    assert [first.variables[v].name for v in first.variable] == ["heart_rate", "heart_rate", "temperature", "lactate"]


def test_the_flow_counts_who_was_left_out_at_each_step(by_hand):
    flow = cg.select(by_hand, task_of(window_hours=[1.0, 48])).flow
    assert flow == (
        ("stays in the extract", 4),
        ("still in the stay at the prediction (no end is recorded)", 4),
        ("outcome recorded (died)", 3),
        ("something measured in the window", 3),
    )


@pytest.mark.slow
def test_a_stay_that_ended_before_the_prediction_is_left_out(three):
    stays = pd.DataFrame(
        {
            "patient_id": ["007", "012", "012", "100"],
            "stay_id": list("1234"),
            "start": "2031-01-01",
            "end": ["2031-01-02", "2031-09-01", "", "2031-09-01"],
        }
    )
    outcomes = pd.DataFrame({"stay_id": list("1234"), "died": 0})
    events = cg.read_events(three, stays=stays, outcomes=outcomes)
    excluded = r"excludes stays: end of the stay not recorded \(1 stay\)"
    for hours, left in ((3000, 2), (20, 3)):
        with pytest.warns(DataWarning, match=excluded):
            flow = cg.select(events, task_of(window_hours=[0, hours])).flow
        assert flow[1:3] == (("end of the stay recorded", 3), ("still in the stay at the prediction", left))


DAY = pd.Timedelta(days=1)


def departures(task, **columns):
    """The flow of five stays: one patient dies on day 1, one leaves then and returns on day 2, one leaves on day 3."""
    start = pd.Timestamp("2031-01-01 08:00")
    stays = pd.DataFrame(
        {"patient_id": list("abbcd"), "stay_id": list("12345"), "start": start, "end": start + 9 * DAY}
    )
    stays.loc[[0, 1], "end"] = start + DAY
    stays.loc[2, ["start", "end"]] = [start + 2 * DAY, start + 12 * DAY]
    stays.loc[3, "end"] = start + 3 * DAY
    rows = stays[["patient_id", "stay_id"]].assign(time=stays["start"], variable="heart_rate", value=80)
    outcomes = pd.DataFrame({"stay_id": list("12345"), "in_hospital_death": [1, 0, 0, 0, 0]} | columns)
    fields = {"name": "t", "outcome": "in_hospital_death"} | task
    return cg.select(cg.read_events(rows, stays=stays, outcomes=outcomes), cg.Task.from_dict(fields)).flow[1:-2]


@pytest.mark.slow
def test_deaths_readmissions_and_discharges_before_the_prediction_are_steps():
    assert departures({"window_hours": [0, 48]}) == (
        ("no death before the prediction", 4),
        ("no readmission before the prediction", 3),
        ("still in the stay at the prediction", 3),
    )
    assert departures({"window_hours": [0, 47]}) == (
        ("no death before the prediction", 4),
        ("still in the stay at the prediction", 3),
    )


def test_deaths_readmissions_and_discharges_within_the_gap_are_steps():
    late = {"outcome": "late", "outcome_time": "hours", "window_hours": [0, 6]}
    outcomes = {"late": 0, "hours": [None] * 5}
    assert departures(late | {"gap_hours": 0}, **outcomes)[:1] == (("still in the stay at the prediction", 5),)
    assert departures(late | {"gap_hours": 66}, **outcomes)[:4] == (
        ("still in the stay at the prediction", 5),
        ("no death within the gap of 66 hours", 4),
        ("no readmission within the gap of 66 hours", 3),
        ("no discharge within the gap of 66 hours", 2),
    )


def test_dense_and_long_views_agree(by_hand):
    sequences = cg.select(by_hand, task_of(), include_ineligible=True)
    values, hours = to_dense(sequences)
    assert values.shape == (4, 4, len(sequences.variables))
    frame = sequences.to_frame()
    assert np.isfinite(values).sum() == len(frame)
    for row in frame.itertuples():
        step = np.flatnonzero(hours[row.stay] == row.hours)[0]
        variable = [v.name for v in sequences.variables].index(row.variable)
        assert values[row.stay, step, variable] == row.value


def test_taking_stays_by_position_mask_or_slice_keeps_their_facts(test_stays):
    mask = np.zeros(len(test_stays), bool)
    mask[[2, 5]] = True
    for which in ([2, 5], np.array([2, 5]), mask, slice(2, 6, 3)):
        some = test_stays[which]
        assert some.stay.tolist() == test_stays.stay[[2, 5]].tolist()
        whole = test_stays.to_frame()
        expected = pd.concat([whole[whole["stay"] == 2], whole[whole["stay"] == 5]])
        np.testing.assert_array_equal(some.value, expected["value"])
    with pytest.raises(cg.ClinicalGRUError, match=r"Write sequences\[\[3\]\]"):
        test_stays[3]


def test_other_variables_give_the_same_facts_in_another_order(test_stays):
    turned = test_stays.with_variables(test_stays.variables[::-1])
    key = ["stay", "hours", "variable"]
    ours, theirs = (s.to_frame().sort_values(key, ignore_index=True) for s in (turned, test_stays))
    pd.testing.assert_frame_equal(ours, theirs)


def test_splits_are_by_patient_and_repeatable(test_stays):
    one, two = (cg.split_patients(test_stays, [0.5, 0.3, 0.2], random_state=4) for _ in range(2))
    assert [part.stay.tolist() for part in one] == [part.stay.tolist() for part in two]
    with pytest.raises(cg.ClinicalGRUError, match="sum to 1"):
        cg.split_patients(test_stays, [0.5, 0.6])


def test_fractions_are_of_patients_to_the_nearest_patient(test_stays):
    n_patients = len(set(test_stays.patient))
    for part, fraction in zip(cg.split_patients(test_stays, (0.5, 0.3, 0.2)), (0.5, 0.3, 0.2), strict=True):
        assert abs(len(set(part.patient)) - fraction * n_patients) <= 1


def test_a_split_without_a_seed_differs_each_time(test_stays):
    stays = [cg.split_patients(test_stays, [0.5, 0.5], random_state=None)[0].stay.tolist() for _ in range(3)]
    assert stays[0] != stays[1] or stays[1] != stays[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda stays: cg.split_patients(5, [0.5, 0.5]), "Expected sequences as Sequences; got the number 5"),
        (lambda stays: cg.split_patients(stays, 0.5), "fractions as a list of numbers; got the number 0.5"),
        (lambda stays: cg.split_patients(stays, "ab"), "fractions as a list of numbers; got text"),
        (lambda stays: cg.split_patients(stays, ["a", "b"]), "Expected fractions as a number .* got text"),
        (lambda stays: cg.split_patients(stays, []), "sum to 1"),
        (lambda stays: cg.split_patients(stays, [1.5, -0.5]), "Expected fractions as a number above 0"),
        (lambda stays: cg.split_patients(stays, [0.5, 0.5], random_state="a"), "random_state as a whole number"),
        (lambda stays: cg.split_patients(stays, [0.5, 0.5], folder=5), "folder as str or Path"),
        (lambda stays: cg.split_patients(stays[[0]], [0.5, 0.5]), "at least 2 patients"),
        (
            lambda stays: cg.select("x", stays.task),
            "Expected events as Events; got text. Pass what read_events returns",
        ),
        (lambda stays: cg.select(stays, stays.task), "Expected events as Events; got a Sequences of shape"),
        (lambda stays: cg.Task.load(5), "Expected task as str or Path; got the number 5"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_by_name(test_stays, call, message):
    with pytest.raises(cg.ClinicalGRUError, match=message):
        call(test_stays)


def test_a_task_is_needed_to_select(by_hand):
    with pytest.raises(cg.ClinicalGRUError, match="Expected task as Task; got text"):
        cg.select(by_hand, "in_hospital_mortality")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"include": ["x"]}, "task t, include: Expected a list of Criterion; got text"),
        ({"exclude": "x"}, "task t, exclude: Expected a list of Criterion; got text"),
        ({"name": 5}, "task, name: Expected name as text; got the number 5"),
        ({"outcome": 5}, "outcome: Expected the name of an outcome, or several; got the number 5"),
        ({"window_hours": 48}, "window_hours: Expected two hours as numbers; got the number 48"),
        ({"window_hours": (0, "b")}, "two hours as numbers; got a tuple of length 2"),
        ({"window_hours": (0, np.inf)}, "two hours as numbers"),
        ({"gap_hours": "3"}, "gap_hours as a number; got text"),
        ({"gap_hours": None}, "gap_hours as a number; got None"),
        ({"horizon_hours": True}, "horizon_hours as a number; got True"),
        ({"survival_horizons_hours": ("a",)}, "survival_horizons_hours: Expected hours as numbers"),
        ({"task_type": 3}, "a task_type among binary"),
    ],
)
def test_a_field_of_a_wrong_type_is_refused_by_name(fields, message):
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.Task(**{"name": "t", "outcome": "died", "window_hours": (0, 48)} | fields)


def test_numbers_of_numpy_and_lists_are_stored_as_plain_values():
    task = cg.Task("t", "died", [np.int64(0), np.float32(48)], outcome_time="end", horizon_hours=np.int32(24))
    assert task == cg.Task("t", "died", (0.0, 48.0), outcome_time="end", horizon_hours=24.0)
    assert [type(hours) for hours in (*task.window_hours, task.horizon_hours, task.gap_hours)] == [float] * 4


def test_an_outcome_the_events_do_not_have_is_refused(events):
    with pytest.raises(cg.ClinicalGRUError, match="the outcome died; got outcomes: in_hospital_death"):
        cg.select(events, task_of())


def test_the_shipped_tasks_load_and_a_users_own(tmp_path):
    for file in (schema_folder() / "tasks").glob("*.yaml"):
        assert cg.Task.load(file.stem).name == file.stem
    own = tmp_path / "mine.yaml"
    own.write_text("name: mine\noutcome: sepsis\nwindow_hours: [0, 6]\nhorizon_hours: 24\noutcome_time: onset_hours\n")
    assert cg.Task.load(own).horizon_hours == 24
    assert cg.Task.from_dict(cg.Task.load(own).to_dict()) == cg.Task.load(own)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window_hours": [48, 0]}, "a window that ends after it starts"),
        ({"window_hours": ["a", "b"]}, "hours as numbers"),
        ({"gap_hours": -1}, "a gap of 0 hours"),
        ({"task_type": "poem"}, "a task_type among binary, multiclass"),
        ({"horizont_hours": 3}, "the fields"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(cg.ClinicalGRUError, match=message):
        task_of(**fields)
