"""Suppression of small cells in curves and calibration groups: points and groups that are 1 to 10 stays apart merge."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, is_small, suppress_nested
from clinicalgru.evaluate.calibration import group_table
from clinicalgru.evaluate.curves import Curves
from clinicalgru.evaluate.validation import Array


def suppress_curves(curves: Curves, *, stays: int, events: int, min_cell_size: int = MIN_CELL_SIZE) -> Curves | None:
    """Coarsen the curves of one model until no two points differ by few stays.

    Between any two points or groups lie none or at least `min_cell_size` stays with the event, and likewise without it.

    Parameters
    ----------
    curves : Curves
        Curves of all stays.
    stays, events : int
        All stays, and those with the event.
    min_cell_size : int
        Smallest count that may be shown; 0 shows all.

    Returns
    -------
    Curves or None
        Coarser curves; None where all stays with, or without, the event are too few.

    Notes
    -----
    The area under the coarser ROC curve is slightly smaller than the AUROC, which is computed from all stays.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.evaluate.curves import curves
    >>> outcome, risk = np.tile([0.0, 1.0], 60), np.linspace(0, 1, 120)
    >>> suppress_curves(curves(outcome, risk), stays=120, events=60).calibration["stays"].tolist()
    [40, 40, 40]
    """
    if None in suppress_nested([stays, events], min_cell_size=min_cell_size):
        return None
    groups = _merged(curves.calibration, min_cell_size)
    calibration, products = _merged_table(groups, curves.products)
    cuts = np.cumsum(groups[["stays", "events"]].to_numpy()[::-1], axis=0)  # from the highest risk down
    required = np.column_stack([cuts[:, 0] - cuts[:, 1], cuts[:, 1]])
    rates = curves.roc[["false_positive_rate", "true_positive_rate"]].to_numpy()
    path = np.round(rates * [stays - events, events]).astype(int)
    points = _spaced_points(path, required, min_cell_size)
    false_positive_rate, recall = points[:, 0] / (stays - events), points[:, 1] / events
    precision = points[1:, 1] / points[1:].sum(axis=1)
    return Curves(
        roc=pd.DataFrame({"false_positive_rate": false_positive_rate, "true_positive_rate": recall}),
        precision_recall=pd.DataFrame({"recall": recall, "precision": np.append(precision[:1], precision)}),
        calibration=calibration,
        products=products,
    )


def merge_groups(
    groups: pd.DataFrame, min_cell_size: int = MIN_CELL_SIZE, *, products: Array | None = None
) -> pd.DataFrame:
    """Merge neighbouring calibration groups until none holds few stays with, or without, the event.

    Parameters
    ----------
    groups : DataFrame
        predicted, observed and stays, as from `calibration_groups`.
    min_cell_size : int
        Smallest count that may be shown.
    products : ndarray of shape (2, group, group), optional
        Of `patient_products`, for intervals by patient.

    Returns
    -------
    DataFrame
        predicted, observed, low, high, stays.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.evaluate.calibration import calibration_groups
    >>> groups = calibration_groups(np.tile([0.0, 1.0], 60), np.linspace(0, 1, 120))
    >>> merge_groups(groups)["stays"].tolist()
    [40, 40, 40]
    """
    return _merged_table(_merged(groups, min_cell_size), products)[0]


def _merged_table(merged: pd.DataFrame, products: Array | None) -> tuple[pd.DataFrame, Array | None]:
    """The table of merged groups, with the products of the merged groups."""
    if products is not None:
        of = np.repeat(np.eye(len(merged)), merged["groups"].to_numpy(int), axis=1)
        products = of @ products @ of.T
    predicted, events, stays = (merged[name].to_numpy() for name in ("predicted", "events", "stays"))
    return group_table(predicted, events, stays, products), products


def _merged(groups: pd.DataFrame, min_cell_size: int) -> pd.DataFrame:
    """Merged neighbours as predicted, events, stays, and how many groups they were."""
    merged: list[list[float]] = []
    for predicted, observed, stays in groups[["predicted", "observed", "stays"]].to_numpy(dtype=float).tolist():
        group = [predicted, float(np.round(observed * stays)), stays, 1.0]
        if merged and _has_small_cell(merged[-1], min_cell_size):
            _add(merged[-1], group)
        else:
            merged.append(group)
    while len(merged) > 1 and _has_small_cell(merged[-1], min_cell_size):
        last = merged.pop()
        _add(merged[-1], last)
    return pd.DataFrame(merged, columns=["predicted", "events", "stays", "groups"])


def _has_small_cell(group: list[float], min_cell_size: int) -> bool:
    """Whether few stays of a group have the event, or few have not."""
    events, stays = group[1:3]
    return is_small(events, min_cell_size) or is_small(stays - events, min_cell_size)


def _add(group: list[float], other: list[float]) -> None:
    """Merge another group into a group."""
    stays = group[2] + other[2]
    group[0] = (group[0] * group[2] + other[0] * other[2]) / stays
    group[1], group[2], group[3] = group[1] + other[1], stays, group[3] + other[3]


def _spaced_points(path: Array, required: Array, min_cell_size: int) -> Array:
    """Points of a path of (others, events) that are far enough apart, with the required ones and (0, 0) among them."""
    points, end = [np.zeros(2, dtype=int)], 0
    for candidate in sorted({tuple(point) for point in [*path.tolist(), *required.astype(int).tolist()]}):
        point = np.array(candidate)
        while end < len(required) - 1 and (point > required[end]).any():
            end += 1
        gaps = [*(point - points[-1]), *(required[end] - point)]
        if (point != points[-1]).any() and min(gaps) >= 0 and not any(is_small(gap, min_cell_size) for gap in gaps):
            points.append(point)
    return np.array(points)
