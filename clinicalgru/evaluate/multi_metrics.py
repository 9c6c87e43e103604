"""How good predictions are that are no single risk: of several classes, of several outcomes, of a number.

Each gives back a table: metric, estimate, low, high (the middle 95 % of a bootstrap over patients), and refuses
predictions of another shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import numbered_patients, patient_resamples, percentile_interval
from clinicalgru.evaluate.metrics import auprc, auroc, log_loss
from clinicalgru.evaluate.validation import Array

Weighted = Callable[[Array], Array]  # (resample, stay) weights -> (resample,) figures
Figures = Callable[[Array], Mapping[str, Array]]  # (resample, stay) weights -> metric: (resample,) figures


def with_intervals(
    metrics: Mapping[str, Weighted], stays: int, *, patients: Any = None, n_resamples: int = 1000, random_state: int = 0
) -> pd.DataFrame:
    """Each metric with the middle 95 % of a bootstrap over patients: metric, estimate, low, high.

    metrics   name: from weights (resample, stay) to figures (resample,)
    patients  (stay,) who each stay belongs to; None takes every stay for another patient

    >>> table = with_intervals({"mean": lambda weights: weights @ np.array([1.0, 3.0]) / weights.sum(axis=1)}, 2)
    >>> table["estimate"].tolist()
    [2.0]
    """
    return tabled(all_of(metrics), stays, patients=patients, n_resamples=n_resamples, random_state=random_state)


def tabled(
    figures: Figures, stays: int, *, patients: Any = None, n_resamples: int = 1000, random_state: int = 0
) -> pd.DataFrame:
    """The same of figures that are computed together."""
    plain, [drawn] = replicates([figures], stays, patients=patients, n_resamples=n_resamples, random_state=random_state)
    rows = [(name, float(plain[0][name]), *percentile_interval(drawn[name])) for name in drawn]
    return pd.DataFrame(rows, columns=["metric", "estimate", "low", "high"])


def replicates(
    models: Sequence[Figures], stays: int, *, patients: Any, n_resamples: int, random_state: int
) -> tuple[list[dict[str, float]], list[dict[str, Array]]]:
    """Of each model the figures on these stays, and on resamples of their patients, the same for all models."""
    if n_resamples < 1:
        raise ArgumentError("at least one resample", f"{n_resamples}", "Use 1,000 or more for an interval to report.")
    patient = numbered_patients(patients, stays)
    plain = [{name: float(one[0]) for name, one in of(np.ones((1, stays))).items()} for of in models]
    blocks = [
        [of(weights) for of in models]
        for weights in patient_resamples(patient, n_resamples=n_resamples, random_state=random_state)
    ]
    drawn = [
        {name: np.concatenate([block[place][name] for block in blocks]) for name in plain[place]}
        for place in range(len(models))
    ]
    return plain, drawn


def all_of(metrics: Mapping[str, Weighted]) -> Figures:
    """Metrics that are computed one by one, as one."""
    return lambda weights: {name: metric(weights) for name, metric in metrics.items()}


def evaluate_multiclass(
    outcome: ArrayLike,
    probability: ArrayLike,
    *,
    classes: Sequence[Any],
    patients: Any = None,
    n_resamples: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """Accuracy, log loss, and AUROC of each class against the others, with their plain mean.

    outcome      (stay,)        one of `classes`
    probability  (stay, class)  that sum to 1

    Refused: outcomes of other classes, another shape.

    >>> table = evaluate_multiclass([0, 1, 2], np.eye(3) * 0.7 + 0.1, classes=[0, 1, 2], n_resamples=5)
    >>> table["metric"].tolist()[:3], table["estimate"].round(3).tolist()[:3]
    (['accuracy', 'log_loss', 'auroc_mean'], [1.0, 0.223, 1.0])
    """
    metrics = multiclass_metrics(outcome, probability, classes=classes)
    return with_intervals(
        metrics, len(np.asarray(outcome)), patients=patients, n_resamples=n_resamples, random_state=random_state
    )


def multiclass_metrics(outcome: ArrayLike, probability: ArrayLike, *, classes: Sequence[Any]) -> dict[str, Weighted]:
    """The metrics of `evaluate_multiclass` by name."""
    true, shares = np.asarray(outcome), _checked(probability, (len(np.asarray(outcome)), len(classes)))
    hit = true[:, None] == np.asarray(classes)
    if not hit.any(axis=1).all():
        other = int((~hit.any(axis=1)).sum())
        raise ArgumentError("outcomes among the classes", f"{other:,} others or unknown", "Leave them out.")
    right = (np.argmax(shares, axis=1) == np.argmax(hit, axis=1)).astype(float)
    surprise = -np.log(np.maximum(shares[hit], np.finfo(float).tiny))
    metrics: dict[str, Weighted] = {"accuracy": _mean(right), "log_loss": _mean(surprise)}
    each = {f"auroc_{name}": _of(auroc, hit[:, i].astype(float), shares[:, i]) for i, name in enumerate(classes)}
    return metrics | {"auroc_mean": _together(list(each.values()))} | each


def evaluate_multilabel(
    outcome: ArrayLike,
    probability: ArrayLike,
    *,
    labels: Sequence[str],
    patients: Any = None,
    n_resamples: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """AUROC, AUPRC and log loss of each outcome over the stays in which it is known, with their plain means.

    outcome      (stay, outcome)  0, 1, or NaN = not known
    probability  (stay, outcome)  between 0 and 1

    Refused: another shape. An outcome of one value only has no AUROC, and the mean leaves it out.

    >>> table = evaluate_multilabel([[0, 1], [1, np.nan], [0, 0]], np.full((3, 2), 0.5), labels=["a", "b"], n_resamples=5)
    >>> table["estimate"].tolist()[0]
    0.5
    """
    metrics = multilabel_metrics(outcome, probability, labels=labels)
    return with_intervals(
        metrics, len(np.asarray(outcome)), patients=patients, n_resamples=n_resamples, random_state=random_state
    )


def multilabel_metrics(outcome: ArrayLike, probability: ArrayLike, *, labels: Sequence[str]) -> dict[str, Weighted]:
    """The metrics of `evaluate_multilabel` by name."""
    true = np.asarray(outcome, dtype=float)
    risk = _checked(probability, (len(true), len(labels)))
    if true.shape != risk.shape:
        raise ArgumentError(f"outcomes of shape {risk.shape}", f"{true.shape}", "Pass one column for each label.")
    metrics: dict[str, Weighted] = {}
    for name, metric in {"auroc": auroc, "auprc": auprc, "log_loss": log_loss}.items():
        each = {f"{name}_{label}": _of(metric, true[:, i], risk[:, i]) for i, label in enumerate(labels)}
        metrics |= {f"{name}_mean": _together(list(each.values()))} | each
    return metrics


def evaluate_regression(
    outcome: ArrayLike,
    predicted: ArrayLike,
    *,
    interval: ArrayLike | None = None,
    patients: Any = None,
    n_resamples: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """Mean absolute error, root mean squared error, and explained variance; of intervals their coverage and width.

    outcome, predicted  (stay,)    in the unit of the outcome
    interval            (stay, 2)  lowest and highest expected

    Refused: another shape, unknown outcomes.

    >>> evaluate_regression([1.0, 3.0], [2.0, 3.0], n_resamples=5)["estimate"].round(3).tolist()
    [0.5, 0.707, 0.5]
    """
    metrics = regression_metrics(outcome, predicted, interval=interval)
    return with_intervals(
        metrics, len(np.asarray(outcome)), patients=patients, n_resamples=n_resamples, random_state=random_state
    )


def regression_metrics(
    outcome: ArrayLike, predicted: ArrayLike, *, interval: ArrayLike | None = None
) -> dict[str, Weighted]:
    """The metrics of `evaluate_regression` by name."""
    true = np.asarray(outcome, dtype=float)
    error = true - _checked(predicted, true.shape)
    if np.isnan(true).any():
        raise ArgumentError("known outcomes", f"{int(np.isnan(true).sum()):,} unknown", "Leave them out.")
    mean_square = _mean(error**2)

    def explained(weights: Array) -> Array:
        total = weights.sum(axis=1)
        centre = weights @ true / total
        spread = weights @ true**2 / total - centre**2
        return np.where(spread > 0, 1 - mean_square(weights) / np.where(spread > 0, spread, 1), np.nan)

    metrics: dict[str, Weighted] = {
        "mean_absolute_error": _mean(np.abs(error)),
        "root_mean_squared_error": lambda weights: np.sqrt(mean_square(weights)),
        "r_squared": explained,
    }
    if interval is not None:
        low, high = _checked(interval, (len(true), 2)).T
        metrics["coverage"] = _mean(((true >= low) & (true <= high)).astype(float))
        metrics["interval_width"] = _mean(high - low)
    return metrics


def _mean(figures: Array) -> Weighted:
    return lambda weights: np.asarray(weights @ figures / weights.sum(axis=1))


def _of(metric: Callable[[Array, Array, Array], Array], outcome: Array, risk: Array) -> Weighted:
    """A metric over the stays in which the outcome is known."""
    known = ~np.isnan(outcome)
    if not known.any():
        return lambda weights: np.full(len(weights), np.nan)
    return lambda weights: metric(outcome[known], risk[known], weights[:, known])


def _together(each: list[Weighted]) -> Weighted:
    """The plain mean of several metrics, without those that are undefined."""

    def mean(weights: Array) -> Array:
        figures = np.stack([metric(weights) for metric in each])
        known = ~np.isnan(figures)
        total = np.where(known, figures, 0).sum(axis=0)
        return np.asarray(np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan))

    return mean


def _checked(predicted: ArrayLike, shape: tuple[int, ...]) -> Array:
    numbers = np.asarray(predicted, dtype=float)
    if numbers.shape != shape or not np.isfinite(numbers).all():
        came = f"shape {numbers.shape}, {int((~np.isfinite(numbers)).sum()):,} not finite"
        raise ArgumentError(
            f"finite predictions of shape {shape}", came, "Predict for the stays whose outcome you pass."
        )
    return numbers
