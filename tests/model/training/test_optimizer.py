"""Optimiser: which parameters decay, how the learning rate runs, and how weights are averaged."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.adamw import AdamW
from clinicalgru.model.training.optimizer import clip_gradients, ema_update, make_optimizer, set_learning_rate
from clinicalgru.model.training.state import TrainingConfig


@pytest.fixture(scope="module")
def network():
    return ClinicalGRU(
        NetworkSpec(variables=3, static_variables=(0, 2), hidden_size=4, readout_size=4, layer_norm=True)
    )


def groups_by_name(network, config):
    optimizer = make_optimizer(network, config)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(one)]: group for group in optimizer.param_groups for one in group["params"]}


def test_every_parameter_is_in_one_group(network):
    groups = groups_by_name(network, TrainingConfig())
    assert set(groups) == {name for name, _ in network.named_parameters()}
    optimizer = make_optimizer(network, TrainingConfig())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(groups)


def test_biases_of_one_axis_do_not_decay_and_the_output_bias_of_the_members_does(network):
    groups = groups_by_name(network, TrainingConfig(weight_decay=0.25))
    decay = {name: group["weight_decay"] for name, group in groups.items()}
    for name, parameter in network.named_parameters():
        assert decay[name] == (0.25 if parameter.ndim >= 2 else 0.0), name
    for name in ("encoder.forward_layers.0.project.bias", "encoder.norms.0.weight", "attention.rate"):
        assert decay[name] == 0.0
    for name in ("encoder.forward_layers.0.recurrent.weight", "readout.bias", "embedding.unknown"):
        assert decay[name] == 0.25


def test_a_bias_stays_where_it_is_without_a_gradient_and_a_weight_shrinks(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    config = TrainingConfig(learning_rate=0.1, weight_decay=0.5)
    make_optimizer(network, config).step()
    layer = network.encoder.forward_layers[0].project
    assert (layer.bias == 1).all()
    assert layer.weight.max().item() == pytest.approx(1 - 0.1 * 0.5)
    assert network.readout.bias.max().item() == pytest.approx(1 - 0.1 * 0.5)


def test_embeddings_of_numbers_have_ten_times_the_learning_rate(network):
    optimizer = make_optimizer(network, TrainingConfig())
    set_learning_rate(optimizer, TrainingConfig(), 0.5)
    rates = {name: group["lr"] for name, group in groups_by_name(network, TrainingConfig()).items()}
    assert set(rates) == {name for name, _ in network.named_parameters()}
    by_factor = {group["lr_factor"]: group["lr"] for group in optimizer.param_groups}
    assert by_factor[10.0] == pytest.approx(10 * by_factor[1.0])


@pytest.mark.slow
def test_the_learning_rate_rises_over_the_warm_up_and_falls_to_a_hundredth():
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr_factor": 1.0}], lr=1.0)
    config = TrainingConfig(learning_rate=0.2, warmup_fraction=0.1)
    rates = []
    for progress in (0.0, 0.05, 0.1, 0.55, 1.0):
        set_learning_rate(optimizer, config, progress)
        rates.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, [0.0, 0.1, 0.2, 0.2 * 0.505, 0.002], atol=1e-12)
    set_learning_rate(optimizer, TrainingConfig(learning_rate=0.2, warmup_fraction=0.0), 0.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("n_updates", "weight_of_mean"), [(0, 0.1), (1, 2 / 11), (10, 0.55), (889, 890 / 899), (890, 0.99), (10_000, 0.99)]
)
def test_the_average_of_weights_warms_up_by_its_number_of_updates(n_updates, weight_of_mean):
    mean, current = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    updated = ema_update(mean, current, torch.tensor(n_updates), decay=0.99)
    assert updated.item() == pytest.approx(min(weight_of_mean, 0.99), abs=1e-12)


def test_gradients_that_are_not_finite_are_left_alone_and_large_ones_are_scaled():
    layer = nn.Linear(2, 2)
    layer.weight.grad, layer.bias.grad = torch.full((2, 2), 3.0), torch.full((2,), 4.0)
    assert clip_gradients(layer, 1.0)
    norm = torch.cat([layer.weight.grad.flatten(), layer.bias.grad]).norm().item()
    assert norm == pytest.approx(1.0, abs=1e-5)
    layer.bias.grad = torch.tensor([1.0, torch.nan])
    assert not clip_gradients(layer, 1.0)


def test_the_optimiser_computes_the_bits_of_torchs_and_goes_on_from_its_moments():
    weights = [torch.randn(3, 2, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    pairs = [[nn.Parameter(weight.clone()) for weight in weights] for _ in range(2)]
    groups = [
        [{"params": ours[:1], "weight_decay": 0.1}, {"params": ours[1:], "weight_decay": 0.0, "lr": 0.3}]
        for ours in pairs
    ]
    theirs, own = torch.optim.AdamW(groups[0], lr=0.05, fused=True), AdamW(groups[1], lr=0.05)
    for step in range(4):
        if step == 2:
            moments = own.state_dict()
            own = AdamW(groups[1], lr=0.05)
            own.load_state_dict(moments)
        for one, other in zip(*pairs, strict=True):
            one.grad = torch.randn(3, 2, generator=torch.Generator().manual_seed(step))
            other.grad = one.grad.clone()
        theirs.step()
        own.step()
        assert all(torch.equal(one, other) for one, other in zip(*pairs, strict=True))


@pytest.mark.slow
def test_training_does_not_load_the_compiler_of_torch():
    code = """
import sys
from clinicalgru import GRUClassifier, NetworkConfig, Task, read_events, select, simulate, split_patients
stays = select(read_events(simulate(100, random_state=1)), Task.load("in_hospital_mortality"))
train, validation = split_patients(stays, [0.8, 0.2], random_state=0)
model = GRUClassifier(NetworkConfig(hidden_size=8, ensemble_size=1), max_epochs=1, distillation=0.0)
model.fit(train, validation=validation, verbose=False)
assert not {"torch._dynamo", "sympy"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
