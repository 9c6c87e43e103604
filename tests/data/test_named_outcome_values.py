"""A task names which values of an outcome mean yes and no; every other value is unknown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg

PLACES = ["Expired", " home ", "HOME  health", "Hospice", None, "expired", "Home"]
KNOWN = [1, 0, 0, np.nan, np.nan, 1, 0]
VALUES = {"positive_values": ("Expired",), "negative_values": ("Home", "Home health")}


def task(**fields):
    known = {"name": "death", "outcome": "place", "window_hours": (0, 24)}
    return cg.Task(**known | VALUES | fields)


@pytest.fixture(scope="module")
def cohort():
    """Simulated stays, where each patient goes in words, and the same as codes and as 0 and 1."""
    simulated = cg.simulate(40, random_state=2)
    n_stays = len(simulated.stays)
    code = {"expired": 20.0, "home": 1.0, "home health": 6.0, "hospice": 50.0}
    written = np.resize(np.array(PLACES, dtype=object), n_stays)
    folded = [None if place is None else " ".join(place.casefold().split()) for place in written]
    outcomes = simulated.outcomes.assign(
        place=written,
        code=[code.get(place, np.nan) for place in folded],
        number=np.resize(KNOWN, n_stays),
        letter=[{"expired": "E", "home": "N", "home health": "A"}.get(place) for place in folded],
        hours=5_000.0,
    )
    return simulated.measurements, simulated.stays, outcomes


@pytest.fixture(scope="module")
def events(cohort):
    measurements, stays, outcomes = cohort
    columns = ["place", "code", "number", "letter", "hours"]
    return cg.read_events(measurements, stays=stays, outcomes=outcomes, outcomes_columns=columns)


@pytest.fixture(scope="module")
def numbers(events):
    return cg.select(events, task(outcome="number", positive_values=(), negative_values=()))


@pytest.mark.parametrize(
    ("outcome", "positive", "negative"),
    [
        ("place", ("Expired",), ("Home", "home  HEALTH")),
        ("code", (20,), (1, 6.0)),
        ("code", ("20",), ("01", "06")),
        ("letter", ("e",), ("A", "N")),
        ("number", (True,), ("no",)),
    ],
)
def test_words_and_codes_give_the_stays_and_outcomes_of_numbers(events, numbers, outcome, positive, negative):
    named = cg.select(events, task(outcome=outcome, positive_values=positive, negative_values=negative))
    assert np.array_equal(named.stay, numbers.stay)
    assert np.array_equal(named.outcome, numbers.outcome)
    assert set(named.outcome) == {0.0, 1.0}


def test_a_value_of_neither_list_is_excluded_in_a_step_of_its_own(events):
    flow = dict(cg.select(events, task()).flow)
    steps = list(flow)
    step = steps.index("outcome among the named values (place)")
    others = int((events.stays["place"] == "Hospice").sum())
    assert others > 0
    assert flow[steps[step - 1]] - flow[steps[step]] == others


@pytest.mark.parametrize("task_type", ["survival", "multilabel"])
def test_other_types_of_task_name_values_too(events, numbers, task_type):
    fields = {"survival": {"outcome_time": "hours"}, "multilabel": {"outcome": ("place", "letter")}}[task_type]
    values = {"positive_values": ("Expired", "E"), "negative_values": ("Home", "Home health", "A", "N")}
    outcome = cg.select(events, task(task_type=task_type, **fields, **values)).outcome
    assert np.array_equal(outcome[:, 1], numbers.outcome)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"negative_values": ()}, "both positive_values and negative_values"),
        ({"positive_values": ()}, "both positive_values and negative_values"),
        ({"positive_values": ("home",)}, "a value in both"),
        ({"positive_values": (1,), "negative_values": ("1.0",)}, "a value in both"),
        ({"positive_values": "Expired"}, "as a list of words or numbers"),
        ({"positive_values": (None,)}, "as a list of words or numbers"),
        ({"outcome_threshold": 1.0}, "positive_values or outcome_threshold"),
        ({"task_type": "regression"}, "no positive_values for regression"),
    ],
)
def test_lists_that_cannot_be_are_refused(fields, expected):
    with pytest.raises(cg.ClinicalGRUError, match=expected):
        task(**fields)


def test_a_task_with_values_is_the_same_from_its_file(tmp_path):
    path = tmp_path / "death.yaml"
    path.write_text(
        "name: death\noutcome: place\nwindow_hours: [0, 24]\npositive_values: Expired\nnegative_values: [Home, No, 7]\n"
    )
    read = cg.Task.load(path)
    assert read.positive_values == ("Expired",)
    assert cg.Task.from_dict(read.to_dict()) == read
    assert "positive_values" not in task(positive_values=(), negative_values=()).to_dict()


def test_text_that_is_not_named_says_how_to_name_it(cohort, events):
    measurements, stays, outcomes = cohort
    with pytest.raises(cg.ClinicalGRUError, match="positive_values and negative_values"):
        cg.select(events, task(positive_values=(), negative_values=()))
    unnamed = cg.read_events(measurements, stays=stays, outcomes=outcomes[["stay_id", "place"]].assign(death=0))
    with pytest.raises(cg.ClinicalGRUError, match=r"outcomes_columns=\['place', ...\]"):
        cg.select(unnamed, task())


def test_a_model_of_words_is_the_model_of_numbers(cohort):
    measurements, stays, outcomes = cohort
    words = np.where(outcomes["in_hospital_death"] == 1, "Expired", "Home")
    both = pd.DataFrame({"stay_id": outcomes["stay_id"], "place": words, "death": outcomes["in_hospital_death"]})
    read = cg.read_events(measurements, stays=stays, outcomes=both, outcomes_columns=["place", "death"])
    network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    fields = {"positive_values": (), "negative_values": (), "outcome": "death"}
    risks = []
    for one in (task(), task(**fields)):
        train, validation = cg.split_patients(cg.select(read, one), [0.7, 0.3], random_state=0)
        model = cg.GRUClassifier(network, max_epochs=1, distillation=0.0).fit(train, validation=validation)
        risks.append(model.predict_proba(validation))
    np.testing.assert_array_equal(*risks)
