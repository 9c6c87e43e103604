"""Operating points: counts against scikit-learn's, and the threshold for a wanted value against all of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

import clinicalgru as cg

CHANCE = np.random.default_rng(0)
RISK = CHANCE.beta(1, 4, 500).round(2)
OUTCOME = (CHANCE.random(500) < RISK).astype(float)


def measures(threshold):
    (tn, fp), (fn, tp) = confusion_matrix(OUTCOME, threshold <= RISK)
    values = {"sensitivity": tp / (tp + fn), "specificity": tn / (tn + fp), "ppv": tp / (tp + fp)}
    return values | {"npv": tn / max(tn + fn, 1), "alerts_per_100": (tp + fp) / 5}


def of_point(table, point):
    return table[table["point"] == point].set_index("metric")["estimate"]


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.5])
def test_the_measures_are_those_of_the_confusion_matrix(threshold):
    table = cg.operating_points(OUTCOME, RISK, thresholds=[threshold], n_resamples=20)
    ours = of_point(table, f"risk >= {threshold:g}")
    for name, value in measures(threshold).items():
        assert ours[name] == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("wanted", "value", "highest"),
    [("sensitivity", 0.8, 1), ("npv", 0.9, 1), ("specificity", 0.9, 0), ("ppv", 0.4, 0), ("alerts_per_100", 20, 0)],
)
def test_no_other_threshold_reaches_a_wanted_value_with_fewer_or_more_alerts(wanted, value, highest):
    table = cg.operating_points(OUTCOME, RISK, thresholds=[], wanted={wanted: value}, n_resamples=2)
    chosen = table.set_index("metric")["estimate"]
    sign = -1 if wanted == "alerts_per_100" else 1
    reached = [at for at in np.unique(RISK) if sign * measures(at)[wanted] >= sign * value]
    assert chosen["threshold"] == (max(reached) if highest else min(reached))
    assert chosen[wanted] == pytest.approx(measures(chosen["threshold"])[wanted])


def test_intervals_hold_the_estimate_and_need_twenty_stays_in_the_denominator():
    table = cg.operating_points(OUTCOME, RISK, thresholds=[0.2, 0.75], n_resamples=100).dropna()
    inside = table[table["metric"] != "threshold"]
    assert ((inside["low"] <= inside["estimate"]) & (inside["estimate"] <= inside["high"])).all()
    assert "ppv" not in set(table[table["point"] == "risk >= 0.75"]["metric"])
    assert (inside["low"] < inside["high"]).all()


def test_a_value_that_no_threshold_reaches_is_undefined_and_a_wrong_one_refused():
    table = cg.operating_points([0, 1] * 30, [0.9, 0.1] * 30, thresholds=[], wanted={"ppv": 0.9}, n_resamples=2)
    assert table["estimate"].isna().all()
    with pytest.raises(cg.ClinicalGRUError, match="sensitivity"):
        cg.operating_points(OUTCOME, RISK, wanted={"recall": 0.8})
    with pytest.raises(cg.ClinicalGRUError, match="thresholds"):
        cg.operating_points(OUTCOME, RISK, thresholds=[1.2])
