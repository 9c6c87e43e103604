"""Event 1 of the PhysioNet 2012 challenge: the smaller of sensitivity and positive predictivity at one threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.metrics import ranked
from clinicalgru.evaluate.validation import checked_outcome, checked_risk


def event1(outcome: ArrayLike, flagged: ArrayLike) -> float:
    """The smaller of sensitivity and positive predictivity.

    outcome  (stay,)  0 or 1, both present
    flagged  (stay,)  True where the risk reached the threshold
    returns  0 to 1; 0 where nobody is flagged

    Source: Silva et al. 2012, "Predicting in-hospital mortality of ICU patients", score of event 1.

    >>> event1([1, 1, 0, 0], [True, False, True, False])
    0.5
    """
    outcome, chosen = checked_outcome(outcome), np.asarray(flagged)
    if chosen.shape != outcome.shape or chosen.dtype != np.bool_:
        got = f"{chosen.dtype} of shape {chosen.shape}"
        raise ArgumentError(f"True or False for each of {len(outcome):,} stays", got, "Pass risk >= threshold.")
    return float(outcome[chosen].sum() / max(outcome.sum(), chosen.sum()))


def threshold_for_event1(outcome: ArrayLike, risk: ArrayLike) -> float:
    """The risk at and above which to flag a stay for the highest `event1`.

    outcome  (stay,)  0 or 1, both present; of training or calibration stays only: chosen on the stays that are judged,
                      the score flatters
    risk     (stay,)  between 0 and 1
    returns  one of the risks; the highest of several equally good

    >>> threshold_for_event1([1, 1, 0, 0], [0.9, 0.6, 0.5, 0.1])
    0.6
    """
    outcome = checked_outcome(outcome)
    risk = checked_risk(risk, stays=len(outcome))
    events, flagged = ranked(outcome, risk, np.ones((1, len(risk))))
    best = np.argmax(events / np.maximum(flagged, outcome.sum()))
    return float(np.unique(risk)[::-1][best])
