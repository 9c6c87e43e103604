"""Event 1 of the PhysioNet 2012 challenge: the smaller of sensitivity and positive predictive value."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.metrics import cumulative_counts
from clinicalgru.evaluate.validation import validate_outcome, validate_risk


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
