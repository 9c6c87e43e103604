"""Every baseline and the Hybrid: saved without pickle, loaded to the same bits; damaged bundles are refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from family import cohort_of_all_tasks, fitted_case, task_of

import clinicalgru as cg
from clinicalgru.model.baselines.boosted_trees import BoostedTrees
from clinicalgru.model.baselines.discrete_hazard_trees import DiscreteHazardTrees
from clinicalgru.model.baselines.forecast_baselines import BoostedTreesForecaster, LOCFForecaster
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.baselines.tree_baselines import MedianTrees, MulticlassTrees, MultilabelTrees
from clinicalgru.serve.bundle import files

CASES = {
    "logistic regression": ("binary", lambda: cg.SummaryBaseline("logistic regression")),
    "boosted trees": ("binary", lambda: cg.SummaryBaseline("boosted trees")),
    "multiclass": ("multiclass", MulticlassTrees),
    "multilabel": ("multilabel", MultilabelTrees),
    "regression": ("regression", MedianTrees),
    "survival": ("survival", DiscreteHazardTrees),
    "early warning": ("early_warning", EarlyWarningTrees),
    "last value": ("forecast", LOCFForecaster),
    "boosted forecast": ("forecast", BoostedTreesForecaster),
}
QUICK = ("logistic regression", "last value", "regression")


@pytest.fixture(
    scope="module", params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def case(request, few_trees_in_module):
    task_type, make = CASES[request.param]
    events = cohort_of_all_tasks()
    task = cg.Task.load("in_hospital_mortality_24h") if task_type == "binary" else task_of(task_type)
    train, test = cg.split_patients(cg.select(events, task), [0.7, 0.3], random_state=0)
    return make().fit(train), train, test, events


def predictions(model, stays):
    if hasattr(model, "expected"):
        return model.expected(stays).select_dtypes("number").to_numpy(dtype=float)
    return model.score_rows(stays)


def test_a_saved_baseline_predicts_the_same_bits_and_is_saved_to_the_same_bytes(case, tmp_path):
    model, _, test, _ = case
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(predictions(loaded, test), predictions(model, test))
    assert files(loaded) == files(model)


def test_a_baseline_scores_an_extract_from_its_bundle(case, tmp_path):
    model, _, _, events = case
    cg.save(model, tmp_path / "bundle")
    if hasattr(model, "expected"):
        with pytest.raises(cg.ClinicalGRUError, match="one prediction for each stay"):
            cg.score(tmp_path / "bundle", events)
        return
    table = cg.score(tmp_path / "bundle", events)
    assert len(table) == len(events.stays)
    assert table.loc[table["status"] == "scored", model.score_columns_].notna().all(axis=None)


def test_a_baseline_has_the_manners_of_an_estimator(case):
    model, train, test, _ = case
    fresh = type(model)(**model.get_params())
    assert repr(fresh) == repr(model)
    with pytest.raises(cg.ClinicalGRUError, match="Expected a fitted model"):
        fresh.predict(test)
    assert model.n_features_in_ == len(train.variables) + len(train.static_variables)
    assert np.isfinite(model.score(test))
    assert "static covariates" in model._repr_html_()
    with pytest.raises(cg.ClinicalGRUError, match="y equal to the outcome"):
        fresh.fit(train, np.zeros(3))
    with pytest.raises(cg.ClinicalGRUError, match="X as Sequences"):
        model.predict(test.to_frame())
    with pytest.raises(cg.ClinicalGRUError, match="missing: "):
        model.predict(test.with_variables(test.variables[1:]))


def test_a_fit_that_fails_leaves_the_model_as_it_was(case, monkeypatch):
    model, train, test, _ = case
    before = predictions(model, test)

    def interrupted(learner, stays):
        learner.trees_ = None
        raise KeyboardInterrupt

    monkeypatch.setattr(type(model), "_learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(train)
    np.testing.assert_array_equal(predictions(model, test), before)


@pytest.fixture
def bundle(parts, tmp_path):
    return cg.save(cg.SummaryBaseline("logistic regression").fit(parts[0]), tmp_path / "bundle")


def test_a_changed_file_of_arrays_is_refused(bundle):
    content = bytearray((bundle / "weights.safetensors").read_bytes())
    content[-3] ^= 1
    (bundle / "weights.safetensors").write_bytes(bytes(content))
    with pytest.raises(cg.ClinicalGRUError, match="sha256"):
        cg.load(bundle)


@pytest.mark.parametrize("sha256", [{"weights.safetensors": ""}, {}])
def test_a_manifest_with_an_empty_or_missing_hash_is_refused(bundle, sha256):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["sha256"] = {"card.md": manifest["sha256"]["card.md"]} | sha256
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(cg.ClinicalGRUError, match="sha256"):
        cg.load(bundle)


def test_trees_whose_nodes_form_no_tree_are_refused():
    leaf = {"feature": [0, -1, -1], "left": [1, 0, 0], "right": [1, 0, 0]}  # both children are one node
    arrays = {name: np.array(values, np.int32) for name, values in leaf.items()}
    arrays |= {"threshold": np.zeros(3), "value": np.zeros(3), "missing_left": np.zeros(3, bool)}
    arrays |= {"baseline": np.zeros(1), "starts": np.array([0, 3])}
    with pytest.raises(cg.ClinicalGRUError, match="each node is reached once"):
        BoostedTrees.from_arrays(arrays)
    trees = BoostedTrees.from_arrays(arrays | {"right": np.array([2, 0, 0], np.int32)})
    assert trees.predict(np.zeros((2, 1))).tolist() == [0.0, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize("task_type", ["binary", "early_warning"])
def test_a_hybrid_is_saved_and_loaded_to_the_same_bits(task_type, tmp_path, parts, few_trees):
    small = {"max_epochs": 1, "distillation": 0.0}
    network = cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2)
    if task_type == "binary":
        train, test, estimator = parts[0], parts[3], cg.GRUClassifier(network, **small)
    else:
        case = fitted_case("early_warning")
        train, test, estimator = case.train, case.test, cg.GRUEarlyWarning(network, **small)
    model = cg.Hybrid(cg.GRUEnsemble(estimator, n_members=2)).fit(train, verbose=False)
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    np.testing.assert_array_equal(loaded.predict_proba(test), model.predict_proba(test))
    np.testing.assert_array_equal(loaded.predict(test), model.predict(test))
    assert files(loaded) == files(model)
    assert loaded.weights_ == model.weights_


@pytest.mark.slow
def test_a_baseline_loads_no_torch():
    code = """
import sys, clinicalgru as cg
stays = cg.select(cg.read_events(cg.simulate(60, random_state=1)), cg.Task.load("in_hospital_mortality"))
cg.SummaryBaseline("logistic regression").fit(stays).predict_proba(stays)
import clinicalgru.model.baselines.tree_baselines, clinicalgru.model.baselines.step_trees
import clinicalgru.model.baselines.forecast_baselines
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_is_no_model_is_not_saved(tmp_path):
    with pytest.raises(cg.ClinicalGRUError, match="model as"):
        cg.save({"a": 1}, tmp_path / "bundle")
