"""Head for forecasts: after each time step, a distribution of the next value of each variable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import TrainingError
from clinicalgru.model.heads.head import Head
from clinicalgru.model.network.batch import Batch, gather_padded
from clinicalgru.model.network.layers import QuantileScaler
from clinicalgru.model.network.network import ClinicalGRU

MIN_LOG_SCALE, MAX_LOG_SCALE = -4.0, 2.0  # of the logarithm of the Laplace scale, in normal scores
MIN_WEIGHT = 1e-9  # total weight of a batch in which nothing is measured next


@dataclass(frozen=True, eq=False)
class Forecast(Head):
    """The next value of each variable: a Laplace distribution in normal scores, with a likelihood of what is measured.

    Parameters
    ----------
    scaler : QuantileScaler
        The scaler of the network from values to normal scores.
    variable_weights : tuple of float
        Weight of each variable in the likelihood; (): all 1. A variable of weight 0 keeps its initial forecast.
    interval_scale : tuple of float
        Factor on the Laplace scale of each variable, from calibration; (): all 1.

    Notes
    -----
    For each variable the network gives the distance of the median of the next score from the last score (0, the
    training median, where there is none), and the logarithm of the Laplace scale, which is the mean absolute distance
    from that median. Members are combined as a mixture.

    Deviation from the paper: a Laplace instead of a normal distribution. Measurements change in jumps, and the median
    is the better comparator for the last value carried forward.

    References
    ----------
    De Brouwer et al. 2019, GRU-ODE-Bayes (masked likelihood of the next observations).
    """

    scaler: QuantileScaler
    variable_weights: tuple[float, ...] = ()
    interval_scale: tuple[float, ...] = ()
    per_step: ClassVar[bool] = True

    @property
    def n_outputs(self) -> int:
        """Two numbers for each variable."""
        return 2 * len(self.scaler.knots)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The anomaly score."""
        return ("anomaly",)

    @property
    def score_columns(self) -> tuple[str, ...]:
        """The anomaly score of the most anomalous measurement."""
        return ("anomaly",)

    @classmethod
    def fit_targets(cls, stays: Sequences) -> Self:
        """An unfitted scaler; that of the network takes its place."""
        return cls(QuantileScaler(len(stays.variables)))

    def to_dict(self) -> dict[str, Any]:
        """The scale of the intervals."""
        return {"interval_scale": list(self.interval_scale)}

    @classmethod
    def from_dict(cls, content: dict[str, Any], network: ClinicalGRU) -> Self:
        """The head that `to_dict` wrote, with the scaler of the network."""
        return cls(network.scaler.value, interval_scale=tuple(content["interval_scale"]))

    def validate_targets(self, stays: Sequences, name: str) -> None:
        """Refuse stays that all have one time step at most."""
        if not (stays.n_steps > 1).any():
            fix = "Take a longer window."
            raise TrainingError(f"stays with two time steps or more among the {name}", "0 of them", fix)

    def labels(self, stays: Sequences, batch: Batch) -> Tensor:
        """Next and last score of each variable, at each prediction of the batch; see `row_labels`."""
        return self.row_labels(batch)[batch.point_row]

    def row_labels(self, batch: Batch) -> Tensor:
        """The score that each variable has at the next time step of the stay, and the last score before.

        Parameters
        ----------
        batch : Batch
            Stays.

        Returns
        -------
        Tensor, shape (row, 2, variable)
            The next score is NaN where nothing is measured next. The last score is 0 where there is none.
        """
        return torch.stack([next_scores(self.scaler, batch), last_scores(self.scaler, batch)], dim=1)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted mean negative log likelihood of what is measured next; logits (member, row, 2 x variable)."""
        change, scale = _split(logits)
        true_change = (labels[:, 0] - labels[:, 1]).nan_to_num()
        losses = (true_change - change).abs() / scale + scale.log()
        weights = self._label_weights(labels)
        return (losses * weights).sum() / (len(logits) * weights.sum().clamp_min(MIN_WEIGHT)) + math.log(2)

    def loss_denominator(self, labels: Tensor) -> float:
        """The total weight of what is measured next."""
        return float(self._label_weights(labels).sum())

    def _label_weights(self, labels: Tensor) -> Tensor:
        """The weight of each next score, of shape (row, variable); 0 where nothing is measured next."""
        return ~labels[:, 0].isnan() * labels.new_tensor(self.variable_weights or (1.0,))

    @property
    def step_sampling_weights(self) -> np.ndarray | None:
        """The square of the weight of each variable: steps before rare variables are sampled more often."""
        return np.square(self.variable_weights) if self.variable_weights else None

    def aggregate_members(self, logits: Tensor) -> Tensor:
        """The mixture of the members as one Laplace: mean of the medians, and mean distance of the mixture from it."""
        median, mean_distance = _mixture(*_split(logits.double()))
        return torch.cat([median, mean_distance.log()], dim=2)

    def predict(self, aggregated: Tensor) -> Tensor:
        """Change of the median from the last score, and Laplace scale: (row, 2, variable)."""
        change, scale = _split(aggregated[0])
        interval_scale = scale.new_tensor(self.interval_scale or (1.0,))
        return torch.stack([change, scale * interval_scale], dim=1)

    @classmethod
    def pooled(cls, heads: Sequence[Any]) -> Forecast:
        """A head with the scaler of all networks together, without calibration."""
        return cls(_pooled_scaler([head.scaler for head in heads]))

    def pool(self, predictions: Sequence[np.ndarray]) -> np.ndarray:
        """The mixture of the networks as one Laplace; the normal scores of all networks are taken for the same."""
        change, scale = torch.from_numpy(np.stack(predictions)).unbind(dim=2)
        median, mean_distance = _mixture(change, scale)
        interval_scale = scale.new_tensor(self.interval_scale or (1.0,))
        return torch.stack([median[0], mean_distance[0] * interval_scale], dim=1).numpy()

    @staticmethod
    def strata(stays: Sequences) -> np.ndarray:
        """All alike: the outcome of the task is not used."""
        return np.zeros(len(stays))


def _pooled_scaler(scalers: Sequence[QuantileScaler]) -> QuantileScaler:
    """The scaler of several networks together: quantiles of their quantiles."""
    knots = torch.stack([scaler.knots for scaler in scalers]).numpy()
    pooled = QuantileScaler(knots.shape[1], knots=knots.shape[2])
    for variable in range(knots.shape[1]):
        learned = knots[(knots[:, variable] != 0).any(axis=1), variable]
        if len(learned):
            ranks = np.linspace(0, 1, knots.shape[2])
            pooled.set_knots(variable, np.quantile(learned.astype(np.float64).ravel(), ranks))
    return pooled


def _mixture(change: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the medians, and mean distance of the mixture from it: the scale of a Laplace around it."""
    median = change.mean(dim=0, keepdim=True)
    distance = (change - median).abs()
    return median, (distance + scale * torch.exp(-distance / scale)).mean(dim=0, keepdim=True)


def last_scores(scaler: QuantileScaler, batch: Batch) -> Tensor:
    """The score of the last value of each variable at each row; 0, the median, where there is none.

    Parameters
    ----------
    scaler : QuantileScaler
        From values to normal scores.
    batch : Batch
        Stays.

    Returns
    -------
    Tensor, shape (row, variable)
    """
    return gather_padded(scaler.at(batch.value, batch.variable), batch.locf_index)


def next_scores(scaler: QuantileScaler, batch: Batch) -> Tensor:
    """The score of each variable at the next time step of the stay; NaN where nothing is measured, or there is none.

    Parameters
    ----------
    scaler : QuantileScaler
        From values to normal scores.
    batch : Batch
        Stays.

    Returns
    -------
    Tensor, shape (row, variable)
    """
    measured = torch.where(batch.mask > 0, last_scores(scaler, batch), torch.nan)
    rows, exists = next_rows(batch)
    return torch.where(exists[:, None], measured[rows], torch.nan)


def next_rows(batch: Batch) -> tuple[Tensor, Tensor]:
    """The row of the next time step of the same stay, and whether there is one.

    Parameters
    ----------
    batch : Batch
        Stays.

    Returns
    -------
    rows : Tensor of int64, shape (row,)
        The row itself where there is no next step.
    exists : Tensor of bool, shape (row,)
    """
    sizes = torch.tensor(batch.sizes, dtype=torch.long)
    later = torch.cat([sizes[1:], sizes.new_zeros(1)]) if len(sizes) else sizes
    rows = torch.arange(len(batch.hours))
    number = rows - torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    exists = number < torch.repeat_interleave(later, sizes)
    return torch.where(exists, rows + torch.repeat_interleave(sizes, sizes), rows), exists


def _split(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Change of the median, and Laplace scale, from the outputs of the network."""
    change, log_scale = logits.chunk(2, dim=-1)
    return change, log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE).exp()
