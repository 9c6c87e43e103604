"""How good hourly warnings are: their utility, how many there are, and how long before the onset they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.multi_metrics import Weighted, with_intervals
from clinicalgru.evaluate.physionet2019 import EARLY, LATE, hourly_utility
from clinicalgru.evaluate.validation import Array


def evaluate_early_warning(
    hourly: pd.DataFrame,
    onset_hours: ArrayLike,
    *,
    threshold: float,
    patients: Any = None,
    n_resamples: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """Utility, alert burden and lead time of warnings at a threshold: metric, estimate, low, high.

    hourly       stay (position), hours, risk: one row for each stay and hour, as `predict_hourly` gives
    onset_hours  (stay,)  hour of the onset, infinite where there is none
    threshold    fixed on other stays

    utility                of the PhysioNet/CinC Challenge 2019, normalised
    warned                 share of the stays with an onset that were warned in the 12 hours before it
    falsely_warned         share of the stays without an onset that were ever warned
    alarms_per_day         runs of hours at or above the threshold, for each 24 hours of a stay up to its onset
    alarms_per_warned      such runs for each stay that was warned in time
    lead_hours             mean hours between the first warning within the 12 hours before an onset and the onset

    Refused: no stay with an onset, other stays than the onsets' own.
    """
    metrics = early_warning_metrics(hourly, onset_hours, threshold=threshold)
    stays = len(np.asarray(onset_hours))
    return with_intervals(metrics, stays, patients=patients, n_resamples=n_resamples, random_state=random_state)


def early_warning_metrics(hourly: pd.DataFrame, onset_hours: ArrayLike, *, threshold: float) -> dict[str, Weighted]:
    """The metrics of `evaluate_early_warning` by name."""
    onset = np.asarray(onset_hours, dtype=float)
    stay, hours = hourly["stay"].to_numpy(), hourly["hours"].to_numpy(dtype=float)
    if np.isnan(onset).any() or not np.isfinite(onset).any() or (len(stay) and stay.max() >= len(onset)):
        raise ArgumentError("known onsets of these stays, some finite", "others", "Pass sequences.outcome.")
    alarm = hourly["risk"].to_numpy() >= threshold
    since = hours - onset[stay]
    return _metrics(_by_stay(stay, hours, alarm, since, len(onset)), onset)


def _by_stay(
    stay: NDArray[np.int64], hours: Array, alarm: NDArray[np.bool_], since: Array, stays: int
) -> dict[str, Array]:
    """(stay,) sums of what the metrics are ratios of."""
    warned, missed = hourly_utility(since)
    gain = warned - missed
    due = alarm & (since >= EARLY) & (since < 0)
    before = since < 0
    begins = alarm & before & ~_hour_before(stay, hours, alarm)
    first = np.full(stays, np.inf)
    np.minimum.at(first, stay[due], since[due])
    ever = np.bincount(stay[alarm], minlength=stays) > 0
    return {
        "gain": np.bincount(stay, gain * alarm, stays),
        "best": np.bincount(stay, gain * ((since >= EARLY) & (since <= LATE)), stays),
        "in_time": np.isfinite(first).astype(float),
        "lead": np.where(np.isfinite(first), -first, 0.0),
        "ever": ever.astype(float),
        "alarms": np.bincount(stay[begins], minlength=stays).astype(float),
        "days": np.bincount(stay[before], minlength=stays) / 24,
    }


def _hour_before(stay: NDArray[np.int64], hours: Array, alarm: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(row,) whether there was an alarm the hour before; rows stand stay after stay, hours ascending."""
    same = (np.diff(stay, prepend=-1) == 0) & (np.diff(hours, prepend=-np.inf) <= 1)
    return same & np.concatenate([[False], alarm[:-1]])


def _metrics(sums: dict[str, Array], onset: Array) -> dict[str, Weighted]:
    with_onset = np.isfinite(onset).astype(float)
    return {
        "utility": _share(sums["gain"], sums["best"]),
        "warned": _share(sums["in_time"], with_onset),
        "falsely_warned": _share(sums["ever"] * (1 - with_onset), 1 - with_onset),
        "alarms_per_day": _share(sums["alarms"], sums["days"]),
        "alarms_per_warned": _share(sums["alarms"], sums["in_time"]),
        "lead_hours": _share(sums["lead"], sums["in_time"]),
    }


def _share(top: Array, bottom: Array) -> Weighted:
    """Weighted sum of one by that of another; NaN where that is 0."""

    def figures(weights: Array) -> Array:
        total = weights @ bottom
        return np.divide(weights @ top, total, out=np.full(len(weights), np.nan), where=total > 0)

    return figures
