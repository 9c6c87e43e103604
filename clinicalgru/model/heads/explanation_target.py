"""The number of a prediction that an explanation attributes: a log-odds where it is a risk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.calibrators import Calibrator, LabelCalibrator, SurvivalCalibrator, TemperatureCalibrator
from clinicalgru.evaluate.hour_calibrator import HourCalibrator
from clinicalgru.output_unit import LOG_ODDS

Target = str | float | None


@dataclass(frozen=True, eq=False)
class ExplanationTarget:
    """One number for each prediction, calibrated as the model is.

    Parameters
    ----------
    pick : callable
        From the output of `Head.aggregate_members`, of shape (1, prediction, output), to a number for each prediction,
        or to several, which `pool` needs.
    pool : callable or None
        From what `pick` gives of each network, of shape (network, prediction, ...), to the number of all networks
        together. None: the mean.
    name : str
        Which of several it is: a label, a class or a horizon. Empty where there is one only.
    unit : str
        "log-odds", or "outcome" for a number in the unit of the outcome.
    scale : float
        What counts as a difference of 1, in that unit.
    slope, shift : float
        Line of the calibration on the log-odds.
    by_hour : HourCalibrator or None
        Where the line depends on the hour of a prediction; None: it is the same at all hours.
    """

    pick: Callable[[Tensor], Tensor]
    pool: Callable[[Tensor], Tensor] | None = None
    name: str = ""
    unit: str = LOG_ODDS
    scale: float = 1.0
    slope: float = 1.0
    shift: float = 0.0
    by_hour: HourCalibrator | None = None

    def __call__(self, aggregated: Tensor, hours: Tensor | None = None) -> Tensor:
        """The number of each prediction.

        Parameters
        ----------
        aggregated : Tensor, shape (1, prediction, output)
            The output of `Head.aggregate_members`.
        hours : Tensor of shape (prediction,) or None
            Hours of the predictions. None: the end of the window.

        Returns
        -------
        Tensor of float64, shape (prediction,)
        """
        return self.combine(self.terms(aggregated, hours)[None])

    def terms(self, aggregated: Tensor, hours: Tensor | None = None) -> Tensor:
        """What one network contributes to the number of all networks together.

        Parameters
        ----------
        aggregated : Tensor, shape (1, prediction, output)
            The output of `Head.aggregate_members`.
        hours : Tensor of shape (prediction,) or None
            Hours of the predictions. None: the end of the window.

        Returns
        -------
        Tensor of float64, shape (prediction, ...)
        """
        picked = self.pick(aggregated).double()
        if self.by_hour is not None and hours is not None:
            slope, shift = map(torch.from_numpy, self.by_hour.lines(hours.numpy()))
            return slope * picked + shift
        return picked if self.pool is not None else self.slope * picked + self.shift

    def combine(self, terms: Tensor) -> Tensor:
        """The number of all networks together.

        Parameters
        ----------
        terms : Tensor, shape (network, prediction, ...)
            From `terms`.

        Returns
        -------
        Tensor of float64, shape (prediction,)
        """
        return terms.mean(dim=0) if self.pool is None else self.slope * self.pool(terms) + self.shift


def calibration_line(calibrator: Calibrator | None, column: int = 0) -> tuple[float, float]:
    """Slope and intercept of the calibration of one risk, on the log-odds.

    Parameters
    ----------
    calibrator : Calibrator or None
        The calibrator of the model.
    column : int
        Position of the label, if each label has a calibration of its own.

    Returns
    -------
    slope, intercept : float
        1 and 0 without a calibrator, or with one that is no line on the log-odds.
    """
    line = calibrator.parts[column] if isinstance(calibrator, LabelCalibrator) else calibrator
    return (line.slope, line.intercept) if isinstance(line, PlattCalibrator) else (1.0, 0.0)


def refuse_target(target: Target) -> None:
    """Refuse to choose where there is only one target.

    Parameters
    ----------
    target : str, float or None
        The explanation target.

    Raises
    ------
    ArgumentError
        If it is not None.
    """
    if target is not None:
        raise ArgumentError("no target for a model with one output", repr(target), "Leave target out.")


def target_index(target: Target, known: Sequence[str] | Sequence[float], noun: str, *, default: int) -> int:
    """The position of a target among those known.

    Parameters
    ----------
    target : str, float or None
        The explanation target.
    known : sequence of str or of float
        All targets of the model.
    noun : str
        What a target is called in an error, such as "class".
    default : int
        The position for None; -1 for the last.

    Returns
    -------
    int
        From 0.

    Raises
    ------
    ArgumentError
        If the target is not known.
    """
    if target is None:
        return default % len(known)
    if target not in known:
        names = ", ".join(f"{name:g}" if isinstance(name, float) else name for name in known)
        raise ArgumentError(f"a {noun} among {names}", repr(target), "Choose one of them as target.")
    return list(known).index(target)  # type: ignore[arg-type]


def target_horizon(target: Target, horizons: Sequence[float], last: float) -> float:
    """The horizon that a target names.

    Parameters
    ----------
    target : str, float or None
        Hours after the prediction; None: the longest horizon, or where that is earlier the last hour of training.
    horizons : sequence of float
        Horizons of the model, in hours.
    last : float
        The last hour that training saw.

    Returns
    -------
    float
        Hours after the prediction.

    Raises
    ------
    ArgumentError
        If the target is no number above 0 and up to the last hour.
    """
    hours = min(max(horizons), last) if target is None else target
    if not isinstance(hours, int | float | np.number) or not 0 < hours <= last:
        got = repr(hours) if isinstance(hours, int | float | str) else describe(hours)
        fix = "Give hours after the prediction as target."
        raise ArgumentError(f"a horizon above 0 and up to {last:g} hours", got, fix)
    return float(hours)


def output_column(aggregated: Tensor, *, column: int) -> Tensor:
    """One output of each prediction.

    Parameters
    ----------
    aggregated : Tensor, shape (1, prediction, output)
        From `Head.aggregate_members`.
    column : int
        Position of the output.

    Returns
    -------
    Tensor, shape (prediction,)
    """
    return aggregated[0, :, column]


def class_logs(aggregated: Tensor) -> Tensor:
    """Logarithms of the probabilities of all classes.

    Parameters
    ----------
    aggregated : Tensor, shape (1, prediction, class)
        From `Head.aggregate_members`.

    Returns
    -------
    Tensor, shape (prediction, class)
    """
    return torch.log_softmax(aggregated[0], dim=1)


def class_log_odds(logs: Tensor, *, column: int, calibrator: Calibrator | None) -> Tensor:
    """Log-odds of one class against all others, after temperature scaling.

    Parameters
    ----------
    logs : Tensor, shape (network, prediction, class)
        From `class_logs` of each network; their mean counts.
    column : int
        Position of the class.
    calibrator : Calibrator or None
        The calibrator of the model; None: no scaling.

    Returns
    -------
    Tensor, shape (prediction,)
    """
    slope = calibrator.slope if isinstance(calibrator, TemperatureCalibrator) else 1.0
    log = torch.log_softmax(slope * logs.mean(dim=0), dim=1)
    others = torch.cat([log[:, :column], log[:, column + 1 :]], dim=1)
    return log[:, column] - torch.logsumexp(others, dim=1)


def event_log_survival(aggregated: Tensor, *, cuts: Sequence[float], hours: float) -> Tensor:
    """Logarithm of the probability of no event by a number of hours after the prediction.

    Parameters
    ----------
    aggregated : Tensor, shape (1, prediction, interval)
        From `Head.aggregate_members`.
    cuts : sequence of float
        Hours after the prediction at which each interval ends, ascending. The hazard is constant within an interval.
    hours : float
        Hours after the prediction, above 0. Beyond the last cut survival stays constant.

    Returns
    -------
    Tensor, shape (prediction,)
    """
    logs = F.pad(F.logsigmoid(-aggregated[0]).cumsum(dim=1), (1, 0))
    ends = np.concatenate([[0.0], cuts])
    hours = min(hours, float(ends[-1]))
    above = int(np.searchsorted(ends, hours, side="left").clip(1, len(cuts)))
    fraction = float((hours - ends[above - 1]) / (ends[above] - ends[above - 1]))
    return torch.lerp(logs[:, above - 1], logs[:, above], fraction)


def event_log_odds(logs: Tensor, *, calibrator: Calibrator | None) -> Tensor:
    """Log-odds of the event, from the mean survival of several networks.

    Parameters
    ----------
    logs : Tensor, shape (network, prediction)
        From `event_log_survival` of each network.
    calibrator : Calibrator or None
        The calibrator of the model.

    Returns
    -------
    Tensor, shape (prediction,)
    """
    log_survival = torch.logsumexp(logs, dim=0) - math.log(len(logs))
    if isinstance(calibrator, SurvivalCalibrator):
        log_survival = -math.exp(calibrator.intercept) * (-log_survival) ** calibrator.slope
    return torch.log(-torch.expm1(log_survival)) - log_survival


def mean_of_bins(aggregated: Tensor, *, means: Sequence[float]) -> Tensor:
    """The mean of a distribution over bins.

    Parameters
    ----------
    aggregated : Tensor, shape (1, prediction, bin)
        From `Head.aggregate_members`.
    means : sequence of float, one for each bin
        Mean of each bin, in the unit of the outcome.

    Returns
    -------
    Tensor, shape (prediction,)
    """
    return torch.softmax(aggregated[0], dim=1) @ torch.tensor(means, dtype=aggregated.dtype)
