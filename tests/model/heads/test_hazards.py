"""Hazards by hour of early warnings: laws of survival, the likelihood by hand, and the estimator."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from family import SMALL, fitted_case

import clinicalgru as cg
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.heads.hazards import hazard_rates, mean_survival_logits, onset_log_odds

HEAD = EarlyWarning(2.0, 6.0, 3.0).with_hazards(0.0)


def risk_of(head, logits):
    return head.predict(head.aggregate_members(logits))


@pytest.mark.parametrize("priority_rate", [0.0, 0.3])
def test_without_any_hazard_all_survive_and_with_a_certain_one_none_does(priority_rate):
    head = replace(HEAD, priority_rate=priority_rate)
    assert risk_of(head, torch.full((3, 4, 6), -1e4)).max().item() < 1e-10
    logits = torch.full((3, 4, 6), -1e4)
    logits[..., 0] = 1e4
    assert risk_of(head, logits).min().item() > 1 - 1e-10
    logits = logits.flip(2)  # certain, but in the last hour only
    assert risk_of(head, logits).numpy() == pytest.approx(math.exp(-priority_rate * 5), abs=1e-9)


def test_the_risk_is_one_minus_the_product_of_what_is_survived_and_falls_with_the_priority():
    logits = torch.randn(1, 50, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    hazard = torch.sigmoid(logits[0]).numpy()
    survived = np.cumprod(1 - hazard, axis=1)
    np.testing.assert_allclose(risk_of(HEAD, logits).numpy(), 1 - survived[:, -1], atol=1e-10)
    occurs = hazard * np.column_stack([np.ones(50), survived[:, :-1]])
    weighted = occurs @ np.exp(-0.3 * np.arange(6))
    np.testing.assert_allclose(risk_of(replace(HEAD, priority_rate=0.3), logits).numpy(), weighted, atol=1e-10)
    np.testing.assert_allclose(torch.sigmoid(HEAD.risk_logits(logits)[0, :, 0]).numpy(), 1 - survived[:, -1])


@pytest.mark.slow
def test_one_hazard_is_the_risk_itself():
    one, plain = EarlyWarning(0.0, 1.0, 0.0).with_hazards(0.0), EarlyWarning(0.0, 1.0, 0.0)
    assert one.n_outputs == 1
    logits, hours = torch.randn(2, 5, 1, dtype=torch.float64), np.array([0.5, 1.0, 1.5, np.inf, 0.2])
    labels = torch.stack([torch.from_numpy(f(hours)) for f in (one.signed_weights_at, one.intervals_at)], dim=1)
    torch.testing.assert_close(one.loss(logits, labels), plain.loss(logits, labels[:, 0]))
    torch.testing.assert_close(risk_of(one, logits), risk_of(plain, logits))


def test_an_onset_lies_in_the_interval_that_it_ends():
    hours = np.array([2.1, 3.0, 3.1, 8.0, 8.1, np.inf, 0.0, -2.9])
    np.testing.assert_array_equal(HEAD.intervals_at(hours), [0, 0, 1, 5, 6, 6, 0, 0])


def test_the_loss_is_the_likelihood_by_hand_and_steps_that_do_not_count_have_none():
    logits = torch.randn(2, 4, 6, dtype=torch.float64)
    hours = np.array([3.5, np.inf, 1.0, 8.0])  # in interval 1, in none, does not count, in interval 5
    hazard = torch.sigmoid(logits)
    survived = (1 - hazard).cumprod(dim=2)
    expected = -(hazard[:, 0, 1] * survived[:, 0, 0]).log() - survived[:, 1, 5].log()
    expected = expected - (hazard[:, 3, 5] * survived[:, 3, 4]).log()
    labels = torch.stack([torch.from_numpy(f(hours)) for f in (HEAD.signed_weights_at, HEAD.intervals_at)], dim=1)
    torch.testing.assert_close(HEAD.loss(logits, labels), expected.sum() / 6)
    assert HEAD.loss_denominator(labels) == 3


def test_constant_hazards_of_a_life_table_have_the_lowest_loss_of_all_constants():
    rng = np.random.default_rng(0)
    interval, weight = rng.integers(0, 4, 4000), rng.random(4000) + 0.5
    logits = torch.logit(torch.from_numpy(hazard_rates(interval, weight, 3))).clone().requires_grad_()
    labels = torch.from_numpy(np.stack([np.where(interval < 3, weight, -weight), interval], axis=1))
    EarlyWarning(0.0, 3.0, 0.0).with_hazards(0.0).loss(logits.expand(1, 4000, 3), labels).backward()
    assert logits.grad.abs().max().item() < 1e-3


def test_members_are_averaged_by_their_survival_and_gradients_are_finite():
    logits = torch.tensor([[[40.0, -40.0]], [[-40.0, -40.0]]], dtype=torch.float64, requires_grad=True)
    assert torch.sigmoid(onset_log_odds(mean_survival_logits(logits)[0], torch.ones(2))).item() == pytest.approx(0.5)
    onset_log_odds(logits[0], torch.tensor([1.0, 0.5])).sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.fixture(scope="module")
def model():
    train = fitted_case("early_warning").train
    options = SMALL | {"max_epochs": 2, "hazards": True, "alarm_priority": 0.1, "min_validation_events": 0}
    return cg.GRUEarlyWarning(**options).fit(train, verbose=False)


@pytest.mark.slow
def test_a_risk_from_hazards_uses_nothing_later_and_is_explained(model):
    test = fitted_case("early_warning").test
    cut = test.truncate_at(test.task.window_hours[0] + 10.0)
    whole, early = model.predict_proba(test)[:, 1], model.predict_proba(cut)[:, 1]
    stay = np.repeat(np.arange(len(test)), test.n_steps)
    number = np.arange(len(stay)) - (np.cumsum(test.n_steps) - test.n_steps)[stay]
    np.testing.assert_allclose(whole[number < cut.n_steps[stay]], early, atol=1e-6)
    assert model.head_.n_outputs == math.ceil(test.task.horizon_hours)
    explanation = cg.explain(model, test[[0]])
    assert explanation.risk == pytest.approx(whole[stay == 0][-1], abs=1e-5)


def test_hazards_are_saved(model, tmp_path):
    test = fitted_case("early_warning").test
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    assert loaded.head_ == model.head_
    np.testing.assert_allclose(loaded.predict_proba(test), model.predict_proba(test), atol=1e-7)


def test_options_that_exclude_each_other_are_refused():
    train = fitted_case("early_warning").train
    with pytest.raises(cg.ClinicalGRUError, match="label_smoothing=0 with hazards"):
        cg.GRUEarlyWarning(hazards=True, label_smoothing=0.2).fit(train, verbose=False)
    with pytest.raises(cg.ClinicalGRUError, match="hazards=True with alarm_priority"):
        cg.GRUEarlyWarning(alarm_priority=0.2).fit(train, verbose=False)


def test_bundles_of_one_risk_hold_nothing_of_hazards():
    head = EarlyWarning(0.0, 6.0, 0.0)
    assert not {"n_hazards", "priority_rate"} & set(head.to_dict())
    assert EarlyWarning.from_dict(head.to_dict(), None) == head
    assert EarlyWarning.from_dict(HEAD.to_dict(), None) == HEAD
