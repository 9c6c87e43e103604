"""Curves that no patient can be read off: points and groups that lie 1 to 10 stays apart are joined."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clinicalgru.disclosure import SMALLEST_CELL, is_small, nested
from clinicalgru.evaluate.calibration import grouped
from clinicalgru.evaluate.curves import Curves
from clinicalgru.evaluate.validation import Array


def coarse(curves: Curves, *, stays: int, events: int, smallest: int = SMALLEST_CELL) -> Curves | None:
    """The curves of one model, joined so that between any two points or groups lie no or at least `smallest` stays with
    the event, and likewise without it.

    stays, events  of all stays the curves are of
    returns        None where all stays with, or without, the event are too few

    The area under the coarser lines is a little smaller than the AUROC, which is computed on all stays.

    >>> from clinicalgru.evaluate.curves import curves
    >>> outcome, risk = np.tile([0.0, 1.0], 30), np.linspace(0, 1, 60)
    >>> coarse(curves(outcome, risk), stays=60, events=30).calibration["stays"].tolist()
    [24, 36]
    """
    if None in nested([stays, events], smallest=smallest):
        return None
    groups = _joined(curves.calibration, smallest)  # predicted, events, stays
    cuts = np.cumsum(groups[["stays", "events"]].to_numpy()[::-1], axis=0)  # from the highest risk down
    forced = np.column_stack([cuts[:, 0] - cuts[:, 1], cuts[:, 1]])
    rates = curves.roc[["false_positive_rate", "true_positive_rate"]].to_numpy()
    path = np.round(rates * [stays - events, events]).astype(int)
    kept = _chain(path, forced, smallest)
    alarms, recall = kept[:, 0] / (stays - events), kept[:, 1] / events
    precision = kept[1:, 1] / kept[1:].sum(axis=1)
    return Curves(
        roc=pd.DataFrame({"false_positive_rate": alarms, "true_positive_rate": recall}),
        precision_recall=pd.DataFrame({"recall": recall, "precision": np.append(precision[:1], precision)}),
        calibration=grouped(*(groups[name].to_numpy() for name in ("predicted", "events", "stays"))),
    )


def joined(groups: pd.DataFrame, smallest: int = SMALLEST_CELL) -> pd.DataFrame:
    """Neighbouring groups of `calibration_groups` joined until none holds few stays with or without the event."""
    apart = _joined(groups, smallest)
    return grouped(*(apart[name].to_numpy() for name in ("predicted", "events", "stays")))


def _joined(groups: pd.DataFrame, smallest: int) -> pd.DataFrame:
    """Neighbouring groups joined until none holds few stays with or without the event: predicted, events, stays."""
    joined: list[list[float]] = []
    for predicted, observed, stays in groups[["predicted", "observed", "stays"]].to_numpy(dtype=float).tolist():
        group = [predicted, float(np.round(observed * stays)), stays]
        if joined and _few(joined[-1][1:], smallest):
            _join(joined[-1], group)
        else:
            joined.append(group)
    while len(joined) > 1 and _few(joined[-1][1:], smallest):
        last = joined.pop()
        _join(joined[-1], last)
    return pd.DataFrame(joined, columns=["predicted", "events", "stays"])


def _few(counts: list[float], smallest: int) -> bool:
    events, stays = counts
    return is_small(events, smallest) or is_small(stays - events, smallest)


def _join(group: list[float], other: list[float]) -> None:
    stays = group[2] + other[2]
    group[0] = (group[0] * group[2] + other[0] * other[2]) / stays
    group[1], group[2] = group[1] + other[1], stays


def _chain(path: Array, forced: Array, smallest: int) -> Array:
    """The points of a path of (others, events) that lie far enough apart, the forced ones and (0, 0) among them."""
    kept, end = [np.zeros(2, dtype=int)], 0
    for point in sorted({tuple(point) for point in [*path.tolist(), *forced.astype(int).tolist()]}):
        here = np.array(point)
        while end < len(forced) - 1 and (here > forced[end]).any():
            end += 1
        apart = [*(here - kept[-1]), *(forced[end] - here)]
        if (here != kept[-1]).any() and min(apart) >= 0 and not any(is_small(step, smallest) for step in apart):
            kept.append(here)
    return np.array(kept)
