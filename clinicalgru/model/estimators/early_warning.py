"""GRUEarlyWarning: a risk after each step of a stay."""

from __future__ import annotations

from types import MappingProxyType
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.physionet2019 import best_threshold
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.network.network import ClinicalGRU


class GRUEarlyWarning(ClassifierMixin, GRUEstimator):
    """After each step of a stay: the risk that something begins within the task's horizon.

    For tasks of kind "early_warning". A risk uses what was known at its hour, and nothing later. Where the task names a
    utility, steps teach as much as a warning is worth there (see `EarlyWarning`); risks are set back afterwards to the
    share of steps at which a warning is due, and `calibrate` corrects the rest. Arguments and what is learned: see
    `GRUEstimator`; also learned: threshold_ (by `choose_threshold`).

    >>> GRUEarlyWarning(max_epochs=4).max_epochs
    4
    """

    HEADS = MappingProxyType({"early_warning": EarlyWarning})
    EXTRA_STATE = ("threshold_",)
    head_: EarlyWarning
    threshold_: float

    @property
    def classes_(self) -> np.ndarray:
        """(class,) 0 and 1."""
        return np.array([0, 1]) if self.head_ else np.zeros(0, int)

    @torch.no_grad()
    def _trained(self, network: ClinicalGRU, tune: Sequences) -> ClinicalGRU:
        """Risks are set back to the share of steps at which a warning is due, by what weighing had lifted them."""
        alone = super()._trained(network, tune)
        alone.readout.bias.sub_(self.head_.log_odds_offset)
        return alone

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """(step, 2) probability of no and of an onset ahead, after each step of each stay, stay after stay.

        Refused: as of `GRUClassifier`.
        """
        risk = self._calibrated(self._predicted(stays).numpy())
        return np.stack([1 - risk, risk], axis=1)

    def calibrate(self, stays: Sequences) -> Self:
        """Fit the calibration (Platt 1999, keeps the order) on the steps that count of stays new to training.

        A threshold that was chosen before is forgotten: it was one of other risks.
        """
        self.head_.validate_targets(stays, "stays to calibrate on")
        labels = self.head_.step_labels(stays)
        counts = ~np.isnan(labels)
        self.calibrator_ = PlattCalibrator.fit(labels[counts], self._predicted(stays).numpy()[counts])
        if hasattr(self, "threshold_"):
            del self.threshold_
        return self

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: None = None) -> float:
        """Mean log-likelihood of the labels of the time steps, before calibration; higher is better.

        Parameters
        ----------
        X : Sequences
            Stays with outcomes.
        y : array-like or None
            Outcome as scikit-learn passes it; it must equal that of `X`.
        sample_weight : None
            Not used: steps are weighted as in training.

        Returns
        -------
        float
            Minus the mean loss of the head. The accuracy of rare labels would say little.
        """
        return GRUEstimator.score(self, X, y)

    def predict_hourly(self, stays: Sequences) -> pd.DataFrame:
        """One row for each stay and full hour, from the first with anything known to the stay's end, or the window's.

        returns  stay (position), hours (since the anchor), risk (after the last step up to that hour)
        """
        return hourly(stays, self.predict_proba(stays)[:, 1])

    def choose_threshold(self, stays: Sequences) -> Self:
        """Fix threshold_ where the PhysioNet 2019 utility of these stays, new to training, is highest."""
        self.threshold_ = hourly_threshold(stays, self.predict_proba(stays)[:, 1])
        return self

    def predict(self, stays: Sequences) -> np.ndarray:
        """(step,) 1 where the risk reaches threshold_. Refused: no threshold chosen."""
        if not hasattr(self, "threshold_"):
            raise ArgumentError("a threshold", "none", "Call choose_threshold(stays) with stays new to training.")
        return (self.predict_proba(stays)[:, 1] >= self.threshold_).astype(int)

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """(stay, 1) what `score` writes of each stay: the risk after its last step."""
        return self.predict_proba(stays)[np.cumsum(stays.n_steps) - 1, 1:]


def hourly_threshold(stays: Sequences, risk: np.ndarray) -> float:
    """The threshold of the highest utility. risk (step,) after each step of each stay, stay after stay."""
    table = hourly(stays, risk)
    return best_threshold(table["risk"], onset_hours=stays.outcome, stay=table["stay"], hours=table["hours"])


def hourly(stays: Sequences, risk: np.ndarray) -> pd.DataFrame:
    """Risks after each step, as they stand at each full hour: stay, hours, risk; see `GRUEarlyWarning.predict_hourly`.

    risk  (step,) after each step of each stay, stay after stay
    """
    step_hours = stays.hours[stays.is_new_step]
    begins = np.cumsum(stays.n_steps) - stays.n_steps
    some = stays.n_steps > 0
    first = np.full(len(stays), np.inf)
    first[some] = np.ceil(step_hours[begins[some]])
    count = np.where(some, np.maximum(np.floor(stays.end_hours) - first + 1, 0), 0).astype(np.int64)
    stay = np.repeat(np.arange(len(stays)), count)
    hours = first[stay] + np.arange(len(stay)) - np.repeat(np.cumsum(count) - count, count)
    step_stay = np.repeat(np.arange(len(stays)), stays.n_steps)
    all_stays, all_hours = np.concatenate([step_stay, stay]), np.concatenate([step_hours, hours])
    grid = np.concatenate([np.zeros(len(step_stay), bool), np.ones(len(stay), bool)])
    order = np.lexsort((grid, all_hours, all_stays))  # at equal hours the step comes first
    last = np.cumsum(~grid[order]) - 1  # steps stand stay after stay, so their number is their position
    return pd.DataFrame({"stay": stay, "hours": hours, "risk": risk[last[grid[order]]]})
