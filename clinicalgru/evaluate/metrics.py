"""How good risks are, as weighted numbers: one row of weights, one number.

Every function takes

    outcome  (stay,)           0 or 1
    risk     (stay,)           between 0 and 1
    weights  (resample, stay)  not negative; a row of ones for the plain figure, a patient resample for the bootstrap

and returns (resample,), NaN where a figure is undefined. `evaluate` checks what comes in; these functions do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clinicalgru.evaluate.logistic import fit_logistic, inside, logit
from clinicalgru.evaluate.validation import Array

TINY = float(np.finfo(np.float64).tiny)  # 0 / TINY is 0: a precision with nobody flagged yet counts for nothing


def ranked(outcome: Array, risk: Array, weights: Array) -> tuple[Array, Array]:
    """Weight of events, and of all stays, at or above each distinct risk, from the highest risk down.

    returns  events and flagged, each (resample, distinct risk)

    >>> ranked(np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.5, 0.5]), np.ones((1, 3)))
    (array([[1., 2.]]), array([[1., 3.]]))
    """
    order = np.argsort(-risk, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(risk[order], append=-1.0))
    weights = weights[:, order]
    flagged = np.cumsum(weights, axis=1)[:, last_of_tie]
    events = np.cumsum(weights * outcome[order], axis=1)[:, last_of_tie]
    return events, flagged


def auroc(outcome: Array, risk: Array, weights: Array) -> Array:
    """Chance that a stay with the event has a higher risk than one without; ties count half.

    >>> auroc(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.2, 0.9]), np.ones((1, 3)))
    array([0.75])
    """
    events, flagged = ranked(outcome, risk, weights)
    others = flagged - events
    events_above = events - np.diff(events, axis=1, prepend=0.0) / 2  # of a tie, one half
    pairs = np.sum(np.diff(others, axis=1, prepend=0.0) * events_above, axis=1)
    return _ratio(pairs, events[:, -1] * others[:, -1])


def auprc(outcome: Array, risk: Array, weights: Array) -> Array:
    """Average precision: precision at each distinct risk, weighted by the recall gained there.

    Source: as scikit-learn's average_precision_score; no straight lines between points. DIFF: NaN without any event.

    >>> auprc(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.1, 0.9]), np.ones((1, 3))).round(4)
    array([0.8333])
    """
    events, flagged = ranked(outcome, risk, weights)
    precision = events / np.maximum(flagged, TINY)
    return _ratio(np.sum(np.diff(events, axis=1, prepend=0.0) * precision, axis=1), events[:, -1])


def brier(outcome: Array, risk: Array, weights: Array) -> Array:
    """Mean squared distance between risk and outcome; 0 is perfect.

    >>> brier(np.array([0.0, 1.0]), np.array([0.0, 0.5]), np.ones((1, 2)))
    array([0.125])
    """
    return _ratio(weights @ (outcome - risk) ** 2, weights.sum(axis=1))


def log_loss(outcome: Array, risk: Array, weights: Array) -> Array:
    """Mean negative log likelihood, in nats; risks are kept 2.2e-16 off 0 and 1, as in scikit-learn.

    >>> log_loss(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.ones((1, 2))).round(4)
    array([0.6931])
    """
    surprise = -np.log(np.where(outcome == 1, inside(risk), 1 - inside(risk)))
    return _ratio(weights @ surprise, weights.sum(axis=1))


def calibration_slope(outcome: Array, risk: Array, weights: Array) -> Array:
    """Slope of the logistic regression of outcome on logit(risk): 1 is right, below 1 the risks are too extreme.

    NaN where no slope exists: one class only, one risk for all, or events and others that do not overlap.
    Source: Van Calster et al. 2019, "Calibration: the Achilles heel of predictive analytics".

    >>> calibration_slope(np.array([1.0, 0, 0, 0, 1, 1, 1, 0]), np.repeat([0.25, 0.75], 4), np.ones((1, 8))).round(6)
    array([1.])
    """
    score = logit(risk)
    slope = np.full(len(weights), np.nan)
    overlap = _overlap(outcome, score, weights)
    if overlap.any():
        spread = score.std()  # centred and scaled, so that two nearly equal risks are no harder than others
        features = np.stack([np.ones_like(score), (score - score.mean()) / spread])
        slope[overlap] = fit_logistic(outcome, features, weights[overlap])[:, 1] / spread
    return slope


def calibration_intercept(outcome: Array, risk: Array, weights: Array) -> Array:
    """Calibration in the large: what to add to logit(risk), its slope fixed to 1, to expect as many events as came.

    0 is right, below 0 the risks are too high. NaN where there is one class only, or only risks so near to 0 and 1 that
    adding changes nothing.
    Source: Van Calster et al. 2019; this is not the intercept of the regression that gives the slope.

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
    """Events observed for each event expected: 1 is right, below 1 the risks are too high.

    >>> observed_expected(np.array([0.0, 1.0]), np.array([0.25, 0.25]), np.ones((1, 2)))
    array([2.])
    """
    return _ratio(weights @ outcome, weights @ risk)


@dataclass(frozen=True)
class Metric:
    """A metric's function, its name for readers, and where the best value lies: "higher", "lower", or a target."""

    function: Callable[[Array, Array, Array], Array]
    label: str
    best: str


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "auroc": Metric(auroc, "AUROC", "higher"),
        "auprc": Metric(auprc, "AUPRC", "higher"),
        "brier": Metric(brier, "Brier score", "lower"),
        "log_loss": Metric(log_loss, "Log loss", "lower"),
        "calibration_slope": Metric(calibration_slope, "Calibration slope", "1"),
        "calibration_intercept": Metric(calibration_intercept, "Calibration in the large", "0"),
        "observed_expected": Metric(observed_expected, "Observed : expected", "1"),
    }
)


def _ratio(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.full(len(bottom), np.nan), where=bottom > 0)


def _overlap(outcome: Array, score: Array, weights: Array) -> NDArray[np.bool_]:
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
