"""Folds: each patient in one, outcomes spread evenly, seeded."""

from __future__ import annotations

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.model.training.folds import cross_fit, patient_folds, step_positions


@pytest.fixture
def patients():
    rng = np.random.default_rng(0)
    return rng.integers(0, 300, 500).astype(str)


def test_each_patient_is_in_one_fold_and_all_folds_are_used(patients):
    outcome = (np.random.default_rng(1).random(500) < 0.15).astype(float)
    fold = patient_folds(patients, outcome, n_folds=5, random_state=0)
    assert set(fold) == set(range(5))
    for patient in np.unique(patients):
        assert len(set(fold[patients == patient])) == 1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_each_value_of_the_outcome_is_spread_evenly(patients, n_classes):
    outcome = np.random.default_rng(1).integers(0, n_classes, 500).astype(float)
    fold = patient_folds(patients, outcome, n_folds=5, random_state=0)
    for value in range(n_classes):
        counts = np.bincount(fold[outcome == value], minlength=5)
        assert np.ptp(counts) <= 3


def test_a_continuous_outcome_is_spread_by_its_deciles_and_unknown_ones_apart(patients):
    outcome = np.random.default_rng(1).lognormal(size=500)
    outcome[:50] = np.nan
    fold = patient_folds(patients, outcome, n_folds=5, random_state=0)
    assert np.ptp(np.bincount(fold[np.isnan(outcome)], minlength=5)) <= 4
    high = outcome > np.nanquantile(outcome, 0.9)
    assert np.ptp(np.bincount(fold[high], minlength=5)) <= 4


def test_the_same_seed_gives_the_same_folds_and_another_seed_gives_others(patients):
    outcome = (np.random.default_rng(1).random(500) < 0.15).astype(float)
    first, again, other = (patient_folds(patients, outcome, n_folds=5, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_too_few_patients_or_folds_or_stays_of_one_outcome_are_refused():
    patient = np.array(["a", "b", "c", "a"])
    for n_folds in (1, 4):
        with pytest.raises(cg.ClinicalGRUError, match=f"from 2 folds to one for each of 3 patients; got {n_folds}"):
            patient_folds(patient, np.zeros(4), n_folds=n_folds, random_state=0)
    with pytest.raises(cg.ClinicalGRUError, match="3 stays or more with the same outcome; got 2"):
        patient_folds(patient, np.array([0.0, 1, 0, 1]), n_folds=3, random_state=0)


def test_each_stay_is_predicted_by_a_model_of_the_other_folds(parts):
    stays = parts[0][np.arange(40)]
    fold = patient_folds(stays.patient, np.zeros(40), n_folds=4, random_state=0)

    class Remembers:
        def fit(self, train):
            self.patients = set(train.patient)

        def predict_proba(self, held_out):
            seen = np.isin(held_out.patient, list(self.patients)).astype(float)
            return np.stack([1 - seen, seen], axis=1)

    assert (cross_fit([Remembers() for _ in range(4)], stays, fold) == 0).all()


def test_positions_of_steps_are_those_of_the_stays_one_after_the_other():
    n_steps = np.array([2, 0, 3])
    np.testing.assert_array_equal(step_positions(n_steps, np.array([2, 1, 0])), [2, 3, 4, 0, 1])
