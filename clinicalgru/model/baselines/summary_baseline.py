"""SummaryBaseline: logistic regression or boosted trees on summaries of each variable."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin

from clinicalgru.checks import check_choice
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, TrainingError
from clinicalgru.model.baselines.base import Arrays, BaselineEstimator, by_prefix, with_prefix
from clinicalgru.model.baselines.boosted_trees import BoostedTrees
from clinicalgru.model.baselines.logistic_model import LogisticModel
from clinicalgru.model.features.clinical_indices import indices_of
from clinicalgru.model.features.pooled_values import pooled_table
from clinicalgru.model.features.summaries import summarise
from clinicalgru.model.fit_state import RandomState, check_outcome, check_stays
from clinicalgru.model.targets.warning_labels import refuse_unknown

BASELINES = ("logistic regression", "boosted trees")
INVERSE_PENALTY = 0.003  # of the logistic regression
TREES: Mapping[str, Any] = MappingProxyType(
    {
        "learning_rate": 0.03,
        "max_iter": 300,
        "max_leaf_nodes": 15,
        "min_samples_leaf": 30,
        "l2_regularization": 5.0,
        "max_features": 0.1,
        "early_stopping": False,
    }
)


class SummaryBaseline(ClassifierMixin, BaselineEstimator):
    """Binary classifier on summaries of each variable, clinical indices and static covariates.

    Parameters
    ----------
    method : {"logistic regression", "boosted trees"}, default="boosted trees"
        Logistic regression: median imputation, missingness indicators, standardisation, L2 penalty. Boosted trees:
        scikit-learn's `HistGradientBoostingClassifier`, which handles missing values.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the trees.

    Attributes
    ----------
    classifier_ : LogisticModel or BoostedTrees
        The fitted model.

    Notes
    -----
    The settings of the trees were best in cross-validation within set a of PhysioNet 2012.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> cohort = cg.simulate(60, random_state=1)
    >>> stays = cg.select(cg.read_events(cohort), cg.Task.load("in_hospital_mortality"))
    >>> model = cg.SummaryBaseline("logistic regression").fit(stays)
    >>> model.predict_proba(stays).shape == (len(stays), 2)
    True
    """

    TASK_TYPES = ("binary",)
    classifier_: LogisticModel | BoostedTrees

    def __init__(self, method: str = "boosted trees", *, random_state: RandomState = 0) -> None:
        self.method = method
        self.random_state = random_state

    def _learn(self, stays: Sequences) -> None:
        check_choice("method", self.method, BASELINES)
        refuse_unknown(stays.outcome, "training stays")
        if len(np.unique(stays.outcome)) < 2:
            fix = "Check the column of the outcome, and the task; else take more stays, or split otherwise."
            raise TrainingError("both outcomes among the training stays", "one outcome only", fix)
        table, outcome = pooled_features(stays), stays.outcome.astype(int)
        if self.method == BASELINES[0]:
            infinite = int(np.isinf(table).any(axis=1).sum())
            if infinite:
                fix = "Check the plausible ranges of the variables."
                raise ArgumentError("finite values", f"{infinite} stays with an infinite one", fix)
            self.classifier_ = LogisticModel.fit(table, outcome, inverse_penalty=INVERSE_PENALTY)
        else:
            self.classifier_ = BoostedTrees.fit(boosted_trees(self.random_state), table, outcome)

    def _calibration_pairs(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        return stays.outcome, self.predict_proba(stays)[:, 1]

    @property
    def classes_(self) -> np.ndarray:
        """Values of the outcome.

        Returns
        -------
        ndarray, shape (2,)
            0 and 1.
        """
        return np.array([0, 1])

    def predict_proba(self, X: Sequences) -> np.ndarray:
        """Probability of each class.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        ndarray, shape (stay, 2)
            Probability of no event and of the event.

        Raises
        ------
        VariableMismatch
            If the variables or units are not those of the model.
        """
        classifier = self.classifier_
        risk = self._calibrated(classifier.predict_proba(features(self._checked(X)))[:, 1])
        return np.stack([1 - risk, risk], axis=1)

    def predict(self, X: Sequences) -> np.ndarray:
        """The more likely class.

        Parameters
        ----------
        X : Sequences
            Stays with the variables of the model.

        Returns
        -------
        ndarray of int, shape (stay,)
            1 where the risk is at least 0.5.
        """
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(int)

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

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """The risk of each stay.

        Parameters
        ----------
        stays : Sequences
            Stays with measurements.

        Returns
        -------
        ndarray, shape (stay, 1)
            Probability of the event.
        """
        return self.predict_proba(stays)[:, 1:]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the classifier.

        Returns
        -------
        dict of str to ndarray
            Arrays by name.
        """
        return with_prefix("classifier", self.classifier_.to_arrays())

    def restore_arrays(self, arrays: Arrays) -> None:
        """Take over the arrays of a classifier.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            As `to_arrays` gives them.
        """
        kind = LogisticModel if self.method == BASELINES[0] else BoostedTrees
        self.classifier_ = kind.from_arrays(by_prefix("classifier", arrays))


def features(stays: Sequences, *, indices: bool = True) -> np.ndarray:
    """Features of each stay: summaries, clinical indices and static covariates.

    Parameters
    ----------
    stays : Sequences
        Any stays.
    indices : bool
        Whether clinical indices are included.

    Returns
    -------
    ndarray of float32, shape (stay, feature)
        NaN where unknown. A categorical covariate has one column for each category.
    """
    columns = [summarise(stays, indices=indices_of(stays) if indices else ())]
    for i, variable in enumerate(stays.static_variables):
        column = stays.static[:, i : i + 1]
        categories = np.arange(len(variable.categories))
        columns.append(np.where(np.isnan(column), np.nan, column == categories) if variable.categories else column)
    return np.concatenate(columns, axis=1, dtype=np.float32)


def pooled_features(stays: Sequences) -> np.ndarray:
    """Features of training stays, each value pooled with its neighbours: thresholds then are of 11 patients or more.

    Parameters
    ----------
    stays : Sequences
        Training stays.

    Returns
    -------
    ndarray of float32, shape (stay, feature)
        As `features`; a feature that fewer than 11 patients have is unknown.
    """
    return pooled_table(features(stays), stays.patient)


def boosted_trees(random_state: Any) -> Any:
    """An unfitted classifier with the settings `TREES`.

    Parameters
    ----------
    random_state : int or None
        Seed.

    Returns
    -------
    HistGradientBoostingClassifier
        The classifier.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=random_state, **TREES)
