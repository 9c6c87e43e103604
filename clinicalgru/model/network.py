"""The network: a time-aware GRU with input and hidden decay, attention, static descriptors and a summary readout."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clinicalgru.data.sequences import Sequences
from clinicalgru.data.variables import Variable
from clinicalgru.model.batch import Batch
from clinicalgru.model.layers import Attention, Decay, Members, NumberEmbedding, QuantileScale
from clinicalgru.model.recurrence import gru_scan
from clinicalgru.model.summaries import SUMMARIES, summarise

SCALE_STAYS, SCALE_FACTS = 50_000, 10_000_000  # what a scale of 65 quantiles is learned from, at most


@dataclass(frozen=True)
class Shape:
    """The sizes of a network, as they stand in a manifest."""

    variables: int
    statics: tuple[int, ...]  # levels of each static descriptor; 0 = a number
    hidden_size: int = 64
    readout_size: int = 128
    members: int = 16
    dropout: float = 0.2

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"statics": list(self.statics)}


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the network sees of a batch, in normal scores: each field is what explanations may attribute to.

    score      (fact,)           measurements
    observed   (row, variable)   1 = arrived at this step
    gap_hours  (row, variable)
    summaries  (stay, feature)   scores, 0 where unknown
    known      (stay, feature)   1 = summary exists
    static     (stay, column)    scores and levels, 0 where unknown, each with a column that says whether it is known
    """

    score: Tensor
    observed: Tensor
    gap_hours: Tensor
    summaries: Tensor
    known: Tensor
    static: Tensor


class ClinicalGRU(nn.Module):
    """Risk of each stay from what was measured, when, and what was not.

    Each step of a stay takes the gap-decayed last values x = s (m + (1 - m) g_x), where s is the score last seen, m
    whether it is new, g_x = exp(-max(0, w d + b)) its decay over the d hours since, towards the training median (score
    0); and m itself. The state decays by g_h = exp(-max(0, W d + b)) before each GRU step. Attention with a preference
    for recent hours, the last state, the static descriptors and the embedded per-variable summaries go into a readout
    of many members, whose mean probability is the risk.

    Source: Cho et al. 2014; Che et al. 2018, Eqs. 3-6; Gorishniy et al. 2022, 2024. DIFF: no statistic of a batch
    enters; scores are ranks among the training values; decay weights are non-negative.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        hidden, variables = shape.hidden_size, shape.variables
        features = variables * len(SUMMARIES)
        self.value_scale = QuantileScale(variables)
        self.summary_scale = QuantileScale(features)
        self.static_scale = QuantileScale(len(shape.statics))
        self.value_decay = Decay(variables, variables, diagonal=True)
        self.state_decay = Decay(variables, hidden)
        self.project = nn.Linear(2 * variables, 3 * hidden)
        self.recurrent = nn.Linear(hidden, 3 * hidden)
        nn.init.orthogonal_(self.recurrent.weight)
        self.attention = Attention(hidden)
        self.embedding = NumberEmbedding(features)
        columns = sum(levels + 1 if levels else 2 for levels in shape.statics)
        width = 2 * hidden + columns + features * self.embedding.line.shape[1]
        self.readout = Members(width, hidden=shape.readout_size, members=shape.members, dropout=shape.dropout)
        self.state_dropout = nn.Dropout(shape.dropout)

    def learn_scale(self, sequences: Sequences) -> None:
        """Remember how values, summaries and descriptors of the training stays are spread.

        Of more than 50,000 stays or 10 million measurements, evenly spaced stays of so many stand for all.
        """
        sequences = _enough(sequences)
        for variable in range(self.shape.variables):
            self.value_scale.learn(variable, sequences.value[sequences.variable == variable])
        for feature, column in enumerate(summarise(sequences).T):
            self.summary_scale.learn(feature, column[~np.isnan(column)])
        for static, column in enumerate(sequences.static.T):
            self.static_scale.learn(static, column[~np.isnan(column)])

    def inputs(self, batch: Batch) -> Inputs:
        """The batch in normal scores."""
        summaries = self.summary_scale(batch.summaries)
        return Inputs(
            score=self.value_scale.at(batch.value, batch.variable),
            observed=batch.observed,
            gap_hours=batch.gap_hours,
            summaries=summaries.nan_to_num(),
            known=(~summaries.isnan()).to(summaries.dtype),
            static=self._static(batch.static),
        )

    def _static(self, static: Tensor) -> Tensor:
        """(stay, static) -> (stay, column): known and score of a number, known and each level of a category."""
        scores, columns = self.static_scale(static), [static.new_zeros(len(static), 0)]
        for i, levels in enumerate(self.shape.statics):
            known = ~static[:, i].isnan()
            if levels:
                level = nn.functional.one_hot(static[:, i].nan_to_num().long().clamp(0, levels - 1), levels)
                columns += [known[:, None].float(), level * known[:, None]]
            else:
                columns += [known[:, None].float(), scores[:, i : i + 1].nan_to_num()]
        return torch.cat(columns, dim=1)

    def forward(self, batch: Batch) -> Tensor:
        """(member, stay) logits."""
        return self.logits(self.inputs(batch), batch)[0]

    def logits(self, inputs: Inputs, batch: Batch) -> tuple[Tensor, Tensor]:
        """(member, stay) logits and the attention weight of each row."""
        stays = len(batch.last_row)
        states = self.states(inputs, batch)
        hours_ago = batch.hours.new_zeros(stays).scatter_reduce(0, batch.stay, batch.hours, "amax", include_self=False)
        context, weight = self.attention(states, hours_ago[batch.stay] - batch.hours, batch.stay, stays)
        padded = torch.cat([states, states.new_zeros(1, states.shape[1])])  # a stay without steps has a last state of 0
        sequence = self.state_dropout(torch.cat([context, padded[batch.last_row]], dim=1))
        parts = [sequence, inputs.static, self.embedding(inputs.summaries, inputs.known)]
        return self.readout(torch.cat(parts, dim=1)), weight

    def states(self, inputs: Inputs, batch: Batch) -> Tensor:
        """(row, hidden) state after each step."""
        score = torch.cat([inputs.score, inputs.score.new_zeros(1)])[batch.carried]
        kept = inputs.observed + (1 - inputs.observed) * self.value_decay(inputs.gap_hours)
        drive = self.project(torch.cat([score * kept, inputs.observed], dim=1))
        decay = self.state_decay(inputs.gap_hours)
        return gru_scan(drive, decay, self.recurrent.weight, self.recurrent.bias, batch.sizes)


def _enough(sequences: Sequences) -> Sequences:
    """The stays, or as many of them as the quantiles of a scale need."""
    share = min(SCALE_STAYS / max(len(sequences), 1), SCALE_FACTS / max(len(sequences.value), 1))
    if share >= 1:
        return sequences
    return sequences[np.linspace(0, len(sequences) - 1, max(1, int(share * len(sequences)))).astype(int)]


def static_levels(statics: tuple[Variable, ...]) -> tuple[int, ...]:
    """Levels of each static descriptor; 0 for a number."""
    return tuple(len(variable.levels) for variable in statics)


def risk_of(logits: Tensor) -> Tensor:
    """(member, stay) logits -> (stay,) mean probability of the members."""
    return torch.sigmoid(logits).mean(dim=0)
