"""Devices: names are checked, every tensor follows the network's device, and a CPU gives the same bits as before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_device import FakeCuda
from family import ESTIMATORS, SMALL, fitted_case

import clinicalgru as cg
from clinicalgru.model.training.device import placed, resolve_device
from clinicalgru.model.training.inference import predict

NO_CUDA = not torch.cuda.is_available()
CELLS = (
    {},
    {"cell": "lstm", "encoder": "per_variable", "attention": "multihead", "layer_norm": True, "n_layers": 2},
    {"cell": "rnn", "attention": None, "recurrent_dropout": 0.2},
    {"reset": "before", "gate": "time", "convolution": (2,)},
    {"feedback_delay_hours": 3.0, "bidirectional": True, "readout_inputs": "separate"},
)


@pytest.mark.skipif(not NO_CUDA, reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused_before_anything_is_computed():
    case = fitted_case("multiclass")
    with pytest.raises(cg.ClinicalGRUError, match="a cuda device"):
        cg.GRUClassifier(**SMALL, device="cuda").fit(case.train, verbose=False)
    with pytest.raises(cg.ClinicalGRUError, match="a cuda device"):
        cg.explain(case.model, case.test[:1], device="cuda")
    with pytest.raises(cg.ClinicalGRUError, match="a cuda device"):
        cg.score(case.model, case.events, device="cuda")
    assert resolve_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "CUDA", 0, None, "cuda:1"])
def test_other_names_are_refused(name):
    with pytest.raises(cg.ClinicalGRUError, match="device among"):
        resolve_device(name)


@pytest.mark.slow
def test_on_a_cpu_auto_gives_the_same_bits():
    case = fitted_case("multiclass")
    same = ESTIMATORS["multiclass"](**SMALL, random_state=1, device="cpu").fit(case.train, verbose=False)
    ours, theirs = same.network_.state_dict(), case.model.network_.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert placed(case.model.network_, torch.device("cpu")) is case.model.network_


@pytest.mark.slow
def test_a_bundle_names_no_device(tmp_path):
    case = fitted_case("multiclass")
    model = ESTIMATORS["multiclass"](**SMALL | {"max_epochs": 1}, device="cpu").fit(case.train, verbose=False)
    assert cg.load(cg.save(model, tmp_path / "bundle")).device == "auto"


@pytest.mark.parametrize("options", CELLS, ids=str)
def test_all_tensors_of_a_network_follow_its_device_forward_and_backward(options):
    """On a CUDA device that is not there; its numbers are those of the CPU."""
    case = fitted_case("multiclass")
    network = cg.NetworkConfig(**SMALL["network"].get_params(deep=False) | options)
    network, head = cg.GRUClassifier(**SMALL | {"network": network}).init_network(case.train)
    network.eval()
    stays = case.test[:12]
    batch = network.make_batch(stays)
    expected = network(batch).detach()
    with FakeCuda() as cuda:
        there = placed(network, torch.device("cuda"))
        outputs = there(batch)
        assert there.device.type == "cuda"
        assert outputs.device.type == "cpu"
        head.loss(outputs, head.labels(stays, batch)).backward()
        there.train()
        there(batch)
    assert cuda.n_operations > 20
    torch.testing.assert_close(outputs.detach(), expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(ESTIMATORS))
def test_every_estimator_is_fitted_predicts_and_is_explained_on_a_device(kind, monkeypatch):
    case = fitted_case(kind)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    options = SMALL | {"max_epochs": 1, "min_validation_events": 0}
    train, validation = cg.split_patients(case.train, [0.8, 0.2], random_state=0)
    with FakeCuda() as cuda:
        model = ESTIMATORS[kind](**options, device="cuda").fit(train, validation=validation, verbose=False)
        scores = model.score_rows(case.test)
        if kind != "forecast":
            cg.explain(model, case.test[:1])
            cg.movement(model, case.test[:1])
    assert cuda.n_operations > 100
    model.device = "cpu"
    np.testing.assert_allclose(scores, model.score_rows(case.test), atol=1e-6)


def test_the_fake_device_finds_what_cuda_would():
    with FakeCuda():
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        for mistake in (lambda: there + here, lambda: torch.cat([there, here]), there.numpy, lambda: here[there > 0]):
            with pytest.raises(AssertionError, match=r"CUDA|two devices"):
                mistake()
        assert (there + 1).device.type == "cuda"
        assert (there.cpu() + here).device.type == "cpu"


@pytest.mark.skipif(NO_CUDA, reason="needs a CUDA device")
@pytest.mark.parametrize("kind", sorted(ESTIMATORS))
def test_cuda_equals_the_cpu(kind):
    case = fitted_case(kind)
    head, network = case.model.head_, case.model.network_
    ours, theirs = (predict(placed(network, torch.device(d)), case.test, head=head) for d in ("cpu", "cuda"))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    if kind != "forecast":
        on = [cg.explain(case.model, case.test[:1], device=device) for device in ("cpu", "cuda")]
        np.testing.assert_allclose(on[0].measurements["contribution"], on[1].measurements["contribution"], atol=1e-4)
