"""Calibration by hour: a line on the log-odds that changes smoothly over the window of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import numbered_patients
from clinicalgru.evaluate.calibration import PlattCalibrator, smoothed
from clinicalgru.evaluate.hour_checks import HourCheck, check_calibration
from clinicalgru.evaluate.logistic import logit, shift_to_mean
from clinicalgru.evaluate.shrinkage import LEVEL_SCALE
from clinicalgru.evaluate.validation import Array

RIDGE = np.array([1.0, 1.0, 9.0])  # inverse variances of level, bend and steepness; docs/decisions/16
BOUND = 5.0  # of the coefficients
FOLDS = 5  # of the cross-validation that checks a calibration by hour


@dataclass(frozen=True)
class HourCalibrator(PlattCalibrator):
    """Platt scaling whose slope and intercept depend on the hour of the prediction.

    Here g is the hour on a logarithmic scale: -1 at the start of the window, 0 at its end. The calibrated log-odds are
    raised by `level * g + bend * g**2`, and distances from `middle` are stretched by `exp(steepness * g)`. At the end
    of the window it is therefore the Platt scaling of the model.

    Attributes
    ----------
    slope, intercept : float
        Line at the end of the window, and of predictions whose hour is not given.
    first_hour, last_hour : float
        The window of the task. Hours outside count as its ends.
    level, bend, steepness : float
        How the line changes over the window.
    middle : float
        Log-odds that stay where they are when the slope changes.
    checks : tuple of HourCheck
        How well it holds in parts of the window, see `check_by_hour`; empty where that was not evaluated.

    Examples
    --------
    >>> calibrator = HourCalibrator(1.0, 0.0, first_hour=0.0, last_hour=48.0, level=-1.0)
    >>> calibrator.predict_at([0.25, 0.25], [48.0, 0.0]).round(3)
    array([0.25 , 0.475])
    """

    first_hour: float = 0.0
    last_hour: float = 1.0
    level: float = 0.0
    bend: float = 0.0
    steepness: float = 0.0
    middle: float = 0.0
    checks: tuple[HourCheck, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = (self.first_hour, self.last_hour, self.level, self.bend, self.steepness, self.middle)
        if not (np.isfinite(numbers).all() and self.first_hour < self.last_hour):
            raise ArgumentError("finite coefficients and a window", f"{numbers}", "Calibrate the model on stays.")

    @classmethod
    def fit_by_hour(
        cls,
        end: PlattCalibrator,
        outcome: ArrayLike,
        risk: ArrayLike,
        cut_risk: ArrayLike,
        hours: ArrayLike,
        *,
        window: tuple[float, float],
    ) -> HourCalibrator:
        """Fit how the line changes over the window, to stays that were cut at several hours.

        Parameters
        ----------
        end : PlattCalibrator
            The line at the end of the window, which is kept.
        outcome : array-like, shape (n_stays,)
            0 or 1.
        risk : array-like, shape (n_stays,)
            Risk of each stay at the end of the window, before calibration.
        cut_risk : array-like, shape (n_stays, n_cuts)
            Risk of each stay at each of its cuts, before calibration; NaN where there is none.
        hours : array-like, shape (n_stays, n_cuts)
            Hours of the cuts.
        window : tuple of float
            First and last hour of the window.

        Returns
        -------
        HourCalibrator
            With the lowest log loss and a penalty on large coefficients. All cuts of a stay count as one stay. What
            the shrunken line at the end leaves of the level of these stays is left at all hours.
        """
        from scipy.optimize import minimize

        outcome, cut_risk, hours = (np.asarray(part, dtype=float) for part in (outcome, cut_risk, hours))
        known = ~np.isnan(cut_risk)
        stay = np.nonzero(known)[0]
        weight = 1 / np.bincount(stay, minlength=len(cut_risk))[stay] if len(stay) else np.empty(0)
        true, score = outcome[stay], end.intercept + end.slope * logit(cut_risk[known])
        g = _place(hours[known], *window)
        middle = float(np.average(score, weights=weight)) if len(score) else 0.0
        left = shift_to_mean(logit(end.predict(risk)), smoothed(outcome).mean())

        def loss(coefficients: Array) -> tuple[float, Array]:
            level, bend, steepness = coefficients
            stretch = np.exp(steepness * g)
            predictor = left + middle + stretch * (score - middle) + level * g + bend * g**2
            excess = weight * (expit(predictor) - true)
            value = weight @ (np.logaddexp(0, predictor) - true * predictor)
            slopes = np.stack([g, g**2, stretch * (score - middle) * g])
            return value + RIDGE @ coefficients**2 / 2, slopes @ excess + RIDGE * coefficients

        best = minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B", bounds=[(-BOUND, BOUND)] * 3).x
        level, bend, steepness = map(float, best)
        first, last = map(float, window)
        return cls(end.slope, end.intercept, first, last, level, bend, steepness, middle)

    def lines(self, hours: ArrayLike) -> tuple[Array, Array]:
        """Slope and intercept at some hours.

        Parameters
        ----------
        hours : array-like
            Hours since the index time.

        Returns
        -------
        slope, intercept : ndarray
            Of the shape of `hours`; every slope is above 0.
        """
        g = _place(np.asarray(hours, dtype=float), self.first_hour, self.last_hour)
        stretch = np.exp(self.steepness * g)
        shift = self.middle + stretch * (self.intercept - self.middle)
        return self.slope * stretch, shift + self.level * g + self.bend * g**2

    def predict_at(self, risk: ArrayLike, hours: ArrayLike) -> Array:
        """Calibrate risks; the order of the stays at one hour does not change.

        Parameters
        ----------
        risk : array-like, shape (n_stays,)
            Between 0 and 1.
        hours : array-like, shape (n_stays,)
            Hour of each prediction, since the index time.

        Returns
        -------
        ndarray, shape (n_stays,)
            Calibrated risks.
        """
        slope, intercept = self.lines(hours)
        return np.asarray(expit(intercept + slope * logit(np.asarray(risk, dtype=float))))

    def verdicts(self, hours: ArrayLike) -> Array:
        """Whether risks at some hours are calibrated, by the check of the nearest part of the window.

        Parameters
        ----------
        hours : array-like
            Hours since the index time.

        Returns
        -------
        ndarray of str
            "yes", "no", "unclear" or "not evaluated".
        """
        at = np.asarray(hours, dtype=float)
        if not self.checks:
            return np.full(at.shape, "not evaluated", dtype=object)
        distance = [np.maximum(one.first_hour - at, at - one.last_hour).clip(0) for one in self.checks]
        return np.array([one.verdict for one in self.checks], dtype=object)[np.argmin(distance, axis=0)]

    def to_dict(self) -> dict[str, Any]:
        """Give all numbers by name, for a manifest.

        Returns
        -------
        dict
            Floats, and under "checks" a list of numbers for each check.
        """
        values = {name: value for name, value in vars(self).items() if name != "checks"}
        return values | {"checks": [list(astuple(check)) for check in self.checks]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HourCalibrator:
        """Restore the calibrator that `to_dict` described.

        Parameters
        ----------
        values : mapping
            All numbers by name.

        Returns
        -------
        HourCalibrator
        """
        numbers = {name: float(value) for name, value in values.items() if name != "checks"}
        return cls(**numbers, checks=tuple(HourCheck(*map(float, check)) for check in values.get("checks", ())))


def check_by_hour(
    outcome: Array,
    risk: Array,
    cut_risk: Array,
    hours: Array,
    patients: Any = None,
    *,
    window: tuple[float, float],
    level_scale: float = LEVEL_SCALE,
) -> tuple[HourCheck, ...]:
    """Evaluate calibration by hour with cross-validation: each fifth by what the others fitted.

    Parameters
    ----------
    outcome : ndarray, shape (stay,)
        0 or 1.
    risk : ndarray, shape (stay,)
        Risk at the end of the window, before calibration.
    cut_risk, hours : ndarray, shape (stay, cut)
        Risk of each stay at each of its cuts, and their hours; NaN where there is no risk. The cuts of one column are
        of the same part of the window.
    patients : array-like, shape (stay,), optional
        Patient of each stay; all stays of a patient are in one fifth. None: each stay is another patient.
    window : tuple of float
        First and last hour of the window.
    level_scale : float
        As of `PlattCalibrator.fit`.

    Returns
    -------
    tuple of HourCheck
        One for each column with 20 patients with, and without, the event, and one for the end of the window. Empty
        where a fifth cannot be calibrated.
    """
    patient = numbered_patients(patients, len(outcome))
    fold = (np.random.default_rng(0).permutation(int(patient.max()) + 1) % FOLDS)[patient]
    at_end, calibrated = np.full(len(outcome), np.nan), np.full(cut_risk.shape, np.nan)
    for number in range(FOLDS):
        fit, held = fold != number, fold == number
        try:
            end = PlattCalibrator.fit(outcome[fit], risk[fit], level_scale=level_scale)
        except ArgumentError:
            return ()
        fitted = HourCalibrator.fit_by_hour(end, outcome[fit], risk[fit], cut_risk[fit], hours[fit], window=window)
        at_end[held] = fitted.predict(risk[held])
        calibrated[held] = fitted.predict_at(cut_risk[held], hours[held])
    parts = [*zip(calibrated.T, hours.T, strict=True), (at_end, np.full(len(outcome), window[1]))]
    return tuple(check for part in parts for check in check_calibration(outcome, *part, patient))


def _place(hours: Array, first: float, last: float) -> Array:
    """Place in the window, from -1 at its start to 0 at its end, on a logarithmic scale of the hours passed."""
    passed = np.clip(hours - first, 0, last - first)
    return np.asarray(np.log1p(passed) / np.log1p(last - first) - 1)
