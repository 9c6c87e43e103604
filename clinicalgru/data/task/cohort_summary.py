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
from clinicalgru.disclosure import format_count, is_small, suppress, suppress_flow, suppress_nested

Counts = dict[str, int | None]  # None = withheld


def counted(events: Events, *, min_cell_size: int) -> list[dict[str, Any]]:
    """Measurements and stays of each variable; None = withheld."""
    table = events.counts().set_index("variable")
    measurements = withheld(table["measurements"], min_cell_size=min_cell_size)
    stays = {
        name: suppress_nested([len(events.stays), count], min_cell_size=min_cell_size)[1]
        for name, count in table["stays"].items()
    }
    return [{"variable": name, "measurements": measurements[name], "stays": stays[name]} for name in measurements]


def withheld(counts: pd.Series, *, min_cell_size: int) -> Counts:
    """Counts of groups apart from each other by name; None = withheld."""
    shown = pd.Series(suppress(counts, min_cell_size=min_cell_size))[: len(counts)]  # a total at the end
    return {str(name): None if pd.isna(count) else int(count) for name, count in shown.items()}


def cohort(events: Events, task: Task, *, min_cell_size: int) -> dict[str, dict[str, str]]:
    """Whom a task asks about, step by step, and what happened to them, in words; how many stays there are is known.

    Refused: what `select` refuses.

    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> found = cohort(read_events(simulate(60)), Task.load("in_hospital_mortality"), min_cell_size=0)
    >>> list(found["outcome"])
    ['in_hospital_death', 'not in_hospital_death', 'not asked about']
    """
    stays = select(events, task)
    steps = suppress_flow(stays.flow, within=[len(events.stays)], min_cell_size=min_cell_size)
    shown: dict[str, dict[str, str]] = {"cohort": {step: _stays(count) for step, count in steps}}
    found = _outcome(stays, len(events.stays), min_cell_size)
    return shown | ({"outcome": found} if found else {})


def _stays(count: int | None) -> str:
    return format_count(None) if count is None else f"{format_count(count)} stays"


def _outcome(stays: Sequences, extract: int, min_cell_size: int) -> dict[str, str]:
    """What happened; the groups and those not asked about make up the extract."""
    task, outcome = stays.task, stays.outcome
    if task.task_type == "regression":
        return _number(task.outcome_words, outcome, min_cell_size)
    if task.task_type == "multilabel":
        return {
            label: _label(column[~np.isnan(column)], [extract, len(stays)], min_cell_size)
            for label, column in zip(task.outcomes, outcome.T, strict=True)
        }
    if task.task_type == "multiclass":
        counts = pd.Series(outcome).value_counts().sort_index()
        counts.index = pd.Index([f"{task.outcome_words} {value:g}" for value in counts.index])
    else:
        came = happened(outcome, task)
        if came is None:
            return {}
        names = [task.outcome_words, f"not {task.outcome_words}"]
        counts = pd.Series([int(came.sum()), int((~came).sum())], index=names)
    counts["not asked about"] = extract - len(stays)
    return {name: _stays(count) for name, count in withheld(counts, min_cell_size=min_cell_size).items()}


def _label(known: np.ndarray, around: list[int], min_cell_size: int) -> str:
    """Of one of several outcomes: how often it came, of the stays in which that is known, within those around."""
    of, came = suppress_nested([*around, len(known), int(known.sum())], min_cell_size=min_cell_size)[2:]
    return f"{format_count(came)} of {_stays(of)}"


def _number(name: str, outcome: np.ndarray, min_cell_size: int) -> dict[str, str]:
    if is_small(len(outcome), min_cell_size):
        return {name: format_count(None)}
    return {name: f"mean {outcome.mean():.3g}, spread {outcome.std():.3g}"}
