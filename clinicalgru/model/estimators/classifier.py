"""Estimators with scikit-learn's manners: `__init__` stores, `fit` learns, what is learned ends in an underscore."""

from __future__ import annotations

import warnings
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import LabelCalibrator, TemperatureCalibrator
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.fit_state import check_outcome, check_stays
from clinicalgru.model.heads.classification import Binary, MultiClass, MultiLabel
from clinicalgru.model.heads.regression import Regression


class GRUClassifier(ClassifierMixin, GRUEstimator):
    """Risk of an outcome, or the probability of each of several classes, from irregular, incomplete sequences.

    For tasks of kind "binary" and "multiclass". Arguments and what is learned: see `GRUEstimator`.

    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> from clinicalgru.data.task.select import select, split_patients
    >>> from clinicalgru.data.task.task import Task
    >>> cohort = simulate(300, random_state=1)
    >>> events = read_events(cohort.measurements, stays=cohort.stays, outcomes=cohort.outcomes)
    >>> train, test = split_patients(select(events, Task.load("in_hospital_mortality")), [0.7, 0.3], random_state=0)
    >>> model = GRUClassifier(max_epochs=2, distillation=0.0).fit(train, verbose=False)
    >>> model.predict_proba(test).shape == (len(test), 2)
    True
    """

    HEADS = MappingProxyType({"binary": Binary, "multiclass": MultiClass})
    head_: Binary | MultiClass

    @property
    def classes_(self) -> np.ndarray:
        """(class,) the values of the outcome, in the order of `predict_proba`."""
        return np.array([0, 1]) if isinstance(self.head_, Binary) else np.array(self.head_.classes)

    def calibrate(self, stays: Sequences) -> Self:
        """Fit the calibration on stays that training has not seen; it keeps the order of stays, or of a stay's classes.

        Of a risk a line on its log-odds (Platt 1999), of several classes one temperature (Guo et al. 2017).
        """
        risk = self._predicted(stays).numpy()
        self.head_.validate_targets(stays, "stays to calibrate on")
        if isinstance(self.head_, MultiClass):
            self.calibrator_ = TemperatureCalibrator.fit(np.searchsorted(self.head_.classes, stays.outcome), risk)
        else:
            self.calibrator_ = PlattCalibrator.fit(stays.outcome, risk)
        return self

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """(stay, class) probability of each class, in the order of the stays: of no and of the outcome where it is
        binary.

        Refused: other variables or units than the model's, a stay without any measurement (score gives such a stay a
        status; `sequences[sequences.n_measurements > 0]` leaves it out).
        """
        risk = self._calibrated(self._predicted(stays).numpy())
        return risk if risk.ndim > 1 else np.stack([1 - risk, risk], axis=1)

    def predict(self, stays: Sequences) -> np.ndarray:
        """(stay,) the likeliest class; 1 where the outcome is as likely as not."""
        probability = self.predict_proba(stays)
        if isinstance(self.head_, Binary):
            return (probability[:, 1] >= 0.5).astype(int)
        return self.classes_[np.argmax(probability, axis=1)]

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy, as scikit-learn's classifiers define it.

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
            Fraction of stays whose likeliest class is the observed one.
        """
        check_outcome(y, check_stays("X", X))
        return float(ClassifierMixin.score(self, X, X.outcome, sample_weight))

    @property
    def score_columns_(self) -> list[str]:
        """The columns that `score` writes of each stay: its risk, or one for each class."""
        return ["risk"] if isinstance(self.head_, Binary) else [f"risk_{value:g}" for value in self.head_.classes]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """(stay, column) what `score` writes of each stay."""
        return self.predict_proba(stays)[:, -len(self.score_columns_) :]


class GRUMultiLabel(ClassifierMixin, GRUEstimator):
    """Risks of several outcomes at once, each by itself; where one is not known, the others still teach.

    For tasks of kind "multilabel". Arguments and what is learned: see `GRUEstimator`.

    >>> GRUMultiLabel(max_epochs=8).max_epochs
    8
    """

    HEADS = MappingProxyType({"multilabel": MultiLabel})
    head_: MultiLabel

    @property
    def labels_(self) -> tuple[str, ...]:
        """Names of the outcomes, in the order of `predict_proba`."""
        return self.head_.label_names

    def calibrate(self, stays: Sequences) -> Self:
        """Fit a calibration of each outcome (Platt 1999, keeps the order) on stays that training has not seen.

        An outcome that these stays cannot calibrate, such as one that never came, stays as it is, with a warning.
        """
        self.head_.validate_targets(stays, "stays to calibrate on")
        self.calibrator_ = fitted = LabelCalibrator.fit(stays.outcome, self._predicted(stays).numpy())
        left = [label for label, part in zip(self.labels_, fitted.parts, strict=True) if part is None]
        if left:
            warnings.warn(f"Not calibrated, too little to learn it from: {', '.join(left)}.", stacklevel=2)
        return self

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """(stay, outcome) probability of each outcome. Refused: as of `GRUClassifier`."""
        return self._calibrated(self._predicted(stays).numpy())

    def predict(self, stays: Sequences) -> np.ndarray:
        """(stay, outcome) 1 where it is as likely as not."""
        return (self.predict_proba(stays) >= 0.5).astype(int)

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy over all known labels.

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
            Fraction of known labels that are predicted right.
        """
        check_outcome(y, check_stays("X", X))
        known = ~np.isnan(X.outcome)
        weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        right = (self.predict(X) == X.outcome)[known]
        return float(np.average(right, weights=np.broadcast_to(weight[:, None], known.shape)[known]))

    @property
    def score_columns_(self) -> list[str]:
        """The columns that `score` writes of each stay: a risk for each outcome."""
        return [f"risk_{label}" for label in self.labels_]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """(stay, outcome) what `score` writes of each stay."""
        return self.predict_proba(stays)


class GRURegressor(RegressorMixin, GRUEstimator):
    """A number, such as the length of the stay, with the interval it will lie in.

    For tasks of kind "regression". Arguments and what is learned: see `GRUEstimator`; also learned: coverage_ and
    reach_ of its intervals (by `calibrate`). The network gives a probability to each of 20 bins of the training
    outcomes; mean, median and intervals are those of that distribution, and reach no further than training saw.

    >>> GRURegressor(max_epochs=8).max_epochs
    8
    """

    HEADS = MappingProxyType({"regression": Regression})
    EXTRA_STATE = ("coverage_", "reach_")
    head_: Regression
    coverage_: float = 0.9
    reach_: float = 0.45

    def predict(self, stays: Sequences) -> np.ndarray:
        """(stay,) mean, in the unit of the outcome. Refused: as of `GRUClassifier`."""
        return self.head_.mean(self._predicted(stays).numpy())

    def predict_quantiles(self, stays: Sequences, levels: tuple[float, ...]) -> np.ndarray:
        """(stay, level) the outcome that is not exceeded with each of these probabilities, ascending.

        Refused: levels outside of 0 to 1.
        """
        if not all(0 < level < 1 for level in levels):
            raise ArgumentError("levels between 0 and 1", f"{list(levels)}", "Pass (0.05, 0.5, 0.95).")
        return self.head_.quantiles(self._predicted(stays).numpy(), np.asarray(levels, dtype=float))

    def calibrate(self, stays: Sequences, *, coverage: float = 0.9) -> Self:
        """Widen or narrow the interval so that it holds this part of stays like these, which training has not seen.

        Refused: a coverage outside of 0 to 1, unknown outcomes. Source: split conformal prediction, Vovk et al. 2005,
        on the probability between the outcome and the median (Chernozhukov et al. 2021).
        """
        if not 0 < coverage < 1:
            raise ArgumentError("a coverage between 0 and 1", f"{coverage}", "Pass 0.9.")
        self.head_.validate_targets(stays, "stays to calibrate on")
        away = np.sort(np.abs(self.head_.below(self._predicted(stays).numpy(), stays.outcome) - 0.5))
        rank = int(np.ceil((len(away) + 1) * coverage))
        self.coverage_, self.reach_ = coverage, float(away[rank - 1]) if rank <= len(away) else 0.5
        return self

    def predict_interval(self, stays: Sequences) -> np.ndarray:
        """(stay, 2) lowest and highest outcome of the interval: of the coverage of `calibrate`, 0.9 before it."""
        return self.head_.quantiles(self._predicted(stays).numpy(), np.array([0.5 - self.reach_, 0.5 + self.reach_]))

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
            1 is perfect, 0 as good as the mean outcome of `X`.
        """
        check_outcome(y, check_stays("X", X))
        return float(RegressorMixin.score(self, X, X.outcome, sample_weight))

    @property
    def score_columns_(self) -> list[str]:
        """The columns that `score` writes of each stay; low to high is the interval."""
        return ["mean", "low", "median", "high"]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """(stay, column) what `score` writes of each stay."""
        probability = self._predicted(stays).numpy()
        quantiles = self.head_.quantiles(probability, np.array([0.5 - self.reach_, 0.5, 0.5 + self.reach_]))
        return np.column_stack([self.head_.mean(probability), quantiles])
