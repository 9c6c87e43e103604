"""Scores of the PhysioNet 2012 challenge: event 1, of flags, and event 2, of risks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.metrics import cumulative_counts
from clinicalgru.evaluate.validation import validate_outcome, validate_risk

DECILES = 10


def event1(outcome: ArrayLike, flagged: ArrayLike) -> float:
    """Compute the smaller of sensitivity and positive predictive value.

    Parameters
    ----------
    outcome : array-like, shape (n_stays,)
        0 or 1, both present.
    flagged : array-like of bool, shape (n_stays,)
        Whether the risk reached the threshold.

    Returns
    -------
    float
        0: no event is flagged; 0.5: half of the events, or half of the flags, are right; 1: flags and events coincide.

    Raises
    ------
    ArgumentError
        If `flagged` is not one boolean for each stay.

    References
    ----------
    Silva et al. 2012, "Predicting in-hospital mortality of ICU patients", score of event 1.

    Examples
    --------
    >>> event1([1, 1, 0, 0], [True, False, True, False])
    0.5
    """
    true, chosen = validate_outcome(outcome), np.asarray(flagged)
    if chosen.shape != true.shape or chosen.dtype != np.bool_:
        got = f"{chosen.dtype} of shape {chosen.shape}"
        raise ArgumentError(f"True or False for each of {len(true):,} stays", got, "Pass risk >= threshold.")
    return float(true[chosen].sum() / max(true.sum(), chosen.sum()))


def threshold_for_event1(outcome: ArrayLike, risk: ArrayLike) -> float:
    """Choose the risk from which on to flag a stay for the highest `event1`.

    Parameters
    ----------
    outcome : array-like, shape (n_stays,)
        0 or 1, both present; of training or calibration stays only. Chosen on the test stays, the score is too high.
    risk : array-like, shape (n_stays,)
        Between 0 and 1.

    Returns
    -------
    float
        One of the risks; the highest of several equally good ones.

    Examples
    --------
    >>> threshold_for_event1([1, 1, 0, 0], [0.9, 0.6, 0.5, 0.1])
    0.6
    """
    true = validate_outcome(outcome)
    checked = validate_risk(risk, stays=len(true))
    events, flagged = cumulative_counts(true, checked, np.ones((1, len(checked))))
    best = np.argmax(events / np.maximum(flagged, true.sum()))
    return float(np.unique(checked)[::-1][best])


def event2(outcome: ArrayLike, risk: ArrayLike) -> float:
    """Compute the Hosmer-Lemeshow statistic over deciles of the risk, divided by the range of their mean risks.

    Parameters
    ----------
    outcome : array-like, shape (n_stays,)
        0 or 1, both present.
    risk : array-like, shape (n_stays,)
        Between 0 and 1.

    Returns
    -------
    float
        0: each decile has as many events as predicted; lower is better. It grows with the number of stays. NaN with
        fewer than 10 stays, or where all deciles have the same mean risk.

    Notes
    -----
    As the challenge computes it: deciles of n // 10 stays in order of risk, the last n % 10 stays left out, stays of
    equal risk in the order given, and 0.001 added to each denominator.

    References
    ----------
    Silva et al. 2012, "Predicting in-hospital mortality of ICU patients", score of event 2.

    Examples
    --------
    >>> import numpy as np
    >>> risk = np.repeat([0.1, 0.9], 50)
    >>> event2(np.r_[np.tile([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 5), np.tile([0, 1, 1, 1, 1, 1, 1, 1, 1, 1], 5)], risk)
    0.0
    """
    true = validate_outcome(outcome)
    checked = validate_risk(risk, stays=len(true))
    size = len(true) // DECILES
    if size == 0:
        return float("nan")
    order = np.argsort(checked, kind="stable")[: size * DECILES].reshape(DECILES, size)
    mean, observed = checked[order].mean(axis=1), true[order].sum(axis=1)
    distance = ((observed - size * mean) ** 2 / (size * mean * (1 - mean) + 0.001)).sum()
    return float(distance / (mean[-1] - mean[0])) if mean[-1] > mean[0] else float("nan")
