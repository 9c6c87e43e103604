"""Two risks on the same stays: DeLong against its definition, bootstrap next to it, models as risks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.delong import delong


def two(n, random_state=0, *, step=None):
    rng = np.random.default_rng(random_state)
    score = rng.normal(-1, 1.2, n)
    outcome = (rng.random(n) < 1 / (1 + np.exp(-score))).astype(float)
    risks = [1 / (1 + np.exp(-(score + rng.normal(0, noise, n)))) for noise in (0.4, 1.5)]
    return outcome, *(np.round(risk, step) if step else risk for risk in risks)


def by_definition(outcome, first, second):
    """DeLong et al. 1988, equations 2 to 5, with every pair of stays."""

    def kernel(risk):
        above, below = risk[outcome == 1][:, None], risk[outcome == 0]
        return (above > below) + 0.5 * (above == below)

    kernels = [kernel(risk) for risk in (first, second)]
    events, others = (np.stack([one.mean(axis=axis) for one in kernels]) for axis in (1, 0))
    covariance = np.cov(events) / events.shape[1] + np.cov(others) / others.shape[1]
    return [one.mean() for one in kernels], np.sqrt(np.array([1, -1]) @ covariance @ np.array([1, -1]))


@pytest.mark.parametrize(("n", "step"), [(60, None), (300, 1), (300, None)])
def test_delong_is_what_its_definition_says_with_ties_too(n, step):
    outcome, first, second = two(n, n, step=step)
    areas, error = by_definition(outcome, first, second)
    result = delong(outcome, first, second)
    assert (result.first, result.second) == pytest.approx(areas)
    assert result.error == pytest.approx(error)
    assert result.first == pytest.approx(roc_auc_score(outcome, first))


def test_a_stay_that_stands_there_twice_adds_nothing_where_its_patient_is_known():
    outcome, first, second = two(400)
    once = delong(outcome, first, second)
    copies = [np.repeat(array, 2) for array in (outcome, first, second)]
    twice = delong(*copies, np.repeat(np.arange(400), 2))
    assert twice.error == pytest.approx(once.error, rel=0.01)
    assert delong(*copies).error == pytest.approx(once.error / np.sqrt(2), rel=0.01)


def test_a_risk_does_not_differ_from_itself():
    outcome, first, _ = two(200)
    assert (delong(outcome, first, first).difference, delong(outcome, first, first).p) == (0, 1)


def test_delong_and_the_bootstrap_agree():
    outcome, first, second = two(1200)
    table = cg.compare(first, second, outcome, n_resamples=600).table.query("metric == 'auroc'").set_index("method")
    assert list(table.index) == ["bootstrap", "DeLong"]
    np.testing.assert_allclose(*table[["low", "high"]].to_numpy(), atol=0.006)
    assert set(table["verdict"]) == {"first better"}


@pytest.mark.slow
def test_delong_calls_equal_models_different_in_five_percent():
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(1000):
        score = rng.normal(-1.5, 1.2, 300)
        outcome = (rng.random(300) < 1 / (1 + np.exp(-score))).astype(float)
        wrong += delong(outcome, *(score + rng.normal(0, 0.6, (2, 300)))).p < 0.05
    assert wrong / 1000 == pytest.approx(0.05, abs=0.02)


def test_of_few_events_nothing_is_said():
    outcome, first, second = np.arange(300) < 12, *np.random.default_rng(0).random((2, 300))
    table = cg.compare(first, second, outcome, n_resamples=50).table
    assert table[["low", "high", "p"]].isna().all(axis=None)
    assert set(table["verdict"]) == {"too few events (12)"}


def test_models_are_compared_on_stays_with_their_patients():
    stays = cg.select(cg.read_events(cg.simulate(400, random_state=2)), cg.Task.load("in_hospital_mortality"))
    train, test = cg.split_patients(stays, [0.5, 0.5], random_state=0)
    model = cg.SummaryBaseline("logistic regression").fit(train)
    constant = np.full(len(test), 0.1)
    comparison = cg.compare(model, constant, test, names=("logistic", "constant"), n_resamples=50)
    areas = comparison.table.set_index("method").loc["DeLong"]
    assert areas["first"] == pytest.approx(roc_auc_score(test.outcome, model.predict_proba(test)[:, 1]))
    assert areas["second"] == 0.5
    assert "logistic minus constant" in str(comparison)
    with pytest.raises(cg.ClinicalGRUError, match="stays as Sequences"):
        cg.compare(model, constant, test.outcome)
    with pytest.raises(cg.ClinicalGRUError, match="two different names"):
        cg.compare(constant, constant, test, names=("a", "a"))


def test_risks_with_another_index_are_not_paired_by_position():
    risk, outcome = pd.Series(np.linspace(0, 1, 60)), pd.Series(np.repeat([0.0, 1.0], 30))
    with pytest.raises(ArgumentError, match="index"):
        cg.compare(risk, risk.sort_index(ascending=False), outcome)
