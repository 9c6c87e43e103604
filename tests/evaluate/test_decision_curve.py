"""What acting on a risk is worth."""

from __future__ import annotations

import numpy as np
import pytest

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.decision_curve import decision_curve


@pytest.fixture
def stays():
    random = np.random.default_rng(4)
    risk = random.random(300)
    return (random.random(300) < risk).astype(int), risk


def test_net_benefit_is_what_counting_alerts_one_by_one_gives(stays):
    outcome, risk = stays
    table = decision_curve(outcome, risk, thresholds=[0.1, 0.35, 0.8], n_resamples=5).table.query("model == 'GRU'")
    for row in table.itertuples():
        true = sum(1 for y, p in zip(outcome, risk, strict=True) if p >= row.threshold and y == 1)
        false = sum(1 for y, p in zip(outcome, risk, strict=True) if p >= row.threshold and y == 0)
        assert row.net_benefit == pytest.approx((true - false * row.threshold / (1 - row.threshold)) / 300)


def test_treating_all_and_treating_none_frame_every_model(stays):
    outcome, risk = stays
    table = decision_curve(outcome, risk, baselines={"trees": risk[::-1]}, n_resamples=5).table
    assert list(table["model"].unique()) == ["GRU", "trees", "treat all", "treat none"]
    assert (table.query("model == 'treat none'")["net_benefit"] == 0).all()
    prevalence = decision_curve(outcome, risk, thresholds=[outcome.mean()], n_resamples=5).table.set_index("model")
    assert prevalence.loc["treat all", "net_benefit"] == pytest.approx(0)  # worth nothing where it is the prevalence
    wide = table.pivot(index="threshold", columns="model", values="net_benefit")
    assert (wide["GRU"] >= wide[["treat all", "treat none"]].max(axis=1) - 0.02).all()  # these risks are true


def test_the_interval_holds_the_figure_and_is_the_same_again(stays):
    first, again = (decision_curve(*stays, thresholds=[0.3], n_resamples=200).table for _ in range(2))
    assert first.equals(again)
    own = first.iloc[0]
    assert own["low"] < own["net_benefit"] < own["high"]


@pytest.mark.parametrize("thresholds", [[0.0], [1.0], [], [0.2, np.nan]])
def test_thresholds_of_no_meaning_are_refused(stays, thresholds):
    with pytest.raises(ArgumentError, match="thresholds above 0 and below 1"):
        decision_curve(*stays, thresholds=thresholds)


def test_a_baseline_may_not_be_called_treat_all(stays):
    with pytest.raises(ArgumentError, match="Rename the baseline"):
        decision_curve(*stays, baselines={"treat all": stays[1]})
