"""Calibrated estimators of every kind: another scale, the same order; in the bundle, in the score, in summaries."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from family import fitted_case, predicted
from sklearn.base import clone
from sklearn.metrics import log_loss

import clinicalgru as cg

KINDS = ("multiclass", "multilabel", "survival", "early_warning")


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    return fitted_case(request.param)


@pytest.fixture(scope="module")
def calibrated(case):
    """On the test stays of the family: which stays it learns from is not what is tested here."""
    return copy.deepcopy(case.model).calibrate(case.test)


@pytest.mark.slow
def test_calibration_changes_risks_but_not_their_order(case, calibrated):
    before, after = predicted(case.model, case.test), predicted(calibrated, case.test)
    assert np.abs(before - after).max() > 1e-4
    if case.kind == "multiclass":
        np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
        np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-6)
    else:
        order = before.argsort(axis=0, kind="stable")
        assert (np.diff(np.take_along_axis(after, order, axis=0), axis=0) >= -1e-12).all()


def test_the_log_loss_of_the_stays_it_was_learned_from_is_lower(case, calibrated):
    assert loss(calibrated, case) < loss(case.model, case) + 1e-3


def loss(model, case):
    risk, true = predicted(model, case.test), case.test.outcome
    if case.kind == "multiclass":
        return log_loss(true, risk)
    if case.kind == "early_warning":
        label = model.head_.step_labels(case.test)
        return log_loss(label[~np.isnan(label)], risk[~np.isnan(label), 1])
    if case.kind == "multilabel":
        known = ~np.isnan(true)
        return log_loss(true[known], risk[known])
    hours, event = np.minimum(true[:, 0], model.head_.cuts[-1]), true[:, 1] * (true[:, 0] <= model.head_.cuts[-1])
    before, after = (np.diag(model.predict_survival(case.test, hours + shift)) for shift in (-0.01, 0.0))
    return -np.where(event == 1, np.log((before - after) / 0.01), np.log(after)).mean()  # density, or survival


@pytest.mark.slow
def test_a_bundle_keeps_it_and_scores_with_it(case, calibrated, tmp_path):
    loaded = cg.load(cg.save(calibrated, tmp_path / "bundle"))
    assert loaded.calibrator_ == calibrated.calibrator_
    np.testing.assert_array_equal(predicted(loaded, case.test), predicted(calibrated, case.test))
    table = cg.score(tmp_path / "bundle", case.events).set_index("stay_id").loc[case.test.stay]
    np.testing.assert_allclose(table[loaded.score_columns_], calibrated.score_rows(case.test), rtol=1e-5)
    raw = cg.score(case.model, case.events).set_index("stay_id").loc[case.test.stay]
    assert (raw[loaded.score_columns_].to_numpy() != table[loaded.score_columns_].to_numpy()).any()


def test_what_is_explained_is_the_calibrated_answer(case, calibrated):
    stay = case.test[[int(np.argmax(case.test.n_measurements))]]
    why = cg.explain(calibrated, stay)
    said = calibrated.score_rows(stay)[0, 0 if case.kind == "multilabel" else -1]
    assert why.risk == pytest.approx(said, rel=1e-5)
    assert abs(why.completeness_gap) <= 1e-3


def test_a_new_calibration_forgets_the_threshold_of_other_risks():
    case = fitted_case("early_warning")
    model = copy.deepcopy(case.model).choose_threshold(case.test)
    with pytest.raises(cg.ClinicalGRUError, match="a threshold"):
        model.calibrate(case.test).predict(case.test)


def test_an_outcome_that_cannot_be_calibrated_is_named_and_left_as_it_is():
    case = fitted_case("multilabel")
    model = copy.deepcopy(case.model)
    without = case.test[case.test.outcome[:, 1] != 1]
    with pytest.warns(UserWarning, match="Not calibrated, too few known outcomes of both kinds: .*shock"):
        model.calibrate(without)
    np.testing.assert_array_equal(model.predict_proba(without)[:, 1], case.model.predict_proba(without)[:, 1])


@pytest.mark.slow
def test_an_ensemble_of_several_classes_is_calibrated_out_of_fold(tmp_path):
    case = fitted_case("multiclass")
    small = clone(case.model).set_params(max_epochs=1)
    model = cg.GRUEnsemble(small, n_members=2).fit(case.train, verbose=False)
    assert model.calibrator_.slope != 1
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    np.testing.assert_array_equal(loaded.predict_proba(case.test), model.predict_proba(case.test))
    np.testing.assert_allclose(model.out_of_fold_.sum(axis=1), 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["forecast", "regression", "multiclass"])
def test_a_notebook_a_card_and_a_bundle_say_whether_it_was_done(kind, tmp_path):
    from clinicalgru.serve.card import card

    case, yes, no = fitted_case(kind), "<td>yes, on ", "| calibrated | no |"
    before = copy.deepcopy(case.model)
    before.calibrator_, before.calibrated_on_ = None, None  # that of several classes was calibrated in fit
    assert yes not in before._repr_html_()
    assert no in card(before)
    model = copy.deepcopy(before).calibrate(case.test)
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    for one in (model, loaded):
        assert yes in one._repr_html_()
        assert no not in card(one)
    assert no in card(cg.load(cg.save(before, tmp_path / "before")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["forecast", "regression", "early_warning"])
def test_what_is_fitted_again_is_calibrated_no_more(kind):
    case = fitted_case(kind)
    model = copy.deepcopy(case.model).calibrate(case.test)
    if kind == "early_warning":
        model.choose_threshold(case.test)
    assert model.extra_state() or model.head_.interval_scale
    again = model.set_params(max_epochs=1).fit(case.train, verbose=False)
    fresh = clone(again).fit(case.train, verbose=False)
    assert again.extra_state() == fresh.extra_state() == {}
    assert getattr(again.head_, "interval_scale", ()) == ()
    assert again.calibrator_ is None
    np.testing.assert_array_equal(predicted(again, case.test), predicted(fresh, case.test))
