"""The same model without its sequence or its summaries, as baselines of an evaluation."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import clinicalgru as cg

NETWORK = cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1)
FAST = {"max_epochs": 1, "distillation": 0.0, "min_validation_events": 0, "n_cuts": 0}


@pytest.fixture(scope="module")
def stays() -> cg.Sequences:
    return cg.select(cg.read_events(cg.simulate(120, random_state=3)), cg.Task.load("in_hospital_mortality"))


@pytest.fixture(scope="module")
def model(stays: cg.Sequences) -> cg.GRUClassifier:
    return cg.GRUClassifier(NETWORK, **FAST).fit(stays[:80], verbose=False)


@pytest.mark.slow
def test_an_evaluation_prints_them_in_pairs(model, stays):
    evaluation = cg.evaluate(model, stays[80:], baselines="ablations", train=stays[:80], n_resamples=20)
    assert list(evaluation.metrics["model"].unique()) == ["GRU", "no_sequence", "no_summaries"]
    assert set(evaluation.differences["baseline"]) == {"no_sequence", "no_summaries"}
    assert model.network is NETWORK


@pytest.mark.slow
def test_neither_uses_what_it_is_named_for(model, stays):
    """Without a sequence the order of measurements between the first and the last of a variable does not matter."""
    fitted = cg.fit_ablations(model, stays[:80])
    test = stays[80:]
    shuffled, rng = test.value.copy(), np.random.default_rng(0)
    key = test.stay_of_measurement * len(test.variables) + test.variable
    order = np.lexsort((test.hours, key))
    ends = np.flatnonzero(np.diff(key[order], prepend=-1, append=-1))
    for begin, end in pairwise(ends):
        inner = order[begin + 1 : end - 1]
        shuffled[inner] = shuffled[rng.permutation(inner)]
    changed = replace(test, value=shuffled)
    moved = {name: np.abs(one.predict_proba(changed) - one.predict_proba(test)).max() for name, one in fitted.items()}
    assert moved["no_sequence"] < 1e-6 < moved["no_summaries"]
    assert np.abs(model.predict_proba(changed) - model.predict_proba(test)).max() > 1e-6


@pytest.mark.slow
def test_ensembles_have_them_too(stays):
    ensemble = cg.GRUEnsemble(cg.GRUClassifier(NETWORK, **FAST), n_members=2).fit(stays[:80], verbose=False)
    (one,) = cg.fit_ablations(ensemble, stays[:80], names=["no_sequence"]).values()
    assert [member.network.readout_inputs for member in one.members_] == ["summaries"] * 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"baselines": "ablations"}, "training stays"),
        ({"baselines": ["no_gates"], "train": True}, "no_sequence"),
        ({"baselines": [1]}, "baselines as Mapping"),
    ],
)
def test_what_cannot_be_fitted_is_one_clear_error(model, stays, options, expected):
    options = options | ({"train": stays[:80]} if "train" in options else {})
    with pytest.raises(cg.ClinicalGRUError, match=expected):
        cg.evaluate(model, stays[80:], **options)
    with pytest.raises(cg.ClinicalGRUError, match="a model and its training stays"):
        cg.evaluate([0, 1], [0.1, 0.2], baselines="ablations", train=stays)
