"""Stays without outcome that a classifier learns from: what they change, and what they must not."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, logit

import clinicalgru as cg
from clinicalgru.data.sequences.concat import concat
from clinicalgru.errors import ArgumentError, TrainingError
from clinicalgru.model.estimators.fitted_model import HeldOut
from clinicalgru.model.estimators.self_training import with_unlabelled
from clinicalgru.model.training.auxiliary_losses import AuxiliaryLosses
from clinicalgru.model.training.distillation import Teacher
from clinicalgru.model.training.inference import predict
from clinicalgru.model.training.train_folds import Fold
from clinicalgru.parts import split_parts, unlabelled_stays
from clinicalgru.serve.card import card

SMALL = {"network": cg.NetworkConfig(hidden_size=8), "max_epochs": 2, "patience": 2, "n_cuts": 0}


@pytest.fixture(scope="module")
def events():
    return cg.read_events(cg.simulate(420, random_state=3))


@pytest.fixture(scope="module")
def parts(events):
    """Labelled stays, stays whose outcome is not used, and test stays."""
    stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    return cg.split_patients(stays, [0.4, 0.4, 0.2], random_state=0)


@pytest.fixture(scope="module")
def model(parts):
    return cg.GRUClassifier(**SMALL).fit(parts[0], unlabelled=parts[1], verbose=False)


def same(first: cg.Sequences, second: cg.Sequences) -> bool:
    """Whether all arrays of two selections are equal."""
    names = [field.name for field in fields(first) if isinstance(getattr(first, field.name), np.ndarray)]
    return all(
        np.array_equal(getattr(first, n), getattr(second, n), equal_nan=n in ("static", "outcome")) for n in names
    )


def test_stays_that_were_divided_are_the_same_when_joined(events, parts):
    stays = parts[0]
    assert same(concat(stays[:7], stays[7:]), stays)
    assert same(concat(stays, stays[:0]), stays)
    fewer = stays[9:].with_variables(stays.variables[3:])
    joined = concat(stays[:9], fewer)
    assert joined.variables == stays.variables
    assert same(joined[9:], fewer.with_variables(stays.variables))


def test_words_of_codes_are_joined():
    simulated = cg.select(cg.read_events(cg.simulate(40, random_state=0)), cg.Task.load("in_hospital_mortality"))
    n = len(simulated)
    codes = {"code_starts": np.arange(n + 1), "code_hours": np.zeros(n), "code": np.arange(n, dtype=np.int32) % 2}
    first = replace(simulated, code_vocabulary=("a", "b"), **codes)
    second = replace(simulated, code_vocabulary=("b", "c"), **codes)
    joined = concat(first, second)
    words = np.array(joined.code_vocabulary)[joined.code]
    assert words.tolist() == ["a", "b"] * (n // 2) + ["a"] * (n % 2) + ["b", "c"] * (n // 2) + ["b"] * (n % 2)


def test_outcomes_of_unlabelled_stays_are_not_used(parts, model):
    wrong = replace(parts[1], outcome=1 - parts[1].outcome)
    again = cg.GRUClassifier(**SMALL).fit(parts[0], unlabelled=wrong, verbose=False)
    assert (again.predict_proba(parts[2]) == model.predict_proba(parts[2])).all()
    without = cg.GRUClassifier(**SMALL).fit(parts[0], verbose=False)
    assert (without.predict_proba(parts[2]) != model.predict_proba(parts[2])).any()


def test_soft_labels_are_two_parts_of_the_network_and_one_of_the_trees(parts, model):
    train, validation = cg.split_patients(parts[0], [0.8, 0.2], random_state=0)
    taught = replace(parts[1][:20], stay=np.array([f"unlabelled {number}" for number in range(20)], dtype=object))
    teacher = Teacher(pd.Index(train.stay.astype(str)), torch.full((len(train),), 0.1))
    given = Fold(train, validation, AuxiliaryLosses(teacher=teacher, distillation=0.7))
    made = with_unlabelled(model, given, HeldOut(model.network_, validation), taught)
    network = predict(model.network_, taught, head=model.head_).numpy()
    trees = cg.SummaryBaseline("boosted trees", random_state=model.random_state_).fit(train).predict_proba(taught)[:, 1]
    expected = expit((2 * logit(network) + logit(trees)) / 3)
    np.testing.assert_allclose(made.stays.outcome[len(train) :], expected, rtol=1e-5)
    np.testing.assert_allclose(made.auxiliary.teacher.risk[len(train) :], expected, rtol=1e-5)
    assert made.stays.stay.tolist() == [*train.stay, *taught.stay]
    assert made.validation is validation


def test_stays_selected_without_their_outcome_count_and_those_of_known_patients_do_not(events, parts, model):
    everyone = cg.select(events, cg.Task.load("in_hospital_mortality").without_outcome())
    known, early = np.isin(everyone.stay, [*parts[0].stay, *parts[1].stay]), everyone.end_hours < 48
    others = everyone[known | early]
    assert len(others) > len(parts[0]) + len(parts[1])
    again = cg.GRUClassifier(**SMALL).fit(parts[0], unlabelled=others, verbose=False)
    assert (again.predict_proba(parts[2]) == model.predict_proba(parts[2])).all()


def test_the_model_says_which_stays_it_learned_from_and_refuses_to_be_calibrated_on_them(parts, model, tmp_path):
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    assert loaded.trained_on_["unlabelled"]["stays"] == len(parts[1])
    assert f"also {len(parts[1])} stays without outcomes" in card(loaded)
    with pytest.raises(TrainingError, match="calibrate on"):
        loaded.calibrate(parts[1])
    assert model.trained_on_["validation"] == {"folds": 5}


def test_validation_stays_that_are_passed_stop_both_networks(parts):
    train, validation = cg.split_patients(parts[0], [0.8, 0.2], random_state=0)
    model = cg.GRUClassifier(**SMALL).fit(train, validation=validation, unlabelled=parts[1], verbose=False)
    assert model.calibrator_ is None
    assert len(model.history_) == 2


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda parts: {"unlabelled": parts[0]}, "unlabelled stays of other patients"),
        (lambda parts: {"unlabelled": "all"}, "unlabelled as Sequences"),
        (lambda parts: {"unlabelled": parts[1], "checkpoint_path": "state.pt"}, "unlabelled for training in one go"),
        (
            lambda parts: {"unlabelled": replace(parts[1], task=replace(parts[1].task, window_hours=(0.0, 24.0)))},
            r"unlabelled stays of the window \(0\.0, 48\.0\)",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_refused(parts, change, match):
    with pytest.raises(ArgumentError, match=match):
        cg.GRUClassifier(**SMALL).fit(parts[0], verbose=False, **change(parts))


def test_other_kinds_of_task_are_pointed_to_pretraining(events):
    stays = cg.select(events, cg.Task.load("next_measurements"))
    with pytest.raises(ArgumentError, match=r"binary outcome for unlabelled; got forecast.*pretrain"):
        cg.GRUForecaster(**SMALL).fit(stays[:100], unlabelled=stays[100:], verbose=False)


def test_the_command_line_takes_the_stays_without_a_known_outcome(events, parts):
    known = events.stays["stay_id"].isin([*parts[0].stay, *parts[2].stay])
    column = events.stays["in_hospital_death"].where(known)
    partly, task = replace(events, stays=events.stays.assign(in_hospital_death=column)), parts[0].task
    divided = split_parts(partly, task, 0)
    others = unlabelled_stays(partly, task, divided)
    assert set(others.stay) >= set(parts[1].stay)
    assert (others.end_hours == task.window_hours[1]).all()
    assert not set(others.patient) & {*divided.development.patient, *divided.test.patient}
    with pytest.raises(ArgumentError, match="stays without a known outcome"):
        unlabelled_stays(partly, task, replace(divided, test=cg.select(events, task.without_outcome())))
