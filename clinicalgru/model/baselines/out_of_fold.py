"""Out-of-fold calibration of baselines, so that they are compared as the network is: calibrated."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.outcome_kinds import occurred
from clinicalgru.disclosure import coarse_count
from clinicalgru.errors import ArgumentError, CalibrationWarning, TrainingError
from clinicalgru.evaluate.shrinkage import MIN_EVENTS
from clinicalgru.model.training.folds import patient_folds

N_FOLDS = 5


def calibrate_out_of_fold(model: Any, stays: Sequences, *, random_state: int) -> Any:
    """Calibrate a fitted baseline on predictions for its own training stays by models of other folds.

    Parameters
    ----------
    model : baseline
        Fitted on all the stays, which stays as it is but for its calibration.
    stays : Sequences
        Its training stays.
    random_state : int
        Seed of the five folds of the patients.

    Returns
    -------
    baseline
        The same model. Without probabilities it has no calibration.

    Warns
    -----
    CalibrationWarning
        If there are too few stays; the model is then not calibrated.

    References
    ----------
    Wolpert 1992, stacked generalization (cross-fitting).

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(300)), cg.Task.load("in_hospital_mortality"))
    >>> model = cg.SummaryBaseline("logistic regression").fit(stays)
    >>> calibrate_out_of_fold(model, stays, random_state=0).calibrated_on_["stays"] == len(stays)
    True
    """
    try:
        _check_events(stays)
        fold = patient_folds(stays.patient, _strata(stays), n_folds=N_FOLDS, random_state=random_state)
        pairs = [clone(model).fit(stays[fold != n])._calibration_pairs(stays[fold == n]) for n in range(N_FOLDS)]
        joined = tuple(np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
        model._calibrate_on(joined, stays[np.argsort(fold, kind="stable")])  # in the order of the folds, as the pairs
    except (ArgumentError, TrainingError) as error:
        message = f"{error} The baseline {type(model).__name__} is not calibrated."
        warnings.warn(message, CalibrationWarning, stacklevel=4)
    return model


def _check_events(stays: Sequences) -> None:
    event = occurred(stays.outcome, stays.task)
    if event is None:
        return
    fewest = int(event.sum() if stays.task.task_type == "survival" else min(event.sum(), (~event).sum()))
    if fewest < MIN_EVENTS:
        expected = f"{MIN_EVENTS} stays with the event, and {MIN_EVENTS} without it, to calibrate on"
        raise ArgumentError(expected, coarse_count(fewest), "Take more stays.")


def _strata(stays: Sequences) -> np.ndarray:
    """What is spread evenly over the folds; of several labels nothing."""
    event = occurred(stays.outcome, stays.task)
    if event is not None:
        return event.astype(float)
    return stays.outcome if stays.outcome.ndim == 1 else np.zeros(len(stays))
