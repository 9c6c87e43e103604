"""One small fitted estimator of each kind, on the synthetic cohort with outcomes of every kind added to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

import clinicalgru as cg
from clinicalgru.data.events import Events
from clinicalgru.estimator_checks.example_stays import OUTCOMES, example_events, example_task

SMALL = {
    "network": cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2),
    "max_epochs": 2,
    "batch_size": 64,
    "distillation": 0.0,
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


cohort_of_all_tasks, task_of = example_events, example_task
TASKS = {kind: OUTCOMES[kind] for kind in ESTIMATORS}


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
