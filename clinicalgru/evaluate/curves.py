"""Curves of one model's risks: ROC, precision and recall, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clinicalgru.evaluate.calibration import calibration_groups, group_count, quantile_groups
from clinicalgru.evaluate.metrics import cumulative_counts
from clinicalgru.evaluate.patient_intervals import patient_products
from clinicalgru.evaluate.validation import Array

MAX_POINTS = 500


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of one model, as tables.

    Attributes
    ----------
    roc : DataFrame
        false_positive_rate, true_positive_rate; the area under the straight lines between points is the AUROC.
    precision_recall : DataFrame
        recall, precision; starts with the precision at the highest risk. The average precision is not the area under
        straight lines between points, which is too high where events are rare.
    calibration : DataFrame
        predicted, observed, low, high, stays; by tenths of the risk, or fewer groups of at least 20 stays.
    products : ndarray of shape (2, group, group) or None
        Of `patient_products`, for the intervals of merged groups; None where each stay is another patient.
    """

    roc: pd.DataFrame
    precision_recall: pd.DataFrame
    calibration: pd.DataFrame
    products: Array | None = None


def curves(outcome: Array, risk: Array, *, patients: NDArray[Any] | None = None) -> Curves:
    """Compute the curves of one model, at most 500 points each; areas are accurate to 1e-4.

    Parameters
    ----------
    outcome : ndarray, shape (n_stays,)
        0 or 1, both present.
    risk : ndarray, shape (n_stays,)
        Between 0 and 1.
    patients : ndarray, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.

    Returns
    -------
    Curves
        ROC, precision and recall, calibration.

    Examples
    --------
    >>> import numpy as np
    >>> curves(np.array([0.0, 1.0]), np.array([0.2, 0.7])).roc
       false_positive_rate  true_positive_rate
    0                  0.0                 0.0
    1                  0.0                 1.0
    2                  1.0                 1.0
    """
    counts = cumulative_counts(outcome, risk, np.ones((1, len(risk))))
    events, flagged = (np.concatenate([[0.0], row[0]]) for row in counts)
    others = flagged - events
    recall, false_positive_rate = events / events[-1], others / others[-1]
    precision = events[1:] / flagged[1:]
    roc = simplify_curve(false_positive_rate, recall)
    by_recall = simplify_curve(recall, np.concatenate([precision[:1], precision]))
    groups = quantile_groups(risk, group_count(len(risk)))
    return Curves(
        roc=pd.DataFrame(roc, columns=["false_positive_rate", "true_positive_rate"]),
        precision_recall=pd.DataFrame(by_recall, columns=["recall", "precision"]),
        calibration=calibration_groups(outcome, risk, patients=patients),
        products=None if patients is None else patient_products(outcome, groups, patients),
    )


def simplify_curve(x: Array, y: Array) -> Array:
    """Reduce a curve to at most 500 points that preserve the area under its straight lines.

    Points inside a vertical or horizontal line are removed first. The rest is cut into stretches; in each, the point is
    kept that makes the accumulated area closest to the true one, so that errors cancel.

    Parameters
    ----------
    x, y : ndarray, shape (n_points,)
        Coordinates; `x` does not decrease.

    Returns
    -------
    ndarray, shape (n_kept, 2)
        Points, the first and the last among them.

    Examples
    --------
    >>> import numpy as np
    >>> len(simplify_curve(np.arange(9_999.0), np.arange(9_999.0) ** 2)) <= 500
    True
    """
    points = np.stack([x, y], axis=1)
    if len(points) > MAX_POINTS:
        still = np.diff(points, axis=0) == 0
        points = points[[True, *~(still[:-1] & still[1:]).any(axis=1), True]]
    return points if len(points) <= MAX_POINTS else points[_one_per_stretch(*points.T)]


def _one_per_stretch(x: Array, y: Array) -> list[int]:
    """Positions of the points to keep."""
    positions, area = [0], 0.0
    true_area = np.concatenate([[0.0], np.cumsum(_area(x[:-1], y[:-1], x[1:], y[1:]))])
    for start, stop in pairwise(_stretches(np.diff(x), np.diff(y))):
        last = positions[-1]
        reached = area + _area(x[last], y[last], x[start:stop], y[start:stop])
        best = int(np.argmin(np.abs(reached - true_area[start:stop])))
        positions.append(start + best)
        area = float(reached[best])
    return [*positions, len(x) - 1]


def _stretches(dx: Array, dy: Array) -> list[int]:
    """Start of each stretch, and the end: short where the curve bends, long where it is nearly straight."""
    bend = np.cumsum(np.sqrt(np.abs(dx[:-1] * dy[1:] - dx[1:] * dy[:-1])))
    cuts = 1 + np.searchsorted(bend, np.linspace(0, bend[-1], MAX_POINTS - 1)[1:-1])
    return np.unique([1, *cuts, len(dx)]).tolist()


def _area(x0: Array, y0: Array, x1: Array, y1: Array) -> Array:
    """Area under the straight line between two points."""
    return (x1 - x0) * (y0 + y1) / 2
