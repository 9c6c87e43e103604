"""What is known of the outcomes of stays, by type of task."""

from __future__ import annotations

import numpy as np

from clinicalgru.data.task.task import Task


def all_unknown(stays: int, task: Task) -> np.ndarray:
    """Outcomes of stays of which nothing is known.

    Parameters
    ----------
    stays : int
        Number of stays.
    task : Task
        The task.

    Returns
    -------
    ndarray of float, shape (stay,) or (stay, column)
        NaN, in the shape that `labels.outcomes` gives.
    """
    columns = {"multilabel": len(task.outcomes), "survival": 2}.get(task.task_type)
    return np.full(stays if columns is None else (stays, columns), np.nan)


def is_known(outcome: np.ndarray, task: Task) -> np.ndarray:
    """Whether enough is known of the outcome of each stay: all of it, or at least one of several labels.

    Parameters
    ----------
    outcome : ndarray of float, shape (stay,) or (stay, column)
        Outcomes; NaN = unknown.
    task : Task
        The task.

    Returns
    -------
    ndarray of bool, shape (stay,)
        Whether the stay can be used.
    """
    known = ~np.isnan(outcome)
    if outcome.ndim == 1:
        return known
    return known.any(axis=1) if task.task_type == "multilabel" else known.all(axis=1)


def occurred(outcome: np.ndarray, task: Task) -> np.ndarray | None:
    """Whether the outcome occurred in each stay.

    Parameters
    ----------
    outcome : ndarray of float, shape (stay,) or (stay, column)
        Outcomes.
    task : Task
        The task.

    Returns
    -------
    ndarray of bool, shape (stay,), or None
        None for a task other than binary, early warning and survival.
    """
    if task.task_type == "early_warning":
        return np.isfinite(outcome)
    if task.task_type == "survival":
        return np.asarray(outcome[:, 1] == 1)
    return np.asarray(outcome == 1) if task.task_type == "binary" else None
