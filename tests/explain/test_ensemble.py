"""An ensemble is explained on what it says itself: the mean of its networks' log-odds, calibrated once more."""

from __future__ import annotations

import numpy as np
import pytest
from family import fitted_case
from helpers import fact, stays_of
from sklearn.base import clone

import clinicalgru as cg
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.explain.attribution.contributions import contributions
from clinicalgru.view.pages.patient_page import timeline_caption

SMALL = {
    "network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=3),
    "max_epochs": 4,
    "learning_rate": 1e-2,
    "distillation": 0.0,
}


@pytest.fixture(scope="module")
def ensemble(parts):
    """Three networks with a line of its own for their mean."""
    ensemble = cg.GRUEnsemble(cg.GRUClassifier(**SMALL), n_members=3).fit(parts[0], verbose=False)
    ensemble.calibrator_ = PlattCalibrator(slope=1.3, intercept=-0.4)
    return ensemble


def log_odds(risk):
    return np.log(risk) - np.log1p(-risk)


@pytest.mark.slow
def test_contributions_sum_to_the_ensembles_own_log_odds(ensemble, test_stays):
    for i in (0, 3):
        why = cg.explain(ensemble, test_stays[[i]])
        assert why.risk == pytest.approx(ensemble.predict_proba(test_stays[[i]])[0, 1], abs=1e-6)
        total = sum(frame["contribution"].sum() for frame in (why.measurements, why.static, why.absent))
        assert log_odds(why.risk) - log_odds(why.reference_risk) == pytest.approx(total, abs=1e-3)
        assert abs(why.completeness_gap) <= 1e-3


@pytest.mark.slow
def test_each_contribution_is_the_mean_of_those_of_the_networks_on_the_line_of_the_ensemble(ensemble, test_stays):
    stay = test_stays[[2]]
    slope = ensemble.calibrator_.slope
    tolerances = [(ensemble, 1e-3 * slope), *((one, 1e-3) for one in ensemble.members_)]  # the same in each network
    ours, *each = (
        cg.explain(one, stay, reference="nothing", tolerance=tolerance).measurements["contribution"]
        for one, tolerance in tolerances
    )
    np.testing.assert_allclose(ours, slope * np.mean(each, axis=0), atol=1e-9)


@pytest.mark.slow
def test_the_range_of_all_members_of_all_networks_is_kept_and_not_shown(ensemble, test_stays):
    why, moved = cg.explain(ensemble, test_stays[[2]]), cg.movement(ensemble, test_stays[[2]], n_permutations=4)
    assert (why.n_networks, why.n_heads) == (3, 9)
    assert "member" not in timeline_caption(why)  # their range is calibrated to nothing
    for name in ("hours", "risk", "low", "high"):
        np.testing.assert_allclose(moved.risk_trajectory[name], why.risk_trajectory[name], atol=1e-6)
    assert (why.risk_trajectory["low"] < why.risk_trajectory["high"]).all()
    assert why.risk_trajectory["risk"].iloc[-1] == pytest.approx(why.risk, abs=1e-6)
    assert why.attention["weight"].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_changes_of_an_ensemble_sum_to_its_own_rise(ensemble, test_stays):
    moved = cg.movement(ensemble, test_stays[[2]], n_permutations=4)
    rise = log_odds(ensemble.predict_proba(test_stays[[2]])[0, 1]) - log_odds(moved.start_risk)
    assert moved.changes["contribution"].sum() == pytest.approx(rise, abs=1e-4)


@pytest.mark.slow
def test_what_if_explains_the_ensemble(ensemble, test_stays):
    what_if = cg.what_if(ensemble, test_stays[[2]])
    lactate = [variable.name for variable in test_stays.variables].index("lactate")
    by_hand = stays_of(test_stays[[2]], {0: [fact(lactate, 30.25, 9.0)]})
    added = what_if.add(hours=30.25, variable="lactate", value=9.0)
    assert added.risk == pytest.approx(ensemble.predict_proba(by_hand)[0, 1], abs=1e-6)
    target = 0.9 * what_if.reset().risk
    change = what_if.counterfactual(target)
    assert change.valid == (change.changed_risk < target)


@pytest.mark.slow
def test_many_stays_at_once_and_what_is_made_of_them(ensemble, test_stays):
    found = contributions(ensemble, test_stays[:12])
    np.testing.assert_allclose(
        1 / (1 + np.exp(-found.number)), ensemble.predict_proba(test_stays[:12])[:, 1], atol=1e-6
    )
    assert (np.abs(found.residual) <= 1e-3).all()
    assert cg.importance(ensemble, test_stays[:12], n_resamples=20).n_stays == 12
    assert cg.faithfulness(ensemble, test_stays[:12], n_random=1).table["deletion"].iloc[0] > 0


@pytest.mark.slow
def test_an_ensemble_of_early_warnings_is_explained_at_an_hour():
    case = fitted_case("early_warning")
    ensemble = cg.GRUEnsemble(cg.GRUEarlyWarning(**SMALL), n_members=2).fit(case.train, verbose=False)
    stay = case.test[[int(np.argmax(case.test.n_measurements))]]
    hours, risk = np.unique(stay.hours), ensemble.predict_proba(stay)[:, 1]
    why = cg.explain(ensemble, stay, at_hours=hours[4])
    assert why.risk == pytest.approx(risk[4], abs=1e-6)
    assert abs(why.completeness_gap) <= 1e-3
    np.testing.assert_allclose(why.risk_trajectory["risk"], risk[:5], atol=1e-6)


@pytest.mark.slow
def test_networks_that_know_different_codes_each_keep_theirs(parts, test_stays):
    coded = [cg.GRUClassifier(**SMALL, use_codes=True, min_code_stays=least) for least in (1, 40)]
    fitted = [one.fit(parts[0][:80], validation=parts[1][:40], verbose=False) for one in coded]
    ensemble = cg.GRUEnsemble(fitted[0], n_members=2)
    ensemble.members_, ensemble.calibrator_ = fitted, None
    for name in ("task_", "variables_", "static_variables_", "trained_on_", "reference_stays_"):
        setattr(ensemble, name, getattr(fitted[0], name))
    assert len(fitted[0].network_.spec.code_vocabulary) > len(fitted[1].network_.spec.code_vocabulary)
    stays = test_stays[np.flatnonzero(np.diff(test_stays.code_starts) > 3)]
    why, *each = (cg.explain(one, stays[[0]], reference="nothing") for one in (ensemble, *fitted))
    assert len(why.coded_events) == len(each[0].coded_events)
    assert why.coded_events["contribution"].sum() == pytest.approx(
        np.mean([one.coded_events["contribution"].sum() for one in each]), abs=1e-6
    )
    assert abs(why.completeness_gap) <= 1e-3


@pytest.mark.parametrize("ask", [cg.gates, lambda model, stay: cg.similar(model, stay, stay)])
def test_what_only_one_network_has_is_refused_of_an_ensemble(ensemble, test_stays, ask):
    with pytest.raises(cg.ClinicalGRUError, match=r"a model of one network; got an ensemble of 3. Use one of its"):
        ask(ensemble, test_stays[[0]])


@pytest.fixture(scope="module", params=["multiclass", "multilabel", "regression", "survival"])
def other(request):
    """An ensemble of another kind, and its test stays."""
    case = fitted_case(request.param)
    small = clone(case.model).set_params(max_epochs=1)
    return cg.GRUEnsemble(small, n_members=2).fit(case.train, verbose=False), case.test


def predicted(model, stay):
    """The number that is explained by default: the last class or horizon, the first label, the mean."""
    column = -1 if model.task_.task_type in ("multiclass", "survival") else 0
    return model.score_rows(stay)[0, column]


@pytest.mark.slow
def test_an_ensemble_of_every_kind_is_explained_on_what_it_predicts_itself(other):
    model, test = other
    stay = test[[int(np.argmax(test.n_measurements))]]
    why = cg.explain(model, stay)
    assert why.n_networks == 2
    assert why.risk == pytest.approx(predicted(model, stay), abs=1e-5)
    assert why.risk_trajectory["risk"].iloc[-1] == pytest.approx(why.risk, abs=1e-5)
    ends = why.risk, why.reference_risk
    number, reference = (log_odds(end) if why.unit == "log-odds" else end for end in ends)
    total = sum(frame["contribution"].sum() for frame in (why.measurements, why.static, why.absent))
    scale = 1.0 if why.unit == "log-odds" else np.std(model.members_[0].head_.means)
    assert number - reference == pytest.approx(total, abs=2e-3 * scale)
    moved = cg.movement(model, stay, n_permutations=2)
    assert abs(moved.residual) < 1e-5 * scale
    assert moved.risk == pytest.approx(why.risk, abs=1e-5)


@pytest.mark.slow
def test_equal_networks_are_explained_as_one_of_them(other):
    one, test = other[0].members_[0], other[1]
    ensemble = cg.GRUEnsemble(clone(one), n_members=2)
    ensemble.members_, ensemble.calibrator_ = [one, one], None
    for name in ("task_", "variables_", "static_variables_", "trained_on_", "reference_stays_"):
        setattr(ensemble, name, getattr(one, name))
    together, alone = (cg.explain(model, test[[1]]) for model in (ensemble, one))
    np.testing.assert_allclose(together.measurements["contribution"], alone.measurements["contribution"], atol=1e-4)


@pytest.mark.slow
def test_many_stays_are_explained_as_each_of_them(other):
    model, test = other
    stays = test[:5]
    found = contributions(model, stays)
    each = [cg.explain(model, stays[[i]]) for i in range(len(stays))]
    sums = np.bincount(stays.stay_of_measurement, found.parts.sum(axis=0))
    alone = [why.measurements["contribution"].sum() for why in each]
    np.testing.assert_allclose(sums, alone, atol=5e-3 * model.members_[0].head_.explanation_target().scale)


@pytest.mark.slow
def test_an_ensemble_of_forecasts_is_explained_by_explain_forecast():
    case = fitted_case("forecast")
    model = cg.GRUEnsemble(clone(case.model).set_params(max_epochs=1), n_members=2).fit(case.train, verbose=False)
    stay = case.test[[int(np.argmax(case.test.n_measurements))]]
    why = cg.explain_forecast(model, stay)
    assert len(why.measurements) == stay.n_measurements[0]
    with pytest.raises(cg.ClinicalGRUError, match="Use explain_forecast"):
        cg.explain(model, stay)
    with pytest.raises(cg.ClinicalGRUError, match="a fitted GRUForecaster"):
        cg.explain_forecast(cg.GRUEnsemble(), stay)


@pytest.mark.slow
def test_a_hybrid_says_what_to_explain_instead(ensemble, test_stays):
    with pytest.raises(cg.ClinicalGRUError, match=r"got a Hybrid of networks and trees. Explain .* model.ensemble_"):
        cg.explain(cg.Hybrid(ensemble), test_stays[[0]])
