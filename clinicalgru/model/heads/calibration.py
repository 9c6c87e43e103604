"""How a head is calibrated: on which labels and predictions, and by which calibrator."""

from __future__ import annotations

from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.evaluate.calibrators import Calibrator


class Calibration:
    """Mixin of `Head`: calibration of one risk for each prediction. Heads of other types of tasks override it."""

    def calibration_labels(self: Any, stays: Sequences) -> np.ndarray:
        """The true outcome of each prediction, stay after stay, as the calibrator reads it; NaN does not count.

        Parameters
        ----------
        stays : Sequences
            Stays with outcomes.

        Returns
        -------
        ndarray, shape (prediction,) or (prediction, ...)
        """
        return np.asarray(stays.outcome)

    def calibration_pairs(self: Any, stays: Sequences, prediction: np.ndarray) -> tuple[np.ndarray, ...]:
        """What the calibrator is fitted on: labels and predictions. Those of several networks may be joined.

        Parameters
        ----------
        stays : Sequences
            Stays with outcomes.
        prediction : ndarray, shape (prediction, ...)
            What `predict` gives for them, in their order.

        Returns
        -------
        labels : ndarray, shape (prediction, ...)
            As the calibrator reads them; NaN does not count.
        risk : ndarray, shape (prediction, ...)
            Probabilities of the labels.
        stay_weight : ndarray, shape (prediction,)
            Only of a head that predicts after each time step, see `EarlyWarning`.
        """
        return self.calibration_labels(stays), prediction

    def calibration_events(self: Any, labels: np.ndarray, *_: np.ndarray) -> dict[str, tuple[float, float]]:
        """Count stays with the event and without it among those that calibrate.

        Parameters
        ----------
        labels : ndarray, shape (prediction, ...)
            Labels; NaN does not count.
        *_ : ndarray
            The other arrays of `calibration_pairs`, which count stays where predictions are made after time steps.

        Returns
        -------
        dict of str to tuple of float
            By name of what is predicted. Empty where no event is predicted.
        """
        columns = labels.reshape(len(labels), -1).T
        counts = [(float((column == 1).sum()), float((column == 0).sum())) for column in columns]
        return dict(zip(self.output_names, counts, strict=True))

    def calibrator_from(self: Any, labels: np.ndarray, risk: np.ndarray, *_: np.ndarray) -> Calibrator:
        """Fit the calibrator on arrays of `calibration_pairs`.

        Parameters
        ----------
        labels : ndarray, shape (prediction, ...)
            Labels; NaN does not count.
        risk : ndarray, shape (prediction, ...)
            Probabilities of the labels.
        *_ : ndarray
            The other arrays of `calibration_pairs`.

        Returns
        -------
        Calibrator

        Raises
        ------
        TrainingError
            If the head has no probabilities.
        """
        if self.calibrator_class is None:
            fix = "Use the method calibrate of the estimator."
            raise TrainingError("a head whose probabilities can be calibrated", type(self).__name__, fix)
        known = ~np.isnan(labels) if labels.ndim == 1 else slice(None)
        calibrator: Calibrator = self.calibrator_class.fit(labels[known], risk[known])
        return calibrator
