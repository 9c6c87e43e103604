"""What else a network is asked while it trains, so that it learns more: other outcomes, what is measured next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.model.heads.classification import masked_log_loss
from clinicalgru.model.heads.forecast import Forecast
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.layers import QuantileScale
from clinicalgru.model.training.distillation import Teacher


@dataclass(frozen=True, eq=False)
class Auxiliary:
    """Further outcomes of the training stays: log loss where a column is 0 or 1, else distance of normal scores.

    stays    stay_id of each row
    scores   (row, column) 0 or 1, or the normal score of the rank among the training stays; NaN = not known
    two      (column,) whether it is 0 or 1
    """

    stays: pd.Index
    scores: Tensor
    two: Tensor

    @property
    def outputs(self) -> int:
        return len(self.two)

    @classmethod
    def learn(cls, table: pd.DataFrame, stays: Sequences) -> Self:
        """The columns of a table with stay_id as index, for these training stays.

        Refused: columns of text, a stay_id twice, a table of other stays.
        """
        index = table.index.astype(str)
        place = index.get_indexer(pd.Index(stays.stay.astype(str))) if index.is_unique else np.array([-1])
        if not index.is_unique or not (place >= 0).any():
            fix = "Pass a table of numbers whose index is stay_id."
            raise ArgumentError("auxiliary outcomes, one row for each stay", "another table", fix)
        try:
            numbers = table.to_numpy(dtype=np.float64, na_value=np.nan)[place[place >= 0]]
        except (TypeError, ValueError):
            raise ArgumentError("auxiliary outcomes that are numbers", "text", "Leave such columns out.") from None
        numbers[~np.isfinite(numbers)] = np.nan
        scores, two = torch.from_numpy(numbers).float(), torch.zeros(numbers.shape[1], dtype=torch.bool)
        scale = QuantileScale(numbers.shape[1])
        for number, column in enumerate(numbers.T):
            known = column[~np.isnan(column)]
            two[number] = bool(np.isin(known, (0, 1)).all())
            scale.learn(number, known)
        scores = torch.where(two, scores, scale(scores))
        return cls(pd.Index(stays.stay[place >= 0].astype(str)), scores, two)

    def loss(self, logits: Tensor, stays: Sequences, batch: Batch) -> Tensor:
        """Mean over what is known. logits (member, point, column)."""
        place = self.stays.get_indexer(pd.Index(stays.stay[batch.order].astype(str)))
        padded = torch.cat([self.scores, self.scores.new_full((1, self.outputs), torch.nan)])
        target = padded[torch.from_numpy(place)][batch.point_stay].expand(logits.shape)
        two = self.two.expand(logits.shape)
        known = ~two & ~target.isnan()
        distance = (F.smooth_l1_loss(logits, target.nan_to_num(), reduction="none") * known).sum()
        share = two.float().mean()
        return share * masked_log_loss(logits[two], target[two]) + (1 - share) * distance / known.sum().clamp_min(1)


@dataclass(frozen=True, eq=False)
class Beside:
    """What is asked besides a head, and how much it counts.

    auxiliary, auxiliary_weight   further outcomes
    forecast, forecast_weight     what is measured after each step
    teacher, distillation         the risks of boosted trees, and which part of the head's loss is measured against them
    """

    auxiliary: Auxiliary | None = None
    auxiliary_weight: float = 0.0
    forecast: Forecast | None = None
    forecast_weight: float = 0.0
    teacher: Teacher | None = None
    distillation: float = 0.0

    def taught(self, loss: Tensor, logits: Tensor, stays: Sequences, batch: Batch) -> Tensor:
        """The head's loss, a part of it against the teacher's risks. logits (member, stay, 1)."""
        if self.teacher is None:
            return loss
        return torch.lerp(loss, self.teacher.loss(logits, stays, batch), self.distillation)

    def loss(self, logits: Tensor, ahead: Tensor | None, stays: Sequences, batch: Batch) -> Tensor:
        """The weighted losses. logits (member, point, column) beyond the head's; ahead (row, forecast)."""
        loss = logits.new_zeros(())
        if self.auxiliary is not None:
            loss = loss + self.auxiliary_weight * self.auxiliary.loss(logits, stays, batch)
        if self.forecast is not None and ahead is not None:
            target = self.forecast.row_labels(batch)
            loss = loss + self.forecast_weight * self.forecast.loss(ahead[None], target)
        return loss


ALONE = Beside()
