"""Is an early warning worth it? The utility of the PhysioNet/CinC Challenge 2019.

Source: Reyna et al., Crit Care Med 2020;48(2):210-217, and the challenge's evaluate_sepsis_score.py.

An hour of a stay with an onset gains by a warning: from 12 hours before the onset (0) up to 6 hours before it (1), and
down to 3 hours after it (0). Without a warning it loses from 6 hours before the onset (0) to 3 hours after it (-2). A
warning long before the onset, or in a stay without one, costs 0.05. Hours more than 3 after the onset do not count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.validation import Array

EARLY, OPTIMAL, LATE = -12.0, -6.0, 3.0  # hours from the onset
WARNED, MISSED, FALSE_ALARM = 1.0, -2.0, -0.05


def hourly_utility(since_onset: Array) -> tuple[Array, Array]:
    """What each hour is worth with a warning, and without.

    since_onset  (row,)  hours since the onset, negative before it; minus infinity in a stay without one
    returns      two (row,)

    >>> [list(map(float, worth.round(3))) for worth in hourly_utility(np.array([-12.0, -6.0, 1.5, -np.inf]))]
    [[0.0, 1.0, 0.167, -0.05], [0.0, 0.0, -1.667, 0.0]]
    """
    near = np.where(np.isfinite(since_onset), since_onset, 0.0)
    rise = WARNED * (near - EARLY) / (OPTIMAL - EARLY)
    fall = WARNED * (near - LATE) / (OPTIMAL - LATE)
    warned = np.where(near <= OPTIMAL, np.maximum(rise, FALSE_ALARM), fall)
    missed = np.where(near <= OPTIMAL, 0.0, MISSED * (near - OPTIMAL) / (LATE - OPTIMAL))
    never, over = np.isneginf(since_onset), since_onset > LATE
    return np.select([never, over], [FALSE_ALARM, 0.0], warned), np.where(never | over, 0.0, missed)


def normalised_utility(alarm: ArrayLike, *, onset_hours: ArrayLike, stay: ArrayLike, hours: ArrayLike) -> float:
    """Utility of the alarms, between that of no alarm at all (0) and that of the best there can be (1).

    alarm        (row,)   True where a warning is given; one row for each stay and hour
    onset_hours  (stay,)  hour of the onset, infinite where there is none. The labels of the challenge begin 6 hours
                          before it
    stay, hours  (row,)   position of the stay in `onset_hours`, and the hour, counted from the same moment
    returns      below 0 where the alarms do more harm than good

    Refused: lengths that differ, unknown onsets, no onset at all (there is nothing to gain).

    >>> rows = {"stay": np.zeros(20, int), "hours": np.arange(20.0)}
    >>> normalised_utility(np.arange(20) >= 0, onset_hours=[15.0], **rows) < 1  # from the start: three false
    True
    >>> round(normalised_utility((np.arange(20) >= 3) & (np.arange(20) <= 18), onset_hours=[15.0], **rows), 3)
    1.0
    """
    since = _since_onset(onset_hours, stay, hours)
    given = np.asarray(alarm, dtype=bool)
    if given.shape != since.shape:
        raise ArgumentError(f"an alarm or none for each of {len(since):,} rows", f"{len(given):,}", "Pass one a row.")
    warned, missed = hourly_utility(since)
    gain = warned - missed
    best = float(gain[(since >= EARLY) & (since <= LATE)].sum())
    if best <= 0:
        raise ArgumentError("at least one stay with an onset", "none", "Judge stays of which some have an onset.")
    return float(gain[given].sum() / best)


def best_threshold(risk: ArrayLike, *, onset_hours: ArrayLike, stay: ArrayLike, hours: ArrayLike) -> float:
    """The risk at and above which to warn for the highest `normalised_utility`.

    risk  (row,)  of stays new to training and not those that will be judged; the rest as of `normalised_utility`
    returns       one of the risks, the highest of several equally good; infinite where no warning is worth it

    >>> best_threshold([0.1, 0.9], onset_hours=[np.inf, 10.0], stay=[0, 1], hours=[4.0, 4.0])
    0.9
    """
    risks = np.asarray(risk, dtype=float)
    warned, missed = hourly_utility(_since_onset(onset_hours, stay, hours))
    order = np.argsort(-risks, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(risks[order], append=-np.inf))
    total = np.cumsum((warned - missed)[order])[last_of_tie]
    best = int(np.argmax(total))
    return float(risks[order][last_of_tie[best]]) if total[best] > 0 else float("inf")


def _since_onset(onset_hours: ArrayLike, stay: ArrayLike, hours: ArrayLike) -> Array:
    onset, which, at = np.asarray(onset_hours, dtype=float), np.asarray(stay), np.asarray(hours, dtype=float)
    unknown = int(np.isnan(onset).sum())
    if unknown or which.shape != at.shape:
        came = f"{unknown:,} unknown onsets, {len(which):,} stays and {len(at):,} hours"
        raise ArgumentError("known onsets, and a stay and an hour for each row", came, "Correct them.")
    return np.asarray(at - onset[which])
