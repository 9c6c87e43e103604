"""Gates: they give the states of the network, and time decays more over longer gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import clinicalgru as cg


@pytest.fixture(scope="module", params=[{}, {"network__gate": "time", "network__n_layers": 2, "use_codes": True}])
def model(request, parts):
    small = {"network": cg.NetworkConfig(hidden_size=8, readout_size=8, ensemble_size=2), "max_epochs": 1}
    return cg.GRUClassifier(**small).set_params(**request.param).fit(parts[0][:60], validation=parts[1], verbose=False)


def test_gates_make_the_states_that_the_network_has(model, test_stays):
    """h = z h' + (1 - z) n with the candidate n between -1 and 1, and h' the state after the gap: for every unit."""
    layer = model.network_.spec.n_layers - 1
    found = cg.gates(model, test_stays[[1]], layer=layer)
    z, r, erased, h = (getattr(found, name).to_numpy() for name in ("update", "reset", "decayed", "state"))
    decayed = (1 - erased[1:]) * h[:-1]
    recurrent = model.network_.encoder.forward_layers[layer].recurrent
    weight, bias = recurrent.weight.detach().numpy(), recurrent.bias.detach().numpy()
    candidate = (h[1:] - z[1:] * decayed) / (1 - z[1:])
    assert (np.abs(candidate) <= 1 + 1e-4).all()
    units = len(weight) // 3
    drive = np.arctanh(candidate.clip(-0.9999, 0.9999)) - r[1:] * (decayed @ weight[2 * units :].T + bias[2 * units :])
    given = _drive(model, test_stays[[1]], layer)[1:, 2 * units :]
    near = np.abs(candidate) < 0.999
    np.testing.assert_allclose(drive[near], given[near], atol=2e-3)
    np.testing.assert_allclose(found.retained, (1 - erased) * z, atol=1e-6)


def _drive(model, stay, layer):
    """What the inputs of a layer add to its gates: the fast layer does not call the module that projects them."""
    inputs = []
    module = model.network_.encoder.forward_layers[layer]
    handle = module.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    with torch.no_grad():
        batch = model.network_.make_batch(stay)
        model.network_.logits(model.network_.scaler(batch), batch)
        handle.remove()
        return module.project(inputs[0]).numpy()


def test_time_erases_more_over_longer_gaps(fitted, test_stays):
    stay = test_stays[[1]]
    last = stay.hours == stay.hours.max()
    later = replace(stay, hours=np.where(last, stay.hours + 200, stay.hours), end_hours=stay.end_hours + 300)
    assert cg.gates(fitted, later).decayed.iloc[-1].mean() > cg.gates(fitted, stay).decayed.iloc[-1].mean()
    assert cg.gates(fitted, stay).summary.columns.tolist() == ["hours", "update", "reset", "decayed", "retained"]


def test_only_a_gru_has_these_gates(parts, fitted):
    network = cg.NetworkConfig(cell="lstm", hidden_size=4, readout_size=4, ensemble_size=1)
    lstm = cg.GRUClassifier(network=network, max_epochs=1).fit(parts[0][:60], validation=parts[1], verbose=False)
    with pytest.raises(cg.ClinicalGRUError, match="a GRU that resets after the product"):
        cg.gates(lstm, parts[3][[0]])
    with pytest.raises(cg.ClinicalGRUError, match="layer as a whole number of 0 or more and of 0 or less; got 1"):
        cg.gates(fitted, parts[3][[0]], layer=1)
