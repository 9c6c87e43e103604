"""Nothing is learned until learning succeeded; arguments are checked in one place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from family import ESTIMATORS, fitted_case
from helpers import with_network
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, TrainingWarning
from clinicalgru.model.estimators.validation_split import hold_back, joined_groups
from clinicalgru.model.fit_state import draw_seed, learned_attributes

TINY = {
    "network": cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1),
    "max_epochs": 3,
    "batch_size": 64,
    "distillation": 0.0,
}


class Interrupt:
    """A callback that interrupts training, as Ctrl-C and the stop button do, after so many batches or epochs."""

    def __init__(self, *, batches=None, epochs=None):
        self.batches, self.epochs = batches, epochs

    def on_batch_end(self, fraction, loss):
        if self.batches is not None:
            self.batches -= 1
            if self.batches == 0:
                raise KeyboardInterrupt

    def on_epoch_end(self, entry, *, best):
        if entry["epoch"] == self.epochs:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def few(parts):
    return parts[0][:70], parts[1][:40]


@pytest.fixture(scope="module")
def once(few):
    """A model of one epoch, and its risks."""
    model = cg.GRUClassifier(**TINY | {"max_epochs": 1}).fit(few[0], validation=few[1], verbose=False)
    return model, model.predict_proba(few[1])


def test_an_interruption_before_the_first_epoch_ends_leaves_an_estimator_unfitted(few):
    model = cg.GRUClassifier(**TINY)
    with pytest.raises(KeyboardInterrupt):
        model.fit(few[0], validation=few[1], verbose=False, callbacks=[Interrupt(batches=1)])
    assert learned_attributes(model) == {}
    with pytest.raises(NotFittedError):
        model.predict_proba(few[1])


def test_an_interruption_before_the_first_epoch_ends_leaves_a_fitted_estimator_as_it_was(few, once):
    model, risk = once
    before = dict(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(few[0][:50], validation=few[1], verbose=False, callbacks=[Interrupt(batches=1)])
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    np.testing.assert_array_equal(model.predict_proba(few[1]), risk)


@pytest.mark.parametrize("interrupt", [Interrupt(epochs=1), Interrupt(batches=3)], ids=["epoch 1 ends", "in epoch 2"])
def test_an_interruption_after_the_first_epoch_keeps_the_best_weights_of_this_fit_and_says_so(few, once, interrupt):
    model = clone(once[0]).set_params(max_epochs=3, patience=3)
    with pytest.warns(TrainingWarning, match="Stopped by hand in epoch 2; epoch 1 is kept"):
        model.fit(few[0], validation=few[1], verbose=False, callbacks=[interrupt])
    assert [entry["epoch"] for entry in model.history_] == [1]
    assert np.isfinite(model.predict_proba(few[1])).all()


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_a_refit_that_fails_leaves_every_estimator_as_it_was(name):
    case = fitted_case(name)
    model, before = case.model, dict(vars(case.model))
    with pytest.raises(cg.ClinicalGRUError):
        model.fit(case.train, validation=case.train, verbose=False)  # a patient in both parts
    with pytest.raises(cg.ClinicalGRUError):
        model.fit(case.train, auxiliary=pd.DataFrame({"a": ["text"]}, index=["none"]), verbose=False)
    assert all(vars(model)[key] is value for key, value in before.items())
    assert vars(model).keys() == before.keys()


def test_an_error_in_a_callback_leaves_a_fitted_estimator_as_it_was(few, once):
    class Broken:
        def on_batch_end(self, fraction, loss):
            """Nothing."""

        def on_epoch_end(self, entry, *, best):
            raise OSError("disk full")

    model, risk = once
    with pytest.raises(OSError, match="disk full"):
        model.fit(few[0], validation=few[1], verbose=False, callbacks=[Broken()])
    np.testing.assert_array_equal(model.predict_proba(few[1]), risk)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_epochs": "a"}, "max_epochs as a whole number of 1 or more; got text"),
        ({"max_epochs": 2.5}, "max_epochs as a whole number of 1 or more; got 2.5"),
        ({"max_epochs": True}, "max_epochs as a whole number"),
        ({"batch_size": 0}, "batch_size as a whole number of 1 or more, or None; got 0"),
        ({"learning_rate": 0}, "learning_rate as a number above 0; got 0"),
        ({"learning_rate": float("nan")}, "learning_rate as a number above 0; got nan"),
        ({"learning_rate": "1e-3"}, "learning_rate as a number above 0; got text"),
        ({"weight_decay": -1.0}, "weight_decay as a number of 0 or more; got -1"),
        ({"distillation": 1.0}, "distillation as a number of 0 or more and below 1; got 1"),
        ({"measurement_dropout": None}, "measurement_dropout as a number"),
        ({"use_codes": 1}, "use_codes among True, False; got the number 1"),
        ({"random_state": -1}, "random_state as a whole number of 0 or more"),
        ({"random_state": "a"}, "random_state as a whole number"),
        ({"n_threads": 0}, "n_threads as a whole number"),
        ({"network": {"cell": "lstm"}}, "network as NetworkConfig; got a dict"),
        ({"network": cg.NetworkConfig}, "network as NetworkConfig; got the class NetworkConfig"),
        ({"network": cg.NetworkConfig(hidden_size="64")}, "hidden_size as a whole number of 1 or more; got text"),
        ({"network": cg.NetworkConfig(dropout=None)}, "dropout as a number"),
        ({"network": cg.NetworkConfig(cell="gruu")}, 'cell among "gru", "lstm", "rnn"; got "gruu"'),
        ({"network": cg.NetworkConfig(convolution=5)}, "convolution as strides of 1 or more; got the number 5"),
        ({"network": cg.NetworkConfig(bidirectional="no")}, "bidirectional among True, False"),
        ({"network": cg.NetworkConfig(clinical_indices="a / b")}, "clinical_indices as a list of formulas"),
    ],
    ids=str,
)
def test_arguments_of_a_wrong_type_or_size_are_refused_in_one_sentence(few, arguments, message):
    with pytest.raises(ArgumentError) as refused:
        cg.GRUClassifier(**TINY | arguments).fit(few[0], validation=few[1], verbose=False)
    assert message in str(refused.value)


def test_what_is_no_sequences_is_refused_by_fit_and_by_predictions(few, once):
    model, table = once[0], pd.DataFrame({"heart_rate": [80.0]})
    for call in (
        lambda: cg.GRUClassifier(**TINY).fit(table),
        lambda: cg.GRUClassifier(**TINY).fit(few[0], validation=table),
        lambda: model.predict_proba(table),
        lambda: model.predict(table),
        lambda: model.has_observations(table),
        lambda: model.calibrate(table),
        lambda: model.score(table),
    ):
        with pytest.raises(ArgumentError, match=r"got a DataFrame of shape \(1, 1\)"):
            call()


@pytest.mark.parametrize(
    ("argument", "value"), [("auxiliary", [1]), ("verbose", "yes"), ("checkpoint_path", 5), ("resume_from", b"run")]
)
def test_arguments_of_fit_are_checked_before_training(few, argument, value):
    with pytest.raises(ArgumentError, match=f"{argument} as "):
        cg.GRUClassifier(**TINY).fit(few[0], validation=few[1], **{"verbose": False} | {argument: value})


def test_callbacks_are_checked_before_training(few):
    with pytest.raises(ArgumentError, match="callbacks as a list of objects with on_batch_end and on_epoch_end"):
        cg.GRUClassifier(**TINY).fit(few[0], validation=few[1], verbose=False, callbacks=Interrupt())
    with pytest.raises(ArgumentError, match="callbacks as a list"):
        cg.GRUClassifier(**TINY).fit(few[0], validation=few[1], verbose=False, callbacks=[print])


@pytest.mark.slow
def test_numpy_numbers_as_arguments_are_saved_as_pythons(few, tmp_path):
    arguments = with_network(TINY, hidden_size=np.int64(4), dropout=np.float32(0.25), convolution=np.array([1]))
    model = cg.GRUClassifier(**arguments | {"max_epochs": np.int64(1), "learning_rate": np.float32(0.002)})
    assert clone(model).max_epochs == 1
    model.fit(few[0], validation=few[1], verbose=False)
    assert isinstance(model.max_epochs, np.int64)
    again = cg.load(cg.save(model, tmp_path / "bundle"))
    assert [type(again.max_epochs), type(again.network.hidden_size)] == [int, int]
    assert again.network.convolution in ([1], (1,))
    np.testing.assert_array_equal(again.predict_proba(few[1]), model.predict_proba(few[1]))


@pytest.mark.slow
def test_a_seed_is_drawn_where_none_is_given_and_training_can_be_repeated_with_it(few, tmp_path):
    short = TINY | {"max_epochs": 1}
    model = cg.GRUClassifier(**short, random_state=None).fit(few[0], validation=few[1], verbose=False)
    again = cg.GRUClassifier(**short, random_state=model.random_state_)
    again.fit(few[0], validation=few[1], verbose=False)
    np.testing.assert_array_equal(again.predict_proba(few[1]), model.predict_proba(few[1]))
    assert cg.load(cg.save(model, tmp_path / "bundle")).random_state == model.random_state_
    drawn = [
        draw_seed(random_state) for random_state in (None, None, np.random.default_rng(0), np.random.RandomState(0))
    ]
    assert len(set(drawn)) == 4


def test_validation_stays_share_no_patient_and_no_group_with_training_stays(parts):
    stays = parts[0]
    groups = np.arange(len(stays)) // 9
    train, validation = hold_back(stays, groups, random_state=0)
    position = {stay: number for number, stay in enumerate(stays.stay)}
    of = [{groups[position[stay]] for stay in part.stay} for part in (train, validation)]
    assert not of[0] & of[1]
    assert not set(train.patient) & set(validation.patient)
    assert len(train) + len(validation) == len(stays)
    with pytest.raises(cg.ClinicalGRUError, match="two groups or more"):
        hold_back(stays, np.zeros(len(stays)), random_state=0)
    with pytest.raises(cg.ClinicalGRUError, match="groups of shape"):
        joined_groups(stays.patient, [1, 2])


def test_what_is_shown_of_an_estimator_is_what_differs_from_the_defaults(once):
    shown = once[0]._repr_html_()
    assert "network__hidden_size" in shown
    assert "max_epochs" in shown
    assert "weight_decay" not in shown
    assert "network__cell" not in shown
    assert "the defaults" in cg.GRUClassifier()._repr_html_()
