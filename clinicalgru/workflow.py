"""The whole line, from an extract to scored stays, as the command line runs it; and an example of how the parts fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clinicalgru.data.events import Events
from clinicalgru.data.select import select, split_patients
from clinicalgru.data.sequences import Sequences
from clinicalgru.data.simulate import simulate
from clinicalgru.data.sources.read import read_events
from clinicalgru.data.task import Task
from clinicalgru.disclosure import SMALLEST_CELL, nested, said
from clinicalgru.errors import InputError, TaskError
from clinicalgru.evaluate.evaluation import Evaluation, evaluate
from clinicalgru.explain.contributions import explain, provenance
from clinicalgru.model.baseline import RIVALS, SummaryBaseline
from clinicalgru.model.estimators import GRUClassifier
from clinicalgru.serve.bundle import model_hash, save
from clinicalgru.serve.score import model_dictionary, score
from clinicalgru.view.evaluation_page import evaluation_page
from clinicalgru.view.patient_page import patient_page

Say = Callable[[str], None]
LEARN_PARTS = (0.75, 0.125, 0.125)  # train, tune, calibrate


@dataclass(frozen=True, eq=False)
class Parts:
    """What a run learns from and what it is judged on, no patient in both; and the extract of the test stays."""

    learn: Sequences
    test: Sequences
    judged: Events


def told(events: Events, *, smallest_cell: int = SMALLEST_CELL) -> str:
    """What was read, in words; counts of 1 to below `smallest_cell` are withheld, but of simulated patients."""
    smallest = 0 if events.simulated else smallest_cell
    stays = said(*nested([len(events.stays)], smallest=smallest))
    head = f"{len(events):,} events of {stays} stays, {len(events.variables)} variables, {events.source}"
    return f"{head}\n{events.ledger.as_text(smallest_cell=smallest)}"


def simulated_parts(stays: int, seed: int, say: Say) -> Parts:
    """A simulated ward, read as any extract; a quarter of its patients are kept to be judged on."""
    events = read_events(simulate(stays, seed=seed))
    say(told(events))
    return split_parts(events, Task.load("in_hospital_mortality"), seed)


def split_parts(events: Events, task: Task, seed: int, *, test: float = 0.25) -> Parts:
    """One extract, in two parts by patient."""
    learn, judged = split_patients(select(events, task), [1 - test, test], seed=seed)
    return Parts(learn, judged, events)


def physionet2012_parts(folder: Path, say: Say) -> Parts:
    """Set a to learn from, set b to be judged on, as published."""
    task = Task.load("in_hospital_mortality")
    learn, judged = (_read_set(folder, name, say) for name in "ab")
    sequences = select(learn, task)
    test = select(judged, task).with_variables(sequences.variables).with_statics(sequences.statics)
    return Parts(sequences, test, judged)


def _read_set(folder: Path, name: str, say: Say) -> Events:
    for data in (folder / f"set-{name}.tar.gz", folder / f"set-{name}.zip", folder / f"set-{name}"):
        if data.exists():
            events = read_events(data, source="physionet2012", outcomes=folder / f"Outcomes-{name}.txt")
            say(told(events))
            return events
    fix = "Fetch the sets from PhysioNet and pass their folder with --data."
    raise InputError(f"set-{name} as .tar.gz, .zip or folder", "none of them", fix, where=folder.name)


def check_binary(task: Task) -> None:
    """Refused: a task whose answer is not one risk a stay; Python's estimators and metrics of its kind take it."""
    if task.kind != "binary":
        fix = "Use the estimator and the metrics of that kind in Python; score takes it as it is."
        raise TaskError("a task of the kind binary", task.kind, fix, where=f"task {task.name}")


def fit(parts: Parts, *, seed: int, progress: bool) -> GRUClassifier:
    """A model trained, tuned and calibrated on three parts of the patients to learn from."""
    check_binary(parts.learn.task)
    train, tune, calibrate = split_patients(parts.learn, LEARN_PARTS, seed=seed)
    return GRUClassifier(seed=seed).fit(train, tune, progress=progress).calibrate(calibrate)


def judge(model: GRUClassifier, parts: Parts, *, seed: int) -> Evaluation:
    """The model on the test stays, next to rivals that learned from all the stays the model learned from."""
    rivals = {
        kind: SummaryBaseline(kind, seed=seed).fit(parts.learn).predict_proba(parts.test)[:, 1] for kind in RIVALS
    }
    risk = model.predict_proba(parts.test)[:, 1]
    return evaluate(parts.test.outcome, risk, patients=parts.test.patient, rivals=rivals, seed=seed)


def read_for(model: GRUClassifier, extract: Any, **reading: Any) -> tuple[Events, Sequences]:
    """An extract with outcomes, read with the model's dictionary and seen through its task and variables."""
    events = read_events(extract, **reading | {"variables": model_dictionary(model, reading.get("variables"))})
    sequences = select(events, model.task_).with_variables(model.variables_).with_statics(model.statics_)
    return events, sequences[sequences.counts > 0]


def write_evaluation(model: GRUClassifier, evaluation: Evaluation, test: Sequences, judged: Events, path: Path) -> Path:
    """The evaluation as one offline page."""
    origin = provenance(model) | {"model_hash": model_hash(model), "tested_on": judged.source}
    return evaluation_page(evaluation, path, ledger=judged.ledger, flow=test.flow, provenance=origin)


def write_all(model: GRUClassifier, evaluation: Evaluation, parts: Parts, out: Path) -> dict[str, Path]:
    """Evaluation page, page of the stay with the highest risk, bundle and scores of the judged extract, by name."""
    out.mkdir(parents=True, exist_ok=True)
    highest = int(np.argmax(model.predict_proba(parts.test)[:, 1]))
    score(model, parts.judged, out=out / "scores.parquet")
    return {
        "evaluation page": write_evaluation(model, evaluation, parts.test, parts.judged, out / "evaluation.html"),
        "patient page": patient_page(explain(model, parts.test[[highest]]), out / "patient.html"),
        "bundle": save(model, out / "bundle"),
        "scores": out / "scores.parquet",
    }
