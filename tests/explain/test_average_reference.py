"""Contributions that are counted from the average of training stays."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

import clinicalgru as cg
from clinicalgru.explain.attribution.contributions import attribute_members, average_reference, contributions
from clinicalgru.explain.attribution.integration_path import MEASURED, TIMING
from clinicalgru.explain.attribution.population import PopulationReference, _weights
from clinicalgru.explain.attribution.timing_share import fit_timing_share, timing_share
from clinicalgru.explain.prepared import prepare_stays
from clinicalgru.model.reference_stays import sample_stays
from clinicalgru.output_unit import LOG_ODDS


@pytest.fixture(scope="module")
def fitted(fitted, parts, all_reference_stays):
    """The small model, with as many reference stays as users have."""
    model = copy.copy(fitted)
    model.reference_stays_, model.averages_ = sample_stays(parts[0]), {}
    assert len(model.reference_stays_) == 100
    return model


@pytest.mark.slow
@pytest.mark.parametrize("hours", [None, 5.0, 20.0])
def test_contributions_sum_from_the_average_to_the_risk_at_any_hour(fitted, test_stays, hours):
    why = cg.explain(fitted, test_stays[[3]], at_hours=hours)
    assert why.reference_text == "average in training"
    total = why.by_variable()["contribution"].sum() + why.completeness_gap
    assert total == pytest.approx(logit(why.risk) - logit(why.reference_risk), abs=1e-6)
    empty = cg.explain(fitted, test_stays[[3]], at_hours=hours, reference="nothing")
    assert empty.risk == why.risk
    assert empty.completeness_gap == pytest.approx(why.completeness_gap)
    assert empty.absent.empty


@pytest.mark.slow
def test_the_reference_is_the_mean_risk_of_the_sample(fitted):
    sample = fitted.reference_stays_
    why = cg.explain(fitted, sample[[0]])
    assert why.reference_risk == pytest.approx(fitted.predict_proba(sample)[:, 1].mean(), abs=2e-3)


def test_of_each_variable_the_average_is_taken_once(fitted, test_stays):
    prepared = prepare_stays(fitted, test_stays[:12])
    stays = prepared.stays
    raw, average = attribute_members(prepared), average_reference(prepared)
    centered, parts = average.center(stays, raw), average.at(stays.end_hours)[0].sum(axis=1)
    for stay in range(len(stays)):
        for variable in range(len(stays.variables)):
            own = (stays.stay_of_measurement == stay) & (stays.variable == variable)
            found = centered.parts[:, own].sum() + centered.absent[stay, variable]
            assert found == pytest.approx(raw.parts[:, own].sum() - parts[stay, variable], abs=1e-9)
            assert own.any() == (centered.absent[stay, variable] == 0)


def test_weights_move_the_mean_log_odds_to_the_log_odds_of_the_mean_risk():
    number = np.random.default_rng(0).normal(-2, 1.5, 200)
    weight = _weights(number, LOG_ODDS)
    assert weight @ number == pytest.approx(logit(expit(number).mean()), abs=1e-9)
    assert weight.sum() == pytest.approx(1)
    assert weight.min() > 0
    np.testing.assert_array_equal(_weights(number, "outcome"), np.full(200, 1 / 200))


def test_a_bundle_explains_alike_and_holds_no_stay(fitted, test_stays, tmp_path):
    why = cg.explain(fitted, test_stays[[0]])
    loaded = cg.load(cg.save(fitted, tmp_path / "bundle"))
    again = cg.explain(loaded, test_stays[[0]])
    assert again.reference_risk == why.reference_risk
    np.testing.assert_array_equal(again.measurements["contribution"], why.measurements["contribution"])
    assert loaded.reference_stays_ is None
    assert pickle.loads(pickle.dumps(fitted)).reference_stays_ is None


@pytest.mark.slow
def test_a_new_calibration_gives_a_new_average(fitted, parts, test_stays):
    why = cg.explain(fitted, test_stays[[0]])
    calibrator = fitted.calibrator_
    try:
        fitted.calibrator_ = replace(calibrator, intercept=calibrator.intercept + 1.0)
        raised = cg.explain(fitted, test_stays[[0]])
    finally:
        fitted.calibrator_ = calibrator
    raise_of_mean = logit(raised.reference_risk) - logit(why.reference_risk)
    assert 0.8 < raise_of_mean <= 1.0  # each risk rises by 1; the mean of unequal risks by less
    assert cg.explain(fitted, test_stays[[0]]).reference_risk == pytest.approx(why.reference_risk)


def test_of_few_training_stays_there_is_no_average(parts, test_stays):
    model = cg.GRUClassifier(cg.NetworkConfig(hidden_size=4, readout_size=4), max_epochs=1, distillation=0.0)
    model.fit(parts[0][:19], validation=parts[1], verbose=False)
    why = cg.explain(model, test_stays[[0]])
    assert why.reference_text == "with nothing measured"
    assert contributions(model, test_stays[[0]]).absent is None


def test_codes_that_the_average_does_not_know_keep_their_contributions(fitted, test_stays):
    average = average_reference(prepare_stays(fitted, test_stays[:1]))
    assert PopulationReference.from_dict(average.to_dict()).codes == average.codes
    with pytest.raises(cg.ClinicalGRUError, match="reference"):
        cg.explain(fitted, test_stays[[0]], reference="median")


def test_what_fewer_than_11_training_stays_have_has_no_average(fitted):
    prepared = prepare_stays(fitted, fitted.reference_stays_)
    stays, raw = prepared.stays, attribute_members(prepared)
    rare = np.flatnonzero([variable.name == "lactate" for variable in stays.variables])[0]
    keep = (stays.variable != rare) | (stays.stay_of_measurement < 10)
    few = stays.filter_measurements(keep)
    average = PopulationReference.of([(few, replace(raw, parts=raw.parts[:, keep]))], unit=LOG_ODDS)
    assert (average.parts[0, :, rare] == 0).all()
    assert (average.parts[0].sum(axis=0) != 0).sum() >= len(stays.variables) - 3


def test_the_time_of_a_measurement_counts_as_timing_and_the_number_of_them_does_not():
    """Planted: being measured contributes half of the number of measurements, and 2 where the last one is late."""
    rng = np.random.default_rng(0)
    counts, last = rng.integers(1, 7, (300, 1)), rng.random((300, 1))
    late, noise = 2.0 * (last > 0.5), rng.normal(0, 0.2, (300, 1))
    curve, expected = fit_timing_share(counts / 2 + late + noise, counts, last)
    share = timing_share(np.stack([curve] * 300), np.stack([expected] * 300), counts, last)
    assert np.corrcoef(share[:, 0], late[:, 0])[0, 1] > 0.9
    assert abs(np.corrcoef(share[:, 0], counts[:, 0])[0, 1]) < 0.05
    assert abs(share.mean()) < 1e-9
    assert (timing_share(np.stack([curve] * 300), np.stack([expected] * 300), 0 * counts, last) == 0).all()


def test_chance_counts_as_timing_nowhere_and_of_few_stays_nothing_is_estimated():
    rng = np.random.default_rng(1)
    counts, last = rng.integers(1, 7, (100, 40)), rng.random((100, 40))
    curve, _ = fit_timing_share(rng.normal(0, 1, (100, 40)) + counts, counts, last)
    assert (curve == 0).all(axis=0).mean() > 0.9
    few = np.where(np.arange(100)[:, None] < 21, counts, 0)
    assert (fit_timing_share(5.0 * last, few, last)[0] == 0).all()


def test_no_mean_of_the_timing_is_that_of_few_stays():
    counts = np.repeat([1, 2, 9, 40], [30, 10, 12, 3])[:, None]
    last = np.random.default_rng(2).random((55, 1))
    _, expected = fit_timing_share(3.0 * last, counts, last)
    assert len(np.unique(expected)) == 2  # 30, then 10 + 12 + 3


def test_what_a_late_measurement_contributes_by_being_measured_is_shown_as_timing(fitted):
    """As in networks: that it was measured contributes the more the later it was, up to 4."""
    prepared = prepare_stays(fitted, fitted.reference_stays_)
    stays, rng = prepared.stays, np.random.default_rng(0)
    raw, stay = attribute_members(prepared), stays.stay_of_measurement
    first = np.diff(stay, prepend=-1) > 0
    one = replace(raw, parts=np.zeros((3, first.sum())), static=0 * raw.static, coded=0 * raw.coded)
    only = stays.filter_measurements(first)
    hours = rng.uniform(0, only.end_hours)
    only = replace(only, hours=hours, variable=np.zeros_like(only.variable))
    one.parts[MEASURED] = 4 * hours / only.end_hours + rng.normal(0, 0.1, len(hours))
    average = PopulationReference.of([(only, one)], unit="outcome")
    centered = average.center(only, one)
    assert (np.abs(centered.parts).argmax(axis=0) == TIMING).mean() >= 0.9
    np.testing.assert_allclose(centered.parts.sum(axis=0), one.parts.sum(axis=0) - one.parts.sum(axis=0).mean())
    restored = PopulationReference.from_dict(average.to_dict())
    np.testing.assert_array_equal(restored.center(only, one).parts, centered.parts)
    older = {name: value for name, value in average.to_dict().items() if not name.startswith("timing")}
    still = PopulationReference.from_dict(older).center(only, one)
    np.testing.assert_allclose(still.parts.sum(axis=0), centered.parts.sum(axis=0))
