"""When a value was known: not before it was measured, and dates without a time of day at the end of their day."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.ledger import EARLY_BY_HOURS, NO_TIME_OF_DAY, TOO_EARLY

DAYS = ["2031-01-01", "2031-01-02"]
ENDS = ["2031-01-01 23:59:59.999999", "2031-01-02 23:59:59.999999"]


def rows(times, available_at=None) -> pd.DataFrame:
    table = {"patient_id": "1", "stay_id": "11", "time": times, "variable": "heart_rate"}
    known = {} if available_at is None else {"available_at": available_at}
    return pd.DataFrame({**table, "value": 80.0 + np.arange(len(times)), **known})


def known(table, **reading) -> list[str]:
    """Times at which the values were known, in the order of the values."""
    frame = cg.read_events(table, **reading).to_frame().sort_values("value")
    assert (frame["available_at"] >= frame["time"]).all()
    return frame["available_at"].astype(str).tolist()


def times(table, **reading) -> list[str]:
    return cg.read_events(table, **reading).to_frame().sort_values("value")["time"].astype(str).tolist()


@pytest.mark.parametrize(
    ("written", "reading"),
    [
        (DAYS, {}),
        (pd.to_datetime(DAYS), {}),
        (pd.to_datetime(DAYS).astype("datetime64[ns]"), {}),
        ([dt.date(2031, 1, 1), dt.date(2031, 1, 2)], {}),
        (["2031-01-01 00:00:00.000", "2031-01-02T00:00"], {}),
        (["2031-01-01T00:00:00Z", "2031-01-02 00:00+00:00"], {}),
        (["01.01.2031", "02.01.2031"], {"time_format": "%d.%m.%Y"}),
        (["01.01.2031 00:00", "02.01.2031 00:00"], {"time_format": "%d.%m.%Y %H:%M"}),
    ],
)
def test_a_date_is_known_at_the_end_of_its_day(written, reading):
    table = rows(written)
    assert known(table, **reading) == ENDS
    assert times(table, **reading) == DAYS
    assert cg.read_events(table, **reading).ledger.notes[NO_TIME_OF_DAY] == 2


def test_a_column_of_dates_and_instants_is_read_by_cell():
    table = rows(["2031-01-01", "2031-01-02 00:00", "2031-01-03 07:00"])
    assert known(table) == [ENDS[0], "2031-01-02 00:00:00.000000", "2031-01-03 07:00:00.000000"]


def test_one_midnight_is_an_instant():
    assert known(rows(["2031-01-01 00:00"])) == ["2031-01-01"]


@pytest.mark.slow
def test_a_days_end_is_that_of_the_place():
    table = rows(["2030-03-31", "2030-10-27"])  # 23 and 25 hours in Berlin
    expected = ["2030-03-31 21:59:59.999999", "2030-10-27 22:59:59.999999"]
    assert known(table, timezone="Europe/Berlin") == expected
    assert known(table.assign(time=pd.to_datetime(table["time"])), timezone="Europe/Berlin") == expected


def test_a_day_whose_midnight_the_clock_skips_is_no_error():
    first, second = known(rows(["2018-11-04", "2018-11-05"]), timezone="America/Sao_Paulo")
    assert "2018-11-05 01:59:59.999999" <= first <= "2018-11-05 02:59:59.999999"  # the day ends at 02:00 UTC
    assert second == "2018-11-06 01:59:59.999999"


def test_available_at_may_be_a_date():
    table = rows(["2031-01-01 08:00", "2031-01-01 09:00"], DAYS)
    assert known(table) == ENDS
    assert known(table.assign(available_at=pd.to_datetime(table["available_at"]))) == ENDS
    assert cg.read_events(table).ledger.notes[NO_TIME_OF_DAY] == 2


def test_an_available_at_within_the_day_is_used():
    table = rows(DAYS, ["2031-01-01 08:00", None])
    assert known(table) == ["2031-01-01 08:00:00.000000", ENDS[1]]


@pytest.mark.parametrize("unit", [None, "hours"])
def test_nothing_is_known_before_it_was_measured(unit):
    if unit is None:
        table = rows(["2031-01-01 08:00", "2031-01-01 12:00", "2031-01-01 13:00"])
        table["available_at"] = ["2031-01-01 08:05", "2031-01-01 07:00", "2031-01-01 12:59"]
    else:
        table = rows([8.0, 12.0, 13.0], [8.1, 7.0, 12.9])
    events = cg.read_events(table)
    frame = events.to_frame()
    assert (frame["available_at"] - frame["time"]).dt.total_seconds().gt(0).tolist() == [True, False, False]
    assert (events.ledger.notes[TOO_EARLY], events.ledger.notes[EARLY_BY_HOURS]) == (2, 1)


def test_wide_tables_obey_too():
    table = pd.DataFrame({"patient_id": "1", "time": pd.to_datetime(DAYS), "heart_rate": [80.0, 81.0]})
    assert known(table, source="wide") == ENDS
