"""Drift: nothing is found without a change, each planted change is found, and nothing of a single patient is shown."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.cli.main import main
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError, InputError
from clinicalgru.evaluate.risk_groups import RiskGroups
from clinicalgru.model.reference_values import PatientInputs, bins, known_share, reference_of, tail
from clinicalgru.serve import drift_tests
from clinicalgru.serve.drift_tests import (
    ALPHA,
    SHARE_OF_ALPHA,
    DriftTest,
    compare_inputs,
    compare_outcomes,
    compare_scores,
    run_limits,
)

TASK = cg.Task.load("in_hospital_mortality")
NAMES = ["often", "seldom"]


def patients(rng, n):
    """Patients with two variables, one of which 60 % have."""
    count = np.where(rng.random((n, 2)) < [1, 0.6], 1 + rng.poisson(5, (n, 2)), 0).astype(float)
    mean = np.where(count > 0, np.exp(rng.normal(2, 0.3, (n, 2))), np.nan)
    return PatientInputs(np.arange(n), count, mean, mean * 0.8, mean * 1.2, np.empty((n, 0)))


def found(tests):
    """Kinds and variables with an alarm."""
    limits = run_limits(tests, [])
    return {(test.kind, test.variable) for test, limit in zip(tests, limits, strict=True) if test.p_value < limit}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("nothing", set()),
        ("shift", {("values", "seldom"), ("extremes", "seldom")}),
        ("missing", {("missing", "seldom")}),
        ("swap", {("extremes", "seldom")}),
        ("often", {("frequency", "often")}),
    ],
)
def test_each_change_is_found_on_the_variable_that_changed(change, expected):
    rng = np.random.default_rng(5)
    reference, new = reference_of(patients(rng, 5000), NAMES, []), patients(rng, 1500)
    if change == "shift":
        for values in (new.mean, new.lowest, new.highest):
            values[:, 1] *= np.exp(0.5 * 0.3)
    if change == "missing":
        lost = rng.random(1500) < 0.1 / 0.6
        new.count[lost, 1] = 0
        for values in (new.mean, new.lowest, new.highest):
            values[lost, 1] = np.nan
    if change == "swap":
        new.highest[rng.random(1500) < 0.05, 1] *= 18
    if change == "often":
        new.count[:, 0] += 2
    assert found(compare_inputs(reference, new, NAMES, [])) == expected


def test_the_limits_of_all_tests_add_up_to_at_most_one_percent():
    tests = [DriftTest(kind, name, None, None, 1.0) for kind in SHARE_OF_ALPHA for name in "abc"]
    assert sum(run_limits(tests, tests[:7])) <= ALPHA + 1e-12
    assert 0.7 * ALPHA < sum(run_limits(tests, tests)) <= ALPHA


def test_risks_and_outcomes_are_compared_with_those_of_calibration():
    rng = np.random.default_rng(3)
    risk, later = rng.beta(1, 6, (2, 3000))
    died = (rng.random((2, 3000)) < [risk, later]).astype(float)
    groups = RiskGroups.of(died[0], risk, np.arange(3000))
    assert found(compare_scores(groups, later) + compare_outcomes(later, died[1], 3000)) == set()
    assert found(compare_scores(groups, later * 1.3)) == {("scores", "risk")}
    assert ("performance", "event rate") in found(compare_outcomes(later * 1.5, died[1], 3000))
    assert ("performance", "calibration slope") in found(compare_outcomes(later, rng.permutation(died[1]), 3000))


def test_a_reference_holds_no_number_of_fewer_than_11_patients():
    rng = np.random.default_rng(1)
    values = np.exp(rng.normal(0, 1, 400))
    parts = bins(values)
    assert min(np.array(parts["shares"]) * 400) >= MIN_CELL_SIZE
    for upper in (False, True):
        limits = tail(values, upper=upper)
        assert limits["beyond"] >= MIN_CELL_SIZE
        assert limits["beyond_far"] in (0, None)
        assert not np.isin([limits["near"], limits["far"], *parts["edges"]], values).any()
    assert bins(values[:109]) is None
    assert tail(values[:109]) is None
    assert known_share(np.arange(400) < 10) == 0
    assert known_share(np.arange(400) >= 10) == 1


def test_the_shares_of_an_alarm_are_those_above_the_edge_nearest_to_the_median():
    """Numbers for a reader; the p value is of all bins. A share that would show a small count is left out."""
    entry = {"edges": [-1.0, 0.0, 1.0], "shares": [0.16, 0.33, 0.35, 0.16]}
    values = np.random.default_rng(0).normal(0.5, 1, 800)
    (moved,) = drift_tests._bins("values", "sodium", entry, 1000, values)
    assert (moved.expected, moved.found) == (0.51, round(float(np.mean(values >= 0)), 3))
    (all_above,) = drift_tests._bins("values", "sodium", entry, 1000, np.append(np.full(795, 2.0), np.full(5, -2.0)))
    assert all_above.found is None


@pytest.fixture(scope="module")
def model():
    return cg.SummaryBaseline("logistic regression").fit(cg.select(cg.read_events(cg.simulate(300)), TASK))


@pytest.fixture(scope="module")
def later():
    simulated = cg.simulate(300, random_state=10)
    site = np.where(np.arange(len(simulated.stays)) % 2, "north", "south")
    tables = {"stays": simulated.stays.assign(site=site), "outcomes": simulated.outcomes}
    return simulated.measurements, tables


@pytest.fixture(scope="module")
def events(later):
    rows, tables = later
    return cg.read_events(rows, **tables, group_columns=["site"])


@pytest.mark.slow
def test_a_lost_feed_and_another_unit_are_found_by_site(model, later, events, tmp_path):
    rows, tables = later
    assert cg.drift(model, events).exit_code == 0
    changed = rows[rows["variable"] != "lactate"].copy()
    changed.loc[changed["variable"] == "sodium", "value"] += 20
    result = cg.drift(model, cg.read_events(changed, **tables, group_columns=["site"]))
    assert result.exit_code == 9
    for group in ("all patients", "site"):
        alarms = result.alarms[result.alarms["group"] == group]
        assert {"lactate", "sodium"} <= set(alarms["variable"]) <= {"lactate", "sodium", "anion_gap"}
    assert set(result.by_group()["label"]) >= {"", "north", "south"}
    assert (result.table["patients"] % 100 == 0).all()
    page = result.to_html(tmp_path / "drift.html").read_text(encoding="utf-8")
    assert result.sentence in page
    assert "Lactate missing 100 % (training " in result.sentence
    assert "Sodium above the median of training 100 % (training " in result.sentence
    assert "Sodium" in str(result)
    assert ">sodium<" not in page
    assert json.loads(json.dumps(result.to_dict()))["drift"] is True


def test_scores_count_by_stay_and_those_of_another_model_are_refused(model, events, tmp_path):
    scores = cg.score(model, events)
    scores.to_parquet(tmp_path / "scores.parquet")
    own, given = (cg.drift(model, events, one).table for one in (None, tmp_path / "scores.parquet"))
    pd.testing.assert_frame_equal(own, given)
    with pytest.raises(InputError, match="those of another"):
        cg.drift(model, events, scores.assign(model_hash="other"))
    with pytest.raises(InputError, match="none of them"):
        cg.drift(model, events, scores.assign(stay_id="other"))
    with pytest.raises(InputError, match="without risk"):
        cg.drift(model, events, scores.drop(columns="risk"))


@pytest.mark.slow
def test_the_command_ends_with_9_and_an_old_bundle_is_refused(model, later, tmp_path, capsys):
    rows, tables = later
    cg.save(model, tmp_path / "bundle")
    for name, table in {"rows": rows[rows["variable"] != "lactate"], **tables}.items():
        table.to_parquet(tmp_path / f"{name}.parquet")
    options = [f"--{name}={tmp_path / name}.parquet" for name in tables]
    command = ["drift", str(tmp_path / "bundle"), str(tmp_path / "rows.parquet"), *options, "--json"]
    with pytest.raises(SystemExit) as end:
        main([*command, f"--page={tmp_path / 'page.html'}"])
    assert end.value.code == 9
    assert json.loads(capsys.readouterr().out)["alarms"] > 0
    assert (tmp_path / "page.html").exists()
    old = cg.load(tmp_path / "bundle")
    old.trained_on_ = {name: value for name, value in old.trained_on_.items() if name != "reference"}
    with pytest.raises(ArgumentError, match="a reference of its inputs"):
        cg.drift(old, cg.simulate(60))
