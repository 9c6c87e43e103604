"""What the network sees of a batch: measurements, gaps, summaries and descriptors in normal scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.features.summaries import summarise
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.layers import QuantileScale

SCALE_STAYS, SCALE_FACTS = 50_000, 10_000_000  # what a scale of 65 quantiles is learned from, at most


@dataclass(frozen=True, eq=False)
class Inputs:
    """A batch in normal scores: each field is what explanations may attribute to.

    score      (fact,)            measurements
    observed   (row, variable)    1 = arrived at this step
    gap_hours  (row, variable)
    summaries  (point, feature)   scores, 0 where unknown
    known      (point, feature)   1 = summary exists
    static     (stay, column)     scores and levels, 0 where unknown, each with a column that says whether it is known
    """

    score: Tensor
    observed: Tensor
    gap_hours: Tensor
    summaries: Tensor
    known: Tensor
    static: Tensor


class Scales(nn.Module):
    """How values, summaries and descriptors of the training stays are spread, and batches seen through that.

    static_variables  levels of each static descriptor; 0 = a number
    indices  clinical indices beside the summaries
    """

    def __init__(self, variables: int, static_variables: tuple[int, ...], *, indices: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.static_variables, self.indices = static_variables, indices
        self.value = QuantileScale(variables)
        self.summary = QuantileScale(variables * len(SUMMARIES) + len(indices))
        self.static = QuantileScale(len(static_variables))

    @property
    def columns(self) -> int:
        """Columns that the descriptors become."""
        return sum(levels + 1 if levels else 2 for levels in self.static_variables)

    def learn(self, sequences: Sequences) -> None:
        """Remember the spread of these stays.

        Of more than 50,000 stays or 10 million measurements, evenly spaced stays of so many stand for all.
        """
        sequences = _enough(sequences)
        for variable in range(len(sequences.variables)):
            self.value.learn(variable, sequences.value[sequences.variable == variable])
        for feature, column in enumerate(summarise(sequences, indices=self.indices).T):
            self.summary.learn(feature, column[~np.isnan(column)])
        for static, column in enumerate(sequences.static.T):
            self.static.learn(static, column[~np.isnan(column)])

    def forward(self, batch: Batch) -> Inputs:
        """The batch in normal scores."""
        summaries = self.summary(batch.summaries)
        return Inputs(
            score=self.value.at(batch.value, batch.variable),
            observed=batch.observed,
            gap_hours=batch.gap_hours,
            summaries=summaries.nan_to_num(),
            known=(~summaries.isnan()).to(summaries.dtype),
            static=self._static(batch.static),
        )

    def _static(self, static: Tensor) -> Tensor:
        """(stay, static) -> (stay, column): known and score of a number, known and each level of a category."""
        scores, columns = self.static(static), [static.new_zeros(len(static), 0)]
        for i, levels in enumerate(self.static_variables):
            known = ~static[:, i].isnan()
            if levels:
                level = nn.functional.one_hot(static[:, i].nan_to_num().long().clamp(0, levels - 1), levels)
                columns += [known[:, None].float(), level * known[:, None]]
            else:
                columns += [known[:, None].float(), scores[:, i : i + 1].nan_to_num()]
        return torch.cat(columns, dim=1)


def _enough(sequences: Sequences) -> Sequences:
    """The stays, or as many of them as the quantiles of a scale need."""
    share = min(SCALE_STAYS / max(len(sequences), 1), SCALE_FACTS / max(len(sequences.value), 1))
    if share >= 1:
        return sequences
    return sequences[np.linspace(0, len(sequences) - 1, max(1, int(share * len(sequences)))).astype(int)]
