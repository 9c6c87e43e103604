"""Hybrid: stacking of GRU networks and baselines on out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, clone

from clinicalgru.checks import check_choice, check_instance
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, TrainingError
from clinicalgru.evaluate.logistic import logit, mean_log_probabilities
from clinicalgru.model.baselines.base import mean_log_likelihood
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.baselines.summary_baseline import BASELINES, SummaryBaseline
from clinicalgru.model.estimators.cross_fitted import CrossFittedModel
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.features.hourly import best_hourly_threshold, hourly_predictions
from clinicalgru.model.fit_state import check_outcome, check_stays, check_variables
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.prediction_sets import Sets, cross_fitted_sets
from clinicalgru.model.training.folds import cross_fit
from clinicalgru.model.training.progress import Callback

Baseline = SummaryBaseline | EarlyWarningTrees


class Hybrid(ClassifierMixin, CrossFittedModel):
    """Stacking of a GRU ensemble and baselines by a logistic regression on their log-odds.

    For binary and early-warning tasks.

    Parameters
    ----------
    ensemble : GRUEnsemble or None, default=None
        How the networks are trained. None: a `GRUEnsemble` with its defaults.
    baselines : tuple of str, default=("logistic regression", "boosted trees")
        Methods of `SummaryBaseline`. Each has one member for each fold of the ensemble. An early warning uses boosted
        trees only, on the features after each time step.

    Attributes
    ----------
    ensemble_ : GRUEnsemble
        The fitted ensemble.
    baselines_ : dict of str to list
        Fitted members of each baseline, by method.
    stack_ : LogisticRegression
        Weights of the parts, fitted on out-of-fold predictions, which also calibrates.
    prediction_sets_ : ConformalSets or None
        Of a binary outcome: cross-conformal sets from the out-of-fold predictions, see `GRUClassifier.calibrate`.
    out_of_fold_ : ndarray, shape (stay, 2) or (step, 2)
        Out-of-fold risks of the training stays.
    threshold_ : float
        Of an early warning: the threshold with the highest utility of the out-of-fold risks.

    References
    ----------
    Wolpert 1992, stacked generalization.

    Examples
    --------
    >>> from clinicalgru import Hybrid
    >>> Hybrid(baselines=("boosted trees",)).baselines
    ('boosted trees',)
    """

    prediction_sets_: Sets | None = None

    def __init__(self, ensemble: GRUEnsemble | None = None, *, baselines: tuple[str, ...] = BASELINES) -> None:
        self.ensemble = ensemble
        self.baselines = baselines

    def _check_arguments(self, stays: Sequences) -> None:
        check_instance("ensemble", self.ensemble, GRUEnsemble, type(None), fix="Pass GRUEnsemble(), or leave it out.")
        for method in self.baselines:
            check_choice("baselines", method, BASELINES)
        if stays.task.task_type not in ("binary", "early_warning"):
            fix = "Use GRUEnsemble."
            raise TrainingError("a task of the kind binary or early_warning for Hybrid", stays.task.task_type, fix)

    def _learn(
        self, stays: Sequences, *, auxiliary: pd.DataFrame | None, verbose: bool, callbacks: Sequence[Callback]
    ) -> None:
        """Fit this blank copy."""
        ensemble: GRUEnsemble = clone(self.ensemble) if self.ensemble is not None else GRUEnsemble()
        self.ensemble_ = ensemble.fit(stays, auxiliary=auxiliary, verbose=verbose, callbacks=callbacks)
        self.baselines_, columns = dict[str, list[Baseline]](), [logit(ensemble.out_of_fold_[:, 1])]
        self.variables_, self.static_variables_ = stays.variables, stays.static_variables
        self.task_, self.trained_on_ = stays.task, self.ensemble_.trained_on_
        by_step = stays.task.every_step
        for method in [method for method in self.baselines if not by_step or method == BASELINES[1]]:
            members = [_baseline(method, stays, random_state=number) for number in range(ensemble.n_members)]
            columns.append(logit(cross_fit(members, stays, ensemble.fold_)))
            self.baselines_[method] = members
        odds = np.stack(columns, axis=1)
        outcome = EarlyWarning.fit_targets(stays).step_labels(stays) if by_step else stays.outcome
        known = ~np.isnan(outcome)
        self.stack_ = _stack().fit(odds[known], outcome[known].astype(int))
        self.out_of_fold_ = np.asarray(self.stack_.predict_proba(odds))
        if by_step:
            self.threshold_ = best_hourly_threshold(stays, self.out_of_fold_[:, 1])
        else:
            self.prediction_sets_ = cross_fitted_sets(stays, odds, _stacked_risk)

    @property
    def weights_(self) -> dict[str, float]:
        """The weight of the log-odds of each part: "GRU", and the baselines by their methods."""
        return dict(zip(("GRU", *self.baselines_), self.stack_.coef_[0].tolist(), strict=True))

    @property
    def history_(self) -> list[dict[str, float]]:
        """One entry for each epoch of each network."""
        return self.ensemble_.history_

    @property
    def calibrator_(self) -> None:
        """None: the stacking weights are the calibration."""
        return None

    @property
    def calibrated_on_(self) -> dict[str, int | None]:
        """Counts of stays, patients and outcomes whose out-of-fold predictions gave the stacking weights."""
        return {name: self.trained_on_[name] for name in ("stays", "patients", "outcomes")}

    def has_observations(self, stays: Sequences) -> np.ndarray:
        """Give whether all parts have an input for each stay: a measurement, as the baselines see no coded events.

        Parameters
        ----------
        stays : Sequences
            Stays.

        Returns
        -------
        ndarray of bool, shape (stay,)
            False: the stay cannot be predicted.
        """
        return np.asarray(self.ensemble_.has_observations(stays) & (stays.n_measurements > 0))

    @property
    def score_columns_(self) -> list[str]:
        """The column that `clinicalgru.score` writes."""
        return ["risk"]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Give the risk of each stay that `clinicalgru.score` writes; of an early warning, the one after its last step.

        Parameters
        ----------
        stays : Sequences
            As for `predict_proba`.

        Returns
        -------
        ndarray, shape (stay, 1)
            Risks.
        """
        risk = self.predict_proba(stays)[:, 1:]
        return risk[np.cumsum(stays.n_steps) - 1] if self.task_.every_step else risk

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
        if self.task_.every_step:
            labels = EarlyWarning.fit_targets(X).step_labels(X)
            return mean_log_likelihood(labels, self.predict_proba(X)[:, 1])
        return float(ClassifierMixin.score(self, X, X.outcome, sample_weight))

    @property
    def classes_(self) -> np.ndarray:
        """(class,) 0 and 1."""
        return np.array([0, 1])

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """Predict the probability of no outcome and of the outcome.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the training stays, and at least one measurement each.

        Returns
        -------
        ndarray, shape (stay, 2) or (step, 2)
            Probabilities; of an early warning, one row for each time step.

        Raises
        ------
        VariableMismatch
            If variables, units or static covariates differ from the training stays.
        """
        check_variables(check_stays("X", stays), self.variables_, self.static_variables_)
        risks = [self.ensemble_.predict_proba(stays)]
        risks += [
            mean_log_probabilities([one.predict_proba(stays) for one in members])
            for members in self.baselines_.values()
        ]
        return np.asarray(self.stack_.predict_proba(np.stack([logit(risk[:, 1]) for risk in risks], axis=1)))

    def predict(self, stays: Sequences) -> np.ndarray:
        """Predict 1 from a risk of 0.5 on; of an early warning, from `threshold_` on.

        Parameters
        ----------
        stays : Sequences
            As for `predict_proba`.

        Returns
        -------
        ndarray of int, shape (stay,) or (step,)
            0 or 1; of an early warning, one for each time step.
        """
        least = self.threshold_ if hasattr(self, "threshold_") else 0.5
        return (self.predict_proba(stays)[:, 1] >= least).astype(int)

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
        if not self.task_.every_step:
            raise ArgumentError("a hybrid of early warnings", self.task_.task_type, "Use predict_proba.")
        return hourly_predictions(stays, self.predict_proba(stays)[:, 1])


def _baseline(kind: str, stays: Sequences, *, random_state: int) -> Baseline:
    return (
        EarlyWarningTrees(random_state=random_state)
        if stays.task.every_step
        else SummaryBaseline(kind, random_state=random_state)
    )


class _StackedRisk:
    """The stacking regression as what gives risks of log-odds."""

    def __init__(self, stack: Any) -> None:
        self.stack = stack

    def predict(self, odds: np.ndarray) -> np.ndarray:
        return np.asarray(self.stack.predict_proba(odds)[:, 1])


def _stacked_risk(outcome: np.ndarray, odds: np.ndarray) -> _StackedRisk:
    return _StackedRisk(_stack().fit(odds, outcome.astype(int)))


def _stack() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1.0, max_iter=1000)


def restored_stack(coefficients: np.ndarray, intercept: np.ndarray) -> Any:
    """The stacking regression with these coefficients.

    Parameters
    ----------
    coefficients : ndarray, shape (1, part)
        Weight of the log-odds of each part.
    intercept : ndarray, shape (1,)
        Log-odds.

    Returns
    -------
    LogisticRegression
        As fitted.
    """
    stack = _stack()
    stack.coef_, stack.intercept_, stack.classes_ = coefficients, intercept, np.array([0, 1])
    stack.n_features_in_ = coefficients.shape[1]
    return stack
