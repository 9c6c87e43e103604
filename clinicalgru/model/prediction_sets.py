"""Split-conformal sets of a fitted model: learned with its calibration, and given at the prediction time only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.task import Task
from clinicalgru.errors import ClinicalGRUError
from clinicalgru.evaluate.conformal import ConformalSets, PredictionSet
from clinicalgru.evaluate.conformal_multi import ClassConformalSets, LabelConformalSets
from clinicalgru.evaluate.conformal_quantile import least_patients
from clinicalgru.model.training.folds import patient_folds

ALPHA = 0.1  # of the patients with the event, and of those without it, whose outcome may lie outside their set
N_FOLDS = 5
MOMENT = 1e-6  # hours by which a moment may differ from the prediction time
BY = "by_outcome"
NO_SET = ""  # where there is none: another moment than the prediction time, or no sets were learned
SET = "prediction_set"  # column of a score table
Sets = ConformalSets | ClassConformalSets | LabelConformalSets


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
    stays: Sequences,
    scores: np.ndarray,
    fit: Callable[[np.ndarray, np.ndarray], Predictor],
    *,
    classes: ArrayLike = (),
) -> Sets | None:
    """Learn sets on calibrated risks of stays that their own calibration did not see.

    Parameters
    ----------
    stays : Sequences
        Calibration stays, which training did not see, of a binary, multiclass or multilabel task.
    scores : ndarray, shape (stay, ...)
        Risks before calibration, or what the risk is computed from.
    fit : callable
        Fits a calibration on outcomes and scores. It is fitted five times, each on four fifths of the patients.
    classes : array-like
        Of a multiclass task: values of the outcome, ascending, in the order of the probabilities.

    Returns
    -------
    ConformalSets, ClassConformalSets, LabelConformalSets or None
        Of a binary outcome with coverage among the patients with the event and among those without it, of several
        classes in each class, of several labels by label; None for other types of task, and of too few patients.

    References
    ----------
    Vovk 2015, "Cross-conformal predictors", Ann Math Artif Intell 74:9-28.
    """
    task = stays.task
    if task.task_type not in ("binary", "multiclass", "multilabel"):
        return None
    outcome, strata = _labels(stays, np.asarray(classes, dtype=float))
    used = np.flatnonzero(at_prediction_time(stays) & ~np.isnan(strata))
    stays, outcome, strata, scores = stays[used], outcome[used], strata[used], scores[used]
    counts = np.unique(strata, return_counts=True)[1]
    if task.task_type == "binary" and (len(counts) < 2 or counts.min() < least_patients(ALPHA)):
        return None
    try:
        fold = patient_folds(stays.patient, strata, n_folds=N_FOLDS, random_state=0)
        parts = [fit(outcome[fold != n], scores[fold != n]).predict(scores[fold == n]) for n in range(N_FOLDS)]
        risk = np.concatenate(parts)[np.argsort(np.argsort(fold, kind="stable"), kind="stable")]
        options: dict[str, Any] = {"patients": stays.patient, "alpha": ALPHA}
        if task.task_type == "multiclass":
            return ClassConformalSets.fit(outcome, risk, classes=task.class_names(_values(classes)), **options)
        if task.task_type == "multilabel":
            return LabelConformalSets.fit(outcome, risk, names=task.outcomes, **options)
        return ConformalSets.fit(outcome, risk, by_outcome=True, **options)
    except ClinicalGRUError:
        return None


def _labels(stays: Sequences, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a calibration is fitted on, and (stay,) a number by which folds are alike, NaN where nothing is known."""
    outcome = np.asarray(stays.outcome, dtype=float)
    if stays.task.task_type == "multilabel":
        strata = np.unique(outcome == 1, axis=0, return_inverse=True)[1].reshape(-1).astype(float)
        return outcome, np.where(np.isnan(outcome).all(axis=1), np.nan, strata)
    if stays.task.task_type == "multiclass":
        known = np.isin(outcome, classes)
        return np.searchsorted(classes, np.where(known, outcome, classes[0])), np.where(known, outcome, np.nan)
    return outcome, outcome


def _values(classes: ArrayLike) -> list[float]:
    return [float(value) for value in np.asarray(classes, dtype=float)]


def set_columns(task: Task) -> list[str]:
    """Give the columns of a score table that hold sets.

    Parameters
    ----------
    task : Task
        The task.

    Returns
    -------
    list of str
        One for each label of a multilabel task, one of a binary, multiclass or early-warning task, else none.

    Examples
    --------
    >>> set_columns(Task("any", ("sepsis", "shock"), (0, 24), task_type="multilabel"))
    ['prediction_set_sepsis', 'prediction_set_shock']
    """
    if task.task_type == "multilabel":
        return [f"{SET}_{label}" for label in task.outcomes]
    return [SET] if task.task_type in ("binary", "multiclass", "early_warning") else []


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
    risk : ndarray, shape (stay,) or (stay, output)
        Their risks by the model: of a binary task one, else those of all classes or labels.

    Returns
    -------
    ndarray of str, shape (stay,), or (stay, label) of a multilabel task
        As of `predict` of the sets; "" at another moment than the prediction time, and of a model without sets.
    """
    sets = getattr(model, "prediction_sets_", None)
    shape = (len(stays), risk.shape[1]) if stays.task.task_type == "multilabel" else (len(stays),)
    result = np.full(shape, NO_SET, dtype=object)
    held = at_prediction_time(stays)
    if sets is not None and held.any():
        result[held] = sets.predict(risk[held])
    return result


def set_of_output(model: Any, stay: Sequences, risk: float, output: str) -> PredictionSet | None:
    """Give the set of one stay, for what is explained of it.

    Parameters
    ----------
    model : estimator
        Fitted.
    stay : Sequences
        One stay.
    risk : float
        The risk that is explained.
    output : str
        Which of several outputs that is, such as a label; "" of a binary outcome.

    Returns
    -------
    PredictionSet or None
        None of a model or label without sets, and at another moment than the prediction time.
    """
    sets: Sets | None = getattr(model, "prediction_sets_", None)
    if sets is None or not at_prediction_time(stay).all():
        return None
    hour = float(stay.end_hours[0])
    if isinstance(sets, ClassConformalSets):
        outcomes = str(sets.predict(model.predict_proba(stay))[0])
        return PredictionSet(outcomes, sets.alpha, by_outcome=True, hour=hour, of_classes=True)
    columns = dict(zip(model.task_.outcome_names, model.task_.outcomes, strict=True))
    own = sets.labels.get(columns.get(output, output)) if isinstance(sets, LabelConformalSets) else sets
    return None if own is None else PredictionSet(str(own.predict([risk])[0]), own.alpha, own.by_outcome, hour)


def restored_sets(values: Mapping[str, Any], model: Any) -> Sets:
    """Restore the sets of a bundle.

    Parameters
    ----------
    values : mapping
        What `to_dict` of the sets gave.
    model : estimator
        The model that they belong to.

    Returns
    -------
    ConformalSets, ClassConformalSets or LabelConformalSets
        The sets.

    Raises
    ------
    ValueError
        If the fields contradict each other, or are those of another task.
    """
    task: Task = model.task_
    if task.task_type == "multiclass":
        classes = ClassConformalSets.from_dict(values)
        if classes.classes != task.class_names(_values(model.classes_)):
            raise ValueError("sets of other classes")
        return classes
    if task.task_type == "multilabel":
        labels = LabelConformalSets.from_dict(values)
        if labels.names != task.outcomes:
            raise ValueError("sets of other labels")
        return labels
    if task.task_type != "binary" or "alpha" not in values or not {*values} <= {"alpha", "quantiles", "patients", BY}:
        raise ValueError("sets of another task")
    return ConformalSets.from_dict(values)
