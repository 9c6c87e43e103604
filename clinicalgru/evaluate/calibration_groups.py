"""Predicted against observed in groups of like predictions, for answers that are no single risk."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.evaluate.calibration import Z, calibration_groups
from clinicalgru.evaluate.small_cells import joined
from clinicalgru.evaluate.validation import Array

GROUPS = 10


def risk_groups(outcome: Array, risk: Array, *, min_cell_size: int = MIN_CELL_SIZE) -> pd.DataFrame | None:
    """Of one outcome or class: tenths of the risk, joined until none holds 1 to 10 stays with it or without.

    outcome  (stay,)  0, 1, or NaN = not known
    risk     (stay,)
    returns  predicted, observed, low, high, stays; None where no group stays apart
    """
    known = ~np.isnan(outcome)
    if not known.any():
        return None
    table = joined(calibration_groups(outcome[known], risk[known], groups=GROUPS), min_cell_size)
    return table if len(table) > 1 else None


def number_groups(outcome: Array, predicted: Array, *, min_cell_size: int = MIN_CELL_SIZE) -> pd.DataFrame | None:
    """Of a number: tenths of what was predicted, with the mean of what came, and its 95 % interval.

    returns  predicted, observed, low, high, stays; None where the groups would be of fewer than `min_cell_size` stays
    """
    group, stays = _groups(predicted, min_cell_size)
    if len(stays) < 2:
        return None
    mean = np.bincount(group, outcome) / stays
    error = np.sqrt(np.bincount(group, (outcome - mean[group]) ** 2) / np.maximum(stays - 1, 1) / stays)
    columns = {"predicted": np.bincount(group, predicted) / stays, "observed": mean}
    return pd.DataFrame(columns | {"low": mean - Z * error, "high": mean + Z * error, "stays": stays})


def survival_groups(
    outcome: Array, risk: Array, *, hours: float, min_cell_size: int = MIN_CELL_SIZE
) -> pd.DataFrame | None:
    """Of a time: the risk by an hour against one minus Kaplan and Meier's survival in groups of like risk.

    outcome  (stay, 2)  hours to the event or to the end of follow-up, and 1 where the event came
    risk     (stay,)    that the event comes by `hours`
    returns  predicted, observed, low, high (Greenwood), stays; None where the groups would hold fewer than `min_cell_size`
             stays with the event by then
    """
    came = int(((outcome[:, 1] == 1) & (outcome[:, 0] <= hours)).sum())
    group, stays = _groups(risk, max(min_cell_size, 1), most=max(1, came // max(1, 2 * min_cell_size)))
    by_then = np.bincount(group, (outcome[:, 1] == 1) & (outcome[:, 0] <= hours), len(stays))
    if len(stays) < 2 or (by_then < min_cell_size).any():
        return None
    rows = np.array([kaplan_meier(outcome[group == one], hours) for one in range(len(stays))])
    low, high = (np.clip(1 - rows[:, 0] + sign * Z * rows[:, 1], 0, 1) for sign in (-1, 1))
    columns = {"predicted": np.bincount(group, risk) / stays, "observed": 1 - rows[:, 0], "low": low, "high": high}
    return pd.DataFrame(columns | {"stays": stays})


def kaplan_meier(outcome: Array, hours: float) -> tuple[float, float]:
    """Survival to an hour, and its standard error (Greenwood 1926).

    outcome  (stay, 2)  hours to the event or to the end of follow-up, and 1 where the event came

    >>> round(kaplan_meier(np.array([[1.0, 1], [2.0, 0], [3.0, 1]]), 1.0)[0], 3)
    0.667
    """
    times, place = np.unique(outcome[:, 0], return_inverse=True)
    left, died = np.bincount(place), np.bincount(place, outcome[:, 1] == 1)
    at_risk = len(outcome) - np.cumsum(left) + left
    within = times <= hours
    died, at_risk = died[within], at_risk[within]
    survival = np.prod(1 - died / at_risk)
    spread = np.sum(died / (at_risk * np.maximum(at_risk - died, 1)))
    return float(survival), float(survival * np.sqrt(spread))


def _groups(predicted: Array, min_cell_size: int, *, most: int = GROUPS) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(stay,) the group of each stay, and (group,) how many stays; equal predictions stay together."""
    count = int(np.clip(len(predicted) // max(1, 2 * min_cell_size), 1, min(GROUPS, most)))
    edges = np.unique(np.quantile(predicted, np.arange(1, count) / count))
    group = np.unique(np.searchsorted(edges, predicted, side="left"), return_inverse=True)[1]
    stays = np.bincount(group)
    if (stays < min_cell_size).any():  # ties made one small
        return np.zeros(len(predicted), dtype=np.int64), np.array([len(predicted)])
    return group.astype(np.int64), stays.astype(np.int64)
