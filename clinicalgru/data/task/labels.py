"""What happened to each stay, as a task asks for it."""

from __future__ import annotations

import numpy as np

from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.task.eligibility import StayTimes, Step
from clinicalgru.data.task.task import Task
from clinicalgru.errors import TaskError


def outcomes(events: Events, task: Task, times: StayTimes) -> tuple[np.ndarray, list[Step]]:
    """What happened to each stay, and the steps that leave out stays to which it happened too early; NaN = not known.

    binary          (stay,) 0 or 1
    multiclass, regression   (stay,) the column as recorded
    multilabel      (stay, outcome) 0 or 1
    early_warning   (stay,) hours from the anchor to the onset; infinite where there was none
    survival        (stay, 2) hours from the prediction to the outcome, or to the end of follow-up; 1 where it happened
    forecast        (stay,) 0: what is measured is the outcome

    An outcome that happened at a time not recorded is unknown. One at the very prediction time has happened already.
    Refused: columns that the events do not have, an outcome that is neither 0 nor 1 where it has to be.
    """
    if task.task_type == "forecast":
        return np.zeros(len(events.stays)), []
    if task.task_type in ("multiclass", "regression"):
        return _column(events, task.outcomes[0], task), []
    flags = np.stack([_flag(events, name, task) for name in task.outcomes], axis=1)
    if task.task_type == "multilabel":
        return _timed_each(flags, events, task, times)
    since = _since(events, task, times) if task.outcome_time else np.full(len(flags), np.nan)
    return {"survival": _survival, "early_warning": _onset}.get(task.task_type, _binary)(flags[:, 0], since, task)


def _binary(flag: np.ndarray, since: np.ndarray, task: Task) -> tuple[np.ndarray, list[Step]]:
    """since  (stay,) hours from the prediction to the outcome"""
    if not task.outcome_time:
        return flag, []
    happened = flag == 1
    outcome = np.where(happened & (since > _last(task)), 0.0, flag)
    outcome[happened & np.isnan(since)] = np.nan
    return outcome, _early(happened, since, task)


def _survival(flag: np.ndarray, since: np.ndarray, task: Task) -> tuple[np.ndarray, list[Step]]:
    """Source: follow-up ends at the horizon for all (administrative censoring)."""
    last = _last(task)
    event = np.where(since > last, np.where(np.isnan(flag), np.nan, 0.0), flag)
    followed = ("followed beyond the prediction", ~((since <= 0) & (flag == 0)))
    return np.stack([np.minimum(since, last), event], axis=1), [*_early(flag == 1, since, task), followed]


def _onset(flag: np.ndarray, since: np.ndarray, task: Task) -> tuple[np.ndarray, list[Step]]:
    low, high = task.window_hours
    onset = np.where(flag == 0, np.inf, np.where(np.isnan(flag), np.nan, since + high))
    step = "outcome had not happened before the window"
    return onset, [(step, ~(onset + task.max_late_hours <= low))]


def _timed_each(flags: np.ndarray, events: Events, task: Task, times: StayTimes) -> tuple[np.ndarray, list[Step]]:
    """Several outcomes: where a time is asked for, it is the time of all of them."""
    if not task.outcome_time:
        return flags, []
    since = _since(events, task, times)
    columns, early = zip(*(_binary(flag, since, task) for flag in flags.T), strict=True)
    return np.stack(columns, axis=1), [step for steps in early for step in steps]


def _early(happened: np.ndarray, since: np.ndarray, task: Task) -> list[Step]:
    early = [("outcome had not happened already", ~(happened & (since <= 0)))]
    if task.gap_hours > 0:
        in_gap = happened & (since > 0) & (since <= task.gap_hours)
        early.append((f"outcome not within the gap of {task.gap_hours:g} hours", ~in_gap))
    return early


def _last(task: Task) -> float:
    """Hours after the prediction within which an outcome counts."""
    return task.gap_hours + (np.inf if task.horizon_hours is None else task.horizon_hours)


def _flag(events: Events, name: str, task: Task) -> np.ndarray:
    value = _column(events, name, task)
    if task.outcome_threshold is not None:
        return np.where(np.isnan(value), np.nan, (value > task.outcome_threshold).astype(float))
    other = int((~np.isnan(value) & (value != 0) & (value != 1)).sum())
    if other:
        where, fix = f"task {task.name}, outcome", "Set outcome_threshold in the task."
        raise TaskError(f"{name} of 0 or 1", f"{other:,} others", fix, where=where)
    return value


def _column(events: Events, name: str, task: Task) -> np.ndarray:
    check_outcome(name, events.outcomes, where=f"task {task.name}, outcome")
    return events.stays[name].to_numpy(dtype=float)


def _since(events: Events, task: Task, times: StayTimes) -> np.ndarray:
    """(stay,) hours from the prediction, at the window's end, to the outcome; NaN where its time is not recorded."""
    happened = _happened(events, task, times) + task.label_shift_hours
    return happened - (times.anchor - times.origin) / HOUR - task.window_hours[1]


def _happened(events: Events, task: Task, times: StayTimes) -> np.ndarray:
    """(stay,) hours since the stay's start at which the outcome came; NaN where not recorded."""
    if task.outcome_time == "end":
        return np.where(np.isinf(times.end), np.nan, times.end - times.origin) / HOUR
    check_outcome(task.outcome_time, events.outcomes, where=f"task {task.name}, outcome_time")
    return events.stays[task.outcome_time].to_numpy(dtype=float)


def check_outcome(name: str, have: tuple[str, ...], *, where: str) -> None:
    """Refused: an outcome that the events do not have, with those they have."""
    if name not in have:
        came, fix = f"outcomes: {', '.join(have) or 'none'}", "Pass outcomes= to read_events, or correct the task."
        raise TaskError(f"the outcome {name}", came, fix, where=where)
