"""How the risk moved, against Shapley values by their definition: the mean over all orders of arrival."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from helpers import fact, stays_of

import clinicalgru as cg
from clinicalgru.explain.risk_changes import shapley as game

TIME = "time passing"


def log_odds(model, stay):
    risk = model.predict_proba(stay)[0, 1]
    return np.log(risk) - np.log1p(-risk)


@pytest.fixture(scope="module")
def stay(test_stays):
    """One measurement, then four at once, then one."""
    empty = test_stays[[0]].filter_measurements(np.zeros(test_stays.n_measurements[0], bool))
    facts = [
        fact(8, 1.0, 80),
        *(fact(v, 6.5, x) for v, x in ((6, 9), (8, 130), (10, 6.0), (11, 55))),
        fact(8, 20.0, 90),
    ]
    return stays_of(empty, {0: facts})


@pytest.mark.slow
def test_a_jump_is_divided_as_over_all_orders_of_arrival(fitted, stay):
    moved = cg.movement(fitted, stay)
    prefix = stay.prefixes(np.array([6.5]))
    arrived = np.flatnonzero(prefix.hours == 6.5)
    gain = np.zeros(len(arrived))
    for order in permutations(range(len(arrived))):
        there = prefix.hours < 6.5
        before = log_odds(fitted, prefix.filter_measurements(there))
        for player in order:
            there = there.copy()
            there[arrived[player]] = True
            after = log_odds(fitted, prefix.filter_measurements(there))
            gain[player] += after - before
            before = after
    jump = moved.changes[(moved.changes["hours"] == 6.5) & (moved.changes["variable"] != TIME)]
    np.testing.assert_allclose(jump["contribution"], gain / 24, atol=1e-5)
    assert (jump["standard_error"] == 0).all()


def test_time_alone_moves_the_risk_by_what_no_measurement_explains(fitted, stay):
    waited = cg.movement(fitted, stay).changes.query("variable == @TIME")
    known = stay.prefixes(np.array([6.5])).filter_measurements(np.array([True, False, False, False, False]))
    early = stay.prefixes(np.array([1.0]))
    assert waited["hours"].tolist() == [6.5, 20.0, 48.0]
    assert waited["contribution"].iloc[0] == pytest.approx(log_odds(fitted, known) - log_odds(fitted, early), abs=1e-6)


@pytest.mark.slow
def test_sampled_values_are_near_the_exact_ones_and_telescope_all_the_same(fitted, test_stays, monkeypatch):
    stay = test_stays[[3]]
    exact = cg.movement(fitted, stay)
    monkeypatch.setattr(game, "MAX_EXACT_PLAYERS", 2)
    sampled = cg.movement(fitted, stay, n_permutations=60, random_state=1)
    off = (sampled.changes["contribution"] - exact.changes["contribution"]).abs()
    error = sampled.changes["standard_error"]
    assert (error > 0).any()
    assert (off[error > 0] < 4 * error[error > 0] + 1e-4).mean() > 0.97
    assert abs(sampled.residual) < 1e-9
    assert cg.movement(fitted, stay, n_permutations=60, random_state=1).changes.equals(sampled.changes)


def test_points_between_two_hours_sum_to_the_change_of_the_risk(fitted, test_stays):
    moved = cg.movement(fitted, test_stays[[3]])
    shown = moved.between(10, 30)
    assert shown["risk_change"].sum() == pytest.approx(moved.risk_at(30) - moved.risk_at(10), abs=1e-9)
    assert shown["contribution"].abs().is_monotonic_decreasing
    assert moved.risk_at(-1) == moved.start_risk
    assert "changes add up to within 0.000000" in str(moved)


def test_two_results_of_one_variable_at_one_hour_share_alike(fitted, stay):
    twice = stays_of(stay, {0: [fact(10, 6.5, 6.0)]})
    moves = cg.movement(fitted, twice).changes.query("hours == 6.5 and variable == 'lactate'")
    assert moves["contribution"].nunique() == 1
    assert len(moves) == 2
