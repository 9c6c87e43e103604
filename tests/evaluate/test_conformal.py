"""Split-conformal sets: coverage in simulation, by patient and by group; no single patient's residual is kept."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm, t

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.conformal_quantile import POOLED, least_patients
from clinicalgru.evaluate.instability import InstabilityCurve
from clinicalgru.evaluate.set_coverage import set_coverage


def draw(rng, n):
    """Risks that are right in group a and wrong in group b."""
    risk, group = rng.beta(1, 4, n), np.where(rng.random(n) < 0.5, "a", "b")
    return (rng.random(n) < np.where(group == "a", risk, risk**1.6)).astype(float), risk, group


def test_coverage_is_nominal_for_all_and_in_each_group():
    rng, every, by_group = np.random.default_rng(0), [], {"a": [], "b": []}
    for seed in range(100):
        outcome, risk, group = draw(rng, 1000)
        sets = cg.ConformalSets.fit(outcome, risk, groups=group, random_state=seed)
        plain = cg.ConformalSets.fit(outcome, risk, random_state=seed)
        outcome, risk, group = draw(rng, 3000)
        every.append(plain.coverage(outcome, risk))
        for name, found in by_group.items():
            at = group == name
            found.append(sets.coverage(outcome[at], risk[at], group[at]))
    assert np.mean(every) == pytest.approx(0.9, abs=0.005)
    assert [np.mean(found) for found in by_group.values()] == pytest.approx([0.9, 0.9], abs=0.01)


def test_one_stay_of_each_patient_counts():
    outcome, risk, _ = draw(np.random.default_rng(1), 200)
    sets = cg.ConformalSets.fit(np.tile(outcome, 5), np.tile(risk, 5), patients=np.tile(np.arange(200), 5))
    assert sets.patients["all"] == 200
    assert sets.quantiles == cg.ConformalSets.fit(outcome, risk).quantiles


def test_the_quantile_is_the_mean_of_eleven_residuals_and_needs_as_many():
    outcome, risk, _ = draw(np.random.default_rng(2), 300)
    residual = np.sort(np.where(outcome == 1, 1 - risk, risk))
    sets = cg.ConformalSets.fit(outcome, risk)
    rank = int(np.ceil(301 * 0.9))
    assert POOLED == 11
    assert sets.quantiles["all"] == pytest.approx(residual[rank - 6 : rank + 5].mean())
    assert sets.quantiles["all"] not in residual
    least = least_patients(0.1)
    outcome[:2] = 0, 1
    cg.ConformalSets.fit(outcome[:least], risk[:least])
    with pytest.raises(ArgumentError, match="patients for alpha"):
        cg.ConformalSets.fit(outcome[: least - 1], risk[: least - 1])


def test_sets_hold_what_the_risk_leaves_open_and_survive_json():
    sets = cg.ConformalSets(0.1, {"all": 0.8, "old": 0.3}, {"all": 500, "old": 90})
    assert sets.predict([0.1, 0.5, 0.9]).tolist() == ["no event", "either", "event"]
    assert sets.predict([0.1, 0.5, 0.9], ["old"] * 3).tolist() == ["no event", "none", "event"]
    assert sets.predict([0.5], ["never seen"]).tolist() == ["either"]
    assert cg.ConformalSets.from_dict(json.loads(json.dumps(sets.to_dict()))) == sets


@pytest.mark.slow
def test_by_outcome_coverage_holds_among_patients_with_and_without_a_rare_event():
    """Among all it would hold though most events were missed."""
    rng, found, plain = np.random.default_rng(3), [], []
    for seed in range(60):
        (outcome, risk, _), (later, its_risk, _) = draw(rng, 1000), draw(rng, 3000)
        sets = cg.ConformalSets.fit(outcome, risk, by_outcome=True, random_state=seed)
        all_alike = cg.ConformalSets.fit(outcome, risk, random_state=seed)
        for rule, kept in ((sets, found), (all_alike, plain)):
            table = set_coverage(later, rule.predict(its_risk), {}, min_cell_size=0).set_index("group")["coverage"]
            kept.append(table[["event", "no event"]])
            assert table["all"] == pytest.approx(rule.coverage(later, its_risk))
    assert np.mean(found, axis=0) == pytest.approx([0.9, 0.9], abs=0.01)
    assert np.mean(plain, axis=0)[0] < 0.7


def test_sets_by_outcome_need_patients_of_both_kinds_and_survive_json():
    outcome, risk, _ = draw(np.random.default_rng(2), 1000)
    sets = cg.ConformalSets.fit(outcome, risk, by_outcome=True)
    assert cg.ConformalSets.from_dict(json.loads(json.dumps(sets.to_dict()))) == sets
    limit = 1 - sets.quantiles["event"], sets.quantiles["no event"]
    middle = "either" if limit[0] <= limit[1] else "none"
    assert sets.predict([0.0, sum(limit) / 2, 1.0]).tolist() == ["no event", middle, "event"]
    events = np.flatnonzero(outcome == 1)
    few = np.setdiff1d(np.arange(1000), events[least_patients(0.1) - 1 :])
    with pytest.raises(ArgumentError, match="with, and without, the event"):
        cg.ConformalSets.fit(outcome[few], risk[few], by_outcome=True)
    with pytest.raises(ArgumentError, match="both"):
        cg.ConformalSets.fit(outcome, risk, groups=outcome, by_outcome=True)
    for change in ({"quantiles": {"event": 0.5}}, {"alpha": 0.9}, {"patients": {"event": 3, "no event": 900}}):
        with pytest.raises(ValueError, match="quantiles"):
            cg.ConformalSets.from_dict(sets.to_dict() | change)


def test_coverage_by_group_is_suppressed_where_few_are_not_covered():
    outcome, risk, group = draw(np.random.default_rng(5), 2000)
    sets = cg.ConformalSets.fit(outcome, risk, by_outcome=True).predict(risk)
    shown = set_coverage(outcome, sets, {"group": group}).set_index("group")
    assert shown.loc["all", "stays"] == shown.loc[["group: a", "group: b"], "stays"].sum() == 2000
    assert (shown["low"] < shown["coverage"]).all()
    rare = np.where(np.arange(2000) < 30, "rare", group)
    hidden = set_coverage(outcome, sets, {"group": rare}).set_index("group")
    assert hidden.loc["group: a", "stays"] is pd.NA
    assert hidden.loc["all", "stays"] == 2000


@pytest.mark.parametrize(
    "change",
    [
        {"by_outcome": 2},
        {"patients": {"event": 1e308, "no event": 400}},
        {"patients": {"event": float("inf"), "no event": 400}},
        {"patients": {"event": 89.7, "no event": 400}},
        {"quantiles": {"event": float("nan"), "no event": 0.3}},
        {"quantiles": {"event": 0.8, "no event": 0.3, "x": 0.1}, "patients": {"event": 90, "no event": 400, "x": 90}},
    ],
    ids=str,
)
def test_damaged_numbers_of_sets_are_refused(change):
    sets = cg.ConformalSets(0.1, {"event": 0.8, "no event": 0.3}, {"event": 90, "no event": 400}, by_outcome=True)
    with pytest.raises(ValueError, match="quantiles"):
        cg.ConformalSets.from_dict(sets.to_dict() | change)


@pytest.mark.parametrize(
    "change", [{"n_refits": [0.0]}, {"n_refits": [float("inf")]}, {"low": [0.9, 0.9]}, {"other": [1.0]}], ids=str
)
def test_damaged_numbers_of_an_instability_are_refused(change):
    curve = InstabilityCurve((0.1, 0.5), (0.05, 0.4), (0.2, 0.6), (0.03, 0.05), 50)
    assert InstabilityCurve.from_dict(curve.to_dict()) == curve
    with pytest.raises(ValueError, match="refits"):
        InstabilityCurve.from_dict(curve.to_dict() | change)


def test_coverage_of_several_stays_of_a_patient_has_the_interval_of_the_patients():
    """Each stay twice: Wilson's interval of the stays once, as scipy has it, with the t quantile of 400 patients."""
    outcome, risk, _ = draw(np.random.default_rng(6), 400)
    sets = cg.ConformalSets.fit(outcome, risk, by_outcome=True).predict(risk)
    twice = (np.repeat(outcome, 2), np.repeat(sets, 2), {})
    once = set_coverage(outcome, sets, {}, min_cell_size=0)
    doubled = set_coverage(*twice, patients=np.repeat(np.arange(400), 2), min_cell_size=0)
    assert (once["stays"] * 2).equals(doubled["stays"])
    for single, double in zip(once.itertuples(), doubled.itertuples(), strict=True):
        covered, stays = round(single.coverage * single.stays), int(single.stays)
        level = 2 * norm.cdf(t.ppf(0.975, stays - 1)) - 1
        for row, confidence in ((single, 0.95), (double, level)):
            expected = binomtest(covered, stays).proportion_ci(confidence, method="wilson")
            np.testing.assert_allclose([row.low, row.high], [expected.low, expected.high], atol=1e-12)
    wrong = set_coverage(*twice, min_cell_size=0)
    assert (wrong["low"] > doubled["low"]).all()
    few = set_coverage(outcome[:38], sets[:38], {}, patients=np.arange(38) // 2, min_cell_size=0)
    assert few["coverage"].isna().all()
