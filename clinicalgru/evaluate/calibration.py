"""Do the risks mean what they say, and a logistic correction where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.logistic import fit_logistic, logit, sigmoid
from clinicalgru.evaluate.validation import Array, checked_outcome, checked_risk

Z = 1.959963984540054  # 97.5 % point of the normal distribution


@dataclass(frozen=True)
class PlattCalibrator:
    """A straight line on the log odds that makes risks mean what they say: sigmoid(intercept + slope * logit(risk)).

    slope      above 0, so that the order of the stays is kept
    intercept  log odds

    Source: Platt 1999. DIFF: fitted to logit(risk) in place of a margin.

    >>> PlattCalibrator(slope=1.0, intercept=0.0).predict([0.25])
    array([0.25])
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (0 < self.slope < np.inf and np.isfinite(self.intercept)):
            got = f"slope {self.slope:.3g}, intercept {self.intercept:.3g}"
            raise ArgumentError("a finite slope above 0 and a finite intercept", got, "Fit with PlattCalibrator.fit.")

    @classmethod
    def fit(cls, outcome: ArrayLike, risk: ArrayLike) -> PlattCalibrator:
        """Fit on stays that neither trained the model nor will judge it.

        outcome  (stay,)  0 or 1, both present
        risk     (stay,)  between 0 and 1

        Events aim at (n1 + 1) / (n1 + 2) and the others at 1 / (n0 + 2), as in Platt 1999, so that the fit stays finite
        even where risks separate the two. Refused: one risk for all stays, and risks that run against the outcome.

        >>> PlattCalibrator.fit([0, 0, 1, 0, 1, 1], [0.4, 0.45, 0.48, 0.52, 0.55, 0.6]).slope > 1  # risks too timid
        True
        """
        outcome = checked_outcome(outcome)
        score = logit(checked_risk(risk, stays=len(outcome)))
        centre, spread = score.mean(), np.ptp(score)
        if spread == 0:
            raise ArgumentError(
                "risks that differ", "one risk for all stays", "Look at the model: it tells nothing apart."
            )
        features = np.stack([np.ones_like(score), (score - centre) / spread])
        level, slope = fit_logistic(_smoothed(outcome), features, np.ones((1, len(score))))[0]
        if not slope > 0:
            fix = "Higher risks went with fewer events: look for swapped classes or a model that learned nothing."
            raise ArgumentError("risks that rise with the outcome", f"a slope of {slope / spread:.3g}", fix)
        return cls(slope=float(slope / spread), intercept=float(level - slope * centre / spread))

    def predict(self, risk: ArrayLike) -> Array:
        """Calibrated risks, in the same order from low to high.

        risk     (stay,)  between 0 and 1
        returns  (stay,)
        """
        return sigmoid(self.intercept + self.slope * logit(checked_risk(risk)))

    def to_dict(self) -> dict[str, float]:
        """Slope and intercept by name, for a manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> PlattCalibrator:
        """The calibrator that `to_dict` wrote.

        >>> PlattCalibrator.from_dict({"slope": 1.2, "intercept": -0.1})
        PlattCalibrator(slope=1.2, intercept=-0.1)
        """
        return cls(slope=float(values["slope"]), intercept=float(values["intercept"]))


def calibration_groups(outcome: Array, risk: Array, *, groups: int = 10) -> pd.DataFrame:
    """Predicted against observed in tenths of the risk; stays of equal risk are never parted.

    outcome  (stay,)  0 or 1
    risk     (stay,)  between 0 and 1
    returns  one row per group: predicted (mean risk), observed (share with the event), low, high (95 % Wilson interval,
             which takes stays as independent), stays. Fewer groups where ties leave fewer.

    >>> calibration_groups(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.7, 0.9]), groups=2).round(2)
       predicted  observed   low  high  stays
    0        0.4       0.5  0.09  0.91      2
    1        0.9       1.0  0.21  1.00      1
    """
    edges = np.unique(np.quantile(risk, np.arange(1, groups) / groups))
    group = np.unique(np.searchsorted(edges, risk, side="left"), return_inverse=True)[1]
    stays = np.bincount(group)
    return grouped(np.bincount(group, weights=risk) / stays, np.bincount(group, weights=outcome), stays)


def grouped(predicted: NDArray[Any], events: NDArray[Any], stays: NDArray[Any]) -> pd.DataFrame:
    """The table of `calibration_groups`, from the mean risk, the stays with the event and the stays of each group."""
    stays = stays.astype(np.int64)
    observed = events / stays
    low, high = _wilson(observed, stays)
    return pd.DataFrame({"predicted": predicted, "observed": observed, "low": low, "high": high, "stays": stays})


def _wilson(share: Array, stays: NDArray[np.int64]) -> tuple[Array, Array]:
    """Source: Wilson 1927."""
    centre = share + Z**2 / (2 * stays)
    half = Z * np.sqrt(share * (1 - share) / stays + Z**2 / (4 * stays**2))
    scale = 1 + Z**2 / stays
    return np.clip((centre - half) / scale, 0, 1), np.clip((centre + half) / scale, 0, 1)


def _smoothed(outcome: Array) -> Array:
    events = outcome.sum()
    others = len(outcome) - events
    return np.where(outcome == 1, (events + 1) / (events + 2), 1 / (others + 2))
