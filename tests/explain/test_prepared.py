"""Preparation of a stay, the user's torch settings, and the arguments that every function refuses."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch

import clinicalgru as cg
from clinicalgru.errors import ClinicalGRUError
from clinicalgru.explain import prepared, targets
from clinicalgru.explain.attribution.contributions import contributions
from clinicalgru.explain.risk_trajectory import risk_trajectory

CALLS = {
    "explain": lambda model, stay: cg.explain(model, stay),
    "movement": lambda model, stay: cg.movement(model, stay, at_hours=6, n_permutations=2),
    "what_if": lambda model, stay: cg.what_if(model, stay),
    "gates": lambda model, stay: cg.gates(model, stay),
    "risk_trajectory": risk_trajectory,
    "contributions": contributions,
    "importance": lambda model, stay: cg.importance(model, stay, n_resamples=2),
}
ONE_STAY = ("explain", "movement", "what_if", "gates", "risk_trajectory")


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SETTINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
}


def numbers(result):
    """All numbers of a result, to compare bit by bit."""
    if isinstance(result, pd.DataFrame):
        return result.select_dtypes("number").to_numpy(dtype=float)
    tables = [value for value in vars(result).values() if isinstance(value, pd.DataFrame | np.ndarray)]
    arrays = [numbers(value) if isinstance(value, pd.DataFrame) else value for value in tables]
    return np.concatenate([np.ravel(array) for array in arrays])


@pytest.fixture
def preparations(monkeypatch):
    """Counts how often stays are prepared."""
    count, original = [], prepared._prepared

    def counted(*arguments):
        count.append(1)
        return original(*arguments)

    monkeypatch.setattr(prepared, "_prepared", counted)
    return count


@pytest.mark.parametrize("name", CALLS)
def test_a_stay_is_prepared_once_per_call(fitted, test_stays, preparations, name):
    CALLS[name](fitted, test_stays[[1]])
    assert len(preparations) == 1


def test_edits_of_a_what_if_do_not_prepare_the_stay_again(fitted, test_stays, preparations):
    what_if = cg.what_if(fitted, test_stays[[1]])
    what_if.add(hours=30.25, variable="lactate", value=9.0)
    what_if.delete(hours=30.25, variable="lactate")
    assert len(preparations) == 1


def test_codes_are_filtered_once_for_all_networks_and_once_for_each(fitted, test_stays, monkeypatch):
    filters, original = [], prepared.known_codes

    def counted(stays, codes):
        filters.append(stays.code_vocabulary != codes)
        return original(stays, codes)

    for module in (prepared, targets):
        monkeypatch.setattr(module, "known_codes", counted)
    cg.explain(fitted, test_stays[[1]])
    assert len(filters) == 2
    assert sum(filters) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", ["explain", "movement", "gates", "contributions", "importance"])
def test_torch_settings_of_the_user_change_nothing(fitted, test_stays, name, setting):
    stay = test_stays[[1]]
    expected = numbers(CALLS[name](fitted, stay))
    with SETTINGS[setting]():
        found = numbers(CALLS[name](fitted, stay))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_torch_settings_of_the_user_change_no_what_if_and_no_faithfulness(fitted, test_stays, setting):
    def run():
        what_if = cg.what_if(fitted, test_stays[[1]])
        changed = what_if.add(hours=30.25, variable="lactate", value=9.0)
        faithful = cg.faithfulness(fitted, test_stays[:3], n_random=1)
        near = cg.similar(fitted, test_stays[[1]], test_stays, n_neighbors=3)
        return np.concatenate([np.ravel(numbers(one)) for one in (changed, faithful, near)])

    expected = run()
    with SETTINGS[setting]():
        np.testing.assert_array_equal(run(), expected)


def test_the_users_torch_settings_and_random_state_are_left_alone(fitted, test_stays):
    before, n_threads = torch.random.get_rng_state(), torch.get_num_threads()
    numpy_before = np.random.get_state()[1].copy()
    with torch.no_grad():
        cg.explain(fitted, test_stays[[1]])
        cg.faithfulness(fitted, test_stays[:2], n_random=1)
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)
    assert torch.get_num_threads() == n_threads


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "value", [pd.DataFrame({"a": [1]}), "a stay", None, np.zeros(3)], ids=["frame", "text", "None", "array"]
)
def test_what_is_no_stay_is_refused(fitted, name, value):
    with pytest.raises(ClinicalGRUError):
        CALLS[name](fitted, value)


@pytest.mark.parametrize("name", ONE_STAY)
def test_several_stays_and_none_are_refused(fitted, test_stays, name):
    for index, count in (([0, 1], 2), ([], 0)):
        with pytest.raises(ClinicalGRUError, match=rf"Expected one stay; got {count} stays. Write {name}\(model, seq"):
            CALLS[name](fitted, test_stays[index])


@pytest.mark.parametrize("name", CALLS)
def test_a_baseline_and_an_unfitted_model_are_refused(test_stays, name):
    with pytest.raises(ClinicalGRUError, match="a fitted GRU estimator or GRUEnsemble; got a SummaryBaseline"):
        CALLS[name](cg.SummaryBaseline("boosted trees"), test_stays[[0]])
    for model in (cg.GRUClassifier(), cg.GRUEnsemble() if name != "gates" else cg.GRUClassifier()):
        with pytest.raises(ClinicalGRUError, match="got one that is not fitted"):
            CALLS[name](model, test_stays[[0]])


@pytest.mark.parametrize("call", [cg.explain, cg.movement, cg.what_if])
@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("at_hours", "noon", "at_hours as a number, or None; got text"),
        ("at_hours", float("nan"), "at_hours as a number"),
        ("target", "shock", "no target for a model with one output"),
        ("target", [1, 2], "target as text, a number or None; got a list of length 2"),
        ("target", np.zeros(2), "target as text, a number or None; got an? ndarray"),
    ],
)
def test_arguments_of_another_type_are_refused(fitted, test_stays, call, argument, value, message):
    with pytest.raises(ClinicalGRUError, match=message):
        call(fitted, test_stays[[0]], **{argument: value})


def test_other_arguments_are_refused_by_name(fitted, test_stays):
    stay = test_stays[[0]]
    for call, message in (
        (lambda: cg.explain(fitted, stay, tolerance="fine"), "tolerance as a number above 0; got text"),
        (lambda: cg.explain(fitted, stay, show_id="yes"), "show_id as bool"),
        (lambda: cg.movement(fitted, stay, n_permutations=0), "n_permutations as a whole number of 1 or more; got 0"),
        (lambda: cg.importance(fitted, test_stays, n_resamples=2.5), "n_resamples as a whole number"),
        (lambda: cg.faithfulness(fitted, test_stays, rankings=np.zeros(3)), "rankings as Mapping"),
        (lambda: cg.faithfulness(fitted, test_stays, n_random=0), "n_random as a whole number"),
        (lambda: cg.similar(fitted, stay, "a cohort"), "cohort as Sequences; got text"),
        (lambda: cg.similar(fitted, stay, test_stays, n_neighbors=0), "n_neighbors as a whole number of 1 or more"),
        (lambda: cg.gates(fitted, stay, layer="first"), "layer as a whole number"),
        (lambda: cg.what_if(fitted, stay).add(hours="noon", variable="lactate", value=2), "hours as a number"),
        (lambda: cg.what_if(fitted, stay).add(hours=3.21, variable="lactate", value="high"), "value as a number"),
        (lambda: cg.what_if(fitted, stay).change(hours=3.0, variable=7, value=2), "one of the model's"),
        (lambda: cg.what_if(fitted, stay).counterfactual("low"), "target_risk as a number above 0 and below 1"),
    ):
        with pytest.raises(ClinicalGRUError, match=message):
            call()
