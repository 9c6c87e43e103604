"""How far risks move over refits: measured by `train --instability`, kept in the bundle, shown in scores and report."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_cli import run

import clinicalgru as cg
from clinicalgru.data.task.task import Task
from clinicalgru.errors import CalibrationWarning, ClinicalGRUWarning
from clinicalgru.model.ablations import TRAINING_FRACTIONS
from clinicalgru.model.patient_overlap import seen_patients
from clinicalgru.model.seen_patients import SeenPatients
from clinicalgru.parts import split_parts
from clinicalgru.serve.card import card
from clinicalgru.serve.score_rows import score_sequences
from clinicalgru.trained_model import measure_instability, measure_membership, membership_text


@pytest.fixture(scope="module")
def trained():
    """A baseline, which is refitted in no time, on the parts that `pipeline.fit` makes."""
    parts = split_parts(cg.read_events(cg.simulate(300, random_state=2)), Task.load("in_hospital_mortality"), 0)
    *train, calibration = cg.split_patients(parts.development, TRAINING_FRACTIONS, random_state=0)
    model = cg.SummaryBaseline("logistic regression").fit(train[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        result = measure_instability(model.calibrate(calibration), parts, n_refits=10, random_state=0)
    return model, parts, result


def test_the_bundle_keeps_what_was_measured_on_the_test_stays(trained, tmp_path):
    model, parts, result = trained
    assert len(result.table) == model.has_observations(parts.test).sum()
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    assert loaded.instability_ == result.by_risk
    assert "10 refits on bootstrap samples" in (tmp_path / "bundle" / "card.md").read_text()
    items = cg.report(tmp_path / "bundle").items.set_index("item")
    assert "10 refits on bootstrap samples" in items.loc[12, "text"]


def test_scores_give_the_range_of_such_a_risk_at_the_prediction_time_only(trained):
    model, parts, result = trained
    scores = score_sequences(model, parts.test)
    scored = scores[scores["status"] == "scored"]
    expected = result.by_risk.ranges(scored["risk"])
    np.testing.assert_array_equal(scored[["risk_low", "risk_high"]], expected)
    assert (scored["risk_low"] <= scored["risk_high"])[scored["risk_low"].notna()].all()
    earlier = score_sequences(model, parts.test.truncate_at(24.0))
    assert earlier[["risk_low", "risk_high"]].isna().all(axis=None)
    at = result.by_risk.at(float(scored["risk"].iloc[0]))
    assert (at.low, at.high) == tuple(expected[0])


def test_too_few_refits_and_other_tasks_are_refused_before_anything_is_read(capsys, tmp_path):
    pd.DataFrame().to_csv(tmp_path / "labs.csv")
    (tmp_path / "task.yaml").write_text("name: los\noutcome: days\ntask_type: regression\nwindow_hours: [0, 24]\n")
    extract = (tmp_path / "labs.csv", "--outcomes", tmp_path / "labs.csv", "--out", tmp_path / "out")
    code, _, error = run(capsys, "train", *extract, "--instability", 3)
    assert code == 2
    assert "n_refits" in error
    code, _, error = run(capsys, "train", *extract, "--task", tmp_path / "task.yaml", "--instability", 20)
    assert code == 2
    assert "binary" in error


def test_too_few_events_leave_the_model_as_it_is_with_a_warning(trained):
    model, parts, result = trained
    event = np.flatnonzero(parts.development.outcome == 1)
    few = replace(parts, development=parts.development[np.setdiff1d(np.arange(len(parts.development)), event[1:])])
    with pytest.warns(ClinicalGRUWarning, match="was not measured"):
        assert measure_instability(model, few, n_refits=10, random_state=0) is None
    assert model.instability_ == result.by_risk


def test_membership_is_measured_on_test_patients_and_stands_in_output_and_card(trained):
    model, parts, _ = trained
    model = copy(model)
    audit = measure_membership(model, parts)
    members = parts.development[seen_patients(model).includes(parts.development)]
    again = cg.privacy_audit(model, members, parts.test, warn=False)
    assert audit.to_dict() == again.to_dict()
    assert model.trained_on_["membership"] == again.to_dict()
    assert membership_text(model, audit).startswith("Membership inference: ")
    assert "| membership inference | not measured: too few other patients |" in card(model)


def test_membership_is_not_measured_where_pretraining_had_all_test_patients(trained):
    model, parts, _ = trained
    model = copy(model)
    model.pretraining_patients_ = (SeenPatients.of(parts.test),)
    text = "not measured, all test patients took part in pretraining."
    assert membership_text(model, measure_membership(model, parts)) == f"Membership inference: {text}"
