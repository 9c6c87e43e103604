"""GRUSurvival: discrete-time survival with censored stays."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import trapezoid

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.risk_groups import RiskGroups
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.heads.survival import Survival

MAX_CENSORED = 0.1  # of the calibration stays before a horizon; groups of the others would have too many events


class GRUSurvival(GRUEstimator):
    """Time to an event after the prediction time, in discrete intervals, with censored stays.

    For tasks of type "survival". Inputs vary over time up to the prediction time. Beyond the last training event the
    survival stays constant. Parameters and attributes: see `GRUEstimator`.

    Examples
    --------
    >>> from clinicalgru import GRUSurvival
    >>> GRUSurvival(max_epochs=8)
    GRUSurvival(max_epochs=8)
    """

    HEADS = MappingProxyType({"survival": Survival})
    head_: Survival

    def predict_survival(self, stays: Sequences, hours: ArrayLike) -> np.ndarray:
        """Predict the probability that the event has not occurred by some hours after the prediction time.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the training stays, and at least one measurement each.
        hours : array-like of float, shape (hour,)
            Hours of 0 or more.

        Returns
        -------
        ndarray, shape (stay, hour)
            Probabilities.

        Raises
        ------
        ArgumentError
            For negative hours, or something else than a list of hours.
        """
        fix = "Pass [720, 8760]."
        try:
            at = np.asarray(hours, dtype=float)
        except (TypeError, ValueError):
            raise ArgumentError("a list of hours of 0 or more", describe(hours), fix) from None
        if at.ndim != 1 or not (at >= 0).all():
            raise ArgumentError("a list of hours of 0 or more", f"shape {at.shape}", fix)
        return self._calibrated(self.head_.survival_at(self._predicted(stays).numpy(), at))

    def predict_risk(self, stays: Sequences) -> np.ndarray:
        """Predict the probability of the event within each horizon of the task.

        Parameters
        ----------
        stays : Sequences
            As for `predict_survival`.

        Returns
        -------
        ndarray, shape (stay, horizon)
            In the order of `head_.horizons`.
        """
        return 1 - self.predict_survival(stays, np.asarray(self.head_.horizons))

    def predict(self, stays: Sequences) -> np.ndarray:
        """Predict a number that is higher where the event is expected earlier.

        Parameters
        ----------
        stays : Sequences
            As for `predict_survival`.

        Returns
        -------
        ndarray, shape (stay,)
            Minus the mean number of hours without the event, up to the last training event.
        """
        cuts = np.concatenate([[0.0], self.head_.cuts])
        survival = self.predict_survival(stays, cuts)
        return np.asarray(-trapezoid(survival, cuts, axis=1))

    def _held_out_groups(self, stays: Sequences, _: tuple[np.ndarray, ...]) -> dict[str, RiskGroups]:
        """Pool the risk within each horizon with the outcome; its ranks only where many were censored before it."""
        (hours, event), risk, groups = stays.outcome.T, self.predict_risk(stays), {}
        for name, horizon, one in zip(self.head_.output_names, self.head_.horizons, risk.T, strict=True):
            label = np.where(hours > horizon, 0.0, np.where(event == 1, 1.0, np.nan))
            is_known = np.isnan(label).mean() <= MAX_CENSORED
            groups[name] = (
                RiskGroups.of(label, one, stays.patient) if is_known else RiskGroups.ranks_of(one, stays.patient)
            )
        return groups

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.two_d_labels = True
        return tags

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Give the risk within each horizon of each stay."""
        return self.predict_risk(stays)
