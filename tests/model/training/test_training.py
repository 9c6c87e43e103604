"""Training: exact resume, Ctrl-C, refusals, and manners of scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import clinicalgru as cg
from clinicalgru.errors import TrainingError
from clinicalgru.model.heads.classification import Binary
from clinicalgru.model.training import training
from clinicalgru.model.training.checkpoint import _content, data_digest
from clinicalgru.model.training.inference import mean_loss
from clinicalgru.model.training.training import bucket_by_length

SMALL = {
    "network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2),
    "max_epochs": 4,
    "patience": 9,
    "distillation": 0.0,
}


def weights(model):
    return {name: tensor.numpy() for name, tensor in model.network_.state_dict().items()}


@pytest.mark.parametrize(("stopped_after", "distillation"), [(1, 0.0), pytest.param(3, 0.7, marks=pytest.mark.slow)])
def test_resumed_training_ends_in_the_same_bits_as_uninterrupted_training(
    parts, tmp_path, monkeypatch, few_trees, stopped_after, distillation
):
    train, tune, _, _ = parts
    arguments = SMALL | {"distillation": distillation}
    whole = cg.GRUClassifier(**arguments).fit(train, validation=tune, verbose=False)
    file = tmp_path / "run" / "checkpoint.safetensors"
    epoch = training.train_epoch

    def interrupted(state, *rest, **named):
        if state.epoch == stopped_after:
            raise KeyboardInterrupt
        return epoch(state, *rest, **named)

    monkeypatch.setattr(training, "train_epoch", interrupted)
    with pytest.warns(UserWarning, match="Stopped by hand"):
        cg.GRUClassifier(**arguments).fit(train, validation=tune, verbose=False, checkpoint_path=file)
    monkeypatch.setattr(training, "train_epoch", epoch)
    resumed = cg.GRUClassifier(**arguments).fit(train, validation=tune, verbose=False, resume_from=file)
    assert resumed.history_ == whole.history_
    for name, tensor in weights(whole).items():
        np.testing.assert_array_equal(weights(resumed)[name], tensor, err_msg=name)


@pytest.mark.slow
def test_ctrl_c_keeps_the_weights_of_the_best_epoch(parts, monkeypatch):
    train, tune, _, test = parts
    epoch = training.train_epoch

    def interrupted(state, *rest, **named):
        return epoch(state, *rest, **named) if state.epoch < 2 else _interrupt()

    monkeypatch.setattr(training, "train_epoch", interrupted)
    with pytest.warns(UserWarning, match="Stopped by hand in epoch 3"):
        stopped = cg.GRUClassifier(**SMALL, n_cuts=0).fit(train, validation=tune, verbose=False)
    best = min(entry["val_loss"] for entry in stopped.history_)
    assert mean_loss(stopped.network_, tune, head=Binary()) == pytest.approx(best, abs=1e-7)
    assert np.isfinite(stopped.predict_proba(test)).all()


def _interrupt():
    raise KeyboardInterrupt


def test_ctrl_c_before_the_first_epoch_ends_is_not_swallowed(parts, monkeypatch):
    monkeypatch.setattr(training, "train_epoch", lambda *_, **__: _interrupt())
    with pytest.raises(KeyboardInterrupt):
        cg.GRUClassifier(**SMALL).fit(parts[0], validation=parts[1], verbose=False)


@pytest.mark.slow
def test_a_checkpoint_of_another_plan_or_of_nothing_is_refused(parts, tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    cg.GRUClassifier(**SMALL | {"max_epochs": 1}).fit(
        parts[0], validation=parts[1], verbose=False, checkpoint_path=file
    )
    with pytest.raises(cg.ClinicalGRUError, match="other max_epochs, random_state"):
        cg.GRUClassifier(**SMALL | {"random_state": 5}).fit(
            parts[0], validation=parts[1], verbose=False, resume_from=file
        )
    with pytest.raises(cg.ClinicalGRUError, match="no such file"):
        cg.GRUClassifier(**SMALL).fit(parts[0], validation=parts[1], verbose=False, resume_from=tmp_path / "none")
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(cg.ClinicalGRUError, match="damaged"):
        cg.GRUClassifier(**SMALL).fit(parts[0], validation=parts[1], verbose=False, resume_from=file)


@pytest.fixture(scope="module")
def checkpoint(parts, tmp_path_factory):
    file = tmp_path_factory.mktemp("run") / "checkpoint.safetensors"
    model = cg.GRUClassifier(**SMALL | {"max_epochs": 1})
    model.fit(parts[0], validation=parts[1], verbose=False, checkpoint_path=file)
    return file


def test_any_changed_bit_of_a_checkpoint_is_refused(parts, checkpoint, tmp_path):
    content, copy = checkpoint.read_bytes(), tmp_path / "changed.safetensors"
    rng = np.random.default_rng(0)
    header = int.from_bytes(content[:8], "little")
    for position in [*range(0, 8, 3), *rng.integers(8, 8 + header, 15), *rng.integers(8 + header, len(content), 10)]:
        changed = bytearray(content)
        changed[position] ^= 1 << int(rng.integers(8))
        copy.write_bytes(changed)
        with pytest.raises(TrainingError):
            _content(copy)


def test_a_checkpoint_of_other_patients_outcomes_or_values_is_refused(parts, checkpoint):
    train, validation, _, _ = parts
    flipped = replace(train, outcome=1 - train.outcome)
    shifted = replace(train, value=train.value + np.float32(1e-3))
    for other in (flipped, shifted, train[:-1]):
        model = cg.GRUClassifier(**SMALL | {"max_epochs": 1, "distillation": 0})
        with pytest.raises(TrainingError, match=r"checkpoint of (these stays|this network|the same)"):
            model.fit(other, validation=validation, verbose=False, resume_from=checkpoint)
    assert data_digest(train, validation) != data_digest(validation, train)


@pytest.mark.slow
def test_training_stops_when_the_tune_stays_no_longer_gain(parts):
    model = cg.GRUClassifier(**SMALL | {"max_epochs": 40, "patience": 2, "learning_rate": 0.02})
    history = model.fit(parts[0], validation=parts[1], verbose=False).history_
    best = int(np.argmin([entry["val_loss"] for entry in history]))
    assert len(history) == min(40, best + 1 + 2)


def test_without_tune_stays_some_patients_are_held_back(parts):
    model = cg.GRUClassifier(**SMALL | {"max_epochs": 1}, min_validation_events=0).fit(parts[0], verbose=False)
    assert model.trained_on_["patients"] == pytest.approx(0.85 * len(np.unique(parts[0].patient)), abs=1)


def test_get_params_and_clone():
    model = cg.GRUClassifier(network=cg.NetworkConfig(hidden_size=7), random_state=3)
    assert clone(model).network is not model.network
    assert repr(clone(model)) == repr(model)
    assert clone(model) is not model


def test_predicting_before_fitting_is_refused(test_stays):
    with pytest.raises(NotFittedError):
        cg.GRUClassifier().predict_proba(test_stays)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_epochs": 0}, "max_epochs as a whole number of 1 or more"),
        ({"network": cg.NetworkConfig(dropout=1.0)}, "dropout as a number of 0 or more and below 1"),
        ({"network": cg.NetworkConfig(hidden_size=-1)}, "hidden_size"),
    ],
)
def test_sizes_out_of_range_are_refused(parts, arguments, message):
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.GRUClassifier(**arguments).fit(parts[0], validation=parts[1])


def test_one_outcome_only_and_unknown_outcomes_are_refused(parts, events, task):
    train, tune = parts[:2]
    with pytest.raises(cg.ClinicalGRUError, match="both outcomes among the stays; got the same outcome in all of them"):
        cg.GRUClassifier(**SMALL).fit(train[train.outcome == 0], validation=tune)
    everyone = cg.select(events, task, include_ineligible=True)
    with pytest.raises(cg.ClinicalGRUError, match="known outcomes in the stays; got 4 unknown"):
        cg.GRUClassifier(**SMALL).fit(everyone, validation=tune)


@pytest.mark.slow
def test_text_lines_show_progress_without_a_terminal_and_can_be_switched_off(parts, capfd):
    cg.GRUClassifier(**SMALL | {"max_epochs": 2}).fit(parts[0], validation=parts[1])
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.count("epoch") >= 2
    assert "s left" in shown.err
    cg.GRUClassifier(**SMALL | {"max_epochs": 2}).fit(parts[0], validation=parts[1], verbose=False)
    assert capfd.readouterr().err == ""


def test_every_stay_is_in_one_batch_and_lengths_are_alike():
    steps = np.random.default_rng(0).integers(1, 200, 1000)
    batches = bucket_by_length(steps, 64, np.random.default_rng(1))
    assert sorted(np.concatenate(batches)) == list(range(1000))
    spread = np.mean([np.ptp(steps[batch]) for batch in batches])
    assert spread < 0.25 * np.ptp(steps)
