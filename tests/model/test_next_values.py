"""What was known before each measurement, forecasts of it, and the baselines of a forecast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from family import fitted_case
from helpers import metrics_of

import clinicalgru as cg
from clinicalgru.evaluate.forecast import forecast_predictions
from clinicalgru.model.baselines import forecast_baselines
from clinicalgru.model.baselines.forecast_baselines import BoostedTreesForecaster, LOCFForecaster, measured


@pytest.fixture(scope="module")
def cohort():
    """Training and test stays of the cohort; two results of a variable become known at one step here and there."""
    stays = cg.select(
        cg.read_events(cg.simulate(120, random_state=5)), cg.Task("next", "", (0.0, 24.0), task_type="forecast")
    )
    return cg.split_patients(together(stays), [0.6, 0.4], random_state=0)


def together(stays):
    """Everything becomes known at even hours, with what else was measured since."""
    hours = 2 * np.ceil(stays.hours / 2)
    return replace(stays, hours=hours, availability_lag=(hours - stays.hours).astype(np.float32))


@pytest.mark.slow
def test_the_value_before_is_that_of_an_earlier_step(cohort):
    stays, found = cohort[1], measured(cohort[1])
    several = 0
    for stay in range(0, len(stays), 5):
        at = slice(*stays.starts[stay : stay + 2])
        hours, variable, value = stays.hours[at], stays.variable[at], stays.value[at]
        several += len(hours) - len(set(zip(hours, variable, strict=True)))
        for place in range(len(hours)):
            before = value[(variable == variable[place]) & (hours < hours[place])]
            row = found.iloc[stays.starts[stay] + place]
            assert row["value"] == value[place]
            assert row["later"] == (hours[place] > hours[0])
            assert np.isnan(row["last"]) if not len(before) else row["last"] == before[-1]
    assert several > 10


def test_what_was_expected_of_a_measurement_is_what_was_forecast_at_the_step_before():
    case = fitted_case("forecast")
    ahead, found = case.model.predict(case.test), case.model.expected(case.test)
    steps = ahead.drop_duplicates(["stay", "hours"])[["stay", "hours"]]
    steps["next"] = steps.groupby("stay")["hours"].shift(-1)
    ahead = ahead.merge(steps, on=["stay", "hours"])
    both = found[found["later"]].merge(
        ahead, left_on=["stay", "hours", "variable"], right_on=["stay", "next", "variable"]
    )
    assert len(both) == found["later"].sum()
    for name in ("median", "low", "high"):
        np.testing.assert_array_equal(both[f"{name}_x"], both[f"{name}_y"])
    assert found.loc[~found["later"], ["median", "low", "high"]].isna().all(axis=None)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gru", "last", "trees"])
def test_nothing_that_came_with_a_measurement_or_after_it_was_known(kind, cohort, monkeypatch):
    monkeypatch.setattr(forecast_baselines, "FEWEST", 20)
    if kind == "gru":
        case = fitted_case("forecast")
        model, stays = case.model, case.test[case.test.n_steps > 6]
    else:
        learn, stays = (part.with_variables(part.variables[-4:]) for part in cohort)
        model, stays = (
            (LOCFForecaster() if kind == "last" else BoostedTreesForecaster()).fit(learn),
            stays[stays.n_steps > 6],
        )
    step = np.cumsum(stays.is_new_step) - 1
    begins = np.cumsum(stays.n_steps) - stays.n_steps
    late = step >= (begins + 5)[stays.stay_of_measurement]
    others = replace(stays, value=np.where(late, stays.value * 1.3, stays.value).astype(np.float32))
    known = step <= (begins + 5)[stays.stay_of_measurement]
    columns = ["median"] if kind == "trees" else ["median", "low", "high"]
    one, other = (model.expected(s)[columns].to_numpy() for s in (stays, others))
    np.testing.assert_array_equal(one[known], other[known])
    assert np.nanmax(np.abs(one[~known] - other[~known])) > 0


def test_intervals_around_the_last_value_hold_what_they_say_in_the_stays_they_come_from(cohort):
    found = LOCFForecaster(coverage=0.8).fit(cohort[0]).expected(cohort[0]).dropna(subset="last")
    often = found[found.groupby("variable")["value"].transform("size") > 200]
    assert ((often["value"] >= often["low"]) & (often["value"] <= often["high"])).mean() >= 0.795
    assert ((often["value"] > often["low"]) & (often["value"] < often["high"])).mean() <= 0.805  # ties
    assert (found["median"] == found["last"]).all()


def test_a_variable_that_never_came_twice_has_a_last_value_all_the_same(cohort):
    """Trained where each variable was measured once, judged on whole stays: no figure is unknown."""
    once = cohort[0].filter_measurements(~measured(cohort[0])[["stay", "variable"]].duplicated().to_numpy())
    found = LOCFForecaster().fit(once).expected(cohort[1])
    assert metrics_of(forecast_predictions(found, min_cell_size=0))["estimate"]["interval_score"] > 0


def rates(stays=80, steps=40, random_state=0):
    """A heart rate that falls back to 80 by half at each step, but for some noise."""
    chance, rows = np.random.default_rng(random_state), []
    for stay in range(stays):
        value = chance.normal(80, 20)
        for step in range(steps):
            rows.append((f"{stay}", float(step), "heart_rate", round(value, 1)))
            value = 80 + (value - 80) / 2 + chance.normal(0, 10)
    table = pd.DataFrame(rows, columns=["patient_id", "time", "variable", "value"])
    return cg.select(cg.read_events(table), cg.Task("next", "", (0.0, 48.0), task_type="forecast"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        BoostedTreesForecaster(),
        cg.GRUForecaster(network=cg.NetworkConfig(hidden_size=8, readout_size=16), max_epochs=8),
    ],
)
def test_what_falls_back_to_its_mean_is_foreseen_better_than_by_the_last_value(model):
    """The best there is errs by sqrt(2 / pi) times the noise, some .8 of it."""
    learn, test = cg.split_patients(rates(), [0.7, 0.3], random_state=0)
    fitted = model.fit(learn, verbose=False) if isinstance(model, cg.GRUForecaster) else model.fit(learn)
    found = metrics_of(forecast_predictions(fitted.expected(test), min_cell_size=0), n_resamples=50)
    best = np.sqrt(2 / np.pi) * 10
    assert found.loc["scaled_error", "high"] < 1
    assert found.loc["mean_absolute_error_heart_rate", "estimate"] < 1.15 * best
    assert found.loc["mean_absolute_error_heart_rate", "estimate"] > 0.9 * best


@pytest.mark.slow
def test_what_does_not_pay_in_the_tune_stays_is_not_said():
    """Learned from rates that fall back to their mean, and held against stays whose rates run away from it."""
    learn, test = cg.split_patients(rates(), [0.7, 0.3], random_state=0)
    away = rates(stays=20, random_state=1)
    steps = np.concatenate([np.arange(count) for count in away.n_measurements])
    away = replace(away, value=(80 + np.where(away.stay_of_measurement % 2, 1, -1) * steps).astype(np.float32))
    model = cg.GRUForecaster(network=cg.NetworkConfig(hidden_size=8, readout_size=16), max_epochs=8).fit(
        learn, verbose=False
    )
    said = model.expected(test).dropna(subset="last")
    assert (said["median"] - said["last"]).abs().mean() > 1
    model.network_ = model._trained(model.network_, away)
    kept = model.expected(test).dropna(subset="last")
    np.testing.assert_allclose(kept["median"], kept["last"], atol=1e-3)


@pytest.mark.slow
def test_a_value_beyond_all_that_training_saw_is_left_as_far_as_the_outermost_one():
    learn, test = cg.split_patients(rates(), [0.7, 0.3], random_state=0)
    model = cg.GRUForecaster(network=cg.NetworkConfig(hidden_size=8, readout_size=16), max_epochs=4).fit(
        learn, verbose=False
    )
    highest = float(learn.value.max())
    at, above = (replace(test, value=np.full_like(test.value, highest + more)) for more in (0, 100))
    for answer in (model.expected, model.predict):
        one, other = (answer(stays)[["median", "low", "high"]].dropna() for stays in (at, above))
        np.testing.assert_allclose(other, one + 100, atol=1e-3)
        assert (one["median"] < highest).mean() > 0.9  # it is to fall


def test_a_forecaster_starts_from_the_last_value():
    stays = rates(stays=20)
    model = cg.GRUForecaster(network=cg.NetworkConfig(hidden_size=8, readout_size=16))
    network, head = model.init_network(stays)
    network.eval()
    change, spread = head.predict(head.aggregate_members(network(network.make_batch(stays, per_step=True)))).unbind(1)
    assert change.abs().max() == 0
    known, scale = measured(stays).dropna(subset="last"), head.scaler
    value, last = (scale(torch.tensor(known[[name]].to_numpy(), dtype=torch.float32)) for name in ("value", "last"))
    assert spread.mean().item() == pytest.approx((value - last).abs().mean().item(), rel=1e-4)


@pytest.mark.slow
def test_of_what_is_hardly_measured_again_the_last_value_is_expected():
    """A second variable, measured in each stay at the start and once more: not enough to learn from."""
    stays = rates(stays=60)
    ph = cg.Dictionary.load()["ph"]
    begins, extra = stays.starts[:-1], len(stays)
    two = replace(stays, variables=(*stays.variables, ph))
    at = np.sort(np.concatenate([begins, begins + 9]))
    value = np.where(np.arange(2 * extra) % 2, 7.2, 7.4).astype(np.float32)
    facts = {
        "hours": stays.hours[at],
        "availability_lag": stays.availability_lag[at],
        "variable": np.ones(2 * extra),
        "value": value,
    }
    together = {name: np.insert(getattr(two, name), at + 1, given) for name, given in facts.items()}
    two = replace(two, starts=stays.starts + 2 * np.arange(extra + 1), **together)
    model = cg.GRUForecaster(network=cg.NetworkConfig(hidden_size=8, readout_size=16), max_epochs=8).fit(
        two, verbose=False
    )
    found = model.expected(two).dropna(subset="last")
    rare = found[found["variable"] == "ph"]
    assert len(rare) == extra
    np.testing.assert_allclose(rare["median"], rare["last"], atol=1e-3)
    often = found[found["variable"] == "heart_rate"]
    assert (often["median"] - often["last"]).abs().mean() > 1
