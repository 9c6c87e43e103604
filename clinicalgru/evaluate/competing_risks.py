"""Competing risks: cumulative incidence by Aalen and Johansen, and calibration of predicted incidence against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.checks import check_number
from clinicalgru.disclosure import MIN_CELL_SIZE, is_small
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import numbered_patients
from clinicalgru.evaluate.validation import Array

ALL = "all"
LOW, HIGH = 2.5, 97.5


def cumulative_incidence(
    hours: ArrayLike,
    cause: ArrayLike,
    *,
    at_hours: Sequence[float],
    patients: Any = None,
    n_resamples: int = 200,
    random_state: int = 0,
) -> pd.DataFrame:
    """Estimate how often each of several competing events has occurred by some hours (Aalen and Johansen).

    One minus Kaplan-Meier with the other events as censoring overestimates it: it is the incidence in a world in which
    the other events cannot occur.

    Parameters
    ----------
    hours : array-like, shape (n_stays,)
        Hours to the first event, or to the end of follow-up; above 0.
    cause : array-like of int, shape (n_stays,)
        Which event it was: 1, 2, ...; 0 where follow-up ended without any.
    at_hours : sequence of float
        Hours at which the incidence is given, 0 or more. Beyond the follow-up of all stays it is NaN.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.
    n_resamples : int
        Bootstrap resamples of the patients for the 95 % intervals.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    DataFrame
        cause, hours, incidence, low, high.

    Raises
    ------
    ArgumentError
        If hours or causes cannot be used, or no event occurred.

    References
    ----------
    Aalen and Johansen 1978, Scand J Stat 5:141-150. Austin et al. 2016, "Introduction to the analysis of survival data
    in the presence of competing risks", Circulation 133:601-609.

    Examples
    --------
    >>> table = cumulative_incidence([1, 2, 3, 4], [1, 2, 1, 0], at_hours=[3], n_resamples=10)
    >>> table[["cause", "incidence"]].values.tolist()
    [[1.0, 0.5], [2.0, 0.25]]
    """
    check_number("n_resamples", n_resamples, minimum=1, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
    time, event, at = checked_events(hours, cause, at_hours)
    weights = resampling_weights(numbered_patients(patients, len(time)), n_resamples, random_state)
    return _table(time, event, at, np.unique(event[event > 0]), weights)


def incidence_calibration(
    hours: ArrayLike,
    cause: ArrayLike,
    predicted: ArrayLike,
    *,
    of_cause: int,
    at_hours: float,
    n_groups: int = 5,
    patients: Any = None,
    min_cell_size: int = MIN_CELL_SIZE,
    n_resamples: int = 200,
    random_state: int = 0,
) -> pd.DataFrame:
    """Compare predicted with observed incidence of one event (Aalen and Johansen), in all and by groups of the risk.

    Parameters
    ----------
    hours, cause : array-like, shape (n_stays,)
        As of `cumulative_incidence`.
    predicted : array-like, shape (n_stays,)
        Predicted probability that the event occurs by `at_hours`, as the first of all.
    of_cause : int
        Which event.
    at_hours : float
        Hours by which it occurs.
    n_groups : int
        Number of groups of equal size.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.
    min_cell_size : int
        Where fewer stays of any group have, or have not, the event by then, no group is shown; 0 shows all.
    n_resamples, random_state : int
        Bootstrap resamples of the patients for the 95 % intervals, and their seed.

    Returns
    -------
    DataFrame
        group ("all", then from the lowest predictions up), stays, predicted (mean), observed, low, high.

    Raises
    ------
    ArgumentError
        If the arguments cannot be used, or the event never occurred.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> predicted, cause = rng.uniform(0.1, 0.9, 400), np.full(400, 2)
    >>> cause[rng.random(400) < predicted] = 1
    >>> table = incidence_calibration(np.full(400, 5.0), cause, predicted, of_cause=1, at_hours=6.0, n_groups=2)
    >>> table["observed"].is_monotonic_increasing, table["stays"].tolist()
    (False, [400, 200, 200])
    """
    check_number("n_groups", n_groups, minimum=1, whole=True)
    check_number("min_cell_size", min_cell_size, minimum=0, whole=True)
    time, event, at = checked_events(hours, cause, [at_hours])
    risk = np.asarray(predicted, dtype=float)
    if risk.shape != time.shape or not ((risk >= 0) & (risk <= 1)).all():
        fix = "Pass one for every stay."
        raise ArgumentError(f"{len(time):,} predicted probabilities", f"shape {risk.shape}, or others", fix)
    if not (event == of_cause).any():
        raise ArgumentError(f"stays with event {of_cause}", "none", "Choose one of the causes.")
    patient = numbered_patients(patients, len(time))
    order = np.argsort(risk, kind="stable")
    parts = {ALL: order} | {f"{n + 1}": part for n, part in enumerate(np.array_split(order, n_groups)) if len(part)}
    rows = []
    for group, part in parts.items():
        weights = resampling_weights(numbered_patients(patient[part], len(part)), n_resamples, random_state)
        found = _table(time[part], event[part], at, np.array([of_cause]), weights).iloc[0]
        events = int(((event[part] == of_cause) & (time[part] <= at_hours)).sum())
        rows.append((group, len(part), risk[part].mean(), found["incidence"], found["low"], found["high"], events))
    table = pd.DataFrame(rows, columns=["group", "stays", "predicted", "observed", "low", "high", "events"])
    counts = pd.concat([table["events"], table["stays"] - table["events"]])
    small = counts.map(lambda count: is_small(float(count), min_cell_size)).groupby(level=0).any()
    if small.any():
        table.loc[table["group"] != ALL, ["stays", "observed", "low", "high"]] = np.nan
    if small[0]:
        table.loc[0, ["observed", "low", "high"]] = np.nan
    return table.drop(columns="events").astype({"stays": "Int64"})


def checked_events(
    hours: ArrayLike, cause: ArrayLike, at_hours: Sequence[float]
) -> tuple[Array, NDArray[np.int64], Array]:
    """Check hours and causes of first events.

    Parameters
    ----------
    hours, cause, at_hours : array-like
        As of `cumulative_incidence`.

    Returns
    -------
    hours, cause, at_hours : ndarray
        As numbers.

    Raises
    ------
    ArgumentError
        If they cannot be used, or no event occurred.
    """
    time, event, at = (np.asarray(values, dtype=float) for values in (hours, cause, at_hours))
    if time.ndim != 1 or time.shape != event.shape or not len(time):
        got = f"shapes {time.shape} and {event.shape}"
        raise ArgumentError("hours and cause of the same stays", got, "Pass one of each for every stay.")
    if not (np.isfinite(time) & (time > 0)).all():
        raise ArgumentError("finite hours above 0", "others", "Leave stays without follow-up out.")
    if not (np.isfinite(event) & (event >= 0) & (event == np.round(event))).all() or not (event > 0).any():
        fix = "Code events as 1, 2, ..., and the end of follow-up as 0."
        raise ArgumentError("causes 0, 1, 2, ..., with an event among them", "others", fix)
    if at.ndim != 1 or not len(at) or not (np.isfinite(at) & (at >= 0)).all():
        raise ArgumentError("at_hours of 0 or more", f"shape {at.shape}, or others", "Pass [168, 720].")
    return time, event.astype(np.int64), at


def resampling_weights(patient: NDArray[np.int64], n_resamples: int, random_state: int) -> Array:
    """Draw patients with all their stays.

    Parameters
    ----------
    patient : ndarray of int, shape (n_stays,)
        Number of the patient of each stay.
    n_resamples, random_state : int
        Number of resamples, and their seed.

    Returns
    -------
    ndarray, shape (1 + n_resamples, n_stays)
        Ones, then how often each stay is drawn.
    """
    n_patients, rng = int(patient.max()) + 1, np.random.default_rng(random_state)
    drawn = rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=n_resamples)
    return np.concatenate([np.ones((1, len(patient))), drawn[:, patient]])


def incidence_curves(time: Array, event: NDArray[np.int64], at: Array, of_cause: int, weights: Array) -> Array:
    """Estimate the incidence of one event for each of several weightings of the stays (Aalen and Johansen).

    Parameters
    ----------
    time, event, at : ndarray
        As of `checked_events`.
    of_cause : int
        Which event.
    weights : ndarray, shape (n_resamples, n_stays)
        As of `resampling_weights`.

    Returns
    -------
    ndarray, shape (n_resamples, hour)
        NaN beyond the follow-up of all stays.
    """
    order = np.argsort(time, kind="stable")
    time, event, weights = time[order], event[order], weights[:, order]
    distinct, first = np.unique(time, return_index=True)
    at_risk = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1][:, first]
    at_risk = np.maximum(at_risk, 1e-300)  # where none is left there is no event either
    any_event = np.add.reduceat(weights * (event > 0), first, axis=1) / at_risk
    survival = np.cumprod(1 - any_event, axis=1)
    before = np.concatenate([np.ones((len(weights), 1)), survival[:, :-1]], axis=1)
    hazard = np.add.reduceat(weights * (event == of_cause), first, axis=1) / at_risk
    curve = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(before * hazard, axis=1)], axis=1)
    curve = curve[:, np.searchsorted(distinct, at, side="right")]
    curve[:, (at > distinct[-1]) & (survival[0, -1] > 1e-12)] = np.nan
    return np.asarray(curve)


def followed_weights(time: Array, event: NDArray[np.int64], hour: float) -> Array:
    """Weigh stays by the inverse probability that their state at some hours is known (Kaplan-Meier of the censoring).

    Parameters
    ----------
    time, event : ndarray
        As of `checked_events`.
    hour : float
        Hours at which the state is looked at.

    Returns
    -------
    ndarray, shape (n_stays,)
        0 where follow-up ended before, without an event.

    References
    ----------
    Graf et al. 1999, Stat Med 18:2529-2545.

    Examples
    --------
    >>> followed_weights(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 0, 2, 1]), 3.5)
    array([1. , 0. , 1.5, 1.5])
    """
    distinct, number = np.unique(time, return_inverse=True)
    at_risk = np.bincount(number)[::-1].cumsum()[::-1] - np.bincount(number, weights=event > 0)  # an event goes before
    censored = np.bincount(number, weights=event == 0)
    left = np.cumprod(1 - np.divide(censored, at_risk, out=np.zeros(len(distinct)), where=at_risk > 0))
    left = np.concatenate([[1.0], left])
    upto = np.where(
        time <= hour, np.searchsorted(distinct, time, side="left"), np.searchsorted(distinct, hour, "right")
    )
    known = (event > 0) | (time > hour)
    return np.divide(1.0, left[upto], out=np.zeros(len(time)), where=known & (left[upto] > 0))


def _table(time: Array, event: NDArray[np.int64], at: Array, causes: NDArray[np.int64], weights: Array) -> pd.DataFrame:
    """Incidence of each cause at each hour, with percentiles of the resamples."""
    tables = []
    for cause in causes.tolist():
        curve = incidence_curves(time, event, at, cause, weights)
        low, high = np.percentile(curve[1:], [LOW, HIGH], axis=0)
        tables.append(pd.DataFrame({"cause": cause, "hours": at, "incidence": curve[0], "low": low, "high": high}))
    return pd.concat(tables, ignore_index=True)
