"""Metrics of several classes, several labels, and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from clinicalgru.class_names import class_text, column_part
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import WeightedMetric, combine
from clinicalgru.evaluate.calibration_groups import label_groups, number_groups
from clinicalgru.evaluate.metrics import RiskMetric, auprc, auroc, log_loss
from clinicalgru.evaluate.predictions import EMPTY, TaskPredictions, split_groups
from clinicalgru.evaluate.validation import Array

LABEL_METRICS: Mapping[str, RiskMetric] = {"auroc": auroc, "auprc": auprc, "log_loss": log_loss}


def multiclass_predictions(
    outcome: ArrayLike,
    probability: ArrayLike,
    *,
    classes: Sequence[Any],
    names: Sequence[str] | None = None,
    min_cell_size: int = MIN_CELL_SIZE,
    patients: Any = None,
) -> TaskPredictions:
    """Prepare the class probabilities of a multiclass task.

    Metrics: accuracy, log loss, AUROC of each class against the others, and their mean.

    Parameters
    ----------
    outcome : array-like, shape (n_stays,)
        One of `classes`.
    probability : array-like, shape (n_stays, n_classes)
        Probabilities, in the order of `classes`.
    classes : sequence
        Values of the outcome.
    names : sequence of str or None
        A name for each class; None: the values themselves.
    min_cell_size : int
        Smallest count that calibration groups may show.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay, for the intervals of calibration groups. None: each stay is another patient.

    Returns
    -------
    TaskPredictions
        With calibration groups of each class.

    Raises
    ------
    ArgumentError
        If outcomes are not among the classes, or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.evaluate.evaluation import evaluate_predictions
    >>> predictions = multiclass_predictions([0, 1, 2], np.eye(3) * 0.7 + 0.1, classes=[0, 1, 2])
    >>> metrics = evaluate_predictions({"model": predictions}, n_resamples=5).metrics
    >>> metrics["metric"].tolist()[:3], metrics["estimate"].round(3).tolist()[:3]
    (['accuracy', 'log_loss', 'auroc_mean'], [1.0, 0.223, 1.0])
    """
    true = np.asarray(outcome)
    names = [str(value) for value in classes] if names is None else names
    risk = _checked(probability, (len(true), len(classes)))
    is_class = true[:, None] == np.asarray(classes)
    if not is_class.any(axis=1).all():
        other = int((~is_class.any(axis=1)).sum())
        raise ArgumentError("outcomes among the classes", f"{other:,} others or unknown", "Leave them out.")
    right = (np.argmax(risk, axis=1) == np.argmax(is_class, axis=1)).astype(float)
    surprise = -np.log(np.maximum(risk[is_class], np.finfo(float).tiny))
    metrics: dict[str, WeightedMetric] = {"accuracy": _mean(right), "log_loss": _mean(surprise)}
    by_class = {
        f"auroc_{column_part(name)}": _where_known(auroc, is_class[:, i].astype(float), risk[:, i])
        for i, name in enumerate(names)
    }
    options: dict[str, Any] = {"min_cell_size": min_cell_size, "patients": patients}
    groups = {
        class_text(name): label_groups(is_class[:, i].astype(float), risk[:, i], **options)
        for i, name in enumerate(names)
    }
    return TaskPredictions(
        task_type="multiclass",
        n_stays=len(true),
        metrics=combine(metrics | {"auroc_mean": _macro_mean(list(by_class.values()))} | by_class),
        **split_groups(groups),
        class_stays={f"auroc_{column_part(n)}": (is_class[:, i], ~is_class[:, i]) for i, n in enumerate(names)},
        probability=risk,
        settings={"classes": tuple(classes)},
    )


def multilabel_predictions(
    outcome: ArrayLike,
    probability: ArrayLike,
    *,
    labels: Sequence[str],
    min_cell_size: int = MIN_CELL_SIZE,
    patients: Any = None,
) -> TaskPredictions:
    """Prepare the risks of several labels.

    Metrics: AUROC, AUPRC and log loss of each label over the stays in which it is known, and their means. A label of
    one value only has no AUROC; the mean leaves it out.

    Parameters
    ----------
    outcome : array-like, shape (n_stays, n_labels)
        0, 1, or NaN where it is not known.
    probability : array-like, shape (n_stays, n_labels)
        Between 0 and 1.
    labels : sequence of str
        Names of the labels.
    min_cell_size : int
        Smallest count that calibration groups may show.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay, for the intervals of calibration groups. None: each stay is another patient.

    Returns
    -------
    TaskPredictions
        With calibration groups of each label.

    Raises
    ------
    ArgumentError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.evaluate.evaluation import evaluate_predictions
    >>> outcome = [[0, 1], [1, np.nan], [0, 0]]
    >>> predictions = multilabel_predictions(outcome, np.full((3, 2), 0.5), labels=["death", "shock"])
    >>> evaluate_predictions({"model": predictions}, n_resamples=5).metrics["estimate"].tolist()[0]
    0.5
    """
    true = np.asarray(outcome, dtype=float)
    risk = _checked(probability, (len(true), len(labels)))
    if true.shape != risk.shape:
        raise ArgumentError(f"outcomes of shape {risk.shape}", f"{true.shape}", "Pass one column for each label.")
    metrics: dict[str, WeightedMetric] = {}
    parts = [column_part(label) for label in labels]
    for name, metric in LABEL_METRICS.items():
        by_label = {f"{name}_{part}": _where_known(metric, true[:, i], risk[:, i]) for i, part in enumerate(parts)}
        metrics |= {f"{name}_mean": _macro_mean(list(by_label.values()))} | by_label
    options: dict[str, Any] = {"min_cell_size": min_cell_size, "patients": patients}
    groups = {label: label_groups(true[:, i], risk[:, i], **options) for i, label in enumerate(labels)}
    by_part = {part: (true[:, i] == 1, true[:, i] == 0) for i, part in enumerate(parts)}
    return TaskPredictions(
        task_type="multilabel",
        n_stays=len(true),
        metrics=combine(metrics),
        **split_groups(groups),
        class_stays={f"{name}_{part}": masks for name in LABEL_METRICS for part, masks in by_part.items()},
        probability=risk,
    )


def regression_predictions(
    outcome: ArrayLike,
    predicted: ArrayLike,
    *,
    interval: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    outcome_name: str = "outcome",
    notes: Mapping[str, str] = EMPTY,
    min_cell_size: int = MIN_CELL_SIZE,
    patients: Any = None,
) -> TaskPredictions:
    """Prepare the predictions of a number.

    Metrics: mean absolute error, root mean squared error and R²; of intervals their coverage and width.

    Parameters
    ----------
    outcome, predicted : array-like, shape (n_stays,)
        In the unit of the outcome.
    interval : array-like, shape (n_stays, 2), optional
        Lower and upper end of a prediction interval.
    mean : array-like, shape (n_stays,), optional
        Predicted means for the calibration groups; `predicted` where None.
    outcome_name : str
        What is predicted, for figures.
    notes : mapping of str to str
        What a reader has to know.
    min_cell_size : int
        Smallest count that calibration groups may show.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay, for the intervals of calibration groups. None: each stay is another patient.

    Returns
    -------
    TaskPredictions
        With calibration groups of the mean.

    Raises
    ------
    ArgumentError
        If the shapes differ or outcomes are unknown.

    Examples
    --------
    >>> from clinicalgru.evaluate.evaluation import evaluate_predictions
    >>> predictions = regression_predictions([1.0, 3.0], [2.0, 3.0])
    >>> evaluate_predictions({"model": predictions}, n_resamples=5).metrics["estimate"].round(3).tolist()
    [0.5, 0.707, 0.5]
    """
    true = np.asarray(outcome, dtype=float)
    estimate = _checked(predicted, true.shape)
    if np.isnan(true).any():
        raise ArgumentError("known outcomes", f"{int(np.isnan(true).sum()):,} unknown", "Leave them out.")
    metrics = _error_metrics(true, true - estimate)
    if interval is not None:
        low, high = _checked(interval, (len(true), 2)).T
        metrics["coverage"] = _mean(((true >= low) & (true <= high)).astype(float))
        metrics["interval_width"] = _mean(high - low)
    center = estimate if mean is None else _checked(mean, true.shape)
    groups = {outcome_name: number_groups(true, center, min_cell_size=min_cell_size, patients=patients)}
    return TaskPredictions(
        task_type="regression",
        n_stays=len(true),
        metrics=combine(metrics),
        **split_groups(groups),
        is_probability=False,
        notes=notes,
    )


def _error_metrics(true: Array, error: Array) -> dict[str, WeightedMetric]:
    """Mean absolute error, root mean squared error and R²."""
    mean_square = _mean(error**2)

    def r_squared(weights: Array) -> Array:
        total = weights.sum(axis=1)
        center = weights @ true / total
        variance = weights @ true**2 / total - center**2
        return np.where(variance > 0, 1 - mean_square(weights) / np.where(variance > 0, variance, 1), np.nan)

    return {
        "mean_absolute_error": _mean(np.abs(error)),
        "root_mean_squared_error": lambda weights: np.sqrt(mean_square(weights)),
        "r_squared": r_squared,
    }


def _mean(values: Array) -> WeightedMetric:
    """Weighted mean of one value a stay."""
    return lambda weights: np.asarray(weights @ values / weights.sum(axis=1))


def _where_known(metric: Callable[[Array, Array, Array], Array], outcome: Array, risk: Array) -> WeightedMetric:
    """A metric over the stays in which the outcome is known."""
    known = ~np.isnan(outcome)
    if not known.any():
        return lambda weights: np.full(len(weights), np.nan)
    return lambda weights: metric(outcome[known], risk[known], weights[:, known])


def _macro_mean(metrics: list[WeightedMetric]) -> WeightedMetric:
    """Unweighted mean of several metrics, without those that are undefined."""

    def mean(weights: Array) -> Array:
        values = np.stack([metric(weights) for metric in metrics])
        known = ~np.isnan(values)
        total = np.where(known, values, 0).sum(axis=0)
        return np.asarray(np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan))

    return mean


def _checked(predicted: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Finite predictions of a shape."""
    numbers = np.asarray(predicted, dtype=float)
    if numbers.shape != shape or not np.isfinite(numbers).all():
        got = f"shape {numbers.shape}, {int((~np.isfinite(numbers)).sum()):,} not finite"
        fix = "Predict for the stays whose outcome you pass."
        raise ArgumentError(f"finite predictions of shape {shape}", got, fix)
    return numbers
