"""Inputs of the network: measurements, time gaps, summaries and static covariates in normal scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.features.rolling import ROLLING
from clinicalgru.model.features.summaries import summarise
from clinicalgru.model.network.batch import Batch, tensors_on
from clinicalgru.model.network.layers import QuantileScaler

MAX_STAYS, MAX_MEASUREMENTS = 50_000, 10_000_000  # that the 65 quantiles of a scaler are learned from


@dataclass(frozen=True, eq=False)
class Inputs:
    """A batch in normal scores.

    Explanations attribute to these fields.

    Attributes
    ----------
    score : Tensor, shape (measurement,)
        Scores of the measurements.
    mask : Tensor, shape (row, variable)
        1 where a variable was measured at this time step.
    delta_hours : Tensor, shape (row, variable)
        Hours since the last measurement before.
    summaries : Tensor, shape (point, feature)
        Scores of the summaries, 0 where there is none.
    summary_mask : Tensor, shape (point, feature)
        1 where there is a summary.
    static : Tensor, shape (point, column)
        Static covariates as scores or one-hot categories, 0 where unknown, each after a column that is 1 where it is
        known.
    """

    score: Tensor
    mask: Tensor
    delta_hours: Tensor
    summaries: Tensor
    summary_mask: Tensor
    static: Tensor

    def to(self, device: torch.device) -> Inputs:
        """The inputs on a device.

        Parameters
        ----------
        device : torch.device
            Where a network computes.

        Returns
        -------
        Inputs
            Itself, if they are there.
        """
        return tensors_on(self, device)


class InputScaler(nn.Module):
    """Scalers of values, summaries and static covariates, learned from the training stays.

    Parameters
    ----------
    variables : int
        Number of variables.
    static_variables : tuple of int
        Number of categories of each static covariate; 0 for a number.
    indices : tuple of str
        Clinical indices besides the summaries.
    rolling_hours : tuple of float
        Windows whose statistics are among the summaries.
    """

    def __init__(
        self,
        variables: int,
        static_variables: tuple[int, ...],
        *,
        indices: tuple[str, ...] = (),
        rolling_hours: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        self.static_variables, self.indices, self.rolling_hours = static_variables, indices, rolling_hours
        of_variable = len(SUMMARIES) + len(rolling_hours) * len(ROLLING)
        self.value = QuantileScaler(variables)
        self.summary = QuantileScaler(variables * of_variable + len(indices))
        self.static = QuantileScaler(len(static_variables))

    @property
    def static_width(self) -> int:
        """Number of columns of the static covariates."""
        return sum(categories + 1 if categories else 2 for categories in self.static_variables)

    def fit(self, sequences: Sequences, predicted: Callable[[Sequences], Sequences] | None = None) -> None:
        """Learn the quantiles of the training stays.

        Parameters
        ----------
        sequences : Sequences
            Training stays. Of more than 50,000 stays or 10 million measurements, evenly spaced stays are used. What
            fewer than 11 patients have is not learned.
        predicted : callable or None
            Gives stays as they are known at hours at which the network predicts: their summaries are learned. None: at
            the ends of the stays.
        """
        sequences = _thin_out(sequences)
        self.fit_measurements(sequences, predicted)
        patient = pd.factorize(sequences.patient)[0]
        for static, column in enumerate(sequences.static.T):
            known = ~np.isnan(column)
            self.static.fit(static, column[known], patient[known])

    def fit_measurements(self, sequences: Sequences, predicted: Callable[[Sequences], Sequences] | None = None) -> None:
        """Learn the quantiles of measurements and their summaries, not those of static covariates.

        Parameters
        ----------
        sequences, predicted
            As of `fit`.
        """
        sequences = _thin_out(sequences)
        patient = pd.factorize(sequences.patient)[0][sequences.stay_of_measurement]
        for variable in range(len(sequences.variables)):
            rows = sequences.variable == variable
            self.value.fit(variable, sequences.value[rows], patient[rows])
        known_then = sequences if predicted is None else _thin_out(predicted(sequences))
        patient = pd.factorize(known_then.patient)[0]
        for feature, column in enumerate(self.summaries(known_then).T):
            known = ~np.isnan(column)
            self.summary.fit(feature, column[known], patient[known])

    def summaries(self, sequences: Sequences) -> np.ndarray:
        """Summaries of stays at their ends, in their own units.

        Parameters
        ----------
        sequences : Sequences
            The stays.

        Returns
        -------
        ndarray of float32, shape (stay, feature)
            As of `summarise`.
        """
        return summarise(sequences, indices=self.indices, rolling_hours=self.rolling_hours)

    def forward(self, batch: Batch) -> Inputs:
        """A batch in normal scores.

        Parameters
        ----------
        batch : Batch
            The batch, in the units of the measurements.

        Returns
        -------
        Inputs
        """
        summaries = self.summary(batch.summaries)
        return Inputs(
            score=self.value.at(batch.value, batch.variable),
            mask=batch.mask,
            delta_hours=batch.delta_hours,
            summaries=summaries.nan_to_num(),
            summary_mask=(~summaries.isnan()).to(summaries.dtype),
            static=self.static_inputs(batch.static),
        )

    def static_inputs(self, static: Tensor) -> Tensor:
        """Scores or one-hot categories of static covariates, each after a column that says whether it is known.

        Parameters
        ----------
        static : Tensor, shape (point, static covariate)
            Values; NaN where unknown.

        Returns
        -------
        Tensor, shape (point, column)
        """
        scores, columns = self.static(static), [static.new_zeros(len(static), 0)]
        for i, categories in enumerate(self.static_variables):
            known = ~static[:, i].isnan()
            if categories:
                category = static[:, i].nan_to_num().long().clamp(0, categories - 1)
                columns += [known[:, None].float(), nn.functional.one_hot(category, categories) * known[:, None]]
            else:
                columns += [known[:, None].float(), scores[:, i : i + 1].nan_to_num()]
        return torch.cat(columns, dim=1)


def _thin_out(sequences: Sequences) -> Sequences:
    """Evenly spaced stays, at most MAX_STAYS with about MAX_MEASUREMENTS; all stays where there are fewer."""
    fraction = min(MAX_STAYS / max(len(sequences), 1), MAX_MEASUREMENTS / max(len(sequences.value), 1))
    if fraction >= 1:
        return sequences
    return sequences[np.linspace(0, len(sequences) - 1, max(1, int(fraction * len(sequences)))).astype(int)]
