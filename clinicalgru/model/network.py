"""The network: a time-aware GRU with input and hidden decay, attention, static descriptors and a summary readout."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clinicalgru.data.variables import Variable
from clinicalgru.model.batch import Batch
from clinicalgru.model.encoder import Encoder
from clinicalgru.model.inputs import Inputs, Scales
from clinicalgru.model.layers import Attention, Members, NumberEmbedding
from clinicalgru.model.summaries import SUMMARIES


@dataclass(frozen=True)
class Shape:
    """The sizes of a network, as they stand in a manifest."""

    variables: int
    statics: tuple[int, ...]  # levels of each static descriptor; 0 = a number
    outputs: int = 1  # numbers that the head asks for at each point
    hidden_size: int = 64
    readout_size: int = 128
    members: int = 16
    dropout: float = 0.2

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"statics": list(self.statics)}


class ClinicalGRU(nn.Module):
    """What a head needs to know of each point (the end of a stay, or each of its steps), from what was measured, when,
    and what was not.

    The states of the encoder up to the point, through attention with a preference for recent hours; the state at the
    point; the static descriptors; and the embedded per-variable summaries up to the point go into a readout of many
    members. Nothing that follows a point can change what is read there.

    Source: Cho et al. 2014; Che et al. 2018; Gorishniy et al. 2022, 2024. DIFF: no statistic of a batch enters.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        features = shape.variables * len(SUMMARIES)
        self.scales = Scales(shape.variables, shape.statics)
        self.encoder = Encoder(shape.variables, shape.hidden_size)
        self.attention = Attention(shape.hidden_size)
        self.embedding = NumberEmbedding(features)
        width = 2 * shape.hidden_size + self.scales.columns + features * self.embedding.line.shape[1]
        sizes = {"hidden": shape.readout_size, "members": shape.members, "outputs": shape.outputs}
        self.readout = Members(width, dropout=shape.dropout, **sizes)
        self.state_dropout = nn.Dropout(shape.dropout)

    def forward(self, batch: Batch) -> Tensor:
        """(member, point, output)."""
        return self.logits(self.scales(batch), batch)[0]

    def logits(self, inputs: Inputs, batch: Batch) -> tuple[Tensor, Tensor]:
        """(member, point, output), and how each point attends to the steps of its stay: (stay, point, step)."""
        states = self.encoder(inputs, batch)
        context, weight = self.attention(states, batch)
        padded = torch.cat([states, states.new_zeros(1, states.shape[1])])  # a stay without steps has a last state of 0
        sequence = self.state_dropout(torch.cat([context, padded[batch.point_row]], dim=1))
        parts = [sequence, inputs.static[batch.point_stay], self.embedding(inputs.summaries, inputs.known)]
        return self.readout(torch.cat(parts, dim=1)), weight


def static_levels(statics: tuple[Variable, ...]) -> tuple[int, ...]:
    """Levels of each static descriptor; 0 for a number."""
    return tuple(len(variable.levels) for variable in statics)
