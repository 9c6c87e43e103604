"""The outcome of each stay, in the form that a task needs."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.task.departures import RECORDED, Step
from clinicalgru.data.task.outcome_kinds import is_known
from clinicalgru.data.task.outcome_names import as_flags, class_values
from clinicalgru.data.task.stay_times import StayTimes, label_hours
from clinicalgru.data.task.task import Task
from clinicalgru.data.task.task_fields import PREDICTION_TIME
from clinicalgru.errors import DataWarning, TaskError

SAME_TIME = 1_000_000  # microseconds within which two prediction times are one


def outcomes(events: Events, task: Task, times: StayTimes) -> tuple[np.ndarray, list[Step]]:
    """The outcome of each stay, and the steps that exclude stays in which it is unknown or occurred too early.

    An outcome that occurred at an unknown time is unknown. One at the very prediction time has already occurred, and
    one at the very end of the gap is within the gap.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.
    times : StayTimes
        Times of its stays.

    Returns
    -------
    outcome : ndarray of float
        NaN = unknown. binary: shape (stay,), 0 or 1. multiclass, regression: shape (stay,), the column. multilabel:
        shape (stay, outcome), 0 or 1. early_warning: shape (stay,), hours from the index time to the onset, infinite
        without one. survival: shape (stay, 2), hours from the prediction time to the outcome or to the end of
        follow-up, and 1 where it occurred. forecast: shape (stay,), 0.
    steps : list of (str, ndarray of bool)
        Steps of the cohort flow, and whether each stay passes them.

    Raises
    ------
    TaskError
        If the events lack a column, an outcome that must be 0 or 1 is neither, or labels have other prediction times.
    """
    if task.task_type == "forecast":
        return np.zeros(len(events.stays)), []
    _check_prediction_times(events, task, times)
    outcome, timed, early = _outcome(events, task, times)
    return outcome, [*timed, (f"outcome recorded ({task.outcome_words})", is_known(outcome, task)), *early]


def _check_prediction_times(events: Events, task: Task, times: StayTimes) -> None:
    """Raise where labels have a prediction time of their own, and the task predicts at another.

    A window that ends later sees what the label was made without; one that ends earlier answers another question.
    """
    if task.anchor == PREDICTION_TIME:
        return
    hours = label_hours(events)
    labelled = ~np.isnan(hours) & times.reached
    apart = np.abs(times.due(task) - times.origin - np.nan_to_num(hours) * HOUR) > SAME_TIME
    n_apart = int((labelled & (apart | task.every_step)).sum())
    if n_apart:
        expected = "a window that ends at the prediction time of each label"
        got = f"{n_apart:,} of {int(labelled.sum()):,} labelled stays with another one"
        fix = "Set anchor: prediction_time and a window that ends at 0, such as window_hours: [-24, 0]."
        raise TaskError(expected, got, fix, where=f"task {task.name}, window_hours")


def _outcome(events: Events, task: Task, times: StayTimes) -> tuple[np.ndarray, list[Step], list[Step]]:
    """The outcome, the step that excludes outcomes at an unknown time, and those that exclude early ones."""
    if task.task_type == "multiclass":
        name = task.outcomes[0]
        check_outcome(name, events.outcomes, where=f"task {task.name}, outcome", is_text=bool(task.classes))
        return class_values(events.stays[name], task), [], []
    if task.task_type == "regression":
        return _column(events, task.outcomes[0], task), [], []
    flags = np.stack([_flag(events, name, task) for name in task.outcomes], axis=1)
    named = _named_values(events, flags, task)
    if task.task_type == "multilabel":
        outcome, early = _multilabel(flags, events, task, times)
        return outcome, named, early
    since = _hours_to_event(events, task, times) if task.outcome_time else np.full(len(flags), np.nan)
    outcome, early = {"survival": _survival, "early_warning": _onset}.get(task.task_type, _binary)(
        flags[:, 0], since, task
    )
    unknown = np.isnan(since) & (flags[:, 0] == 1)
    is_timed = bool(task.outcome_time) and unknown.any()
    return outcome, [*named, *([(f"time of the outcome{RECORDED}", ~unknown)] if is_timed else [])], early


def _named_values(events: Events, flags: np.ndarray, task: Task) -> list[Step]:
    """The step that excludes stays whose outcome is a value that the task does not name."""
    if not task.positive_values:
        return []
    written = events.stays[list(task.outcomes)].notna().to_numpy()
    unnamed = (written & np.isnan(flags)).any(axis=1) & np.isnan(flags).all(axis=1)
    return [(f"outcome among the named values ({task.outcome_words})", ~unnamed)]


def _binary(flag: np.ndarray, since: np.ndarray, task: Task) -> tuple[np.ndarray, list[Step]]:
    """Binary outcome; `since` is (stay,) hours from the prediction time to the event."""
    if not task.outcome_time:
        return flag, []
    event = flag == 1
    outcome = np.where(event & (since > _last_counted_hour(task)), 0.0, flag)
    outcome[event & np.isnan(since)] = np.nan
    return outcome, _too_early(event, since, task)


def _survival(flag: np.ndarray, since: np.ndarray, task: Task) -> tuple[np.ndarray, list[Step]]:
    """Time and event; follow-up ends at the horizon for all stays (administrative censoring)."""
    last = _last_counted_hour(task)
    event = np.where(since > last, np.where(np.isnan(flag), np.nan, 0.0), flag)
    followed = ("followed beyond the prediction", ~((since <= 0) & (flag == 0)))
    return np.stack([np.minimum(since, last), event], axis=1), [*_too_early(flag == 1, since, task), followed]


def _onset(flag: np.ndarray, since: np.ndarray, task: Task) -> tuple[np.ndarray, list[Step]]:
    low, high = task.window_hours
    onset = np.where(flag == 0, np.inf, np.where(np.isnan(flag), np.nan, since + high))
    step = "outcome not yet occurred before the window"
    return onset, [(step, ~(onset + task.max_late_hours <= low))]


def _multilabel(flags: np.ndarray, events: Events, task: Task, times: StayTimes) -> tuple[np.ndarray, list[Step]]:
    """Several outcomes, which share one time column where the task has one."""
    if not task.outcome_time:
        return flags, []
    since = _hours_to_event(events, task, times)
    columns, early = zip(*(_binary(flag, since, task) for flag in flags.T), strict=True)
    return np.stack(columns, axis=1), [step for steps in early for step in steps]


def _too_early(event: np.ndarray, since: np.ndarray, task: Task) -> list[Step]:
    early = [("outcome not yet occurred", ~(event & (since <= 0)))]
    if task.gap_hours > 0:
        in_gap = event & (since > 0) & (since <= task.gap_hours)
        early.append((f"outcome not within the gap of {task.gap_hours:g} hours", ~in_gap))
    return early


def _last_counted_hour(task: Task) -> float:
    """Hours after the prediction time within which an outcome counts."""
    return task.gap_hours + (np.inf if task.horizon_hours is None else task.horizon_hours)


def _flag(events: Events, name: str, task: Task) -> np.ndarray:
    if task.positive_values:
        check_outcome(name, events.outcomes, where=f"task {task.name}, outcome", is_text=True)
        return as_flags(events.stays[name], task)
    value = _column(events, name, task)
    if task.outcome_threshold is not None:
        return np.where(np.isnan(value), np.nan, (value > task.outcome_threshold).astype(float))
    other = int((~np.isnan(value) & (value != 0) & (value != 1)).sum())
    if other:
        where, fix = f"task {task.name}, outcome", "Set outcome_threshold in the task."
        raise TaskError(f"{name} of 0 or 1", f"{other:,} other values", fix, where=where)
    return value


def _column(events: Events, name: str, task: Task) -> np.ndarray:
    where = f"task {task.name}, outcome"
    check_outcome(name, events.outcomes, where=where)
    return outcome_numbers(events, name, where=where)


def _hours_to_event(events: Events, task: Task, times: StayTimes) -> np.ndarray:
    """(stay,) hours from the prediction time to the outcome; NaN where its time is unknown."""
    event_hours = _event_hours(events, task, times) + task.label_shift_hours
    return event_hours - (times.anchor - times.origin) / HOUR - task.window_hours[1]


def _event_hours(events: Events, task: Task, times: StayTimes) -> np.ndarray:
    """(stay,) hours since the start of the stay at which the outcome occurred; NaN where unknown."""
    if task.outcome_time == "end":
        return np.where(np.isinf(times.end), np.nan, times.end - times.origin) / HOUR
    where = f"task {task.name}, outcome_time"
    check_outcome(task.outcome_time, events.outcomes, where=where)
    unit = events.reading.get("time_unit", "hours")
    if unit != "hours" and not events.has_dates and task.outcome_time not in events.reading.get("units", {}):
        warnings.warn(
            f"{task.outcome_time} is taken in hours, while times of the extract are in {unit}. Where it is too, pass "
            f"units={{{task.outcome_time!r}: {unit!r}}} to read_events; if not, {{{task.outcome_time!r}: 'hours'}}.",
            DataWarning,
            stacklevel=5,
        )
    return outcome_numbers(events, task.outcome_time, where=where)


def outcome_numbers(events: Events, name: str, *, where: str) -> np.ndarray:
    """Read an outcome column as numbers.

    Parameters
    ----------
    events : Events
        The extract.
    name : str
        One of its outcomes.
    where : str
        Task and field, for the error.

    Returns
    -------
    ndarray of float, shape (stay,)
        NaN = unknown.

    Raises
    ------
    TaskError
        If the column is text.
    """
    column = events.stays[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        fix = (
            "Write 1 and 0, or copy the task to a YAML file that says what its words mean with the "
            "lists positive_values and negative_values, or with classes."
        )
        raise TaskError(f"numbers in {name}", "text", fix, where=where)
    return column.to_numpy(dtype=float)


def check_outcome(name: str, have: tuple[str, ...], *, where: str, is_text: bool = False) -> None:
    """Raise unless the events have an outcome of that name.

    Parameters
    ----------
    name : str
        The outcome.
    have : tuple of str
        The outcomes that there are.
    where : str
        Task and field, for the error.
    is_text : bool, default False
        Whether the outcome may be text, which `read_events` keeps on request only.

    Raises
    ------
    TaskError
        With the outcomes that there are.
    """
    if name not in have:
        got = f"outcomes: {', '.join(have) or 'no outcome'}"
        fix = f"Pass outcomes=; of text, map the column: columns={{'outcomes': {{{name!r}: 'its name'}}}}."
        if have:
            fix = f"Name the column with columns={{{name!r}: {have[0]!r}}} in read_events, or correct the task."
        if is_text:
            fix = f"If it is text, pass outcomes_columns=[{name!r}, ...] to read_events; else correct the task."
        raise TaskError(f"the outcome {name}", got, fix, where=where)
