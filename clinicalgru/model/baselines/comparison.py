"""The baselines that a model is compared with, by type of task."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.select import split_patients
from clinicalgru.errors import ArgumentError, CalibrationWarning
from clinicalgru.evaluate.calibrators import CALIBRATORS
from clinicalgru.model.ablations import TRAINING_FRACTIONS
from clinicalgru.model.baselines.discrete_hazard_trees import DiscreteHazardTrees
from clinicalgru.model.baselines.forecast_baselines import BoostedTreesForecaster, LOCFForecaster
from clinicalgru.model.baselines.out_of_fold import calibrate_out_of_fold
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.baselines.summary_baseline import BASELINES, SummaryBaseline
from clinicalgru.model.baselines.tree_baselines import MedianTrees, MulticlassTrees, MultilabelTrees

TREES, LAST_VALUE = BASELINES[1], "last value"
Fitted = Mapping[str, Any]


def fit_baselines(stays: Sequences, *, random_state: int = 0) -> dict[str, Any]:
    """Fit the baselines of a type of task, and calibrate their probabilities as the network's are.

    Probabilities are calibrated out of fold on the same stays; an early warning on its calibration part.

    Parameters
    ----------
    stays : Sequences
        All stays that the model learned from: training, validation and calibration.
    random_state : int
        Seed of the trees, and of the split from which the threshold of an early warning is chosen.

    Returns
    -------
    dict of fitted baselines
        By name: logistic regression and boosted trees for a binary task; boosted trees for the others, and the last
        value carried forward for a forecast.

    Examples
    --------
    >>> from clinicalgru.data.read_events import read_events
    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.task.select import select
    >>> from clinicalgru.data.task.task import Task
    >>> stays = select(read_events(simulate(60)), Task.load("next_measurements"))
    >>> list(fit_baselines(stays[:20]))
    ['boosted trees', 'last value']
    """
    with threadpool_limits(1, user_api="openmp"):  # several threads wait for each other on a busy core
        fitted = FIT[stays.task.task_type](stays, random_state)
        if stays.task.task_type in CALIBRATORS and stays.task.task_type != "early_warning":
            return {n: calibrate_out_of_fold(model, stays, random_state=random_state) for n, model in fitted.items()}
    return dict(fitted)


def _binary(stays: Sequences, random_state: int) -> Fitted:
    """Logistic regression and boosted trees."""
    return {kind: SummaryBaseline(kind, random_state=random_state).fit(stays) for kind in BASELINES}


def _early_warning(stays: Sequences, random_state: int) -> Fitted:
    """Boosted trees that are calibrated, and their threshold chosen, on the calibration part, as those of the model."""
    held = split_patients(stays, TRAINING_FRACTIONS, random_state=random_state)[2]
    trees = EarlyWarningTrees(random_state=random_state).fit(stays[~np.isin(stays.patient, held.patient)])
    try:
        trees.calibrate(held)
    except ArgumentError as error:
        warnings.warn(f"{error} The boosted trees are not calibrated.", CalibrationWarning, stacklevel=4)
    return {TREES: trees.choose_threshold(held)}


def _forecast(stays: Sequences, random_state: int) -> Fitted:
    """Boosted trees and the last value."""
    with threadpool_limits(1):
        trees = BoostedTreesForecaster(random_state=random_state).fit(stays)
    return {TREES: trees, LAST_VALUE: LOCFForecaster().fit(stays)}


FIT: Mapping[str, Callable[[Sequences, int], Fitted]] = MappingProxyType(
    {
        "binary": _binary,
        "multiclass": lambda stays, seed: {
            TREES: MulticlassTrees(tuple(np.unique(stays.outcome).tolist()), random_state=seed).fit(stays)
        },
        "multilabel": lambda stays, seed: {TREES: MultilabelTrees(random_state=seed).fit(stays)},
        "regression": lambda stays, seed: {TREES: MedianTrees(random_state=seed).fit(stays)},
        "early_warning": _early_warning,
        "survival": lambda stays, seed: {TREES: DiscreteHazardTrees(random_state=seed).fit(stays)},
        "forecast": _forecast,
    }
)
