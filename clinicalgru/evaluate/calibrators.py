"""Calibration for the other types of task: temperature scaling, Platt scaling by label, survival. All are monotone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.hour_calibrator import HourCalibrator
from clinicalgru.evaluate.shrinkage import LEVEL_SCALE, LOG_SLOPE_SCALE, MAX_LOG_SLOPE, shrinkage_penalty
from clinicalgru.evaluate.validation import Array

MIN_PROBABILITY = 1e-300  # a probability of 0 has no logarithm
MIN_HAZARD = 1e-9  # nor has the cumulative hazard 0 of an event at time 0


class Calibrator(Protocol):
    """A monotone correction of probabilities, fitted on stays used neither for training nor for evaluation.

    Parameters
    ----------
    *args, **kwargs
        Not used: a protocol has no instances of its own.
    """

    def predict(self, risk: ArrayLike) -> Array:
        """Calibrate predictions; the shape does not change.

        Parameters
        ----------
        risk : array-like of float
            Probabilities, from 0 to 1.
        """

    def to_dict(self) -> dict[str, float]:
        """Return its numbers by name, for a manifest."""


@dataclass(frozen=True)
class TemperatureCalibrator:
    """Temperature scaling: softmax(slope * log(probability)).

    Attributes
    ----------
    slope : float
        Above 0, so that the order of a stay's classes is preserved; 1 / temperature.

    References
    ----------
    Guo et al. 2017, "On calibration of modern neural networks".

    Examples
    --------
    >>> TemperatureCalibrator(slope=2.0).predict([[0.5, 0.25, 0.25]]).round(3)
    array([[0.667, 0.167, 0.167]])
    """

    slope: float

    def __post_init__(self) -> None:
        _check_slope(self.slope)

    @classmethod
    def fit(cls, outcome: ArrayLike, risk: ArrayLike) -> TemperatureCalibrator:
        """Fit the slope with the lowest log loss, shrunk towards 1 where stays are few.

        Parameters
        ----------
        outcome : array-like of int, shape (n_stays,)
            Position of the true class.
        risk : array-like, shape (n_stays, n_classes)
            Probabilities.

        Returns
        -------
        TemperatureCalibrator
            With slope 1 where no other one is better.

        Examples
        --------
        >>> TemperatureCalibrator.fit([0, 1, 1], [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]).slope < 1  # over-confident
        True
        """
        from scipy.optimize import minimize_scalar

        true, logs = np.asarray(outcome, dtype=np.int64), _logs(risk)

        def loss(log_slope: float) -> float:
            probability = _softmax(np.exp(log_slope) * logs)
            likelihood = np.log(probability[np.arange(len(true)), true].clip(MIN_PROBABILITY)).sum()
            penalty, _ = shrinkage_penalty(log_slope, LOG_SLOPE_SCALE)
            return (penalty - float(likelihood)) / len(true)

        best = minimize_scalar(loss, bounds=(-MAX_LOG_SLOPE, MAX_LOG_SLOPE), method="bounded").x
        return cls(float(np.exp(best)) if loss(best) < loss(0.0) else 1.0)

    def predict(self, risk: ArrayLike) -> Array:
        """Calibrate class probabilities.

        Parameters
        ----------
        risk : array-like, shape (n_stays, n_classes)
            Probabilities.

        Returns
        -------
        ndarray, shape (n_stays, n_classes)
            Calibrated probabilities.
        """
        return _softmax(self.slope * _logs(risk))

    def to_dict(self) -> dict[str, float]:
        """Return the slope by name.

        Returns
        -------
        dict of float
        """
        return {"slope": self.slope}

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> TemperatureCalibrator:
        """Restore the calibrator that `to_dict` described.

        Parameters
        ----------
        values : mapping of float
            The slope.

        Returns
        -------
        TemperatureCalibrator
        """
        return cls(float(values["slope"]))


@dataclass(frozen=True)
class LabelCalibrator:
    """Platt scaling of each of several labels.

    Attributes
    ----------
    parts : tuple of PlattCalibrator or None
        One for each label; None where it could not be fitted, and risks stay as they are.

    Examples
    --------
    >>> LabelCalibrator((PlattCalibrator(1.0, 0.0), None)).predict([[0.25, 0.4]])
    array([[0.25, 0.4 ]])
    """

    parts: tuple[PlattCalibrator | None, ...]

    @classmethod
    def fit(cls, outcome: ArrayLike, risk: ArrayLike) -> LabelCalibrator:
        """Fit each label on the stays in which it is known.

        Parameters
        ----------
        outcome : array-like, shape (n_stays, n_labels)
            0, 1, or NaN where it is not known.
        risk : array-like, shape (n_stays, n_labels)
            Between 0 and 1.

        Returns
        -------
        LabelCalibrator
            One part for each label.
        """
        columns = zip(np.asarray(outcome, dtype=float).T, np.asarray(risk, dtype=float).T, strict=True)
        return cls(tuple(_fit_line(true, predicted) for true, predicted in columns))

    def predict(self, risk: ArrayLike) -> Array:
        """Calibrate risks; the order of the stays does not change for any label.

        Parameters
        ----------
        risk : array-like, shape (n_stays, n_labels)
            Between 0 and 1.

        Returns
        -------
        ndarray, shape (n_stays, n_labels)
            Calibrated risks.
        """
        columns = zip(self.parts, np.asarray(risk, dtype=float).T, strict=True)
        return np.stack([column if part is None else part.predict(column) for part, column in columns], axis=1)

    def to_dict(self) -> dict[str, float]:
        """Return slope and intercept of each fitted label by its position.

        Returns
        -------
        dict of float
        """
        known = [(place, part) for place, part in enumerate(self.parts) if part is not None]
        named = {f"{name}_{place}": number for place, part in known for name, number in part.to_dict().items()}
        return named | {"outcomes": float(len(self.parts))}

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> LabelCalibrator:
        """Restore the calibrator that `to_dict` described.

        Parameters
        ----------
        values : mapping of float
            Slopes and intercepts by position, and the number of outcomes.

        Returns
        -------
        LabelCalibrator

        Examples
        --------
        >>> LabelCalibrator.from_dict({"outcomes": 2.0, "slope_1": 1.5, "intercept_1": 0.0}).parts[0] is None
        True
        """
        parts: list[PlattCalibrator | None] = [None] * int(values["outcomes"])
        for place in [place for place in range(len(parts)) if f"slope_{place}" in values]:
            parts[place] = PlattCalibrator(values[f"slope_{place}"], values[f"intercept_{place}"])
        return cls(tuple(parts))


@dataclass(frozen=True)
class SurvivalCalibrator:
    """A line on log(-log(survival)), the same for all hours: exp(-exp(intercept) * (-log(survival)) ** slope).

    Attributes
    ----------
    slope : float
        Above 0, so that the order of the stays at each hour is preserved, and survival still falls with time.
    intercept : float
        Above 0 where events occur sooner than predicted.

    Notes
    -----
    Cumulative hazards at the end of follow-up are exponentially distributed where survival is calibrated (Cox-Snell
    residuals). The line is fitted by maximum likelihood as if they were Weibull distributed, with the priors of
    `fit_shrunken_line` on slope and intercept.

    References
    ----------
    Cox and Snell 1968, "A general definition of residuals".

    Examples
    --------
    >>> import numpy as np
    >>> SurvivalCalibrator(slope=1.0, intercept=float(np.log(2))).predict([0.5])  # twice the hazard
    array([0.25])
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        _check_slope(self.slope)

    @classmethod
    def fit(cls, outcome: ArrayLike, risk: ArrayLike) -> SurvivalCalibrator:
        """Fit the line by maximum likelihood, shrunk towards 1 and 0; a censored stay counts up to its end.

        Parameters
        ----------
        outcome : array-like, shape (n_stays,)
            1 where the event occurred.
        risk : array-like, shape (n_stays,)
            Survival at the event, or at the end of follow-up.

        Returns
        -------
        SurvivalCalibrator
            The fitted line.

        Raises
        ------
        ArgumentError
            If no stay has the event.
        """
        from scipy.optimize import minimize

        event, logs = np.asarray(outcome, dtype=float) == 1, np.log((-_logs(risk)).clip(MIN_HAZARD))
        if not event.any():
            got = f"0 events in {len(event):,} stays"
            raise ArgumentError("stays with the event to calibrate on", got, "Split with another seed.")

        def loss(line: Array) -> float:
            intercept, slope = line[0], np.exp(line[1])
            hazard = np.exp(intercept + slope * logs)
            likelihood = (intercept + line[1] + (slope - 1) * logs[event]).sum() - hazard.sum()
            penalty, _ = shrinkage_penalty(line, (LEVEL_SCALE, LOG_SLOPE_SCALE))
            return (penalty - float(likelihood)) / len(logs)

        start = np.zeros(2)
        best = minimize(loss, start, method="L-BFGS-B", bounds=[(-MAX_LOG_SLOPE, MAX_LOG_SLOPE)] * 2).x
        best = best if loss(best) < loss(start) else start
        return cls(slope=float(np.exp(best[1])), intercept=float(best[0]))

    def predict(self, risk: ArrayLike) -> Array:
        """Calibrate survival probabilities.

        Parameters
        ----------
        risk : array-like
            Survival, of any shape.

        Returns
        -------
        ndarray
            Calibrated survival, of the same shape.
        """
        return np.asarray(np.exp(-np.exp(self.intercept) * (-_logs(risk)) ** self.slope))

    def to_dict(self) -> dict[str, float]:
        """Return slope and intercept by name.

        Returns
        -------
        dict of float
        """
        return {"slope": self.slope, "intercept": self.intercept}

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> SurvivalCalibrator:
        """Restore the calibrator that `to_dict` described.

        Parameters
        ----------
        values : mapping of float
            Slope and intercept.

        Returns
        -------
        SurvivalCalibrator
        """
        return cls(float(values["slope"]), float(values["intercept"]))


CALIBRATORS: Mapping[str, Any] = MappingProxyType(
    {
        "binary": PlattCalibrator,
        "early_warning": PlattCalibrator,
        "multiclass": TemperatureCalibrator,
        "multilabel": LabelCalibrator,
        "survival": SurvivalCalibrator,
    }
)  # by type of task


def from_manifest(task_type: str, values: Mapping[str, Any] | None) -> Calibrator | None:
    """Restore the calibrator of a manifest.

    Parameters
    ----------
    task_type : str
        Type of the task.
    values : mapping or None
        What `to_dict` returned; None where the model is not calibrated.

    Returns
    -------
    Calibrator or None
        The calibrator of that type of task.

    Examples
    --------
    >>> from_manifest("multiclass", {"slope": 0.8})
    TemperatureCalibrator(slope=0.8)
    """
    if values is not None and "first_hour" in values:
        return HourCalibrator.from_dict(values)
    return None if values is None else CALIBRATORS[task_type].from_dict(values)


def _fit_line(true: Array, risk: Array) -> PlattCalibrator | None:
    """Platt scaling of one label; None where one value only is known, all risks are equal, or they run against it."""
    known = ~np.isnan(true)
    try:
        return PlattCalibrator.fit(true[known], risk[known])
    except ArgumentError:
        return None


def _logs(probability: ArrayLike) -> Array:
    return np.asarray(np.log(np.asarray(probability, dtype=float).clip(MIN_PROBABILITY, 1.0)))


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _check_slope(slope: float) -> None:
    if not 0 < slope < np.inf:
        raise ArgumentError("a finite slope above 0", f"{slope:.3g}", "Fit the calibrator on stays.")
