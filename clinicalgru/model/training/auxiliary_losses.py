"""Auxiliary losses (multi-task learning): other outcomes, the next measurements, and soft labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.model.heads.classification import masked_log_loss
from clinicalgru.model.heads.forecast import Forecast
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.layers import QuantileScaler
from clinicalgru.model.training.distillation import Teacher


@dataclass(frozen=True, eq=False)
class AuxiliaryTargets:
    """Auxiliary outcomes of training stays: log loss for those of 0 and 1, else Huber loss on normal scores.

    Parameters
    ----------
    stay_id : pandas.Index
        Identifier of each row.
    normal_scores : Tensor, shape (row, target)
        0 or 1, or the normal score of the rank among the training stays; NaN for unknown.
    is_binary : Tensor of bool, shape (target,)
        Whether a target is 0 or 1.
    """

    stay_id: pd.Index
    normal_scores: Tensor
    is_binary: Tensor

    @property
    def n_outputs(self) -> int:
        """Number of targets."""
        return len(self.is_binary)

    @classmethod
    def fit(cls, table: pd.DataFrame, stays: Sequences) -> Self:
        """Learn the ranks of the training stays.

        Parameters
        ----------
        table : pandas.DataFrame
            A column of numbers for each target; the index is stay_id.
        stays : Sequences
            The training stays. Rows of other stays are left out.

        Returns
        -------
        AuxiliaryTargets

        Raises
        ------
        ArgumentError
            If a column is text, a stay_id occurs twice, or the table has none of these stays.
        """
        index = table.index.astype(str)
        fix = "Pass a table of numbers whose index is stay_id."
        if not index.is_unique:
            raise ArgumentError("auxiliary outcomes, one row for each stay", "a stay_id that occurs twice", fix)
        row = index.get_indexer(pd.Index(stays.stay.astype(str)))
        if not (row >= 0).any():
            raise ArgumentError("auxiliary outcomes of the training stays", f"{describe(table)} of other stays", fix)
        try:
            numbers = table.to_numpy(dtype=np.float64, na_value=np.nan)[row[row >= 0]]
        except (TypeError, ValueError):
            raise ArgumentError("auxiliary outcomes that are numbers", "text", "Leave such columns out.") from None
        scores, is_binary = _scores(numbers)
        return cls(pd.Index(stays.stay[row >= 0].astype(str)), scores, is_binary)

    def loss(self, logits: Tensor, stays: Sequences, batch: Batch) -> Tensor:
        """Mean loss over members and known targets.

        Parameters
        ----------
        logits : Tensor, shape (member, point, target)
            Outputs of the network.
        stays : Sequences
            The stays that the batch was made from.
        batch : Batch
            The batch.

        Returns
        -------
        Tensor, shape ()
        """
        row = self.stay_id.get_indexer(pd.Index(stays.stay[batch.order].astype(str)))
        padded = torch.cat([self.normal_scores, self.normal_scores.new_full((1, self.n_outputs), torch.nan)])
        labels = padded[torch.from_numpy(row)][batch.point_stay].expand(logits.shape)
        is_binary = self.is_binary.expand(logits.shape)
        known = ~is_binary & ~labels.isnan()
        distance = (F.smooth_l1_loss(logits, labels.nan_to_num(), reduction="none") * known).sum()
        fraction = is_binary.float().mean()
        log_loss = masked_log_loss(logits[is_binary], labels[is_binary])
        return fraction * log_loss + (1 - fraction) * distance / known.sum().clamp_min(1)


def _scores(numbers: np.ndarray) -> tuple[Tensor, Tensor]:
    """Targets as 0 and 1 or as normal scores, and which are of 0 and 1; unknown ones are NaN."""
    numbers[~np.isfinite(numbers)] = np.nan
    values, is_binary = torch.from_numpy(numbers).float(), torch.zeros(numbers.shape[1], dtype=torch.bool)
    scaler = QuantileScaler(numbers.shape[1])
    for number, column in enumerate(numbers.T):
        known = column[~np.isnan(column)]
        is_binary[number] = bool(np.isin(known, (0, 1)).all())
        scaler.fit(number, known)
    return torch.where(is_binary, values, scaler(values)), is_binary


@dataclass(frozen=True, eq=False)
class AuxiliaryLosses:
    """Losses besides that of the head, and their weights.

    Parameters
    ----------
    targets : AuxiliaryTargets or None
        Auxiliary outcomes.
    auxiliary_weight : float
        Weight of their loss.
    forecast : Forecast or None
        Head of the next measurements, after each time step.
    forecast_weight : float
        Weight of its loss.
    teacher : Teacher or None
        Soft labels.
    distillation : float
        Fraction of the head's loss that is measured against the soft labels; in [0, 1).
    """

    targets: AuxiliaryTargets | None = None
    auxiliary_weight: float = 0.0
    forecast: Forecast | None = None
    forecast_weight: float = 0.0
    teacher: Teacher | None = None
    distillation: float = 0.0

    def distilled(self, loss: Tensor, logits: Tensor, stays: Sequences, batch: Batch) -> Tensor:
        """The loss of the head, mixed with that against the soft labels.

        Parameters
        ----------
        loss : Tensor, shape ()
            Loss of the head against the outcomes.
        logits : Tensor, shape (member, point, 1)
            Outputs of the head.
        stays : Sequences
            The stays that the batch was made from.
        batch : Batch
            The batch.

        Returns
        -------
        Tensor, shape ()
        """
        if self.teacher is None:
            return loss
        return torch.lerp(loss, self.teacher.loss(logits, stays, batch), self.distillation)

    def loss(self, logits: Tensor, forecast: Tensor | None, stays: Sequences, batch: Batch) -> Tensor:
        """The weighted sum of the auxiliary losses.

        Parameters
        ----------
        logits : Tensor, shape (member, point, target)
            Outputs of the network beyond those of the head.
        forecast : Tensor, shape (row, output), or None
            Outputs of the forecast after each time step.
        stays : Sequences
            The stays that the batch was made from.
        batch : Batch
            The batch.

        Returns
        -------
        Tensor, shape ()
        """
        loss = logits.new_zeros(())
        if self.targets is not None:
            loss = loss + self.auxiliary_weight * self.targets.loss(logits, stays, batch)
        if self.forecast is not None and forecast is not None:
            labels = self.forecast.row_labels(batch)
            loss = loss + self.forecast_weight * self.forecast.loss(forecast[None], labels)
        return loss


NO_AUXILIARY = AuxiliaryLosses()
