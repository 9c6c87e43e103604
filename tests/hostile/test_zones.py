"""Time zones: elapsed time across changes of the clock, against Python's zoneinfo; local times that name no instant."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import clinicalgru as cg
from clinicalgru.data.ingest.time_sql import declare_timezone

ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
EPOCH = datetime(1970, 1, 1)
STEP = timedelta(days=3)
AROUND = [0, 1, 29, 30, 31, 59, 60, 61, 119, 121, 179, 181, 719, 1439, 1440, 1441]  # minutes


def offset(zone: zoneinfo.ZoneInfo, instant: datetime) -> timedelta:
    """Offset at a UTC instant without zone."""
    found = instant.replace(tzinfo=UTC).astimezone(zone).utcoffset()
    assert found is not None
    return found


def transitions(zone: zoneinfo.ZoneInfo, first: int, last: int) -> list[datetime]:
    """UTC instants at which the clock changes, to the minute."""
    found, at = [], datetime(first, 1, 1)
    while at < datetime(last, 1, 1):
        low, high = at, at + STEP
        if offset(zone, low) != offset(zone, high):
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
                low, high = (middle, high) if offset(zone, middle) == offset(zone, low) else (low, middle)
            found.append(high)
        at += STEP
    return found


def instants_of(zone: zoneinfo.ZoneInfo, local: datetime) -> list[datetime]:
    """The UTC instants that a local time names, by zoneinfo."""
    found = []
    for fold in (0, 1):
        instant = local.replace(tzinfo=zone, fold=fold).astimezone(UTC).replace(tzinfo=None)
        if instant + offset(zone, instant) == local and instant not in found:
            found.append(instant)
    return found


def locals_around(zone: zoneinfo.ZoneInfo, first: int, last: int) -> list[datetime]:
    shown = set()
    for change in transitions(zone, first, last):
        for wall in (change + offset(zone, change), change + offset(zone, change - timedelta(minutes=1))):
            shown |= {wall + timedelta(minutes=sign * m) for m in AROUND for sign in (-1, 1)}
    return sorted(shown) or [datetime(first, 6, 1, 12)]


def microseconds(times: list[datetime]) -> list[int]:
    return [(at - EPOCH) // timedelta(microseconds=1) for at in times]


def same_rules(connection: duckdb.DuckDBPyConnection, zone: zoneinfo.ZoneInfo, instants: list[datetime]) -> bool:
    """Whether DuckDB's copy of the time zone database says the same of a zone as Python's: releases differ."""
    connection.register("t", pa.table({"u": pa.array(microseconds(instants), pa.int64())}))
    shown = connection.execute("SELECT local_time(u) - u AS offset FROM t").fetchnumpy()["offset"]
    connection.unregister("t")
    return shown.tolist() == [offset(zone, at) // timedelta(microseconds=1) for at in instants]


def check(names: list[str], *, first: int, last: int) -> tuple[int, list[str]]:
    """How many local times around changes of the clock were compared with zoneinfo, and the zones with other rules."""
    compared, others = 0, []
    with duckdb.connect() as connection:
        for name in names:
            zone = zoneinfo.ZoneInfo(name)
            local = locals_around(zone, first, last)
            named = [instants_of(zone, at) for at in local]
            declare_timezone(connection, name)
            if not same_rules(connection, zone, [instant for each in named for instant in each]):
                others.append(name)
                continue
            connection.register("t", pa.table({"l": pa.array(microseconds(local), pa.int64())}))
            got = connection.execute("SELECT count_instants(l) AS many, to_instant(l) AS at FROM t").df()
            connection.unregister("t")
            assert got["many"].tolist() == [len(each) for each in named], name
            right = microseconds([each[0] if len(each) == 1 else EPOCH for each in named])
            assert got["at"].fillna(0).astype("int64").tolist() == right, name
            compared += len(local)
    return compared, others


@pytest.mark.slow
def test_local_times_around_changes_of_the_clock_are_those_of_zoneinfo():
    few = [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Africa/Casablanca",
        "Asia/Tokyo",
    ]
    compared, others = check([*few, "Antarctica/Troll", "Asia/Kathmandu"], first=2009, last=2013)
    assert compared > 500
    assert not others


@pytest.mark.slow
def test_every_tenth_zone_agrees_with_zoneinfo_around_its_changes_of_a_decade():
    compared, others = check(ZONES[::10], first=2005, last=2015)
    assert compared > 10_000
    assert len(others) <= 3, others


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.parametrize("part", range(4))
def test_all_zones_agree_with_zoneinfo_around_their_changes_of_three_decades(part):
    names = ZONES[part::4]
    assert len(names) > 140
    compared, others = check(names, first=1995, last=2025)
    assert compared > 100_000
    assert len(others) <= 3, others


def rows(times: list[str], **more: object) -> pd.DataFrame:
    table = pd.DataFrame({"patient_id": "1", "stay_id": "1", "time": times, "variable": "heart_rate", "value": 80})
    return table.assign(**more)


@pytest.mark.slow
@pytest.mark.parametrize("typed", [False, True])
def test_elapsed_hours_are_exact_across_the_change_to_summer_time(typed):
    times = ["2024-03-31 00:30", "2024-03-31 01:30", "2024-03-31 03:30", "2024-03-31 04:30"]
    table = rows(times)
    table = table.assign(time=pd.to_datetime(table["time"])) if typed else table
    hours = cg.read_events(table, timezone="Europe/Berlin").to_frame()["time"].diff().dropna() / pd.Timedelta("1h")
    assert hours.tolist() == [1, 1, 1]
    as_written = cg.read_events(table).to_frame()["time"].diff().dropna() / pd.Timedelta("1h")
    assert as_written.tolist() == [1, 2, 1]


@pytest.mark.slow
def test_local_times_that_name_no_instant_are_rejected_and_counted():
    table = rows(["2024-10-27 01:30", "2024-10-27 02:30", "2024-10-27 03:30", "2025-03-30 02:30", "2025-03-30 03:00"])
    ledger = cg.read_events(table, timezone="Europe/Berlin", max_rejected=1.0).ledger
    assert ledger.rejected == {"nonexistent local time": 1, "ambiguous local time": 1}
    assert sorted(ledger.findings["where"]) == ["DataFrame, row 1, column time", "DataFrame, row 3, column time"]
    table = rows(["2024-10-27 01:30"] * 2, available_at=["2024-10-27 02:30", "2024-10-27 03:30"])
    rejected = cg.read_events(table, timezone="Europe/Berlin", max_rejected=1.0).ledger.rejected
    assert rejected == {"ambiguous available_at": 1}


def test_an_offset_in_the_file_wins_over_the_declared_zone():
    table = rows(["2024-10-27T02:30+02:00", "2024-10-27T02:30+01:00", "2024-10-27 04:00"])
    events = cg.read_events(table, timezone="Europe/Berlin")
    assert events.to_frame()["time"].astype(str).tolist() == [
        "2024-10-27 00:30:00",
        "2024-10-27 01:30:00",
        "2024-10-27 03:00:00",
    ]


@pytest.mark.slow
def test_hours_since_the_start_have_no_zone_and_formats_may_be_our_own():
    assert cg.read_events(rows(["0.5", "2"]), timezone="Europe/Berlin").has_dates is False
    events = cg.read_events(rows(["27.10.2024 12:00"]), timezone="Europe/Berlin", time_format="%d.%m.%Y %H:%M")
    assert str(events.to_frame()["time"][0]) == "2024-10-27 11:00:00"


@pytest.mark.slow
def test_the_start_of_a_stay_is_in_the_declared_zone_too():
    stays = pd.DataFrame({"patient_id": ["1"], "stay_id": ["1"], "start": ["2024-03-31 00:00"]})
    events = cg.read_events(rows(["2024-03-31 06:00"]), stays=stays, timezone="Europe/Berlin")
    start = np.datetime64(int(events.stays["start"][0]), "us")
    assert (events.to_frame()["time"][0] - start) / pd.Timedelta("1h") == 5


def test_a_stay_at_a_local_time_that_names_no_instant_has_an_unknown_start_and_is_counted():
    """One patient of the night on which the clocks change does not stop the load of a year."""
    times = ["2024-10-27 06:00", "2024-03-31 07:00", "2024-06-01 05:00"]
    keys = {"patient_id": ["1", "2", "3"], "stay_id": ["1", "2", "3"]}
    table = pd.DataFrame(keys | {"time": times, "variable": "heart_rate", "value": 80})
    starts, ends = ["2024-10-27 02:30", "2024-03-31 02:30", "2024-06-01 01:00"], ["2024-10-29", "", "2024-10-27 02:10"]
    death = ["2024-10-27 02:30", "", "2024-06-02 01:00"]
    events = cg.read_events(
        table,
        stays=pd.DataFrame(keys | {"start": starts, "end": ends}),
        outcomes=pd.DataFrame(keys | {"death_time": death}),
        timezone="Europe/Berlin",
    )
    assert {note: count for note, count in events.ledger.notes.items() if "local time" in note} == {
        "starts of stays that are an ambiguous local time, taken as unknown": 1,
        "starts of stays that are a nonexistent local time, taken as unknown": 1,
        "ends of stays that are an ambiguous local time, taken as unknown": 1,
        "death_time (outcomes) is an ambiguous local time, taken as unknown": 1,
    }
    assert events.stays["start"].isna().tolist() == [True, True, False]
    assert events.stays["end"].isna().tolist() == [False, True, True]
    assert events.stays["death_time"].isna().tolist() == [True, True, False]
    assert events.stays["death_time"][2] == 24


def test_a_day_of_a_stay_is_as_long_as_its_clock_says():
    """In Sao Paulo 2018-11-04 began at 01:00, after 23 hours it ended; 2018-02-17 had 25 hours."""
    stays = {"patient_id": ["1", "2"], "stay_id": ["1", "2"], "start": ["2018-11-04", "2018-02-17"]}
    table = pd.DataFrame(stays).rename(columns={"start": "time"}).assign(variable="heart_rate", value=80)
    table["time"] += " 12:00"
    both = pd.DataFrame(stays).assign(end=stays["start"])
    events = cg.read_events(table, stays=both, timezone="America/Sao_Paulo")
    start, end = (pd.to_datetime(events.stays[name], unit="us").astype(str).tolist() for name in ("start", "end"))
    assert start == ["2018-11-04 03:00:00", "2018-02-17 02:00:00"]
    assert end == ["2018-11-05 02:00:00", "2018-02-18 03:00:00"]


def test_an_unknown_zone_is_refused():
    with pytest.raises(cg.ClinicalGRUError, match="Europe/Berlin"):
        cg.read_events(rows(["2024-10-27 06:00"]), timezone="Mars/Olympus")
