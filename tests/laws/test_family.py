"""The laws over every kind of estimator, as `check_sequence_estimator` holds them, and those of ensembles."""

from __future__ import annotations

import re

import numpy as np
import pytest
from family import ESTIMATORS, SMALL, cohort_of_all_tasks, fitted_case
from helpers import slow_but

import clinicalgru as cg

TINY = {
    "network": cg.NetworkConfig(hidden_size=4, readout_size=8, ensemble_size=1),
    "max_epochs": 1,
    "distillation": 0.0,
}
CHECKED = {
    **{name: estimator(**TINY) for name, estimator in ESTIMATORS.items()},
    "binary": cg.GRUClassifier(**TINY),
    "logistic regression": cg.SummaryBaseline("logistic regression"),
}
TASK_TYPES = {name: name for name in ESTIMATORS} | {"binary": "binary", "logistic regression": "binary"}


@pytest.mark.parametrize("name", slow_but(("binary", "regression", "logistic regression"), CHECKED))
def test_every_law_holds(name):
    table = cg.check_sequence_estimator(CHECKED[name], task_type=TASK_TYPES[name])
    assert (table["result"] == "passed").sum() >= 70


class Leaky(cg.SummaryBaseline):
    """Adds the outcome to the risk, and looks at the neighbours."""

    def predict_proba(self, stays):
        risk = super().predict_proba(stays)[:, 1]
        risk = 0.5 * risk + 0.1 * np.nan_to_num(stays.outcome) + 0.1 * len(stays) / (1 + len(stays))
        return np.stack([1 - risk, risk], axis=1)


def test_the_laws_that_do_not_hold_are_named():
    with pytest.raises(AssertionError, match="laws do not hold") as failure:
        cg.check_sequence_estimator(Leaky("logistic regression"), task_type="binary")
    for law in ("outcomes_do_not_matter", "neighbours_do_not_matter", "the_size_of_the_request_does_not_matter"):
        assert law in str(failure.value)
    errors = failure.value.__cause__.exceptions  # each with its traceback
    assert len(errors) == len(str(failure.value).splitlines()) - 1
    assert all(error.__traceback__ is not None for error in errors)


class Broken(cg.SummaryBaseline):
    """Raises an error of its own where it predicts."""

    def predict_proba(self, stays):
        raise ZeroDivisionError("a sum over no stays")


def test_an_error_of_any_kind_breaks_a_law_and_is_kept():
    with pytest.raises(AssertionError, match="ZeroDivisionError: a sum over no stays") as failure:
        cg.check_sequence_estimator(Broken("logistic regression"), task_type="binary")
    assert any(isinstance(error, ZeroDivisionError) for error in failure.value.__cause__.exceptions)


def test_checks_have_names_and_run_alone():
    checks = dict(cg.sequence_estimator_checks(cg.SummaryBaseline("logistic regression")))
    assert len(checks) >= 60
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in checks)
    checks["fit_refuses_an_array"]()


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
    np.testing.assert_allclose(
        hybrid.predict_proba(case.test[[3]])[-1], risk[np.cumsum(case.test.n_steps)[3] - 1], atol=1e-6
    )
    assert set(hybrid.weights_) == {"GRU", "boosted trees"}
    loaded = cg.load(cg.save(ensemble, tmp_path / "bundle"))
    assert loaded.threshold_ == ensemble.threshold_
    np.testing.assert_array_equal(loaded.predict_hourly(case.test)["risk"], ensemble.predict_hourly(case.test)["risk"])
    hours = cg.score(loaded, case.events, hourly=True)
    assert hours.groupby("stay_id")["prediction_hours"].apply(lambda each: (each.diff().dropna() == 1).all()).all()
    assert set(hours["stay_id"]) == set(case.events.stays["stay_id"])
