"""The encoder: from the time steps of each stay to the states of a recurrence with decay over time gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from clinicalgru.model.network.batch import Batch, gather_padded
from clinicalgru.model.network.cells import (
    GATES,
    Cell,
    delayed_rows,
    feedback_scan,
    gru_before_step,
    gru_step,
    lstm_step,
    rnn_step,
    scan,
)
from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.convolution import Convolutions
from clinicalgru.model.network.embeddings import CodeEmbedding, VariableEmbedding
from clinicalgru.model.network.generator import Dropout, linear, orthogonal_, random_dropout_mask
from clinicalgru.model.network.layers import Decay
from clinicalgru.model.network.native import gru_layer
from clinicalgru.model.network.scaling import Inputs

CELLS: dict[tuple[str, str], Cell] = {
    ("gru", "after"): gru_step,
    ("gru", "before"): gru_before_step,
    ("lstm", "after"): lstm_step,
    ("rnn", "after"): rnn_step,
}
MEMORIES = {"gru": 1, "lstm": 2, "rnn": 1}


class Encoder(nn.Module):
    """Recurrent encoder whose inputs and state decay over the time gaps (GRU-D).

    Each time step is embedded by `StepEmbedding`, optionally convolved, and passed through the layers of `Recurrent`.

    Parameters
    ----------
    spec : NetworkSpec
        Sizes and options of the network.

    Notes
    -----
    Deviation from the paper: inputs are normal scores of the training values, and decay weights are not negative.
    `layer_norm` normalises the states that a layer passes on, not its gates.

    References
    ----------
    Cho et al. 2014. Che et al. 2018, Eqs. 3-6 and 10-14. Ba et al. 2016, layer normalisation.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.steps = StepEmbedding(spec)
        gaps, width = spec.variables + bool(spec.code_vocabulary), self.steps.width
        self.convolution = Convolutions(width, spec.hidden_size, spec.convolution) if spec.convolution else None
        width = spec.hidden_size if spec.convolution else width
        below = [width, *[spec.width] * (spec.n_layers - 1)]
        self.forward_layers = nn.ModuleList(Recurrent(spec, inputs, gaps) for inputs in below)
        self.backward_layers = nn.ModuleList(Recurrent(spec, inputs, gaps) for inputs in below if spec.bidirectional)
        self.norms = nn.ModuleList(nn.LayerNorm(spec.width, dtype=torch.float32) for _ in below if spec.layer_norm)
        self.dropout = Dropout(spec.dropout)

    def forward(self, inputs: Inputs, batch: Batch) -> tuple[Tensor, Batch]:
        """Encode a batch.

        Parameters
        ----------
        inputs : Inputs
            The batch in normal scores.
        batch : Batch
            The batch.

        Returns
        -------
        states : Tensor, shape (row, width)
            State after each time step.
        batch : Batch
            The batch of these rows; a convolution with strides leaves fewer.
        """
        delta_hours = inputs.delta_hours
        if self.steps.codes is not None:
            delta_hours = torch.cat([delta_hours, batch.step_interval_hours[:, None]], dim=1)
        states = self.steps(inputs, batch)
        if self.convolution is not None:
            states, delta_hours, batch = self.convolution(states, delta_hours, batch)
        for number, layer in enumerate(self.forward_layers):
            below = states if number == 0 else self.dropout(states)
            states = layer(below, delta_hours, batch)
            if self.backward_layers:
                states = torch.cat([states, self._backward_layer(number, below, batch, delta_hours.shape[1])], dim=1)
            if self.norms:
                states = self.norms[number](states)
        return states, batch

    def _backward_layer(self, number: int, below: Tensor, batch: Batch, gaps: int) -> Tensor:
        """States of a layer that reads each stay from its end, of shape (row, hidden); hours are reversed."""
        rows = batch.reversed_rows()
        reversed_batch = replace(batch, hours=-batch.hours[rows])
        delta_hours = reversed_batch.step_interval_hours[:, None].expand(-1, gaps).to(below.dtype)
        states = self.backward_layers[number](below[rows], delta_hours, reversed_batch)
        return states[rows]

    def states_at(self, states: Tensor, batch: Batch) -> Tensor:
        """The state at each prediction.

        Parameters
        ----------
        states : Tensor, shape (row, width)
            From `forward`.
        batch : Batch
            The batch of these rows, from `forward`.

        Returns
        -------
        Tensor, shape (point, width)
            0 in a stay without time steps. The backward state is that at the first time step, which has read the whole
            stay.
        """
        here = gather_padded(states, batch.point_row)
        if not self.backward_layers:
            return here
        forward_states, first = here.chunk(2, dim=1)[0], torch.where(batch.point_row < 0, -1, batch.point_stay)
        return torch.cat([forward_states, gather_padded(states, first).chunk(2, dim=1)[1]], dim=1)


class StepEmbedding(nn.Module):
    """Inputs of the recurrence at each time step: decayed values, masks, and coded events.

    A value enters as x = s (m + (1 - m) g), where s is the score carried forward, m its mask, and
    g = exp(-max(0, w d + b)) its decay over d hours towards the training median (score 0).

    Parameters
    ----------
    spec : NetworkSpec
        Sizes and options of the network.

    References
    ----------
    Che et al. 2018, Eqs. 3-5.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.value_decay = Decay(spec.variables, spec.variables, diagonal=True)
        self.embedding = VariableEmbedding(spec.variables) if spec.encoder == "per_variable" else None
        self.codes = CodeEmbedding(len(spec.code_vocabulary)) if spec.code_vocabulary else None
        self.width = 2 * spec.variables if self.embedding is None else self.embedding.width
        self.width += self.codes.width if self.codes is not None else 0

    def forward(self, inputs: Inputs, batch: Batch) -> Tensor:
        """Embedded time steps of a batch.

        Parameters
        ----------
        inputs : Inputs
            The batch in normal scores.
        batch : Batch
            The batch.

        Returns
        -------
        Tensor, shape (row, width)
        """
        score = gather_padded(inputs.score, batch.locf_index)
        embedded = self.embed(score, inputs.mask, inputs.delta_hours)
        return embedded if self.codes is None else torch.cat([embedded, self.codes(batch)], dim=1)

    def embed(self, score: Tensor, mask: Tensor, delta_hours: Tensor) -> Tensor:
        """Embed rows without their coded events.

        Parameters
        ----------
        score, mask, delta_hours : Tensor, shape (row, variable)
            Last score, whether it was measured at this row, and hours since the last measurement before.

        Returns
        -------
        Tensor, shape (row, width)
        """
        decayed = score * (mask + (1 - mask) * self.value_decay(delta_hours))
        if self.embedding is not None:
            return self.embedding(decayed, mask, delta_hours)
        return torch.cat([decayed, mask], dim=1)


class Recurrent(nn.Module):
    """One recurrent layer in one direction; its state decays by exp(-max(0, W d + b)) before each time step.

    Parameters
    ----------
    spec : NetworkSpec
        Sizes and options. With `gate="time"` the logarithm of the time gaps enters the update gate of a GRU, or the
        forget gate of an LSTM.
    inputs : int
        Number of inputs of a row.
    gaps : int
        Number of time gaps of a row.

    References
    ----------
    Che et al. 2018, Eqs. 4 and 10. Gal and Ghahramani 2016, variational recurrent dropout.
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

    def forward(self, inputs: Tensor, delta_hours: Tensor, batch: Batch) -> Tensor:
        """States after each time step.

        Parameters
        ----------
        inputs : Tensor, shape (row, inputs)
            Embedded time steps, or states of the layer below.
        delta_hours : Tensor, shape (row, gap)
            Time gaps.
        batch : Batch
            The batch of these rows.

        Returns
        -------
        Tensor, shape (row, hidden)
        """
        dropout_mask = self._dropout_mask(inputs, batch)
        spec = self.spec
        if (spec.cell, spec.reset, spec.feedback_delay_hours, dropout_mask) == ("gru", "after", None, None):
            return self._fast_layer(inputs, delta_hours, batch.sizes)
        input_projection, hidden = self.project(inputs), spec.hidden_size
        if self.time_gate is not None:  # z of a GRU and f of an LSTM are both second
            gate_input = self.time_gate(torch.log1p(delta_hours))
            input_projection = input_projection + nn.functional.pad(gate_input, (hidden, (self.gates - 2) * hidden))
        return self._scan(input_projection, self.state_decay(delta_hours), batch, dropout_mask=dropout_mask)

    def _fast_layer(
        self, inputs: Tensor, delta_hours: Tensor, sizes: Sequence[int], state: Tensor | None = None
    ) -> Tensor:
        """The states of a GRU whose reset gate stands after the product; the time gate's gaps are further inputs."""
        weight, hidden = self.project.weight, self.spec.hidden_size
        if self.time_gate is not None:
            inputs = torch.cat([inputs, torch.log1p(delta_hours)], dim=1)
            weight = torch.cat([weight, nn.functional.pad(self.time_gate.weight, (0, 0, hidden, hidden))], dim=1)
        return gru_layer(
            inputs,
            delta_hours,
            input_weights=(weight, self.project.bias),
            decay_weights=self.state_decay.exponent_weights(),
            weights=(self.recurrent.weight, self.recurrent.bias),
            sizes=sizes,
            state=state,
        )

    def following(self, inputs: Tensor, delta_hours: Tensor, state: Tensor) -> Tensor:
        """States after further time steps of one stay, without gradients.

        Parameters
        ----------
        inputs : Tensor, shape (row, inputs)
            As of `forward`.
        delta_hours : Tensor, shape (row, gap)
            Time gaps.
        state : Tensor, shape (1, hidden)
            State before them, of a GRU whose reset gate stands after the product.

        Returns
        -------
        Tensor, shape (row, hidden)
        """
        return self._fast_layer(inputs, delta_hours, [1] * len(inputs), state)

    def _dropout_mask(self, like: Tensor, batch: Batch) -> Tensor | None:
        """One dropout mask for all time steps of a stay, of shape (stay, hidden); None where nothing is dropped."""
        if not self.training or self.spec.recurrent_dropout == 0:
            return None
        return random_dropout_mask(like.new_empty(len(batch.order), self.spec.hidden_size), self.spec.recurrent_dropout)

    def _scan(self, input_projection: Tensor, decay: Tensor, batch: Batch, *, dropout_mask: Tensor | None) -> Tensor:
        spec, weight, bias, sizes = self.spec, self.recurrent.weight, self.recurrent.bias, batch.sizes
        if spec.feedback_delay_hours is not None:
            delayed = delayed_rows(batch.hours, *batch.padded_index(), spec.feedback_delay_hours)
            return feedback_scan(
                input_projection, decay, weight, bias, sizes=sizes, delayed=delayed, dropout_mask=dropout_mask
            )
        state = decay.new_zeros(max(sizes, default=0), MEMORIES[spec.cell] * spec.hidden_size)
        cell = CELLS[spec.cell, spec.reset]
        return scan(
            cell,
            state,
            input_projection=input_projection,
            decay=decay,
            weight=weight,
            bias=bias,
            sizes=sizes,
            dropout_mask=dropout_mask,
        )
