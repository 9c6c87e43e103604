"""Estimators of the probability of an outcome, of several classes (GRUClassifier) or labels (GRUMultiLabel)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, CalibrationWarning
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import LabelCalibrator
from clinicalgru.evaluate.hour_calibrator import HourCalibrator, check_by_hour
from clinicalgru.evaluate.shrinkage import LEVEL_SCALE, MIN_EVENTS
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.fitted_model import HeldOut
from clinicalgru.model.estimators.training_summary import TRAINING_FOLDS, calibration_counts
from clinicalgru.model.fit_state import check_outcome, check_stays
from clinicalgru.model.heads.classification import Binary, MultiClass, MultiLabel
from clinicalgru.model.training.cuts import N_CUTS, cut_hours

OWN_LEVEL_SCALE = 0.05  # prior on the level in fit: the network knows it from more events than were held out


class GRUClassifier(ClassifierMixin, GRUEstimator):
    """Probability of a binary outcome, or of each of several classes, from irregular, incomplete sequences.

    For tasks of type "binary" and "multiclass". Parameters and attributes: see `GRUEstimator`.

    Examples
    --------
    >>> from clinicalgru import GRUClassifier, NetworkConfig, Task, read_events, select, simulate, split_patients
    >>> stays = select(read_events(simulate(200, random_state=1)), Task.load("in_hospital_mortality"))
    >>> train, test = split_patients(stays, [0.7, 0.3], random_state=0)
    >>> model = GRUClassifier(NetworkConfig(hidden_size=8), max_epochs=1, distillation=0.0)
    >>> model.fit(train, verbose=False).predict_proba(test).shape == (len(test), 2)
    True
    """

    HEADS = MappingProxyType({"binary": Binary, "multiclass": MultiClass})
    head_: Binary | MultiClass

    @property
    def answers_at_any_hour_(self) -> bool:
        """Whether it learned from stays that were cut at random hours too (`n_cuts`)."""
        return all(bool(one.network_.spec.window_hours) for one in getattr(self, "members", (self,)))

    @property
    def classes_(self) -> np.ndarray:
        """(class,) Values of the outcome, in the order of `predict_proba`."""
        return np.array([0, 1]) if isinstance(self.head_, Binary) else np.array(self.head_.classes)

    def _calibration_scores(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        """Give labels and risks; of a network that answers at any hour also risks and hours of cuts, and patients."""
        scores = super()._calibration_scores(stays)
        if not (isinstance(self.head_, Binary) and self.answers_at_any_hour_):
            return scores
        hours = cut_hours(stays)
        cut = stays[np.repeat(np.arange(len(stays)), N_CUTS)].truncate_at(hours.ravel())
        risk, seen = np.full(len(cut), np.nan), self.has_observations(cut)
        if seen.any():
            risk[seen] = self._predicted(cut[seen]).numpy()
        return (*scores, risk.reshape(hours.shape), hours, np.asarray(stays.patient).astype(str))

    def _calibrate_in_fit(self, stays: Sequences, held_out: Sequence[HeldOut]) -> None:
        """Calibrate on the predictions of each network for stays that it did not learn from, unless events are few."""
        parts = []
        for network, held in held_out:
            member = copy(self)
            member.network_ = network
            parts.append(member._calibration_scores(held[member.has_observations(held)]))
        scores = tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        others = len(scores[0]) - np.unique(scores[0], return_counts=True)[1].max(initial=0)
        if others < MIN_EVENTS:  # outside the most frequent class
            return
        own_level = {"level_scale": OWN_LEVEL_SCALE} if isinstance(self.head_, Binary) else {}
        try:
            self.calibrator_ = self.head_.calibrator_class.fit(*scores[:2], **own_level)
        except ArgumentError as error:
            warnings.warn(f"{error} The model is not calibrated.", CalibrationWarning, stacklevel=3)
            return
        self._calibrate_hours(scores, level_scale=OWN_LEVEL_SCALE)
        self.calibrated_on_ = calibration_counts(stays) | {TRAINING_FOLDS: len(held_out)}

    def _calibrate_on(self, scores: tuple[np.ndarray, ...]) -> None:
        """Calibrate at the end of the window, then over its hours."""
        super()._calibrate_on(scores[:2])
        self._calibrate_hours(scores, level_scale=LEVEL_SCALE)

    def _calibrate_hours(self, scores: tuple[np.ndarray, ...], *, level_scale: float) -> None:
        """Extend the calibration at the end of the window to its hours, where scores are of more hours."""
        if len(scores) > 2 and isinstance(end := self.calibrator_, PlattCalibrator):
            window = self.task_.window_hours
            fitted = HourCalibrator.fit_by_hour(end, *scores[:-1], window=window)
            checks = check_by_hour(*scores, window=window, level_scale=level_scale)
            self.calibrator_ = replace(fitted, checks=checks)

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """Predict the probability of each class.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the training stays, and at least one measurement each.

        Returns
        -------
        ndarray, shape (stay, class)
            In the order of `classes_`; for a binary outcome the second column is the risk.

        Raises
        ------
        VariableMismatch
            If variables, units or static covariates differ from the training stays.
        ArgumentError
            If a stay has no measurement: leave it out with `sequences[model.has_observations(sequences)]`.
        """
        risk = self._calibrated(self._predicted(stays).numpy(), stays.end_hours)
        return risk if risk.ndim > 1 else np.stack([1 - risk, risk], axis=1)

    def predict(self, stays: Sequences) -> np.ndarray:
        """Predict the most probable class; of a binary outcome 1 from a risk of 0.5 on.

        Parameters
        ----------
        stays : Sequences
            As for `predict_proba`.

        Returns
        -------
        ndarray, shape (stay,)
            Values of `classes_`.
        """
        probability = self.predict_proba(stays)
        if isinstance(self.head_, Binary):
            return (probability[:, 1] >= 0.5).astype(int)
        return self.classes_[np.argmax(probability, axis=1)]

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy, as scikit-learn's classifiers define it; stays may be weighted."""
        check_outcome(y, check_stays("X", X))
        return float(ClassifierMixin.score(self, X, X.outcome, sample_weight))

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Give the risk of each stay, or the probability of each class."""
        return self.predict_proba(stays)[:, -len(self.score_columns_) :]


class GRUMultiLabel(ClassifierMixin, GRUEstimator):
    """Probability of each of several outcomes (multilabel classification); unknown labels are masked from the loss.

    For tasks of type "multilabel". Parameters and attributes: see `GRUEstimator`.

    Examples
    --------
    >>> from clinicalgru import GRUMultiLabel, NetworkConfig
    >>> GRUMultiLabel(NetworkConfig(hidden_size=8), max_epochs=5)
    GRUMultiLabel(max_epochs=5, network=NetworkConfig(hidden_size=8))
    """

    HEADS = MappingProxyType({"multilabel": MultiLabel})
    head_: MultiLabel

    @property
    def labels_(self) -> tuple[str, ...]:
        """Names of the outcomes, in the order of `predict_proba`."""
        return self.head_.label_names

    def _calibrate_on(self, scores: tuple[np.ndarray, ...]) -> None:
        """Calibrate each label; one that these stays cannot calibrate is left as it is, with a warning."""
        super()._calibrate_on(scores)
        parts = self.calibrator_.parts if isinstance(self.calibrator_, LabelCalibrator) else ()
        left = [label for label, part in zip(self.labels_, parts, strict=True) if part is None]
        if left:
            message = f"Not calibrated, too few known outcomes of both kinds: {', '.join(left)}."
            warnings.warn(message, CalibrationWarning, stacklevel=3)

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """Predict the probability of each outcome.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the training stays, and at least one measurement each.

        Returns
        -------
        ndarray, shape (stay, outcome)
            In the order of `labels_`.
        """
        return self._calibrated(self._predicted(stays).numpy())

    def predict(self, stays: Sequences) -> np.ndarray:
        """Predict each outcome: 1 from a probability of 0.5 on.

        Parameters
        ----------
        stays : Sequences
            As for `predict_proba`.

        Returns
        -------
        ndarray of int, shape (stay, outcome)
            0 or 1.
        """
        return (self.predict_proba(stays) >= 0.5).astype(int)

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy over all known labels; stays may be weighted."""
        check_outcome(y, check_stays("X", X))
        known = ~np.isnan(X.outcome)
        weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        right = (self.predict(X) == X.outcome)[known]
        return float(np.average(right, weights=np.broadcast_to(weight[:, None], known.shape)[known]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output, tags.target_tags.single_output = True, False
        tags.classifier_tags.multi_label, tags.classifier_tags.multi_class = True, False
        return tags

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Give the probability of each outcome, in the order of `labels_`."""
        return self.predict_proba(stays)
