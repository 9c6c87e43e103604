"""The laws of prediction over every kind of estimator: 1, 3, 6, 12, 13, 14, and every stay its row."""

from __future__ import annotations

import numpy as np
import pytest
from family import ESTIMATORS, SMALL, cohort_of_all_tasks, fitted_case, predicted
from helpers import fact, stays_of
from sklearn.base import clone

import clinicalgru as cg


@pytest.fixture(scope="module", params=list(ESTIMATORS))
def case(request):
    return fitted_case(request.param)


def some(case):
    return case.test[np.arange(12)]


def by_stay(case, stays):
    """Predictions of each stay, as a list."""
    table = predicted(case.model, stays)
    rows = len(table) // max(1, len(stays) if len(table) == len(stays) else int(stays.n_steps.sum()))
    counts = np.ones(len(stays), int) if len(table) == len(stays) else stays.n_steps * rows
    return np.split(table, np.cumsum(counts)[:-1])


def test_1_a_patient_is_not_changed_by_the_neighbours_or_their_order(case):
    stays = some(case)
    together = by_stay(case, stays)
    order = np.random.default_rng(0).permutation(len(stays))
    shuffled = by_stay(case, stays[order])
    for i in range(len(stays)):
        np.testing.assert_allclose(predicted(case.model, stays[[i]]), together[i], atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(shuffled[list(order).index(i)], together[i], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["early_warning", "forecast"])
def test_6_what_comes_after_a_step_changes_nothing_said_there(kind):
    case = fitted_case(kind)
    stays = case.test[[i for i in range(len(case.test)) if case.test.n_steps[i] > 4][:6]]
    half = np.array([np.unique(stays[[i]].hours)[stays.n_steps[i] // 2] for i in range(len(stays))])
    cut = stays.filter_measurements(stays.hours <= half[stays.stay_of_measurement])
    odd = stays_of(cut, {i: [fact(0, half[i] + 1, 1e6)] for i in range(len(stays))})
    for i, (whole, until, changed) in enumerate(
        zip(by_stay(case, stays), by_stay(case, cut), by_stay(case, odd), strict=True)
    ):
        np.testing.assert_allclose(until, whole[: len(until)], atol=1e-6, rtol=1e-5, err_msg=str(i))
        np.testing.assert_allclose(changed[: len(until)], until, atol=1e-6, rtol=1e-5, err_msg=str(i))


def test_12_predicting_leaves_every_number_of_the_model_as_it_was(case):
    before = {name: tensor.clone() for name, tensor in case.model.network_.state_dict().items()}
    predicted(case.model, case.test)
    assert all(bool((tensor == before[name]).all()) for name, tensor in case.model.network_.state_dict().items())


def test_13_a_bundle_predicts_the_same_bits_and_says_which_estimator_it_holds(case, tmp_path):
    loaded = cg.load(cg.save(case.model, tmp_path / "bundle"))
    assert type(loaded) is type(case.model)
    np.testing.assert_array_equal(predicted(loaded, case.test), predicted(case.model, case.test))
    assert (
        cg.save(loaded, tmp_path / "again").joinpath("manifest.json").read_bytes()
        == (tmp_path / "bundle" / "manifest.json").read_bytes()
    )


def test_14_the_same_seed_gives_the_same_bits(case):
    again = clone(case.model).fit(case.train, verbose=False)
    np.testing.assert_array_equal(predicted(again, case.test), predicted(case.model, case.test))


def test_10_every_stay_of_an_extract_has_its_row(case, tmp_path):
    table = cg.score(case.model, case.events, out=tmp_path / "scores.parquet")
    assert len(table) == len(case.events.stays)
    assert (table["status"] == "scored").sum() > 100
    assert table.loc[table["status"] == "scored", case.model.score_columns_].notna().to_numpy().all() or (
        case.kind == "forecast"  # of a stay of one step nothing was expected
    )


@pytest.fixture(scope="module")
def ensemble():
    events = cohort_of_all_tasks()
    parts = cg.split_patients(cg.select(events, cg.Task.load("in_hospital_mortality_24h")), [0.7, 0.3], random_state=0)
    return parts, cg.GRUEnsemble(cg.GRUClassifier(**SMALL | {"max_epochs": 6}), n_members=3).fit(
        parts[0], verbose=False
    )


@pytest.mark.slow
def test_an_ensemble_keeps_the_laws_too(ensemble, tmp_path):
    (_, test), model = ensemble
    together = model.predict_proba(test)
    alone = np.concatenate([model.predict_proba(test[[i]]) for i in range(8)])
    np.testing.assert_allclose(alone, together[:8], atol=1e-6)
    loaded = cg.load(cg.save(model, tmp_path / "ensemble"))
    np.testing.assert_array_equal(loaded.predict_proba(test), together)
    table = cg.score(loaded, cohort_of_all_tasks())
    assert (table["status"] == "scored").any()


def test_each_out_of_fold_risk_is_of_the_one_member_that_did_not_know_the_patient(ensemble):
    (train, _), model = ensemble
    assert model.out_of_fold_.shape == (len(train), 2)
    known = [set(one.trained_on_) and one for one in model.members_]
    raw = np.stack([one.predict_proba(train)[:, 1] for one in known])
    own = model.calibrator_.predict(raw.ravel()).reshape(raw.shape)
    hits = np.isclose(own, model.out_of_fold_[:, 1], atol=1e-9)
    assert (hits.sum(axis=0) == 1).all()
    assert (hits.sum(axis=1) > 0).all()
    for member, hit in enumerate(hits):
        assert not set(train.patient[hit]) & set(train.patient[~hit]), member


@pytest.mark.slow
def test_ensembles_and_hybrids_warn_by_the_hour_too(tmp_path):
    case = fitted_case("early_warning")
    small = cg.GRUEnsemble(cg.GRUEarlyWarning(**SMALL), n_members=2)
    hybrid = cg.Hybrid(small).fit(case.train, verbose=False)
    ensemble = hybrid.ensemble_
    assert ensemble.out_of_fold_.shape == (case.train.n_steps.sum(), 2)
    risk = hybrid.predict_proba(case.test)
    assert risk.shape == (case.test.n_steps.sum(), 2)
    np.testing.assert_allclose(hybrid.predict_proba(case.test[[3]])[-1], risk[np.cumsum(case.test.n_steps)[3] - 1])
    assert set(hybrid.weights_) == {"GRU", "boosted trees"}
    loaded = cg.load(cg.save(ensemble, tmp_path / "bundle"))
    assert loaded.threshold_ == ensemble.threshold_
    np.testing.assert_array_equal(loaded.predict_hourly(case.test)["risk"], ensemble.predict_hourly(case.test)["risk"])
    hours = cg.score(loaded, case.events, hourly=True)
    assert hours.groupby("stay_id")["prediction_hours"].apply(lambda each: (each.diff().dropna() == 1).all()).all()
    assert set(hours["stay_id"]) == set(case.events.stays["stay_id"])
