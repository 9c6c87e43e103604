"""A date of birth in the stays table gives the age at the start of the stay."""

from __future__ import annotations

import pandas as pd
import pytest

import clinicalgru as cg

ROWS = pd.DataFrame({"patient_id": list("abcde"), "time": "2024-03-01 08:00", "variable": "heart_rate", "value": 80})
BORN = ["1950-03-01", None, "1990-02-30", "2024-02-01", "1700-01-01"]
STAYS = pd.DataFrame({"patient_id": list("abcde"), "start": "2024-03-01 07:00", "Birth_Date": BORN})


def ages(**options: object) -> tuple[list[float | None], dict[str, int]]:
    events = cg.read_events(ROWS, **options)
    return [None if pd.isna(age) else round(age, 2) for age in events.stays["age"]], events.ledger.notes


def test_an_age_is_the_time_from_birth_to_the_start() -> None:
    """An impossible date and an age above 120 cannot be used, and are counted; one that is not recorded is unknown."""
    known, notes = ages(stays=STAYS)
    assert known == [74.0, None, None, 0.08, None]
    assert notes["static values not used: age"] == 2
    assert "column not used: Birth_Date (stays)" not in notes


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M %p"])
def test_dates_of_birth_have_the_form_of_times_or_of_their_dates(form: str) -> None:
    date = form.split(" ")[0]
    born = [
        pd.Timestamp("1950-03-01").strftime(form),
        None,
        "nonsense",
        pd.Timestamp("2024-02-01").strftime(date),
        None,
    ]
    at = pd.Timestamp("2024-03-01 07:00").strftime(form)
    stays = STAYS.assign(start=at, DOB=born).drop(columns="Birth_Date")
    rows = ROWS.assign(time=pd.Timestamp("2024-03-01 08:00").strftime(form))
    events = cg.read_events(rows, stays=stays, time_format=form, columns={"stays": {"birth_date": "DOB"}})
    assert [None if pd.isna(age) else round(age, 2) for age in events.stays["age"]] == [74.0, None, None, 0.08, None]


def test_without_dates_of_stays_or_with_an_age_a_date_of_birth_is_not_used() -> None:
    hours = STAYS.assign(start=0.0)
    events = cg.read_events(ROWS.assign(time=1.0), stays=hours)
    assert "age" not in events.stays
    assert events.ledger.notes["column not used: Birth_Date (stays)"] == 4
    known, notes = ages(stays=STAYS.assign(age=50))
    assert known == [50.0] * 5
    assert notes["column not used: Birth_Date (stays)"] == 4
