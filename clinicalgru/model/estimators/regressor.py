"""GRURegressor: a number with a prediction interval."""

from __future__ import annotations

from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin

from clinicalgru.checks import check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.fit_state import check_outcome, check_stays
from clinicalgru.model.heads.regression import Regression

DEFAULT_COVERAGE = 0.9


class GRURegressor(RegressorMixin, GRUEstimator):
    """A number, such as the length of stay, with a prediction interval.

    For tasks of type "regression". Parameters and further attributes: see `GRUEstimator`.

    Attributes
    ----------
    coverage_ : float
        Coverage of the prediction interval; 0.9 before `calibrate`.
    half_width_ : float
        Half of the probability that the interval spans, set by `calibrate`.

    Notes
    -----
    The network predicts the probability of each of 20 bins of the training outcomes. Mean, median and intervals are
    those of this distribution, and do not exceed the range of the training outcomes.

    Examples
    --------
    >>> from clinicalgru import GRURegressor
    >>> GRURegressor(max_epochs=8)
    GRURegressor(max_epochs=8)
    """

    HEADS = MappingProxyType({"regression": Regression})
    EXTRA_STATE = ("coverage_", "half_width_")
    head_: Regression
    coverage_: float = DEFAULT_COVERAGE
    half_width_: float = DEFAULT_COVERAGE / 2

    def predict(self, stays: Sequences) -> np.ndarray:
        """Predict the mean of the outcome.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the training stays, and at least one measurement each.

        Returns
        -------
        ndarray, shape (stay,)
            In the unit of the outcome.
        """
        return self.head_.mean(self._predicted(stays).numpy())

    def predict_quantiles(self, stays: Sequences, quantiles: tuple[float, ...]) -> np.ndarray:
        """Predict quantiles of the outcome.

        Parameters
        ----------
        stays : Sequences
            As for `predict`.
        quantiles : sequence of float
            Probabilities between 0 and 1, such as (0.05, 0.5, 0.95).

        Returns
        -------
        ndarray, shape (stay, quantile)
            In the unit of the outcome.

        Raises
        ------
        ArgumentError
            For probabilities outside of 0 to 1.
        """
        try:
            levels = np.atleast_1d(np.asarray(quantiles, dtype=float))
        except (TypeError, ValueError):
            levels = np.array([np.nan])
        if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
            got = f"{list(quantiles)}" if isinstance(quantiles, list | tuple) else describe(quantiles)
            raise ArgumentError("quantiles between 0 and 1", got, "Pass (0.05, 0.5, 0.95).")
        return self.head_.quantiles(self._predicted(stays).numpy(), levels)

    def calibrate(self, stays: Sequences, *, coverage: float = DEFAULT_COVERAGE) -> Self:
        """Set the width of the prediction interval so that it covers a fraction of stays that training has not seen.

        Parameters
        ----------
        stays : Sequences
            Stays with known outcomes, of other patients than the training and validation stays.
        coverage : float
            Fraction of outcomes that the interval should cover, between 0 and 1.

        Returns
        -------
        GRURegressor
            The estimator itself.

        Raises
        ------
        ClinicalGRUError
            For a coverage outside of 0 to 1, unknown outcomes, or stays whose patient training or early stopping saw.

        References
        ----------
        Split conformal prediction: Vovk et al. 2005, on the probability between the outcome and the median
        (Chernozhukov et al. 2021, Distributional conformal prediction).
        """
        check_number("coverage", coverage, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
        self._calibrate_on(self._calibration_scores(self._unseen(stays)), coverage=float(coverage))
        self._record_calibration(stays)
        return self

    def _calibration_scores(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        """Give the probability between the outcome and the median of each stay."""
        predicted = self._predicted(stays).numpy()
        self.head_.validate_targets(stays, "stays to calibrate on")
        return (np.abs(self.head_.below(predicted, stays.outcome) - 0.5),)

    def _calibrate_on(self, scores: tuple[np.ndarray, ...], coverage: float = DEFAULT_COVERAGE) -> None:
        """Set the half-width of the interval."""
        distance = np.sort(scores[0])
        rank = int(np.ceil((len(distance) + 1) * coverage))
        self.coverage_, self.half_width_ = coverage, float([*distance, 0.5][min(rank - 1, len(distance))])

    def predict_interval(self, stays: Sequences) -> np.ndarray:
        """Predict the interval of coverage `coverage_`.

        Parameters
        ----------
        stays : Sequences
            As for `predict`.

        Returns
        -------
        ndarray, shape (stay, 2)
            Lower and upper end, in the unit of the outcome.
        """
        return self.score_rows(stays)[:, [1, 3]]

    def score(self, X: Sequences, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """R², as scikit-learn's regressors define it; stays may be weighted. 1 is perfect, 0 as good as the mean."""
        check_outcome(y, check_stays("X", X))
        return float(RegressorMixin.score(self, X, X.outcome, sample_weight))

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Give mean, median and interval of each stay, as `clinicalgru.score` writes them.

        Parameters
        ----------
        stays : Sequences
            As for `predict`.

        Returns
        -------
        ndarray, shape (stay, 4)
            Mean, low, median and high, in the unit of the outcome.
        """
        probability = self._predicted(stays).numpy()
        levels = np.array([0.5 - self.half_width_, 0.5, 0.5 + self.half_width_])
        return np.column_stack([self.head_.mean(probability), self.head_.quantiles(probability, levels)])
