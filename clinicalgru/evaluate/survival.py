"""Metrics of survival curves with censored stays (extra ``survival``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import trapezoid

from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration_groups import survival_groups
from clinicalgru.evaluate.predictions import TaskPredictions, split_groups
from clinicalgru.evaluate.validation import Array
from clinicalgru.optional_packages import import_optional

PAIRS_BUDGET = 50_000_000  # pairs of stays that concordance compares, over all resamples
PAIRS_AT_ONCE = 4_000_000  # of them, in memory
TIE = 1e-8  # areas so near count as equal, as in scikit-survival
NOTES: Mapping[str, str] = {
    "Censoring": "stays are weighted for different lengths of follow-up; censoring is taken as uninformative",
    "Observed risk": "one minus the Kaplan-Meier survival of the group",
}


def survival_predictions(
    outcome: ArrayLike,
    survival: ArrayLike,
    *,
    hours: ArrayLike,
    train_outcome: ArrayLike,
    min_cell_size: int = MIN_CELL_SIZE,
    patients: Any = None,
) -> TaskPredictions:
    """Prepare survival curves of stays that were followed to different times.

    ``concordance`` is weighted for censoring up to the last of the hours, by the area under each survival curve: 0.5 is
    chance, 1 perfect. ``integrated_brier`` and ``brier_<hours>h`` are 0 for a perfect model, 0.25 for a constant 0.5.

    Parameters
    ----------
    outcome : array-like, shape (n_stays, 2)
        Hours to the event or to the end of follow-up, and 1 where the event occurred.
    survival : array-like, shape (n_stays, n_hours)
        Probability that the event has not occurred by each of `hours`.
    hours : array-like, shape (n_hours,)
        Ascending, two or more, within the follow-up of these stays.
    train_outcome : array-like, shape (n_train, 2)
        Outcomes of the training stays, which give the censoring distribution.
    min_cell_size : int
        Smallest count that calibration groups may show.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay, for the intervals of calibration groups. None: each stay is another patient.

    Returns
    -------
    TaskPredictions
        With calibration groups at each hour.

    Raises
    ------
    ArgumentError
        If the shapes differ, or hours lie beyond the follow-up.
    MissingPackageError
        If scikit-survival is not installed.

    Notes
    -----
    Censoring is taken as uninformative. Where death and transplant compete, and one ends the follow-up of the other, it
    is not, and risks are those in a world without the other event: see `CompetingRisks` and `cumulative_incidence`.

    References
    ----------
    Uno et al. 2011 (concordance); Graf et al. 1999 (Brier score).

    Examples
    --------
    >>> import numpy as np
    >>> outcome = np.column_stack([np.arange(1.0, 41.0), np.tile([1.0, 0.0], 20)])
    >>> curve = np.linspace(0.2, 0.9, 40)[:, None] ** np.array([1.0, 2.0])
    >>> predictions = survival_predictions(outcome, curve, hours=[10.0, 20.0], train_outcome=outcome)
    >>> list(predictions.metrics(np.ones((1, 40))))
    ['concordance', 'integrated_brier', 'brier_10h', 'brier_20h']
    """
    sksurv = require_sksurv()
    times = np.asarray(hours, dtype=float)
    test, train = (np.asarray(table, dtype=float) for table in (outcome, train_outcome))
    curves = np.asarray(survival, dtype=float)
    _check(test, train, curves, times)
    observed = _censor_at(test, train[:, 0].max())
    terms = _SurvivalTerms.of(sksurv, train, observed, curves, times)
    names = ["concordance", "integrated_brier", *[f"brier_{time:g}h" for time in times]]

    def metrics(weights: Array) -> Mapping[str, Array]:
        return dict(zip(names, terms.metrics(np.asarray(weights, dtype=float)), strict=True))

    options: dict[str, Any] = {"min_cell_size": min_cell_size, "patients": patients}
    groups = {
        f"within {hour:g} hours": survival_groups(test, 1 - curve, hours=hour, **options)
        for hour, curve in zip(times, curves.T, strict=True)
    }
    return TaskPredictions(
        task_type="survival",
        n_stays=len(test),
        metrics=metrics,
        **split_groups(groups),
        notes=NOTES,
        class_stays={"": (np.asarray(test)[:, 1] == 1,)},
        n_resamples=int(np.clip(PAIRS_BUDGET // len(test) ** 2, 20, 200)),
        settings={"hours": times},
    )


def horizons_within_follow_up(horizons: ArrayLike, outcome: Array, train_outcome: Array) -> Array:
    """Select the horizons at which survival can be evaluated.

    Parameters
    ----------
    horizons : array-like
        Horizons of the task in hours.
    outcome, train_outcome : ndarray, shape (n, 2)
        Outcomes of the stays to evaluate on, and of the training stays.

    Returns
    -------
    ndarray
        Horizons within the follow-up of both; where fewer than two are, the quartiles of the event times that are.

    Examples
    --------
    >>> import numpy as np
    >>> outcome = np.column_stack([np.arange(1.0, 41.0), np.ones(40)])
    >>> horizons_within_follow_up((10.0, 20.0, 500.0), outcome, outcome)
    array([10., 20.])
    """
    first, last = outcome[:, 0].min(), min(outcome[:, 0].max(), train_outcome[:, 0].max())
    events = outcome[outcome[:, 1] == 1, 0]
    quartiles = np.unique(np.quantile(events, [0.25, 0.5, 0.75])) if len(events) else np.zeros(0)
    own, others = (
        np.array([hour for hour in np.asarray(hours, dtype=float) if first <= hour < last])
        for hours in (horizons, quartiles)
    )
    return own if len(own) > 1 else others


def require_sksurv() -> Any:
    """Return the estimators of scikit-survival that know no features.

    Returns
    -------
    module
        `sksurv.nonparametric`.

    Raises
    ------
    MissingPackageError
        If scikit-survival is not installed.
    """
    return import_optional("sksurv.nonparametric", extra="survival")


def _check(test: Array, train: Array, curves: Array, times: Array) -> None:
    """Raise unless shapes fit and hours lie within the follow-up."""
    if test.ndim != 2 or test.shape[1] != 2 or curves.shape != (len(test), len(times)) or len(times) < 2:
        got = f"{test.shape} and {curves.shape} for {len(times)} hours"
        fix = "Pass predict_survival(stays, hours)."
        raise ArgumentError("outcomes (n_stays, 2) and survival (n_stays, n_hours)", got, fix)
    latest = min(test[:, 0].max(), train[:, 0].max())
    if (np.diff(times) <= 0).any() or times[0] < test[:, 0].min() or times[-1] >= latest:
        fix = f"Choose ascending hours from {test[:, 0].min():g} to below {latest:g}."
        raise ArgumentError("hours within the follow-up", f"{times[0]:g} to {times[-1]:g}", fix)


def _censor_at(outcome: Array, end: float) -> Array:
    """Outcomes as they stood when the follow-up of the training stays ended; later ones have no censoring weight."""
    hours, event = outcome.T
    return np.column_stack([np.minimum(hours, end), np.where(hours < end, event, 0.0)])


def _table(outcome: Array) -> Any:
    """Outcomes as scikit-survival takes them."""
    from sksurv.util import Surv

    return Surv.from_arrays(event=outcome[:, 1] == 1, time=outcome[:, 0])


@dataclass(frozen=True, eq=False)
class _SurvivalTerms:
    """What each stay adds to the metrics; a resample only counts stays, as the weights for censoring are fixed.

    Attributes
    ----------
    outcome : ndarray, shape (n_stays, 2)
        Hours and event.
    times : ndarray, shape (n_hours,)
        Hours of the curves.
    expected : ndarray, shape (n_stays,)
        Area under each survival curve.
    weight : ndarray, shape (n_stays,)
        Squared inverse probability of not being censored before the event; 0 without an event before the last hour.
    brier : ndarray, shape (n_stays, n_hours)
        Weighted squared error.
    """

    outcome: Array
    times: Array
    expected: Array
    weight: Array
    brier: Array

    @classmethod
    def of(cls, sksurv: Any, train: Array, outcome: Array, curves: Array, times: Array) -> Self:
        """Weigh each stay by the censoring of the training stays."""
        (hours, event), weight = outcome.T, np.zeros(len(outcome))
        censoring = sksurv.CensoringDistributionEstimator().fit(_table(train))
        before = hours < times[-1]
        weight[before] = np.square(censoring.predict_ipcw(_table(outcome[before])))
        case, control = (hours[:, None] <= times) & (event[:, None] == 1), hours[:, None] > times
        followed = [np.where(kept == 0, np.inf, kept) for kept in map(censoring.predict_proba, (hours, times))]
        brier = np.square(curves) * case / followed[0][:, None] + np.square(1 - curves) * control / followed[1]
        return cls(outcome, times, trapezoid(curves, times, axis=1), weight, brier)

    def metrics(self, counts: Array) -> Array:
        """Concordance, integrated Brier score and Brier score at each hour, of each row of counts: (metric, row)."""
        (hours, event), drawn = self.outcome.T, counts > 0
        first, last = np.where(drawn, hours, np.inf).min(axis=1), np.where(drawn, hours, -np.inf).max(axis=1)
        valid = (first <= self.times[0]) & (self.times[-1] < last) & (drawn & (event == 1)).any(axis=1)
        brier = counts @ self.brier / counts.sum(axis=1, keepdims=True)
        integrated = trapezoid(brier, self.times, axis=1) / (self.times[-1] - self.times[0])
        return np.where(valid, np.vstack([self._concordance(counts), integrated, brier.T]), np.nan)

    def _concordance(self, counts: Array) -> Array:
        """Weighted fraction of comparable pairs in which the stay with the earlier event is expected to have it."""
        (hours, event), expected = self.outcome.T, self.expected
        right, compared = np.zeros((2, len(counts)))
        events = np.flatnonzero(self.weight)
        for rows in np.array_split(events, max(1, len(events) * len(hours) // PAIRS_AT_ONCE)):
            later = (hours > hours[rows, None]) | ((hours == hours[rows, None]) & (event == 0))
            ahead = expected - expected[rows, None]
            point = np.where(np.abs(ahead) <= TIE, 0.5, ahead > 0) * later
            own = counts[:, rows] * self.weight[rows]
            right += (own * (counts @ point.T)).sum(axis=1)
            compared += (own * (counts @ later.T)).sum(axis=1)
        return np.divide(right, compared, out=np.full(len(counts), np.nan), where=compared > 0)
