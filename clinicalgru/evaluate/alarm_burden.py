"""Alarms of an hourly risk at several thresholds: how many, how often right, how early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.checks import check_number
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import bootstrap_metrics, interval_table, numbered_patients
from clinicalgru.evaluate.validation import Array

FIGURES = (
    "alarms_per_100_hours",
    "ppv_per_alarm",
    "sensitivity_per_stay",
    "false_alarms_per_event",
    "median_lead_hours",
)
COLUMNS = ["threshold", "alarms", *FIGURES, *(f"{name}_{end}" for name in FIGURES for end in ("low", "high"))]


def alarm_burden(
    stay: ArrayLike,
    hours: ArrayLike,
    risk: ArrayLike,
    onset_hours: ArrayLike,
    *,
    thresholds: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.5),
    silence_hours: float = 6.0,
    horizon_hours: float = 12.0,
    patients: ArrayLike | None = None,
    n_resamples: int = 200,
    random_state: int = 0,
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
    patients : array-like, shape (n_predictions,), optional
        Patient of each prediction. None: each stay is another patient.
    n_resamples, random_state : int
        Bootstrap resamples of the patients for the 95 % intervals, and their seed; 0 gives no intervals.

    Returns
    -------
    DataFrame
        threshold; alarms; alarms_per_100_hours, of one prediction each hour; ppv_per_alarm, the fraction of alarms that
        are right; sensitivity_per_stay, the fraction of stays with an onset that a right alarm preceded;
        false_alarms_per_event; median_lead_hours, from the first right alarm to the onset. NaN where undefined. The
        last five have 95 % intervals in columns of their names with _low and _high; none where fewer than 20 patients
        have an alarm (of the PPV), an onset (of sensitivity and false alarms), or a right alarm (of the lead time).

    Raises
    ------
    ArgumentError
        If lengths differ, or a number is out of range.

    References
    ----------
    Hyland et al. 2020, Nat Med 26:364-373, alarms with a silence after each. Field and Welsh 2007, cluster bootstrap.

    Examples
    --------
    >>> alarm_burden([1, 1, 1, 2], [0, 1, 8, 0], [0.9, 0.9, 0.9, 0.9], [9, 9, 9, float("nan")], thresholds=[0.5])[
    ...     ["alarms", "ppv_per_alarm", "median_lead_hours"]
    ... ].values.tolist()
    [[3.0, 0.6666666666666666, 9.0]]
    """
    for name, value in {"silence_hours": silence_hours, "horizon_hours": horizon_hours}.items():
        check_number(name, value, minimum=0)
    check_number("n_resamples", n_resamples, minimum=0, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
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
    n_stays = int(position.max()) + 1 if len(position) else 0
    counts = [_Alarms.of(*rows, n_stays, float(t), silence_hours, horizon_hours) for t in thresholds]
    numbered = numbered_patients(patients, len(position)) if patients is not None else position
    patient = numbered_patients(numbered[np.unique(position, return_index=True)[1]], n_stays)
    draws = {"n_resamples": int(n_resamples), "random_state": int(random_state)}
    return pd.DataFrame([one.row(patient, **draws) for one in counts], columns=COLUMNS)


@dataclass(frozen=True, eq=False)
class _Alarms:
    """Alarms at one threshold, counted by stay."""

    threshold: float
    alarms: Array
    right: Array
    hours: Array
    onset: Array
    lead: Array  # from the first right alarm to the onset; NaN without one

    @classmethod
    def of(
        cls,
        stay: NDArray[np.int64],
        at: Array,
        score: Array,
        onset: Array,
        n_stays: int,
        threshold: float,
        silence: float,
        horizon: float,
    ) -> Self:
        check_number("thresholds", threshold, minimum=0, maximum=1)
        alarm = spaced_alarms(stay, at, score >= threshold, silence)
        right = alarm & (onset - at <= horizon)
        lead = pd.Series((onset - at)[right]).groupby(stay[right]).max()
        alarms, rights, hours = (
            np.bincount(stay[mask], minlength=n_stays).astype(float) for mask in (alarm, right, stay >= 0)
        )
        has_onset = np.zeros(n_stays)
        has_onset[stay[~np.isnan(onset)]] = 1.0
        first: Array = np.asarray(lead.reindex(np.arange(n_stays)), dtype=np.float64)
        return cls(threshold, alarms, rights, hours, has_onset, first)

    def metrics(self, weights: Array) -> dict[str, Array]:
        """Each figure in each resample."""
        caught = ~np.isnan(self.lead)
        columns = np.stack([self.alarms, self.right, self.hours, self.onset, caught], axis=1)
        alarms, right, hours, onset, found = (weights @ columns).T
        values = (
            100 * _ratio(alarms, hours),
            _ratio(right, alarms),
            _ratio(found, onset),
            _ratio(alarms - right, onset),
            _weighted_median(self.lead[caught], weights[:, caught]),
        )
        return dict(zip(FIGURES, values, strict=True))

    def row(self, patient: NDArray[np.int64], *, n_resamples: int, random_state: int) -> dict[str, float]:
        """Estimates and intervals."""
        own = {name: float(value[0]) for name, value in self.metrics(np.ones((1, len(patient)))).items()}
        row = {"threshold": self.threshold, "alarms": int(self.alarms.sum()), **own}
        if not (n_resamples and len(patient)):
            return row
        draws: dict[str, Any] = {"n_resamples": n_resamples, "random_state": random_state}
        estimates, replicates, _ = bootstrap_metrics({"": self.metrics}, patient, **draws)
        masks = (self.hours > 0, self.alarms > 0, self.onset > 0, self.onset > 0, ~np.isnan(self.lead))
        counts = {name: len(np.unique(patient[mask])) for name, mask in zip(FIGURES, masks, strict=True)}
        table = interval_table(estimates[""], replicates[""], n_resamples=n_resamples, class_counts=counts)
        ends = table.set_index("metric")[["low", "high"]].T.to_dict()
        return row | {f"{name}_{end}": value for name, both in ends.items() for end, value in both.items()}


def _ratio(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)


def _weighted_median(values: Array, weights: Array) -> Array:
    """(n_resamples,) median of values that count as often as their weight says."""
    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values, kind="stable")
    ascending, reached = values[order], weights[:, order].cumsum(axis=1)
    half = reached[:, -1:] / 2
    low, high = (reached >= half).argmax(axis=1), (reached > half).argmax(axis=1)
    return np.where(half[:, 0] > 0, (ascending[low] + ascending[high]) / 2, np.nan)


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
