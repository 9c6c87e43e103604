"""Boosted-tree baselines of the other task types, on the features of `SummaryBaseline`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin

from clinicalgru.class_names import column_part
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.model.baselines.base import (
    Arrays,
    BaselineEstimator,
    array_of,
    by_prefix,
    mean_log_likelihood,
    with_prefix,
)
from clinicalgru.model.baselines.boosted_trees import BoostedTrees
from clinicalgru.model.baselines.summary_baseline import TREES, boosted_trees, features, pooled_features
from clinicalgru.model.features.pooled_values import pooled_values
from clinicalgru.model.fit_state import RandomState, check_outcome, check_stays
from clinicalgru.model.targets.warning_labels import refuse_unknown


class MulticlassTrees(ClassifierMixin, BaselineEstimator):
    """Boosted trees for a multiclass task.

    Parameters
    ----------
    classes : tuple of float or None, default=None
        Values of the outcome, ascending. A class without training stays has probability 0. None: those of the
        training stays.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the trees.

    Examples
    --------
    >>> MulticlassTrees((0.0, 1.0, 2.0)).classes
    (0.0, 1.0, 2.0)
    """

    TASK_TYPES = ("multiclass",)
    trees_: BoostedTrees
    classes_: np.ndarray
    trained_classes_: np.ndarray

    def __init__(self, classes: tuple[float, ...] | None = None, *, random_state: RandomState = 0) -> None:
        self.classes = classes
        self.random_state = random_state

    def _learn(self, stays: Sequences) -> None:
        refuse_unknown(stays.outcome, "training stays")
        self.classes_ = np.unique(stays.outcome) if self.classes is None else np.array(self.classes)
        position = np.searchsorted(self.classes_, stays.outcome)
        self.trained_classes_ = np.unique(position)
        if len(self.trained_classes_) < 2:
            fix = "Take more stays, or check the outcome."
            raise TrainingError("several classes among the training stays", "one class only", fix)
        self.trees_ = BoostedTrees.fit(boosted_trees(self.random_state), pooled_features(stays), position)

    def _calibration_pairs(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        return np.searchsorted(self.classes_, stays.outcome), self.predict_proba(stays)

    def predict_proba(self, X: Sequences) -> np.ndarray:
        """Probability of each class.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        ndarray, shape (stay, class)
            Probabilities in the order of `classes_`.
        """
        table = features(self._checked(X))
        probability = np.zeros((len(X), len(self.classes_)))
        probability[:, self.trained_classes_] = self.trees_.predict_proba(table)
        return self._calibrated(probability)

    def predict(self, X: Sequences) -> np.ndarray:
        """The most likely class.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        ndarray, shape (stay,)
            Values of `classes_`.
        """
        return np.asarray(self.classes_[np.argmax(self.predict_proba(X), axis=1)])

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy: 1 is perfect, 0 means that every class is wrong.

        Parameters
        ----------
        X : Sequences
            Stays with outcomes.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.
        sample_weight : array-like of shape (n_stays,) or None
            Weight of each stay.

        Returns
        -------
        float
            Fraction of stays with the right class.
        """
        check_outcome(y, check_stays("X", X))
        return float(ClassifierMixin.score(self, X, X.outcome, sample_weight))

    @property
    def score_columns_(self) -> list[str]:
        """A column for each class."""
        return [f"risk_{column_part(name)}" for name in self.task_.class_names(self.classes_.tolist())]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Probabilities of each stay; see `predict_proba`."""
        return self.predict_proba(stays)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The classes and the arrays of the trees."""
        learned = {"classes": np.asarray(self.classes_, dtype=np.float64), "trained_classes": self.trained_classes_}
        return learned | with_prefix("trees", self.trees_.to_arrays())

    def restore_arrays(self, arrays: Arrays) -> None:
        """Take over what `to_arrays` gave."""
        self.classes_, self.trained_classes_ = array_of(arrays, "classes"), array_of(arrays, "trained_classes")
        self.trees_ = BoostedTrees.from_arrays(by_prefix("trees", arrays))


class MultilabelTrees(ClassifierMixin, BaselineEstimator):
    """Boosted trees for a multilabel task: one model for each outcome, on the stays in which it is known.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None, default=0
        Seed of the trees.

    Notes
    -----
    An outcome with one known value only is predicted by its frequency.

    Examples
    --------
    >>> MultilabelTrees(random_state=1).random_state
    1
    """

    TASK_TYPES = ("multilabel",)
    trees_: list[BoostedTrees | float]

    def __init__(self, *, random_state: RandomState = 0) -> None:
        self.random_state = random_state

    def _learn(self, stays: Sequences) -> None:
        if np.isnan(stays.outcome).all():
            raise TrainingError("a known outcome", "unknown outcomes only", "Check the outcomes of the task.")
        table = pooled_features(stays)
        self.trees_ = [self._fit_label(table, column) for column in stays.outcome.T]

    def _fit_label(self, table: np.ndarray, outcome: np.ndarray) -> BoostedTrees | float:
        known = ~np.isnan(outcome)
        if len(np.unique(outcome[known])) == 2:
            return BoostedTrees.fit(boosted_trees(self.random_state), table[known], outcome[known].astype(int))
        return float(outcome[known].mean()) if known.any() else 0.0

    def _calibration_pairs(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        return stays.outcome, self.predict_proba(stays)

    @property
    def labels_(self) -> tuple[str, ...]:
        """Names of the outcomes, in the order of `predict_proba`."""
        return self.task_.outcomes

    def predict_proba(self, X: Sequences) -> np.ndarray:
        """Probability of each outcome.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        ndarray, shape (stay, outcome)
            Probabilities in the order of `labels_`.
        """
        table = features(self._checked(X))
        columns = [
            np.full(len(X), trees) if isinstance(trees, float) else trees.predict_proba(table)[:, 1]
            for trees in self.trees_
        ]
        return self._calibrated(np.stack(columns, axis=1))

    def predict(self, X: Sequences) -> np.ndarray:
        """Whether each outcome has a probability of at least 0.5.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        ndarray of int, shape (stay, outcome)
            0 or 1, in the order of `labels_`.
        """
        return (self.predict_proba(X) >= 0.5).astype(int)

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log-likelihood of the known outcomes; higher is better.

        Parameters
        ----------
        X : Sequences
            Stays with outcomes.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.
        sample_weight : array-like or None
            Accepted for scikit-learn and not used.

        Returns
        -------
        float
            At most 0, which is perfect.
        """
        check_outcome(y, check_stays("X", X))
        return mean_log_likelihood(X.outcome, self.predict_proba(X))

    @property
    def score_columns_(self) -> list[str]:
        """A column for each outcome."""
        return [f"risk_{label}" for label in self.labels_]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Probabilities of each stay; see `predict_proba`."""
        return self.predict_proba(stays)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the trees of each outcome, or its frequency."""
        arrays: dict[str, np.ndarray] = {}
        for number, trees in enumerate(self.trees_):
            learned = {"frequency": np.array([trees])} if isinstance(trees, float) else trees.to_arrays()
            arrays |= with_prefix(f"label_{number}", learned)
        return arrays

    def restore_arrays(self, arrays: Arrays) -> None:
        """Take over what `to_arrays` gave."""
        parts = [by_prefix(f"label_{number}", arrays) for number in range(len(self.labels_))]
        self.trees_ = [
            float(part["frequency"][0]) if "frequency" in part else BoostedTrees.from_arrays(part) for part in parts
        ]


class MedianTrees(RegressorMixin, BaselineEstimator):
    """Boosted trees for a regression task, with the absolute error as loss, so that they predict the median.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None, default=0
        Seed of the trees.

    Examples
    --------
    >>> MedianTrees(random_state=1).random_state
    1
    """

    TASK_TYPES = ("regression",)
    trees_: BoostedTrees

    def __init__(self, *, random_state: RandomState = 0) -> None:
        self.random_state = random_state

    def _learn(self, stays: Sequences) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        refuse_unknown(stays.outcome, "training stays")
        trees = HistGradientBoostingRegressor(loss="absolute_error", random_state=self.random_state, **TREES)
        outcome = pooled_values(stays.outcome, stays.patient, n_groups=256)
        outcome = stays.outcome if np.isnan(outcome).any() else outcome
        self.trees_ = BoostedTrees.fit(trees, pooled_features(stays), outcome)

    def predict(self, X: Sequences) -> np.ndarray:
        """The predicted median of each stay.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        ndarray, shape (stay,)
            In the unit of the outcome.
        """
        return self.trees_.predict(features(self._checked(X)))

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """R², as scikit-learn's regressors define it.

        Parameters
        ----------
        X : Sequences
            Stays with outcomes.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.
        sample_weight : array-like of shape (n_stays,) or None
            Weight of each stay.

        Returns
        -------
        float
            1 is perfect, 0 is as good as the mean of these stays, below 0 is worse.
        """
        check_outcome(y, check_stays("X", X))
        return float(RegressorMixin.score(self, X, X.outcome, sample_weight))

    @property
    def score_columns_(self) -> list[str]:
        """One column: the median."""
        return ["median"]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """The median of each stay, of shape (stay, 1)."""
        return self.predict(stays)[:, None]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the trees."""
        return with_prefix("trees", self.trees_.to_arrays())

    def restore_arrays(self, arrays: Arrays) -> None:
        """Take over what `to_arrays` gave."""
        self.trees_ = BoostedTrees.from_arrays(by_prefix("trees", arrays))
