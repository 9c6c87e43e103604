"""A synthetic cohort with an outcome of every type, for checks of estimators."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.events import Events
from clinicalgru.data.read_events import read_events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.simulate.simulate import simulate
from clinicalgru.data.task.select import select
from clinicalgru.data.task.task import Task

OUTCOMES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "binary": {"outcome": "in_hospital_death"},
        "multiclass": {"outcome": "third"},
        "multilabel": {"outcome": ("in_hospital_death", "shock")},
        "regression": {"outcome": "days"},
        "survival": {"outcome": "dead", "outcome_time": "followed", "survival_horizons_hours": (100.0, 300.0)},
        "early_warning": {"outcome": "septic", "outcome_time": "onset", "horizon_hours": 12.0, "max_late_hours": 3.0},
        "forecast": {"outcome": ""},
    }
)  # fields of the task of each type


@cache
def example_events(n_stays: int = 160, random_state: int = 11) -> Events:
    """Read a synthetic cohort with outcomes of all types; sicker stays have more of everything.

    Parameters
    ----------
    n_stays : int
        Number of stays.
    random_state : int
        Seed of the cohort.

    Returns
    -------
    Events
        A label is unknown in a third of the stays, and no stay has an end.

    Examples
    --------
    >>> sorted(example_events(40).outcomes)[:3]
    ['days', 'dead', 'followed']
    """
    cohort, rng = simulate(n_stays, random_state=random_state), np.random.default_rng(0)
    risk, stays = cohort.truth["risk"].to_numpy(), len(cohort.stays)
    septic = rng.random(stays) < np.clip(3 * risk, 0.1, 0.8)
    event, lost = 48 + rng.exponential(200 / (0.2 + 5 * risk)), 48 + rng.exponential(300, stays)
    outcomes = cohort.outcomes.assign(
        third=pd.qcut(cohort.truth["severity"], 3, labels=False).to_numpy(dtype=float),
        shock=np.where(rng.random(stays) < 0.3, np.nan, (risk > 0.2).astype(float)),
        days=np.exp(rng.normal(1 + 2 * risk, 0.5)),
        septic=septic.astype(float),
        onset=np.where(septic, rng.uniform(4, 44, stays), np.nan),
        dead=(event <= lost).astype(float),
        followed=np.minimum(event, lost),
    )
    return read_events(
        cohort.measurements,
        stays=cohort.stays.assign(end=pd.Series(pd.NaT, index=cohort.stays.index)),
        outcomes=outcomes,
    )


def example_task(task_type: str, **other: Any) -> Task:
    """Give a task of a type on that cohort, from the first 24 hours.

    Parameters
    ----------
    task_type : str
        Such as "binary".
    **other
        Further fields of the task.

    Returns
    -------
    Task

    Examples
    --------
    >>> example_task("regression").outcome_words
    'days'
    """
    fields: dict[str, Any] = {"name": task_type, "task_type": task_type, "window_hours": (0.0, 24.0)}
    return Task(**fields | OUTCOMES[task_type] | other)


def example_stays(task_type: str, n_stays: int = 160) -> Sequences:
    """Select the stays of such a task.

    Parameters
    ----------
    task_type : str
        Such as "binary".
    n_stays : int
        Stays of the cohort.

    Returns
    -------
    Sequences

    Examples
    --------
    >>> len(example_stays("forecast", 40))
    40
    """
    return select(example_events(n_stays), example_task(task_type))
