"""Ensembles of every kind of estimator: how members are pooled and calibrated, saved, and shown to scikit-learn."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from family import ESTIMATORS, SMALL, cohort_of_all_tasks, fitted_case, task_of
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

import clinicalgru as cg
from clinicalgru.evaluate.calibrators import SurvivalCalibrator
from clinicalgru.model.baselines.forecast_baselines import FEWEST
from clinicalgru.model.estimators.pooled import pooled_model

QUICK = SMALL | {"max_epochs": 1}
KINDS = list(ESTIMATORS)


def predictions(model, stays):
    """All that a model of any kind predicts, as tables of numbers."""
    tables = [model.score_rows(stays)]
    if hasattr(model, "predict_proba"):
        tables.append(model.predict_proba(stays))
    if hasattr(model, "predict_survival"):
        tables.append(model.predict_survival(stays, [0, 50, 300, 1e5]))
    if hasattr(model, "predict_quantiles"):
        tables.append(model.predict_quantiles(stays, (0.01, 0.3, 0.99)))
    if hasattr(model, "expected"):
        tables += [model.expected(stays)[["low", "median", "high", "anomaly"]].to_numpy()]
    return tables


def parts(kind):
    stays = cg.select(cohort_of_all_tasks(), task_of(kind))
    return cg.split_patients(stays, [0.7, 0.3], random_state=0)


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    """The kind, training and test stays, and an ensemble of two."""
    train, test = parts(request.param)
    ensemble = cg.GRUEnsemble(ESTIMATORS[request.param](**QUICK), n_members=2)
    return request.param, train, test, ensemble.fit(train, verbose=False)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_members_predict_what_each_of_them_predicts(kind):
    one = copy.copy(fitted_case(kind).model)
    one.calibrator_ = None  # that of a member is not used
    ensemble = cg.GRUEnsemble(clone(one), n_members=3)
    ensemble.members_ = [one] * 3
    stays = fitted_case(kind).test[:10]
    for pooled, alone in zip(predictions(ensemble, stays), predictions(one, stays), strict=True):
        np.testing.assert_allclose(pooled, alone, rtol=1e-6, atol=1e-9)
    if kind not in ("early_warning", "forecast"):  # these are scored without the weights of training
        assert ensemble.score(stays) == pytest.approx(one.score(stays), abs=1e-5)


def test_each_member_learns_from_all_folds_but_its_own(case):
    _, train, _, ensemble = case
    patients = [set(train.patient[ensemble.fold_ == fold]) for fold in (0, 1)]
    assert not patients[0] & patients[1]
    for fold, member in enumerate(ensemble.members_):
        assert member.trained_on_["stays"] == (ensemble.fold_ != fold).sum()


def test_out_of_fold_predictions_are_of_the_member_that_did_not_see_the_patient(case):
    """The calibrated rows of each fold are those of its member alone; those of the other member differ."""
    kind, train, _, ensemble = case
    rows = {"early_warning": train.n_steps, "forecast": train.n_measurements}.get(kind, np.ones(len(train), int))
    stay = np.repeat(np.arange(len(train)), rows)
    assert len(ensemble.out_of_fold_) == len(stay)
    state = ensemble._state()
    if kind != "forecast":
        state.pop("head_")
    for fold in (0, 1):
        found = ensemble.out_of_fold_[ensemble.fold_[stay] == fold]
        own, other = (
            pooled_model([ensemble.members_[n]], state).out_of_fold(train[ensemble.fold_ == fold])
            for n in (fold, 1 - fold)
        )
        np.testing.assert_allclose(found, own, atol=1e-9)
        assert not np.allclose(found, other, atol=1e-9, equal_nan=True)


@pytest.mark.slow
def test_a_number_has_the_mixture_of_the_members_distributions():
    train, test = parts("regression")
    ensemble = cg.GRUEnsemble(cg.GRURegressor(**QUICK), n_members=3).fit(train, verbose=False)
    each = [one._predicted(test).numpy() for one in ensemble.members_]
    np.testing.assert_allclose(ensemble.predict(test), np.mean([one.predict(test) for one in ensemble.members_], 0))
    levels = np.array([0.05, 0.4, 0.9])
    for level, value in zip(levels, ensemble.predict_quantiles(test, tuple(levels)).T, strict=True):
        below = [one.head_.below(bins, value) for one, bins in zip(ensemble.members_, each, strict=True)]
        np.testing.assert_allclose(np.mean(below, axis=0), level, atol=1e-9)
    low, high = ensemble.out_of_fold_[:, 1], ensemble.out_of_fold_[:, 3]
    assert ((train.outcome >= low - 1e-9) & (train.outcome <= high + 1e-9)).mean() >= ensemble.coverage_ == 0.9
    np.testing.assert_array_equal(ensemble.predict_interval(test), ensemble.score_rows(test)[:, [1, 3]])


def test_survival_is_the_mean_of_the_members_curves_calibrated_out_of_fold():
    train, test = parts("survival")
    ensemble = cg.GRUEnsemble(cg.GRUSurvival(**QUICK), n_members=2).fit(train, verbose=False)
    hours = np.array([1.0, 77.7, 250.0, 1e4])
    curves = [one.predict_survival(test, hours) for one in ensemble.members_]
    np.testing.assert_allclose(
        ensemble.predict_survival(test, hours), ensemble.calibrator_.predict(np.mean(curves, axis=0))
    )
    pairs = [
        one.head_.calibration_pairs(held, one._predicted(held).numpy())
        for one, held in ((one, train[ensemble.fold_ == n]) for n, one in enumerate(ensemble.members_))
    ]
    by_hand = SurvivalCalibrator.fit(*(np.concatenate(column) for column in zip(*pairs, strict=True)))
    assert ensemble.calibrator_.slope == pytest.approx(by_hand.slope, rel=1e-3)
    assert ensemble.calibrator_.intercept == pytest.approx(by_hand.intercept, abs=1e-3)
    assert (np.diff(ensemble.predict_survival(test, np.linspace(0, 500, 40)), axis=1) <= 0).all()


@pytest.mark.slow
def test_labels_are_pooled_by_their_log_odds():
    train, test = parts("multilabel")
    ensemble = cg.GRUEnsemble(cg.GRUMultiLabel(**QUICK), n_members=2).fit(train, verbose=False)
    assert ensemble.labels_ == ensemble.members_[0].labels_
    risks = np.stack([one.predict_proba(test) for one in ensemble.members_])
    pooled = 1 / (1 + np.exp(-np.mean(np.log(risks) - np.log1p(-risks), axis=0)))
    np.testing.assert_allclose(ensemble.predict_proba(test), ensemble.calibrator_.predict(pooled))


@pytest.mark.slow
def test_a_forecast_is_as_wide_as_its_members_and_their_disagreement():
    train, test = parts("forecast")
    ensemble = cg.GRUEnsemble(cg.GRUForecaster(**QUICK), n_members=2).fit(train, verbose=False)
    unscaled = copy.copy(ensemble)
    del unscaled.head_
    change, scale, _ = unscaled._pooled()._outputs(test)
    each = [one._outputs(test) for one in ensemble.members_]
    np.testing.assert_allclose(change, np.mean([one[0].numpy() for one in each], axis=0))
    assert (scale.numpy() >= np.mean([one[1].numpy() for one in each], axis=0) - 1e-12).all()
    assert set(ensemble.interval_scale_) == {variable.name for variable in train.variables}
    narrow, wide = (ensemble.predict(test, coverage=coverage) for coverage in (0.5, 0.9))
    assert (narrow["high"] <= wide["high"]).all()
    expected = ensemble.expected(test).dropna(subset=["anomaly"])
    assert 0.8 < ((expected["value"] >= expected["low"]) & (expected["value"] <= expected["high"])).mean() <= 1
    out_of_fold = pd.Series(ensemble.out_of_fold_[:, 0]).dropna()
    inside = out_of_fold <= -np.log1p(-0.9)
    by_variable = inside.groupby(train.variable[inside.index]).agg(["mean", "count"])
    assert (by_variable.loc[by_variable["count"] >= FEWEST, "mean"] >= 0.9).all()


@pytest.mark.slow
def test_a_bundle_of_an_ensemble_predicts_the_same_bits(case, tmp_path):
    kind, _, test, ensemble = case
    loaded = cg.load(cg.save(ensemble, tmp_path / "bundle"))
    for ours, theirs in zip(predictions(loaded, test), predictions(ensemble, test), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.score(test) == ensemble.score(test)
    again = cg.save(loaded, tmp_path / "again")
    assert (again / "manifest.json").read_bytes() == (tmp_path / "bundle" / "manifest.json").read_bytes()
    assert f"An ensemble of 2 {'time-aware'}" in (again / "card.md").read_text()
    table = cg.score(loaded, cohort_of_all_tasks())
    scored = table[table["status"] == "scored"]
    assert len(scored) > 100
    assert scored[loaded.score_columns_].notna().to_numpy().all() or kind == "forecast"


@pytest.mark.slow
def test_members_that_know_different_codes_are_saved_too(tmp_path):
    events = cg.read_events(cg.simulate(120, random_state=5))
    train = cg.select(events, cg.Task.load("in_hospital_mortality"))
    member = cg.GRUClassifier(**QUICK, use_codes=True, min_code_stays=10)
    ensemble = cg.GRUEnsemble(member, n_members=2).fit(train, verbose=False)
    loaded = cg.load(cg.save(ensemble, tmp_path / "bundle"))
    assert len({one.network_.spec.code_vocabulary for one in ensemble.members_}) == 2
    np.testing.assert_array_equal(loaded.predict_proba(train), ensemble.predict_proba(train))


def test_evaluate_takes_an_ensemble_of_every_kind(case):
    kind, train, test, ensemble = case
    evaluation = cg.evaluate(ensemble, test, train=train) if kind == "survival" else cg.evaluate(ensemble, test)
    assert "GRU" in str(evaluation)


def test_scikit_learn_sees_the_kind_of_the_members(case):
    kind, _, test, ensemble = case
    unfitted = clone(ensemble)
    assert is_regressor(unfitted) == (kind == "regression")
    assert is_classifier(unfitted) == (kind in ("multiclass", "multilabel", "early_warning"))
    assert hasattr(ensemble, "predict_survival") == (kind == "survival")
    assert hasattr(ensemble, "predict_proba") == is_classifier(unfitted)
    assert ("predict_interval" in dir(ensemble)) == (kind == "regression")
    with pytest.raises(NotFittedError):
        unfitted.predict(test)
    assert ensemble.n_features_in_ == len(ensemble.feature_names_in_) == ensemble.members_[0].n_features_in_
    assert unfitted.get_params()["estimator__max_epochs"] == 1


@pytest.mark.slow
def test_a_grid_search_goes_over_the_arguments_of_the_members():
    train, _ = parts("regression")
    ensemble = cg.GRUEnsemble(cg.GRURegressor(**QUICK), n_members=2)
    search = GridSearchCV(ensemble, {"estimator__learning_rate": [1e-3, 1e-2]}, cv=2, error_score="raise")
    search.fit(train[:80], verbose=False)
    assert search.best_estimator_.members_[0].learning_rate == search.best_params_["estimator__learning_rate"]
    assert search.best_score_ <= 1


def test_an_estimator_of_another_kind_of_task_is_refused_before_training():
    train, _ = parts("regression")
    with pytest.raises(cg.ClinicalGRUError, match="a task of the kind survival for GRUSurvival; got regression"):
        cg.GRUEnsemble(cg.GRUSurvival(), n_members=2).fit(train, verbose=False)
    with pytest.raises(cg.ClinicalGRUError, match="estimator as GRUEstimator or None"):
        cg.GRUEnsemble(cg.SummaryBaseline("logistic regression"), n_members=2).fit(train, verbose=False)


def test_a_coverage_is_refused_of_what_is_no_forecast():
    case = fitted_case("regression")
    ensemble = cg.GRUEnsemble(clone(case.model))
    ensemble.members_ = [case.model] * 2
    with pytest.raises(cg.ClinicalGRUError, match="no coverage for a model that does not forecast"):
        ensemble.predict(case.test, coverage=0.5)


def test_a_failed_fit_leaves_an_ensemble_as_it_was(case):
    _, train, test, ensemble = case
    again, before = copy.copy(ensemble), predictions(ensemble, test)
    again.n_members = 10_000
    with pytest.raises(cg.ClinicalGRUError):
        again.fit(train, verbose=False)
    for now, then in zip(predictions(again, test), before, strict=True):
        np.testing.assert_array_equal(now, then)
