"""What of a model's answer is explained: one number for each point, in log-odds where it is a risk."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import Calibrator, LabelCalibrator, SurvivalCalibrator, TemperatureCalibrator
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.heads.classification import Binary, MultiClass, MultiLabel
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.heads.head import Head
from clinicalgru.model.heads.regression import Regression
from clinicalgru.model.heads.survival import Survival

Output = str | float | None
LOG_ODDS = "log-odds"


@dataclass(frozen=True, eq=False)
class Asked:
    """One number of what a head says at each point.

    head          whose answer it is
    pick          (1, point, output) of `head.aggregate_members` -> (point,) the number
    about         what of several it is: a label, a class, a horizon; empty where there is one answer only
    scale         what the number is in: log-odds, or the outcome's own unit
    spread        what counts as a difference of 1 in that scale
    slope, shift  of the calibration, in log-odds
    """

    head: Head
    pick: Callable[[Tensor], Tensor]
    about: str = ""
    scale: str = LOG_ODDS
    spread: float = 1.0
    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, logits: Tensor) -> Tensor:
        """(member, point, output) -> (point,) float64."""
        return self.slope * self.pick(self.head.aggregate_members(logits)).double() + self.shift

    def each(self, logits: Tensor) -> Tensor:
        """(member, point, output) -> (member, point) float64: what each member says alone, calibrated as all are."""
        return self(logits.flatten(0, 1)[None]).reshape(logits.shape[:2])

    def risk(self, number: np.ndarray) -> np.ndarray:
        """The number as it is told: log-odds as a probability."""
        return np.asarray(1 / (1 + np.exp(-number)) if self.scale == LOG_ODDS else number)


def asked_of(model: GRUEstimator, output: Output = None) -> Asked:
    """What is explained of this model.

    output  which label, which class (its value), or which horizon (hours after the prediction); None: the only one, the
            first label, the last class or the longest horizon
    Refused: an output that the model does not have, a model that is asked for something else.
    """
    head, calibrator = getattr(model, "head_", None), getattr(model, "calibrator_", None)
    if isinstance(head, Binary | EarlyWarning):
        _only(output)
        slope, shift = _line(calibrator, 0)
        return Asked(head, partial(_column, column=0), slope=slope, shift=shift)
    if isinstance(head, MultiLabel):
        column = _place(output, head.label_names, "label", default=0)
        slope, shift = _line(calibrator, column)
        return Asked(head, partial(_column, column=column), about=head.label_names[column], slope=slope, shift=shift)
    if isinstance(head, MultiClass):
        column = _place(output, head.classes, "class", default=-1)
        sharp = calibrator.slope if isinstance(calibrator, TemperatureCalibrator) else 1.0
        return Asked(head, partial(_class, column=column, sharp=sharp), about=f"class {head.classes[column]:g}")
    if isinstance(head, Survival):
        hours, line = _horizon(output, head), calibrator if isinstance(calibrator, SurvivalCalibrator) else None
        return Asked(head, partial(_by_then, cuts=head.cuts, hours=hours, line=line), about=f"within {hours:g} hours")
    if isinstance(head, Regression):
        _only(output)
        return Asked(head, partial(_mean, means=head.means), scale="outcome", spread=float(np.std(head.means)))
    fix = "Explain a GRUClassifier, GRUMultiLabel, GRURegressor, GRUSurvival or GRUEarlyWarning."
    raise ArgumentError("a fitted model with one answer to explain", type(model).__name__, fix)


def _line(calibrator: Calibrator | None, column: int) -> tuple[float, float]:
    """Slope and intercept of the calibration of one risk, in log-odds."""
    one = calibrator.parts[column] if isinstance(calibrator, LabelCalibrator) else calibrator
    return (one.slope, one.intercept) if isinstance(one, PlattCalibrator) else (1.0, 0.0)


def _only(output: Output) -> None:
    if output is not None:
        raise ArgumentError("no output for a model with one answer", repr(output), "Leave output out.")


def _place(output: Output, known: tuple[str, ...] | tuple[float, ...], what: str, *, default: int) -> int:
    if output is None:
        return default % len(known)
    if output not in known:
        raise ArgumentError(f"a {what} among {', '.join(map(str, known))}", repr(output), "Choose one of them.")
    return list(known).index(output)  # type: ignore[arg-type]


def _horizon(output: Output, head: Survival) -> float:
    hours = max(head.horizons) if output is None else output
    if isinstance(hours, str) or not 0 < hours <= head.cuts[-1]:
        fix = "Give hours after the prediction as output."
        raise ArgumentError(f"a horizon above 0 and up to {head.cuts[-1]:g} hours", repr(hours), fix)
    return float(hours)


def _column(mixed: Tensor, column: int) -> Tensor:
    return mixed[0, :, column]


def _class(mixed: Tensor, column: int, sharp: float) -> Tensor:
    """Log-odds of one class; all logarithms times `sharp` before."""
    log = torch.log_softmax(sharp * torch.log_softmax(mixed[0], dim=1), dim=1)
    others = torch.cat([log[:, :column], log[:, column + 1 :]], dim=1)
    return log[:, column] - torch.logsumexp(others, dim=1)


def _by_then(mixed: Tensor, cuts: tuple[float, ...], hours: float, line: SurvivalCalibrator | None) -> Tensor:
    """Log-odds that it happens by then; the hazard is constant within an interval, and calibrated as the line says."""
    logs = F.pad(F.logsigmoid(-mixed[0]).cumsum(dim=1), (1, 0))
    ends = np.concatenate([[0.0], cuts])
    above = int(np.searchsorted(ends, hours, side="left").clip(1, len(cuts)))
    part = float((hours - ends[above - 1]) / (ends[above] - ends[above - 1]))
    survived = torch.lerp(logs[:, above - 1], logs[:, above], part)
    if line is not None:
        survived = -math.exp(line.intercept) * (-survived) ** line.slope
    return torch.log(-torch.expm1(survived)) - survived


def _mean(mixed: Tensor, means: tuple[float, ...]) -> Tensor:
    return torch.softmax(mixed[0], dim=1) @ torch.tensor(means, dtype=mixed.dtype)
