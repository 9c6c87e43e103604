"""Logistic regression with one or two coefficients, fitted to many weighted replicates at once."""

from __future__ import annotations

import numpy as np

from clinicalgru.evaluate.validation import Array

SMALLEST = float(np.finfo(np.float64).eps)  # a risk of exactly 0 or 1 has no logit; the limit scikit-learn uses
MOST_STEPS = 100
CLOSE_ENOUGH = 1e-4  # Newton doubles the digits: a last step this small leaves an error of about 1e-8
RIDGE = 1e-14  # per unit of weight; keeps a saturated curvature invertible and does not move the solution


def inside(risk: Array) -> Array:
    """Risks kept off 0 and 1 by 2.2e-16, so that their logarithms are finite.

    >>> float(inside(np.array([0.0]))[0])
    2.220446049250313e-16
    """
    return np.clip(risk, SMALLEST, 1 - SMALLEST)


def logit(risk: Array) -> Array:
    """Log odds of a risk; finite, as risks of exactly 0 or 1 are moved inside by 2.2e-16.

    >>> logit(np.array([0.5, 0.75])).round(4)
    array([0.    , 1.0986])
    """
    return np.log(inside(risk)) - np.log1p(-inside(risk))


def sigmoid(score: Array) -> Array:
    """The risk whose log odds are `score`.

    >>> sigmoid(np.array([-1000.0, 0.0]))
    array([0. , 0.5])
    """
    with np.errstate(over="ignore"):  # exp overflows to inf, and 1 / inf is the right answer
        return 1 / (1 + np.exp(-score))


def fit_logistic(outcome: Array, features: Array, weights: Array, *, offset: Array | float = 0.0) -> Array:
    """Coefficients of the logistic regression of outcome on features, one fit for each row of weights.

    outcome   (stay,)            between 0 and 1; fractions are allowed (smoothed targets)
    features  (feature, stay)    include a row of ones for an intercept
    weights   (resample, stay)   not negative
    offset    (stay,)            added to the linear predictor with its coefficient fixed to 1
    returns   (resample, feature)  NaN where 100 steps were not enough; the caller sees to it that a solution exists

    Every fit starts from the fit to all replicates together. Newton's method with steps of length
    log(1 + b) / b, b a bound on the change of the linear predictor, which converges from anywhere.
    Source: Sun and Tran-Dinh 2019, "Generalized self-concordant functions".

    >>> fit_logistic(np.array([0.0, 1.0, 1.0, 1.0]), np.ones((1, 4)), np.ones((1, 4))).round(4)  # log(3 / 1)
    array([[1.0986]])
    """
    mean = weights.mean(axis=0, keepdims=True)
    pooled = _newton(outcome, features, mean, offset=offset, start=np.zeros(len(features)))
    return _newton(outcome, features, weights, offset=offset, start=np.nan_to_num(pooled[0]))


def _newton(outcome: Array, features: Array, weights: Array, *, offset: Array | float, start: Array) -> Array:
    coefficients = np.tile(start, (len(weights), 1))
    moving = np.arange(len(weights))
    for _ in range(MOST_STEPS):
        step = _newton_step(outcome, features, weights, predictor=coefficients[moving] @ features + offset)
        reach = np.abs(step) @ np.abs(features).max(axis=1)
        coefficients[moving] += step * (np.log1p(reach) / np.maximum(reach, SMALLEST))[:, None]
        far = reach > CLOSE_ENOUGH
        if not far.all():
            moving, weights = moving[far], weights[far]
        if not moving.size:
            break
    coefficients[moving] = np.nan
    return coefficients


def _newton_step(outcome: Array, features: Array, weights: Array, *, predictor: Array) -> Array:
    size = len(features)
    risk = sigmoid(predictor)
    gradient = (weights * (outcome - risk)) @ features.T
    products = (features[:, None] * features[None]).reshape(size * size, -1)
    curvature = ((weights * risk * (1 - risk)) @ products.T).reshape(-1, size, size)
    curvature += RIDGE * weights.sum(axis=1)[:, None, None] * np.eye(size)
    return np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0].astype(np.float64, copy=False)
