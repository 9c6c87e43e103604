"""Pooling: one prediction from the predictions of several networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clinicalgru.evaluate.logistic import mean_log_probabilities


class Pooling:
    """Base of the heads: how the predictions of several networks become one, with equal weights.

    Notes
    -----
    Risks and classes are pooled by their log-odds (a logarithmic opinion pool). Distributions of a number, survival
    curves and forecasts are mixtures (a linear opinion pool), as in deep ensembles. A linear pool of calibrated
    predictions is too wide, which calibration of the pool corrects.

    References
    ----------
    Genest and Zidek 1986 (opinion pools). Lakshminarayanan et al. 2017 (deep ensembles). Gneiting and Ranjan 2013
    (calibration of linear pools).
    """

    @classmethod
    def pooled(cls, heads: Sequence[Any]) -> Any:
        """The head of several networks together; `pool` gives its predictions.

        Parameters
        ----------
        heads : sequence of Head
            One for each network, of one class.

        Returns
        -------
        Head
            The first head, where all predict the same classes or labels.
        """
        return heads[0]

    def pool(self, predictions: Sequence[np.ndarray]) -> np.ndarray:
        """The prediction of several networks together: of risks the mean log-odds.

        Parameters
        ----------
        predictions : sequence of ndarray, shape (prediction, ...)
            What `predict` of each head gives.

        Returns
        -------
        ndarray, shape (prediction, ...)
            As the head that `pooled` gives reads them.
        """
        return mean_log_probabilities([np.stack([1 - risk, risk], axis=-1) for risk in predictions])[..., 1]
