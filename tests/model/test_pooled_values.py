"""Nothing that a model stores is the value of a single patient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.model.baselines.forecast_baselines import BoostedTreesForecaster, LOCFForecaster
from clinicalgru.model.features.pooled_values import pooled_table, pooled_values, rounded_outward
from clinicalgru.serve.contents import description, model_arrays

SMALL = {"network": cg.NetworkConfig(hidden_size=4, readout_size=8, ensemble_size=1), "max_epochs": 1}
CANARIES = np.array([3.14159265, 251.37, 83.219, 41.73])


def drawn(rng):
    """Values of patients, some with many rows and with ties."""
    n_patients = int(rng.integers(5, 120))
    patient = rng.integers(n_patients, size=int(rng.integers(10, 900)))
    values = rng.lognormal(size=len(patient)) * (1 + 5 * (patient == 0))
    return np.round(values, int(rng.integers(0, 6))), patient


@pytest.mark.parametrize("random_state", range(25))
@pytest.mark.parametrize("equal", [False, True])
def test_each_group_is_of_eleven_patients_and_the_order_stays(random_state, equal):
    values, patient = drawn(np.random.default_rng(random_state))
    pooled = pooled_values(values, patient, equal=equal)
    if len(np.unique(patient)) < 11:
        assert np.isnan(pooled).all()
        return
    of_group = pd.Series(patient).groupby(pooled).nunique()
    assert of_group.min() >= 11
    order = np.argsort(values, kind="stable")
    assert (np.diff(pooled[order]) >= 0).all()
    assert pd.Series(pooled).groupby(values).nunique().max() == 1  # equal values stay equal
    assert values.min() <= pooled.min() <= pooled.max() <= values.max()


def test_a_patient_counts_once_in_the_mean_of_a_group():
    patient = np.concatenate([np.arange(11), np.zeros(1000, int)])
    values = np.concatenate([np.arange(11.0), np.zeros(1000)])
    np.testing.assert_allclose(pooled_values(values, patient), 5.0)


def test_with_many_patients_quantiles_hardly_move():
    values = np.random.default_rng(0).normal(size=20_000)
    ranks = np.arange(1, 64) / 64  # those of the knots
    pooled = pooled_values(values, np.arange(20_000))
    np.testing.assert_allclose(np.quantile(pooled, ranks), np.quantile(values, ranks), atol=0.03)


def test_columns_of_few_patients_are_left_out_of_a_table():
    table = np.full((40, 2), np.nan)
    table[:, 0], table[:10, 1] = np.arange(40), 1.0
    pooled = pooled_table(table, np.arange(40))
    assert not np.isnan(pooled[:, 0]).any()
    assert np.isnan(pooled[:, 1]).all()


@pytest.mark.parametrize(("low", "high"), [(0.3, 47.3), (-5.0, 5.0), (37.0, 37.0), (0.0, 1e9), (1e-4, 2e-4)])
def test_a_rounded_range_lies_outside(low, high):
    first, last = rounded_outward(low, high)
    assert first < low <= high < last
    assert last - first < 1.25 * (high - low) + 0.3 * max(1.0, abs(high)) * (high == low)


@pytest.fixture(scope="module")
def stays():
    """A cohort in which one patient has a value of a variable, the extremes of others, and an age of their own."""
    cohort = cg.simulate(90, random_state=4)
    rows = cohort.measurements.copy()
    stay = sorted(set(rows["stay_id"]))[5]
    row = rows[rows["stay_id"] == stay].iloc[0]
    new = [("albumin", "g/dL", CANARIES[0]), ("heart_rate", "/min", CANARIES[1]), ("map", "mm[Hg]", CANARIES[2])]
    more = pd.DataFrame([{**row, "variable": name, "unit": unit, "value": value} for name, unit, value in new])
    rows = pd.concat([rows[~((rows["stay_id"] == stay) & rows["variable"].isin(["heart_rate", "map"]))], more])
    events = cg.read_events(rows.reset_index(drop=True), stays=cohort.stays, outcomes=cohort.outcomes)
    return cg.select(events, cg.Task.load("in_hospital_mortality"))


MODELS = {
    "gru": lambda: cg.GRUClassifier(**SMALL, distillation=0.0),
    "trees": lambda: cg.SummaryBaseline("boosted trees"),
    "logistic": lambda: cg.SummaryBaseline("logistic regression"),
    "last value": LOCFForecaster,
    "tree forecast": BoostedTreesForecaster,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_no_bundle_holds_a_value_of_one_patient(stays, name):
    fit = {"verbose": False} if name == "gru" else {}
    if name == "tree forecast":  # fits trees for each variable
        few = ("albumin", "heart_rate", "lactate", "map")
        stays = stays.with_variables(tuple(variable for variable in stays.variables if variable.name in few))
    model = MODELS[name]().fit(stays, **fit)
    for array in model_arrays(model).values():
        if array.dtype.kind == "f":
            assert not (np.abs(array.ravel()[:, None] - CANARIES) < 1e-4).any()
    assert not any(str(canary)[:6] in str(description(model)) for canary in CANARIES)


def test_no_outcome_of_one_patient_is_an_edge_of_a_regression_or_of_a_survival_curve():
    from types import SimpleNamespace

    from clinicalgru.model.heads.regression import Regression
    from clinicalgru.model.targets.survival_intervals import SurvivalIntervals

    hours = np.random.default_rng(0).exponential(100, 300)
    task = SimpleNamespace(survival_horizons_hours=())
    regression = Regression.fit_targets(SimpleNamespace(outcome=hours, patient=np.arange(300), task=task))
    outcome = np.column_stack([hours, np.ones(300)])
    survival = SurvivalIntervals.from_stays(SimpleNamespace(outcome=outcome, patient=np.arange(300), task=task))
    stored = np.array([*regression.edges, *regression.means, *survival.cuts, *survival.horizons])
    assert not (np.abs(stored[:, None] - hours) < 1e-6).any()
