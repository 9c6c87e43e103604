"""A task names the classes of its outcome, and its outcome columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.task.cohort_summary import cohort

NAMES = {2: "died", 0: "home", 1: "nursing home"}
PLACES = ["home", "Nursing  home", "died", None]


def task(**fields):
    known = {"name": "discharge", "outcome": "place", "window_hours": (0, 24), "task_type": "multiclass"}
    return cg.Task(**known | fields)


@pytest.fixture(scope="module")
def cohort_of_names():
    """Simulated stays, where each patient goes by name, and by number."""
    simulated = cg.simulate(40, random_state=2)
    code = np.resize([0.0, 1.0, 2.0, np.nan], len(simulated.stays))
    outcomes = simulated.outcomes.assign(place=np.resize(np.array(PLACES, dtype=object), len(code)), code=code)
    return simulated.measurements, simulated.stays, outcomes


def read(tables, **arguments):
    measurements, stays, outcomes = tables
    return cg.read_events(measurements, stays=stays, outcomes=outcomes, **arguments)


@pytest.fixture(scope="module")
def events(cohort_of_names):
    return read(cohort_of_names, outcomes_columns=["place", "code", "in_hospital_death"])


def test_names_in_the_outcomes_table_are_the_numbers_they_name(events):
    text = cg.select(events, task(classes=NAMES))
    numbers = cg.select(events, task(classes=NAMES, outcome="code"))
    assert np.array_equal(text.outcome, numbers.outcome)
    assert set(text.outcome) == {0.0, 1.0, 2.0}
    assert np.array_equal(text.stay, numbers.stay)


@pytest.mark.parametrize("outcome", ["place", "code"])
def test_a_class_without_a_name_is_one_error_that_says_how_many_stays(events, outcome):
    with pytest.raises(cg.ClinicalGRUError, match=f"values of {outcome} among 0: home, 2: died") as raised:
        cg.select(events, task(classes={0: "home", 2: "died"}, outcome=outcome))
    n_others = int(events.stays["code"].eq(1).sum())
    assert f"others, in {n_others} stays" in str(raised.value)
    assert "nursing" not in str(raised.value).casefold()  # what the table holds is not shown


def test_text_needs_names_and_a_multiclass_task(events):
    with pytest.raises(cg.ClinicalGRUError, match="task that names its classes; got text"):
        cg.select(events, task())
    with pytest.raises(cg.ClinicalGRUError, match="numbers in place; got text"):
        cg.select(events, task(task_type="binary"))
    assert "place" not in events.auxiliary_targets(task(outcome="in_hospital_death", task_type="binary"))


def test_text_is_an_outcome_on_request_only(cohort_of_names):
    events = read(cohort_of_names)
    assert "column not used: place (outcomes)" in events.ledger.notes
    with pytest.raises(cg.ClinicalGRUError, match=r"outcomes_columns=\['place', ...\]"):
        cg.select(events, task(classes=NAMES))


def test_free_text_is_no_outcome(cohort_of_names):
    measurements, stays, outcomes = cohort_of_names
    names = [f"note {number}" for number in range(80)]
    notes = pd.DataFrame({"stay_id": [*outcomes["stay_id"], *names[: 80 - len(outcomes)]], "place": names})
    with pytest.raises(cg.ClinicalGRUError, match="at most 50 classes; got text of 80 different values"):
        read((measurements, stays, notes), outcomes_columns=["place"])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"classes": {0: "home"}}, "two classes or more"),
        ({"classes": {0: "home", 1: "HOME"}}, "differ in letters or digits"),
        ({"classes": {0: "home or hospice", 1: "died"}}, "without 'or'"),
        ({"classes": {0: "1", 1: "died"}}, "names in words"),
        ({"classes": {0: "a", "0.0": "b"}}, "a different number"),
        ({"classes": {"home": "a", "away": "b"}}, "a different number"),
        ({"classes": {0: "", 1: "died"}}, "as a mapping to names"),
        ({"classes": ["home", "died"]}, "as a mapping to names"),
        ({"classes": NAMES, "task_type": "binary"}, "multiclass only"),
    ],
)
def test_names_that_cannot_be_are_refused(fields, expected):
    with pytest.raises(cg.ClinicalGRUError, match=expected):
        task(**fields)


def test_labels_of_other_outcomes_are_an_error_in_a_file_and_dropped_where_the_outcome_is_replaced():
    labelled = task(outcome_labels={"place": "where to"})
    with pytest.raises(cg.ClinicalGRUError, match=r"outcome_labels: Expected labels of place; got other"):
        cg.Task.from_dict(labelled.to_dict() | {"outcome_labels": {"other": "x"}})
    shipped = cg.Task.load("in_hospital_mortality")
    assert replace(shipped, outcome="died").outcome_names == ("died",)
    assert replace(labelled, title="other").outcome_names == ("where to",)


def test_a_task_with_names_is_the_same_from_its_file(tmp_path):
    named = task(classes=NAMES, outcome_labels={"place": "where the patient goes"})
    assert cg.Task.from_dict(named.to_dict()) == named
    assert list(named.classes) == [0.0, 1.0, 2.0]
    path = tmp_path / "discharge.yaml"
    path.write_text(
        "name: discharge\noutcome: place\nwindow_hours: [0, 24]\ntask_type: multiclass\n"
        "classes: {0: home, 1: nursing home, 2: died}\noutcome_labels: {place: where the patient goes}\n"
    )
    assert cg.Task.load(path) == named
    assert not {"classes", "outcome_labels"} & set(task().to_dict())


def test_the_cohort_counts_classes_by_name(events):
    outcome = cohort(events, task(classes=NAMES, outcome="code"), min_cell_size=0)["outcome"]
    assert list(outcome)[:3] == ["home", "nursing home", "died"]
    assert cg.select(events, task(outcome="code", outcome_labels={"code": "place"})).task.outcome_words == "place"


@pytest.mark.parametrize("name", cg.Task.shipped())
def test_every_shipped_task_names_its_outcome_in_words(name):
    shipped = cg.Task.load(name)
    assert not any("_" in words for words in shipped.outcome_names), "pages would show the name of a column"
