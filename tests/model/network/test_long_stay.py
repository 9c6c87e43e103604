"""A stay whose time steps are taken in some at a time gets the risk that it has in a batch."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import slow_but

import clinicalgru as cg
from clinicalgru.model.network import long_stay
from clinicalgru.model.training import inference

CONFIGS = {
    "default": {},
    "two layers": {"n_layers": 2, "layer_norm": True, "gate": "time"},
    "no attention": {"attention": None, "encoder": "per_variable"},
    "rolling": {"rolling_hours": (6, 24)},
    "backwards": {"bidirectional": True},  # stays a batch
    "without a reset gate": {"cell": "lstm"},  # stays a batch
}


@pytest.mark.parametrize("name", slow_but(("default", "backwards"), CONFIGS))
def test_the_risk_does_not_depend_on_how_many_steps_are_taken_at_a_time(parts, monkeypatch, name):
    config = cg.NetworkConfig(hidden_size=8, readout_size=8, ensemble_size=2, **CONFIGS[name])
    model = cg.GRUClassifier(config, max_epochs=1, random_state=0)
    model.fit(parts[0][:60], validation=parts[1], verbose=False)
    stays = parts[1][:20]
    whole = model.predict_proba(stays)
    width = len(stays.variables)
    monkeypatch.setattr(inference, "MAX_CELLS", int(np.median(stays.n_steps)) * width)
    for steps in (1, 7, 10_000):
        monkeypatch.setattr(long_stay, "SEGMENT_CELLS", steps * width)
        np.testing.assert_allclose(model.predict_proba(stays), whole, atol=1e-6)


def test_a_batch_of_long_stays_is_divided_and_none_is_lost(fitted, parts, monkeypatch):
    stays = parts[1]
    whole = fitted.predict_proba(stays)
    sizes = []
    monkeypatch.setattr(inference, "can_be_divided", lambda network: False)
    monkeypatch.setattr(inference, "MAX_CELLS", 3 * stays.n_steps.max() * len(stays.variables))
    real = type(fitted.network_).make_batch
    monkeypatch.setattr(
        type(fitted.network_),
        "make_batch",
        lambda self, part, **rest: (sizes.append(part.n_steps), real(self, part, **rest))[1],
    )
    np.testing.assert_allclose(fitted.predict_proba(stays), whole, atol=1e-6)
    assert sum(map(len, sizes)) == len(stays)
    assert max(steps.sum() for steps in sizes) <= 4 * stays.n_steps.max()
