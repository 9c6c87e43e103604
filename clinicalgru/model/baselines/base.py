"""BaselineEstimator: fit, checks and saved state that all baselines share."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.task import Task
from clinicalgru.errors import ArgumentError, BundleError, TrainingError
from clinicalgru.evaluate.calibrators import CALIBRATORS, Calibrator
from clinicalgru.model.estimators.repr_html import ShownAsTable
from clinicalgru.model.estimators.training_summary import calibration_counts, training_summary
from clinicalgru.model.evaluation_inputs import EvaluationMixin
from clinicalgru.model.fit_state import (
    LearnedAttributes,
    adopt,
    blank_copy,
    check_outcome,
    check_stays,
    check_variables,
    draw_seed,
)
from clinicalgru.model.prediction_sets import Sets, cross_fitted_sets
from clinicalgru.model.scikit_learn_interface import ScikitLearnInterface
from clinicalgru.model.seen_patients import SeenPatients

ANY_TASK = ("forecast", "binary", "multiclass", "multilabel", "regression", "survival", "early_warning")
Arrays = Mapping[str, np.ndarray]


class BaselineEstimator(ShownAsTable, LearnedAttributes, ScikitLearnInterface, EvaluationMixin, BaseEstimator):
    """Base of the baselines. None of them needs torch.

    Attributes
    ----------
    variables_, static_variables_ : tuple of Variable
        Variables and static covariates of the training stays.
    task_ : Task
        Task of the training stays.
    trained_on_ : dict
        Source of the training data, whether it is simulated, and counts of stays, patients and outcomes.
    calibrator_ : Calibrator or None
        Calibration, after `calibrate`; `fit_baselines` calibrates out of fold.
    calibrated_on_ : dict or None
        Counts of the stays, patients and outcomes that calibrated it.
    prediction_sets_ : ConformalSets, ClassConformalSets, LabelConformalSets or None
        Of an outcome, of classes or labels: split-conformal sets, see `GRUClassifier.calibrate`.
    seen_patients_ : SeenPatients
        Salted hashes of the patients of the training stays, which `calibrate` refuses.
    """

    TASK_TYPES: ClassVar[tuple[str, ...]] = ()
    task_: Task
    trained_on_: dict[str, Any]
    calibrator_: Calibrator | None
    calibrated_on_: dict[str, int | None] | None = None
    prediction_sets_: Sets | None = None
    seen_patients_: SeenPatients

    def fit(self, X: Sequences, y: ArrayLike | None = None, *, groups: ArrayLike | None = None) -> Self:
        """Fit on the stays. Nothing is assigned until that has succeeded.

        Parameters
        ----------
        X : Sequences
            Training stays; they hold the outcome.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.
        groups : array-like or None
            Accepted for scikit-learn and not used: a baseline needs no validation stays.

        Returns
        -------
        BaselineEstimator
            The estimator itself.

        Raises
        ------
        ClinicalGRUError
            For arguments that cannot be used, a task of another type, or outcomes that cannot be learned from.
        """
        check_outcome(y, check_stays("X", X))
        if X.task.task_type not in self.TASK_TYPES:
            expected = f"a task of type {' or '.join(self.TASK_TYPES)} for {type(self).__name__}"
            raise TrainingError(expected, X.task.task_type, "Use the baseline of that type of task.")
        if not len(X):
            raise TrainingError("training stays", "0 stays", "Check the selection of the task.")
        learner = blank_copy(self)
        if hasattr(self, "random_state"):
            learner.__dict__["random_state"] = draw_seed(self.random_state)
        learner.variables_, learner.static_variables_, learner.task_ = X.variables, X.static_variables, X.task
        learner.trained_on_, learner.calibrator_, learner.calibrated_on_ = training_summary(X), None, None
        learner.seen_patients_ = SeenPatients.of(X)
        learner._learn(X)
        adopt(self, learner)
        return self

    def _learn(self, stays: Sequences) -> None:
        """Fit this blank copy."""
        raise NotImplementedError

    def _calibrated(self, risk: np.ndarray) -> np.ndarray:
        """Predictions as the calibration corrects them, if there is one."""
        return risk if self.calibrator_ is None else self.calibrator_.predict(risk)

    def calibrate(self, stays: Sequences) -> Self:
        """Calibrate the probabilities on stays that training has not seen, as the network's are.

        Parameters
        ----------
        stays : Sequences
            Stays with known outcomes, of other patients than the training stays.

        Returns
        -------
        BaselineEstimator
            The estimator itself.

        Raises
        ------
        ClinicalGRUError
            If training saw the patient of any stay, the outcomes cannot calibrate, or the model has no probabilities.
        """
        self.seen_patients_.refuse(check_stays("stays", stays), "calibrate on")
        raw = copy.copy(self)
        raw.calibrator_ = None
        pairs = raw._calibration_pairs(stays)
        if not pairs:
            fix = "Compare it as it is: it predicts no probability."
            raise ArgumentError("a baseline with probabilities", type(self).__name__, fix)
        self._calibrate_on(pairs, stays)
        return self

    def _calibrate_on(self, pairs: tuple[np.ndarray, ...], stays: Sequences) -> None:
        """Fit the calibration on arrays of `_calibration_pairs`, and count the stays."""
        labels, risk, *weights = pairs
        known = ~np.isnan(labels) if labels.ndim == 1 else slice(None)
        events = {"n_events": float(weights[0][weights[0] > 0].sum())} if weights else {}
        calibrator = CALIBRATORS[self.task_.task_type]
        self.calibrator_ = calibrator.fit(labels[known], risk[known], **events)
        self.calibrated_on_, self.calibration_patients_ = calibration_counts(stays), (SeenPatients.of(stays),)
        self.prediction_sets_ = cross_fitted_sets(stays, risk, calibrator.fit, classes=getattr(self, "classes_", ()))

    def _calibration_pairs(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        """Labels and predictions that a calibrator is fitted on, a row for each stay or step.

        A model of time steps also gives `WarningLabels.stay_weights`. Without probabilities there is nothing: ().
        """
        return ()

    def _checked(self, stays: Any) -> Sequences:
        """The stays, if their variables, units and static covariates are the model's."""
        return check_variables(check_stays("X", stays), self.variables_, self.static_variables_)

    def has_observations(self, stays: Sequences) -> np.ndarray:
        """Whether a stay has any measurement.

        Parameters
        ----------
        stays : Sequences
            Any stays.

        Returns
        -------
        ndarray of bool, shape (stay,)
            False where nothing was measured.
        """
        return np.asarray(stays.n_measurements > 0)

    @property
    def score_columns_(self) -> list[str]:
        """Columns that `clinicalgru.score` writes.

        Returns
        -------
        list of str
            Names of the columns.
        """
        return ["risk"]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """What `clinicalgru.score` writes of each stay.

        Parameters
        ----------
        stays : Sequences
            Stays with measurements.

        Returns
        -------
        ndarray, shape (stay, column)
            One column for each of `score_columns_`.

        Raises
        ------
        ArgumentError
            If the model predicts no number for a whole stay.
        """
        raise ArgumentError("a model with one prediction for each stay", f"a {type(self).__name__}", "Use expected.")

    def arguments_dict(self) -> dict[str, Any]:
        """Arguments as a manifest holds them.

        Returns
        -------
        dict
            Value by name.
        """
        arguments = self.get_params(deep=False)
        if "random_state" in arguments:
            arguments["random_state"] = draw_seed(arguments["random_state"])
        return {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> Self:
        """An unfitted baseline with the arguments of a manifest.

        Parameters
        ----------
        arguments : mapping
            As `arguments_dict` gives them.

        Returns
        -------
        BaselineEstimator
            The baseline.
        """
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()})

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What was learned, as arrays by name, to be saved without pickle.

        Returns
        -------
        dict of str to ndarray
            Arrays by name.
        """
        raise NotImplementedError

    def restore_arrays(self, arrays: Arrays) -> None:
        """Take over what `to_arrays` of an equal model gave; `variables_` and `task_` are already set.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Arrays by name.
        """
        raise NotImplementedError


def with_prefix(prefix: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """Arrays with a prefix before their names.

    Parameters
    ----------
    prefix : str
        The prefix, without the dot that follows it.
    arrays : mapping of str to ndarray
        Arrays by name.

    Returns
    -------
    dict of str to ndarray
        The same arrays.
    """
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def by_prefix(prefix: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays that have a prefix, without it.

    Parameters
    ----------
    prefix : str
        The prefix, without the dot that follows it.
    arrays : mapping of str to ndarray
        Arrays by name.

    Returns
    -------
    dict of str to ndarray
        Those that `with_prefix` gave.
    """
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def array_of(arrays: Arrays, name: str) -> np.ndarray:
    """One of the saved arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Arrays by name.
    name : str
        Which one.

    Returns
    -------
    ndarray
        The array.

    Raises
    ------
    BundleError
        If it is missing.
    """
    if name not in arrays:
        raise BundleError(f"the array {name}", f"{len(arrays)} other arrays", "Save the model again.")
    return arrays[name]


def mean_log_likelihood(outcome: np.ndarray, risk: np.ndarray) -> float:
    """Mean log-likelihood of binary outcomes.

    Parameters
    ----------
    outcome : ndarray
        0, 1, or NaN where unknown.
    risk : ndarray of the same shape
        Probability of 1.

    Returns
    -------
    float
        At most 0, which is perfect; -0.693 is as good as a risk of 0.5 for all.

    Examples
    --------
    >>> import numpy as np
    >>> round(mean_log_likelihood(np.array([0.0, 1.0, np.nan]), np.array([0.5, 0.5, 0.9])), 3)
    -0.693
    """
    known = ~np.isnan(outcome)
    observed = np.where(outcome[known] == 1, risk[known], 1 - risk[known])
    return float(np.log(np.clip(observed, 1e-15, 1.0)).mean())
