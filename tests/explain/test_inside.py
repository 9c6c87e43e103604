"""Gates, similar stays, and what matters over a cohort."""

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
    faded = (1 - erased[1:]) * h[:-1]
    recurrent = model.network_.encoder.onward[layer].recurrent
    weight, bias = recurrent.weight.detach().numpy(), recurrent.bias.detach().numpy()
    candidate = (h[1:] - z[1:] * faded) / (1 - z[1:])
    assert (np.abs(candidate) <= 1 + 1e-4).all()
    units = len(weight) // 3
    drive = np.arctanh(candidate.clip(-0.9999, 0.9999)) - r[1:] * (faded @ weight[2 * units :].T + bias[2 * units :])
    given = _drive(model, test_stays[[1]], layer)[1:, 2 * units :]
    near = np.abs(candidate) < 0.999
    np.testing.assert_allclose(drive[near], given[near], atol=2e-3)
    np.testing.assert_allclose(found.retained, (1 - erased) * z, atol=1e-6)


def _drive(model, stay, layer):
    heard = []
    module = model.network_.encoder.onward[layer].project
    handle = module.register_forward_hook(lambda _, given, out: heard.append(out))
    with torch.no_grad():
        batch = model.network_.batch(stay)
        model.network_.logits(model.network_.scales(batch), batch)
    handle.remove()
    return heard[0].numpy()


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


def test_a_stay_of_the_same_measurements_is_the_most_similar_one(fitted, parts, test_stays):
    cohort = test_stays[np.arange(30)]
    stay = replace(cohort[[7]], patient=np.array(["somebody else"], dtype=object))
    found = cg.similar(fitted, stay, cohort, n_neighbors=3)
    assert found.table["position"].iloc[0] == 7
    assert found.table["distance"].iloc[0] == pytest.approx(0, abs=1e-5)
    assert found.table["distance"].is_monotonic_increasing
    assert found.table["outcome"].tolist() == cohort.outcome[found.table["position"]].tolist()


def test_a_patient_is_not_similar_to_himself(fitted, test_stays):
    found = cg.similar(fitted, test_stays[[7]], test_stays, n_neighbors=5)
    assert not set(test_stays.patient[found.table["position"]]) & {test_stays.patient[7]}


@pytest.mark.parametrize("n", [4, 30])
def test_what_happened_to_few_similar_patients_is_not_published(fitted, test_stays, n):
    real = replace(test_stays, simulated=False)
    shown = cg.similar(fitted, real[[7]], real, n_neighbors=n)
    for text in (str(shown), repr(shown), shown._repr_html_()):
        assert "withheld" in text
        assert "position" not in text
    assert len(shown.table) == n  # the analyst has them
    assert "withheld" not in str(cg.similar(fitted, test_stays[[7]], test_stays, n_neighbors=n))


@pytest.mark.slow
def test_importance_is_the_mean_size_of_what_each_variable_did(fitted, test_stays):
    stays = test_stays[:12]
    found = cg.importance(fitted, stays, n_resamples=200)
    each = [cg.explain(fitted, stays[[i]]).by_variable().set_index("variable")["contribution"] for i in range(12)]
    for row in found.table.head(5).itertuples():
        sizes = [abs(one.get(row.variable, 0.0)) for one in each]
        assert row.mean_abs == pytest.approx(np.mean(sizes), abs=2e-4)
        assert row.low <= row.mean_abs <= row.high
    assert found.table["mean_abs"].is_monotonic_decreasing
    assert found.max_completeness_error <= 1e-3


def test_the_interval_of_importance_resamples_patients_not_stays(fitted, test_stays):
    """Each stay twice, as stays of one patient, tells no more than once."""
    once = replace(test_stays[:12], patient=np.arange(12))
    twice = once[np.repeat(np.arange(12), 2)]
    alone, doubled = (cg.importance(fitted, stays, n_resamples=300).table for stays in (once, twice))
    for name in ("mean_abs", "low", "high"):
        np.testing.assert_allclose(doubled[name], alone[name], atol=2e-4)
    apart = cg.importance(fitted, replace(twice, patient=np.arange(24)), n_resamples=300).table
    assert (apart["high"] - apart["low"]).sum() < 0.9 * (alone["high"] - alone["low"]).sum()


def test_importance_of_few_real_patients_is_refused(fitted, test_stays):
    with pytest.raises(cg.ClinicalGRUError, match="stays of at least 11 patients; got fewer"):
        cg.importance(fitted, replace(test_stays[:5], simulated=False))
