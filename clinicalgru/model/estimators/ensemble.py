"""A cross-fitted ensemble: a network for each fold of the patients, and a prediction of each stay by one new to it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, CalibrationWarning, TrainingError
from clinicalgru.evaluate.calibrators import Calibrator
from clinicalgru.evaluate.risk_groups import RiskGroups
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.classifier import GRUClassifier
from clinicalgru.model.estimators.cross_fitted import CrossFittedModel
from clinicalgru.model.estimators.pooled import PooledForecaster, PooledModel, pooled_model
from clinicalgru.model.estimators.training_summary import calibration_counts, training_summary
from clinicalgru.model.features.hourly import best_hourly_threshold
from clinicalgru.model.fit_state import draw_seed
from clinicalgru.model.heads.forecast import Forecast
from clinicalgru.model.heads.head import Head
from clinicalgru.model.prediction_sets import Sets
from clinicalgru.model.reference_stays import ReferenceStays, sample_stays
from clinicalgru.model.training.folds import patient_folds, step_positions
from clinicalgru.model.training.progress import Callback

METHODS = frozenset(
    (
        "predict_proba",
        "predict_hourly",
        "predict_quantiles",
        "predict_interval",
        "predict_survival",
        "predict_risk",
        "expected",
        "anomaly_scores",
        "answers_at_any_hour_",
        "classes_",
        "labels_",
        "interval_scale_",
    )
)  # of some kinds of members only


class GRUEnsemble(ReferenceStays, CrossFittedModel):
    """Cross-fitted ensemble: one network for each fold of the patients, calibrated on out-of-fold predictions.

    For tasks of all types. An ensemble has the methods of its members: `predict_proba` of classifiers,
    `predict_quantiles` and `predict_interval` of regressors, `predict_survival` and `predict_risk` of survival models,
    `predict_hourly` of early warnings, `expected` and `anomaly_scores` of forecasters.

    Parameters
    ----------
    estimator : GRU estimator or None, default=None
        How each network is trained; it must be for the type of the task. None: a `GRUClassifier` with its defaults.
    n_members : int, default=5
        Number of networks, and of folds; 2 or more.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the folds. Network k has the seed of `estimator` plus k.

    Attributes
    ----------
    members_ : list of GRU estimators
        The fitted networks. Each was trained on all folds but one, which served as its validation set.
    fold_ : ndarray of int, shape (stay,)
        Fold of each training stay.
    out_of_fold_ : ndarray, shape (stay, column), (step, 2) or (measurement, 1)
        Calibrated predictions for the training stays, each by the network that did not see the patient:
        probabilities of classes or labels; risks by horizon; mean, low, median and high of a number; anomaly scores.
    head_ : Head
        How the predictions of the members are pooled.
    calibrator_ : Calibrator or None
        Fitted on the out-of-fold predictions; None if they could not be calibrated, or there are no probabilities.
    calibrated_on_ : dict or None
        Counts of stays, patients and outcomes with out-of-fold predictions that calibrated it.
    prediction_sets_ : ConformalSets, ClassConformalSets, LabelConformalSets or None
        Of an outcome, of classes or labels: cross-conformal sets from the out-of-fold predictions, see
        `GRUClassifier.calibrate`.
    coverage_, half_width_ : float
        Of a regression: the prediction interval, see `GRURegressor`.
    threshold_ : float
        Of an early warning: the threshold with the highest utility of the out-of-fold risks.

    Notes
    -----
    Risks and probabilities of classes are the means of the members' log-odds. A number has the mixture of the members'
    distributions, and thus the mean of their means; survival is the mean of their survival curves. A forecast is one
    Laplace: the mean of the members' medians in normal scores, and the mean distance of their mixture from it.

    Each kind is calibrated as its members would be, on the predictions by the members that did not see the patient:
    probabilities by their calibrators, intervals by cross-conformal prediction. Early stopping used the same fold, so
    out-of-fold scores are slightly optimistic. The members' calibration is slightly over-confident for their mean;
    intervals of a mixture are slightly too wide.

    References
    ----------
    Wolpert 1992, stacked generalization (cross-fitting). Lakshminarayanan et al. 2017, deep ensembles. Genest and
    Zidek 1986; Gneiting and Ranjan 2013, pools of predictive distributions. Vovk 2015, cross-conformal predictors.

    Examples
    --------
    >>> from clinicalgru import GRUEnsemble, GRUSurvival
    >>> GRUEnsemble(GRUSurvival(), n_members=3).n_members
    3
    """

    EXTRA_STATE = ("threshold_", "coverage_", "half_width_")
    members_: list[GRUEstimator]
    calibrator_: Calibrator | None
    calibrated_on_: dict[str, int | None] | None = None
    risk_groups_: Mapping[str, RiskGroups] = MappingProxyType({})
    prediction_sets_: Sets | None = None
    head_: Head

    def __init__(
        self,
        estimator: GRUEstimator | None = None,
        *,
        n_members: int = 5,
        random_state: int | np.random.RandomState | np.random.Generator | None = 0,
    ) -> None:
        self.estimator = estimator
        self.n_members = n_members
        self.random_state = random_state

    def __getattr__(self, name: str) -> Any:  # only for attributes that are not there
        if name in METHODS:
            if not hasattr(type(self._start()), name):
                raise AttributeError(
                    f"An ensemble of {type(self._start()).__name__} has no {name}.", name=name, obj=self
                )
            return getattr(self._pooled(), name)
        return super().__getattr__(name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in METHODS if hasattr(type(self._start()), name))]

    def __sklearn_tags__(self) -> Any:
        tags, of_member = super().__sklearn_tags__(), self._start().__sklearn_tags__()
        for name in ("estimator_type", "classifier_tags", "regressor_tags", "target_tags"):
            setattr(tags, name, getattr(of_member, name))
        return tags

    @property
    def evaluated_as(self) -> str | None:  # type: ignore[override]
        """Type of task that `clinicalgru.evaluate` evaluates the model as, if it is not that of the stays."""
        return self._start().evaluated_as

    def _check_arguments(self, stays: Sequences) -> None:
        check_instance(
            "estimator", self.estimator, GRUEstimator, type(None), fix="Pass GRUClassifier() or another one."
        )
        check_number("n_members", self.n_members, minimum=2, whole=True)
        start = self._start()
        if stays.task.task_type not in start.HEADS:
            expected = f"a task of the kind {' or '.join(start.HEADS)} for {type(start).__name__}"
            raise TrainingError(expected, stays.task.task_type, "Pass the estimator of that kind of task.")

    def _learn(
        self, stays: Sequences, *, auxiliary: pd.DataFrame | None, verbose: bool, callbacks: Sequence[Callback]
    ) -> None:
        start, self.random_state_ = self._start(), draw_seed(self.random_state)
        strata = start.HEADS[stays.task.task_type].strata(stays)
        fold = patient_folds(stays.patient, strata, n_folds=self.n_members, random_state=self.random_state_)
        seed = draw_seed(start.random_state)
        members = [clone(start).set_params(random_state=seed + number) for number in range(self.n_members)]
        self.fold_, self.members_ = fold, members
        for number, one in enumerate(members):
            parts = stays[fold != number], stays[fold == number]
            one.fit(parts[0], validation=parts[1], auxiliary=auxiliary, verbose=verbose, callbacks=callbacks)
        self.variables_: tuple[Variable, ...] = stays.variables
        self.static_variables_: tuple[Variable, ...] = stays.static_variables
        self.task_, self.trained_on_, self.calibrated_on_ = stays.task, training_summary(stays, start.pretrained), None
        self.reference_stays_ = sample_stays(stays)
        self._calibrate(stays)
        self.out_of_fold_ = self._out_of_fold(stays)
        if start.calibration_unit == "step":
            self.threshold_ = best_hourly_threshold(stays, self.out_of_fold_[:, 1])

    def _calibrate(self, stays: Sequences) -> None:
        """Calibrate the pool on the predictions of each member for the fold that it did not see."""
        pooled = pooled_model(self.members_, {})
        scores = [one._calibration_scores(held) for one, held in self._by_fold(stays, {"head_": pooled.head_})]
        try:
            joined = tuple(self._joined(stays, arrays) for arrays in zip(*scores, strict=True))
            pooled._calibrate_on(joined)
        except ArgumentError as error:
            warnings.warn(f"{error} The ensemble is not calibrated.", CalibrationWarning, stacklevel=5)
        else:
            self.calibrated_on_, self.risk_groups_ = calibration_counts(stays), pooled._group_risks(stays, joined)
            self.prediction_sets_ = pooled._conformal_sets(stays, joined)
        self.head_, self.calibrator_ = pooled.head_, pooled.calibrator_
        for name in set(self.EXTRA_STATE) & set(vars(pooled)):
            setattr(self, name, getattr(pooled, name))

    def _out_of_fold(self, stays: Sequences) -> np.ndarray:
        """Give the calibrated prediction of each member for the fold that it did not see."""
        return self._joined(stays, [one.out_of_fold(held) for one, held in self._by_fold(stays, self._state())])

    def _by_fold(self, stays: Sequences, state: Mapping[str, Any]) -> Iterator[tuple[PooledModel, Sequences]]:
        """Yield each member, calibrated as the pool with this state is, and the stays of its fold."""
        for number, member in enumerate(self.members_):
            shared = isinstance(member.head_, Forecast)  # forecasts of all members are made in the same normal scores
            yield (
                pooled_model([member], state if shared else {**state, "head_": member.head_}),
                stays[self.fold_ == number],
            )

    def _joined(self, stays: Sequences, folds: Sequence[np.ndarray]) -> np.ndarray:
        """Give arrays with rows for each stay, time step or measurement of a fold in the order of all stays."""
        unit, order = self._start().calibration_unit, np.argsort(self.fold_, kind="stable")
        if unit == "step":
            order = step_positions(stays.n_steps, order)
        elif unit == "measurement":
            order = concat_ranges(stays.starts, order)[0]
        joined = np.concatenate(folds)
        result = np.empty_like(joined)
        result[order] = joined
        return result

    def predict(self, stays: Sequences, *, coverage: float | None = None) -> Any:
        """Predict as the members do: classes, labels, the mean of a number, warnings, or a forecast.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the training stays, and at least one measurement each.
        coverage : float or None
            Of a forecast: coverage of its intervals. None: 0.9.

        Returns
        -------
        ndarray or DataFrame
            As of `predict` of the members' class.

        Raises
        ------
        ArgumentError
            For a coverage of something else than a forecast.
        """
        pooled = self._pooled()
        if coverage is None:
            return pooled.predict(stays)
        if not isinstance(pooled, PooledForecaster):
            raise ArgumentError("no coverage for a model that does not forecast", f"{coverage!r}", "Leave it out.")
        return pooled.predict(stays, coverage=coverage)

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
        return self._pooled().has_observations(stays)

    @property
    def score_columns_(self) -> list[str]:
        """Columns that `clinicalgru.score` writes of each stay; see the class of the members."""
        return self._pooled().score_columns_

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Give what `clinicalgru.score` writes of each stay.

        Parameters
        ----------
        stays : Sequences
            As for `predict`.

        Returns
        -------
        ndarray, shape (stay, column)
            One column for each of `score_columns_`.
        """
        return self._pooled().score_rows(stays)

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy of classes and labels, R² of a number, else the mean log-likelihood; higher is better.

        Parameters
        ----------
        X : Sequences
            Stays with outcomes.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.
        sample_weight : array-like of shape (n_stays,) or None
            Weight of each stay, for accuracy and R².

        Returns
        -------
        float
            At most 1, or a log-likelihood: of time steps, of survival outcomes, or of measurements in normal scores.
        """
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self._pooled().score(X, y, **weights)

    @property
    def history_(self) -> list[dict[str, float]]:
        """One entry for each epoch of each member."""
        return [{"member": n} | entry for n, one in enumerate(self.members_) for entry in one.history_]

    def _start(self) -> GRUEstimator:
        """Give the estimator that is trained for each fold."""
        return self.estimator if self.estimator is not None else GRUClassifier()

    def _state(self) -> dict[str, Any]:
        """Give what was learned of the pool."""
        names = ("head_", "calibrator_", *self.EXTRA_STATE)
        return {name: vars(self)[name] for name in names if name in vars(self)}

    def _pooled(self) -> PooledModel:
        """Give the members as one model of their kind."""
        return pooled_model(self.members_, self._state())
