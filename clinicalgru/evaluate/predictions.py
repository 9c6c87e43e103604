"""What one model contributes to an evaluation, whatever the type of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.evaluate.bootstrap import MetricSet, numbered_patients
from clinicalgru.evaluate.curves import Curves, curves
from clinicalgru.evaluate.metrics import RISK_METRICS
from clinicalgru.evaluate.validation import Array, validate_outcome, validate_risk

EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class TaskPredictions:
    """Predictions of one model for stays with known outcomes, ready to be evaluated.

    Made by `risk_predictions`, `multiclass_predictions`, `multilabel_predictions`, `regression_predictions`,
    `early_warning_predictions`, `survival_predictions` and `forecast_predictions`.

    Attributes
    ----------
    task_type : str
        Type of the task, such as "binary".
    n_stays : int
        Number of stays.
    metrics : MetricSet
        Function from weights (n_resamples, n_stays) to the values of each metric.
    events : int or None
        Stays with the event, for a binary task.
    curves : Curves or None
        ROC, precision and recall, and calibration, for a binary task.
    calibration : mapping of str to DataFrame
        Predicted against observed by label, class or horizon: predicted, observed, low, high, stays.
    without_calibration : mapping of str to str
        Why there are no groups, of each other label, class or horizon.
    is_probability : bool
        Whether `calibration` is of probabilities, not of a number in its own unit.
    notes : mapping of str to str
        What else a reader has to know, such as the threshold.
    class_stays : mapping of str to tuple of ndarray
        Which stays have the event, and which do not, as masks of shape (stay,): by metric, with "" for all others.
        Where a mask holds stays of fewer than 20 patients there is no interval.
    outcome, risk : ndarray or None
        Of a binary task: outcomes and risks.
    probability : ndarray or None
        Of a multiclass or multilabel task: probabilities of classes or labels, of shape (stay, output).
    n_resamples : int
        Number of resamples that is affordable.
    is_usable : callable or None
        From weights to whether a resample counts.
    settings : mapping
        What baselines must share, such as the hours of a survival curve.
    alarms : DataFrame
        Of an early warning: alarms at some thresholds, as of `alarm_burden`.
    """

    task_type: str
    n_stays: int
    metrics: MetricSet
    events: int | None = None
    curves: Curves | None = None
    calibration: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    without_calibration: Mapping[str, str] = field(default_factory=dict)
    is_probability: bool = True
    notes: Mapping[str, str] = field(default_factory=dict)
    class_stays: Mapping[str, tuple[NDArray[np.bool_], ...]] = field(default_factory=dict)
    outcome: Array | None = None
    risk: Array | None = None
    probability: Array | None = None
    n_resamples: int = 1000
    is_usable: Callable[[Array], NDArray[np.bool_]] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    alarms: pd.DataFrame = field(default_factory=pd.DataFrame)


def risk_predictions(
    outcome: ArrayLike, risk: ArrayLike, *, name: str = "risk", patients: Any = None
) -> TaskPredictions:
    """Prepare the risks of a binary outcome.

    Parameters
    ----------
    outcome : array-like, shape (n_stays,)
        0 or 1, both present.
    risk : array-like, shape (n_stays,)
        Between 0 and 1.
    name : str
        Name of the risk, for error messages.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay, for the intervals of calibration groups. None: each stay is another patient.

    Returns
    -------
    TaskPredictions
        With curves.

    Raises
    ------
    ArgumentError
        If outcomes or risks are unknown or impossible, lengths differ, or one class only is present.

    Examples
    --------
    >>> risk_predictions([0, 1, 1], [0.2, 0.6, 0.4]).events
    2
    """
    true = validate_outcome(outcome)
    checked = validate_risk(risk, stays=len(true), name=name)

    def both_classes(weights: Array) -> NDArray[np.bool_]:
        events = weights @ true
        return np.asarray((events > 0) & (events < weights.sum(axis=1)))

    return TaskPredictions(
        task_type="binary",
        n_stays=len(true),
        metrics=lambda weights: {name: metric(true, checked, weights) for name, metric in RISK_METRICS.items()},
        events=int(true.sum()),
        class_stays={"": (true == 1, true == 0)},
        outcome=true,
        risk=checked,
        curves=curves(true, checked, patients=None if patients is None else numbered_patients(patients, len(true))),
        is_usable=both_classes,
    )


def split_groups(groups: Mapping[str, pd.DataFrame | str]) -> dict[str, Any]:
    """Part calibration groups that may be shown from the reasons of those that there are not.

    Parameters
    ----------
    groups : mapping of str to DataFrame or str
        By label, class or horizon: calibration groups, or why there are none.

    Returns
    -------
    dict
        The fields calibration and without_calibration of `TaskPredictions`.

    Examples
    --------
    >>> split_groups({"death": "too few events by then"})
    {'calibration': {}, 'without_calibration': {'death': 'too few events by then'}}
    """
    return {
        "calibration": {name: table for name, table in groups.items() if not isinstance(table, str)},
        "without_calibration": {name: reason for name, reason in groups.items() if isinstance(reason, str)},
    }
