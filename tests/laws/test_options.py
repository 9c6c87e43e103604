"""Laws 1, 2, 6, 8, 9, 12, 13 and 14 over every option of the network, on small models of one epoch."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import fact, stays_of
from sklearn.base import clone

import clinicalgru as cg
from clinicalgru.model.heads.classification import Binary
from clinicalgru.model.network.layers import Decay
from clinicalgru.model.training.inference import predict


@pytest.fixture(scope="module")
def few(test_stays):
    """Twelve stays, some of them cut short."""
    stays = test_stays[np.argsort(test_stays.n_steps)[:12]]
    return stays.filter_measurements((stays.stay_of_measurement % 3 > 0) | (stays.hours < 9))


def risk(model, stays):
    return model.predict_proba(stays)[:, 1]


def test_1_neighbours_order_and_size_of_the_batch_do_not_matter(model, few):
    together = risk(model, few)
    alone = np.concatenate([risk(model, few[[i]]) for i in range(len(few))])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    np.testing.assert_allclose(risk(model, few[::-1]), together[::-1], atol=1e-6)
    assert together.std() > 1e-5


def test_2_attention_sums_to_one_over_the_hours_of_the_stay(model, few):
    network = model.network_.eval()
    batch = network.make_batch(few)
    with torch.no_grad():
        seen = network.logits(network.scaler(batch), batch)[1]
    torch.testing.assert_close(seen.weight.sum(dim=2), torch.ones(len(few), 1))
    assert bool((seen.weight[:, 0][seen.hours.isnan()] == 0).all())
    last = np.array([few[[i]].hours.max() for i in batch.order], dtype=np.float32)
    if not network.spec.code_vocabulary:
        np.testing.assert_array_equal(np.nanmax(seen.hours.numpy(), axis=1), last)


def test_6_the_prediction_after_each_step_is_that_of_a_stay_which_ended_there(model, few):
    network = model.network_
    if not network.spec.is_causal:
        pytest.skip("refused for a prediction after each step")
    stays = few[:4]
    each = SimpleNamespace(
        n_outputs=1, aggregate_members=Binary().aggregate_members, predict=Binary().predict, per_step=True
    )
    ended = [stays[[i]].prefixes(np.unique(stays[[i]].hours)) for i in range(len(stays))]
    prefixes = torch.cat([predict(network, prefix, head=Binary()) for prefix in ended])
    torch.testing.assert_close(predict(network, stays, head=each), prefixes, atol=1e-6, rtol=0)


def test_8_every_decay_lies_above_zero_and_up_to_one_and_never_grows_with_the_gap(model):
    gaps = torch.cat([torch.zeros(1), torch.logspace(-4, 7, 50)])[:, None]
    learned = [module for module in model.network_.modules() if isinstance(module, Decay)]
    assert len(learned) >= 2
    for decay in learned:
        inputs = len(decay.raw) if decay.diagonal else decay.raw.shape[1]
        with torch.no_grad():
            kept = decay(gaps.expand(-1, inputs))
        assert bool(((kept > 0) & (kept <= 1)).all())
        assert bool((kept.diff(dim=0) <= 0).all())


def test_9_extreme_stays_have_finite_risks(model, few):
    odd = {
        0: [fact(0, 10.0, 80)],
        1: [fact(0, h, 80 + h % 7) for h in np.linspace(0, 48, 500)],
        2: [fact(0, 0.0, 80), fact(0, 1 / 3600, 90), fact(0, 50 * 8766.0, 85)],
        3: [fact(0, 10.0, 3e8)],
    }
    stays = stays_of(few[:4].filter_measurements(np.zeros(few[:4].n_measurements.sum(), bool)), odd)
    assert np.isfinite(risk(model, stays)).all()


def test_12_predicting_leaves_every_number_of_the_model_as_it_was(model, few):
    before = {name: tensor.clone() for name, tensor in model.network_.state_dict().items()}
    risk(model, few)
    for name, tensor in model.network_.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_13_a_model_saved_and_loaded_gives_equal_risks(model, few, tmp_path):
    again = cg.load(cg.save(model, tmp_path / "bundle"))
    assert again.network_.spec == model.network_.spec
    np.testing.assert_array_equal(risk(again, few), risk(model, few))


def test_14_the_same_seed_gives_the_same_bits(model, parts, few):
    torch.rand(3)
    again = clone(model).fit(parts[0][:60], validation=parts[1], verbose=False)
    np.testing.assert_array_equal(risk(again, few), risk(model, few))


@pytest.mark.parametrize("options", [{"bidirectional": True, "cell": "no"}, {"feedback_delay_hours": -2.0}], ids=str)
def test_impossible_combinations_are_refused_before_training(parts, options):
    with pytest.raises(cg.ClinicalGRUError, match="Expected"):
        cg.GRUClassifier(cg.NetworkConfig(**options)).fit(parts[0], validation=parts[1], verbose=False)
