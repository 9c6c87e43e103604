"""Split-conformal sets of several classes and labels: coverage in each, in simulation; rare ones are never left out."""

from __future__ import annotations

import json

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.conformal_quantile import least_patients
from clinicalgru.evaluate.set_coverage import class_set_coverage, label_set_coverage

CLASSES = ("0", "1", "2")


def draw(rng, n):
    """Three classes, the last one rare and with probabilities that are too low."""
    probability = rng.dirichlet([5, 2, 1], n)
    outcome = (rng.random((n, 1)) > probability.cumsum(axis=1)).sum(axis=1)
    wrong = probability * [1, 1, 0.6]
    return outcome, wrong / wrong.sum(axis=1, keepdims=True)


def test_coverage_is_nominal_in_each_class_though_probabilities_are_wrong():
    rng, found = np.random.default_rng(0), []
    for seed in range(25):
        (outcome, risk), (later, its_risk) = draw(rng, 1500), draw(rng, 3000)
        sets = cg.ClassConformalSets.fit(outcome, risk, classes=CLASSES, random_state=seed)
        table = class_set_coverage(later, sets.predict(its_risk), classes=CLASSES, min_cell_size=0).set_index("group")
        assert table.loc["all", "coverage"] == pytest.approx(sets.coverage(later, its_risk))
        found.append(table.loc[["class 0", "class 1", "class 2"], "coverage"])
    assert np.mean(found, axis=0) == pytest.approx([0.9] * 3, abs=0.015)


def test_each_set_holds_a_class_of_too_few_patients():
    outcome, risk = draw(np.random.default_rng(1), 1500)
    rare = np.flatnonzero(outcome == 2)
    few = np.setdiff1d(np.arange(1500), rare[least_patients(0.1) - 1 :])
    sets = cg.ClassConformalSets.fit(outcome[few], risk[few], classes=CLASSES)
    assert sorted(sets.quantiles) == ["0", "1"]
    assert sets.contains(risk)[:, 2].all()
    assert all("2" in text.split(" or ") for text in sets.predict(risk))
    with pytest.raises(ArgumentError, match="patients of a class"):
        cg.ClassConformalSets.fit(outcome[:30], risk[:30], classes=CLASSES)


def test_one_stay_of_each_patient_counts_and_unknown_classes_are_refused():
    outcome, risk = draw(np.random.default_rng(2), 800)
    repeated = {"classes": CLASSES, "patients": np.tile(np.arange(800), 4)}
    sets = cg.ClassConformalSets.fit(np.tile(outcome, 4), np.tile(risk, (4, 1)), **repeated)
    assert sets == cg.ClassConformalSets.fit(outcome, risk, classes=CLASSES)
    for wrong in (outcome + 1, np.where(outcome == 0, np.nan, outcome)):
        with pytest.raises(ArgumentError, match="positions of classes"):
            cg.ClassConformalSets.fit(wrong, risk, classes=CLASSES)
    with pytest.raises(ArgumentError, match="3 probabilities"):
        sets.predict(risk[:, :2])


def test_sets_of_classes_survive_json_and_contradictions_are_refused():
    sets = cg.ClassConformalSets(0.1, CLASSES, {"0": 0.6, "1": 0.2, "2": 0.3}, {"0": 400, "1": 90, "2": 90})
    assert sets.predict([[0.3, 0.4, 0.3], [0.4, 0.5, 0.1], [0.1, 0.05, 0.85]]).tolist() == ["none", "0", "2"]
    content = json.loads(json.dumps(sets.to_dict()))
    assert cg.ClassConformalSets.from_dict(content) == sets
    changes = ({"classes": ["0", "1"]}, {"classes": ["0", "0", "1", "2"]}, {"patients": {"0": 3, "1": 90, "2": 90}})
    for change in (*changes, {"quantiles": {}, "patients": {}}, {"alpha": 0.9}):
        with pytest.raises(ValueError, match="quantiles"):
            cg.ClassConformalSets.from_dict(content | change)


def test_each_label_has_its_own_sets_from_the_stays_in_which_it_is_known():
    rng, found = np.random.default_rng(3), []
    for seed in range(15):
        risk, later = rng.beta(1, 3, (1500, 3)), rng.beta(1, 3, (3000, 3))
        outcome, its_outcome = ((rng.random(one.shape) < one).astype(float) for one in (risk, later))
        outcome[rng.random(1500) < 0.3, 1] = np.nan
        outcome[40:, 2] = np.nan
        sets = cg.LabelConformalSets.fit(outcome, risk, names=("a", "b", "c"), random_state=seed)
        table = label_set_coverage(its_outcome, sets.predict(later), names=sets.names, min_cell_size=0)
        found.append(table.set_index("group")["coverage"])
    assert list(found[0].index) == ["a: all", "a: event", "a: no event", "b: all", "b: event", "b: no event"]
    assert np.mean(found, axis=0) == pytest.approx([0.9] * 6, abs=0.015)
    assert (sets.predict(later)[:, 2] == "").all()
    assert cg.LabelConformalSets.from_dict(json.loads(json.dumps(sets.to_dict()))) == sets
    with pytest.raises(ValueError, match="labels"):
        cg.LabelConformalSets.from_dict(sets.to_dict() | {"names": ["a", "c"]})
    with pytest.raises(ArgumentError, match="a label"):
        cg.LabelConformalSets.fit(outcome[:40], risk[:40], names=("a", "b", "c"))
