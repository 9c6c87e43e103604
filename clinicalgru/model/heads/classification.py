"""Heads for a binary outcome, for several classes, and for several labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.class_names import class_text, column_part, format_class
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import Calibrator, LabelCalibrator, TemperatureCalibrator
from clinicalgru.evaluate.hour_calibrator import HourCalibrator
from clinicalgru.evaluate.logistic import mean_log_probabilities
from clinicalgru.model.heads.explanation_target import (
    ExplanationTarget,
    Target,
    calibration_line,
    class_log_odds,
    class_logs,
    output_column,
    refuse_target,
    target_index,
)
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.targets.warning_labels import refuse_unknown


@dataclass(frozen=True)
class Binary(Head):
    """The risk of an outcome: one logit, log loss, and the mean probability of the members.

    Examples
    --------
    >>> import torch
    >>> Binary().loss(torch.zeros(4, 2, 1), torch.tensor([0.0, 1.0])).item()
    0.6931471824645996
    """

    supports_distillation: ClassVar[bool] = True
    supports_cuts: ClassVar[bool] = True
    calibrator_class = PlattCalibrator
    classes: ClassVar[tuple[int, int]] = (0, 1)

    @property
    def n_outputs(self) -> int:
        """One logit."""
        return 1

    @classmethod
    def fit_targets(cls, stays: Sequences) -> Self:
        """Nothing is learned from the stays."""
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    @classmethod
    def from_dict(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head; there is nothing to read."""
        return cls()

    def validate_targets(self, stays: Sequences, name: str) -> None:
        """Refuse unknown outcomes, and stays that all have the same one."""
        refuse_unknown(stays.outcome, name)
        if len(np.unique(stays.outcome)) < 2:
            got = f"the same outcome in all of them ({'yes' if stays.outcome.any() else 'no'})"
            fix = "Check the column of the outcome, and the task; else take more stays, or split otherwise."
            raise TrainingError(f"both outcomes among the {name}", got, fix)

    def labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """0 or 1 for each stay of the batch."""
        return torch.from_numpy(stays.outcome[batch.order]).float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean log loss over members and stays."""
        return F.binary_cross_entropy_with_logits(logits[..., 0], labels.expand(logits.shape[:2]))

    def aggregate_members(self, logits: Tensor) -> Tensor:
        """Log-odds of the mean probability of the members."""
        return mean_probability_logits(logits)

    def predict(self, aggregated: Tensor) -> Tensor:
        """The risk of each stay, of shape (stay,)."""
        return torch.sigmoid(aggregated[0, :, 0])

    def explanation_target(self, target: Target = None, calibrator: Calibrator | None = None) -> ExplanationTarget:
        """The calibrated log-odds of the outcome."""
        return binary_target(target, calibrator)


@dataclass(frozen=True)
class MultiClass(Head):
    """The probability of each of several classes: a logit for each, log loss, mean probabilities of the members.

    Parameters
    ----------
    classes : tuple of float
        Values of the outcome among the training stays, ascending.
    names : tuple of str
        Their names; empty: the values themselves.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.heads.classification import MultiClass
    >>> round(MultiClass((0.0, 1.0, 2.0)).loss(torch.zeros(4, 2, 3), torch.tensor([0.0, 2.0])).item(), 4)
    1.0986
    """

    classes: tuple[float, ...]
    names: tuple[str, ...] = ()
    supports_cuts: ClassVar[bool] = True
    calibrator_class = TemperatureCalibrator
    default_output: ClassVar[int] = -1

    @property
    def n_outputs(self) -> int:
        """One logit for each class."""
        return len(self.classes)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes, such as "died" or "class 2"."""
        return tuple(map(class_text, self.names or map(format_class, self.classes)))

    @property
    def score_columns(self) -> tuple[str, ...]:
        """A risk for each class."""
        return tuple(f"risk_{column_part(name)}" for name in self.names or map(format_class, self.classes))

    @property
    def targets(self) -> tuple[str, ...] | tuple[float, ...]:
        """The classes: their names where they have some."""
        return self.names or self.classes

    @classmethod
    def fit_targets(cls, stays: Sequences) -> Self:
        """The classes are the values of the training outcomes."""
        refuse_unknown(stays.outcome, "training stays")
        found = tuple(np.unique(stays.outcome).tolist())
        return cls(found, stays.task.class_names(found) if stays.task.classes else ())

    def to_dict(self) -> dict[str, Any]:
        """The classes, and their names where they have some."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head that `to_dict` wrote."""
        return cls(tuple(content["classes"]), tuple(content.get("names", ())))

    def validate_targets(self, stays: Sequences, name: str) -> None:
        """Refuse unknown outcomes, a single class, and classes that the training stays do not have."""
        refuse_unknown(stays.outcome, name)
        if len(self.classes) < 2:
            fix = "Take more stays, or check the outcome."
            raise TrainingError("two classes or more among the training stays", f"{len(self.classes)}", fix)
        new = int((~np.isin(stays.outcome, self.classes)).sum())
        if new:
            fix = "Split with another random_state, or merge rare classes."
            raise TrainingError(f"{name} of the classes of the training stays", f"{new} of other classes", fix)

    def labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """The position of its class, for each stay of the batch."""
        return torch.from_numpy(self.calibration_labels(stays)[batch.order]).float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean log loss over members and stays."""
        return cross_entropy(logits, labels)

    def aggregate_members(self, logits: Tensor) -> Tensor:
        """Logarithms of the mean class probabilities of the members."""
        return mean_class_logits(logits)

    def predict(self, aggregated: Tensor) -> Tensor:
        """The probability of each class, of shape (stay, class)."""
        return torch.softmax(aggregated[0], dim=1)

    def explanation_target(self, target: Target = None, calibrator: Calibrator | None = None) -> ExplanationTarget:
        """The calibrated log-odds of one class against all others."""
        known = self.names if isinstance(target, str) and self.names else self.classes
        column = target_index(target, known, "class", default=self.default_output)
        pool = partial(class_log_odds, column=column, calibrator=calibrator)
        return ExplanationTarget(class_logs, pool, name=self.output_names[column])

    def calibration_labels(self, stays: Sequences) -> np.ndarray:
        """The position of the class of each stay."""
        return np.searchsorted(self.classes, stays.outcome)

    def calibration_events(self, labels: np.ndarray, *_: np.ndarray) -> dict[str, tuple[float, float]]:
        """Nothing: one temperature for all classes is fitted on all stays."""
        return {}

    def pool(self, predictions: Sequence[np.ndarray]) -> np.ndarray:
        """The normalised geometric mean of the class probabilities."""
        return mean_log_probabilities(predictions)


@dataclass(frozen=True)
class MultiLabel(Head):
    """The risk of each of several outcomes: a logit for each, log loss over the known ones, mean probabilities.

    Parameters
    ----------
    label_names : tuple of str
        Outcome columns.
    names : tuple of str
        The outcomes in words; empty: the columns.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.heads.classification import MultiLabel
    >>> MultiLabel(("a", "b")).loss(torch.zeros(4, 1, 2), torch.tensor([[1.0, torch.nan]])).item()
    0.6931471824645996
    """

    label_names: tuple[str, ...]
    names: tuple[str, ...] = ()
    supports_cuts: ClassVar[bool] = True
    calibrator_class = LabelCalibrator

    @property
    def n_outputs(self) -> int:
        """One logit for each label."""
        return len(self.label_names)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The labels in words."""
        return self.names or self.label_names

    @property
    def score_columns(self) -> tuple[str, ...]:
        """A risk for each label."""
        return tuple(f"risk_{label}" for label in self.label_names)

    @property
    def targets(self) -> tuple[str, ...]:
        """The labels."""
        return self.label_names

    @classmethod
    def fit_targets(cls, stays: Sequences) -> Self:
        """The labels are the outcomes of the task; refused where the stays have one value only of one of them."""
        pairs = zip(stays.task.outcomes, stays.outcome.T, strict=True)
        constant = [label for label, column in pairs if len(np.unique(column[~np.isnan(column)])) < 2]
        if constant and not np.isnan(stays.outcome).all():
            fix = "Take more stays, or leave such outcomes out of the task."
            got = f"one of {', '.join(constant)}"
            raise TrainingError("both values of each outcome among the training stays", got, fix)
        return cls(stays.task.outcomes, stays.task.outcome_names if stays.task.outcome_labels else ())

    def to_dict(self) -> dict[str, Any]:
        """The labels, and their words where they have some."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head that `to_dict` wrote."""
        return cls(tuple(content["label_names"]), tuple(content.get("names", ())))

    def validate_targets(self, stays: Sequences, name: str) -> None:
        """Refuse stays without any known label."""
        if np.isnan(stays.outcome).all():
            raise TrainingError(f"known outcomes in the {name}", "all unknown", "Use select(events, task).")

    def labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """0, 1 or NaN for each stay and label."""
        return torch.from_numpy(stays.outcome[batch.order]).float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean log loss over members and known labels."""
        return masked_log_loss(logits, labels.expand(logits.shape))

    def aggregate_members(self, logits: Tensor) -> Tensor:
        """Log-odds of the mean probabilities of the members."""
        return mean_probability_logits(logits)

    def predict(self, aggregated: Tensor) -> Tensor:
        """The risk of each label, of shape (stay, label)."""
        return torch.sigmoid(aggregated[0])

    def explanation_target(self, target: Target = None, calibrator: Calibrator | None = None) -> ExplanationTarget:
        """The calibrated log-odds of one label."""
        column = target_index(target, self.label_names, "label", default=self.default_output)
        slope, shift = calibration_line(calibrator, column)
        pick = partial(output_column, column=column)
        return ExplanationTarget(pick, name=self.output_names[column], slope=slope, shift=shift)

    @staticmethod
    def strata(stays: Sequences) -> np.ndarray:
        """A number for each combination of labels that occurred; the rarest label decides the order."""
        occurred = (stays.outcome == 1).astype(float)
        rarity = np.argsort(np.argsort(-occurred.sum(axis=0), kind="stable"))
        return occurred @ 2.0**rarity


def binary_target(target: Target, calibrator: Calibrator | None) -> ExplanationTarget:
    """The calibrated log-odds of the only risk.

    Parameters
    ----------
    target : str, float or None
        None: a model with one risk has no other target.
    calibrator : Calibrator or None
        The calibrator of the model.

    Returns
    -------
    ExplanationTarget

    Raises
    ------
    ArgumentError
        If a target is named.
    """
    refuse_target(target)
    slope, shift = calibration_line(calibrator)
    by_hour = calibrator if isinstance(calibrator, HourCalibrator) else None
    return ExplanationTarget(partial(output_column, column=0), slope=slope, shift=shift, by_hour=by_hour)


def mean_probability_logits(logits: Tensor) -> Tensor:
    """Log-odds of the mean probability of the members, in float64.

    Parameters
    ----------
    logits : Tensor, shape (member, prediction, output)
        Outputs of the network.

    Returns
    -------
    Tensor of float64, shape (1, prediction, output)
    """
    return torch.logit(torch.sigmoid(logits.double()).mean(dim=0, keepdim=True))


def mean_class_logits(logits: Tensor) -> Tensor:
    """Logarithms of the mean class probabilities of the members, in float64.

    Parameters
    ----------
    logits : Tensor, shape (member, prediction, class)
        Outputs of the network.

    Returns
    -------
    Tensor of float64, shape (1, prediction, class)
    """
    return torch.log_softmax(logits.double(), dim=2).exp().mean(dim=0, keepdim=True).clamp_min(1e-300).log()


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean log loss of the true class, over members and predictions.

    Parameters
    ----------
    logits : Tensor, shape (member, prediction, class)
        Outputs of the network.
    labels : Tensor, shape (prediction,)
        Position of the true class, from 0.

    Returns
    -------
    Tensor, shape ()
    """
    positions = labels.long().expand(logits.shape[:2])
    return F.cross_entropy(logits.flatten(0, 1), positions.flatten())


def masked_log_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean log loss where the label is known.

    Parameters
    ----------
    logits, labels : Tensor
        Of one shape; a label is 0, 1 or NaN (unknown).

    Returns
    -------
    Tensor, shape ()
        0 where no label is known.
    """
    known = ~labels.isnan()
    losses = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
    return (losses * known).sum() / known.sum().clamp_min(1)
