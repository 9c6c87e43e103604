"""One small fitted estimator of each kind, on the synthetic cohort with outcomes of every kind added to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

import clinicalgru as cg
from clinicalgru.data.events import Events

SMALL = {
    "network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2),
    "max_epochs": 2,
    "distillation": 0.0,
}
TASKS = {
    "multiclass": {"outcome": "third"},
    "multilabel": {"outcome": ("in_hospital_death", "shock")},
    "regression": {"outcome": "days"},
    "survival": {"outcome": "dead", "outcome_time": "followed", "survival_horizons_hours": (100.0, 300.0)},
    "early_warning": {"outcome": "septic", "outcome_time": "onset", "horizon_hours": 12.0, "max_late_hours": 3.0},
    "forecast": {"outcome": ""},
}
ESTIMATORS = {
    "multiclass": cg.GRUClassifier,
    "multilabel": cg.GRUMultiLabel,
    "regression": cg.GRURegressor,
    "survival": cg.GRUSurvival,
    "early_warning": cg.GRUEarlyWarning,
    "forecast": cg.GRUForecaster,
}


@dataclass(frozen=True)
class FittedCase:
    """A kind of task, its stays in two parts, and a small estimator fitted on the first."""

    kind: str
    train: cg.Sequences
    test: cg.Sequences
    model: object
    events: Events


@cache
def cohort_of_all_tasks() -> Events:
    """A synthetic cohort, sicker stays with more of everything; a label unknown in a third, stays without an end."""
    cohort, rng = cg.simulate(160, random_state=11), np.random.default_rng(0)
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
    return cg.read_events(cohort.measurements, stays=cohort.stays.assign(end=pd.NaT), outcomes=outcomes)


def task_of(kind: str, **other: object) -> cg.Task:
    """A task of this kind on that cohort, from the first 24 hours."""
    return cg.Task(**{"name": kind, "task_type": kind, "window_hours": (0.0, 24.0)} | TASKS[kind] | other)


@cache
def fitted_case(kind: str) -> FittedCase:
    """The fitted estimator of a kind of task."""
    events = cohort_of_all_tasks()
    train, test = cg.split_patients(cg.select(events, task_of(kind)), [0.7, 0.3], random_state=0)
    model = ESTIMATORS[kind](**SMALL, random_state=1).fit(train, verbose=False)
    return FittedCase(kind, train, test, model, events)


def predicted(model: object, stays: cg.Sequences) -> np.ndarray:
    """What a model predicts of each stay, or of each of its steps, as one table of numbers."""
    if isinstance(model, cg.GRUEarlyWarning):
        return model.predict_proba(stays)
    if isinstance(model, cg.GRUForecaster):
        return model.predict(stays)[["low", "median", "high"]].to_numpy()
    return model.score_rows(stays)
