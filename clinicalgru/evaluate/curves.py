"""The curves of one model: ROC, precision and recall, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from clinicalgru.evaluate.calibration import calibration_groups
from clinicalgru.evaluate.metrics import ranked
from clinicalgru.evaluate.validation import Array

MOST_POINTS = 500


@dataclass(frozen=True, eq=False)
class Curves:
    """What a plot of one model needs.

    roc               false_positive_rate, true_positive_rate; the area under its straight lines is the AUROC
    precision_recall  recall, precision; starts with the precision of the highest risk. The average precision is not the
                      area under its straight lines, which flatters where events are few
    calibration       predicted, observed, low, high, stays, by tenths of the risk
    """

    roc: pd.DataFrame
    precision_recall: pd.DataFrame
    calibration: pd.DataFrame


def curves(outcome: Array, risk: Array) -> Curves:
    """The curves of one model, at most 500 points each, their areas kept to 1e-4.

    outcome  (stay,)  0 or 1, both present
    risk     (stay,)  between 0 and 1

    >>> curves(np.array([0.0, 1.0]), np.array([0.2, 0.7])).roc
       false_positive_rate  true_positive_rate
    0                  0.0                 0.0
    1                  0.0                 1.0
    2                  1.0                 1.0
    """
    events, flagged = (np.concatenate([[0.0], row[0]]) for row in ranked(outcome, risk, np.ones((1, len(risk)))))
    others = flagged - events
    recall, alarms = events / events[-1], others / others[-1]
    precision = events[1:] / flagged[1:]
    roc = thinned(alarms, recall)
    by_recall = thinned(recall, np.concatenate([precision[:1], precision]))
    return Curves(
        roc=pd.DataFrame(roc, columns=["false_positive_rate", "true_positive_rate"]),
        precision_recall=pd.DataFrame(by_recall, columns=["recall", "precision"]),
        calibration=calibration_groups(outcome, risk),
    )


def thinned(x: Array, y: Array) -> Array:
    """At most 500 points of a curve, the first and last among them, that keep the area under its straight lines.

    x, y     (point,)  x not falling
    returns  (kept point, 2)

    What lies inside an upright or a level line goes first. The rest is cut into stretches, of each of which that point
    is kept that leaves the area so far closest to the true one: errors cancel, not add up.

    >>> len(thinned(np.arange(9_999.0), np.arange(9_999.0) ** 2)) <= 500
    True
    """
    points = np.stack([x, y], axis=1)
    if len(points) > MOST_POINTS:
        still = np.diff(points, axis=0) == 0
        points = points[[True, *~(still[:-1] & still[1:]).any(axis=1), True]]
    return points if len(points) <= MOST_POINTS else points[_one_of_each_stretch(*points.T)]


def _one_of_each_stretch(x: Array, y: Array) -> list[int]:
    kept, so_far = [0], 0.0
    true = np.concatenate([[0.0], np.cumsum(_area(x[:-1], y[:-1], x[1:], y[1:]))])
    for start, stop in pairwise(_stretches(np.diff(x), np.diff(y))):
        last = kept[-1]
        reached = so_far + _area(x[last], y[last], x[start:stop], y[start:stop])
        best = int(np.argmin(np.abs(reached - true[start:stop])))
        kept.append(start + best)
        so_far = float(reached[best])
    return [*kept, len(x) - 1]


def _stretches(along: Array, up: Array) -> list[int]:
    """Where each stretch starts, and the end: short where corners are wide, long where the curve is nearly straight."""
    corner = np.sqrt(np.abs(along[:-1] * up[1:] - along[1:] * up[:-1]))
    turned = np.cumsum(corner)
    cuts = 1 + np.searchsorted(turned, np.linspace(0, turned[-1], MOST_POINTS - 1)[1:-1])
    return np.unique([1, *cuts, len(along)]).tolist()


def _area(x0: Array, y0: Array, x1: Array, y1: Array) -> Array:
    return (x1 - x0) * (y0 + y1) / 2
