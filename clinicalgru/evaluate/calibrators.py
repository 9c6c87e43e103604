"""Calibration of answers that are no single risk: several classes, several outcomes, survival. No order is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.validation import Array

SMALLEST = 1e-300  # a probability of 0 has no logarithm
TINY = 1e-9  # a cumulative hazard of 0, of an event at once, has no logarithm either
FARTHEST = 3.0  # log of the largest and smallest slope, and size of the largest intercept, that is looked at


class Calibrator(Protocol):
    """What makes probabilities mean what they say; learned from stays that neither trained nor judge the model."""

    def predict(self, risk: ArrayLike) -> Array:
        """The calibrated answers, of the shape of those given."""

    def to_dict(self) -> dict[str, float]:
        """Its numbers by name, for a manifest."""


@dataclass(frozen=True)
class TemperatureCalibrator:
    """One slope on the logarithms of all classes: softmax(slope * log(probability)).

    slope  above 0, so that the classes of a stay keep their order; 1 / temperature

    Source: temperature scaling, Guo et al. 2017.

    >>> TemperatureCalibrator(slope=2.0).predict([[0.5, 0.25, 0.25]]).round(3)
    array([[0.667, 0.167, 0.167]])
    """

    slope: float

    def __post_init__(self) -> None:
        _refuse_slope(self.slope)

    @classmethod
    def fit(cls, outcome: ArrayLike, risk: ArrayLike) -> TemperatureCalibrator:
        """The slope of the lowest log loss on these stays.

        outcome  (stay,)        position of the true class
        risk     (stay, class)  probabilities

        >>> TemperatureCalibrator.fit([0, 1, 1], [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]).slope < 1  # too sure of itself
        True
        """
        from scipy.optimize import minimize_scalar

        true, logs = np.asarray(outcome, dtype=np.int64), _logs(risk)

        def loss(log_slope: float) -> float:
            shares = _softmax(np.exp(log_slope) * logs)
            return float(-np.log(shares[np.arange(len(true)), true].clip(SMALLEST)).mean())

        best = minimize_scalar(loss, bounds=(-FARTHEST, FARTHEST), method="bounded").x
        return cls(float(np.exp(best)) if loss(best) < loss(0.0) else 1.0)

    def predict(self, risk: ArrayLike) -> Array:
        """(stay, class) calibrated probabilities."""
        return _softmax(self.slope * _logs(risk))

    def to_dict(self) -> dict[str, float]:
        """The slope by name."""
        return {"slope": self.slope}

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> TemperatureCalibrator:
        """The calibrator that `to_dict` wrote."""
        return cls(float(values["slope"]))


@dataclass(frozen=True)
class LabelCalibrator:
    """A line on the log-odds for each of several outcomes, each as of `PlattCalibrator`.

    parts  (outcome,) None where these stays could not say, and the risks stay what they are

    >>> LabelCalibrator((PlattCalibrator(1.0, 0.0), None)).predict([[0.25, 0.4]])
    array([[0.25, 0.4 ]])
    """

    parts: tuple[PlattCalibrator | None, ...]

    @classmethod
    def fit(cls, outcome: ArrayLike, risk: ArrayLike) -> LabelCalibrator:
        """Fit each outcome on the stays in which it is known.

        outcome, risk  (stay, outcome)  0, 1 or NaN = not known; between 0 and 1
        """
        columns = zip(np.asarray(outcome, dtype=float).T, np.asarray(risk, dtype=float).T, strict=True)
        return cls(tuple(_line(true, said) for true, said in columns))

    def predict(self, risk: ArrayLike) -> Array:
        """(stay, outcome) calibrated risks; of each outcome in the same order from low to high."""
        columns = np.asarray(risk, dtype=float).T
        calibrated = [
            said if part is None else part.predict(said) for part, said in zip(self.parts, columns, strict=True)
        ]
        return np.stack(calibrated, axis=1)

    def to_dict(self) -> dict[str, float]:
        """Slope and intercept of each outcome that has them, by its position."""
        known = [(place, part) for place, part in enumerate(self.parts) if part is not None]
        named = {f"{name}_{place}": number for place, part in known for name, number in part.to_dict().items()}
        return named | {"outcomes": float(len(self.parts))}

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> LabelCalibrator:
        """The calibrator that `to_dict` wrote.

        >>> LabelCalibrator.from_dict({"outcomes": 2.0, "slope_1": 1.5, "intercept_1": 0.0}).parts[0] is None
        True
        """
        places = [str(place) for place in range(int(values["outcomes"]))]
        return cls(
            tuple(
                PlattCalibrator(values[f"slope_{place}"], values[f"intercept_{place}"])
                if f"slope_{place}" in values
                else None
                for place in places
            )
        )


@dataclass(frozen=True)
class SurvivalCalibrator:
    """A line on log(-log(survival)), the same for all hours: exp(-exp(intercept) * (-log(survival)) ** slope).

    slope      above 0: at each hour the stays keep their order, and survival falls with the hours as before
    intercept  above 0: the event comes sooner than was said

    Fitted by the likelihood of the cumulative hazards that the stays reached, which are those of an exponential
    distribution where survival means what it says (Cox and Snell 1968), and are taken as those of a Weibull one.

    >>> SurvivalCalibrator(slope=1.0, intercept=float(np.log(2))).predict([0.5])  # twice the hazard
    array([0.25])
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        _refuse_slope(self.slope)

    @classmethod
    def fit(cls, outcome: ArrayLike, risk: ArrayLike) -> SurvivalCalibrator:
        """The likeliest line; a stay without the event counts up to where it was followed.

        outcome  (stay,)  1 where the event came
        risk     (stay,)  survival to the event, or to the end of follow-up

        Refused: no stay with the event.
        """
        from scipy.optimize import minimize

        event, logs = np.asarray(outcome, dtype=float) == 1, np.log((-_logs(risk)).clip(TINY))
        if not event.any():
            raise ArgumentError("stays with the event to calibrate on", "none", "Split with another seed.")

        def loss(line: Array) -> float:
            intercept, slope = line[0], np.exp(line[1])
            reached = np.exp(intercept + slope * logs)
            return float((reached.sum() - (intercept + line[1] + (slope - 1) * logs[event]).sum()) / len(logs))

        start = np.zeros(2)
        best = minimize(loss, start, method="L-BFGS-B", bounds=[(-FARTHEST, FARTHEST)] * 2).x
        best = best if loss(best) < loss(start) else start
        return cls(slope=float(np.exp(best[1])), intercept=float(best[0]))

    def predict(self, risk: ArrayLike) -> Array:
        """Calibrated survival, of any shape."""
        return np.asarray(np.exp(-np.exp(self.intercept) * (-_logs(risk)) ** self.slope))

    def to_dict(self) -> dict[str, float]:
        """Slope and intercept by name."""
        return {"slope": self.slope, "intercept": self.intercept}

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> SurvivalCalibrator:
        """The calibrator that `to_dict` wrote."""
        return cls(float(values["slope"]), float(values["intercept"]))


CALIBRATORS: Mapping[str, Any] = MappingProxyType(
    {
        "binary": PlattCalibrator,
        "early_warning": PlattCalibrator,
        "multiclass": TemperatureCalibrator,
        "multilabel": LabelCalibrator,
        "survival": SurvivalCalibrator,
    }
)  # by kind of task


def restored(kind: str, values: Mapping[str, float] | None) -> Calibrator | None:
    """The calibrator of a manifest for a task of this kind; None where it holds none.

    >>> restored("multiclass", {"slope": 0.8})
    TemperatureCalibrator(slope=0.8)
    """
    return None if values is None else CALIBRATORS[kind].from_dict(values)


def _line(true: Array, said: Array) -> PlattCalibrator | None:
    """Of one outcome; None where one value only is known, the risks are all alike, or run against it."""
    known = ~np.isnan(true)
    try:
        return PlattCalibrator.fit(true[known], said[known])
    except ArgumentError:
        return None


def _logs(probability: ArrayLike) -> Array:
    return np.asarray(np.log(np.asarray(probability, dtype=float).clip(SMALLEST, 1.0)))


def _softmax(logits: Array) -> Array:
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def _refuse_slope(slope: float) -> None:
    if not 0 < slope < np.inf:
        raise ArgumentError("a finite slope above 0", f"{slope:.3g}", "Fit the calibrator on stays.")
