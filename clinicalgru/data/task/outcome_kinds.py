"""What is known of recorded outcomes, by type of task."""

from __future__ import annotations

import numpy as np

from clinicalgru.data.task.task import Task


def unknown(stays: int, task: Task) -> np.ndarray:
    """The outcomes of stays of which nothing is known, in the shape of `outcomes`."""
    columns = {"multilabel": len(task.outcomes), "survival": 2}.get(task.task_type)
    return np.full(stays if columns is None else (stays, columns), np.nan)


def recorded(outcome: np.ndarray, task: Task) -> np.ndarray:
    """(stay,) whether enough is known of what happened: all of it, or at least one of several labels."""
    if outcome.ndim == 1:
        return ~np.isnan(outcome)
    known = ~np.isnan(outcome)
    return known.any(axis=1) if task.task_type == "multilabel" else known.all(axis=1)


def happened(outcome: np.ndarray, task: Task) -> np.ndarray | None:
    """(stay,) whether the outcome came; None where the task asks for something else than whether or when it comes."""
    if task.task_type == "early_warning":
        return np.isfinite(outcome)
    if task.task_type == "survival":
        return np.asarray(outcome[:, 1] == 1)
    return np.asarray(outcome == 1) if task.task_type == "binary" else None
