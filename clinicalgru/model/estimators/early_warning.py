"""GRUEarlyWarning: the risk of an onset within a horizon, after each time step of a stay."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.risk_groups import HIGHEST, RiskGroups
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.features.hourly import best_hourly_threshold, hourly_predictions
from clinicalgru.model.fit_state import not_fitted
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.seen_patients import with_patients


class GRUEarlyWarning(ClassifierMixin, GRUEstimator):
    """Risk, after each time step of a stay, that something begins within the task's horizon.

    For tasks of type "early_warning". A risk uses what was known at its time, and nothing later. Parameters and further
    attributes: see `GRUEstimator`.

    Attributes
    ----------
    threshold_ : float
        Risk from which `predict` gives a warning, after `choose_threshold`.

    Notes
    -----
    If the task names a utility function, training steps are weighted by the utility of a warning there (see
    `EarlyWarning`). A log-odds offset then undoes the change of the positive rate; `calibrate` corrects the rest. With
    `label_smoothing` a risk is that of the smoothed label until `calibrate`. Until then it is, with `alarm_priority`, a
    weighted sum of the probabilities of an onset in each hour.

    Examples
    --------
    >>> from clinicalgru import GRUEarlyWarning
    >>> GRUEarlyWarning(max_epochs=4)
    GRUEarlyWarning(max_epochs=4)
    """

    HEADS = MappingProxyType({"early_warning": EarlyWarning})
    EXTRA_STATE = ("threshold_",)
    calibration_unit = "step"
    head_: EarlyWarning
    threshold_: float

    @property
    def classes_(self) -> np.ndarray:
        """(class,) 0 and 1."""
        if "head_" not in vars(self):
            raise not_fitted("classes_")
        return np.array([0, 1])

    def _head(self, stays: Sequences) -> Head:
        """Give the head, with smoothed labels or hazards if requested."""
        head = super()._head(stays)
        assert isinstance(head, EarlyWarning)
        if self.hazards:
            return head.with_hazards(float(self.alarm_priority))
        return replace(head, smoothing_rate=float(self.label_smoothing))

    @torch.no_grad()
    def _trained(self, network: ClinicalGRU, validation: Sequences) -> ClinicalGRU:
        """Undo the log-odds offset that weighting the steps has caused."""
        trained = super()._trained(network, validation)
        for _, readout, _ in trained.readout.parts():
            readout.bias.sub_(self.head_.log_odds_offset)
        return trained

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """Predict the probability of no onset and of an onset ahead, after each time step.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the training stays, and at least one measurement each.

        Returns
        -------
        ndarray, shape (step, 2)
            Time steps of the first stay, then of the second, and so on.
        """
        risk = self._calibrated(self._predicted(stays).numpy())
        return np.stack([1 - risk, risk], axis=1)

    def _calibrate_on(self, scores: tuple[np.ndarray, ...]) -> None:
        """Calibrate; a threshold that was chosen before belonged to other risks and is forgotten."""
        super()._calibrate_on(scores)
        self.__dict__.pop("threshold_", None)

    def predict_hourly(self, stays: Sequences) -> pd.DataFrame:
        """Predict the risk at each full hour, from the first hour with a measurement to the end of the stay.

        Parameters
        ----------
        stays : Sequences
            As for `predict_proba`.

        Returns
        -------
        DataFrame
            stay (position), hours (since the index time), risk (after the last time step up to that hour).
        """
        return hourly_predictions(stays, self.predict_proba(stays)[:, 1])

    def _held_out_groups(self, stays: Sequences, _: tuple[np.ndarray, ...]) -> dict[str, RiskGroups]:
        """Pool the highest hourly risk of each stay, up to its event, with whether the event occurred."""
        hourly, onset = self.predict_hourly(stays), np.asarray(stays.outcome, dtype=float)
        before = hourly[hourly["hours"].to_numpy() <= onset[hourly["stay"].to_numpy()]]
        highest = before.groupby("stay")["risk"].max().reindex(range(len(stays))).to_numpy()
        return {HIGHEST: RiskGroups.of(np.isfinite(onset).astype(float), highest, stays.patient)}

    def choose_threshold(self, stays: Sequences) -> Self:
        """Set `threshold_` to the risk with the highest PhysioNet 2019 utility on stays that training has not seen.

        Parameters
        ----------
        stays : Sequences
            Stays of other patients than the training stays.

        Returns
        -------
        GRUEarlyWarning
            The estimator itself.

        References
        ----------
        Reyna et al. 2020, Early prediction of sepsis from clinical data.
        """
        self.threshold_ = best_hourly_threshold(stays, self.predict_proba(stays)[:, 1])
        self.calibration_patients_ = with_patients(self.calibration_patients_, stays)
        return self

    def predict(self, stays: Sequences) -> np.ndarray:
        """Predict a warning after each time step: 1 from `threshold_` on.

        Parameters
        ----------
        stays : Sequences
            As for `predict_proba`.

        Returns
        -------
        ndarray of int, shape (step,)
            0 or 1.

        Raises
        ------
        ArgumentError
            If no threshold was chosen.
        """
        risk = self.predict_proba(stays)[:, 1]
        if "threshold_" not in vars(self):
            fix = "Call choose_threshold(stays) with stays that training has not seen."
            raise ArgumentError("a model with a threshold", "one without threshold_", fix)
        return (risk >= self.threshold_).astype(int)

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: None = None) -> float:
        """Mean log-likelihood of the labels of the time steps, before calibration; higher is better.

        Steps are weighted as in training; `sample_weight` is not used. The accuracy of rare labels would say little.
        """
        return GRUEstimator.score(self, X, y)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Give the risk after the last time step of each stay."""
        return self.predict_proba(stays)[np.cumsum(stays.n_steps) - 1, 1:]
