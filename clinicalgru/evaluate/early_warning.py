"""Metrics of hourly early warnings: utility, alert burden and lead time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.checks import check_instance
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.alarm_burden import alarm_burden
from clinicalgru.evaluate.bootstrap import WeightedMetric, combine, numbered_patients
from clinicalgru.evaluate.physionet2019 import EARLY, LATE, hourly_utility
from clinicalgru.evaluate.predictions import TaskPredictions
from clinicalgru.evaluate.validation import Array

FACTORS = (0.25, 0.5, 0.71, 1.41, 2.0, 4.0)  # of the threshold, at which alarms are counted too


def early_warning_predictions(
    hourly: pd.DataFrame, onset_hours: ArrayLike, *, threshold: float, patients: ArrayLike | None = None
) -> TaskPredictions:
    """Prepare hourly risks, alerting at a threshold.

    ``utility`` is the normalised utility of the PhysioNet/CinC Challenge 2019: 0 without alerts, 1 for the best alerts.
    ``event_sensitivity`` is the fraction of events with an alert in the 12 hours before them.
    ``false_alert_rate`` is the fraction of stays without an event that ever had an alert.
    ``alerts_per_day`` counts runs of hours at or above the threshold, per 24 hours of a stay before its event.
    ``alerts_per_event`` counts such runs per caught event (number needed to alert).
    ``lead_hours`` is the mean time from the first alert within the 12 hours before an event to the event.

    Parameters
    ----------
    hourly : DataFrame
        stay (position), hours, risk; one row for each stay and hour, as `GRUEarlyWarning.predict_hourly` returns.
    onset_hours : array-like, shape (n_stays,)
        Hour of the event, infinite where there is none.
    threshold : float
        Risk from which on to alert; chosen on other stays.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay, for the intervals of alarms. None: each stay is another patient.

    Returns
    -------
    TaskPredictions
        With the threshold as a note.

    Raises
    ------
    ArgumentError
        If no stay has an event, or the stays differ from those of the onsets.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.evaluate.evaluation import evaluate_predictions
    >>> hourly = pd.DataFrame({"stay": [0, 0, 1], "hours": [3.0, 4.0, 3.0], "risk": [0.2, 0.9, 0.1]})
    >>> predictions = early_warning_predictions(hourly, [10.0, float("inf")], threshold=0.5)
    >>> metrics = evaluate_predictions({"model": predictions}, n_resamples=5).metrics.set_index("metric")
    >>> metrics.loc[["event_sensitivity", "false_alert_rate", "lead_hours"], "estimate"].tolist()
    [1.0, 0.0, 6.0]
    """
    check_instance("hourly", hourly, pd.DataFrame)
    onset = np.asarray(onset_hours, dtype=float)
    stay, hours = hourly["stay"].to_numpy(), hourly["hours"].to_numpy(dtype=float)
    if np.isnan(onset).any() or not np.isfinite(onset).any() or (len(stay) and stay.max() >= len(onset)):
        got = f"{int(np.isfinite(onset).sum())} events and {int(np.isnan(onset).sum())} unknown in {describe(onset)}"
        raise ArgumentError("known onsets of these stays, some finite", got, "Pass sequences.outcome.")
    alert = hourly["risk"].to_numpy() >= threshold
    sums = _sums_by_stay(stay, hours, alert, hours - onset[stay], len(onset))
    return TaskPredictions(
        task_type="early_warning",
        n_stays=len(onset),
        metrics=combine(_ratios(sums, np.isfinite(onset).astype(float))),
        class_stays={"": (np.isfinite(onset),)},
        alarms=_alarms(hourly, onset, threshold, numbered_patients(patients, len(onset))),
        notes={"Threshold": f"alerts from a risk of {100 * threshold:.2g} % on, of the highest utility on other stays"},
    )


def _alarms(hourly: pd.DataFrame, onset: Array, threshold: float, patient: NDArray[np.int64]) -> pd.DataFrame:
    """Alarms at the threshold, and at multiples of it."""
    of_stay = onset[hourly["stay"].to_numpy()]
    stay, hours, risk = (hourly[name].to_numpy() for name in ("stay", "hours", "risk"))
    thresholds = [threshold, *(factor * threshold for factor in FACTORS if factor * threshold <= 1)]
    known = np.where(np.isfinite(of_stay), of_stay, np.nan)
    return alarm_burden(stay, hours, risk, known, thresholds=thresholds, patients=patient[stay])


def _sums_by_stay(
    stay: NDArray[np.int64], hours: Array, alert: NDArray[np.bool_], since_onset: Array, stays: int
) -> dict[str, Array]:
    """Sums of each stay, of which the metrics are ratios."""
    with_alert, without_alert = hourly_utility(since_onset)
    gain = with_alert - without_alert
    timely = alert & (since_onset >= EARLY) & (since_onset < 0)
    before = since_onset < 0
    starts = alert & before & ~_alert_hour_before(stay, hours, alert)
    first = np.full(stays, np.inf)
    np.minimum.at(first, stay[timely], since_onset[timely])
    return {
        "gain": np.bincount(stay, gain * alert, stays),
        "best": np.bincount(stay, gain * ((since_onset >= EARLY) & (since_onset <= LATE)), stays),
        "caught": np.isfinite(first).astype(float),
        "lead": np.where(np.isfinite(first), -first, 0.0),
        "ever": (np.bincount(stay[alert], minlength=stays) > 0).astype(float),
        "alerts": np.bincount(stay[starts], minlength=stays).astype(float),
        "days": np.bincount(stay[before], minlength=stays) / 24,
    }


def _alert_hour_before(stay: NDArray[np.int64], hours: Array, alert: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether there was an alert the hour before; rows are sorted by stay and hour."""
    same = (np.diff(stay, prepend=-1) == 0) & (np.diff(hours, prepend=-np.inf) <= 1)
    return same & np.concatenate([[False], alert[:-1]])


def _ratios(sums: dict[str, Array], has_event: Array) -> dict[str, WeightedMetric]:
    """The metrics by name."""
    return {
        "utility": _ratio(sums["gain"], sums["best"]),
        "event_sensitivity": _ratio(sums["caught"], has_event),
        "false_alert_rate": _ratio(sums["ever"] * (1 - has_event), 1 - has_event),
        "alerts_per_day": _ratio(sums["alerts"], sums["days"]),
        "alerts_per_event": _ratio(sums["alerts"], sums["caught"]),
        "lead_hours": _ratio(sums["lead"], sums["caught"]),
    }


def _ratio(numerator: Array, denominator: Array) -> WeightedMetric:
    """Quotient of two weighted sums; NaN where the second is 0."""

    def ratio(weights: Array) -> Array:
        total = weights @ denominator
        return np.divide(weights @ numerator, total, out=np.full(len(weights), np.nan), where=total > 0)

    return ratio
