"""Calibration is honest: not on stays that were seen, shrunk where events are few, with its counts on the card."""

from __future__ import annotations

import copy
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from family import ESTIMATORS, SMALL, cohort_of_all_tasks, fitted_case

import clinicalgru as cg
from clinicalgru.errors import BundleError, CalibrationWarning, TrainingError
from clinicalgru.model.baselines.comparison import fit_baselines
from clinicalgru.model.fit_state import blank_copy
from clinicalgru.model.seen_patients import CALIBRATION, HASHES, SALT, SeenPatients, split_patient_arrays
from clinicalgru.model.training.distillation import Teacher
from clinicalgru.serve.card import card
from clinicalgru.serve.contents import model_arrays


def joined(one, other):
    """The stays of both, in one."""
    both = cohort_of_all_tasks()
    stays = cg.select(both, one.task)
    return stays[np.isin(stays.stay, np.concatenate([one.stay, other.stay]))]


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_stays_that_training_or_early_stopping_saw_are_refused(kind):
    case = fitted_case(kind)
    model = copy.copy(case.model)
    with pytest.raises(TrainingError, match=rf"got {len(case.train)} of {len(case.train)} stays of patients"):
        model.calibrate(case.train)  # 15 % of them were early stopping's
    with pytest.raises(TrainingError, match=rf"got 2 of {len(case.test) + 2} stays of patients .*split_patients"):
        model.calibrate(joined(case.train[:2], case.test))
    assert model.calibrated_on_ == case.model.calibrated_on_
    assert model.calibrator_ is case.model.calibrator_


def test_another_stay_of_a_patient_that_was_seen_is_refused(parts, fitted):
    renamed = replace(parts[3][:5], patient=np.repeat(parts[0].patient[:1], 5))
    with pytest.raises(TrainingError, match="5 of 5 stays"):
        copy.copy(fitted).calibrate(renamed)


@pytest.mark.slow
def test_a_bundle_refuses_what_its_model_refused_and_names_no_patient(fitted, parts, tmp_path):
    train, validation, calibration, _ = parts
    loaded = cg.load(cg.save(fitted, tmp_path / "bundle"))
    for seen in (train, validation):
        with pytest.raises(TrainingError, match="stays of patients that were seen"):
            loaded.calibrate(seen)
    assert loaded.calibrate(calibration).calibrator_ == fitted.calibrator_
    assert loaded.calibrated_on_ == fitted.calibrated_on_
    content = b"".join(file.read_bytes() for file in (tmp_path / "bundle").iterdir())
    names = {name.encode() for name in train.patient.astype(str)}
    assert not names & {*re.findall(rb"(?<![\d.])\d+", content)}  # the digits behind a point are those of a number


def test_hashes_are_one_for_each_patient_and_others_in_each_set(parts):
    train, validation, calibration, _ = parts
    seen, fewer = SeenPatients.of(train, validation), SeenPatients.of(train)
    assert len(seen.hashes) == len({*train.patient, *validation.patient})
    assert seen.includes(train).all()
    assert not seen.includes(calibration).any()
    assert not np.isin(fewer.hashes, seen.hashes).any()  # another salt
    assert seen.to_arrays()[HASHES].itemsize == 8
    elsewhere = replace(train, source="synthetic cohort of another seed")
    assert not seen.includes(elsewhere).any()  # made-up patients of the same names are others
    assert SeenPatients.of(replace(train, simulated=False)).includes(replace(elsewhere, simulated=False)).all()


def some(stays, events, others):
    return stays[np.r_[np.flatnonzero(stays.outcome == 1)[:events], np.flatnonzero(stays.outcome == 0)[:others]]]


def test_few_events_warn_and_hardly_move_the_slope(fitted, parts):
    model = copy.copy(fitted)
    few = "risk: fewer than 11 with the event, fewer than 11 without.*20 of each"
    with pytest.warns(CalibrationWarning, match=few):
        model.calibrate(some(parts[3], 2, 10))
    assert 0.75 < model.calibrator_.slope < 1.35
    assert (model.calibrated_on_["stays"], model.calibrated_on_["outcomes"]) == (12, 2)  # synthetic: not suppressed


def test_steps_of_one_stay_are_not_so_many_events():
    case = fitted_case("early_warning")
    labels, _, weight = case.model._calibration_scores(case.test)
    stay = np.repeat(np.arange(len(case.test)), case.test.n_steps)
    due = np.array([np.any(labels[stay == n] == 1) for n in range(len(case.test))])
    counted = np.array([np.any(~np.isnan(labels[stay == n])) for n in range(len(case.test))])
    total = np.bincount(stay, weights=weight)
    np.testing.assert_allclose(total[counted], np.where(due, 1.0, -1.0)[counted])
    assert case.model.head_.calibration_events(labels, weight)["risk"] == pytest.approx(
        (due.sum(), (counted & ~due).sum())
    )


def test_the_card_the_evaluation_and_the_notebook_say_on_how_many_stays(fitted, parts):
    calibration, test = parts[2:]
    counts = f"on {len(calibration)} stays, {int(calibration.outcome.sum())} with the outcome"
    assert f"| calibrated | yes, {counts}, that training did not see |" in card(fitted)
    assert counts in fitted._repr_html_()
    assert cg.evaluate(fitted, test, n_resamples=5).notes["Calibration"] == counts
    real = copy.copy(fitted)
    few = some(calibration, 5, 30)
    real.calibrate(replace(few, simulated=False))
    assert real.calibrated_on_["outcomes"] is None
    assert f"yes, on {len(few)} stays, a suppressed number with the outcome," in card(real)


@pytest.mark.slow
def test_baselines_are_calibrated_out_of_fold_and_say_so(parts, tmp_path, few_trees):
    train, test = parts[0], parts[3]
    for name, model in fit_baselines(train, random_state=0).items():
        raw = copy.copy(model)
        raw.calibrator_ = None
        before, after = raw.predict_proba(test)[:, 1], model.predict_proba(test)[:, 1]
        np.testing.assert_array_equal(before.argsort(), after.argsort())
        assert np.abs(before - after).max() > 1e-4, name
        assert model.calibrated_on_["stays"] == len(train)
        loaded = cg.load(cg.save(model, tmp_path / name.replace(" ", "_")))
        np.testing.assert_array_equal(loaded.predict_proba(test)[:, 1], after)
        assert f"yes, on {len(train)} stays" in card(loaded)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "survival", "early_warning"])
def test_baselines_of_every_kind_of_probability_are_calibrated(kind, tmp_path, few_trees):
    case = fitted_case(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        (model,) = fit_baselines(case.train, random_state=0).values()
    assert model.calibrator_ is not None
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    np.testing.assert_array_equal(loaded.score_rows(case.test), model.score_rows(case.test))


def test_a_baseline_refuses_what_it_learned_from_and_is_calibrated_on_the_rest(parts, tmp_path):
    train, _, calibration, test = parts
    model = cg.SummaryBaseline("logistic regression").fit(train)
    raw = model.predict_proba(test)
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    for one in (model, loaded):
        with pytest.raises(TrainingError, match="of patients that were seen"):
            one.calibrate(train)
        np.testing.assert_array_equal(one.predict_proba(test), raw)
    first = model.calibrate(calibration).calibrator_
    assert model.calibrate(calibration).calibrator_ == first == loaded.calibrate(calibration).calibrator_


def test_too_few_stays_leave_a_baseline_as_it_is(parts):
    with pytest.warns(CalibrationWarning, match="is not calibrated"):
        models = fit_baselines(some(parts[0], 3, 30), random_state=0)
    assert all(model.calibrator_ is None for model in models.values())


@pytest.mark.slow
def test_what_the_teacher_says_happens_on_average_happens(parts):
    train = parts[0]
    head = cg.GRUClassifier(**SMALL)._head(train)
    teacher = Teacher.fit(train, head, random_state=0)
    assert float(teacher.risk.mean()) == pytest.approx(train.outcome.mean(), abs=0.01)


@pytest.mark.parametrize("kind", ["multiclass", "forecast", "regression"])
def test_a_bundle_keeps_hashes_of_the_patients_that_calibrated_it_and_an_older_one_is_read_without(kind, tmp_path):
    case = fitted_case(kind)
    model = copy.copy(case.model).calibrate(case.test)
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    [kept] = loaded.calibration_patients_
    assert kept.includes(case.test).all()
    assert not kept.includes(case.train).any()
    assert len(kept.hashes) == len(np.unique(case.test.patient))
    arrays = model_arrays(model)
    own, parts = split_patient_arrays(arrays, prefix=CALIBRATION)
    assert len(parts) == 1
    assert split_patient_arrays(own, prefix=CALIBRATION) == (own, ())
    without_salt = {name: array for name, array in arrays.items() if name != f"{CALIBRATION}0.{SALT}"}
    with pytest.raises(BundleError, match="hashes"):
        split_patient_arrays(without_salt, prefix=CALIBRATION)
    assert blank_copy(model).calibration_patients_ == ()
