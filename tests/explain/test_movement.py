"""How the risk moved, against Shapley values by their definition: the mean over all orders of arrival."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
import pytest
import torch
from helpers import fact, stays_of

import clinicalgru as cg
from clinicalgru.explain.risk_changes import shapley as game
from clinicalgru.explain.risk_changes.coalitions import ArrivalGame
from clinicalgru.explain.targets import member_networks

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


def test_a_coalition_has_the_risk_of_a_stay_in_which_only_it_arrived(fitted, test_stays):
    """Every coalition of every time step against the network on rows that were left out, clinical indices included."""
    stay = test_stays[[int(np.argmin(np.abs(test_stays.n_measurements - 60)))]]
    networks = member_networks(fitted, None)
    assert networks[0].network.spec.clinical_indices
    with torch.no_grad():
        arrivals = ArrivalGame(networks[0], stay)
    rng = np.random.default_rng(0)
    step = np.repeat(np.flatnonzero(arrivals.players.sum(axis=1) > 1), 6)
    coalition = arrivals.players[step] & (rng.random((len(step), arrivals.players.shape[1])) < 0.5)
    step, coalition = step[coalition.any(axis=1)], coalition[coalition.any(axis=1)]
    with torch.no_grad():
        by_stay, in_batch = arrivals._values_by_stay(step, coalition), arrivals.values(step, coalition)
    np.testing.assert_allclose(in_batch, by_stay, atol=2e-5)
    assert len(step) > 40


def test_exact_values_are_those_of_all_coalitions_with_the_default_indices(fitted, test_stays):
    """PaO2 and FiO2, systolic and heart rate: one index of two variables of which one arrives later."""
    names = [variable.name for variable in test_stays.variables]
    empty = test_stays[[0]].filter_measurements(np.zeros(test_stays.n_measurements[0], bool))
    at = {name: names.index(name) for name in ("pao2", "fio2", "heart_rate", "sbp", "urine_output")}
    early = [fact(at[name], 1.0, x) for name, x in (("pao2", 90), ("fio2", 0.4), ("heart_rate", 90), ("sbp", 120))]
    later = [fact(at[name], 9.0, x) for name, x in (("pao2", 60), ("fio2", 0.9), ("heart_rate", 140), ("sbp", 80))]
    stay = stays_of(empty, {0: [*early, *later, fact(at["urine_output"], 9.0, 20)]})
    moved = cg.movement(fitted, stay).changes.query("hours == 9.0 and variable != @TIME")
    arrived = np.flatnonzero(stay.hours == 9.0)
    value = {}
    for code in range(2 ** len(arrived)):
        there = stay.hours < 9.0
        there[arrived[[bool(code >> i & 1) for i in range(len(arrived))]]] = True
        value[code] = log_odds(fitted, stay.filter_measurements(there).truncate_at(np.array([9.0])))
    n = len(arrived)
    expected = [
        sum(
            factorial(code.bit_count())
            * factorial(n - 1 - code.bit_count())
            / factorial(n)
            * (value[code | 1 << i] - value[code])
            for code in value
            if not code >> i & 1
        )
        for i in range(n)
    ]
    by_name = dict(zip([names[v] for v in stay.variable[arrived]], expected, strict=True))
    for row in moved.itertuples():
        assert row.contribution == pytest.approx(by_name[row.variable], abs=1e-5)


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
