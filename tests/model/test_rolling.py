"""Rolling statistics of trailing windows, and dropout of measurement patterns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from family import fitted_case

import clinicalgru as cg
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.features.rolling import ROLLING, check_rolling_hours, rolling_at, rolling_shares
from clinicalgru.model.features.step_features import latest_measurements, step_features
from clinicalgru.model.features.summaries import summaries_at_end
from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.running import check_followed
from clinicalgru.model.training.pattern_dropout import without_patterns

WINDOWS = (1.0, 6.0, 24.0)


@pytest.fixture(scope="module")
def stays() -> cg.Sequences:
    return fitted_case("early_warning").test[:6]


def rolling_of_steps(stays: cg.Sequences) -> np.ndarray:
    """(step, variable, window, statistic)"""
    new = stays.is_new_step
    latest = latest_measurements(stays, np.cumsum(new) - 1, stays.stay_of_measurement[new])
    found = rolling_at(stays, latest, stays.hours[new], rolling_hours=WINDOWS)
    return found.reshape(len(found), len(stays.variables), len(WINDOWS), len(ROLLING))


def by_hand(stays: cg.Sequences, stay: int, variable: int, hours: float, window: float) -> list[float]:
    own = (stays.stay_of_measurement == stay) & (stays.variable == variable)
    own &= (stays.hours <= hours) & (stays.hours > hours - window + 1e-6)
    if not own.any():
        return [0.0] + [np.nan] * 4
    value, time = stays.value[own].astype(float), (stays.hours - stays.availability_lag)[own]
    slope = (value[-1] - value[0]) / (time[-1] - time[0]) if time[-1] != time[0] else np.nan
    return [np.log1p(own.sum()), value.mean(), value.min(), value.max(), slope]


def test_statistics_are_those_of_a_loop_over_the_measurements(stays):
    found, hours = rolling_of_steps(stays), stays.hours[stays.is_new_step]
    step_stay = np.repeat(np.arange(len(stays)), stays.n_steps)
    for row in range(0, len(hours), 7):
        for variable in range(len(stays.variables)):
            expected = [by_hand(stays, step_stay[row], variable, hours[row], window) for window in WINDOWS]
            np.testing.assert_allclose(found[row, variable], expected, rtol=1e-5, atol=1e-5)
    assert np.isfinite(found[..., 4]).mean() > 0.1  # slopes were among them


def test_a_window_that_holds_the_whole_stay_gives_the_summaries(stays):
    """Two computations of the same numbers: count, mean, minimum and maximum of all measurements."""
    n = len(stays.variables)
    table = summaries_at_end(stays, rolling_hours=(1e6,))
    plain = table[:, : 10 * n].reshape(len(stays), n, 10)[..., [0, 1, 3, 4]]
    rolling = table[:, 10 * n :].reshape(len(stays), n, len(ROLLING))[..., :4]
    np.testing.assert_allclose(rolling, plain, rtol=1e-5)


def test_neither_later_measurements_nor_other_stays_change_a_window(stays):
    found, first = rolling_of_steps(stays), np.cumsum(stays.n_steps) - stays.n_steps
    for one in range(len(stays)):
        alone = stays[[one]]
        middle = float(np.unique(alone.hours)[alone.n_steps[0] // 2])
        until = rolling_of_steps(alone.truncate_at(middle))
        np.testing.assert_array_equal(until, found[first[one] : first[one] + len(until)])


def test_shares_of_a_window_sum_to_one_and_are_of_its_measurements(stays):
    shares = rolling_shares(stays, WINDOWS)
    cell = stays.stay_of_measurement * len(stays.variables) + stays.variable
    n = len(stays.variables)
    rolling = summaries_at_end(stays, rolling_hours=WINDOWS)[:, 10 * n :].reshape(len(stays) * n, len(WINDOWS), -1)
    for number in range(len(WINDOWS)):
        total = np.bincount(cell, shares[:, number], minlength=len(rolling))
        np.testing.assert_allclose(total, rolling[:, number, 0] > 0, atol=1e-12)


@pytest.mark.slow
def test_trees_use_them_and_are_saved_with_them(tmp_path):
    case = fitted_case("early_warning")
    plain, rolling = (next(step_features(case.test, rolling_hours=one)).shape[1] for one in ((), (6.0, 24.0)))
    assert rolling - plain == (2 * 5 - 2) * len(case.test.variables)  # count and mean of 6 hours were there
    model = EarlyWarningTrees(rolling_hours=[24, 6]).fit(case.train)
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    assert check_rolling_hours(loaded.rolling_hours) == (6.0, 24.0)
    np.testing.assert_allclose(loaded.predict_proba(case.test), model.predict_proba(case.test), atol=1e-9)


@pytest.mark.parametrize("given", [6, "6", (6, 0), (6, 6), (None,)])
def test_windows_that_cannot_be_used_are_refused(given):
    with pytest.raises(cg.ClinicalGRUError, match="rolling_hours"):
        check_rolling_hours(given)


def test_a_network_with_windows_is_not_followed_row_by_row():
    with pytest.raises(cg.ClinicalGRUError, match="one with rolling_hours"):
        check_followed(NetworkSpec(variables=2, static_variables=(), rolling_hours=(6.0,)))


def test_a_hidden_pattern_leaves_the_values_and_nothing_of_when_they_were_measured(fitted, parts):
    network = fitted.network_
    batch = network.make_batch(parts[1][:10])
    inputs, rng = network.scaler(batch), np.random.default_rng(0)
    assert without_patterns(inputs, batch, network.spec, rng) is inputs
    hidden = without_patterns(inputs, batch, replace(network.spec, pattern_dropout=1.0), rng)
    assert not hidden.mask.any()
    assert not hidden.delta_hours.any()
    n = network.spec.variables * 10
    known = hidden.summary_mask[:, :n].unflatten(1, (-1, 10))
    assert not known[..., [0, 8, 9]].any()
    assert torch.equal(known[..., 1:8], inputs.summary_mask[:, :n].unflatten(1, (-1, 10))[..., 1:8])
    assert torch.equal(hidden.score, inputs.score)
    half = without_patterns(inputs, batch, replace(network.spec, pattern_dropout=0.5), rng)
    gone = (half.mask.sum(dim=0) == 0) & (inputs.mask.sum(dim=0) > 0)
    kept = half.mask.sum() / inputs.mask.sum()
    assert 0.3 < kept < 0.7
    assert not gone.all()
