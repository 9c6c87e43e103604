"""What a run does for each kind of task: which estimator learns it, how it is judged, and who its baseline is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.select import split_patients
from clinicalgru.data.task.task import Task
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError, TrainingError
from clinicalgru.evaluate.calibration_groups import number_groups, risk_groups, survival_groups
from clinicalgru.evaluate.early_warning import early_warning_metrics
from clinicalgru.evaluate.forecast import forecast_figures
from clinicalgru.evaluate.judgement import Judgement, judge
from clinicalgru.evaluate.multi_metrics import (
    Figures,
    all_of,
    multiclass_metrics,
    multilabel_metrics,
    regression_metrics,
)
from clinicalgru.evaluate.survival import needed, survival_figures
from clinicalgru.model.baselines.forecast_baselines import BoostedTreesForecaster, LOCFForecaster
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.baselines.summary_baseline import BASELINES
from clinicalgru.model.baselines.tree_baselines import (
    DiscreteHazardTrees,
    MedianTrees,
    MulticlassTrees,
    MultilabelTrees,
)
from clinicalgru.model.estimators.classifier import GRUClassifier, GRUMultiLabel
from clinicalgru.model.estimators.early_warning import GRUEarlyWarning, hourly, hourly_threshold
from clinicalgru.model.estimators.forecaster import GRUForecaster
from clinicalgru.model.estimators.registry import Model
from clinicalgru.model.estimators.regressor import GRURegressor
from clinicalgru.model.estimators.survival import GRUSurvival

Learner = GRUClassifier | GRUMultiLabel | GRURegressor | GRUEarlyWarning | GRUSurvival | GRUForecaster
OURS, TREES, LAST = "GRU", BASELINES[1], "last value"
LEARN_PARTS = (0.75, 0.125, 0.125)  # train, tune, calibrate
LEARNERS: Mapping[str, type[Learner]] = MappingProxyType(
    {
        "binary": GRUClassifier,
        "multiclass": GRUClassifier,
        "multilabel": GRUMultiLabel,
        "regression": GRURegressor,
        "early_warning": GRUEarlyWarning,
        "survival": GRUSurvival,
        "forecast": GRUForecaster,
    }
)
EXPLAINED: Mapping[str, int] = MappingProxyType({"multiclass": -1, "survival": -1})  # of score's columns; others: 0
FEWER = 50_000_000  # pairs of stays that concordance looks at, over all resamples


@dataclass(frozen=True, eq=False)
class Said:
    """What a model and its baseline say of test stays, ready for the judge.

    models     name: figures; the model first
    groups     predicted against observed of the model, by outcome, class or hour
    facts      what else a reader has to know
    n_resamples  as many as there is time for
    """

    models: Mapping[str, Figures]
    groups: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    n_resamples: int = 1000


def check_kind(task: Task) -> None:
    """Refused: a kind of task whose judge is not installed."""
    if task.task_type == "survival":
        needed()


def fit(learn: Sequences, *, random_state: int, verbose: bool, auxiliary: pd.DataFrame | None = None) -> Learner:
    """A model for the stays' task, trained, tuned and calibrated on three parts of their patients.

    auxiliary  further outcomes that training stays teach; see `GRUClassifier.fit`
    Where the last part cannot calibrate it, such as one without an outcome, the model is left as it is, with a warning.
    """
    check_kind(learn.task)
    train, tune, calibrate = split_patients(learn, LEARN_PARTS, random_state=random_state)
    model: Learner = LEARNERS[learn.task.task_type](random_state=random_state).fit(
        train, validation=tune, auxiliary=auxiliary, verbose=verbose
    )
    try:
        model.calibrate(calibrate)
    except (ArgumentError, TrainingError) as error:
        warnings.warn(f"{error} The model is not calibrated.", stacklevel=2)
    return model.choose_threshold(calibrate) if isinstance(model, GRUEarlyWarning) else model


def judge_kind(model: Model, test: Sequences, *, learn: Sequences | None, random_state: int) -> Judgement:
    """A model of any kind but binary on test stays; where it is known what it learned from, next to boosted trees.

    learn  all stays the model learned from, in its three parts; the seed is that of its parts
    """
    said = SAID[test.task.task_type](model, test, learn, random_state)
    return judge(
        said.models,
        len(test),
        kind=test.task.task_type,
        patients=test.patient,
        n_resamples=said.n_resamples,
        random_state=random_state,
        groups={name: table for name, table in said.groups.items() if table is not None},
        facts=said.facts,
    )


def _classes(model: Any, test: Sequences, learn: Sequences | None, random_state: int) -> Said:
    classes = tuple(int(value) if value == int(value) else value for value in model.classes_.tolist())
    said = {OURS: model.predict_proba(test)}
    if learn is not None:
        said[TREES] = MulticlassTrees(classes, random_state=random_state).fit(learn).predict_proba(test)
    models = {name: all_of(multiclass_metrics(test.outcome, share, classes=classes)) for name, share in said.items()}
    groups = {
        f"class {one:g}": risk_groups(
            (test.outcome == one).astype(float), said[OURS][:, place], min_cell_size=_least(test)
        )
        for place, one in enumerate(classes)
    }
    return Said(models, groups)


def _labels(model: Any, test: Sequences, learn: Sequences | None, random_state: int) -> Said:
    labels = model.labels_
    said = {OURS: model.predict_proba(test)}
    if learn is not None:
        said[TREES] = MultilabelTrees(random_state=random_state).fit(learn).predict_proba(test)
    models = {name: all_of(multilabel_metrics(test.outcome, risk, labels=labels)) for name, risk in said.items()}
    columns = zip(labels, test.outcome.T, said[OURS].T, strict=True)
    return Said(models, {label: risk_groups(true, risk, min_cell_size=_least(test)) for label, true, risk in columns})


def _number(model: Any, test: Sequences, learn: Sequences | None, random_state: int) -> Said:
    middle, interval = model.predict_quantiles(test, (0.5,))[:, 0], model.predict_interval(test)
    models = {OURS: all_of(regression_metrics(test.outcome, middle, interval=interval))}
    if learn is not None:
        trees = MedianTrees(random_state=random_state).fit(learn)
        models[TREES] = all_of(regression_metrics(test.outcome, trees.predict(test)))
    groups = {test.task.outcome_words: number_groups(test.outcome, model.predict(test), min_cell_size=_least(test))}
    wanted = f"made to hold {100 * model.coverage_:g} % of stays like these"
    return Said(models, groups, {"Interval": wanted, "Errors": "those of the median, in the unit of the outcome"})


def _warnings(model: Any, test: Sequences, learn: Sequences | None, random_state: int) -> Said:
    ours = early_warning_metrics(model.predict_hourly(test), test.outcome, threshold=model.threshold_)
    models = {OURS: all_of(ours)}
    if learn is not None:
        held = split_patients(learn, LEARN_PARTS, random_state=random_state)[2]
        trees = EarlyWarningTrees(random_state=random_state).fit(learn[~np.isin(learn.patient, held.patient)])
        limit = hourly_threshold(held, trees.predict_proba(held)[:, 1])
        table = hourly(test, trees.predict_proba(test)[:, 1])
        models[TREES] = all_of(early_warning_metrics(table, test.outcome, threshold=limit))
    fact = f"warned from a risk of {model.threshold_:.3g} on, where the utility of stays not judged here was highest"
    return Said(models, facts={"Threshold": fact})


def _times(model: Any, test: Sequences, learn: Sequences | None, random_state: int) -> Said:
    followed = test.outcome if learn is None else learn.outcome
    hours = _hours(model.head_.horizons, test.outcome, followed)
    said = {OURS: model.predict_survival(test, hours)}
    if learn is not None:
        said[TREES] = DiscreteHazardTrees(random_state=random_state).fit(learn).predict_survival(test, hours)
    models = {
        name: survival_figures(test.outcome, curves, hours=hours, followed=followed) for name, curves in said.items()
    }
    groups = {
        f"within {hour:g} hours": survival_groups(test.outcome, 1 - curve, hours=hour, min_cell_size=_least(test))
        for hour, curve in zip(hours, said[OURS].T, strict=True)
    }
    fact = "stays that were followed to different times are weighted for it, and taken as like the others"
    return Said(models, groups, {"Censoring": fact}, int(np.clip(FEWER // len(test) ** 2, 20, 200)))


def _forecasts(model: Any, test: Sequences, learn: Sequences | None, random_state: int) -> Said:
    expected = {OURS: model.expected(test)}
    if learn is not None:
        with threadpool_limits(1):  # several threads wait for each other where another process holds a core
            expected[TREES] = BoostedTreesForecaster(random_state=random_state).fit(learn).expected(test)
        expected[LAST] = LOCFForecaster().fit(learn).expected(test)
    models = {name: forecast_figures(one, len(test), min_cell_size=_least(test)) for name, one in expected.items()}
    scaled = "as parts of the error of the last value carried forward, mean of the variables"
    fact = "measurements of variables that were measured before in the stay, each from the step before it"
    return Said(models, facts={"Judged": fact, "Error and interval score": scaled}, n_resamples=200)


def _hours(horizons: tuple[float, ...], outcome: np.ndarray, followed: np.ndarray) -> np.ndarray:
    """The model's horizons that these stays were followed to; where fewer than two are, the quartiles of the events."""
    first, last = outcome[:, 0].min(), min(outcome[:, 0].max(), followed[:, 0].max())
    events = outcome[outcome[:, 1] == 1, 0]
    quartiles = np.unique(np.quantile(events, [0.25, 0.5, 0.75])) if len(events) else np.zeros(0)
    own, others = (np.array([hour for hour in hours if first <= hour < last]) for hours in (horizons, quartiles))
    return own if len(own) > 1 else others


def _least(test: Sequences) -> int:
    """Simulated patients are nobody's."""
    return 0 if test.simulated else MIN_CELL_SIZE


SAID: Mapping[str, Callable[[Any, Sequences, Sequences | None, int], Said]] = MappingProxyType(
    {
        "multiclass": _classes,
        "multilabel": _labels,
        "regression": _number,
        "early_warning": _warnings,
        "survival": _times,
        "forecast": _forecasts,
    }
)
