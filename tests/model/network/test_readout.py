"""The readout: faster paths while training with the same results, and halves that share no weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

import clinicalgru as cg
from clinicalgru.model.network.embeddings import NumberEmbedding
from clinicalgru.model.network.readout import BatchEnsembleMLP
from clinicalgru.model.training.optimizer import make_optimizer
from clinicalgru.model.training.state import TrainingConfig, TrainingState
from clinicalgru.model.training.training import validate_epoch
from clinicalgru.model.training.validation_loss import ValidationLoss


@pytest.mark.parametrize("visible", [None, torch.tensor([1.0, 0.0]).repeat(3, 1, 5)], ids=["all", "some inputs"])
def test_outputs_and_gradients_are_the_same_in_training_and_evaluation(visible):
    readout = BatchEnsembleMLP(10, hidden=6, members=3, outputs=2, dropout=0.0)
    inputs = torch.randn(7, 10, requires_grad=True)
    results = []
    for training in (True, False):
        outputs = readout.train(training)(inputs, visible)
        assert outputs.shape == (3, 7, 2)
        results.append([outputs, *torch.autograd.grad(outputs.square().sum(), [inputs, *readout.parameters()])])
    for trained, evaluated in zip(*results, strict=True):
        torch.testing.assert_close(trained, evaluated, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_halves_apart_learn_from_their_own_losses_only():
    stays = cg.select(cg.read_events(cg.simulate(40, random_state=1)), cg.Task.load("in_hospital_mortality"))
    config = cg.NetworkConfig(hidden_size=8, readout_size=8, readout_inputs="apart")
    network, _ = cg.GRUClassifier(config).init_network(stays)
    logits = network(network.make_batch(stays))
    parts = network.readout_parts()
    assert sum(len(logits[members]) for members in parts.values()) == len(logits) == 4
    for name, members in parts.items():
        network.zero_grad()
        logits[members].sum().backward(retain_graph=True)
        learning = {key for key, weight in network.named_parameters() if weight.grad is not None and weight.grad.any()}
        assert learning
        assert {network.part_of_weight(key) for key in learning} == {name}


@pytest.mark.slow
def test_each_half_keeps_the_weights_of_its_own_best_epoch():
    stays = cg.select(cg.read_events(cg.simulate(40, random_state=1)), cg.Task.load("in_hospital_mortality"))
    config = cg.NetworkConfig(hidden_size=4, readout_size=4, readout_inputs="apart")
    network, head = cg.GRUClassifier(config).init_network(stays)
    averaged = AveragedModel(network)
    settings = TrainingConfig()
    state = TrainingState(network, averaged, make_optimizer(network, settings), copy.deepcopy(network.state_dict()))

    class Scripted(ValidationLoss):
        def losses(self, _):
            return [[1.0, 1.0, 1.0], [0.9, 0.7, 1.1], [0.8, 0.9, 0.8], [0.9, 0.9, 0.9]][state.epoch]

    scripted = Scripted(stays, head=head, config=settings)
    seen = []
    for _ in range(4):
        with torch.no_grad():
            for weight in averaged.module.parameters():
                weight.add_(1.0)
        seen.append(copy.deepcopy(averaged.module.state_dict()))
        validate_epoch(state, 1.0, scripted)
    assert (state.best_epoch, state.last_improvement) == (3, 3)
    assert state.best_epochs == {"val_loss": 3, "val_loss_sequence": 2, "val_loss_summaries": 3}
    for name, weight in state.best_weights.items():
        assert torch.equal(weight, seen[{"sequence": 1, "summaries": 2}[network.part_of_weight(name)]][name])


def test_embeddings_have_the_same_bits_and_gradients_with_and_without_a_gradient_of_the_scores():
    embedding = NumberEmbedding(5).train()
    scores, mask = torch.randn(9, 5) * 2, (torch.rand(9, 5) > 0.3).float()
    results = []
    for one in (scores, scores.clone().requires_grad_()):
        made = embedding(one, mask)
        results.append([made, *torch.autograd.grad(made.square().sum(), list(embedding.parameters()))])
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)
