"""Metrics of risks, vectorised over bootstrap resamples: one row of weights gives one value.

Every function takes ``outcome`` (n_stays,), 0 or 1; ``risk`` (n_stays,), between 0 and 1; and ``weights``
(n_resamples, n_stays), not negative: a row of ones for the estimate, a patient resample for the bootstrap. It returns
values (n_resamples,), NaN where the metric is undefined. `evaluate` validates the arguments; these functions do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clinicalgru.evaluate.logistic import clip_probability, fit_logistic, logit
from clinicalgru.evaluate.validation import Array

RiskMetric = Callable[[Array, Array, Array], Array]
TINY = float(np.finfo(np.float64).tiny)  # 0 / TINY is 0: a precision without any alert yet counts for nothing


def cumulative_counts(outcome: Array, risk: Array, weights: Array) -> tuple[Array, Array]:
    """Count the events, and all stays, at or above each distinct risk, from the highest risk down.

    Parameters
    ----------
    outcome, risk, weights : ndarray
        See the module.

    Returns
    -------
    events, flagged : ndarray, shape (n_resamples, n_distinct_risks)
        Weighted counts of stays with the event, and of all stays.

    Examples
    --------
    >>> import numpy as np
    >>> cumulative_counts(np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.5, 0.5]), np.ones((1, 3)))
    (array([[1., 2.]]), array([[1., 3.]]))
    """
    order = np.argsort(-risk, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(risk[order], append=-1.0))
    weights = weights[:, order]
    flagged = np.cumsum(weights, axis=1)[:, last_of_tie]
    events = np.cumsum(weights * outcome[order], axis=1)[:, last_of_tie]
    return events, flagged


def auroc(outcome: Array, risk: Array, weights: Array) -> Array:
    """Compute the area under the ROC curve: how often a stay with the event has a higher risk than one without.

    Parameters
    ----------
    outcome, risk, weights : ndarray
        See the module.

    Returns
    -------
    ndarray, shape (n_resamples,)
        0: every event ranks below every other stay; 0.5: chance; 1: perfect ranking. Ties count half.

    References
    ----------
    Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve".

    Examples
    --------
    >>> import numpy as np
    >>> auroc(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.2, 0.9]), np.ones((1, 3)))
    array([0.75])
    """
    events, flagged = cumulative_counts(outcome, risk, weights)
    others = flagged - events
    events_above = events - np.diff(events, axis=1, prepend=0.0) / 2  # of a tie, one half
    pairs = np.sum(np.diff(others, axis=1, prepend=0.0) * events_above, axis=1)
    return _ratio(pairs, events[:, -1] * others[:, -1])


def auprc(outcome: Array, risk: Array, weights: Array) -> Array:
    """Compute the average precision: the precision at each distinct risk, weighted by the recall gained there.

    Parameters
    ----------
    outcome, risk, weights : ndarray
        See the module.

    Returns
    -------
    ndarray, shape (n_resamples,)
        Near 0: worst; the event rate: chance; 0.5: half of the alerts true, averaged over recall; 1: perfect ranking.

    Notes
    -----
    Equals scikit-learn's ``average_precision_score``; no straight lines between points.
    Deviation: NaN where there is no event.

    Examples
    --------
    >>> import numpy as np
    >>> auprc(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.1, 0.9]), np.ones((1, 3))).round(4)
    array([0.8333])
    """
    events, flagged = cumulative_counts(outcome, risk, weights)
    precision = events / np.maximum(flagged, TINY)
    return _ratio(np.sum(np.diff(events, axis=1, prepend=0.0) * precision, axis=1), events[:, -1])


def brier(outcome: Array, risk: Array, weights: Array) -> Array:
    """Compute the Brier score: the mean squared difference between risk and outcome.

    Parameters
    ----------
    outcome, risk, weights : ndarray
        See the module.

    Returns
    -------
    ndarray, shape (n_resamples,)
        0: perfect; 0.25: a constant risk of 0.5; 0.5: worse than that; 1: every risk is the opposite of its outcome.

    References
    ----------
    Brier 1950, "Verification of forecasts expressed in terms of probability".

    Examples
    --------
    >>> import numpy as np
    >>> brier(np.array([0.0, 1.0]), np.array([0.0, 0.5]), np.ones((1, 2)))
    array([0.125])
    """
    return _ratio(weights @ (outcome - risk) ** 2, weights.sum(axis=1))


def log_loss(outcome: Array, risk: Array, weights: Array) -> Array:
    """Compute the mean negative log-likelihood in nats.

    Parameters
    ----------
    outcome, risk, weights : ndarray
        See the module.

    Returns
    -------
    ndarray, shape (n_resamples,)
        0: perfect; 0.5: outcomes had probability 0.61 (geometric mean); 1: probability 0.37. A constant risk of 0.5
        gives 0.69.

    Notes
    -----
    Risks are clipped by 2.2e-16, as in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> log_loss(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.ones((1, 2))).round(4)
    array([0.6931])
    """
    surprise = -np.log(np.where(outcome == 1, clip_probability(risk), 1 - clip_probability(risk)))
    return _ratio(weights @ surprise, weights.sum(axis=1))


def calibration_slope(outcome: Array, risk: Array, weights: Array) -> Array:
    """Compute the slope of the logistic regression of the outcome on logit(risk).

    Parameters
    ----------
    outcome, risk, weights : ndarray
        See the module.

    Returns
    -------
    ndarray, shape (n_resamples,)
        0: risks unrelated to the outcome; 0.5: log-odds vary twice as much as they should; 1: right; above 1: too
        little.

    Notes
    -----
    NaN where no slope exists: one class only, one risk for all, or events and other stays that do not overlap.

    References
    ----------
    Van Calster et al. 2019, "Calibration: the Achilles heel of predictive analytics".

    Examples
    --------
    >>> import numpy as np
    >>> outcome, risk = np.array([1.0, 0, 0, 0, 1, 1, 1, 0]), np.repeat([0.25, 0.75], 4)
    >>> calibration_slope(outcome, risk, np.ones((1, 8))).round(6)
    array([1.])
    """
    score = logit(risk)
    slope = np.full(len(weights), np.nan)
    overlap = _overlap(outcome, score, weights)
    if overlap.any():
        scale = score.std()  # centred and scaled, so that two nearly equal risks are no harder than others
        features = np.stack([np.ones_like(score), (score - score.mean()) / scale])
        slope[overlap] = fit_logistic(outcome, features, weights[overlap])[:, 1] / scale
    return slope


def calibration_intercept(outcome: Array, risk: Array, weights: Array) -> Array:
    """Compute calibration in the large: the shift of logit(risk), slope fixed to 1, that predicts the event rate.

    Parameters
    ----------
    outcome, risk, weights : ndarray
        See the module.

    Returns
    -------
    ndarray, shape (n_resamples,)
        0: right; 0.5: the odds are 1.65 times those predicted; 1: 2.72 times; below 0: the risks are too high.

    Notes
    -----
    NaN where there is one class only, or where all risks are so near to 0 and 1 that a shift changes nothing. It is
    not the intercept of the regression that gives the slope.

    References
    ----------
    Van Calster et al. 2019, "Calibration: the Achilles heel of predictive analytics".

    Examples
    --------
    >>> import numpy as np
    >>> calibration_intercept(np.array([1.0, 1, 1, 0]), np.full(4, 0.5), np.ones((1, 4))).round(4)  # log(3 / 1)
    array([1.0986])
    """
    intercept = np.full(len(weights), np.nan)
    events = weights @ outcome
    both = (events > 0) & (weights @ (1 - outcome) > 0)
    if both.any():
        ones = np.ones((1, len(outcome)))
        intercept[both] = fit_logistic(outcome, ones, weights[both], offset=logit(risk))[:, 0]
    return intercept


def observed_expected(outcome: Array, risk: Array, weights: Array) -> Array:
    """Compute the ratio of observed to expected events.

    Parameters
    ----------
    outcome, risk, weights : ndarray
        See the module.

    Returns
    -------
    ndarray, shape (n_resamples,)
        0: no event occurred; 0.5: half as many as predicted; 1: as many as predicted; below 1: the risks are too high.

    References
    ----------
    Van Calster et al. 2019, "Calibration: the Achilles heel of predictive analytics".

    Examples
    --------
    >>> import numpy as np
    >>> observed_expected(np.array([0.0, 1.0]), np.array([0.25, 0.25]), np.ones((1, 2)))
    array([2.])
    """
    return _ratio(weights @ outcome, weights @ risk)


RISK_METRICS: Mapping[str, RiskMetric] = MappingProxyType(
    {
        "auroc": auroc,
        "auprc": auprc,
        "brier": brier,
        "log_loss": log_loss,
        "calibration_slope": calibration_slope,
        "calibration_intercept": calibration_intercept,
        "observed_expected": observed_expected,
    }
)  # described in `metric_descriptions.METRICS`


def _ratio(top: Array, bottom: Array) -> Array:
    """Quotient; NaN where the divisor is 0."""
    return np.divide(top, bottom, out=np.full(len(bottom), np.nan), where=bottom > 0)


def _overlap(outcome: Array, score: Array, weights: Array) -> NDArray[np.bool_]:
    """Whether the scores of events and other stays overlap in each resample."""
    order = np.argsort(score)
    score, outcome, present = score[order], outcome[order], weights[:, order] > 0
    low_event, high_event = _range(score[outcome == 1], present[:, outcome == 1])
    low_other, high_other = _range(score[outcome == 0], present[:, outcome == 0])
    return (high_other > low_event) & (high_event > low_other)


def _range(score: Array, present: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Lowest and highest present score of each resample; an empty range where there is none."""
    some = present.any(axis=1)
    low = np.where(some, score[present.argmax(axis=1)], np.inf)
    high = np.where(some, score[::-1][present[:, ::-1].argmax(axis=1)], -np.inf)
    return low, high
