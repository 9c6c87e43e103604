"""The readout: while training its first layer scales weights instead of inputs, with the same results."""

from __future__ import annotations

import pytest
import torch

from clinicalgru.model.network.readout import BatchEnsembleMLP


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
