"""The encoder: from the steps of each stay to states of a recurrence that knows real time."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from clinicalgru.model.network.batch import Batch, looked_up
from clinicalgru.model.network.cells import (
    GATES,
    Cell,
    delay_scan,
    delayed_rows,
    gru_before_step,
    gru_step,
    lstm_step,
    rnn_step,
    scan,
)
from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.convolution import Convolutions
from clinicalgru.model.network.generator import Dropout, dropout_mask, linear, orthogonal_
from clinicalgru.model.network.layers import CodeBag, Decay, VariableEmbedding
from clinicalgru.model.network.recurrence import gru_scan
from clinicalgru.model.network.scaling import Inputs

CELLS: dict[tuple[str, str], Cell] = {
    ("gru", "after"): gru_step,
    ("gru", "before"): gru_before_step,
    ("lstm", "after"): lstm_step,
    ("rnn", "after"): rnn_step,
}
MEMORIES = {"gru": 1, "lstm": 2, "rnn": 1}


class Encoder(nn.Module):
    """State after each step: a recurrence whose inputs and state fade over the real gaps.

    Each step of a stay takes what `StepInputs` makes of it, through convolutions where there are any, into one or more
    layers of `Recurrent`.

    Source: Cho et al. 2014; Che et al. 2018, Eqs. 3-6 and 10-14. DIFF: scores are ranks among the training values;
    decay weights are non-negative; `layer_norm` (Ba et al. 2016) normalises the states that a layer passes on, not the
    gates within it.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.steps = StepInputs(spec)
        gaps, width = spec.variables + bool(spec.code_vocabulary), self.steps.width
        self.convolution = Convolutions(width, spec.hidden_size, spec.convolution) if spec.convolution else None
        width = spec.hidden_size if spec.convolution else width
        below = [width, *[spec.width] * (spec.n_layers - 1)]
        self.onward = nn.ModuleList(Recurrent(spec, inputs, gaps) for inputs in below)
        self.backward = nn.ModuleList(Recurrent(spec, inputs, gaps) for inputs in below if spec.bidirectional)
        self.norms = nn.ModuleList(nn.LayerNorm(spec.width, dtype=torch.float32) for _ in below if spec.layer_norm)
        self.dropout = Dropout(spec.dropout)

    def forward(self, inputs: Inputs, batch: Batch) -> tuple[Tensor, Batch]:
        """(row, width) state after each step, and the batch of these rows: a convolution with strides leaves fewer."""
        gap_hours = inputs.gap_hours
        if self.steps.bag is not None:
            gap_hours = torch.cat([gap_hours, batch.since[:, None]], dim=1)
        states = self.steps(inputs, batch)
        if self.convolution is not None:
            states, gap_hours, batch = self.convolution(states, gap_hours, batch)
        for number, onward in enumerate(self.onward):
            below = states if number == 0 else self.dropout(states)
            states = onward(below, gap_hours, batch)
            if self.backward:
                states = torch.cat([states, self._from_the_end(number, below, batch, gap_hours.shape[1])], dim=1)
            if self.norms:
                states = self.norms[number](states)
        return states, batch

    def _from_the_end(self, number: int, below: Tensor, batch: Batch, gaps: int) -> Tensor:
        """(row, hidden) state after each step of a layer that reads each stay from its end; the clock runs back."""
        mirror = batch.mirror()
        mirrored = replace(batch, hours=-batch.hours[mirror])
        gap_hours = mirrored.since[:, None].expand(-1, gaps).to(below.dtype)
        states = self.backward[number](below[mirror], gap_hours, mirrored)
        return states[mirror]

    def at_points(self, states: Tensor, batch: Batch) -> Tensor:
        """(point, width) the state at each point; what was read from the end is complete at the first step."""
        here = looked_up(states, batch.point_row)  # a stay without steps has a state of 0
        if not self.backward:
            return here
        onward, first = here.chunk(2, dim=1)[0], torch.where(batch.point_row < 0, -1, batch.point_stay)
        return torch.cat([onward, looked_up(states, first).chunk(2, dim=1)[1]], dim=1)


class StepInputs(nn.Module):
    """What enters at each step: the values, last seen and faded; which are new; and the step's coded events.

    A value enters as x = s (m + (1 - m) g_x), where s is the score last seen, m whether it is new, and
    g_x = exp(-max(0, w d + b)) its decay over the d hours since, towards the training median (score 0).

    Source: Che et al. 2018, Eqs. 3-5.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.value_decay = Decay(spec.variables, spec.variables, diagonal=True)
        self.embedding = VariableEmbedding(spec.variables) if spec.encoder == "per_variable" else None
        self.bag = CodeBag(len(spec.code_vocabulary)) if spec.code_vocabulary else None
        self.width = 2 * spec.variables if self.embedding is None else self.embedding.width
        self.width += self.bag.width if self.bag is not None else 0

    def forward(self, inputs: Inputs, batch: Batch) -> Tensor:
        """(row, width)."""
        score = looked_up(inputs.score, batch.carried)
        faded = score * (inputs.observed + (1 - inputs.observed) * self.value_decay(inputs.gap_hours))
        parts = [faded, inputs.observed]
        if self.embedding is not None:
            parts = [self.embedding(faded, inputs.observed, inputs.gap_hours)]
        if self.bag is not None:
            parts.append(self.bag(batch))
        return torch.cat(parts, dim=1)


class Recurrent(nn.Module):
    """One layer in one direction: its state fades by g_h = exp(-max(0, W d + b)) before each step of its cell.

    With `gate="time"` the logarithm of the gaps enters the update gate of a GRU, the forget gate of an LSTM.
    """

    def __init__(self, spec: NetworkSpec, inputs: int, gaps: int) -> None:
        super().__init__()
        hidden = spec.hidden_size
        self.spec, self.gates = spec, GATES[spec.cell] + (2 if spec.feedback_delay_hours is not None else 0)
        self.state_decay = Decay(gaps, hidden)
        self.project = linear(inputs, self.gates * hidden)
        self.recurrent = linear(hidden, self.gates * hidden)
        orthogonal_(self.recurrent.weight)
        self.time_gate = linear(gaps, hidden, bias=False) if spec.gate == "time" else None

    def forward(self, inputs: Tensor, gap_hours: Tensor, batch: Batch) -> Tensor:
        """inputs (row, inputs), gap_hours (row, gap) -> (row, hidden) state after each step."""
        drive, hidden = self.project(inputs), self.spec.hidden_size
        if self.time_gate is not None:  # z of a GRU and f of an LSTM both stand second
            by_gap = self.time_gate(torch.log1p(gap_hours))
            drive = drive + nn.functional.pad(by_gap, (hidden, (self.gates - 2) * hidden))
        return self._scan(drive, self.state_decay(gap_hours), batch, kept=self._kept(drive, batch))

    def _kept(self, like: Tensor, batch: Batch) -> Tensor | None:
        """(stay, hidden) one dropout mask for all steps of a stay; None where nothing is dropped."""
        if not self.training or self.spec.recurrent_dropout == 0:
            return None
        return dropout_mask(like.new_empty(len(batch.order), self.spec.hidden_size), self.spec.recurrent_dropout)

    def _scan(self, drive: Tensor, decay: Tensor, batch: Batch, *, kept: Tensor | None) -> Tensor:
        spec, weight, bias, sizes = self.spec, self.recurrent.weight, self.recurrent.bias, batch.sizes
        if spec.feedback_delay_hours is not None:
            delayed = delayed_rows(batch.hours, *batch.grid(), spec.feedback_delay_hours)
            return delay_scan(drive, decay, weight, bias, sizes=sizes, delayed=delayed, kept=kept)
        if (spec.cell, spec.reset) == ("gru", "after") and kept is None:
            return gru_scan(drive, decay, weight, bias, sizes)
        state = decay.new_zeros(max(sizes, default=0), MEMORIES[spec.cell] * spec.hidden_size)
        cell = CELLS[spec.cell, spec.reset]
        return scan(cell, state, drive=drive, decay=decay, weight=weight, bias=bias, sizes=sizes, kept=kept)
