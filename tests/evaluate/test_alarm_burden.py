"""Alarms with a silence after each, against a plain loop."""

from __future__ import annotations

import numpy as np
import pandas as pd
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


def test_intervals_cover_what_many_patients_show_and_count_patients():
    """Samples of 60 patients; the truth is the figure of 20,000. A stay that is there twice adds nothing."""
    rng, truth, covered = np.random.default_rng(1), None, []

    def sample(n):
        stay, hours = np.repeat(np.arange(n), 24), np.tile(np.arange(24.0), n)
        onset = np.where(rng.random(n) < 0.5, rng.uniform(12, 24, n), np.nan)
        own = rng.normal(np.where(np.isnan(onset), 0.35, 0.5), 0.1)  # patients differ in how often they alarm
        return stay, hours, np.clip(own[stay] + rng.normal(0, 0.1, len(stay)), 0, 1), onset[stay]

    names = ["alarms_per_100_hours", "ppv_per_alarm", "sensitivity_per_stay", "median_lead_hours"]
    truth = alarm_burden(*sample(20_000), thresholds=[0.5], n_resamples=0).loc[0]
    for seed in range(80):
        row = alarm_burden(*sample(60), thresholds=[0.5], n_resamples=100, random_state=seed).loc[0]
        covered.append([row[f"{name}_low"] <= truth[name] <= row[f"{name}_high"] for name in names])
    assert np.all(np.mean(covered, axis=0) > 0.89), np.mean(covered, axis=0)
    stay, hours, risk, onset = sample(60)
    once = alarm_burden(stay, hours, risk, onset, thresholds=[0.5])
    doubled = [np.concatenate([one, one]) for one in (hours, risk, onset)]
    both = np.concatenate([stay, stay + 60])
    twice = alarm_burden(both, *doubled, thresholds=[0.5], patients=np.concatenate([stay, stay]))
    pd.testing.assert_frame_equal(once.drop(columns="alarms"), twice.drop(columns="alarms"))
    few = alarm_burden(both, *doubled, thresholds=[0.5], patients=np.concatenate([stay, stay]) % 15)
    assert few.filter(like="_low").isna().all(axis=None)


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
