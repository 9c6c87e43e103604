"""The judge of forecasts: against plain loops, and against the last value carried forward."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from family import fitted_case
from helpers import metrics_of

import clinicalgru as cg
from clinicalgru.evaluate.forecast import forecast_predictions


def drawn(random_state=0, rows=400, stays=25):
    chance = np.random.default_rng(random_state)
    value, last = chance.normal(80, 10, rows), chance.normal(80, 10, rows)
    middle = (value + last) / 2 + chance.normal(0, 1, rows)
    return pd.DataFrame(
        {
            "stay": chance.integers(0, stays, rows),
            "variable": chance.choice(["heart_rate", "ph", "steady"], rows),
            "value": value,
            "last": np.where(chance.random(rows) < 0.1, np.nan, last),
            "median": np.where(chance.random(rows) < 0.1, np.nan, middle),
            "low": middle - 5,
            "high": middle + 5,
        }
    ).assign(value=lambda t: np.where(t["variable"] == "steady", 1.0, t["value"]))


def by_loop(table, coverage):
    """Each measurement in turn; a variable whose value never changes has no scale."""
    errors, naive, scores, inside = {}, {}, {}, {}
    for row in table.itertuples():
        if np.isnan(row.last) or np.isnan(row.median):
            continue
        beyond = max(row.low - row.value, row.value - row.high, 0.0)
        errors.setdefault(row.variable, []).append(abs(row.value - row.median))
        naive.setdefault(row.variable, []).append(abs(row.value - row.last))
        scores.setdefault(row.variable, []).append(row.high - row.low + 2 / (1 - coverage) * beyond)
        inside.setdefault(row.variable, []).append(beyond == 0)
    scaled = [np.mean(errors[name]) / np.mean(naive[name]) for name in errors if np.mean(naive[name]) > 0]
    score = [np.mean(scores[name]) / np.mean(naive[name]) for name in errors if np.mean(naive[name]) > 0]
    each = {f"mean_absolute_error_{name}": np.mean(errors[name]) for name in sorted(errors)}
    each |= {f"coverage_{name}": np.mean(inside[name]) for name in inside}
    held = np.mean([one for its in inside.values() for one in its])
    return {"scaled_error": np.mean(scaled), "interval_score": np.mean(score), "coverage": held} | each


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_figures_are_those_of_a_plain_loop(coverage):
    table = drawn()
    table.loc[table["variable"] == "steady", "last"] = 1.0
    found = metrics_of(forecast_predictions(table, coverage=coverage, min_cell_size=0))["estimate"]
    assert found.to_dict() == pytest.approx(by_loop(table, coverage))


def test_a_stay_that_weighs_three_counts_as_three():
    table = drawn(random_state=1)
    metrics = forecast_predictions(table, n_stays=25, min_cell_size=0).metrics
    weights = np.ones((1, 25))
    weights[0, 7] = 3
    often = pd.concat([table, *[table[table["stay"] == 7]] * 2])
    assert {name: one[0] for name, one in metrics(weights).items()} == pytest.approx(by_loop(often, 0.9))


def test_the_last_value_is_as_good_as_itself_and_the_truth_is_perfect():
    table = drawn(random_state=2).dropna()
    same = metrics_of(forecast_predictions(table.assign(median=table["last"]), min_cell_size=0), n_resamples=20)
    assert same.loc["scaled_error", ["estimate", "low", "high"]].tolist() == pytest.approx([1, 1, 1])
    perfect = metrics_of(forecast_predictions(table.assign(median=table["value"]), min_cell_size=0))
    assert perfect.loc["scaled_error", "estimate"] == 0


def test_a_variable_of_few_stays_is_not_told():
    table = drawn(random_state=3).dropna()
    table = table[(table["variable"] != "ph") | (table["stay"] < 10)]
    shown = metrics_of(forecast_predictions(table)).index
    assert "mean_absolute_error_heart_rate" in shown
    assert "mean_absolute_error_ph" not in shown
    assert "mean_absolute_error_ph" in metrics_of(forecast_predictions(table, min_cell_size=0)).index


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (drawn().drop(columns="last"), "no last"),
        (drawn().assign(last=np.nan), "0 of 400 measurements in enough stays"),
        (pd.DataFrame(), "no stay, variable, value, last, median"),
    ],
)
def test_what_cannot_be_judged_is_refused(table, message):
    with pytest.raises(cg.ClinicalGRUError, match=message):
        forecast_predictions(table)


@pytest.mark.slow
@pytest.mark.parametrize("coverage", [0.0, 1.0, 90])
def test_a_coverage_that_is_none_is_refused_by_all(coverage):
    case = fitted_case("forecast")
    calls = (case.model.expected, case.model.predict, case.model.calibrate)
    for call in (*calls, lambda stays, coverage: cg.explain_forecast(case.model, stays[[0]], coverage=coverage)):
        with pytest.raises(cg.ClinicalGRUError, match="coverage as a number above 0 and below 1"):
            call(case.test, coverage=coverage)
    with pytest.raises(cg.ClinicalGRUError, match="coverage as a number above 0 and below 1"):
        forecast_predictions(drawn(), coverage=coverage)
