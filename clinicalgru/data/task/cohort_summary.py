"""What an extract and a task come to, in counts that may be shown: who is asked about, and what happened to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.events import Events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.outcome_kinds import happened
from clinicalgru.data.task.select import select
from clinicalgru.data.task.task import Task
from clinicalgru.disclosure import is_small, nested, said, suppress, suppress_flow

Counts = dict[str, int | None]  # None = withheld


def counted(events: Events, *, smallest: int) -> list[dict[str, Any]]:
    """Measurements and stays of each variable; None = withheld."""
    table = events.counts().set_index("variable")
    measurements = withheld(table["measurements"], smallest=smallest)
    stays = {name: nested([len(events.stays), count], smallest=smallest)[1] for name, count in table["stays"].items()}
    return [{"variable": name, "measurements": measurements[name], "stays": stays[name]} for name in measurements]


def withheld(counts: pd.Series, *, smallest: int) -> Counts:
    """Counts of groups apart from each other by name; None = withheld."""
    shown = pd.Series(suppress(counts, smallest=smallest))[: len(counts)]  # a total at the end
    return {str(name): None if pd.isna(count) else int(count) for name, count in shown.items()}


def cohort(events: Events, task: Task, *, smallest: int) -> dict[str, dict[str, str]]:
    """Whom a task asks about, step by step, and what happened to them, in words; how many stays there are is known.

    Refused: what `select` refuses.

    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> found = cohort(read_events(simulate(60)), Task.load("in_hospital_mortality"), smallest=0)
    >>> list(found["outcome"])
    ['in_hospital_death', 'not in_hospital_death', 'not asked about']
    """
    stays = select(events, task)
    steps = suppress_flow(stays.flow, within=[len(events.stays)], smallest=smallest)
    shown: dict[str, dict[str, str]] = {"cohort": {step: _stays(count) for step, count in steps}}
    found = _outcome(stays, len(events.stays), smallest)
    return shown | ({"outcome": found} if found else {})


def _stays(count: int | None) -> str:
    return said(None) if count is None else f"{said(count)} stays"


def _outcome(stays: Sequences, extract: int, smallest: int) -> dict[str, str]:
    """What happened; the groups and those not asked about make up the extract."""
    task, outcome = stays.task, stays.outcome
    if task.kind == "regression":
        return _number(task.outcome_words, outcome, smallest)
    if task.kind == "multilabel":
        return {
            label: _label(column[~np.isnan(column)], [extract, len(stays)], smallest)
            for label, column in zip(task.outcomes, outcome.T, strict=True)
        }
    if task.kind == "multiclass":
        counts = pd.Series(outcome).value_counts().sort_index()
        counts.index = pd.Index([f"{task.outcome_words} {value:g}" for value in counts.index])
    else:
        came = happened(outcome, task)
        if came is None:
            return {}
        names = [task.outcome_words, f"not {task.outcome_words}"]
        counts = pd.Series([int(came.sum()), int((~came).sum())], index=names)
    counts["not asked about"] = extract - len(stays)
    return {name: _stays(count) for name, count in withheld(counts, smallest=smallest).items()}


def _label(known: np.ndarray, around: list[int], smallest: int) -> str:
    """Of one of several outcomes: how often it came, of the stays in which that is known, within those around."""
    of, came = nested([*around, len(known), int(known.sum())], smallest=smallest)[2:]
    return f"{said(came)} of {_stays(of)}"


def _number(name: str, outcome: np.ndarray, smallest: int) -> dict[str, str]:
    if is_small(len(outcome), smallest):
        return {name: said(None)}
    return {name: f"mean {outcome.mean():.3g}, spread {outcome.std():.3g}"}
