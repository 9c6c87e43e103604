"""Utility of early warnings: the published rules, by hand, and against a plain loop over them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import metrics_of

import clinicalgru as cg
from clinicalgru.evaluate.early_warning import early_warning_predictions
from clinicalgru.evaluate.physionet2019 import best_threshold, hourly_utility, normalised_utility


def plain_loop(labels: np.ndarray, warned: np.ndarray) -> float:
    """The rules of evaluate_sepsis_score.py, an hour at a time; labels begin 6 hours before the onset."""
    septic = bool(labels.any())
    onset = int(np.argmax(labels)) + 6 if septic else np.inf
    total = 0.0
    for t, warning in enumerate(warned):
        if t > onset + 3:
            continue
        if septic and warning:
            total += max((t - onset) / 6 + 2, -0.05) if t <= onset - 6 else -(t - onset) / 9 + 1 / 3
        elif septic:
            total += 0 if t <= onset - 6 else -2 / 9 * (t - onset) - 4 / 3
        elif warning:
            total += -0.05
    return total


def records(random_state: int, count: int = 60):
    chance = np.random.default_rng(random_state)
    for _ in range(count):
        hours = int(chance.integers(5, 60))
        labels = np.zeros(hours, int)
        if chance.random() < 0.4:
            labels[int(chance.integers(0, hours)) :] = 1
        yield labels, chance.random(hours) < 0.3


def flat(random_state: int):
    rows, onset, alarm = [], [], []
    for stay, (labels, warned) in enumerate(records(random_state)):
        onset.append(np.argmax(labels) + 6 if labels.any() else np.inf)
        rows.append(pd.DataFrame({"stay": stay, "hours": np.arange(len(labels), dtype=float)}))
        alarm.append(warned)
    return pd.concat(rows, ignore_index=True), np.array(onset, dtype=float), np.concatenate(alarm)


@pytest.mark.parametrize("random_state", range(5))
def test_utility_is_that_of_the_published_rules(random_state):
    rows, onset, alarm = flat(random_state)
    observed = inaction = best = 0.0
    for labels, warned in records(random_state):
        observed += plain_loop(labels, warned)
        inaction += plain_loop(labels, np.zeros(len(labels), bool))
        ideal = np.zeros(len(labels), bool)
        if labels.any():
            first = int(np.argmax(labels)) + 6
            ideal[max(0, first - 12) : min(first + 3 + 1, len(labels))] = True
        best += plain_loop(labels, ideal)
    ours = normalised_utility(alarm, onset_hours=onset, stay=rows["stay"], hours=rows["hours"])
    assert ours == pytest.approx((observed - inaction) / (best - inaction), abs=1e-12)


def test_hours_of_one_septic_stay_by_hand():
    """Onset at hour 20: early, optimal, late, over."""
    warned, missed = hourly_utility(np.array([7.0, 8, 11, 14, 17, 20, 23, 24]) - 20)
    np.testing.assert_allclose(warned, [-0.05, 0, 0.5, 1, 2 / 3, 1 / 3, 0, 0], atol=1e-12)
    np.testing.assert_allclose(missed, [0, 0, 0, 0, -2 / 3, -4 / 3, -2, 0], atol=1e-12)


def test_no_alarm_is_worth_nothing_and_the_best_is_worth_one():
    rows, onset, _ = flat(0)
    since = rows["hours"] - onset[rows["stay"]]
    where = {"onset_hours": onset, "stay": rows["stay"], "hours": rows["hours"]}
    assert normalised_utility(np.zeros(len(rows), bool), **where) == 0
    assert normalised_utility((since >= -12) & (since <= 3), **where) == pytest.approx(1)


def test_the_best_threshold_is_the_best_of_all_thresholds():
    rows, onset, _ = flat(1)
    where = {"onset_hours": onset, "stay": rows["stay"], "hours": rows["hours"]}
    near = np.exp(-np.abs(rows["hours"] - np.where(np.isinf(onset), 99, onset)[rows["stay"]]) / 10)
    risk = np.round(0.7 * near + 0.3 * np.random.default_rng(0).random(len(rows)), 2)  # with ties
    utilities = {level: normalised_utility(risk >= level, **where) for level in np.unique(risk)}
    chosen = best_threshold(risk, **where)
    assert utilities[chosen] == max(utilities.values())
    assert best_threshold(-near, onset_hours=np.full(len(onset), np.inf), stay=rows["stay"], hours=rows["hours"]) == (
        np.inf
    )


def test_alert_burden_and_lead_time_by_hand():
    """Stay 0: onset at hour 10, alarms at hours 1, 2 and 6. Stay 1: none, one alarm. Stay 2: none, no alarm."""
    hourly = pd.DataFrame({"stay": np.repeat([0, 1, 2], 12), "hours": np.tile(np.arange(12.0), 3), "risk": 0.0})
    hourly.loc[[1, 2, 6, 12 + 5], "risk"] = 0.9
    figures = metrics_of(early_warning_predictions(hourly, [10.0, np.inf, np.inf], threshold=0.5))["estimate"]
    assert figures["event_sensitivity"] == 1
    assert figures["false_alert_rate"] == 0.5
    assert figures["lead_hours"] == 9
    assert figures["alerts_per_day"] == pytest.approx(3 / ((10 + 12 + 12) / 24))
    assert figures["alerts_per_event"] == 3
    gain = sum(w - m for w, m in zip(*hourly_utility(np.array([-9.0, -8, -4])), strict=True)) - 0.05
    best = sum(w - m for w, m in zip(*hourly_utility(np.arange(12.0) - 10), strict=True))
    assert figures["utility"] == pytest.approx(gain / best)


def test_unknown_onsets_and_none_at_all_are_refused():
    where = {"stay": [0], "hours": [1.0]}
    with pytest.raises(cg.ClinicalGRUError, match="1 unknown onsets"):
        normalised_utility([True], onset_hours=[np.nan], **where)
    with pytest.raises(cg.ClinicalGRUError, match="at least one stay with an onset"):
        normalised_utility([True], onset_hours=[np.inf], **where)
