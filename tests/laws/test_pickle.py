"""What the package returns can be copied and pickled, as caches and worker processes need."""

from __future__ import annotations

import copy
import gc
import pickle

import pytest

import clinicalgru as cg


@pytest.mark.slow
@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))], ids=["copy", "pickle"]
)
def test_results_survive_a_copy_and_a_pickle(again, cohort, fitted, parts) -> None:
    test = parts[-1]
    assert again(cohort).drivers == cohort.drivers
    assert (again(fitted).predict_proba(test) == fitted.predict_proba(test)).all()
    evaluation = cg.evaluate(fitted, test, n_resamples=5)
    assert again(evaluation).to_dict() == evaluation.to_dict()
    explanation = cg.explain(fitted, test[[0]])
    assert str(again(explanation)) == str(explanation)


@pytest.mark.slow
def test_a_pickled_extract_holds_its_rows_after_its_temporary_files_are_gone(cohort) -> None:
    events = cg.read_events(cohort)
    written, rows = pickle.dumps(events), events.to_frame()
    del events
    gc.collect()
    there = pickle.loads(written)
    assert there.to_frame().equals(rows)
    task = cg.Task.load("in_hospital_mortality")
    assert len(cg.select(there, task)) == len(cg.select(cg.read_events(cohort), task))
