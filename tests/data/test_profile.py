"""What an extract holds, counted fast and counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.data.events import Events
from clinicalgru.data.profile import histogram, measured_by_hour
from clinicalgru.errors import ArgumentError


def test_stays_with_a_value_in_an_hour_are_those_of_a_plain_count(events):
    table = measured_by_hour(events, hours=24).set_index(["variable", "hour"])
    frame = events.to_frame().merge(events.stays[["stay_id", "start"]], on="stay_id")
    known = frame["available_at"].to_numpy().astype("datetime64[us]").astype(np.int64)
    since = known - frame["start"].to_numpy(np.int64)
    frame = frame.assign(hour=since // 3_600_000_000)
    plain = frame.query("0 <= hour < 24").groupby(["variable", "hour"])["stay_id"].nunique()
    assert (table["stays"].reindex(plain.index) == plain).all()
    assert table["stays"].sum() == plain.sum()
    there = ((events.stays["end"] - events.stays["start"]) > 12 * 3_600_000_000).sum()
    assert (table.xs(12, level="hour")["of"] == there).all()


def test_of_sequences_the_last_hours_before_the_prediction_are_shown(parts):
    table = measured_by_hour(parts[0], hours=12)
    assert sorted(table["hour"].unique()) == list(range(36, 48))
    assert (table["of"] == len(parts[0])).all()
    assert (table["stays"] <= table["of"]).all()


def test_a_stay_in_two_batches_counts_once(three):
    events = cg.read_events(three, max_rejected=0.5)
    whole = measured_by_hour(events, hours=6)

    class Cut:
        def batches(self):
            return iter(events.measurements.to_batches(max_chunksize=1))

    cut = Cut()
    for name in ("variables", "stays", "measurements", "coded", "has_dates"):
        setattr(cut, name, getattr(events, name))
    cut.__class__ = type("CutEvents", (Events,), {"batches": Cut.batches, "__init__": lambda self: None})
    assert measured_by_hour(cut, hours=6).equals(whole)


def test_no_bin_holds_few_and_none_is_lost(events):
    every = histogram(events, "lactate", min_cell_size=0)
    joined = histogram(events, "lactate")
    assert (joined["measurements"] >= 11).all()
    assert (
        joined["measurements"].sum()
        == every["measurements"].sum()
        == (events.to_frame()["variable"] == "lactate").sum()
    )
    assert (joined["low"].to_numpy()[1:] == joined["high"].to_numpy()[:-1]).all()
    assert len(every) > len(joined)


def test_scores_have_a_bin_of_their_own(events):
    bins = histogram(events, "gcs", min_cell_size=0)
    values = events.to_frame().query("variable == 'gcs'")["value"]
    whole = values[values == 15].count()
    assert bins.query("low <= 15 < high")["measurements"].item() == whole


def test_what_the_data_do_not_have_is_refused(events):
    with pytest.raises(ArgumentError, match="a variable among"):
        histogram(events, "luck")
    with pytest.raises(ArgumentError, match="hours as a whole number of 1 or more"):
        measured_by_hour(events, hours=0)
