"""Static variables given as groups of numbers: the middle or the bound is used, and counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.ingest.number_groups import group_values

ROWS = pd.DataFrame({"patient_id": list("abcd"), "time": 0.0, "variable": "heart_rate", "value": 80.0})
NOTE = "static values given as a group, of which the middle or the bound is used: {}"


def read(**columns: list[object]) -> cg.read_events:
    stays = pd.DataFrame({"patient_id": list("abcd"), "stay_id": list("abcd"), **columns})
    return cg.read_events(ROWS, stays=stays, max_rejected=1)


@pytest.mark.parametrize("low", [18, 40.5])
@pytest.mark.parametrize("form", ["{}-{}", "[{}-{})", "{} – {}", "{} to {} years", "({}-{}]"])
def test_the_value_of_a_group_lies_within_it_wherever_it_is_written(low, form):
    (value,) = group_values(pd.Series([form.format(low, 69)]))
    assert value == pytest.approx((low + 69) / 2)


@pytest.mark.parametrize(
    "text", ["69-60", "60-69-70", "2030-01-02", "60/69", "-60", "about 60-69", "> 70", "+", "-", "1-2 mg"]
)
def test_other_text_is_no_group(text):
    assert group_values(pd.Series([text])).isna().all()


def test_ages_and_weights_of_groups_are_used_and_counted():
    events = read(age=["60-69", "80+", "71", None], weight=["59-", "60-69", "110+", "70"])
    assert events.stays["age"].tolist()[:3] == [64.5, 80.0, 71.0]
    assert events.stays["admission_weight"].tolist() == [59.0, 64.5, 110.0, 70.0]
    assert events.ledger.notes[NOTE.format("age")] == 2
    assert events.ledger.notes[NOTE.format("admission_weight")] == 3


def test_the_oldest_stay_the_top_code_and_groups_meet_the_plausible_range():
    events = read(age=["> 89", "90+", "900-999", "no"])
    assert events.stays["age"].tolist()[:2] == [90.0, 90.0]
    assert np.isnan(events.stays["age"].tolist()[2:]).all()
    assert events.ledger.notes["static values not used: age"] == 2
    assert events.ledger.notes[NOTE.format("age")] == 1


def test_categories_are_never_groups():
    events = read(sex=["0-1", "M", "F", "M"])
    assert np.isnan(events.stays["sex"][0])
    assert NOTE.format("sex") not in events.ledger.notes
