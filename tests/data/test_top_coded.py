"""Ages above 89, as de-identified data write them, in any table."""

from __future__ import annotations

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.errors import DictionaryError

ROWS = pd.DataFrame({"patient_id": "1", "time": [0.0, 1.0], "variable": "heart_rate", "value": [80.0, 81.0]})
ABOVE_89 = ("> 89", ">89", ">= 89", "\u226589", "89+", "> 90", "90+", "90 or older", "Over 89", "300", "300.0", "311")


def age_of(text: object) -> tuple[list[float], dict[str, int]]:
    events = cg.read_events(ROWS, stays=pd.DataFrame({"patient_id": ["1"], "age": [text]}))
    return events.stays["age"].tolist(), {note: n for note, n in events.ledger.notes.items() if "taken as" in note}


@pytest.mark.parametrize("text", ABOVE_89)
def test_an_age_above_89_is_90_with_a_note(text: str) -> None:
    assert age_of(text) == ([90.0], {"age above 89, given as a group (taken as 90)": 1})


@pytest.mark.parametrize("text", ABOVE_89)
def test_an_age_in_the_rows_is_read_as_in_the_stays_table(text: str) -> None:
    age = pd.DataFrame({"patient_id": "1", "time": 0.0, "variable": "age", "value": [text]})
    events = cg.read_events(pd.concat([ROWS.astype({"value": str}), age]))
    assert events.stays["age"].tolist() == [90.0]
    assert events.ledger.notes["age above 89, given as a group (taken as 90), in rows"] == 1


@pytest.mark.parametrize(("text", "age"), [("89", 89.0), ("91", 91.0), ("102", 102.0)])
def test_an_age_that_is_a_number_stays_as_it_is(text: str, age: float) -> None:
    assert age_of(text) == ([age], {})


@pytest.mark.parametrize("text", ["> 70", "150", "< 89", "89 months", "-> 89"])
def test_another_text_is_no_age(text: str) -> None:
    assert age_of(text)[1] == {}
    assert pd.isna(age_of(text)[0][0])


def test_300_months_are_25_years() -> None:
    events = cg.read_events(ROWS, stays=pd.DataFrame({"patient_id": ["1"], "age": ["300"]}), units={"age": "mo"})
    assert events.stays["age"].tolist() == pytest.approx([25.0])


def test_a_top_code_within_the_plausible_range_is_refused() -> None:
    top = {"value": 90, "codes": [100, 110]}
    with pytest.raises(DictionaryError, match="codes above the plausible range"):
        cg.Dictionary.load({"years": {"unit": "a", "plausible": [0, 120], "top_coded": top}})
