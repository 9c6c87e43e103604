"""What `GRUEnsemble` and `Hybrid` share: fit, and what early warnings add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from clinicalgru.checks import check_instance
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.task import Task
from clinicalgru.model.estimators.repr_html import ShownAsTable
from clinicalgru.model.evaluation_inputs import EvaluationMixin
from clinicalgru.model.fit_state import LearnedAttributes, adopt, blank_copy, check_outcome, check_stays
from clinicalgru.model.scikit_learn_interface import ScikitLearnInterface
from clinicalgru.model.training.progress import Callback, check_callbacks


class CrossFittedModel(ShownAsTable, LearnedAttributes, ScikitLearnInterface, EvaluationMixin, BaseEstimator):
    """Base of models with a member for each fold of the patients."""

    EXTRA_STATE: tuple[str, ...] = ("threshold_",)
    task_: Task

    def fit(
        self,
        X: Sequences,
        y: ArrayLike | None = None,
        *,
        auxiliary: pd.DataFrame | None = None,
        verbose: bool = True,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Train the members of each fold, then calibrate. Nothing is assigned until that has succeeded.

        Parameters
        ----------
        X : Sequences
            Training stays; they hold the outcome.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.
        auxiliary : DataFrame or None
            Auxiliary outcomes for the networks, as of `GRUClassifier.fit`.
        verbose : bool
            Whether to show a progress bar for each network.
        callbacks : sequence of Callback
            As of `GRUClassifier.fit`.

        Returns
        -------
        CrossFittedModel
            The estimator itself.

        Raises
        ------
        ClinicalGRUError
            For arguments that cannot be used, a task of another type, fewer patients than folds, or outcomes that
            cannot be learned from.
        """
        check_outcome(y, stays := check_stays("X", X))
        check_instance("verbose", verbose, bool)
        check_instance("auxiliary", auxiliary, pd.DataFrame, type(None), fix="Pass events.further_outcomes(task).")
        callbacks = check_callbacks(callbacks)
        self._check_arguments(stays)
        learner = blank_copy(self)
        learner._learn(stays, auxiliary=auxiliary, verbose=verbose, callbacks=callbacks)
        adopt(self, learner)
        return self

    def _check_arguments(self, stays: Sequences) -> None:
        """Raise for arguments that cannot be used, or do not suit the task of the stays."""
        raise NotImplementedError

    def _learn(
        self, stays: Sequences, *, auxiliary: pd.DataFrame | None, verbose: bool, callbacks: Sequence[Callback]
    ) -> None:
        """Fit this blank copy."""
        raise NotImplementedError

    def extra_state(self) -> dict[str, float]:
        """Give further learned numbers, such as the threshold of an early warning.

        Returns
        -------
        dict of str to float
            Number by name.
        """
        return {name: float(getattr(self, name)) for name in self.EXTRA_STATE if name in vars(self)}
