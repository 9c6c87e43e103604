"""Search over arguments, the sweep of learning rates, and losses that are no number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone

import clinicalgru as cg
from clinicalgru.model.training import training
from clinicalgru.model.training.inference import mean_loss
from clinicalgru.model.training.lr_finder import find_learning_rate
from clinicalgru.model.training.nonfinite_loss import NonFiniteLoss

SMALL = {
    "network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2),
    "max_epochs": 3,
    "distillation": 0.0,
}


@pytest.mark.slow
def test_a_sweep_of_learning_rates_suggests_one_and_leaves_the_estimator_alone(parts):
    estimator = cg.GRUClassifier(**SMALL)
    before = dict(vars(estimator))
    sweep = find_learning_rate(estimator, parts[0], n_steps=40)
    assert vars(estimator) == before
    assert sweep.table["learning_rate"].is_monotonic_increasing
    assert 1e-5 / 10 <= sweep.suggestion < 0.1
    again = find_learning_rate(estimator, parts[0], n_steps=40)
    np.testing.assert_array_equal(again.table, sweep.table)


@pytest.mark.slow
def test_a_search_finds_the_arguments_that_learn(parts):
    """Of two rates one is far too small: the search must choose the other, and tell what it tried."""
    pytest.importorskip("optuna")
    space = {"learning_rate": [1e-7, 5e-3], "network__ensemble_size": (1, 2)}
    found = cg.tune(cg.GRUClassifier(**SMALL), *parts[:2], space=space, n_trials=5, random_state=1)
    assert found.estimator.get_params()["learning_rate"] == 5e-3
    assert len(found.trials) == 5
    assert {"learning_rate", "network__ensemble_size", "val_loss", "n_epochs", "pruned"} == set(found.trials.columns)
    assert -found.best_score_ == found.trials.loc[~found.trials["pruned"], "val_loss"].min()
    best = clone(found.estimator).fit(parts[0], validation=parts[1], verbose=False)
    assert min(entry["val_loss"] for entry in best.history_) == pytest.approx(-found.best_score_)


def test_arguments_that_do_not_exist_are_refused(parts):
    with pytest.raises(cg.ClinicalGRUError, match=r"parameters among .*; got \['depth'\]"):
        cg.tune(cg.GRUClassifier(**SMALL), *parts[:2], space={"depth": (1, 2)})
    with pytest.raises(cg.ClinicalGRUError, match="0 < low < high"):
        find_learning_rate(cg.GRUClassifier(**SMALL), parts[0], low=2.0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_value_that_is_no_number_stops_training_and_names_its_variable(parts, wrong):
    train, tune = parts[:2]
    name = train.variables[5].name
    broken = replace(train, value=np.where(train.variable == 5, wrong, train.value).astype(np.float32))
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(NonFiniteLoss, match=f"an infinite loss, or NaN, from {name}, in epoch 1"),
    ):
        cg.GRUClassifier(**SMALL).fit(broken, validation=tune, verbose=False)


def test_steps_that_are_too_large_stop_training_and_say_so(parts):
    with pytest.raises(NonFiniteLoss, match="Lower learning_rate"):
        cg.GRUClassifier(**SMALL | {"learning_rate": 1e30}).fit(parts[0], validation=parts[1], verbose=False)


@pytest.mark.slow
def test_the_last_good_weights_are_kept(parts, monkeypatch):
    """In the third epoch the loss breaks: what stays is what two epochs alone give."""
    loss = training._loss
    train, tune, _, test = parts
    batches, seen = -(-len(train) // 64), [0]

    def breaks(*given, **named):
        seen[0] += 1
        return loss(*given, **named) * (float("nan") if seen[0] > 2 * batches else 1.0)

    monkeypatch.setattr(training, "_loss", breaks)
    with pytest.warns(UserWarning, match="Stopped in epoch 3"):
        stopped = cg.GRUClassifier(**SMALL, n_cuts=0, batch_size=64).fit(train, validation=tune, verbose=False)
    assert len(stopped.history_) == 2
    assert np.isfinite(stopped.predict_proba(test)).all()
    assert mean_loss(stopped.network_, tune, head=stopped.head_) == pytest.approx(
        min(entry["val_loss"] for entry in stopped.history_), abs=1e-7
    )
