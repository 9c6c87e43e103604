"""Flexible calibration curve: the observed risk as a smooth function of the predicted one, and its distance from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit

from clinicalgru.checks import check_number
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import MIN_DEFINED, MIN_EVENTS, class_patients, numbered_patients, patient_resamples
from clinicalgru.evaluate.logistic import fit_logistic, logit
from clinicalgru.evaluate.validation import Array, check_aligned, validate_outcome, validate_risk

KNOTS = (0.05, 0.35, 0.65, 0.95)  # quantiles of the log-odds at which the spline bends
ENDS, N_POINTS = (0.01, 0.99), 50  # quantiles between which the curve is given


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """A flexible calibration curve.

    Attributes
    ----------
    table : DataFrame
        predicted, observed, low, high: the curve with its pointwise 95 % band, from the 1st to the 99th percentile of
        the risks.
    ici : float
        Integrated calibration index: mean distance of the observed from the predicted risk over all stays. 0 is
        perfect; 0.05: risks are off by five percentage points on average.
    e50, e90 : float
        Median and 90th percentile of that distance.
    """

    table: pd.DataFrame
    ici: float
    e50: float
    e90: float

    def __str__(self) -> str:
        distances = f"ICI {self.ici:.4f}, E50 {self.e50:.4f}, E90 {self.e90:.4f}"
        return f"{distances}\n\n{self.table.iloc[::7].round(4).to_string(index=False)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(self.table.iloc[::7].round(4).to_html(index=False, escape=True, border=0))


def calibration_curve(
    outcome: ArrayLike, risk: ArrayLike, *, patients: Any = None, n_resamples: int = 200, random_state: int = 0
) -> CalibrationCurve:
    """Estimate the observed risk at each predicted risk by logistic regression on a spline of the log-odds.

    Parameters
    ----------
    outcome, risk : array-like, shape (n_stays,)
        As for `evaluate`.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.
    n_resamples : int
        Number of bootstrap resamples of the patients for the band.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    CalibrationCurve
        Without a band where more than 5 % of the resamples have no curve.

    Raises
    ------
    ArgumentError
        As for `evaluate`; also with fewer than 20 patients with, or without, the event, one risk for all, or risks that
        separate the stays with the event from the others.

    Notes
    -----
    Restricted cubic spline with four knots, linear beyond the outer ones; a straight line where risks have too few
    values for it.

    References
    ----------
    Van Calster et al. 2016, J Clin Epidemiol 74:167-176, flexible curves. Austin and Steyerberg 2019, Stat Med
    38:4051-4065, integrated calibration index. Harrell 2015, "Regression Modeling Strategies", section 2.4.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.beta(2, 8, 4000)
    >>> curve = calibration_curve(rng.random(4000) < risk, risk / 2, n_resamples=20)
    >>> round(curve.ici, 2)  # half of a mean risk of 0.2
    0.1
    """
    check_number("n_resamples", n_resamples, minimum=1, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
    true = validate_outcome(outcome)
    predicted = validate_risk(risk, stays=len(true))
    check_aligned(outcome=outcome, risk=risk, patients=patients)
    patient, score = numbered_patients(patients, len(true)), logit(predicted)
    few = min(class_patients(true, patient))
    if few < MIN_EVENTS or np.ptp(score) == 0:
        got = "one risk for all stays" if few >= MIN_EVENTS else "fewer"
        fix = "Take more stays, or use observed : expected."
        raise ArgumentError(f"{MIN_EVENTS} patients with and without the event, and risks that differ", got, fix)
    knots = np.quantile(score, KNOTS)
    first, last = np.quantile(predicted, ENDS).tolist()
    points = np.linspace(first, last, N_POINTS)
    basis, at_points = _basis(score, knots, score), _basis(logit(points), knots, score)
    coefficients = fit_logistic(true, basis, np.ones((1, len(true))))[0]
    if np.isnan(coefficients).any():
        fix = "Use observed : expected; check the risks for the outcome in disguise."
        raise ArgumentError("risks of which some do not tell the outcome surely", "risks that separate it", fix)
    blocks = patient_resamples(patient, n_resamples=int(n_resamples), random_state=int(random_state))
    curves = np.concatenate(
        [expit(fit_logistic(true, basis, weights[_both(true, weights)]) @ at_points) for weights in blocks]
    )
    distance = np.abs(expit(coefficients @ basis) - predicted)
    low, high = _band(curves, int(n_resamples))
    columns = {"predicted": points, "observed": expit(coefficients @ at_points), "low": low, "high": high}
    middle, most = np.quantile(distance, [0.5, 0.9])
    return CalibrationCurve(pd.DataFrame(columns), float(distance.mean()), float(middle), float(most))


def _basis(score: Array, knots: Array, scores: Array) -> Array:
    """Restricted cubic spline, standardised by all scores: rows of ones, the log-odds, and two cubic terms."""
    center, scale = scores.mean(), scores.std()
    rows = [np.ones_like(score), (score - center) / scale]
    if (np.diff(knots) > 1e-6 * scale).all():
        rows += [_cubic(score, knots, term) / scale**3 for term in range(len(knots) - 2)]
    return np.stack(rows)


def _cubic(score: Array, knots: Array, term: int) -> Array:
    """One cubic term of the spline, linear beyond the last knot."""
    first, before, last = (np.maximum(score - knot, 0) ** 3 for knot in (knots[term], knots[-2], knots[-1]))
    width = knots[-1] - knots[-2]
    return np.asarray(first - before * (knots[-1] - knots[term]) / width + last * (knots[-2] - knots[term]) / width)


def _both(outcome: Array, weights: Array) -> Array:
    """Whether each resample has stays with and without the event."""
    events = weights @ outcome
    return np.asarray((events > 0) & (events < weights.sum(axis=1)))


def _band(curves: Array, n_resamples: int) -> tuple[Array, Array]:
    """Pointwise 2.5 % and 97.5 % percentiles of the curves."""
    known = curves[~np.isnan(curves).any(axis=1)]
    if len(known) < MIN_DEFINED * n_resamples:
        return np.full(curves.shape[1], np.nan), np.full(curves.shape[1], np.nan)
    low, high = np.percentile(known, [2.5, 97.5], axis=0)
    return low, high
