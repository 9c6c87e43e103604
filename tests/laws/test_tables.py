"""A stays table in minutes, hours, dates or with another zone gives the same cohort and labels."""

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg

HOUR = pd.Timedelta(hours=1)
TASKS = (
    cg.Task("dead", "death", (0.0, 24.0)),
    cg.Task("death within two days", "death", (0.0, 12.0), outcome_time="died", horizon_hours=48.0),
    cg.Task("left soon", "death", (0.0, 6.0), outcome_time="end", horizon_hours=20.0, gap_hours=2.0),
)


def cohort(seed, n=40):
    """Rows, stays and outcomes in hours since each stay's start, as whole minutes; some ends and deaths unknown."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2031-03-20") + pd.to_timedelta(rng.integers(0, 20 * 1440, n), "min")
    end = np.where(rng.random(n) < 0.1, np.nan, rng.integers(60, 5000, n) / 60)
    died = np.where(rng.random(n) < 0.4, rng.integers(30, 5000, n) / 60, np.nan)
    stay = np.repeat(np.arange(n), 12)
    rows = pd.DataFrame(
        {
            "patient_id": (stay // 2).astype(str),
            "stay_id": stay.astype(str),
            "hours": rng.integers(0, 4000, len(stay)) / 60,
            "variable": rng.choice(["heart_rate", "lactate", "urine_output"], len(stay)),
            "value": 0.0,
        }
    )
    middle = rows["variable"].map({"heart_rate": 80.0, "lactate": 2.0, "urine_output": 60.0})
    rows["value"] = (middle * rng.uniform(0.7, 1.3, len(stay))).round(2)
    rows["known"] = rows["hours"] + rng.integers(-60, 600, len(stay)) / 60
    stays = pd.DataFrame({"patient_id": (np.arange(n) // 2).astype(str), "stay_id": np.arange(n).astype(str)})
    return rows, stays, start, end, died


def written(hours, start, write):
    """Hours since the start as dates, written by a function; None where unknown."""
    return [None if np.isnan(h) else write(s + h * HOUR) for s, h in zip(start, hours, strict=True)]


def local(zone):
    return lambda moment: moment.round("us").tz_localize("UTC").tz_convert(ZoneInfo(zone))


def text(moment):
    return str(moment.round("us"))


CLOCKS = {  # options, how dates of rows, stays and outcomes are written
    "dates": ({}, text, text, text),
    "datetimes": ({}, *[lambda moment: moment.round("us")] * 3),
    "another zone": ({}, *[lambda m, z=z: str(local(z)(m)) for z in ("UTC", "Asia/Tokyo", "America/New_York")]),
    "a zone that is named": (
        {"timezone": "Asia/Tokyo"},
        lambda moment: str(local("Asia/Tokyo")(moment).tz_localize(None)),
        local("Europe/Berlin"),
        lambda moment: local("America/New_York")(moment).isoformat(),
    ),
    "a format": (
        {"time_format": "%d.%m.%Y %H:%M:%S"},
        *[lambda moment: moment.round("s").strftime("%d.%m.%Y %H:%M:%S")] * 3,
    ),
}


def read_dated(rows, stays, start, end, died, clock):
    options, write_row, write_stay, write_outcome = CLOCKS[clock]
    of_row = start[rows["stay_id"].astype(int)]
    table = rows.assign(
        time=written(rows["hours"], of_row, write_row), available_at=written(rows["known"], of_row, write_row)
    ).drop(columns=["hours", "known"])
    zeros = np.zeros(len(stays))
    return cg.read_events(
        table,
        stays=stays.assign(start=written(zeros, start, write_stay), end=written(end, start, write_stay)),
        outcomes=stays.assign(death=~np.isnan(died), died=written(died, start, write_outcome)),
        **options,
    )


def read_numbers(rows, stays, end, died, unit, per_hour, offset):
    """Numbers in a unit; those of stays and rows may count from another hour than that of the start."""
    table = rows.assign(time=(rows["hours"] + offset) * per_hour, available_at=(rows["known"] + offset) * per_hour)
    return cg.read_events(
        table.drop(columns=["hours", "known"]),
        stays=stays.assign(start=offset * per_hour, end=(end + offset) * per_hour),
        outcomes=stays.assign(death=~np.isnan(died), died=died),
        time_unit=unit,
    )


def meaning(events):
    """What the tasks ask of each stay and what a model sees of it: flow, stays, labels, hours and values."""
    found = []
    for task in TASKS:
        sequences = cg.select(events, task)
        frame = sequences.to_frame()
        found.append(
            (
                tuple(sequences.flow),
                sequences.stay.tolist(),
                sequences.outcome.tolist(),
                frame["hours"].round(5).tolist(),
                frame["value"].round(6).tolist(),
            )
        )
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Task .* leaves out stays")
@pytest.mark.parametrize("seed", [1, 2])
def test_the_clock_of_the_tables_changes_neither_cohort_nor_labels(seed):
    rows, stays, start, end, died = cohort(seed)
    expected = meaning(read_numbers(rows, stays, end, died, "hours", 1.0, 0.0))
    assert all(len(set(labels)) == 2 for _, _, labels, _, _ in expected)
    for unit, per_hour, offset in (("minutes", 60.0, 0.0), ("days", 1 / 24, 0.0), ("seconds", 3600.0, 3.0)):
        assert meaning(read_numbers(rows, stays, end, died, unit, per_hour, offset)) == expected, unit
    for clock in CLOCKS:
        assert meaning(read_dated(rows, stays, start, end, died, clock)) == expected, clock
