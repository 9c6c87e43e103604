"""Estimators are scikit-learn's: its splitters, searches, calibration and inspection run on them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from family import ESTIMATORS, fitted_case
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score

import clinicalgru as cg

TINY = {
    "network": cg.NetworkConfig(hidden_size=4, readout_size=8, ensemble_size=1),
    "max_epochs": 1,
    "distillation": 0.0,
}
QUIET = {"params": {"verbose": False}}


@pytest.fixture(scope="module")
def stays(events, task):
    """Three hundred stays."""
    return cg.select(events, task)[:300]


@pytest.fixture(scope="module")
def model():
    return cg.GRUClassifier(**TINY)


@pytest.mark.slow
def test_cross_val_score_respects_groups(model, stays):
    folds = GroupKFold(n_splits=2)
    scores = cross_val_score(
        model, stays, stays.outcome, groups=stays.patient, cv=folds, scoring="roc_auc", error_score="raise", **QUIET
    )
    assert len(scores) == 2
    assert np.isfinite(scores).all()


@pytest.mark.slow
def test_cross_val_predict_gives_a_probability_of_each_class_in_the_order_of_the_stays(model, stays):
    folds = [(np.arange(150, 300), np.arange(150)), (np.arange(150), np.arange(150, 300))]
    risk = cross_val_predict(model, stays, stays.outcome, cv=folds, method="predict_proba", **QUIET)
    own = clone(model).fit(stays[150:], verbose=False).predict_proba(stays[:150])
    np.testing.assert_array_equal(risk[:150], own)
    assert risk.shape == (300, 2)


@pytest.mark.slow
def test_a_grid_search_varies_the_network(stays):
    search = GridSearchCV(
        cg.GRUClassifier(**TINY | {"network": None}), {"network__cell": ["gru", "rnn"], "network__hidden_size": [4]},
        cv=2, scoring="neg_brier_score", error_score="raise",
    )  # fmt: skip
    search.fit(stays, stays.outcome, verbose=False)
    assert search.best_params_["network__cell"] in ("gru", "rnn")
    assert search.best_estimator_.network.cell == search.best_params_["network__cell"]
    assert search.best_estimator_.network_.spec.hidden_size == 4


@pytest.mark.slow
def test_calibrated_classifier_cv_runs(model, stays):
    calibrated = CalibratedClassifierCV(model, cv=2).fit(stays, stays.outcome, verbose=False)
    risk = calibrated.predict_proba(stays)
    assert risk.shape == (300, 2)
    np.testing.assert_allclose(risk.sum(axis=1), 1)


@pytest.mark.slow
def test_permutation_importance_permutes_each_variable_and_static_covariate(stays):
    fitted = cg.GRUClassifier(**TINY).fit(stays, verbose=False)
    few = stays[:40]
    result = permutation_importance(fitted, few, few.outcome, n_repeats=1, scoring="neg_brier_score", random_state=0)
    assert len(result.importances_mean) == few.shape[1] == fitted.n_features_in_
    never = [i for i in range(len(few.variables)) if not (few.variable == i).any()]
    np.testing.assert_array_equal(result.importances_mean[never], 0)
    assert (result.importances_mean != 0).any()


def test_parameters_are_nested_and_clones_are_equal():
    model = cg.GRUClassifier().set_params(network__cell="lstm", max_epochs=3)
    assert model.get_params()["network__cell"] == "lstm"
    again = clone(model)
    assert again.get_params()["network__cell"] == "lstm"
    again.set_params(network__cell="gru")
    assert model.network.cell == "lstm"
    assert cg.GRUClassifier().network is None


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_an_estimator_that_is_not_fitted_says_so(name):
    model = ESTIMATORS[name]()
    attributes = ["network_", "head_", "history_", "task_", "n_features_in_"]
    for attribute in [*attributes, *(["classes_"] if is_classifier(model) and name != "multilabel" else [])]:
        with pytest.raises(NotFittedError):
            getattr(model, attribute)
    assert not hasattr(model, "network_")
    with pytest.raises(NotFittedError):
        model.score_rows(fitted_case(name).test)
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params()


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_a_fitted_estimator_has_features_tags_and_a_score(name):
    case = fitted_case(name)
    names = [variable.name for variable in (*case.train.variables, *case.train.static_variables)]
    assert case.model.feature_names_in_.tolist() == names
    assert case.model.n_features_in_ == len(names) == case.train.shape[1]
    assert np.isfinite(case.model.score(case.test))
    tags = case.model.__sklearn_tags__()
    assert tags.input_tags.allow_nan
    assert tags.no_validation
    assert is_classifier(case.model) == (name in ("multiclass", "multilabel", "early_warning"))
    assert is_regressor(case.model) == (name == "regression")


def test_the_score_is_the_accuracy_and_takes_the_outcome_that_the_stays_hold(stays):
    case = fitted_case("multiclass")
    accuracy = (case.model.predict(case.test) == case.test.outcome).mean()
    assert case.model.score(case.test) == case.model.score(case.test, case.test.outcome) == accuracy
    with pytest.raises(cg.ClinicalGRUError, match="y equal to the outcome"):
        case.model.score(case.test, 1 - case.test.outcome)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "survival"])
def test_y_must_be_the_outcome_that_the_stays_hold(kind):
    case = fitted_case(kind)
    model = clone(case.model)
    with pytest.raises(cg.ClinicalGRUError, match="y equal to the outcome"):
        model.fit(case.train, np.zeros_like(case.train.outcome), verbose=False)
    with pytest.raises(cg.ClinicalGRUError, match="validation="):
        model.fit(case.train, case.test, verbose=False)
    again = model.fit(case.train, case.train.outcome, verbose=False)
    np.testing.assert_array_equal(again.score_rows(case.test), case.model.score_rows(case.test))
