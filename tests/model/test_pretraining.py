"""Pretrained encoders: matched by name, started from, saved, and the same whatever the order of the variables."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from family import ESTIMATORS, SMALL, cohort_of_all_tasks, task_of
from sklearn.base import clone

import clinicalgru as cg
from clinicalgru.errors import CalibrationWarning
from clinicalgru.evaluate.patient_overlap import PRETRAINING, TRAINING
from clinicalgru.model.heads.next_step import NextStep
from clinicalgru.model.network.collate import collate
from clinicalgru.model.training.torch_settings import seeded
from clinicalgru.serve.pretrained_bundle import pretrained_files

NETWORK = SMALL["network"]


@pytest.fixture(scope="module")
def stays():
    return cg.select(cohort_of_all_tasks(), task_of("forecast"))


@pytest.fixture(scope="module")
def encoder(stays):
    return cg.pretrain(stays, network=NETWORK, max_epochs=2, verbose=False)


def started(encoder, stays, **options):
    """Weights of a classifier before training, by name."""
    labelled = replace(stays, task=task_of("multiclass"), outcome=np.arange(len(stays)) % 3.0)
    model = cg.GRUClassifier(pretrained=encoder, **SMALL | options)
    with seeded([0]):
        return model.init_network(labelled)[0].state_dict()


@pytest.mark.slow
def test_stays_without_outcomes_are_selected_and_learned_from():
    cohort = cg.simulate(80, random_state=3)
    unknown = cohort.outcomes.assign(in_hospital_death=np.nan)
    events = cg.read_events(cohort.measurements, stays=cohort.stays, outcomes=unknown)
    task = cg.Task.load("in_hospital_mortality")
    with pytest.raises(cg.ClinicalGRUError, match="eligible"):
        cg.select(events, task)
    stays = cg.select(events, task.without_outcome())
    assert "outcomes" not in cg.pretrain(stays, network=NETWORK, max_epochs=1, verbose=False).trained_on


def test_a_classifier_starts_with_scaling_and_weights_of_the_encoder(encoder, stays):
    ours, theirs = started(encoder, stays), encoder.network.state_dict()
    for name in ours:
        if name.split(".")[0] in ("scaler", "encoder", "attention", "embedding"):
            assert torch.equal(ours[name], theirs[name]), name
    assert not torch.equal(ours["readout.last"], theirs["readout.last"][..., :3])


def test_the_order_of_the_variables_changes_nothing(encoder, stays):
    """Permuting the variables of the labelled stays permutes the starting weights with them."""
    order = np.random.default_rng(0).permutation(len(stays.variables))
    permuted = stays.with_variables([stays.variables[i] for i in order])
    ours, theirs = started(encoder, permuted), started(encoder, stays)
    assert torch.equal(ours["scaler.value.knots"], theirs["scaler.value.knots"][order])
    project = "encoder.forward_layers.0.project.weight"
    columns = np.concatenate([order, len(order) + order])
    assert torch.equal(ours[project], theirs[project][:, columns])
    decay = "encoder.forward_layers.0.state_decay.raw"
    assert torch.equal(ours[decay], theirs[decay][:, order])


def test_states_are_those_of_the_encoder_whatever_the_order(encoder, stays):
    order = np.random.default_rng(1).permutation(len(stays.variables))
    labelled = replace(stays, task=task_of("multiclass"), outcome=np.arange(len(stays)) % 3.0)
    permuted = labelled.with_variables([stays.variables[i] for i in order])
    model = cg.GRUClassifier(pretrained=encoder, **SMALL)
    states = []
    with torch.no_grad():
        for part in (labelled, permuted):
            network = model.init_network(part)[0].eval()
            batch = network.make_batch(part[:20])
            states.append(network.encoder(network.scaler(batch), batch)[0])
    torch.testing.assert_close(states[0], states[1], atol=1e-5, rtol=0)


def test_a_new_variable_gets_fresh_columns_and_its_own_scaling(stays):
    known = stays.with_variables(stays.variables[1:])
    encoder = cg.pretrain(known, network=NETWORK, max_epochs=1, verbose=False)
    ours = started(encoder, stays)
    fresh = cg.GRUClassifier(**SMALL).init_network(
        replace(stays, task=task_of("multiclass"), outcome=np.arange(len(stays)) % 3.0)
    )[0]
    theirs = encoder.network.state_dict()
    project, n = "encoder.forward_layers.0.project.weight", len(stays.variables)
    assert torch.equal(ours["scaler.value.knots"][0], fresh.state_dict()["scaler.value.knots"][0])
    assert torch.equal(ours["scaler.value.knots"][1:], theirs["scaler.value.knots"])
    assert torch.equal(ours[project][:, 1:n], theirs[project][:, : n - 1])
    assert torch.equal(ours[project][:, n + 1 :], theirs[project][:, n - 1 :])
    assert not torch.isnan(ours[project]).any()


def test_another_unit_another_network_and_no_common_variable_are_refused(encoder, stays):
    first = replace(stays.variables[0], unit="furlong")
    other = replace(stays, variables=(first, *stays.variables[1:]))
    with pytest.raises(cg.ClinicalGRUError, match="furlong"):
        started(encoder, other)
    with pytest.raises(cg.ClinicalGRUError, match="hidden_size=16"):
        started(encoder, stays, network=cg.NetworkConfig(hidden_size=16))
    strangers = replace(stays, variables=tuple(replace(one, name=f"x{one.name}") for one in stays.variables))
    with pytest.raises(cg.ClinicalGRUError, match="of other names"):
        started(encoder, strangers, network=clone(NETWORK).set_params(clinical_indices=()))
    with pytest.raises(cg.ClinicalGRUError, match="pretrained as PretrainedEncoder"):
        started("encoder", stays)


def test_without_a_network_the_options_are_the_encoders(encoder, stays):
    assert (
        cg.GRUClassifier(pretrained=encoder)
        .init_network(replace(stays, task=task_of("multiclass"), outcome=np.arange(len(stays)) % 3.0))[0]
        .spec.hidden_size
        == 8
    )


def test_it_is_a_parameter_as_scikit_learn_knows_them(encoder):
    model = cg.GRUClassifier(pretrained=encoder)
    assert clone(model).get_params()["pretrained"] is encoder
    assert clone(cg.GRUEnsemble(model)).estimator.pretrained is encoder
    assert model.set_params(pretrained=None).pretrained is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(ESTIMATORS))
def test_every_estimator_starts_from_it_and_its_bundle_says_so(kind, encoder, tmp_path):
    train = cg.select(cohort_of_all_tasks(), task_of(kind))
    model = ESTIMATORS[kind](**SMALL | {"max_epochs": 1}, pretrained=encoder).fit(train, verbose=False)
    assert torch.equal(model.network_.scaler.value.knots, encoder.network.scaler.value.knots)
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    np.testing.assert_array_equal(loaded.score_rows(train), model.score_rows(train))
    assert loaded.trained_on_["pretrained_on"]["stays"] == encoder.trained_on["stays"]
    assert "| pretrained on |" in (tmp_path / "bundle" / "card.md").read_text()


def test_patients_of_pretraining_are_known_after_load_too(encoder, stays, tmp_path):
    """Half of the pretraining patients train the model; of the others it is said what they were used for."""
    labelled = replace(stays, task=task_of("multiclass"), outcome=np.arange(len(stays)) % 3.0)
    train, rest = cg.split_patients(labelled, [0.5, 0.5], random_state=0)
    model = cg.GRUClassifier(pretrained=encoder, **SMALL | {"max_epochs": 1}).fit(train, verbose=False)
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    again = cg.load(cg.save(loaded, tmp_path / "again"))
    for one in (model, loaded, again):
        assert one._patient_overlap(rest) == {PRETRAINING: len(rest)}
        assert one._patient_overlap(train) == {TRAINING: len(train), PRETRAINING: len(train)}
    [kept] = loaded.pretraining_patients_
    np.testing.assert_array_equal(kept.hashes, encoder.seen_patients.hashes)
    plain = cg.GRUClassifier(**SMALL | {"max_epochs": 1}).fit(train, verbose=False)
    assert plain._patient_overlap(rest) == {}


def test_saved_and_loaded_it_is_the_same_to_the_last_bit(encoder, stays, tmp_path):
    loaded = cg.load(cg.save(encoder, tmp_path / "encoder"))
    assert pretrained_files(loaded) == pretrained_files(encoder)
    first, second = started(encoder, stays), started(loaded, stays)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_its_bundle_is_checked_and_not_taken_for_a_model(encoder, tmp_path):
    path = cg.save(encoder, tmp_path / "encoder")
    with pytest.raises(cg.ClinicalGRUError, match="pretrained encoder"):
        cg.score(path, "extract.csv")
    manifest = json.loads((path / "manifest.json").read_text())
    for change in ({"extra": 1}, {"network_spec": {}}, {"history": manifest["history"][:1]}):
        (path / "manifest.json").write_text(json.dumps(manifest | change, indent=1))
        with pytest.raises(cg.ClinicalGRUError, match=r"manifest.json"):
            cg.load(path)
    (path / "manifest.json").write_text(json.dumps(manifest, indent=1))
    (path / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(cg.ClinicalGRUError, match="sha256"):
        cg.load(path)


def test_what_is_predicted_is_the_next_step_of_the_same_stay(stays):
    """Labels against a plain loop over the steps of each stay."""
    batch = collate(stays[:6], per_step=True)
    head = NextStep.fit_targets(stays)
    labels = head.row_labels(batch)
    for row in range(len(batch.hours)):
        same = [r for r in range(len(batch.hours)) if batch.stay[r] == batch.stay[row]]
        later = [r for r in same if batch.hours[r] > batch.hours[row]]
        if not later:
            assert labels[row, 2:].isnan().all()
            continue
        following = min(later, key=lambda r: batch.hours[r].item())
        assert torch.equal(labels[row, 2], batch.mask[following])
        assert torch.allclose(labels[row, 3], torch.log1p(batch.hours[following] - batch.hours[row]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ensemble", "hybrid"])
def test_ensembles_and_hybrids_start_from_it_and_say_so(kind, encoder, tmp_path):
    events = cohort_of_all_tasks()
    task = cg.Task("death", "in_hospital_death", (0.0, 24.0))
    train = cg.select(events, task)
    ensemble = cg.GRUEnsemble(cg.GRUClassifier(**SMALL | {"max_epochs": 1}, pretrained=encoder), n_members=2)
    model = (ensemble if kind == "ensemble" else cg.Hybrid(ensemble, baselines=("logistic regression",))).fit(
        train, verbose=False
    )
    member = (model if kind == "ensemble" else model.ensemble_).members_[1]
    assert torch.equal(member.network_.scaler.value.knots, encoder.network.scaler.value.knots)
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    np.testing.assert_array_equal(loaded.predict_proba(train), model.predict_proba(train))
    assert loaded.trained_on_["pretrained_on"]["patients"] == encoder.trained_on["patients"]
    assert loaded._patient_overlap(train)[PRETRAINING] == model._patient_overlap(train)[PRETRAINING] > 0
    assert "| pretrained on |" in (tmp_path / "bundle" / "card.md").read_text()


def test_calibration_on_patients_of_pretraining_is_said(encoder, stays):
    """Pretraining saw no outcome of them, so that it is no error, as with patients of training; but it is no secret."""
    labelled = replace(stays, task=task_of("binary"), outcome=np.arange(len(stays)) % 2.0)
    train, validation, held_out = cg.split_patients(labelled, [0.5, 0.2, 0.3], random_state=0)
    for pretrained, said in ((encoder, f"{len(held_out)} of {len(held_out)} stays"), (None, "")):
        model = cg.GRUClassifier(pretrained=pretrained, **SMALL).fit(train, validation=validation, verbose=False)
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter("always", CalibrationWarning)
            risk = model.predict_proba(held_out)[:, 1]
            model.calibrate(replace(held_out, outcome=(risk > np.median(risk)).astype(float)))
        of_pretraining = [str(one.message) for one in shown if "pretraining" in str(one.message)]
        assert len(of_pretraining) == bool(said)
        assert all(text.startswith(said) for text in of_pretraining)
        with pytest.raises(cg.ClinicalGRUError, match="early stopping saw"):
            model.calibrate(train)
