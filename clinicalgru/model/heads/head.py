"""Head: the interface of everything that depends on the type of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import Calibrator, LabelCalibrator, SurvivalCalibrator, TemperatureCalibrator
from clinicalgru.model.heads.calibration import Calibration
from clinicalgru.model.heads.explanation_target import ExplanationTarget, Target
from clinicalgru.model.heads.pooling import Pooling
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU


class Head(Pooling, Calibration, ABC):
    """Labels, loss and predictions of one type of task.

    A prediction is made for each stay at its end, or for each time step of a stay (`per_step`). What depends on the
    type of a task is answered by its head, not by tests of `task.task_type`. Heads are frozen; all functions are pure.

    Attributes
    ----------
    per_step : bool
        Whether a prediction is made after each time step with measurements, or once, at the end of a stay.
    supports_distillation : bool
        Whether the head can be trained on soft labels, which are out-of-fold risks of boosted trees.
    supports_cuts : bool
        Whether a stay that is cut at an earlier hour has the same outcome, so that the network can predict there.
    calibrator_class : type or None
        The calibrator of the probabilities; None where there are none, or they are calibrated otherwise.
    n_outputs : int
        Numbers that the network gives for each prediction.
    output_names : tuple of str
        Names of what is predicted, for tables and figures: one for each class, label or horizon; else one.
    score_columns : tuple of str
        Columns that `clinicalgru.score` writes.
    targets : tuple
        What `explanation_target` accepts by name: classes, labels, horizons in hours. Empty where there is one only.
    default_output : int
        Position among `score_columns` of what is explained by default; -1 for the last.
    log_odds_offset : float
        What weighting adds to the log-odds of the network while it is trained; subtracted afterwards.
    """

    per_step: ClassVar[bool] = False
    supports_distillation: ClassVar[bool] = False
    supports_cuts: ClassVar[bool] = False
    calibrator_class: ClassVar[
        type[PlattCalibrator] | type[TemperatureCalibrator] | type[LabelCalibrator] | type[SurvivalCalibrator] | None
    ] = None
    default_output: ClassVar[int] = 0
    log_odds_offset: float = 0.0

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Numbers that the network gives for each prediction."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of what is predicted, for tables and figures."""
        return ("risk",)

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Columns that `clinicalgru.score` writes."""
        return ("risk",)

    @property
    def targets(self) -> tuple[str, ...] | tuple[float, ...]:
        """What `explanation_target` accepts by name; empty where there is one target only."""
        return ()

    @classmethod
    @abstractmethod
    def fit_targets(cls, stays: Sequences) -> Self:
        """Learn classes, bins, intervals and the like from training stays.

        Parameters
        ----------
        stays : Sequences
            The training stays.

        Returns
        -------
        Head

        Raises
        ------
        TrainingError
            If an outcome is unknown, or there is too little to learn from.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What was learned, as JSON types, for a manifest.

        Returns
        -------
        dict
            Empty where nothing is learned.
        """

    @classmethod
    @abstractmethod
    def from_dict(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head that `to_dict` wrote.

        Parameters
        ----------
        content : dict
            As `to_dict` gives it.
        network : ClinicalGRU
            The network that the head belongs to.

        Returns
        -------
        Head
        """

    @abstractmethod
    def validate_targets(self, stays: Sequences, name: str) -> None:
        """Refuse outcomes that this head cannot be trained, stopped or calibrated with.

        Parameters
        ----------
        stays : Sequences
            Stays with outcomes.
        name : str
            What to call these stays in an error, such as "validation stays".

        Raises
        ------
        TrainingError
            If an outcome is unknown, or all are alike.
        """

    def initial_bias(self, stays: Sequences) -> Tensor | None:
        """Outputs of the best constant prediction, to start training from.

        Parameters
        ----------
        stays : Sequences
            The training stays.

        Returns
        -------
        Tensor of float32, shape (output,), or None
            None: training starts from the random initialisation.
        """
        return None

    @abstractmethod
    def labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """The true outcome of each prediction of a batch.

        Parameters
        ----------
        stays : Sequences
            The stays that the batch was made from.
        batch : Batch
            The batch.

        Returns
        -------
        Tensor of float32, shape (prediction, ...)
            NaN where the outcome is unknown or does not count.
        """

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss over members and known labels.

        Each member has its own loss, so that members stay diverse.

        Parameters
        ----------
        logits : Tensor, shape (member, prediction, output)
            Outputs of the network.
        labels : Tensor, shape (prediction, ...)
            From `labels`.

        Returns
        -------
        Tensor, shape ()
            0 where no label is known.
        """

    def loss_denominator(self, labels: Tensor) -> float:
        """The number, or total weight, of labels that `loss` is a mean over.

        Parameters
        ----------
        labels : Tensor, shape (prediction, ...)
            From `labels`.

        Returns
        -------
        float
        """
        return float((~labels.isnan()).sum())

    @abstractmethod
    def aggregate_members(self, logits: Tensor) -> Tensor:
        """The prediction of all members together, in the form of one member's outputs.

        Parameters
        ----------
        logits : Tensor, shape (member, prediction, output)
            Outputs of the network.

        Returns
        -------
        Tensor of float64, shape (1, prediction, output)
        """

    def risk_logits(self, logits: Tensor) -> Tensor:
        """Log-odds of the risk that soft labels are given for, of a head that supports distillation.

        Parameters
        ----------
        logits : Tensor, shape (member, prediction, output)
            Outputs of the network.

        Returns
        -------
        Tensor, shape (member, prediction, 1)
            The outputs themselves, unless a head computes the risk from several.
        """
        return logits

    @abstractmethod
    def predict(self, aggregated: Tensor) -> Tensor:
        """The prediction, before any calibration.

        Parameters
        ----------
        aggregated : Tensor, shape (1, prediction, output)
            From `aggregate_members`.

        Returns
        -------
        Tensor, shape (prediction, ...)
            Probabilities of classes, labels or bins, survival at the end of each interval, or a distribution.
        """

    def explanation_target(self, target: Target = None, calibrator: Calibrator | None = None) -> ExplanationTarget:
        """The number that an explanation attributes to measurements: log-odds of a risk, or a mean.

        Parameters
        ----------
        target : str, float or None
            A label, a class, or a horizon in hours. None: the only one, the first label, the last class or the longest
            horizon.
        calibrator : Calibrator or None
            The calibrator of the model.

        Returns
        -------
        ExplanationTarget

        Raises
        ------
        ArgumentError
            If the head has no such target.
        """
        fix = "Use explain_forecast for a GRUForecaster."
        raise ArgumentError("a model that predicts an outcome", type(self).__name__, fix)

    def member_targets(
        self, heads: Sequence[Any], target: Target = None, calibrator: Calibrator | None = None
    ) -> list[ExplanationTarget]:
        """The explanation target of each of several networks, of which this is the pooled head.

        Parameters
        ----------
        heads : sequence of Head
            The heads of the networks.
        target, calibrator
            As of `explanation_target`; the calibrator is that of the networks together.

        Returns
        -------
        list of ExplanationTarget
            One for each network, with the same `pool`.
        """
        return [head.explanation_target(target, calibrator) for head in heads]

    @property
    def step_sampling_weights(self) -> np.ndarray | None:
        """Weight of each variable when time steps are sampled for training; None: all steps are equally likely."""
        return None

    @staticmethod
    def strata(stays: Sequences) -> np.ndarray:
        """What is spread evenly over folds of the patients.

        Parameters
        ----------
        stays : Sequences
            Stays with outcomes.

        Returns
        -------
        ndarray, shape (stay,)
            A number for each stay.
        """
        return stays.outcome
