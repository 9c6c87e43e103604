"""A small model of each option of the network, which the laws of predictions and of explanations share."""

from __future__ import annotations

import pytest
from helpers import slow_but
from sklearn.base import clone

import clinicalgru as cg

TINY = {
    "network": cg.NetworkConfig(hidden_size=8, readout_size=8, ensemble_size=2),
    "max_epochs": 1,
    "distillation": 0.0,
}
OPTIONS = {
    "before": {"network__reset": "before"},
    "lstm": {"network__cell": "lstm"},
    "rnn": {"network__cell": "rnn"},
    "layers": {"network__n_layers": 2, "network__layer_norm": True, "network__recurrent_dropout": 0.2},
    "bidirectional": {"network__bidirectional": True, "network__n_layers": 2},
    "convolution": {"network__convolution": (2, 3)},
    "convolution of strides 1": {"network__convolution": (1,)},
    "multihead": {"network__attention": "multihead", "network__gate": "time"},
    "last state": {"network__attention": None, "network__recurrent_dropout": 0.3},
    "delay": {"network__feedback_delay_hours": 6.0},
    "per variable": {"network__encoder": "per_variable", "network__cell": "lstm", "network__gate": "time"},
    "rolling": {"network__rolling_hours": (4, 24), "network__pattern_dropout": 0.3},
    "codes": {"use_codes": True},
    "bidirectional codes": {
        "use_codes": True,
        "network__bidirectional": True,
        "network__convolution": (2,),
        "network__feedback_delay_hours": 4.0,
    },
}
QUICK = ("before", "layers", "multihead", "per variable", "codes")


@pytest.fixture(scope="session", params=slow_but(QUICK, OPTIONS))
def model(request, parts):
    unfitted = clone(cg.GRUClassifier(**TINY)).set_params(**OPTIONS[request.param])
    return unfitted.fit(parts[0][:60], validation=parts[1], verbose=False)
