"""Counts of an extract and of the cohort of a task, with small cells suppressed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.class_names import is_named
from clinicalgru.data.events import Events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.outcome_kinds import occurred
from clinicalgru.data.task.select import select
from clinicalgru.data.task.task import Task
from clinicalgru.disclosure import format_count, is_small, suppress, suppress_flow, suppress_nested

Counts = dict[str, int | None]  # None = suppressed


def counted(events: Events, *, min_cell_size: int) -> list[dict[str, Any]]:
    """Count measurements and stays of each variable.

    Parameters
    ----------
    events : Events
        The extract.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    list of dict
        variable, measurements, stays; None = suppressed.
    """
    table = events.counts().set_index("variable")
    measurements = suppressed(table["measurements"], min_cell_size=min_cell_size)
    stays = {
        name: suppress_nested([len(events.stays), count], min_cell_size=min_cell_size)[1]
        for name, count in table["stays"].items()
    }
    return [{"variable": name, "measurements": measurements[name], "stays": stays[name]} for name in measurements]


def suppressed(counts: pd.Series, *, min_cell_size: int) -> Counts:
    """Suppress small counts of disjoint groups.

    Parameters
    ----------
    counts : Series
        Counts by name.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    dict of str to int or None
        Counts by name; None = suppressed.
    """
    shown = pd.Series(suppress(counts, min_cell_size=min_cell_size))[: len(counts)]  # a total at the end
    return {str(name): None if pd.isna(count) else int(count) for name, count in shown.items()}


def cohort(events: Events, task: Task, *, min_cell_size: int) -> dict[str, dict[str, str]]:
    """Describe the cohort of a task: stays left after each step, and their outcomes.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    dict of str to dict
        "cohort": words by step; "outcome": words by group.

    Raises
    ------
    TaskError
        As `select`.

    Examples
    --------
    >>> from clinicalgru import Task, read_events, simulate
    >>> summary = cohort(read_events(simulate(60)), Task.load("in_hospital_mortality"), min_cell_size=0)
    >>> list(summary["outcome"])
    ['death in hospital', 'without death in hospital', 'not eligible']
    """
    stays = select(events, task)
    steps = suppress_flow(stays.flow, within=[len(events.stays)], min_cell_size=min_cell_size)
    summary: dict[str, dict[str, str]] = {"cohort": {step: _stays(count) for step, count in steps}}
    outcome = _outcome(stays, len(events.stays), min_cell_size)
    return summary | ({"outcome": outcome} if outcome else {})


def _stays(count: int | None) -> str:
    return format_count(None) if count is None else f"{format_count(count)} stays"


def _outcome(stays: Sequences, extract: int, min_cell_size: int) -> dict[str, str]:
    """Counts by outcome; together with the stays that are not eligible they make up the extract."""
    task, outcome = stays.task, stays.outcome
    if task.task_type == "regression":
        return _number(task.outcome_words, outcome, min_cell_size)
    if task.task_type == "multilabel":
        return {
            label: _label(column[~np.isnan(column)], [extract, len(stays)], min_cell_size)
            for label, column in zip(task.outcome_names, outcome.T, strict=True)
        }
    if task.task_type == "multiclass":
        counts = pd.Series(outcome).value_counts().sort_index()
        classes = task.class_names(counts.index)
        counts.index = pd.Index([name if is_named(name) else f"{task.outcome_words} {name}" for name in classes])
    else:
        event = occurred(outcome, task)
        if event is None:
            return {}
        names = [task.outcome_words, f"without {task.outcome_words}"]
        counts = pd.Series([int(event.sum()), int((~event).sum())], index=names)
    counts["not eligible"] = extract - len(stays)
    return {name: _stays(count) for name, count in suppressed(counts, min_cell_size=min_cell_size).items()}


def _label(known: np.ndarray, supersets: list[int], min_cell_size: int) -> str:
    """One of several outcomes: how often it occurred in the stays in which it is known."""
    of, events = suppress_nested([*supersets, len(known), int(known.sum())], min_cell_size=min_cell_size)[2:]
    return f"{format_count(events)} of {_stays(of)}"


def _number(name: str, outcome: np.ndarray, min_cell_size: int) -> dict[str, str]:
    if is_small(len(outcome), min_cell_size):
        return {name: format_count(None)}
    return {name: f"mean {outcome.mean():.3g}, SD {outcome.std():.3g}"}
