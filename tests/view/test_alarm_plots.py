"""Replayed alarms: those of the counted burden, and pictures of stays in which something happens."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.alarm_replay import AlarmReplay

ONSET = np.array([20.0, 12.0, np.inf, np.inf, 15.0])


@pytest.fixture(scope="module")
def replay() -> AlarmReplay:
    """Stay 0 is warned of 8 hours before, stay 1 an hour before, stay 4 never; stay 2 has false alarms, stay 3 none."""
    hours = np.arange(1.0, 31.0)
    risk = {
        0: np.where(hours >= 12, 0.6, 0.1), 1: np.where(hours >= 11, 0.6, 0.1), 2: np.full(30, 0.7),
        3: np.full(30, 0.05), 4: np.full(30, 0.1),
    }  # fmt: skip
    hourly = pd.concat([pd.DataFrame({"stay": stay, "hours": hours, "risk": one}) for stay, one in risk.items()])
    model = SimpleNamespace(
        task_=SimpleNamespace(horizon_hours=12), threshold_=0.5, predict_hourly=lambda _: hourly.reset_index(drop=True)
    )
    return cg.replay_alarms(model, SimpleNamespace(outcome=ONSET))


def test_alarms_end_with_the_event_and_agree_with_the_burden(replay):
    assert (replay.hourly["hours"] <= ONSET[replay.hourly["stay"]]).all()
    alarms = replay.hourly[replay.hourly["alarm"]]
    assert alarms.groupby("stay")["hours"].apply(list).to_dict() == {
        0: [12.0, 18.0],
        1: [11.0],
        2: [1.0, 7.0, 13.0, 19.0, 25.0],
    }
    own = replay.burden.set_index("threshold").loc[0.5]
    assert own["alarms"] == len(alarms)
    assert own["sensitivity_per_stay"] == pytest.approx(2 / 3)
    assert (replay.burden["sensitivity_per_stay"].diff().dropna() <= 0).all()


def test_the_picture_shows_early_late_and_no_warning_and_stays_without_an_event(replay):
    figure = replay.plot("stays")
    assert [title.text for title in figure.layout.annotations] == [
        "Event at hour 20. Alarm 8 h before it", "Event at hour 12. Alarm 1 h before it", "Event at hour 15. No alarm",
        "No event; 5 false alarms in 30 h, of which the first 23 are shown",
        "No event; 0 false alarms in 30 h, of which the first 23 are shown",
    ]  # fmt: skip
    assert [trace.name for trace in figure.data if trace.showlegend] == [
        "predicted risk",
        "threshold",
        "alarm",
        "event",
    ]
    assert len(replay.plot("stays", stays=[2]).layout.annotations) == 1
    assert replay.plot("burden").data[1].x[0] == pytest.approx(replay.burden.set_index("threshold").loc[0.5].iloc[1])


def test_what_is_refused(replay):
    with pytest.raises(ArgumentError, match="positions of stays"):
        replay.plot("stays", stays=[9])
    with pytest.raises(ArgumentError, match="GRUEarlyWarning"):
        cg.replay_alarms(object(), SimpleNamespace(outcome=ONSET))
