"""Alarms of an hourly risk at several thresholds: how many, how often right, how early."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.checks import check_number
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.validation import Array

COLUMNS = [
    "threshold",
    "alarms",
    "alarms_per_100_hours",
    "ppv_per_alarm",
    "sensitivity_per_stay",
    "false_alarms_per_event",
    "median_lead_hours",
]


def alarm_burden(
    stay: ArrayLike,
    hours: ArrayLike,
    risk: ArrayLike,
    onset_hours: ArrayLike,
    *,
    thresholds: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.5),
    silence_hours: float = 6.0,
    horizon_hours: float = 12.0,
) -> pd.DataFrame:
    """Count the alarms that a risk over time gives, with a silence after each alarm.

    Parameters
    ----------
    stay : array-like, shape (n_predictions,)
        Stay of each prediction.
    hours : array-like, shape (n_predictions,)
        Its time. Predictions after the onset of a stay are left out.
    risk : array-like, shape (n_predictions,)
        Between 0 and 1.
    onset_hours : array-like, shape (n_predictions,)
        Onset of the event in that stay, on the same clock; NaN without one.
    thresholds : sequence of float
        Risks from which on there is an alarm.
    silence_hours : float
        Hours after an alarm in which the same stay gives no other one.
    horizon_hours : float
        An alarm is right if the onset follows within so many hours.

    Returns
    -------
    DataFrame
        threshold; alarms; alarms_per_100_hours, of one prediction each hour; ppv_per_alarm, the fraction of alarms that
        are right; sensitivity_per_stay, the fraction of stays with an onset that a right alarm preceded;
        false_alarms_per_event; median_lead_hours, from the first right alarm to the onset. NaN where undefined.

    Raises
    ------
    ArgumentError
        If lengths differ, or a number is out of range.

    References
    ----------
    Hyland et al. 2020, Nat Med 26:364-373, alarms with a silence after each.

    Examples
    --------
    >>> alarm_burden([1, 1, 1, 2], [0, 1, 8, 0], [0.9, 0.9, 0.9, 0.9], [9, 9, 9, float("nan")], thresholds=[0.5])[
    ...     ["alarms", "ppv_per_alarm", "median_lead_hours"]
    ... ].values.tolist()
    [[3.0, 0.6666666666666666, 9.0]]
    """
    for name, value in {"silence_hours": silence_hours, "horizon_hours": horizon_hours}.items():
        check_number(name, value, minimum=0)
    columns = [np.asarray(column) for column in (stay, hours, risk, onset_hours)]
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
        got = ", ".join(str(column.shape) for column in columns)
        raise ArgumentError(
            "stay, hours, risk and onset_hours of one length", got, "Pass one value for each prediction."
        )
    position = pd.factorize(columns[0])[0]
    at, score, onset = (column.astype(np.float64) for column in columns[1:])
    if not (np.isfinite(at).all() and ((score >= 0) & (score <= 1)).all()):
        raise ArgumentError("known hours, and risks between 0 and 1", "others", "Leave out predictions without them.")
    order = np.lexsort((at, position))
    order = order[~(at[order] > onset[order])]
    rows = (position[order], at[order], score[order], onset[order])
    return pd.DataFrame([_row(*rows, float(t), silence_hours, horizon_hours) for t in thresholds], columns=COLUMNS)


def _row(
    stay: NDArray[np.int64], at: Array, score: Array, onset: Array, threshold: float, silence: float, horizon: float
) -> tuple[float, ...]:
    """One threshold."""
    check_number("thresholds", threshold, minimum=0, maximum=1)
    alarm = spaced_alarms(stay, at, score >= threshold, silence)
    right = alarm & (onset - at <= horizon)
    with_onset = np.unique(stay[~np.isnan(onset)])
    first_right = pd.Series((onset - at)[right]).groupby(stay[right]).max()
    alarms, events = int(alarm.sum()), len(with_onset)
    return (
        threshold,
        alarms,
        100 * alarms / len(at) if len(at) else np.nan,
        float(right.sum() / alarms) if alarms else np.nan,
        len(first_right) / events if events else np.nan,
        float((alarm & ~right).sum() / events) if events else np.nan,
        float(first_right.median()) if len(first_right) else np.nan,
    )


def spaced_alarms(stay: NDArray[np.int64], at: Array, above: NDArray[np.bool_], silence: float) -> NDArray[np.bool_]:
    """Choose the alarms among predictions above the threshold: the first of a stay, then the next after each silence.

    Parameters
    ----------
    stay : ndarray of int, shape (n_predictions,)
        Stay of each prediction.
    at : ndarray of float, shape (n_predictions,)
        Its time, ascending within a stay.
    above : ndarray of bool, shape (n_predictions,)
        Whether it is at or above the threshold.
    silence : float
        Hours after an alarm in which the same stay gives no other one.

    Returns
    -------
    ndarray of bool, shape (n_predictions,)
        Whether there is an alarm.
    """
    alarm, waiting = np.zeros(len(at), dtype=bool), np.flatnonzero(above)
    while len(waiting):  # as often as the stay with most alarms has alarms
        _, first, member = np.unique(stay[waiting], return_index=True, return_inverse=True)
        alarm[waiting[first]] = True
        later = at[waiting] >= at[waiting[first]][member] + silence
        later[first] = False
        waiting = waiting[later]
    return alarm
