"""The network: a time-aware GRU with input and hidden decay, attention, static descriptors and a summary readout."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.network.attention import Attended, attended, attention
from clinicalgru.model.network.batch import Batch, Sample, collate
from clinicalgru.model.network.codes import known_codes
from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.encoder import Encoder
from clinicalgru.model.network.generator import Dropout, linear, use_generator
from clinicalgru.model.network.layers import CodeBag, Members, NumberEmbedding, OwnSummaries
from clinicalgru.model.network.scaling import Inputs, Scales


class ClinicalGRU(nn.Module):
    """What a head needs to know of each point (the end of a stay, or each of its steps), from what was measured, when,
    and what was not.

    The states of the encoder up to the point, through attention with a preference for recent hours; the state at the
    point; the static descriptors; the embedded per-variable summaries, and the codes, up to the point go into a readout
    of many members. Nothing that follows a point can change what is read there.

    Source: Cho et al. 2014; Che et al. 2018; Gorishniy et al. 2022, 2024. DIFF: no statistic of a batch enters.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.scales = Scales(spec.variables, spec.static_variables, indices=spec.clinical_indices)
        self.encoder = Encoder(spec)
        self.attention = attention(spec.attention, spec.width)
        self.embedding = NumberEmbedding(spec.features)
        self.codes = CodeBag(len(spec.code_vocabulary)) if spec.code_vocabulary else None
        width = self.attention.width + spec.width + self.scales.columns + spec.features * self.embedding.line.shape[1]
        width += self.codes.width if self.codes is not None else 0
        sizes = {"hidden": spec.readout_size, "members": spec.ensemble_size, "outputs": spec.outputs}
        self.readout = Members(width, dropout=spec.dropout, **sizes)
        self.by_variable = OwnSummaries(spec.variables, self.embedding.line.shape[1]) if spec.by_variable else None
        self.state_dropout = Dropout(spec.dropout)
        self.ahead = linear(spec.width, spec.forecasts) if spec.forecasts else None

    def batch(self, stays: Sequences, *, every_step: bool = False, sample: Sample | None = None) -> Batch:
        """These stays as this network looks at them: with the coded events it knows, or without any; see `collate`."""
        known, spec = known_codes(stays, self.spec.code_vocabulary), self.spec
        codes = bool(spec.code_vocabulary)
        return collate(known, every_step=every_step, codes=codes, indices=spec.clinical_indices, sample=sample)

    def alone(self, outputs: int) -> ClinicalGRU:
        """The same network with its first outputs, and without what it was asked besides while it trained."""
        with use_generator(torch.Generator()):  # what is drawn is replaced below
            network = ClinicalGRU(replace(self.spec, outputs=outputs, forecasts=0))
        kept = {name: weight for name, weight in self.state_dict().items() if not name.startswith("ahead.")}
        kept |= {name: kept[name][..., :outputs] for name in ("readout.last", "readout.bias")}
        network.load_state_dict(kept)
        return network

    def forward(self, batch: Batch) -> Tensor:
        """(member, point, output)."""
        return self.logits(self.scales(batch), batch)[0]

    def logits(self, inputs: Inputs, batch: Batch) -> tuple[Tensor, Attended]:
        """(member, point, output), and how each point attends to the steps of its stay."""
        states, steps = self.encoder(inputs, batch)
        return self._read(states, steps, inputs, batch)

    def with_forecast(self, inputs: Inputs, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """(member, point, output), and (row, forecast) of what is measured after each step, if it was shaped for it."""
        states, steps = self.encoder(inputs, batch)
        ahead = self.ahead(states) if self.ahead is not None else None
        return self._read(states, steps, inputs, batch)[0], ahead

    def _read(self, states: Tensor, steps: Batch, inputs: Inputs, batch: Batch) -> tuple[Tensor, Attended]:
        """What `logits` gives, from the states (row, width) of the encoder at these steps."""
        context, weight = self.attention(states, steps)
        sequence = self.state_dropout(torch.cat([context, self.encoder.at_points(states, steps)], dim=1))
        embedded = self.embedding(inputs.summaries, inputs.known)
        parts = [sequence, inputs.static[batch.point_stay], embedded]
        if self.codes is not None:
            parts.append(self.codes.so_far(batch))
        said = self.readout(torch.cat(parts, dim=1))
        if self.by_variable is not None:
            own = self.by_variable(embedded)
            said = said + nn.functional.pad(own, (0, said.shape[2] - own.shape[1]))
        return said, attended(weight, steps)


def static_levels(static_variables: tuple[Variable, ...]) -> tuple[int, ...]:
    """Levels of each static descriptor; 0 for a number."""
    return tuple(len(variable.categories) for variable in static_variables)
