"""Split-conformal sets: coverage in simulation, by patient and by group; no single patient's residual is kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.conformal import POOLED, least_patients


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
