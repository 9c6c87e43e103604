"""Utility of early warnings in the PhysioNet/CinC Challenge 2019.

An hour of a stay with an onset gains from an alert: from 12 hours before the onset (0) up to 6 hours before it (1), and
down to 3 hours after it (0). Without an alert it loses from 6 hours before the onset (0) to 3 hours after it (-2). An
alert long before the onset, or in a stay without one, costs 0.05. Hours more than 3 after the onset do not count.

References
----------
Reyna et al. 2020, Crit Care Med 48(2):210-217, and the challenge's evaluate_sepsis_score.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.validation import Array

EARLY, OPTIMAL, LATE = -12.0, -6.0, 3.0  # hours from the onset
BEST_GAIN, MISSED, FALSE_ALERT = 1.0, -2.0, -0.05


def hourly_utility(since_onset: Array) -> tuple[Array, Array]:
    """Compute the utility of each hour with an alert, and without.

    Parameters
    ----------
    since_onset : ndarray, shape (n_rows,)
        Hours since the onset, negative before it; minus infinity in a stay without one.

    Returns
    -------
    with_alert, without_alert : ndarray, shape (n_rows,)
        Utilities.

    Examples
    --------
    >>> import numpy as np
    >>> [list(map(float, part.round(3))) for part in hourly_utility(np.array([-12.0, -6.0, 1.5, -np.inf]))]
    [[0.0, 1.0, 0.167, -0.05], [0.0, 0.0, -1.667, 0.0]]
    """
    near = np.where(np.isfinite(since_onset), since_onset, 0.0)
    rise = BEST_GAIN * (near - EARLY) / (OPTIMAL - EARLY)
    fall = BEST_GAIN * (near - LATE) / (OPTIMAL - LATE)
    with_alert = np.where(near <= OPTIMAL, np.maximum(rise, FALSE_ALERT), fall)
    without_alert = np.where(near <= OPTIMAL, 0.0, MISSED * (near - OPTIMAL) / (LATE - OPTIMAL))
    never, over = np.isneginf(since_onset), since_onset > LATE
    return np.select([never, over], [FALSE_ALERT, 0.0], with_alert), np.where(never | over, 0.0, without_alert)


def normalised_utility(alert: ArrayLike, *, onset_hours: ArrayLike, stay: ArrayLike, hours: ArrayLike) -> float:
    """Compute the utility of alerts relative to the best possible alerts.

    Parameters
    ----------
    alert : array-like of bool, shape (n_rows,)
        Whether there is an alert; one row for each stay and hour.
    onset_hours : array-like, shape (n_stays,)
        Hour of the onset, infinite where there is none. The labels of the challenge begin 6 hours before it.
    stay, hours : array-like, shape (n_rows,)
        Position of the stay in `onset_hours`, and the hour, counted from the same moment.

    Returns
    -------
    float
        0: as good as no alert; 0.5: half of what is possible; 1: the best alerts; below 0: alerts do harm.

    Raises
    ------
    ArgumentError
        If lengths differ, onsets are unknown, or there is no onset at all.

    Examples
    --------
    >>> import numpy as np
    >>> rows = {"stay": np.zeros(20, int), "hours": np.arange(20.0)}
    >>> normalised_utility(np.arange(20) >= 0, onset_hours=[15.0], **rows) < 1  # from the start: three are false
    True
    >>> round(normalised_utility((np.arange(20) >= 3) & (np.arange(20) <= 18), onset_hours=[15.0], **rows), 3)
    1.0
    """
    since_onset = _since_onset(onset_hours, stay, hours)
    given = np.asarray(alert, dtype=bool)
    if given.shape != since_onset.shape:
        expected = f"an alert or none for each of {len(since_onset):,} rows"
        raise ArgumentError(expected, f"shape {given.shape}", "Pass one for each row.")
    with_alert, without_alert = hourly_utility(since_onset)
    gain = with_alert - without_alert
    best = float(gain[(since_onset >= EARLY) & (since_onset <= LATE)].sum())
    if best <= 0:
        got = f"0 onsets in reach of {len(since_onset):,} rows"
        raise ArgumentError("at least one stay with an onset", got, "Evaluate stays of which some have an onset.")
    return float(gain[given].sum() / best)


def best_threshold(risk: ArrayLike, *, onset_hours: ArrayLike, stay: ArrayLike, hours: ArrayLike) -> float:
    """Choose the risk from which on to alert for the highest `normalised_utility`.

    Parameters
    ----------
    risk : array-like, shape (n_rows,)
        Of stays used neither for training nor for evaluation.
    onset_hours, stay, hours : array-like
        As for `normalised_utility`.

    Returns
    -------
    float
        One of the risks, the highest of several equally good ones; infinite where no alert gains anything.

    Examples
    --------
    >>> best_threshold([0.1, 0.9], onset_hours=[float("inf"), 10.0], stay=[0, 1], hours=[4.0, 4.0])
    0.9
    """
    risks = np.asarray(risk, dtype=float)
    with_alert, without_alert = hourly_utility(_since_onset(onset_hours, stay, hours))
    order = np.argsort(-risks, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(risks[order], append=-np.inf))
    total = np.cumsum((with_alert - without_alert)[order])[last_of_tie]
    best = int(np.argmax(total))
    return float(risks[order][last_of_tie[best]]) if total[best] > 0 else float("inf")


def _since_onset(onset_hours: ArrayLike, stay: ArrayLike, hours: ArrayLike) -> Array:
    """Hours since the onset of each row's stay."""
    onset, which, at = np.asarray(onset_hours, dtype=float), np.asarray(stay), np.asarray(hours, dtype=float)
    unknown = int(np.isnan(onset).sum())
    if unknown or which.shape != at.shape:
        got = f"{unknown:,} unknown onsets, {len(which):,} stays and {len(at):,} hours"
        raise ArgumentError("known onsets, and a stay and an hour for each row", got, "Correct them.")
    return np.asarray(at - onset[which])
