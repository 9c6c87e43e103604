"""Laws of saving, loading and scoring."""

from __future__ import annotations

import pickle
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from clinicalgru.estimator_checks.case import CheckCase, NotApplicable, must, same
from clinicalgru.estimator_checks.registry import check
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.registry import BASELINE_CLASSES, ESTIMATORS
from clinicalgru.model.estimators.stacking import Hybrid
from clinicalgru.serve.bundle import load, save
from clinicalgru.serve.score import score

OURS = (*ESTIMATORS.values(), *BASELINE_CLASSES.values(), GRUEnsemble, Hybrid)


@check
def _a_pickled_model_predicts_the_same_bits(case: CheckCase) -> None:
    again = pickle.loads(pickle.dumps(case.model))
    same(case.predict(case.test, again), case.predictions, "a pickled model predicts otherwise", atol=0)


@check
def _a_deep_copy_predicts_the_same_bits(case: CheckCase) -> None:
    same(case.predict(case.test, case.copy()), case.predictions, "a copy predicts otherwise", atol=0)


@check
def _a_bundle_predicts_the_same_bits(case: CheckCase) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loaded = load(_saved(case, folder))
        same(case.predict(case.test, loaded), case.predictions, "a loaded bundle predicts otherwise", atol=0)


@check
def _a_bundle_names_its_estimator(case: CheckCase) -> None:
    with tempfile.TemporaryDirectory() as folder:
        must(type(load(_saved(case, folder))) is type(case.model), "a loaded bundle is of another class")


@check
def _a_bundle_saved_again_is_the_same(case: CheckCase) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = _saved(case, folder)
        second = save(load(first), Path(folder) / "again")
        manifests = [(path / "manifest.json").read_bytes() for path in (first, second)]
        must(manifests[0] == manifests[1], "a bundle saved again has another manifest")


@check
def _a_bundle_holds_no_identifier(case: CheckCase) -> None:
    with tempfile.TemporaryDirectory() as folder:
        content = b"".join(file.read_bytes() for file in _saved(case, folder).rglob("*") if file.is_file())
    names = {*case.train.patient.astype(str), *case.train.stay.astype(str)}
    whole = b"|".join(re.escape(name.encode()) for name in names if len(name) > 4)
    found = re.search(rb"(?<![\w.])(?:" + whole + rb")(?!\w)", content)  # not digits within another number
    must(not whole or found is None, "a bundle holds identifiers")


@check
def _every_stay_of_an_extract_has_its_row(case: CheckCase) -> None:
    if case.events is None or not isinstance(case.model, OURS):
        raise NotApplicable("no extract to score, or no estimator of this package")
    if case.train.task.task_type == "forecast" and not hasattr(case.model, "anomaly_scores"):
        raise NotApplicable("no number for a whole stay")
    model: Any = case.model
    table = score(model, case.events)
    must(len(table) == len(case.events.stays), "a score table does not have one row per stay")
    scored = table["status"] == "scored"
    must(scored.any(), "no stay was scored")
    known = table[scored.to_numpy(dtype=bool)][model.score_columns_].notna().to_numpy()
    must(known.all() or case.train.task.task_type == "forecast", "a scored stay has no number")


@check
def _a_score_is_what_the_model_predicts(case: CheckCase) -> None:
    rows: Any = getattr(case.model, "score_rows", None)
    if rows is None or case.train.task.task_type == "forecast":
        raise NotApplicable("no number for a whole stay")
    table = np.asarray(rows(case.test), dtype=float)
    must(len(table) == len(case.test), "score_rows does not have one row per stay")
    must(np.isfinite(table).all(), "score_rows is not finite")


def _saved(case: CheckCase, folder: str) -> Path:
    if not isinstance(case.model, OURS):
        raise NotApplicable("no estimator of this package: it has no bundle")
    model: Any = case.model
    return save(model, Path(folder) / "bundle")
