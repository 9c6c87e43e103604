"""Cross-validation of an estimator, by patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.evaluation import evaluate
from clinicalgru.model.training.folds import patient_folds


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Metrics of an estimator in each fold.

    Attributes
    ----------
    folds : DataFrame
        fold, metric, estimate: of a model that was fitted on the other folds.
    fold : ndarray of int, shape (stay,)
        The fold in which each stay was held out.
    """

    folds: pd.DataFrame
    fold: np.ndarray

    @property
    def summary(self) -> pd.DataFrame:
        """Mean, standard deviation, lowest and highest estimate of each metric over the folds."""
        by_metric = self.folds.groupby("metric", sort=False)["estimate"]
        return by_metric.agg(["mean", "std", "min", "max"]).reset_index()

    def __str__(self) -> str:
        return str(self.summary.round(3).to_string(index=False))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(self.summary.round(3).to_html(index=False, escape=True, border=0))


def cross_validate(
    estimator: Any, sequences: Sequences, *, n_folds: int = 5, n_resamples: int = 20, random_state: int = 0
) -> CrossValidation:
    """Fit an estimator on all folds but one, evaluate it on that one, and repeat; each patient is in one fold.

    Parameters
    ----------
    estimator : estimator
        Any estimator or baseline; it is cloned, not fitted.
    sequences : Sequences
        Stays with known outcomes.
    n_folds : int
        Number of folds, 2 or more.
    n_resamples : int
        Bootstrap resamples of each evaluation, which `folds` does not show.
    random_state : int
        Seed of the folds and of the resamples.

    Returns
    -------
    CrossValidation
        Metrics of each fold, and their mean and spread.

    Raises
    ------
    ArgumentError
        If an argument has another type or is out of bounds.
    TrainingError
        If there are too few patients with each outcome.

    Notes
    -----
    The standard deviation over folds is no standard error: the folds share their training stays (Bengio and Grandvalet
    2004). For the interval of one model, hold out a test part and use `evaluate`.

    References
    ----------
    Bengio and Grandvalet 2004, J Mach Learn Res 5:1089-1105.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(80, random_state=0)), cg.Task.load("in_hospital_mortality"))
    >>> result = cg.cross_validate(cg.SummaryBaseline("logistic regression"), stays, n_folds=2)
    >>> result.folds["fold"].unique().tolist()
    [1, 2]
    """
    fold = held_out_folds(estimator, sequences, n_folds=n_folds, random_state=random_state)
    tables = []
    for number in np.unique(fold):
        train, test = sequences[fold != number], sequences[fold == number]
        metrics = fit_and_evaluate(estimator, train, test, n_resamples=n_resamples, random_state=random_state)
        tables.append(metrics.assign(fold=int(number) + 1))
    folds = pd.concat(tables, ignore_index=True)[["fold", "metric", "estimate"]]
    return CrossValidation(folds, fold + 1)


def held_out_folds(estimator: Any, sequences: Sequences, *, n_folds: int, random_state: int) -> np.ndarray:
    """Check the arguments of a cross-validation and divide its patients into folds.

    Parameters
    ----------
    estimator : estimator
        What will be fitted.
    sequences : Sequences
        Stays with known outcomes.
    n_folds : int
        Number of folds.
    random_state : int
        Seed of the folds.

    Returns
    -------
    ndarray of int, shape (stay,)
        The fold of each stay, from 0.

    Raises
    ------
    ArgumentError
        If an argument has another type or is out of bounds.
    """
    check_instance("sequences", sequences, Sequences, fix="Pass the Sequences that select returns.")
    check_number("n_folds", n_folds, minimum=2, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
    if not (hasattr(estimator, "fit") and hasattr(estimator, "get_params")):
        raise ArgumentError("an estimator", describe(estimator), "Pass one such as GRUClassifier().")
    outcome = sequences.outcome if sequences.outcome.ndim == 1 else sequences.outcome[:, -1]
    return patient_folds(sequences.patient, outcome, n_folds=n_folds, random_state=random_state)


def fit_and_evaluate(
    estimator: Any, train: Sequences, test: Sequences, *, n_resamples: int, random_state: int
) -> pd.DataFrame:
    """Fit a clone of an estimator on some stays and evaluate it on others.

    Parameters
    ----------
    estimator : estimator
        It is cloned, not fitted.
    train, test : Sequences
        Stays of different patients.
    n_resamples, random_state : int
        Bootstrap resamples of the evaluation, and their seed.

    Returns
    -------
    DataFrame
        metric, estimate.
    """
    model = clone(estimator).fit(train)
    held = evaluate(model, test, by_hour=False, n_resamples=n_resamples, random_state=random_state)
    return held.metrics[["metric", "estimate"]]
