"""Pooled models: the networks of an ensemble as one model of their kind, with its methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.baselines.base import mean_log_likelihood
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.classifier import GRUClassifier, GRUMultiLabel
from clinicalgru.model.estimators.early_warning import GRUEarlyWarning
from clinicalgru.model.estimators.forecaster import GRUForecaster
from clinicalgru.model.estimators.regressor import GRURegressor
from clinicalgru.model.estimators.survival import GRUSurvival
from clinicalgru.model.fit_state import check_outcome, check_stays


class PooledModel(GRUEstimator):
    """Several fitted networks that predict together; calibrated, scored and evaluated as one model of their kind.

    It is made by `pooled_model` and never fitted. How predictions are pooled: see `Pooling`.

    Attributes
    ----------
    members : tuple of GRUEstimator
        The fitted networks, of one class. Their own calibration is not used.
    """

    members: tuple[GRUEstimator, ...] = ()

    def _predicted(self, stays: Sequences) -> torch.Tensor:
        predictions = [member._predicted(stays).numpy() for member in self.members]
        return torch.from_numpy(predictions[0] if len(predictions) == 1 else self.head_.pool(predictions))

    def has_observations(self, stays: Sequences) -> np.ndarray:
        """Give whether all members see anything of each stay: a measurement, or a coded event that they know."""
        return np.all([member.has_observations(stays) for member in self.members], axis=0)

    def out_of_fold(self, stays: Sequences) -> np.ndarray:
        """Give what an ensemble keeps of the stays that its members have not seen.

        Parameters
        ----------
        stays : Sequences
            Stays.

        Returns
        -------
        ndarray, shape (row, column)
            Calibrated predictions, a row for each stay, time step or measurement.
        """
        return self.score_rows(stays)


class PooledClassifier(PooledModel, GRUClassifier):
    """`GRUClassifier` networks that predict together."""

    def out_of_fold(self, stays: Sequences) -> np.ndarray:
        """Give the probabilities of all classes."""
        return self.predict_proba(stays)


class PooledMultiLabel(PooledModel, GRUMultiLabel):
    """`GRUMultiLabel` networks that predict together."""


class PooledRegressor(PooledModel, GRURegressor):
    """`GRURegressor` networks that predict together."""


class PooledEarlyWarning(PooledModel, GRUEarlyWarning):
    """`GRUEarlyWarning` networks that predict together."""

    def out_of_fold(self, stays: Sequences) -> np.ndarray:
        """Give both probabilities after each time step."""
        return self.predict_proba(stays)

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: None = None) -> float:
        """Mean log-likelihood of the labels of the time steps, each with the same weight, after calibration."""
        check_outcome(y, check_stays("X", X))
        return mean_log_likelihood(self.head_.step_labels(X), self.predict_proba(X)[:, 1])


class PooledSurvival(PooledModel, GRUSurvival):
    """`GRUSurvival` networks that predict together."""

    def score(self, X: Sequences, y: ArrayLike | None = None) -> float:
        """Mean log-likelihood of the outcomes in the intervals of all members, after calibration."""
        check_outcome(y, check_stays("X", X))
        self.head_.validate_targets(X, "stays")
        return self.head_.mean_log_likelihood(self.predict_survival(X, self.head_.cuts), X.outcome)


class PooledForecaster(PooledModel, GRUForecaster):
    """`GRUForecaster` networks that predict together."""

    members: tuple[GRUForecaster, ...] = ()

    def _outputs(self, stays: Sequences) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        outputs, last = list[np.ndarray](), torch.empty(0, dtype=torch.float32)
        for member in self.members:
            change, scale, last = member._outputs(stays)
            own = scale / torch.tensor([*member.interval_scale_.values()], dtype=scale.dtype)
            outputs.append(torch.stack([change, own], dim=1).numpy())
        change, scale = torch.from_numpy(self.head_.pool(outputs)).unbind(dim=1)
        return change, scale, last

    def out_of_fold(self, stays: Sequences) -> np.ndarray:
        """Give the anomaly score of each measurement."""
        return self.anomaly_scores(stays)[:, None]

    def score(self, X: Sequences, y: ArrayLike | None = None) -> float:
        """Mean log-likelihood of the measurements, in normal scores, after calibration; all have the same weight."""
        check_outcome(y, check_stays("X", X))
        median, scale, excess = self._at_previous_step(X)
        return float(-np.nanmean(self._distance(X, median, scale, excess) + np.log(2 * scale)))


POOLED: tuple[tuple[type[GRUEstimator], type[PooledModel]], ...] = (
    (GRUClassifier, PooledClassifier),
    (GRUMultiLabel, PooledMultiLabel),
    (GRURegressor, PooledRegressor),
    (GRUEarlyWarning, PooledEarlyWarning),
    (GRUSurvival, PooledSurvival),
    (GRUForecaster, PooledForecaster),
)


def pooled_model(members: Sequence[GRUEstimator], state: Mapping[str, Any]) -> PooledModel:
    """Give fitted networks as one model of their kind.

    Parameters
    ----------
    members : sequence of GRUEstimator
        Fitted, of one class.
    state : mapping
        Learned attributes of the model, such as `calibrator_`. Without `head_`: the pooled head of the members.

    Returns
    -------
    PooledModel
        With the methods of the class of the members.
    """
    first = members[0]
    model = next(pooled for kind, pooled in POOLED if isinstance(first, kind))()
    model.members, model.n_threads = tuple(members), first.n_threads
    model.variables_, model.static_variables_, model.task_ = first.variables_, first.static_variables_, first.task_
    model.calibrator_ = None
    for name, value in state.items():
        setattr(model, name, value)
    if "head_" not in state:
        heads = [member.head_ for member in members]
        model.head_ = heads[0] if len(heads) == 1 else type(heads[0]).pooled(heads)
    return model
