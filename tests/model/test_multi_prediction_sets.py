"""Prediction sets of several classes and labels: in bundle, scores, evaluation, card, explanation and export alike."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import followed

import clinicalgru as cg
from clinicalgru.errors import ArgumentError
from clinicalgru.estimator_checks.example_stays import example_events, example_stays, example_task
from clinicalgru.model.baselines.tree_baselines import MulticlassTrees, MultilabelTrees
from clinicalgru.model.prediction_sets import restored_sets
from clinicalgru.pipeline import parse_target
from clinicalgru.serve.onnx.contract import contract_sets
from clinicalgru.serve.score_rows import schema_of, score_sequences, uncertainty_columns
from clinicalgru.serve.spark import columns_of_scores
from clinicalgru.view.text.standing_text import set_text

CLASSES = {0: "home", 1: "to a nursing home", 2: "died"}
LABELS = {"in_hospital_death": "death in hospital"}
pytestmark = pytest.mark.slow
NETWORK = cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1)


@pytest.fixture(scope="module", params=["multiclass", "multilabel"])
def fitted(request):
    """A network, and a baseline, calibrated on 540 stays; and the stays that neither saw."""
    named = {"classes": CLASSES} if request.param == "multiclass" else {"outcome_labels": LABELS}
    stays = cg.select(example_events(900), example_task(request.param, **named))
    train, calibration, test = cg.split_patients(stays, [0.2, 0.6, 0.2], random_state=0)
    gru = cg.GRUClassifier if request.param == "multiclass" else cg.GRUMultiLabel
    trees = MulticlassTrees if request.param == "multiclass" else MultilabelTrees
    network = gru(NETWORK, max_epochs=1, distillation=0).fit(train, verbose=False).calibrate(calibration)
    return network, trees().fit(train).calibrate(calibration), test


def test_calibrating_learns_sets_and_a_bundle_keeps_them(fitted, tmp_path):
    model = fitted[0] if fitted[2].task.task_type == "multiclass" else fitted[1]
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    assert loaded.prediction_sets_ == model.prediction_sets_
    assert loaded.prediction_sets_.alpha == 0.1
    card = (tmp_path / "bundle" / "card.md").read_text()
    assert "at hour 24 only" in card.split("prediction sets")[1]


def test_an_export_describes_the_same_sets(fitted):
    model, stays = fitted[0], fitted[2]
    risk, words = model.predict_proba(stays), {"": "none", "event or no event": "either"}
    expected = model.prediction_sets_.predict(risk).reshape(len(stays), -1)
    for members, own in zip(contract_sets(model).values(), expected.T, strict=True):
        held = [np.where((risk[:, m.score] >= m.low) & (risk[:, m.score] <= m.high), m.outcome, "") for m in members]
        found = [" or ".join(filter(None, row)) for row in zip(*held, strict=True)]
        assert [words.get(text, text) for text in found] == own.tolist() or not members


def test_scores_and_evaluation_count_the_same_sets(fitted):
    for model in fitted[:2]:
        scores, stays = score_sequences(model, fitted[2]), fitted[2]
        names = uncertainty_columns(model)
        scored = (scores["status"] == "scored").to_numpy()
        sets = model.prediction_sets_.predict(model.predict_proba(stays[scored]))
        assert (scores.loc[scored, names].to_numpy() == sets.reshape(-1, len(names))).all()
        assert (scores.loc[~scored, names] == "").all(axis=None)
        assert {str(field.type) for field in schema_of(names)} == {"string"}
        assert [name for name in scores if name != "model_hash"] == [
            name for name in columns_of_scores(model) if name not in ("model_hash", "input_hash", "scored_at", "run_id")
        ]
        table = cg.evaluate(model, stays, n_resamples=20).prediction_sets
        assert table["coverage"].dropna().between(0.75, 1).all()
        assert (score_sequences(model, stays.truncate_at(12.0))[names] == "").all(axis=None)


def test_a_monitor_gives_the_risks_and_sets_of_the_batch(fitted):
    model, stays = fitted[0], fitted[2]
    table = score_sequences(model, stays)
    sets = uncertainty_columns(model)
    for number in np.flatnonzero(table["status"] == "scored")[:8]:
        monitor, row = followed(model, stays[[number]]), table.iloc[number]
        assert monitor.risks(at_hours=24.0) == pytest.approx(row[model.score_columns_].to_dict(), abs=1e-6)
        assert monitor.prediction_sets(at_hours=24.0) == row[sets].to_dict()
        assert set(monitor.prediction_sets(at_hours=24.1).values()) == {""}
    with pytest.raises(ArgumentError, match="risks"):
        monitor.risk()
    if model.task_.task_type == "multilabel":
        with pytest.raises(ArgumentError, match="prediction_sets"):
            monitor.prediction_set()
    else:
        assert monitor.prediction_set(at_hours=24.0) == row["prediction_set"]
    assert np.isnan([*cg.Monitor(model).risks().values()]).all()
    assert set(cg.Monitor(model).prediction_sets(at_hours=24.0).values()) == {""}


def test_the_exported_program_gives_the_same_sets(fitted, tmp_path):
    """The program that ships with the graph, in a process of its own without torch, on the rows of the stays."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model, stays = fitted[0], fitted[2][np.arange(60)]
    folder = cg.export_onnx(model, tmp_path / "onnx")
    names = np.array([variable.name for variable in stays.variables])
    measurements = pd.DataFrame(
        {
            "stay_id": stays.stay_of_measurement,
            "hours": stays.hours.astype(float),
            "variable": names[stays.variable],
            "value": stays.value,
            "measured_hours": stays.hours.astype(float) - stays.availability_lag,
        }
    )
    measurements.to_csv(tmp_path / "m.csv", index=False)
    covariates = {variable.name: stays.static[:, i] for i, variable in enumerate(stays.static_variables)}
    for variable in stays.static_variables:
        if variable.categories:
            codes = dict(enumerate(variable.categories))
            covariates[variable.name] = [codes.get(x, "") for x in covariates[variable.name]]
    ends = np.where(np.arange(60) % 5, 24.0, 20.0)
    pd.DataFrame({"stay_id": range(60), **covariates, "end_hours": ends}).to_csv(tmp_path / "s.csv", index=False)
    code = "import sys; sys.modules['torch'] = None; import runpy; sys.argv = sys.argv[1:]; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, *(str(path) for path in (folder / "run_onnx.py", "m.csv", "s.csv"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    found = pd.read_csv(io.StringIO(done.stdout), keep_default_na=False)
    expected, sets = score_sequences(model, stays), uncertainty_columns(model)
    held = ((expected["status"] == "scored") & (ends == 24.0)).to_numpy()
    assert held.sum() > 30
    assert (found.loc[held, sets].to_numpy() == expected.loc[held, sets].to_numpy()).all()
    assert expected.loc[held, sets].nunique().max() > 1
    assert (found.loc[~held, sets] == "").all(axis=None)
    risks = found.loc[held, model.score_columns_].astype(float)
    np.testing.assert_allclose(risks, expected.loc[held, model.score_columns_], atol=1e-5)


def test_an_explanation_gives_the_set_of_its_stay(fitted):
    model, stay = fitted[0], fitted[2][[0]]
    explanation = cg.explain(model, stay)
    sets = model.prediction_sets_.predict(model.predict_proba(stay))
    shown = explanation.prediction_set
    assert shown.outcomes == (str(sets[0]) if shown.of_classes else str(sets[0, 0]))
    assert ("of each class" in set_text(explanation, "third")) == shown.of_classes
    assert cg.explain(model, stay, at_hours=12.0).prediction_set is None


def test_names_of_classes_and_labels_are_everywhere(fitted, tmp_path):
    named, columns = list(CLASSES.values()), ["risk_home", "risk_to_a_nursing_home", "risk_died"]
    if fitted[2].task.task_type == "multilabel":
        named, columns = ["death in hospital", "shock"], ["risk_in_hospital_death", "risk_shock"]
    loaded = cg.load(cg.save(fitted[0], tmp_path / "bundle"))
    for model in (*fitted[:2], loaded):
        assert list(model.score_columns_) == columns
        evaluation = cg.evaluate(model, fitted[2], n_resamples=5)
        assert list(evaluation.calibration) == named
        parts = [name.removeprefix("auroc_") for name in evaluation.metrics["metric"] if name.startswith("auroc_")]
        assert parts == ["mean", *(name.replace(" ", "_") for name in named)]
        assert {group.split(": ")[0] for group in evaluation.prediction_sets["group"]} - {"all"} <= set(named)
    assert loaded.head_ == fitted[0].head_
    why = cg.explain(loaded, fitted[2][[0]], target=loaded.head_.targets[0])
    assert (why.target_text, why.outputs["output"].tolist()) == (named[0], named)
    outcome = "the outcome “home”" if named[0] == "home" else named[0]
    assert f"Predicted risk of {outcome}" in why.to_html(tmp_path / "why.html").read_text()


def test_a_class_is_explained_by_name_or_by_number(fitted):
    if fitted[2].task.task_type == "multilabel":
        pytest.skip("labels have no numbers")
    by_name, by_number = (cg.explain(fitted[0], fitted[2][[0]], target=target) for target in ("died", 2.0))
    assert (by_name.risk, by_name.target_text) == (by_number.risk, by_number.target_text)
    assert [parse_target(fitted[0], text) for text in ("died", "2")] == ["died", 2.0]
    with pytest.raises(cg.ClinicalGRUError, match="a class among home, to a nursing home, died"):
        cg.explain(fitted[0], fitted[2][[0]], target="dead")


def test_sets_of_another_task_are_refused(fitted):
    model = fitted[0]
    values = json.loads(json.dumps(model.prediction_sets_.to_dict()))
    assert restored_sets(values, model) == model.prediction_sets_
    other = {"classes": ["0", "1", "7"]} if "classes" in values else {"names": ["septic", "else"]}
    binary = {"alpha": 0.1, "quantiles": {"all": 0.5}, "patients": {"all": 90}, "by_outcome": False}
    for wrong in (values | other, binary, {}):
        with pytest.raises((KeyError, ValueError)):
            restored_sets(wrong, model)
    with pytest.raises(ValueError, match="another task"):
        restored_sets(values, cg.SummaryBaseline("logistic regression").fit(example_stays("binary", 160)))
