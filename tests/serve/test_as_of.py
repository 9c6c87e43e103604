"""As of: nothing that became known later is seen, and no prediction is made for a moment to come."""

from __future__ import annotations

import itertools
import logging
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.as_of import as_of_time, known_at
from clinicalgru.data.mistaken_times import last_available, last_credible
from clinicalgru.data.task.select import select
from clinicalgru.serve.score_input import MISTAKEN, seen_as_of
from clinicalgru.serve.stay_status import ENDED, NOT_DUE, NOT_ELIGIBLE, stay_reasons

COLUMNS = ["patient_id", "stay_id", "prediction_time", "prediction_hours", "as_of", "status", "reason_code", "reason"]
TASKS = {
    "binary": {"outcome": "died", "window_hours": [0, 24]},
    "early_warning": {"outcome": "died", "window_hours": [0, 48], "task_type": "early_warning",
                      "outcome_time": "end", "horizon_hours": 12},
    "forecast": {"window_hours": [2, 48], "task_type": "forecast"},
    "from lactate": {"outcome": "died", "window_hours": [0, 12], "anchor": {"variable": "lactate", "above": 2}},
    "from the end": {"outcome": "died", "window_hours": [0, 1], "anchor": "end"},
    "of adults": {"outcome": "died", "window_hours": [0, 6], "include": [{"variable": "lactate", "at_least": 1}]},
}  # fmt: skip


@pytest.fixture(scope="module")
def small():
    return cg.simulate(40, random_state=5)


@pytest.fixture(scope="module")
def extract(small):
    return cg.read_events(small)


def known_rows(cohort, moment):
    """The extract as a hospital would have exported it at the moment."""
    rows = cohort.measurements
    known = pd.to_datetime(rows["available_at"]).fillna(pd.to_datetime(rows["time"]))
    stays = cohort.stays.assign(end=cohort.stays["end"].where(cohort.stays["end"] <= moment))
    return rows[(known <= moment).to_numpy()], stays


def any_model(task_fields, variables, static_variables=()):
    """A stand-in for a model: the number of measurements that it sees."""

    class Counter:
        score_columns_ = ("count",)
        trained_on_: ClassVar = {}
        variables_, static_variables_ = variables, static_variables
        task_ = cg.Task.from_dict({"name": "t", "outcome": ""} | task_fields)

        def has_observations(self, stays):
            return stays.n_measurements > 0

        def score_rows(self, stays):
            return stays.n_measurements[:, None] + np.nan_to_num(stays.static).sum(axis=1)[:, None]

    return Counter()


def counted(monkeypatch, events, fields, as_of):
    from clinicalgru.serve import score_rows

    monkeypatch.setattr(score_rows, "model_hash", lambda model: "0")
    model = any_model(fields, events.variables, events.static_variables)
    seen = seen_as_of(events, as_of)
    stays = cg.select(seen, model.task_, include_ineligible=True)
    reasons = stay_reasons(seen, model.task_, stays)
    return score_rows.score_sequences(model, stays, reasons=reasons, as_of=seen.as_of)


@pytest.fixture(scope="module", params=[0.1, 0.8])
def then(request, small):
    moment = pd.to_datetime(small.measurements["time"]).quantile(request.param).floor("s")
    rows, stays = known_rows(small, moment)
    return moment, cg.read_events(rows, stays=stays)


@pytest.mark.parametrize("name", list(TASKS))
def test_cutting_the_extract_at_a_moment_gives_the_rows_as_of_that_moment(extract, then, monkeypatch, name):
    moment, cut = then
    later, then = (counted(monkeypatch, each, TASKS[name], str(moment)) for each in (extract, cut))
    pd.testing.assert_frame_equal(later, then)
    assert not (later["prediction_time"] > moment).any()
    assert set(later["as_of"]) == {moment}


@pytest.mark.parametrize("name", ["binary", "early_warning"])
def test_stays_that_only_later_rows_name_are_not_there_yet(small, monkeypatch, name):
    moment = pd.to_datetime(small.measurements["time"]).median().floor("s")
    whole, then = cg.read_events(small.measurements), cg.read_events(known_rows(small, moment)[0])
    assert len(then.stays) < len(whole.stays)
    tables = [counted(monkeypatch, each, TASKS[name], str(moment)) for each in (whole, then)]
    pd.testing.assert_frame_equal(*tables)


def test_what_is_scored_stays_scored_later(extract, small, monkeypatch):
    moments = pd.to_datetime(small.stays["start"]).quantile([0.2, 0.5, 0.8])
    tables = [counted(monkeypatch, extract, TASKS["binary"], str(moment)).set_index("stay_id") for moment in moments]
    for before, after in itertools.pairwise(tables):
        scored = before.index[before["status"] == "scored"]
        assert len(scored)
        pd.testing.assert_series_equal(before.loc[scored, "count"], after.loc[scored, "count"])


def rows_of(hours, start="2031-01-01", stay="1"):
    time = pd.Timestamp(start) + pd.to_timedelta(hours, unit="h")
    return pd.DataFrame({"patient_id": stay, "stay_id": stay, "time": time.astype(str), "variable": "heart_rate",
                         "value": 80.0, "unit": "/min"})  # fmt: skip


def test_a_stay_20_hours_in_has_no_48_hour_risk_yet(monkeypatch):
    events = cg.read_events(rows_of(np.arange(0, 21.0)))
    table = counted(monkeypatch, events, TASKS["binary"] | {"window_hours": [0, 48]}, None)
    assert table["status"].tolist() == ["not scored"]
    assert table["reason_code"].tolist() == [NOT_DUE]
    assert table["reason"].tolist() == ["prediction due at 2031-01-03 00:00:00"]
    assert table["prediction_time"].isna().all()
    late = counted(monkeypatch, events, TASKS["binary"] | {"window_hours": [0, 48]}, "2031-01-03")
    assert late["status"].tolist() == ["scored"]


@pytest.mark.slow
def test_the_same_without_dates(monkeypatch):
    rows = pd.DataFrame({"patient_id": ["1", "1"], "time": [0.0, 19.9], "variable": "heart_rate", "value": [80.0, 81]})
    table = counted(monkeypatch, cg.read_events(rows), TASKS["binary"], None)
    assert table["reason"].tolist() == ["prediction due at hour 24"]
    assert table["prediction_hours"].isna().all()
    table = counted(monkeypatch, cg.read_events(rows), TASKS["binary"], "24")
    assert table["status"].tolist() == ["scored"]
    assert counted(monkeypatch, cg.read_events(rows), TASKS["early_warning"], 7)["prediction_hours"].tolist() == [7.0]


def test_an_early_warning_is_of_this_moment_while_the_stay_is_open(monkeypatch):
    rows = pd.concat([rows_of(np.arange(0, 30.0), stay=name) for name in "123"])
    stays = pd.DataFrame(
        {"patient_id": list("123"), "start": "2031-01-01", "end": [None, "2031-01-01 12:00", "2031-01-05"]}
    )
    stays["stay_id"] = stays["patient_id"]
    table = counted(monkeypatch, cg.read_events(rows, stays=stays, max_rejected=1.0), TASKS["early_warning"],
                    "2031-01-01 20:30")  # fmt: skip
    assert table["prediction_hours"].tolist() == [20.5, 12.0, 20.5]
    assert table["count"].tolist() == [21.0, 13.0, 21.0]


def test_an_end_to_come_is_not_known(monkeypatch):
    rows = rows_of(np.arange(0, 30.0))
    stays = pd.DataFrame({"patient_id": ["1"], "stay_id": ["1"], "start": ["2031-01-01"], "end": ["2031-01-01 22:00"]})
    events = cg.read_events(rows, stays=stays, max_rejected=1.0)
    codes = [
        counted(monkeypatch, events, TASKS["binary"], f"2031-01-01 {hour}:00")["reason_code"][0] for hour in (21, 22)
    ]
    assert codes == [NOT_DUE, ENDED]
    table = counted(monkeypatch, events, TASKS["from the end"], "2031-01-01 21:00")
    assert table["reason_code"].tolist() == [NOT_ELIGIBLE]


def test_outcomes_are_unknown_until_the_stay_has_ended(extract):
    moment = int(extract.stays["end"].median())
    seen = known_at(extract, moment)
    ended = (extract.stays["end"] <= moment).to_numpy(dtype=bool, na_value=False)
    known = extract.stays["in_hospital_death"].notna().to_numpy()
    assert (seen.stays["in_hospital_death"].notna().to_numpy() == (ended & known)).all()
    assert seen.stays["end"].notna().sum() == ended.sum()


def test_what_is_not_known_does_not_come_back(extract):
    early, late = int(extract.stays["start"].quantile(0.3)), int(extract.stays["start"].max())
    seen = known_at(extract, early)
    assert as_of_time(seen) == early
    assert known_at(seen, late).as_of == early
    assert known_at(known_at(extract, late), early).measurements.equals(seen.measurements)


def test_a_static_value_recorded_later_is_not_seen_and_an_earlier_one_is():
    rows = rows_of([0.0, 1.0, 30.0])
    ages = rows_of([0.0, 20.0]).assign(variable="age", value=[60.0, 61.0], unit="a")
    events = cg.read_events(pd.concat([rows, ages]))
    start = int(pd.Timestamp("2031-01-01").timestamp() * 1e6)
    values = [known_at(events, start + round(hours * 3.6e9)).stays["age"].tolist() for hours in (0, 10, 20)]
    assert values == [[60.0], [60.0], [61.0]]


@pytest.mark.parametrize("as_of", ["tomorrow", "24", 24, float("nan"), True, pd.NaT, [], "9999-01-01", "0001-01-01"])
def test_what_is_no_moment_is_refused(extract, as_of):
    with pytest.raises(cg.ClinicalGRUError, match="as_of"):
        as_of_time(extract, as_of)


@pytest.mark.parametrize("as_of", ["2031-01-01", -1, "x", True, float("inf"), pd.Timestamp("2031-01-01")])
def test_without_dates_it_is_a_number_of_hours(as_of):
    rows = pd.DataFrame({"patient_id": ["1"], "time": [0.0], "variable": "heart_rate", "value": [80.0]})
    with pytest.raises(cg.ClinicalGRUError, match="hours since the start"):
        as_of_time(cg.read_events(rows), as_of)


@pytest.mark.slow
def test_an_offset_makes_it_an_instant_and_the_zone_of_the_extract_holds_without():
    rows = rows_of([0.0])
    events = cg.read_events(rows, timezone="Europe/Berlin")
    hour = 3_600_000_000
    utc = as_of_time(events, "2031-01-02T06:00Z")
    assert as_of_time(events, "2031-01-02T07:00") == utc
    assert as_of_time(events, "2031-01-02 07:00+01:00") == utc
    assert as_of_time(cg.read_events(rows), "2031-01-02 07:00") == utc + hour
    assert as_of_time(events, pd.Timestamp("2031-01-02 07:00", tz="Europe/Berlin")) == utc
    with pytest.raises(cg.ClinicalGRUError, match="twice or never"):
        as_of_time(events, "2031-10-26 02:30")


@pytest.mark.slow
def test_the_log_says_the_moment_and_how_old_the_data_are(fitted, small, caplog):
    with caplog.at_level(logging.INFO, "clinicalgru"):
        cg.score(fitted, small.measurements, stays=small.stays)
        assert "the last available_at of the extract" in caplog.text
        assert "hours older" not in caplog.text
        cg.score(fitted, small.measurements, stays=small.stays, as_of="2150-01-01")
    assert "hours older than the as-of time" in caplog.text


@pytest.mark.slow
def test_no_row_of_a_real_model_lies_ahead(fitted, small):
    moment = pd.to_datetime(small.stays["start"]).median() + pd.Timedelta("20h")
    table = cg.score(fitted, small, as_of=str(moment))
    assert not (table["prediction_time"] > moment).any()
    due = pd.to_datetime(table["stay_id"].map(small.stays.set_index("stay_id")["start"])) + pd.Timedelta("48h")
    assert (table.loc[due > moment, "status"] == "not scored").all()
    assert len(table) == len(small.stays)


def extract_at(first: str, *, wrong: str | float | None = None, stays: int = 40, hours: bool = False) -> cg.Events:
    """Stays of 30 rows in 60 hours, that begin a day apart; `wrong` is when one more row of the third became known."""
    hour = np.tile(np.arange(30) * 2.0, stays)
    number = np.repeat(np.arange(stays), 30)
    times = hour if hours else pd.Timestamp(first) + pd.to_timedelta(hour + 24 * number, unit="h")
    rows = pd.DataFrame(
        {"patient_id": number, "stay_id": number, "time": times, "variable": "heart_rate", "value": 80.0}
    )
    rows["available_at"] = rows["time"]
    if wrong is not None:
        rows.loc[len(rows)] = rows.loc[65].to_dict() | {"available_at": wrong if hours else pd.Timestamp(wrong)}
    return cg.read_events(rows.astype({"patient_id": str, "stay_id": str}))


CLOCK = pd.Timestamp("2031-01-01").timestamp()


@pytest.mark.parametrize("hours", [False, True])
@pytest.mark.parametrize("first", ["2030-11-01", "2150-03-01", "2012-05-01"])
def test_a_row_of_a_time_that_cannot_be_does_not_move_the_default(first, hours):
    right = last_credible(extract_at(first, hours=hours), now=CLOCK)
    assert right == last_available(extract_at(first, hours=hours))
    wrong = extract_at(first, wrong=1e6 if hours else "2199-01-01", hours=hours)
    assert last_available(wrong) > right
    assert last_credible(wrong, now=CLOCK) == right


@pytest.mark.parametrize("n_stays", [3, 40])
def test_a_whole_stay_of_a_time_that_cannot_be_does_not_move_it_either(n_stays):
    events = extract_at("2030-11-01", stays=n_stays)
    rows = events.to_frame()
    late = rows[rows["stay_id"] == "1"].head(1).assign(stay_id="x", patient_id="x", time=pd.Timestamp("2199-01-01"))
    together = cg.read_events(pd.concat([rows, late.assign(available_at=late["time"])])[[*late]])
    assert last_credible(together, now=CLOCK) == last_available(events) < last_available(together)


def test_dates_that_are_shifted_by_patient_are_no_mistakes():
    rng = np.random.default_rng(0)
    for low, high in ((2110, 2210), (2029, 2033), (2031, 2032)):
        rows = extract_at("2030-11-01", stays=12).to_frame()
        shift = pd.Series(
            pd.to_timedelta(365 * rng.integers(low - 2030, high - 2030, 12), unit="D"), sorted(set(rows["stay_id"]))
        )
        by_row = rows["stay_id"].map(shift)
        events = cg.read_events(rows.assign(time=rows["time"] + by_row, available_at=rows["available_at"] + by_row))
        assert last_credible(events, now=CLOCK) == last_available(events)


def test_the_few_rows_ahead_of_a_feed_change_no_score_and_are_reported(caplog, monkeypatch):
    events, wrong = extract_at("2024-11-01"), extract_at("2024-11-01", wrong="2199-01-01")
    model = any_model(TASKS["forecast"] | {"window_hours": [2, 100]}, events.variables)
    with caplog.at_level(logging.WARNING, "clinicalgru"):
        assert seen_as_of(events).as_of == seen_as_of(wrong).as_of
        assert [record for record in caplog.messages if "must be a mistake" in record] == [MISTAKEN]
        seen_as_of(wrong, "2199-06-01")
    assert caplog.messages.count(MISTAKEN) == 1
    first, second = (select(seen_as_of(one), model.task_, include_ineligible=True) for one in (events, wrong))
    np.testing.assert_array_equal(first.n_measurements, second.n_measurements)
    np.testing.assert_array_equal(first.end_hours, second.end_hours)
