"""How well risks are calibrated in one part of the window, with intervals and a verdict."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, stdtrit

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import MIN_EVENTS, class_patients, numbered_patients
from clinicalgru.evaluate.logistic import fit_logistic, logit
from clinicalgru.evaluate.validation import Array

TOLERATED = {"observed_expected": (0.9, 1.1), "calibration_slope": (0.85, 1.15)}


@dataclass(frozen=True)
class HourCheck:
    """Calibration of risks within a part of the window, on stays that did not fit the calibrator.

    Attributes
    ----------
    first_hour, last_hour : float
        The part of the window, in hours since the index time.
    observed_expected, observed_expected_low, observed_expected_high : float
        Events, relative to the sum of the risks, with a 95 % interval.
    calibration_slope, calibration_slope_low, calibration_slope_high : float
        Slope of the outcome on the log-odds of the risk, with a 95 % interval.
    """

    first_hour: float
    last_hour: float
    observed_expected: float
    observed_expected_low: float
    observed_expected_high: float
    calibration_slope: float
    calibration_slope_low: float
    calibration_slope_high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(astuple(self)).all() and self.first_hour <= self.last_hour):
            raise ArgumentError("finite numbers of a calibration check", f"{astuple(self)}", "Calibrate the model.")

    @property
    def verdict(self) -> str:
        """Whether the risks are calibrated here: "yes", "no" or "unclear"."""
        expected = (self.observed_expected_low, self.observed_expected_high)
        slope = (self.calibration_slope_low, self.calibration_slope_high)
        return calibration_verdict({"observed_expected": expected, "calibration_slope": slope})


def calibration_verdict(intervals: dict[str, tuple[float, float]]) -> str:
    """Read from intervals whether risks are calibrated.

    Parameters
    ----------
    intervals : dict of str to tuple of float
        Lower and upper end for observed_expected and calibration_slope; NaN where there is none.

    Returns
    -------
    str
        "yes" where both intervals lie within 0.9 to 1.1 and 0.85 to 1.15; "no" where one does not and leaves out 1;
        else "unclear".

    Examples
    --------
    >>> calibration_verdict({"observed_expected": (0.95, 1.08), "calibration_slope": (0.9, 1.1)})
    'yes'
    >>> calibration_verdict({"observed_expected": (1.2, 1.5), "calibration_slope": (0.9, 1.1)})
    'no'
    """
    within, off = [], []
    for name, (least, most) in TOLERATED.items():
        low, high = intervals.get(name, (np.nan, np.nan))
        within.append(low >= least and high <= most)
        off.append(not within[-1] and (low > 1 or high < 1))
    return "yes" if all(within) else "no" if any(off) else "unclear"


def check_calibration(outcome: Array, risk: Array, hours: Array, patients: Any = None) -> list[HourCheck]:
    """Evaluate the calibration of risks in one part of the window.

    Parameters
    ----------
    outcome : ndarray, shape (stay,)
        0 or 1.
    risk : ndarray, shape (stay,)
        Calibrated risks; NaN where there is none.
    hours : ndarray, shape (stay,)
        Hours of the risks.
    patients : array-like, shape (stay,), optional
        Patient of each stay. None: each stay is another patient.

    Returns
    -------
    list of HourCheck
        One; none with fewer than 20 patients with, or without, the event.

    Notes
    -----
    The intervals have variances that are robust to several stays of a patient, and the quantile of a t distribution by
    the number of patients with, or without, the event, whichever are fewer.

    References
    ----------
    Debray et al. 2017, observed : expected on the log scale. Liang and Zeger 1986, Biometrika 73:13-22, robust
    variance.
    """
    known = ~np.isnan(risk)
    true, risk = outcome[known].astype(float), risk[known]
    patient = numbered_patients(None if patients is None else np.asarray(patients)[known], len(true))
    smaller, events, n = min(class_patients(true, patient)), true.sum(), len(true)
    if smaller < MIN_EVENTS:
        return []
    ends = float(stdtrit(smaller - 1, 0.975)) * np.array([0.0, -1.0, 1.0])
    ratio = events / risk.sum()
    error = np.sqrt(_cluster_sum((true - ratio * risk)[None], patient)[0, 0]) / events
    expected = ratio * np.exp(error * ends)
    features = np.stack([np.ones(n), logit(risk)])
    fitted = fit_logistic(true, features, np.ones((1, n)))[0]
    probability = expit(fitted @ features)
    inverse = np.linalg.pinv((features * (probability * (1 - probability))) @ features.T)
    scores = _cluster_sum(features * (true - probability), patient) * (n - 1) / (n - 2)
    slope = fitted[1] + np.sqrt((inverse @ scores @ inverse)[1, 1]) * ends
    numbers = (hours[known].min(), hours[known].max(), *expected, *slope)
    return [HourCheck(*map(float, numbers))] if np.isfinite(numbers).all() else []


def _cluster_sum(rows: Array, patient: NDArray[np.int64]) -> Array:
    """Sum of the outer products of each patient's sums, with the correction for their number."""
    n_patients = int(patient.max()) + 1
    sums = np.stack([np.bincount(patient, weights=row, minlength=n_patients) for row in rows])
    return np.asarray(sums @ sums.T) * n_patients / (n_patients - 1)
