"""Calibration of one risk: groups of predicted against observed, and Platt scaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.logistic import fit_logistic, logit
from clinicalgru.evaluate.patient_intervals import patient_products, wilson_interval
from clinicalgru.evaluate.shrinkage import LEVEL_SCALE, MIN_EVENTS, fit_shrunken_line
from clinicalgru.evaluate.validation import Array, validate_outcome, validate_risk

MAX_GROUPS, MIN_STAYS = 10, 20  # of similar predictions


@dataclass(frozen=True)
class PlattCalibrator:
    """Platt scaling: a line on the log-odds, expit(intercept + slope * logit(risk)).

    Attributes
    ----------
    slope : float
        Above 0, so that the order of the stays is preserved.
    intercept : float
        In log-odds.

    Notes
    -----
    Deviation from the paper: fitted to logit(risk) instead of the margin of a classifier.

    References
    ----------
    Platt 1999, "Probabilistic outputs for support vector machines".

    Examples
    --------
    >>> PlattCalibrator(slope=1.0, intercept=0.0).predict([0.25])
    array([0.25])
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (0 < self.slope < np.inf and np.isfinite(self.intercept)):
            got = f"slope {self.slope:.3g}, intercept {self.intercept:.3g}"
            raise ArgumentError("a finite slope above 0 and a finite intercept", got, "Fit with PlattCalibrator.fit.")

    @classmethod
    def fit(
        cls,
        outcome: ArrayLike,
        risk: ArrayLike,
        *,
        n_events: float | None = None,
        level_scale: float = LEVEL_SCALE,
    ) -> PlattCalibrator:
        """Fit on stays used neither for training nor for evaluation.

        Targets are (n1 + 1) / (n1 + 2) for events and 1 / (n0 + 2) for the others, as in Platt 1999, so that the fit
        stays finite where risks separate the two. The slope is shrunk towards 1 and the level towards that of the
        risks, by priors whose weight fades with the number of events, see `fit_shrunken_line`.

        Parameters
        ----------
        outcome : array-like, shape (n_stays,)
            0 or 1, both present.
        risk : array-like, shape (n_stays,)
            Between 0 and 1.
        n_events : float, optional
            Number of independent events, where several rows belong to one, such as the time steps before an onset.
            None: each row with the event is one.
        level_scale : float
            Scale of the prior on the level. Infinite: none, for risks of which nobody expects the right level.

        Returns
        -------
        PlattCalibrator
            The fitted line.

        Raises
        ------
        ArgumentError
            If all risks are equal, or if higher risks go with fewer events; of fewer than 20 events that says nothing.

        Examples
        --------
        >>> PlattCalibrator.fit([0, 0, 1, 0, 1, 1], [0.4, 0.45, 0.48, 0.52, 0.55, 0.6]).slope > 1
        True
        """
        outcome = validate_outcome(outcome)
        score = logit(validate_risk(risk, stays=len(outcome)))
        center, width = score.mean(), np.ptp(score)
        if width == 0:
            raise ArgumentError(
                "risks that differ", "one risk for all stays", "Check the model: it does not discriminate."
            )
        features = np.stack([np.ones_like(score), (score - center) / width])
        target, events = smoothed(outcome), outcome.sum() if n_events is None else n_events
        slope = fit_logistic(target, features, np.ones((1, len(score))))[0][1]
        if not slope > 0 and events >= MIN_EVENTS:
            fix = "Higher risks went with fewer events: look for swapped classes or a model that learned nothing."
            raise ArgumentError("risks that rise with the outcome", f"a slope of {slope / width:.3g}", fix)
        return cls(*fit_shrunken_line(target, score, repeats=outcome.sum() / events, level_scale=level_scale))

    def predict(self, risk: ArrayLike) -> Array:
        """Calibrate risks; their order does not change.

        Parameters
        ----------
        risk : array-like, shape (n_stays,)
            Between 0 and 1.

        Returns
        -------
        ndarray, shape (n_stays,)
            Calibrated risks.
        """
        return np.asarray(expit(self.intercept + self.slope * logit(validate_risk(risk))))

    def to_dict(self) -> dict[str, float]:
        """Return slope and intercept by name, for a manifest.

        Returns
        -------
        dict of float
            The numbers.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> PlattCalibrator:
        """Restore the calibrator that `to_dict` described.

        Parameters
        ----------
        values : mapping of float
            Slope and intercept.

        Returns
        -------
        PlattCalibrator
            The calibrator.

        Examples
        --------
        >>> PlattCalibrator.from_dict({"slope": 1.2, "intercept": -0.1})
        PlattCalibrator(slope=1.2, intercept=-0.1)
        """
        return cls(slope=float(values["slope"]), intercept=float(values["intercept"]))


def calibration_groups(
    outcome: Array, risk: Array, *, groups: int | None = None, patients: NDArray[Any] | None = None
) -> pd.DataFrame:
    """Tabulate predicted against observed in quantile groups of the risk.

    Stays of equal risk are never split, so that ties can give fewer groups.

    Parameters
    ----------
    outcome : ndarray, shape (n_stays,)
        0 or 1.
    risk : ndarray, shape (n_stays,)
        Between 0 and 1.
    groups : int, optional
        Number of groups at most. None: as of `group_count`.
    patients : ndarray, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.

    Returns
    -------
    DataFrame
        One row per group: predicted (mean risk), observed (event rate), low, high (95 % interval of `wilson_interval`),
        stays.

    Examples
    --------
    >>> import numpy as np
    >>> calibration_groups(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.7, 0.9]), groups=2).round(2)
       predicted  observed   low  high  stays
    0        0.4       0.5  0.09  0.91      2
    1        0.9       1.0  0.21  1.00      1
    """
    group = quantile_groups(risk, group_count(len(risk)) if groups is None else groups)
    stays = np.bincount(group)
    products = None if patients is None else patient_products(outcome, group, patients)
    return group_table(np.bincount(group, weights=risk) / stays, np.bincount(group, weights=outcome), stays, products)


def group_count(n_stays: int, min_stays: int = MIN_STAYS) -> int:
    """Choose the number of groups of similar predictions: ten, and fewer where groups would be small.

    Parameters
    ----------
    n_stays : int
        Number of stays.
    min_stays : int, default 20
        Stays of a group at least: of a few stays an observed rate says little, whatever it is.

    Returns
    -------
    int
        Between 1 and 10.

    Examples
    --------
    >>> [group_count(n_stays) for n_stays in (15, 50, 1000)]
    [1, 2, 10]
    """
    return int(np.clip(n_stays // min_stays, 1, MAX_GROUPS))


def quantile_groups(predicted: Array, groups: int) -> NDArray[np.int64]:
    """Assign each stay to a quantile group of its prediction; equal predictions stay together.

    Parameters
    ----------
    predicted : ndarray, shape (n_stays,)
        Predictions.
    groups : int
        Number of groups at most.

    Returns
    -------
    ndarray of int64, shape (n_stays,)
        Number of the group, from the lowest predictions up.

    Examples
    --------
    >>> import numpy as np
    >>> quantile_groups(np.array([0.1, 0.9, 0.2, 0.8]), 2)
    array([0, 1, 0, 1])
    """
    edges = np.unique(np.quantile(predicted, np.arange(1, groups) / groups))
    return np.unique(np.searchsorted(edges, predicted, side="left"), return_inverse=True)[1].astype(np.int64)


def group_table(
    predicted: NDArray[Any], events: NDArray[Any], stays: NDArray[Any], products: Array | None = None
) -> pd.DataFrame:
    """Tabulate groups as `calibration_groups` does, from their counts.

    Parameters
    ----------
    predicted : ndarray, shape (n_groups,)
        Mean risk.
    events, stays : ndarray, shape (n_groups,)
        Stays with the event, and all stays.
    products : ndarray of shape (2, n_groups, n_groups), optional
        Of `patient_products`, for intervals by patient. None: each stay is another patient.

    Returns
    -------
    DataFrame
        predicted, observed, low, high, stays.

    Examples
    --------
    >>> import numpy as np
    >>> group_table(np.array([0.2]), np.array([1]), np.array([4])).round(2).to_dict("records")
    [{'predicted': 0.2, 'observed': 0.25, 'low': 0.05, 'high': 0.7, 'stays': 4}]
    """
    events, stays = np.rint(events).astype(np.int64), stays.astype(np.int64)
    low, high = wilson_interval(events / stays, stays, products)
    return pd.DataFrame({"predicted": predicted, "observed": events / stays, "low": low, "high": high, "stays": stays})


def smoothed(outcome: Array) -> Array:
    """Give the targets of Platt 1999, which keep a fit finite where risks separate events from others.

    Parameters
    ----------
    outcome : ndarray, shape (n_stays,)
        0 or 1.

    Returns
    -------
    ndarray, shape (n_stays,)
        Of n1 events and n0 others: (n1 + 1) / (n1 + 2) and 1 / (n0 + 2).

    Examples
    --------
    >>> smoothed(np.array([1, 0, 0])).tolist()
    [0.6666666666666666, 0.25, 0.25]
    """
    events = outcome.sum()
    others = len(outcome) - events
    return np.where(outcome == 1, (events + 1) / (events + 2), 1 / (others + 2))
