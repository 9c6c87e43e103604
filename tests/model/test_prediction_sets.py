"""Prediction sets and instability of a model: learned on stays it has not seen, shown at the prediction time only."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, BundleError
from clinicalgru.estimator_checks.example_stays import example_stays
from clinicalgru.evaluate.conformal import ConformalSets
from clinicalgru.evaluate.instability import Instability, InstabilityCurve
from clinicalgru.evaluate.risk_groups import RiskGroups
from clinicalgru.model.baselines.out_of_fold import calibrate_out_of_fold
from clinicalgru.model.instability import _drawn, _refit, _targets
from clinicalgru.model.prediction_sets import cross_fitted_sets, sets_of
from clinicalgru.serve.recalibrate import recalibrate
from clinicalgru.serve.score_rows import score_sequences

SETS = ConformalSets(0.1, {"event": 0.8, "no event": 0.3}, {"event": 90, "no event": 400}, by_outcome=True)
CURVE = InstabilityCurve((0.01, 0.2, 0.9), (0.005, 0.1, 0.8), (0.03, 0.4, 0.95), (0.01, 0.05, 0.04), 50)


@pytest.fixture
def model(fitted):
    """The shared model, with sets and a curve of our own: it has too few calibration stays to learn any."""
    other = copy.copy(fitted)
    other.prediction_sets_, other.instability_ = SETS, CURVE
    other.risk_groups_ = {"": RiskGroups((0.1, 0.5), (100, 100), (20, 50), (0.1, 0.2, 0.5))}
    return other


@pytest.fixture(scope="module")
def halves():
    return cg.split_patients(example_stays("binary", 800), [0.25, 0.75], random_state=0)


def test_each_residual_is_of_a_risk_that_was_calibrated_on_other_patients(halves):
    train, calibration = halves
    model = cg.SummaryBaseline("logistic regression").fit(train)
    risk, seen = model.predict_proba(calibration)[:, 1], []

    class Recorded:
        def predict(self, held):
            seen[-1].append(held)
            return held

    def fit(outcome, fitted_on):
        seen.append([fitted_on])
        return Recorded()

    sets = cross_fitted_sets(calibration, risk, fit)
    assert len(seen) == 5
    for fitted_on, held in seen:
        assert sorted([*fitted_on, *held]) == pytest.approx(sorted(risk))
    expected = ConformalSets.fit(calibration.outcome, risk, patients=calibration.patient, by_outcome=True)
    assert sets == expected
    assert cross_fitted_sets(calibration[:40], risk[:40], fit) is None
    assert cross_fitted_sets(calibration.truncate_at(5.0), risk, fit) is None  # another moment than the prediction's


def test_calibrating_learns_sets_which_a_bundle_keeps_and_a_recalibration_replaces(halves, tmp_path):
    train, calibration = halves
    later = cg.select(cg.read_events(cg.simulate(600, random_state=9)), calibration.task)
    model = cg.SummaryBaseline("logistic regression").fit(train).calibrate(calibration)
    assert model.prediction_sets_.by_outcome
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    assert loaded.prediction_sets_ == model.prediction_sets_
    assert "at hour" in (tmp_path / "bundle" / "card.md").read_text().split("prediction sets")[1]
    new = recalibrate(model, later).model
    assert new.prediction_sets_ not in (None, model.prediction_sets_)
    assert new.instability_ is None


def test_scores_monitor_and_explanation_give_one_set_and_only_at_the_prediction_time(model, test_stays):
    scores = score_sequences(model, test_stays)
    scored = scores["status"] == "scored"
    assert (scores.loc[scored, "prediction_set"] == SETS.predict(scores.loc[scored, "risk"])).all()
    assert (scores.loc[~scored, "prediction_set"] == "").all()
    stay = test_stays[[0]]
    expected = SETS.predict([scores["risk"][0]])[0]
    explanation = cg.explain(model, stay)
    assert (explanation.prediction_set.outcomes, explanation.prediction_set.hour) == (expected, 48.0)
    assert explanation.refit_range == CURVE.at(explanation.risk)
    earlier = stay.truncate_at(30.0)
    for other in (cg.explain(model, earlier), cg.explain(model, stay, at_hours=30.0)):
        assert (other.prediction_set, other.refit_range, other.standing) == (None, None, None)
    assert sets_of(model, earlier, np.array([0.1])).tolist() == [""]
    assert score_sequences(model, earlier)["prediction_set"].tolist() == [""]


def test_a_monitor_gives_the_set_at_the_prediction_time_only(model, test_stays):
    monitor = cg.Monitor(model)
    assert monitor.prediction_set(at_hours=48.0) == ""
    monitor.update("heart_rate", 90, hours=2.0)
    assert monitor.prediction_set(at_hours=48.0) == SETS.predict([monitor.risk(at_hours=48.0)])[0]
    assert monitor.prediction_set() == monitor.prediction_set(at_hours=47.0) == ""


def test_a_bundle_keeps_both_and_refuses_others(model, tmp_path):
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    assert (loaded.prediction_sets_, loaded.instability_) == (SETS, CURVE)
    for name, wrong in (
        ("prediction_sets_", ConformalSets(0.1, {"event": 0.8}, {"event": 90}, by_outcome=True)),
        ("instability_", InstabilityCurve((0.2, 0.1), (0.1, 0.1), (0.2, 0.2), (0.0, 0.0), 50)),
    ):
        other = copy.copy(model)
        setattr(other, name, wrong)
        cg.save(other, tmp_path / "wrong")
        with pytest.raises(BundleError, match="Expected"):
            cg.load(tmp_path / "wrong")


def test_an_evaluation_counts_who_is_covered(model, test_stays):
    evaluation = cg.evaluate(model, test_stays, n_resamples=20, by_hour=False, groups={})
    table = evaluation.prediction_sets.set_index("group")
    risk = model.predict_proba(test_stays)[:, 1]
    assert table.loc["all", "coverage"] == pytest.approx(SETS.coverage(test_stays.outcome, risk))
    assert "Prediction sets" in str(evaluation)


def test_equal_refits_have_no_instability_and_other_ones_the_mean_difference():
    risk = np.linspace(0.05, 0.9, 300)
    assert Instability.of(risk, [risk] * 10).mape == 0.0
    moved = Instability.of(risk, [risk - 0.02, risk + 0.04])
    assert moved.table["mape"].to_numpy() == pytest.approx(np.full(300, 0.03))
    at = moved.by_risk.at(0.5)
    assert (at.low, at.high, at.mape) == pytest.approx((0.48, 0.54, 0.03), abs=0.004)
    assert len(moved.by_risk.risk) == 20
    assert moved.by_risk.at(0.9999) is None
    assert Instability.of(risk[:10], [risk[:10]]).by_risk.risk == ()  # of fewer than 11 patients
    assert InstabilityCurve.from_dict(moved.by_risk.to_dict()) == moved.by_risk


class EventRate(BaseEstimator):
    """A model whose every risk is the event rate of its training stays."""

    calibrator_ = None

    def fit(self, stays):
        self.rate_ = float(stays.outcome.mean())
        return self

    def predict_proba(self, stays):
        return np.tile([1 - self.rate_, self.rate_], (len(stays), 1))

    def has_observations(self, stays):
        return np.ones(len(stays), dtype=bool)


@pytest.mark.slow
def test_refits_move_a_mean_by_its_standard_error(halves):
    stays = halves[0]
    model = EventRate().fit(stays)
    result = cg.instability(model, stays, n_refits=300)
    expected = np.sqrt(model.rate_ * (1 - model.rate_) / len(stays))
    assert result.mape == pytest.approx(np.sqrt(2 / np.pi) * expected, rel=0.15)
    half_width = (result.table["high"] - result.table["low"]) / 2
    assert half_width.iloc[0] == pytest.approx(1.96 * expected, rel=0.15)
    assert len(result.plot().data) == 2
    assert "300 refits" in str(result)


@pytest.mark.slow
def test_refits_of_a_calibrated_model_are_calibrated_too(halves):
    train, other = halves
    model = cg.SummaryBaseline("logistic regression").fit(train).calibrate(other)
    with pytest.raises(ArgumentError, match="calibration stays"):
        cg.instability(model, train, n_refits=10)
    assert cg.instability(model, train, calibration=other, apply_to=other, n_refits=10).n_refits == 10


@pytest.mark.slow
def test_a_network_is_refitted_with_teacher_and_auxiliary_targets_though_stays_are_drawn_twice(halves, few_trees):
    stays, rng = halves[0], np.random.default_rng(0)
    sample, source = _drawn(stays, rng)
    assert len(np.unique(sample.stay)) == len(sample) > len(np.unique(source))
    row = pd.Index(stays.stay).get_indexer(source)
    np.testing.assert_array_equal(sample.patient, stays.patient[row])
    np.testing.assert_array_equal(sample.n_measurements, stays.n_measurements[row])
    auxiliary = pd.DataFrame({"number": np.arange(len(stays), dtype=float)}, index=stays.stay)
    targets = _targets(auxiliary, sample, source)
    np.testing.assert_array_equal(targets.loc[sample.stay, "number"], row)
    model = cg.GRUClassifier(cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1), max_epochs=1)
    model.fit(stays, auxiliary=auxiliary, verbose=False)
    refit = _refit(model, stays, None, rng, auxiliary=auxiliary)
    assert not np.array_equal(refit.predict_proba(stays), model.predict_proba(stays))


class Knowing(cg.SummaryBaseline):
    """A baseline whose risks follow the outcome, whatever it was fitted on."""

    def _learn(self, stays):
        self.fitted_ = True

    def predict_proba(self, X):
        risk = 0.2 + 0.6 * X.outcome
        return np.stack([1 - risk, risk], axis=1)


def test_out_of_fold_risks_meet_the_outcomes_of_their_own_stays():
    stays = example_stays("binary", 800)
    model = calibrate_out_of_fold(Knowing("logistic regression").fit(stays), stays, random_state=0)
    assert max(model.prediction_sets_.quantiles.values()) < 0.3
