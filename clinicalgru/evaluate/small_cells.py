"""Curves that no patient can be read off: points and groups that lie 1 to 10 stays apart are joined."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, is_small, suppress_nested
from clinicalgru.evaluate.calibration import grouped
from clinicalgru.evaluate.curves import Curves
from clinicalgru.evaluate.validation import Array


def coarse(curves: Curves, *, stays: int, events: int, min_cell_size: int = MIN_CELL_SIZE) -> Curves | None:
    """The curves of one model, joined so that between any two points or groups lie no or at least `min_cell_size` stays with
    the event, and likewise without it.

    stays, events  of all stays the curves are of
    returns        None where all stays with, or without, the event are too few

    The area under the coarser lines is a little smaller than the AUROC, which is computed on all stays.

    >>> from clinicalgru.evaluate.curves import curves
    >>> outcome, risk = np.tile([0.0, 1.0], 30), np.linspace(0, 1, 60)
    >>> coarse(curves(outcome, risk), stays=60, events=30).calibration["stays"].tolist()
    [24, 36]
    """
    if None in suppress_nested([stays, events], min_cell_size=min_cell_size):
        return None
    groups = _joined(curves.calibration, min_cell_size)  # predicted, events, stays
    cuts = np.cumsum(groups[["stays", "events"]].to_numpy()[::-1], axis=0)  # from the highest risk down
    forced = np.column_stack([cuts[:, 0] - cuts[:, 1], cuts[:, 1]])
    rates = curves.roc[["false_positive_rate", "true_positive_rate"]].to_numpy()
    path = np.round(rates * [stays - events, events]).astype(int)
    kept = _chain(path, forced, min_cell_size)
    alarms, recall = kept[:, 0] / (stays - events), kept[:, 1] / events
    precision = kept[1:, 1] / kept[1:].sum(axis=1)
    return Curves(
        roc=pd.DataFrame({"false_positive_rate": alarms, "true_positive_rate": recall}),
        precision_recall=pd.DataFrame({"recall": recall, "precision": np.append(precision[:1], precision)}),
        calibration=grouped(*(groups[name].to_numpy() for name in ("predicted", "events", "stays"))),
    )


def joined(groups: pd.DataFrame, min_cell_size: int = MIN_CELL_SIZE) -> pd.DataFrame:
    """Neighbouring groups of `calibration_groups` joined until none holds few stays with or without the event."""
    apart = _joined(groups, min_cell_size)
    return grouped(*(apart[name].to_numpy() for name in ("predicted", "events", "stays")))


def _joined(groups: pd.DataFrame, min_cell_size: int) -> pd.DataFrame:
    """Neighbouring groups joined until none holds few stays with or without the event: predicted, events, stays."""
    joined: list[list[float]] = []
    for predicted, observed, stays in groups[["predicted", "observed", "stays"]].to_numpy(dtype=float).tolist():
        group = [predicted, float(np.round(observed * stays)), stays]
        if joined and _few(joined[-1][1:], min_cell_size):
            _join(joined[-1], group)
        else:
            joined.append(group)
    while len(joined) > 1 and _few(joined[-1][1:], min_cell_size):
        last = joined.pop()
        _join(joined[-1], last)
    return pd.DataFrame(joined, columns=["predicted", "events", "stays"])


def _few(counts: list[float], min_cell_size: int) -> bool:
    events, stays = counts
    return is_small(events, min_cell_size) or is_small(stays - events, min_cell_size)


def _join(group: list[float], other: list[float]) -> None:
    stays = group[2] + other[2]
    group[0] = (group[0] * group[2] + other[0] * other[2]) / stays
    group[1], group[2] = group[1] + other[1], stays


def _chain(path: Array, forced: Array, min_cell_size: int) -> Array:
    """The points of a path of (others, events) that lie far enough apart, the forced ones and (0, 0) among them."""
    kept, end = [np.zeros(2, dtype=int)], 0
    for point in sorted({tuple(point) for point in [*path.tolist(), *forced.astype(int).tolist()]}):
        here = np.array(point)
        while end < len(forced) - 1 and (here > forced[end]).any():
            end += 1
        apart = [*(here - kept[-1]), *(forced[end] - here)]
        if (here != kept[-1]).any() and min(apart) >= 0 and not any(is_small(step, min_cell_size) for step in apart):
            kept.append(here)
    return np.array(kept)
