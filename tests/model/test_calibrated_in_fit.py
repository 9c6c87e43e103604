"""`GRUClassifier.fit` alone gives a calibrated model: on stays that each network did not learn from."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace

import numpy as np
import pytest
from family import SMALL, fitted_case
from scipy.special import logit

import clinicalgru as cg
from clinicalgru.errors import CalibrationWarning, TrainingError
from clinicalgru.evaluate.hour_calibrator import HourCalibrator
from clinicalgru.evaluate.shrinkage import fit_shrunken_line
from clinicalgru.model.ablations import fit_ablations
from clinicalgru.model.estimators.classifier import OWN_LEVEL_SCALE
from clinicalgru.model.estimators.validation_split import hold_back, outcome_folds
from clinicalgru.serve.card import card

COUNTS = {"stays", "patients", "outcomes", "training_folds"}
RISING = {"max_epochs": 2, "learning_rate": 1e-2}  # enough for risks that rise with the outcome in each fold


def unfitted(**options):
    return cg.GRUClassifier(**SMALL | options)


@pytest.fixture(scope="module")
def stays(events, task):
    return cg.select(events, task)


@pytest.fixture(scope="module")
def even(stays):
    """The stays with an outcome that half of them have, long stays, so that few stays are enough to hold back."""
    return replace(stays, outcome=(stays.n_steps > np.median(stays.n_steps)).astype(float))


@pytest.fixture(scope="module")
def held_back(even):
    """A model that holds back 15 % of its patients."""
    return unfitted(min_validation_events=0).fit(even, verbose=False)


@pytest.fixture(scope="module")
def folded(stays):
    """A model of five networks, each of which leaves out one fold, and whose risks rise with the outcome in each."""
    return unfitted(**RISING).fit(stays, verbose=False)


def raw(model):
    """The same network, not calibrated."""
    bare = copy.copy(model)
    bare.calibrator_ = None
    return bare


def test_the_stays_that_stopped_training_calibrate_it(held_back, even):
    train, validation = hold_back(even, None, random_state=0)
    alone = unfitted().fit(train, validation=validation, verbose=False)
    assert alone.calibrator_ is None  # the user chose these stays, and calibrates
    assert alone.calibrated_on_ is None
    np.testing.assert_array_equal(raw(held_back).predict_proba(even), alone.predict_proba(even))
    risk, line = alone.predict_proba(validation)[:, 1], held_back.calibrator_
    expected = fit_shrunken_line(smoothed_by_hand(validation.outcome), logit(risk), level_scale=OWN_LEVEL_SCALE)
    assert isinstance(line, HourCalibrator)
    assert (line.slope, line.intercept) == pytest.approx(expected, abs=1e-6)
    assert held_back.calibrated_on_ == {
        "stays": len(validation),
        "patients": len(np.unique(validation.patient)),
        "outcomes": int(validation.outcome.sum()),
        "training_folds": 1,
    }


def smoothed_by_hand(outcome):
    events, others = (outcome == 1).sum(), (outcome == 0).sum()
    return np.where(outcome == 1, (events + 1) / (events + 2), 1 / (others + 2))


def test_with_few_outcomes_each_fold_is_predicted_by_a_network_that_did_not_learn_from_it(folded, stays, monkeypatch):
    fold = outcome_folds(stays, None, min_validation_events=30, random_state=0)
    seen = list[tuple[np.ndarray, np.ndarray]]()
    inner = cg.GRUClassifier._calibration_scores

    def recorded(model, held):
        scores = inner(model, held)
        seen.append((held.stay.astype(str), scores[1]))
        return scores

    monkeypatch.setattr(cg.GRUClassifier, "_calibration_scores", recorded)
    again = unfitted(**RISING).fit(stays, verbose=False)
    assert again.calibrator_ == folded.calibrator_  # the same bits
    patients = len(np.unique(stays.patient))
    assert again.calibrated_on_ == {"stays": 340, "patients": patients, "outcomes": 52, "training_folds": 5}
    assert [set(names) for names, _ in seen] == [set(stays.stay[fold == k].astype(str)) for k in range(5)]
    whole = dict(zip(stays.stay.astype(str), raw(again).predict_proba(stays)[:, 1], strict=True))
    assert all(not np.allclose(risk, [whole[name] for name in names]) for names, risk in seen)


def test_the_course_is_calibrated_too(folded, stays):
    early = stays.truncate_at(np.minimum(6.0, stays.end_hours))
    assert np.abs(folded.predict_proba(early) - raw(folded).predict_proba(early)).max() > 1e-4
    assert folded.calibrator_.checks


def test_several_classes_are_calibrated_by_a_temperature():
    case = fitted_case("multiclass")
    assert case.model.calibrated_on_["training_folds"] == 5
    assert "outcomes" not in case.model.calibrated_on_
    assert not np.allclose(case.model.predict_proba(case.test), raw(case.model).predict_proba(case.test))


def test_fewer_than_20_events_leave_the_risks_as_they_are(stays):
    few = stays[np.r_[np.flatnonzero(stays.outcome == 1)[:19], np.flatnonzero(stays.outcome == 0)[:60]]]
    with warnings.catch_warnings():
        warnings.simplefilter("error", CalibrationWarning)
        model = unfitted().fit(few, verbose=False)
    assert model.calibrator_ is None
    assert model.calibrated_on_ is None


def test_a_network_that_learned_the_opposite_is_kept_with_a_warning(even):
    held = hold_back(even, None, random_state=0)[1]
    swapped = np.where(np.isin(even.stay, held.stay), 1 - even.outcome, even.outcome)
    with pytest.warns(CalibrationWarning, match=r"rise with the outcome.*The model is not calibrated"):
        model = unfitted(min_validation_events=0).fit(replace(even, outcome=swapped), verbose=False)
    assert model.calibrator_ is None
    assert model.calibrated_on_ is None


def test_other_stays_calibrate_it_anew_and_its_own_are_refused(held_back, folded, stays):
    with pytest.raises(TrainingError, match="stays of patients that were seen"):
        copy.copy(held_back).calibrate(stays)
    others = cg.select(cg.read_events(cg.simulate(300, random_state=9)), stays.task)
    calibrated, uncalibrated = copy.copy(folded).calibrate(others), raw(folded).calibrate(others)
    assert calibrated.calibrator_ == uncalibrated.calibrator_ != folded.calibrator_
    assert "training_folds" not in calibrated.calibrated_on_


def test_the_bundle_and_the_card_say_which_stays(held_back, folded, tmp_path):
    for model, words in ((folded, "out of fold on 340 stays"), (held_back, "held back for early stopping")):
        loaded = cg.load(cg.save(model, tmp_path / words.replace(" ", "_")))
        assert loaded.calibrator_ == model.calibrator_
        assert loaded.calibrated_on_.keys() == COUNTS
        assert loaded.calibrated_on_ == model.calibrated_on_
        assert words in card(loaded)
        assert words in loaded._repr_html_()


def test_an_ablation_is_fitted_and_calibrated_as_the_model_was(folded, stays):
    (one,) = fit_ablations(folded, stays, names=("no_sequence",)).values()
    assert one.calibrated_on_ == folded.calibrated_on_


def test_members_of_an_ensemble_are_calibrated_together_not_by_themselves(stays):
    ensemble = cg.GRUEnsemble(unfitted(), n_members=2).fit(stays, verbose=False)
    assert all(member.calibrator_ is None for member in ensemble.members_)
