"""GRUSurvival: discrete-time survival with censored stays."""

from __future__ import annotations

from types import MappingProxyType
from typing import Self

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibrators import SurvivalCalibrator
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.heads.survival import Survival


class GRUSurvival(GRUEstimator):
    """When it will happen: the probability that it has not by any hour after the prediction, with censored stays.

    For tasks of kind "survival". The input varies over time up to the prediction; beyond the last event that training
    saw nothing is known, and survival stays what it is there. Arguments and what is learned: see `GRUEstimator`.

    >>> GRUSurvival(max_epochs=8).max_epochs
    8
    """

    HEADS = MappingProxyType({"survival": Survival})
    head_: Survival

    def predict_survival(self, stays: Sequences, hours: np.ndarray) -> np.ndarray:
        """(stay, hour) probability that it has not happened by each of these hours after the prediction.

        Refused: hours below 0; otherwise as of `GRUClassifier`.
        """
        hours = np.asarray(hours, dtype=float)
        if hours.ndim != 1 or not (hours >= 0).all():
            raise ArgumentError("a list of hours of 0 or more", f"shape {hours.shape}", "Pass [720, 8760].")
        return self._calibrated(self.head_.survival_at(self._predicted(stays).numpy(), hours))

    def calibrate(self, stays: Sequences) -> Self:
        """Fit the calibration on stays that training has not seen; at each hour it keeps their order.

        A line on log(-log(survival)), see `SurvivalCalibrator`; censored stays count up to where they were followed.
        """
        self.head_.validate_targets(stays, "stays to calibrate on")
        hours, event = stays.outcome.T
        last = self.head_.cuts[-1]  # beyond it nothing is said, and nothing is learned
        reached = self.head_.survival_at_own_time(self._predicted(stays).numpy(), np.minimum(hours, last))
        self.calibrator_ = SurvivalCalibrator.fit(event * (hours <= last), reached)
        return self

    def predict_risk(self, stays: Sequences) -> np.ndarray:
        """(stay, horizon) probability that it happens within each of the task's horizons (`head_.horizons`)."""
        return 1 - self.predict_survival(stays, np.asarray(self.head_.horizons))

    def predict(self, stays: Sequences) -> np.ndarray:
        """(stay,) a number that is higher where it is expected earlier: minus the mean hours without the event, up to
        the last that training saw."""
        cuts = np.concatenate([[0.0], self.head_.cuts])
        survival = self.predict_survival(stays, cuts)
        return np.asarray(-np.trapezoid(survival, cuts, axis=1))

    @property
    def score_columns_(self) -> list[str]:
        """The columns that `score` writes of each stay: a risk for each horizon."""
        return [f"risk_{hours:g}h" for hours in self.head_.horizons]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """(stay, horizon) what `score` writes of each stay."""
        return self.predict_risk(stays)
