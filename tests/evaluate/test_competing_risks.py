"""Competing risks: Aalen and Johansen's incidence equals scikit-survival's, and cause-specific hazards reach it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError


def simulated(n=3000, seed=0):
    """Two exponential events with rates 0.02 and 0.05, doubled where x is 1, and censoring."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, n)
    times = np.stack([rng.exponential(1 / (rate * (1 + x))) for rate in (0.02, 0.05)] + [rng.uniform(5, 60, n)])
    first = times.argmin(axis=0)
    return x, times.min(axis=0), np.where(first == 2, 0, first + 1)


def exact(rate, x, hours):
    total = 0.07 * (1 + x[:, None])
    return rate / 0.07 * (1 - np.exp(-total * np.asarray(hours)))


def test_incidence_equals_that_of_scikit_survival_with_ties_and_by_hand():
    nonparametric = pytest.importorskip("sksurv.nonparametric")
    _, hours, cause = simulated(400)
    hours = np.ceil(hours)  # ties
    times, curves = nonparametric.cumulative_incidence_competing_risks(cause, hours)
    table = cg.cumulative_incidence(hours, cause, at_hours=times.tolist(), n_resamples=2)
    for number in (1, 2):
        own = table.loc[table["cause"] == number, "incidence"].to_numpy()
        assert own == pytest.approx(curves[number], abs=1e-12)
    by_hand = cg.cumulative_incidence([1, 2, 2, 4, 5], [1, 2, 1, 0, 2], at_hours=[0, 2, 6], n_resamples=2)
    assert by_hand["incidence"].tolist() == pytest.approx([0, 0.4, 0.4, 0, 0.2, 0.6])


def test_one_minus_kaplan_meier_would_overestimate_and_intervals_hold_the_truth():
    differences, held = [], []
    for seed in range(20):
        x, hours, cause = simulated(seed=seed)
        table = cg.cumulative_incidence(hours, cause, at_hours=[10, 30], n_resamples=60)
        truth = np.concatenate([exact(rate, x, [10.0, 30.0]).mean(axis=0) for rate in (0.02, 0.05)])
        differences.append(table["incidence"] - truth)
        held.append((table["low"] < truth) & (truth < table["high"]))
    assert np.mean(differences, axis=0) == pytest.approx(np.zeros(4), abs=0.008)
    assert np.mean(held) > 0.85
    alone = 1 - np.exp(-0.02 * 30 * (1 + x)).mean()
    assert alone > table["high"].iloc[1] + 0.1
    assert np.isnan(cg.cumulative_incidence([1, 2, 3], [1, 2, 0], at_hours=[9], n_resamples=2)["incidence"]).all()


def models(x):
    task = SimpleNamespace(window_hours=(0.0, 48.0))
    return {
        name: SimpleNamespace(
            predict_survival=lambda _, hours, rate=rate: np.exp(-rate * (1 + x[:, None]) * np.asarray(hours)),
            head_=SimpleNamespace(cuts=cuts), task_=task, variables_=(), static_variables_=(),
        )
        for name, rate, cuts in (("death", 0.02, (7.0, 31.0)), ("discharge", 0.05, (3.0, 50.0)))
    }  # fmt: skip


def test_cause_specific_models_together_give_the_incidence_that_is_observed():
    x, hours, cause = simulated()
    model = cg.CompetingRisks(models(x))
    predicted = model.predict_incidence(None, [30.0, 10.0, 0.0])
    for number, rate in enumerate((0.02, 0.05)):
        assert predicted[:, number] == pytest.approx(exact(rate, x, [30.0, 10.0, 0.0]), abs=1e-9)
    assert model.predict_event_free(None, [30.0])[:, 0] == pytest.approx(1 - predicted[:, :, 0].sum(axis=1))
    table = cg.incidence_calibration(hours, cause, predicted[:, 0, 0], of_cause=1, at_hours=30.0, n_groups=2)
    assert ((table["low"] < table["predicted"]) & (table["predicted"] < table["high"])).all()
    wrong = cg.incidence_calibration(hours, cause, 2 * predicted[:, 0, 0], of_cause=1, at_hours=30.0, n_groups=2)
    assert (wrong["predicted"] > wrong["high"]).all()


def test_small_groups_are_suppressed_together_and_the_row_of_all_stays():
    x, hours, cause = simulated(60)
    predicted = exact(0.02, x, [30.0])[:, 0]
    table = cg.incidence_calibration(hours, cause, predicted, of_cause=1, at_hours=30.0)
    assert table["observed"].notna().tolist() == [True] + [False] * 5
    shown = cg.incidence_calibration(hours, cause, predicted, of_cause=1, at_hours=30.0, min_cell_size=0)
    assert shown["observed"].notna().all()


@pytest.mark.parametrize(
    ("hours", "cause", "at", "message"),
    [
        ([1, 2], [1], [1], "same stays"),
        ([0, 2], [1, 2], [1], "above 0"),
        ([1, 2], [0, 0], [1], "an event among"),
        ([1, 2], [0.5, 1], [1], "causes"),
        ([1, 2], [1, 2], [-1], "at_hours"),
    ],
)
def test_what_cannot_be_used_is_refused(hours, cause, at, message):
    with pytest.raises(ArgumentError, match=message):
        cg.cumulative_incidence(hours, cause, at_hours=at)


def test_models_of_other_variables_or_one_alone_are_refused():
    two = models(np.zeros(3))
    with pytest.raises(ArgumentError, match="two or more"):
        cg.CompetingRisks({"death": two["death"]})
    two["death"].variables_ = ("lactate",)
    with pytest.raises(ArgumentError, match="same variables"):
        cg.CompetingRisks(two)
