"""Laws of prediction: 1, 2, 7, 8, 9, 12, 14, 15."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import fact, stays_of
from sklearn.base import clone

import clinicalgru as cg
from clinicalgru.model.baselines.summary_baseline import BASELINES
from clinicalgru.model.heads.classification import Binary
from clinicalgru.model.network.layers import Decay
from clinicalgru.model.training.inference import predict


@pytest.fixture(scope="session", params=["GRU", *BASELINES])
def estimator(request, fitted, parts):
    return fitted if request.param == "GRU" else cg.SummaryBaseline(request.param).fit(parts[0])


def risk(model, stays):
    return model.predict_proba(stays)[:, 1]


def test_1_a_patient_is_not_changed_by_the_neighbours(estimator, test_stays):
    together = risk(estimator, test_stays)
    alone = np.concatenate([risk(estimator, test_stays[[i]]) for i in range(len(test_stays))])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_1_the_order_of_the_stays_does_not_matter(estimator, test_stays):
    order = np.random.default_rng(0).permutation(len(test_stays))
    np.testing.assert_allclose(risk(estimator, test_stays[order]), risk(estimator, test_stays)[order], atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_1_the_size_of_the_batch_does_not_matter(fitted, test_stays, size):
    whole = predict(fitted.network_, test_stays, head=Binary())
    parts = predict(fitted.network_, test_stays, head=Binary(), batch_size=size)
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=0)


def test_2_a_batch_has_no_padding_and_attention_sums_to_one(fitted, test_stays):
    batch = fitted.network_.make_batch(test_stays)
    assert len(batch.hours) == test_stays.n_steps.sum()
    with torch.no_grad():
        weight = fitted.network_.logits(fitted.network_.scaler(batch), batch)[1].weight
    _, valid = batch.padded_index()
    assert bool((weight[:, 0] > 0).eq(valid).all())
    torch.testing.assert_close(weight.sum(dim=2), torch.ones(len(test_stays), 1))


def test_6_the_prediction_after_each_step_is_that_of_a_stay_which_ended_there(fitted, test_stays):
    stays = test_stays[np.argsort(test_stays.n_steps)[:8]]
    same = {name: getattr(Binary(), name) for name in ("n_outputs", "aggregate_members", "predict")}
    each = SimpleNamespace(**same, per_step=True)
    by_step = predict(fitted.network_, stays, head=each)
    ended = [stays[[i]].prefixes(np.unique(stays[[i]].hours)) for i in range(len(stays))]
    prefixes = torch.cat([predict(fitted.network_, prefix, head=Binary()) for prefix in ended])
    torch.testing.assert_close(by_step, prefixes, atol=1e-6, rtol=0)


def test_7_measured_at_the_training_mean_is_not_the_same_as_not_measured(fitted, parts, test_stays):
    names = [variable.name for variable in test_stays.variables]
    lactate = names.index("lactate")
    mean = parts[0].value[parts[0].variable == lactate].mean()
    without = test_stays.filter_measurements(test_stays.variable != lactate)
    added = stays_of(without, {i: [fact(lactate, 40.0, mean)] for i in range(len(without))})
    assert (np.abs(risk(fitted, without) - risk(fitted, added)) > 1e-5).mean() > 0.9


def test_8_decay_lies_above_zero_and_up_to_one_and_never_grows_with_the_gap(fitted):
    gaps = torch.cat([torch.zeros(1), torch.logspace(-4, 7, 200)])[:, None]
    learned = [module for module in fitted.network_.modules() if isinstance(module, Decay)]
    assert len(learned) == 2
    for decay in (*learned, Decay(len(fitted.variables_), 5)):
        with torch.no_grad():
            kept = decay(gaps.expand(-1, len(fitted.variables_)))
        assert bool(((kept > 0) & (kept <= 1)).all())
        assert bool((kept.diff(dim=0) <= 0).all())


def test_9_extreme_stays_have_finite_risks(estimator, test_stays):
    heart, far = 0, 50 * 8766.0
    dense = [fact(heart, h, 80 + h % 7) for h in np.linspace(0, 48, 10_000)]
    odd = {
        0: [fact(heart, 10.0, 80)],  # one row
        1: dense,  # ten thousand rows
        2: [fact(heart, 0.0, 80), fact(heart, 1 / 3600, 90), fact(heart, far, 85)],  # from seconds to 50 years
        3: [fact(heart, 10.0, 3e8)],  # absurd, had the intake let it through
    }
    stays = stays_of(
        test_stays[[0, 1, 2, 3]].filter_measurements(np.zeros(test_stays[[0, 1, 2, 3]].n_measurements.sum(), bool)), odd
    )
    assert np.isfinite(risk(estimator, stays)).all()


@pytest.mark.slow
def test_9_a_variable_training_never_saw_changes_nothing_but_through_being_measured(parts):
    train, tune, _, test = parts
    ph = [variable.name for variable in train.variables].index("ph")
    network = cg.NetworkConfig(hidden_size=8, ensemble_size=2, readout_size=8)
    blind = cg.GRUClassifier(network=network, max_epochs=1, distillation=0.0)
    blind.fit(
        train.filter_measurements(train.variable != ph),
        validation=tune.filter_measurements(tune.variable != ph),
        verbose=False,
    )
    with_low, with_high = (
        stays_of(test.filter_measurements(test.variable != ph), {i: [fact(ph, 4.0, value)] for i in range(len(test))})
        for value in (6.8, 7.6)
    )
    np.testing.assert_allclose(risk(blind, with_low), risk(blind, with_high), atol=1e-7)


def test_9_a_stay_without_observation_gets_no_silent_number(fitted, test_stays):
    empty = test_stays.filter_measurements(test_stays.stay_of_measurement != 0)
    with pytest.raises(cg.ClinicalGRUError, match="1 stays without any"):
        fitted.predict_proba(empty)


def test_12_predicting_leaves_every_number_of_the_model_as_it_was(fitted, test_stays):
    before = {name: tensor.clone() for name, tensor in fitted.network_.state_dict().items()}
    fitted.predict_proba(test_stays)
    for name, tensor in fitted.network_.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.slow
def test_12_what_is_tuned_on_cannot_change_the_scale(fitted, parts):
    train, tune, _, _ = parts
    model = clone(fitted).set_params(max_epochs=1, distillation=0.0)
    model.fit(train, validation=tune[: len(tune) // 2], verbose=False)
    for scale in ("value", "summary", "static"):
        ours, theirs = getattr(model.network_.scaler, scale).knots, getattr(fitted.network_.scaler, scale).knots
        assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_14_the_same_seed_gives_the_same_bits_and_training_leaves_the_callers_chance_alone(fitted, parts):
    train, tune, calibrate, test = parts
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    again = clone(fitted).fit(train, validation=tune, verbose=False).calibrate(calibrate)
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_array_equal(again.predict_proba(test), fitted.predict_proba(test))


def test_15_calibration_keeps_the_order(fitted, test_stays):
    raw = predict(fitted.network_, test_stays, head=Binary()).numpy()
    assert (np.argsort(raw, kind="stable") == np.argsort(risk(fitted, test_stays), kind="stable")).all()


def test_15_a_perfect_forecast_and_a_constant_one():
    outcome = np.array([0, 1, 0, 1, 1])
    perfect = cg.evaluate(outcome, outcome, n_resamples=20).metrics.set_index("metric")["estimate"]
    constant = cg.evaluate(outcome, np.full(5, 0.5), n_resamples=20).metrics.set_index("metric")["estimate"]
    assert perfect["brier"] == 0
    assert constant["auroc"] == 0.5
