"""A cross-fitted ensemble: a network for each fold of the patients, and a prediction of each stay by one new to it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.task import Task
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import Calibrator, TemperatureCalibrator
from clinicalgru.evaluate.logistic import mean_log_probabilities
from clinicalgru.model.baselines.base import mean_log_likelihood
from clinicalgru.model.estimators.classifier import GRUClassifier
from clinicalgru.model.estimators.early_warning import GRUEarlyWarning
from clinicalgru.model.estimators.training_summary import training_summary
from clinicalgru.model.evaluation_inputs import EvaluationMixin
from clinicalgru.model.features.hourly import best_hourly_threshold, hourly_predictions
from clinicalgru.model.fit_state import (
    LearnedAttributes,
    adopt,
    blank_copy,
    check_outcome,
    check_stays,
    draw_seed,
)
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.scikit_learn_interface import ScikitLearnInterface
from clinicalgru.model.training.folds import patient_folds, step_positions
from clinicalgru.model.training.progress import Callback

Member = GRUClassifier | GRUEarlyWarning


class GRUEnsemble(ClassifierMixin, LearnedAttributes, ScikitLearnInterface, EvaluationMixin, BaseEstimator):
    """Cross-fitted ensemble: one network for each fold of the patients, calibrated on out-of-fold predictions.

    For binary, multiclass and early-warning tasks.

    Parameters
    ----------
    estimator : GRUClassifier, GRUEarlyWarning or None, default=None
        How each network is trained. None: a `GRUClassifier` with its defaults.
    n_members : int, default=5
        Number of networks, and of folds; 2 or more.
    random_state : int, default=0
        Seed of the folds. Network k has the seed of `estimator` plus k.

    Attributes
    ----------
    members_ : list of GRUClassifier or GRUEarlyWarning
        The fitted networks. Each was trained on all folds but one, which served as its validation set.
    fold_ : ndarray of int, shape (stay,)
        Fold of each training stay.
    out_of_fold_ : ndarray, shape (stay, class) or (step, 2)
        Calibrated predictions for the training stays, each by the network that did not see the patient.
    calibrator_ : Calibrator or None
        Fitted on the out-of-fold predictions; None if they could not be calibrated.
    threshold_ : float
        Of an early warning: the threshold with the highest utility of the out-of-fold risks.

    Notes
    -----
    Early stopping used the same fold, so out-of-fold scores are slightly optimistic. The members' calibration is
    slightly over-confident for their mean. The prediction is the mean of the members' log-odds.

    References
    ----------
    Wolpert 1992, stacked generalization (cross-fitting).

    Examples
    --------
    >>> from clinicalgru import GRUEnsemble
    >>> GRUEnsemble(n_members=3).n_members
    3
    """

    def __init__(self, estimator: Member | None = None, *, n_members: int = 5, random_state: int = 0) -> None:
        self.estimator = estimator
        self.n_members = n_members
        self.random_state = random_state

    def fit(
        self,
        X: Sequences,
        y: ArrayLike | None = None,
        *,
        auxiliary: pd.DataFrame | None = None,
        verbose: bool = True,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Train one network for each fold, then calibrate. Nothing is assigned until that has succeeded.

        Parameters
        ----------
        X : Sequences
            Training stays; they hold the outcome.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.
        auxiliary : DataFrame or None
            Auxiliary outcomes, as of `GRUClassifier.fit`.
        verbose : bool
            Whether to show a progress bar for each network.
        callbacks : sequence of Callback
            As of `GRUClassifier.fit`.

        Returns
        -------
        GRUEnsemble
            The estimator itself.

        Raises
        ------
        ClinicalGRUError
            For fewer patients than members, another estimator, or outcomes that cannot be learned from.
        """
        check_outcome(y, stays := check_stays("X", X))
        fix = "Pass GRUClassifier() or GRUEarlyWarning(): ensembles of other estimators are not implemented."
        check_instance("estimator", self.estimator, GRUClassifier, GRUEarlyWarning, type(None), fix=fix)
        check_number("n_members", self.n_members, minimum=2, whole=True)
        learner = blank_copy(self)
        learner._learn(stays, auxiliary=auxiliary, verbose=verbose, callbacks=callbacks)
        adopt(self, learner)
        return self

    def _learn(
        self, stays: Sequences, *, auxiliary: pd.DataFrame | None, verbose: bool, callbacks: Iterable[Callback]
    ) -> None:
        """Fit this blank copy."""
        callbacks = tuple(callbacks)
        spread = stays.outcome if stays.task.task_type != "early_warning" else np.isfinite(stays.outcome)
        fold = self.fold_ = patient_folds(stays.patient, spread, n_folds=self.n_members, random_state=self.random_state)
        start = self.estimator if self.estimator is not None else GRUClassifier()
        seed = draw_seed(start.random_state)
        self.members_, raw = list[Member](), None
        for number in range(self.n_members):
            one: Member = clone(start).set_params(random_state=seed + number)
            held = stays[fold == number]
            self.members_.append(
                one.fit(
                    stays[fold != number], validation=held, auxiliary=auxiliary, verbose=verbose, callbacks=callbacks
                )
            )
            risk, by_step = one.predict_proba(held), one.head_.per_step
            points = int(stays.n_steps.sum()) if by_step else len(stays)
            raw = np.empty((points, risk.shape[1])) if raw is None else raw
            which = np.flatnonzero(fold == number)
            raw[step_positions(stays.n_steps, which) if by_step else which] = risk
        assert raw is not None  # there are folds
        self.variables_: tuple[Variable, ...] = stays.variables
        self.static_variables_: tuple[Variable, ...] = stays.static_variables
        self.task_: Task = stays.task
        self.trained_on_ = training_summary(stays)
        head = self.members_[0].head_
        outcome = head.step_labels(stays) if isinstance(head, EarlyWarning) else stays.outcome
        self.calibrator_: Calibrator | None = _calibrator(outcome, raw, classes=self._several)
        self.out_of_fold_ = self._calibrated(raw)
        if isinstance(head, EarlyWarning):
            self.threshold_ = best_hourly_threshold(stays, self.out_of_fold_[:, 1])

    @property
    def classes_(self) -> np.ndarray:
        """(class,) the values of the outcome, in the order of `predict_proba`."""
        return self._fitted()[0].classes_

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """Predict the probability of each class, calibrated: the mean of the members' log-odds.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the training stays, and at least one measurement each.

        Returns
        -------
        ndarray, shape (stay, class) or (step, 2)
            In the order of `classes_`; of an early warning, one row for each time step.
        """
        return self._calibrated(mean_log_probabilities([one.predict_proba(stays) for one in self._fitted()]))

    def predict(self, stays: Sequences) -> np.ndarray:
        """Predict the most probable class; of an early warning, 1 where the risk reaches `threshold_`.

        Parameters
        ----------
        stays : Sequences
            As for `predict_proba`.

        Returns
        -------
        ndarray, shape (stay,) or (step,)
            Values of `classes_`; of an early warning, one for each time step.
        """
        probability = self.predict_proba(stays)
        if self.task_.task_type == "early_warning":
            return (probability[:, 1] >= self.threshold_).astype(int)
        return self.classes_[np.argmax(probability, axis=1)]

    def predict_hourly(self, stays: Sequences) -> pd.DataFrame:
        """Predict the risk at each full hour, of an early warning; see `GRUEarlyWarning.predict_hourly`.

        Parameters
        ----------
        stays : Sequences
            As for `predict_proba`.

        Returns
        -------
        DataFrame
            stay (position), hours (since the index time), risk.

        Raises
        ------
        ArgumentError
            For a task of another type.
        """
        if self.task_.task_type != "early_warning":
            raise ArgumentError("an ensemble of GRUEarlyWarning", self.task_.task_type, "Use predict_proba.")
        return hourly_predictions(stays, self.predict_proba(stays)[:, 1])

    def has_observations(self, stays: Sequences) -> np.ndarray:
        """Give whether all members see anything of each stay: a measurement, or a coded event that they know.

        Parameters
        ----------
        stays : Sequences
            Stays.

        Returns
        -------
        ndarray of bool, shape (stay,)
            False: the stay cannot be predicted.
        """
        return np.all([one.has_observations(stays) for one in self._fitted()], axis=0)

    @property
    def score_columns_(self) -> list[str]:
        """The columns that `score` writes of each stay; see `GRUClassifier`."""
        return self._fitted()[0].score_columns_

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Give what `clinicalgru.score` writes of each stay; of an early warning, the risk after its last time step.

        Parameters
        ----------
        stays : Sequences
            As for `predict_proba`.

        Returns
        -------
        ndarray, shape (stay, column)
            One column for each of `score_columns_`.
        """
        columns = self.predict_proba(stays)[:, -len(self.score_columns_) :]
        return columns[np.cumsum(stays.n_steps) - 1] if self.task_.task_type == "early_warning" else columns

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy; of an early warning, the mean log-likelihood of the labels of the time steps.

        Parameters
        ----------
        X : Sequences
            Stays with outcomes.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.
        sample_weight : array-like of shape (n_stays,) or None
            Weight of each stay; not used for an early warning.

        Returns
        -------
        float
            Fraction of stays with the right class, or a log-likelihood of at most 0; higher is better.
        """
        check_outcome(y, check_stays("X", X))
        if self.task_.task_type == "early_warning":
            labels = EarlyWarning.fit_targets(X).step_labels(X)
            return mean_log_likelihood(labels, self.predict_proba(X)[:, 1])
        return float(ClassifierMixin.score(self, X, X.outcome, sample_weight))

    @property
    def history_(self) -> list[dict[str, float]]:
        """One entry for each epoch of each member."""
        return [{"member": n} | entry for n, one in enumerate(self._fitted()) for entry in one.history_]

    def extra_state(self) -> dict[str, float]:
        """Give further learned numbers: the threshold of an early warning.

        Returns
        -------
        dict of str to float
            Number by name; empty for other tasks.
        """
        return {"threshold_": self.threshold_} if "threshold_" in vars(self) else {}

    @property
    def _several(self) -> np.ndarray | None:
        """The classes of a task that asks which of several."""
        return self.classes_ if self.task_.task_type == "multiclass" else None

    def _fitted(self) -> list[Member]:
        return self.members_

    def _calibrated(self, raw: np.ndarray) -> np.ndarray:
        if self.calibrator_ is None:
            return raw
        if self._several is not None:
            return self.calibrator_.predict(raw)
        risk = self.calibrator_.predict(raw[:, 1])
        return np.stack([1 - risk, risk], axis=1)


def _calibrator(outcome: np.ndarray, risk: np.ndarray, *, classes: np.ndarray | None) -> Calibrator | None:
    """None, with a warning, where the members learned nothing that could be calibrated.

    outcome  (point,)  NaN where it does not count
    classes  of a task that asks which of several
    """
    if classes is not None:
        return TemperatureCalibrator.fit(np.searchsorted(classes, outcome), risk)
    known = ~np.isnan(outcome)
    try:
        return PlattCalibrator.fit(outcome[known], risk[known, 1])
    except ArgumentError as error:
        warnings.warn(f"{error} The ensemble is not calibrated.", stacklevel=3)
        return None
