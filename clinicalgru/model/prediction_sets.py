"""Split-conformal sets of a fitted model: learned with its calibration, and given at the prediction time only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.task import Task
from clinicalgru.errors import ClinicalGRUError
from clinicalgru.evaluate.conformal import ConformalSets, least_patients
from clinicalgru.model.training.folds import patient_folds

ALPHA = 0.1  # of the patients with the event, and of those without it, whose outcome may lie outside their set
N_FOLDS = 5
MOMENT = 1e-6  # hours by which a moment may differ from the prediction time
NO_SET = ""  # where there is none: another moment than the prediction time, or no sets were learned


class Predictor(Protocol):
    """What corrects scores into risks, such as a calibrator.

    Parameters
    ----------
    *args, **kwargs
        Not used: a protocol has no instances of its own.
    """

    def predict(self, risk: Any, /) -> Any:
        """Give the risks of scores.

        Parameters
        ----------
        risk : array-like
            Scores.
        """


def cross_fitted_sets(
    stays: Sequences, scores: np.ndarray, fit: Callable[[np.ndarray, np.ndarray], Predictor]
) -> ConformalSets | None:
    """Learn sets on calibrated risks of stays that their own calibration did not see.

    Parameters
    ----------
    stays : Sequences
        Calibration stays, which training did not see, with outcomes of 0 or 1.
    scores : ndarray, shape (stay, ...)
        Risks before calibration, or what the risk is computed from.
    fit : callable
        Fits a calibration on outcomes and scores. It is fitted five times, each on four fifths of the patients.

    Returns
    -------
    ConformalSets or None
        With coverage among the patients with the event and among those without it; None where either are too few.

    References
    ----------
    Vovk 2015, "Cross-conformal predictors", Ann Math Artif Intell 74:9-28.
    """
    outcome = np.asarray(stays.outcome, dtype=float)
    used = np.flatnonzero(at_prediction_time(stays) & ~np.isnan(outcome))
    stays, outcome, scores = stays[used], outcome[used], scores[used]
    if min((outcome == 1).sum(), (outcome == 0).sum()) < least_patients(ALPHA):
        return None
    risk = np.full(len(stays), np.nan)
    try:
        fold = patient_folds(stays.patient, outcome, n_folds=N_FOLDS, random_state=0)
        for number in range(N_FOLDS):
            held = fold == number
            risk[held] = fit(outcome[~held], scores[~held]).predict(scores[held])
        return ConformalSets.fit(outcome, risk, patients=stays.patient, by_outcome=True, alpha=ALPHA)
    except ClinicalGRUError:
        return None


def at_prediction_time(stays: Sequences) -> np.ndarray:
    """Find the stays that are seen until the prediction time of their task, which sets were learned for.

    Parameters
    ----------
    stays : Sequences
        Stays of a task with one prediction for each.

    Returns
    -------
    ndarray of bool, shape (stay,)
        False where a stay is seen until another moment.
    """
    return np.isclose(stays.end_hours, prediction_hour(stays.task), rtol=0, atol=MOMENT)


def prediction_hour(task: Task) -> float:
    """Give the hour, since the index time, at which a task predicts: the end of its window.

    Parameters
    ----------
    task : Task
        The task.

    Returns
    -------
    float
        Hours.
    """
    return float(task.window_hours[1])


def sets_of(model: Any, stays: Sequences, risk: np.ndarray) -> np.ndarray:
    """Give the set of each stay.

    Parameters
    ----------
    model : estimator
        Fitted.
    stays : Sequences
        Stays.
    risk : ndarray, shape (stay,)
        Their risks by the model.

    Returns
    -------
    ndarray of str, shape (stay,)
        As of `ConformalSets.predict`; "" at another moment than the prediction time, and of a model without sets.
    """
    sets = getattr(model, "prediction_sets_", None)
    result = np.full(len(stays), NO_SET, dtype=object)
    held = at_prediction_time(stays)
    if sets is not None and held.any():
        result[held] = sets.predict(risk[held])
    return result
