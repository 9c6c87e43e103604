"""Logistic regression with one or two coefficients, fitted to many weighted replicates at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special
from scipy.optimize import brentq
from scipy.special import expit

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.validation import Array

EPSILON = float(np.finfo(np.float64).eps)  # a risk of exactly 0 or 1 has no logit; the limit scikit-learn uses
MAX_ITERATIONS = 100
TOLERANCE = 1e-4  # Newton doubles the digits: a last step this small leaves an error of about 1e-8
RIDGE = 1e-14  # per unit of weight; keeps a saturated curvature invertible and does not move the solution


def clip_probability(risk: Array) -> Array:
    """Clip risks to at least 2.2e-16 from 0 and 1, so that their logarithms are finite.

    Parameters
    ----------
    risk : ndarray
        Probabilities.

    Returns
    -------
    ndarray
        Of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> float(clip_probability(np.array([0.0]))[0])
    2.220446049250313e-16
    """
    return np.clip(risk, EPSILON, 1 - EPSILON)


def logit(risk: Array) -> Array:
    """Return the log-odds of risks; finite, since risks of 0 and 1 are clipped by 2.2e-16.

    Parameters
    ----------
    risk : ndarray
        Probabilities.

    Returns
    -------
    ndarray
        Log-odds, of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> logit(np.array([0.5, 0.75])).round(4)
    array([0.    , 1.0986])
    """
    return np.asarray(special.logit(clip_probability(risk)))


def shift_to_mean(score: Array, mean: float) -> float:
    """Give the shift of log-odds that makes the mean risk a given one: calibration of the intercept alone.

    Parameters
    ----------
    score : ndarray, shape (n_stays,)
        Log-odds.
    mean : float
        Between 0 and 1.

    Returns
    -------
    float
        To be added to the log-odds.

    Examples
    --------
    >>> import numpy as np
    >>> round(shift_to_mean(np.zeros(4), 0.75), 4)
    1.0986
    """
    bound = 40 + np.abs(score).max()
    return float(brentq(lambda shift: expit(shift + score).mean() - mean, -bound, bound))


def mean_log_probabilities(risks: Sequence[Array]) -> Array:
    """Average the class probabilities of several models by their logarithms; of two classes, by their log-odds.

    Parameters
    ----------
    risks : sequence of ndarray, shape (..., class)
        Probabilities of each model.

    Returns
    -------
    ndarray, shape (..., class)
        Normalised geometric means.

    Raises
    ------
    ArgumentError
        If there is none.

    References
    ----------
    Logarithmic opinion pool: Genest and Zidek 1986.

    Examples
    --------
    >>> import numpy as np
    >>> mean_log_probabilities([np.array([[0.2, 0.8]]), np.array([[0.8, 0.2]])]).round(6)
    array([[0.5, 0.5]])
    """
    if not risks:
        raise ArgumentError("the predictions of at least one model", "an empty list", "Call fit first.")
    mean = np.mean([np.log(clip_probability(np.asarray(risk, dtype=np.float64))) for risk in risks], axis=0)
    odds = np.exp(mean - mean.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


def fit_logistic(outcome: Array, features: Array, weights: Array, *, offset: Array | float = 0.0) -> Array:
    """Fit a logistic regression of the outcome on the features for each row of weights.

    Parameters
    ----------
    outcome : ndarray, shape (n_stays,)
        Between 0 and 1; fractions are allowed (smoothed targets).
    features : ndarray, shape (n_features, n_stays)
        Include a row of ones for an intercept.
    weights : ndarray, shape (n_resamples, n_stays)
        Not negative.
    offset : ndarray of shape (n_stays,) or float
        Added to the linear predictor with its coefficient fixed to 1.

    Returns
    -------
    ndarray, shape (n_resamples, n_features)
        Coefficients; NaN where 100 iterations were not enough. The caller ensures that a solution exists.

    Notes
    -----
    Each fit starts from the fit to the mean weights. Newton's method with steps damped by log(1 + b) / b, where b
    bounds the change of the linear predictor; it converges from any start.

    References
    ----------
    Sun and Tran-Dinh 2019, "Generalized self-concordant functions: a recipe for Newton-type methods".

    Examples
    --------
    >>> import numpy as np
    >>> fit_logistic(np.array([0.0, 1.0, 1.0, 1.0]), np.ones((1, 4)), np.ones((1, 4))).round(4)  # log(3 / 1)
    array([[1.0986]])
    """
    mean = weights.mean(axis=0, keepdims=True)
    pooled = _newton(outcome, features, mean, offset=offset, start=np.zeros(len(features)))
    return _newton(outcome, features, weights, offset=offset, start=np.nan_to_num(pooled[0]))


def _newton(outcome: Array, features: Array, weights: Array, *, offset: Array | float, start: Array) -> Array:
    """Coefficients for each row of weights; rows that have converged are left out of further iterations."""
    coefficients = np.tile(start, (len(weights), 1))
    moving = np.arange(len(weights))
    for _ in range(MAX_ITERATIONS):
        step = _newton_step(outcome, features, weights, predictor=coefficients[moving] @ features + offset)
        bound = np.abs(step) @ np.abs(features).max(axis=1)
        coefficients[moving] += step * (np.log1p(bound) / np.maximum(bound, EPSILON))[:, None]
        far = bound > TOLERANCE
        if not far.all():
            moving, weights = moving[far], weights[far]
        if not moving.size:
            break
    coefficients[moving] = np.nan
    return coefficients


def _newton_step(outcome: Array, features: Array, weights: Array, *, predictor: Array) -> Array:
    """The Newton step of each row of weights."""
    size = len(features)
    risk = expit(predictor)
    gradient = (weights * (outcome - risk)) @ features.T
    products = (features[:, None] * features[None]).reshape(size * size, -1)
    curvature = ((weights * risk * (1 - risk)) @ products.T).reshape(-1, size, size)
    curvature += RIDGE * weights.sum(axis=1)[:, None, None] * np.eye(size)
    return np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0].astype(np.float64, copy=False)
