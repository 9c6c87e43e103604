"""The whole line, from an extract to scored stays, as the command line runs it; and an example of how the parts fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru import task_types
from clinicalgru.data.events import Events
from clinicalgru.data.read_events import read_events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.simulate.simulate import simulate
from clinicalgru.data.task.select import select, split_patients
from clinicalgru.data.task.task import Task
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_nested
from clinicalgru.errors import ArgumentError, InputError
from clinicalgru.evaluate.evaluation import Evaluation, evaluate
from clinicalgru.evaluate.judgement import Judgement
from clinicalgru.explain.attribution.explain import explain
from clinicalgru.explain.faithfulness.faithfulness import faithfulness
from clinicalgru.explain.faithfulness.result import Faithfulness
from clinicalgru.explain.forecast_explanation import ForecastExplanation, explain_forecast
from clinicalgru.explain.prepared import provenance
from clinicalgru.explain.result import Explanation
from clinicalgru.explain.targets import member_networks
from clinicalgru.model.baselines.summary_baseline import BASELINES, SummaryBaseline
from clinicalgru.model.estimators.forecaster import GRUForecaster
from clinicalgru.model.estimators.registry import Model
from clinicalgru.serve.bundle import model_hash, save
from clinicalgru.serve.score import model_dictionary, score
from clinicalgru.task_types import Learner, judge_kind
from clinicalgru.view.pages.evaluation_page import evaluation_page
from clinicalgru.view.pages.judgement_page import judgement_page

Say = Callable[[str], None]
Judged = Evaluation | Judgement  # of a risk; of any other kind of answer
FAITHFUL_STAYS = 60  # of the test part: some eight seconds


@dataclass(frozen=True, eq=False)
class Parts:
    """What a run learns from and what it is judged on, no patient in both; and the extract of the test stays.

    further  what else is recorded of the stays to learn from, by stay_id; see `Events.further_outcomes`
    """

    learn: Sequences
    test: Sequences
    judged: Events
    further: pd.DataFrame | None = None


def told(events: Events, *, min_cell_size: int = MIN_CELL_SIZE) -> str:
    """What was read, in words; counts of 1 to below `min_cell_size` are withheld, but of simulated patients."""
    min_cell_size = 0 if events.simulated else min_cell_size
    stays = format_count(*suppress_nested([len(events.stays)], min_cell_size=min_cell_size))
    head = f"{len(events):,} events of {stays} stays, {len(events.variables)} variables, {events.source}"
    return f"{head}\n{events.ledger.as_text(min_cell_size=min_cell_size)}"


def simulated_parts(stays: int, random_state: int, say: Say) -> Parts:
    """A simulated ward, read as any extract; a quarter of its patients are kept to be judged on."""
    events = read_events(simulate(stays, random_state=random_state))
    say(told(events))
    return split_parts(events, Task.load("in_hospital_mortality"), random_state)


def split_parts(events: Events, task: Task, random_state: int, *, test: float = 0.25) -> Parts:
    """One extract, in two parts by patient."""
    learn, judged = split_patients(select(events, task), [1 - test, test], random_state=random_state)
    return Parts(learn, judged, events, events.further_outcomes(task))


def physionet2012_parts(folder: Path, say: Say) -> Parts:
    """Set a to learn from, set b to be judged on, as published."""
    task = Task.load("in_hospital_mortality")
    learn, judged = (_read_set(folder, name, say) for name in "ab")
    sequences = select(learn, task)
    test = select(judged, task).with_variables(sequences.variables).with_static_variables(sequences.static_variables)
    return Parts(sequences, test, judged, learn.further_outcomes(task))


def _read_set(folder: Path, name: str, say: Say) -> Events:
    for data in (folder / f"set-{name}.tar.gz", folder / f"set-{name}.zip", folder / f"set-{name}"):
        if data.exists():
            events = read_events(data, source="physionet2012", outcomes=folder / f"Outcomes-{name}.txt")
            say(told(events))
            return events
    fix = "Fetch the sets from PhysioNet and pass their folder with --data."
    raise InputError(f"set-{name} as .tar.gz, .zip or folder", "none of them", fix, where=folder.name)


def fit(parts: Parts, *, random_state: int, verbose: bool) -> Learner:
    """A model of the task's kind, trained, tuned and calibrated on three parts of the patients to learn from; while it
    trains, it is also asked what else is recorded of them."""
    return task_types.fit(parts.learn, random_state=random_state, verbose=verbose, auxiliary=parts.further)


def judge(model: Learner, parts: Parts, *, random_state: int) -> Judged:
    """The model on the test stays, next to baselines that learned from all the stays the model learned from."""
    if model.task_.task_type != "binary":
        return judge_kind(model, parts.test, learn=parts.learn, random_state=random_state)
    baselines = {
        kind: SummaryBaseline(kind, random_state=random_state).fit(parts.learn).predict_proba(parts.test)[:, 1]
        for kind in BASELINES
    }
    return _evaluation(model, parts.test, random_state=random_state, baselines=baselines)


def judge_alone(model: Model, test: Sequences) -> Judged:
    """A model of a bundle on stays of any extract: what it learned from is not there, nor baselines."""
    if model.task_.task_type != "binary":
        return judge_kind(model, test, learn=None, random_state=0)
    return _evaluation(model, test, random_state=0)


def _evaluation(model: Any, test: Sequences, **how: Any) -> Evaluation:
    return evaluate(test.outcome, model.predict_proba(test)[:, 1], patients=test.patient, **how)


def parse_target(model: Model, said: str | None) -> str | float | None:
    """Which of a model's answers is meant: an outcome by its name, a class or hours ahead by their number.

    Refused: an answer that the model does not give, a model whose answers are not explained.
    """
    if isinstance(model, GRUForecaster):
        if said is not None:
            raise ArgumentError("no --target with a forecast, which tells of all variables", "one", "Leave it out.")
        return None
    target: str | float | None = said
    if said is not None and model.task_.task_type != "multilabel":
        try:
            target = float(said)
        except ValueError:
            raise ArgumentError("--target as a number", "text", "Give a class, or hours ahead.") from None
    member_networks(model, target)
    return target


def read_for(model: Model, extract: Any, **reading: Any) -> tuple[Events, Sequences]:
    """An extract with outcomes, read with the model's dictionary and seen through its task and variables."""
    events = read_events(extract, **reading | {"variables": model_dictionary(model, reading.get("variables"))})
    sequences = (
        select(events, model.task_).with_variables(model.variables_).with_static_variables(model.static_variables_)
    )
    return events, sequences[model.has_observations(sequences)]


def faithful(model: Learner, test: Sequences, *, random_state: int = 0) -> Faithfulness:
    """How true the explanations are to the model, on some of the test stays."""
    measured = np.flatnonzero(test.n_measurements > 0)
    some = np.random.default_rng(random_state).permutation(measured)[:FAITHFUL_STAYS]
    return faithfulness(model, test[np.sort(some)], random_state=random_state)


def write_evaluation(
    model: Model,
    evaluation: Judged,
    test: Sequences,
    judged: Events,
    path: Path,
    *,
    explained: Faithfulness | None = None,
) -> Path:
    """The evaluation as one offline page.

    explained  how true explanations are to a model of one risk a stay, where that was measured
    """
    origin = provenance(model) | {"model_hash": model_hash(model), "tested_on": judged.source}
    about: dict[str, Any] = {"ledger": judged.ledger, "flow": test.flow, "provenance": origin}
    if isinstance(evaluation, Judgement):
        return judgement_page(evaluation, path, **about)
    return evaluation_page(evaluation, path, faithfulness=explained, **about)


def write_all(model: Learner, evaluation: Judged, parts: Parts, out: Path) -> dict[str, Path]:
    """Evaluation page, page of the stay with the highest answer, bundle and scores of the judged extract, by name."""
    out.mkdir(parents=True, exist_ok=True)
    answer = task_types.EXPLAINED.get(model.task_.task_type, 0)  # the one that `explain` explains unless it is asked
    highest = int(np.nanargmax(model.score_rows(parts.test)[:, answer]))
    score(model, parts.judged, out=out / "scores.parquet")
    explained = faithful(model, parts.test) if isinstance(evaluation, Evaluation) else None
    judged, page = (evaluation, parts.test, parts.judged), out / "evaluation.html"
    return {
        "evaluation page": write_evaluation(model, *judged, page, explained=explained),
        "patient page": write_stay(told_of(model, parts.test[[highest]]), out / "patient.html"),
        "bundle": save(model, out / "bundle"),
        "scores": out / "scores.parquet",
    }


def told_of(
    model: Model, stay: Sequences, *, target: str | float | None = None, at_hours: float | None = None
) -> Explanation | ForecastExplanation:
    """What is to be said of one stay: why its risk is what it is, or what a forecast expected of it."""
    if isinstance(model, GRUForecaster):
        return explain_forecast(model, stay, at_hours=at_hours)
    return explain(model, stay, target=target, at_hours=at_hours)


def write_stay(told: Explanation | ForecastExplanation, path: Path) -> Path:
    """What is said of one stay, as a page."""
    return told.to_html(path)
