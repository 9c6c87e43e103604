"""Metrics of several classes, several outcomes, numbers and survival, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import metrics_of
from scipy.integrate import trapezoid
from sklearn import metrics

import clinicalgru as cg
from clinicalgru.evaluate import survival
from clinicalgru.evaluate.multi_metrics import (
    multiclass_predictions,
    multilabel_predictions,
    regression_predictions,
)
from clinicalgru.evaluate.survival import survival_predictions

CHANCE = np.random.default_rng(0)


def test_several_classes_are_evaluated_as_by_scikit_learn():
    outcome, shares = CHANCE.integers(0, 3, 200), CHANCE.dirichlet(np.ones(3), 200)
    ours = metrics_of(multiclass_predictions(outcome, shares, classes=[0, 1, 2]))["estimate"]
    assert ours["accuracy"] == metrics.accuracy_score(outcome, shares.argmax(axis=1))
    assert ours["log_loss"] == pytest.approx(metrics.log_loss(outcome, shares))
    assert ours["auroc_mean"] == pytest.approx(metrics.roc_auc_score(outcome, shares, multi_class="ovr"))


def test_several_outcomes_are_evaluated_where_they_are_known():
    outcome, risk = CHANCE.integers(0, 2, (150, 2)).astype(float), CHANCE.random((150, 2))
    outcome[::3, 1] = np.nan
    known = ~np.isnan(outcome[:, 1])
    ours = metrics_of(multilabel_predictions(outcome, risk, labels=["a", "b"]))["estimate"]
    each = [metrics.roc_auc_score(outcome[:, 0], risk[:, 0]), metrics.roc_auc_score(outcome[known, 1], risk[known, 1])]
    assert ours["auroc_b"] == pytest.approx(each[1])
    assert ours["auroc_mean"] == pytest.approx(np.mean(each))
    assert ours["auprc_b"] == pytest.approx(metrics.average_precision_score(outcome[known, 1], risk[known, 1]))


def test_a_number_is_evaluated_as_by_scikit_learn():
    outcome = CHANCE.normal(size=300)
    predicted = outcome + CHANCE.normal(size=300)
    interval = np.stack([predicted - 1, predicted + 1], axis=1)
    ours = metrics_of(regression_predictions(outcome, predicted, interval=interval))["estimate"]
    assert ours["mean_absolute_error"] == pytest.approx(metrics.mean_absolute_error(outcome, predicted))
    assert ours["root_mean_squared_error"] == pytest.approx(metrics.root_mean_squared_error(outcome, predicted))
    assert ours["r_squared"] == pytest.approx(metrics.r2_score(outcome, predicted))
    assert ours["coverage"] == np.mean(np.abs(outcome - predicted) <= 1)


def test_patients_are_drawn_whole():
    """With all stays of one patient there is nothing to draw: the interval is the estimate."""
    table = metrics_of(regression_predictions([1.0, 2, 3], [1.5, 2, 2]), patients=["a"] * 3)
    assert (table["low"] == table["high"]).all()


def test_survival_ranks_and_scores_what_was_simulated():
    pytest.importorskip("sksurv")
    rate = CHANCE.uniform(0.2, 2, 400)
    event, lost = CHANCE.exponential(100 / rate), CHANCE.exponential(200, 400)
    outcome = np.column_stack([np.minimum(event, lost), event <= lost])
    hours = np.array([20.0, 40.0, 80.0, 120.0])
    truth = np.exp(-rate[:, None] * hours / 100)
    blind = np.tile(truth.mean(axis=0), (400, 1))
    informed, uninformed = (
        metrics_of(survival_predictions(outcome, curves, hours=hours, train_outcome=outcome), n_resamples=3)["estimate"]
        for curves in (truth, blind)
    )
    assert informed["concordance"] > 0.6
    assert uninformed["concordance"] == pytest.approx(0.5)
    assert informed["integrated_brier"] < uninformed["integrated_brier"]
    with pytest.raises(cg.ClinicalGRUError, match="hours within the follow-up"):
        survival_predictions(outcome, truth, hours=hours * 100, train_outcome=outcome)


@pytest.mark.parametrize("at_once", [4_000_000, 1000])
def test_metrics_of_resamples_are_those_that_scikit_survival_gives_of_the_drawn_stays(monkeypatch, at_once):
    """With tied times and tied curves, events at the time of a censored stay, and stays drawn several times."""
    metrics = pytest.importorskip("sksurv.metrics")
    from sksurv.util import Surv

    monkeypatch.setattr(survival, "PAIRS_AT_ONCE", at_once)
    rng, n, hours = np.random.default_rng(5), 120, np.array([10.0, 20.0, 40.0])
    outcome = np.column_stack([rng.integers(1, 60, n), rng.random(n) < 0.6]).astype(float)
    train = np.column_stack([rng.integers(1, 61, 300), rng.random(300) < 0.6]).astype(float)
    train[0] = 61, 0
    curves = np.round(rng.random(n), 1)[:, None] ** (hours / 20)
    weights = np.stack([np.ones(n), *(np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(20))])
    found = survival_predictions(outcome, curves, hours=hours, train_outcome=train).metrics(weights)
    known = Surv.from_arrays(event=train[:, 1] == 1, time=train[:, 0])
    for row, weight in enumerate(weights):
        drawn = np.repeat(np.arange(n), weight.astype(int))
        test = Surv.from_arrays(event=outcome[drawn, 1] == 1, time=outcome[drawn, 0])
        area = trapezoid(curves[drawn], hours, axis=1)
        concordance = metrics.concordance_index_ipcw(known, test, -area, tau=hours[-1])[0]
        brier = metrics.brier_score(known, test, curves[drawn], hours)[1]
        integrated = metrics.integrated_brier_score(known, test, curves[drawn], hours)
        assert found["concordance"][row] == pytest.approx(concordance, abs=1e-12)
        assert found["integrated_brier"][row] == pytest.approx(integrated, abs=1e-12)
        assert [found[f"brier_{hour:g}h"][row] for hour in hours] == pytest.approx(brier.tolist(), abs=1e-12)
    few = np.stack([outcome[:, 0] > 10, outcome[:, 0] < 30, outcome[:, 1] == 0]).astype(float)  # not until all hours
    values = survival_predictions(outcome, curves, hours=hours, train_outcome=train).metrics(few)
    assert np.isnan(np.stack(list(values.values()))).all()


def test_who_is_followed_beyond_the_training_stays_is_evaluated_up_to_there():
    """scikit-survival has no chance of being followed so long, and would stop; what comes later changes nothing."""
    pytest.importorskip("sksurv")
    outcome = np.column_stack([np.arange(10.0, 60.0), np.tile([1.0, 0.0], 25)])
    later = np.where(outcome >= 50, outcome * [3.0, 1.0], outcome)
    hours = np.array([20.0, 40.0])
    curves = np.linspace(0.2, 0.9, 50)[:, None] ** np.array([1.0, 2.0])
    followed = np.column_stack([np.linspace(5, 50, 40), np.tile([1.0, 0.0], 20)])
    both = [
        metrics_of(survival_predictions(true, curves, hours=hours, train_outcome=followed), n_resamples=1)["estimate"]
        for true in (outcome, later)
    ]
    assert both[0].notna().all()
    assert both[0].to_dict() == both[1].to_dict()


def test_predictions_of_another_shape_are_refused():
    with pytest.raises(cg.ClinicalGRUError, match="finite predictions of shape"):
        multiclass_predictions([0, 1], np.ones((2, 3)), classes=[0, 1])
    with pytest.raises(cg.ClinicalGRUError, match="outcomes among the classes"):
        multiclass_predictions([0, 5], np.ones((2, 2)) / 2, classes=[0, 1])
