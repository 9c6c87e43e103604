"""Few outcomes: epochs chosen out of fold, the mean of the weights of the folds' networks, and what a user passes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from family import SMALL, fitted_case

import clinicalgru as cg
from clinicalgru.model.estimators.validation_split import outcome_folds, stays_of_batch

FEW = SMALL | {"max_epochs": 4}


@pytest.fixture(scope="module")
def stays():
    return cg.select(cg.read_events(cg.simulate(150, random_state=5)), cg.Task.load("in_hospital_mortality"))


@pytest.fixture(scope="module")
def fitted(stays):
    return cg.GRUClassifier(**FEW).fit(stays, verbose=False)


@pytest.mark.slow
def test_a_few_outcomes_train_on_all_stays(fitted, stays, tmp_path):
    assert fitted.trained_on_["validation"] == {"folds": 5}
    assert fitted.trained_on_["stays"] == len(stays)
    assert bool(fitted.seen_patients_.includes(stays).all())
    loaded = cg.load(cg.save(fitted, tmp_path / "bundle"))
    np.testing.assert_array_equal(loaded.predict_proba(stays), fitted.predict_proba(stays))
    assert "out of fold" in (tmp_path / "bundle" / "card.md").read_text()
    assert "out of fold" in fitted._repr_html_()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_the_network_has_members(fitted, stays):
    again = cg.GRUClassifier(**FEW).fit(stays, verbose=False)
    first, second = fitted.network_.state_dict(), again.network_.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_it_is_explained_and_calibrated_as_any_other(stays):
    known, others = cg.split_patients(stays, [0.6, 0.4], random_state=0)
    model = cg.GRUClassifier(**FEW).fit(known, verbose=False)
    assert model.trained_on_["validation"] == {"folds": 5}
    with pytest.raises(cg.ClinicalGRUError, match="training nor early stopping"):
        model.calibrate(known)
    with pytest.warns(cg.ClinicalGRUWarning, match="few"):
        model.calibrate(others)
    assert abs(cg.explain(model, others[:1]).completeness_gap) < 0.05


def test_the_loss_out_of_fold_is_the_mean_over_all_stays(stays, monkeypatch):
    """With a learning rate of almost 0 no fold's network moves: the mean loss is that of the initial network."""
    model = cg.GRUClassifier(**FEW | {"max_epochs": 1, "learning_rate": 1e-12, "n_cuts": 0}).fit(stays, verbose=False)
    assert model.history_[0]["val_loss"] == pytest.approx(-_mean_log_likelihood(model, stays), rel=1e-3)


def _mean_log_likelihood(model, stays):
    risk = model.predict_proba(stays)[:, 1]
    return float(np.mean(np.log(np.where(stays.outcome == 1, risk, 1 - risk))))


@pytest.mark.parametrize(("option", "n_events"), [({"min_validation_events": 0}, None), ({}, "validation")])
def test_what_a_user_passes_is_respected(stays, option, n_events):
    known, validation = cg.split_patients(stays, [0.7, 0.3], random_state=0)
    passed = {"validation": validation} if n_events else {}
    model = cg.GRUClassifier(**FEW | option).fit(known, verbose=False, **passed)
    assert "stays" in model.trained_on_["validation"]


def test_folds_are_whole_by_patient_group_and_outcome(stays):
    groups = np.arange(len(stays)) // 6
    fold = outcome_folds(stays, groups, min_validation_events=30, random_state=0)
    for names in (groups, stays.patient):
        for name in np.unique(names):
            assert len(np.unique(fold[names == name])) == 1
    assert all(len(np.unique(stays.outcome[fold == number])) == 2 for number in range(5))


def test_enough_outcomes_too_few_and_other_tasks_have_no_folds(stays):
    few = {"groups": None, "random_state": 0}
    assert outcome_folds(stays, min_validation_events=1, **few) is None
    assert outcome_folds(stays[np.flatnonzero(stays.outcome == 0)], min_validation_events=30, **few) is None
    four = np.concatenate([np.flatnonzero(stays.outcome == 1)[:4], np.flatnonzero(stays.outcome == 0)])
    assert outcome_folds(stays[np.sort(four)], min_validation_events=30, **few) is None


@pytest.mark.parametrize("kind", ["early_warning", "survival"])
def test_events_of_early_warnings_and_survival_count_as_outcomes(kind):
    """Each fold has stays with the event and stays without it; nobody is held back of training."""
    case = fitted_case(kind)
    assert case.model.trained_on_["validation"] == {"folds": 5}
    assert case.model.trained_on_["stays"] == len(case.train)
    outcome = case.train.outcome
    occurred = np.isfinite(outcome) if kind == "early_warning" else outcome[:, 1]
    fold = outcome_folds(case.train, None, min_validation_events=30, random_state=0)
    assert all(len(np.unique(occurred[fold == number])) == 2 for number in range(5))
    assert outcome_folds(case.train, None, min_validation_events=1, random_state=0) is None


@pytest.mark.parametrize(("n_events", "expected"), [(199, 16), (200, 64)])
@pytest.mark.parametrize("kind", ["binary", "early_warning", "survival"])
def test_few_events_make_small_batches(kind, n_events, expected):
    """The event or the rarest class counts, whichever way it is written; what a user asks for goes first."""
    occurred = np.arange(1000) < n_events
    outcome = {
        "binary": occurred.astype(float),
        "early_warning": np.where(occurred, 5.0, np.inf),
        "survival": np.column_stack([np.full(1000, 5.0), occurred]),
    }
    stays = SimpleNamespace(task=SimpleNamespace(task_type=kind), outcome=outcome[kind])
    assert stays_of_batch(None, stays) == expected
    assert stays_of_batch(33, stays) == 33


def test_tasks_without_events_have_large_batches():
    stays = SimpleNamespace(task=SimpleNamespace(task_type="regression"), outcome=np.arange(50.0))
    assert stays_of_batch(None, stays) == 64
