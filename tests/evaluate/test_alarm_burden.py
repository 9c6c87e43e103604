"""Alarms with a silence after each, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.evaluate.alarm_burden import alarm_burden


def by_loop(stay, hours, risk, onset, *, threshold, silence, horizon):
    """Alarms and right alarms, one prediction after the other."""
    last, alarms, right, caught = {}, 0, 0, {}
    for i in np.lexsort([hours, stay]):
        if hours[i] > onset[i] or risk[i] < threshold or hours[i] < last.get(stay[i], -np.inf) + silence:
            continue
        last[stay[i]] = hours[i]
        alarms += 1
        if onset[i] - hours[i] <= horizon:
            right += 1
            caught.setdefault(stay[i], onset[i] - hours[i])
    return alarms, right, caught


@pytest.mark.parametrize("silence", [0.0, 3.0, 6.0])
def test_alarms_are_those_of_a_loop(silence):
    rng = np.random.default_rng(0)
    onset_of = np.where(rng.random(40) < 0.4, rng.uniform(5, 40, 40), np.nan)
    stay, hours = rng.integers(40, size=1500), rng.uniform(0, 48, 1500)
    risk, onset = rng.random(1500), onset_of[stay]
    table = alarm_burden(stay, hours, risk, onset, thresholds=[0.3, 0.9], silence_hours=silence).set_index("threshold")
    for threshold in (0.3, 0.9):
        alarms, right, caught = by_loop(stay, hours, risk, onset, threshold=threshold, silence=silence, horizon=12.0)
        row, events = table.loc[threshold], len(np.unique(stay[~np.isnan(onset) & ~(hours > onset)]))
        assert row["alarms"] == alarms
        assert row["ppv_per_alarm"] == pytest.approx(right / alarms)
        assert row["sensitivity_per_stay"] == pytest.approx(len(caught) / events)
        assert row["median_lead_hours"] == pytest.approx(np.median(list(caught.values())))


def test_without_alarms_or_onsets_nothing_is_divided():
    table = alarm_burden([1, 2], [0, 0], [0.1, 0.1], [np.nan, np.nan], thresholds=[0.5])
    assert table["alarms"].tolist() == [0]
    assert table[["ppv_per_alarm", "sensitivity_per_stay", "median_lead_hours"]].isna().all(axis=None)


@pytest.mark.parametrize("change", [{"risk": [2.0]}, {"hours": [np.nan]}, {"stay": [1, 2]}, {"silence_hours": -1}])
def test_impossible_input_is_refused(change):
    given = {"stay": [1], "hours": [0], "risk": [0.5], "onset_hours": [np.nan]} | change
    arrays = [given.pop(name) for name in ("stay", "hours", "risk", "onset_hours")]
    with pytest.raises(cg.ClinicalGRUError):
        alarm_burden(*arrays, **given)
