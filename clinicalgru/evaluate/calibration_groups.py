"""Calibration groups for the other types of task: labels, classes, numbers and survival; small groups suppressed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.evaluate.bootstrap import numbered_patients
from clinicalgru.evaluate.calibration import MIN_STAYS, calibration_groups, group_count, quantile_groups
from clinicalgru.evaluate.patient_intervals import Z, mean_error, patient_products
from clinicalgru.evaluate.small_cells import merge_groups
from clinicalgru.evaluate.validation import Array

UNKNOWN = "its outcome is not known in any stay"


def label_groups(
    outcome: Array, risk: Array, *, min_cell_size: int = MIN_CELL_SIZE, patients: Any = None
) -> pd.DataFrame | str:
    """Tabulate predicted against observed for one label or class, small groups merged.

    Parameters
    ----------
    outcome : ndarray, shape (n_stays,)
        0, 1, or NaN where it is not known.
    risk : ndarray, shape (n_stays,)
        Between 0 and 1.
    min_cell_size : int
        Groups are merged until each has none or at least so many stays with the label, and without it.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay, for the intervals. None: each stay is another patient.

    Returns
    -------
    DataFrame or str
        predicted, observed, low, high, stays; where only one group remains, why.

    Examples
    --------
    >>> import numpy as np
    >>> label_groups(np.tile([0.0, 1.0], 50), np.linspace(0, 1, 100))["stays"].tolist()
    [40, 60]
    """
    known = ~np.isnan(outcome)
    if not known.any():
        return UNKNOWN
    true, predicted, products = outcome[known], risk[known], None
    if patients is not None:
        patient = numbered_patients(patients, len(outcome))[known]
        products = patient_products(true, quantile_groups(predicted, group_count(len(true))), patient)
    table = merge_groups(calibration_groups(true, predicted), min_cell_size, products=products)
    return table if len(table) > 1 else _too_few(predicted, "stays with it, or without it, for two groups")


def number_groups(
    outcome: Array, predicted: Array, *, min_cell_size: int = MIN_CELL_SIZE, patients: Any = None
) -> pd.DataFrame | str:
    """Tabulate predicted against observed means for a number.

    Parameters
    ----------
    outcome, predicted : ndarray, shape (n_stays,)
        In the unit of the outcome.
    min_cell_size : int
        Smallest group that may be shown.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay, for the intervals. None: each stay is another patient.

    Returns
    -------
    DataFrame or str
        predicted, observed (mean outcome), low, high (95 % interval of the mean, by patient), stays; where groups would
        be too small, why.

    Examples
    --------
    >>> import numpy as np
    >>> number_groups(np.arange(44.0), np.arange(44.0))["observed"].tolist()
    [10.5, 32.5]
    """
    group, stays = _large_groups(predicted, min_cell_size)
    if len(stays) < 2:
        return _too_few(predicted, "stays for two groups")
    mean, patient = np.bincount(group, outcome) / stays, numbered_patients(patients, len(outcome))
    error = np.array([mean_error(outcome[group == one], patient[group == one]) for one in range(len(stays))])
    columns = {"predicted": np.bincount(group, predicted) / stays, "observed": mean}
    return pd.DataFrame(columns | {"low": mean - Z * error, "high": mean + Z * error, "stays": stays})


def survival_groups(
    outcome: Array, risk: Array, *, hours: float, min_cell_size: int = MIN_CELL_SIZE, patients: Any = None
) -> pd.DataFrame | str:
    """Tabulate the predicted risk by an hour against one minus the Kaplan-Meier survival of groups of similar risk.

    Parameters
    ----------
    outcome : ndarray, shape (n_stays, 2)
        Hours to the event or to the end of follow-up, and 1 where the event occurred.
    risk : ndarray, shape (n_stays,)
        Probability of the event by `hours`.
    hours : float
        Horizon in hours.
    min_cell_size : int
        Smallest number of stays with the event by then that a group may have: smaller groups are joined.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay, for the intervals. None: each stay is another patient.

    Returns
    -------
    DataFrame or str
        predicted, observed, low, high (Greenwood, by patient), stays; where all stays have too few events, why.

    Examples
    --------
    >>> import numpy as np
    >>> outcome = np.column_stack([np.arange(1.0, 101), np.ones(100)])
    >>> len(survival_groups(outcome, np.linspace(1, 0, 100), hours=70.0, min_cell_size=0))
    5
    """
    occurred = (outcome[:, 1] == 1) & (outcome[:, 0] <= hours)
    if occurred.sum() < max(min_cell_size, 1):
        return "too few events by then"
    group, stays = _large_groups(risk, max(min_cell_size, 1))
    group = _joined(np.bincount(group, occurred, len(stays)), min_cell_size)[group]
    stays = np.bincount(group)
    patient = numbered_patients(patients, len(outcome))
    parts = [group == number for number in range(len(stays))]
    rows = np.array([kaplan_meier(outcome[part], hours, patients=patient[part]) for part in parts])
    low, high = (np.clip(1 - rows[:, 0] + sign * Z * rows[:, 1], 0, 1) for sign in (-1, 1))
    columns = {"predicted": np.bincount(group, risk) / stays, "observed": 1 - rows[:, 0], "low": low, "high": high}
    return pd.DataFrame(columns | {"stays": stays})


def kaplan_meier(outcome: Array, hours: float, *, patients: Any = None) -> tuple[float, float]:
    """Compute the Kaplan-Meier survival at an hour and its standard error.

    Parameters
    ----------
    outcome : ndarray, shape (n_stays, 2)
        Hours to the event or to the end of follow-up, and 1 where the event occurred.
    hours : float
        Time in hours.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.

    Returns
    -------
    survival, standard_error : float
        The error by Greenwood's formula. With several stays of a patient its square is multiplied by how much larger
        the squared influences of patients are than those of stays.

    References
    ----------
    Kaplan and Meier 1958; Greenwood 1926. Lin and Wei 1989, J Am Stat Assoc 84:1074-1078, robust variance.

    Examples
    --------
    >>> import numpy as np
    >>> round(kaplan_meier(np.array([[1.0, 1], [2.0, 0], [3.0, 1]]), 1.0)[0], 3)
    0.667
    """
    times, place = np.unique(outcome[:, 0], return_inverse=True)
    left, events = np.bincount(place), np.bincount(place, outcome[:, 1] == 1)
    at_risk = len(outcome) - np.cumsum(left) + left
    events = np.where(times <= hours, events, 0)
    survival = np.prod(1 - events / at_risk)
    variance = np.sum(events / (at_risk * np.maximum(at_risk - events, 1)))
    occurred = ((outcome[:, 1] == 1) & (outcome[:, 0] <= hours)) / at_risk[place]
    influence = occurred - np.cumsum(events / at_risk**2)[place]
    by_patient = np.bincount(numbered_patients(patients, len(outcome)), influence)
    squares = float((influence**2).sum())
    factor = max(1.0, float((by_patient**2).sum()) / squares) if squares > 0 else 1.0
    return float(survival), float(survival * np.sqrt(variance * factor))


def _too_few(predicted: Array, what: str) -> str:
    """Why there is one group only."""
    return "all predictions are alike" if np.ptp(predicted) == 0 else f"too few {what}"


def _joined(events: NDArray[Any], min_cell_size: int) -> NDArray[np.int64]:
    """New number of each group: neighbours are joined, from the lowest on, until each has enough events."""
    numbers, number, so_far = [], 0, 0.0
    for count in events:
        numbers.append(number)
        so_far += count
        if so_far >= min_cell_size:
            number, so_far = number + 1, 0.0
    last = number - (so_far < min_cell_size)  # what is left over joins the group before it
    return np.minimum(np.array(numbers, dtype=np.int64), max(last, 0))


def _large_groups(predicted: Array, min_cell_size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group of each stay, and stays of each group; one group where ties would make another too small."""
    group = quantile_groups(predicted, group_count(len(predicted), max(MIN_STAYS, 2 * min_cell_size)))
    stays = np.bincount(group).astype(np.int64)
    if (stays < min_cell_size).any():
        return np.zeros(len(predicted), dtype=np.int64), np.array([len(predicted)])
    return group, stays
