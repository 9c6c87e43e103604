"""Recurrent cells: one time step of each, and the plain loop over packed rows that runs them.

`recurrence.gru_scan` is the fast path of the GRU whose reset gate stands after the product. Everything else runs here
with autograd. In all cells the state decays before each time step, and the recurrent products may see it through a
dropout mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.errors import ArgumentError

Cell = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
GATES = {"gru": 3, "lstm": 4, "rnn": 1}


def rnn_step(
    input_projection: Tensor, decayed_state: Tensor, recurrent_input: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """One time step of an Elman network: h = tanh(x + W h' + b).

    Parameters
    ----------
    input_projection : Tensor, shape (stay, gates x hidden)
        Projection of the inputs, x.
    decayed_state : Tensor, shape (stay, memories x hidden)
        State before the step, after its decay: h', and for an LSTM its cell state.
    recurrent_input : Tensor, shape (stay, hidden)
        h' as the recurrent products see it: through a dropout mask, where there is one.
    weight : Tensor, shape (gates x hidden, hidden)
        Recurrent weights, W.
    bias : Tensor, shape (gates x hidden,)
        Recurrent bias, b.

    Returns
    -------
    Tensor, shape (stay, memories x hidden)
        State after the step; h comes first.

    References
    ----------
    Elman 1990.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.cells import rnn_step
    >>> rnn_step(torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1), torch.zeros(1))
    tensor([[0.7616]])
    """
    return torch.tanh(input_projection + F.linear(recurrent_input, weight, bias))


def gru_step(
    input_projection: Tensor, decayed_state: Tensor, recurrent_input: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """One time step of `recurrence.gru_scan`, with gates in the order r, z, n.

    Parameters
    ----------
    input_projection, decayed_state, recurrent_input, weight, bias : Tensor
        As of `rnn_step`.

    Returns
    -------
    Tensor, shape (stay, hidden)

    References
    ----------
    Cho et al. 2014. Deviation from the paper: the reset gate stands after the product, as in PyTorch.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.cells import gru_step
    >>> gru_step(torch.zeros(1, 3), torch.ones(1, 1), torch.ones(1, 1), torch.zeros(3, 1), torch.zeros(3))
    tensor([[0.5000]])
    """
    input_r, input_z, input_n = input_projection.chunk(3, dim=1)
    product_r, product_z, product_n = F.linear(recurrent_input, weight, bias).chunk(3, dim=1)
    reset, update = torch.sigmoid(input_r + product_r), torch.sigmoid(input_z + product_z)
    return torch.lerp(torch.tanh(input_n + reset * product_n), decayed_state, update)


def gru_before_step(
    input_projection: Tensor, decayed_state: Tensor, recurrent_input: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """One time step of the GRU as published: the reset gate is before the product, n = tanh(x_n + W_n (r h') + b_n).

    Parameters
    ----------
    input_projection, decayed_state, recurrent_input, weight, bias : Tensor
        As of `rnn_step`, with gates in the order r, z, n.

    Returns
    -------
    Tensor, shape (stay, hidden)

    References
    ----------
    Cho et al. 2014, Eqs. 5-8.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.cells import gru_before_step
    >>> gru_before_step(torch.zeros(1, 3), torch.ones(1, 1), torch.ones(1, 1), torch.zeros(3, 1), torch.zeros(3))
    tensor([[0.5000]])
    """
    rz = 2 * recurrent_input.shape[1]
    gates = torch.sigmoid(input_projection[:, :rz] + F.linear(recurrent_input, weight[:rz], bias[:rz]))
    reset, update = gates.chunk(2, dim=1)
    product_n = F.linear(reset * recurrent_input, weight[rz:], bias[rz:])
    return torch.lerp(torch.tanh(input_projection[:, rz:] + product_n), decayed_state, update)


def lstm_step(
    input_projection: Tensor, decayed_state: Tensor, recurrent_input: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """One time step of an LSTM: c = f c' + i g, h = o tanh(c), with gates in the order i, f, g, o.

    Parameters
    ----------
    input_projection, decayed_state, recurrent_input, weight, bias : Tensor
        As of `rnn_step`; two memories, h and c.

    Returns
    -------
    Tensor, shape (stay, 2 x hidden)
        h, then c.

    References
    ----------
    Hochreiter and Schmidhuber 1997. Gers et al. 2000. Deviation from the papers: h and c decay over the time gap.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.cells import lstm_step
    >>> lstm_step(torch.zeros(1, 4), torch.ones(1, 2), torch.ones(1, 1), torch.zeros(4, 1), torch.zeros(4))
    tensor([[0.2311, 0.5000]])
    """
    gates = (input_projection + F.linear(recurrent_input, weight, bias)).chunk(4, dim=1)
    input_gate, forget_gate, candidate, output_gate = gates
    memory = torch.sigmoid(forget_gate) * decayed_state[:, recurrent_input.shape[1] :]
    memory = memory + torch.sigmoid(input_gate) * torch.tanh(candidate)
    return torch.cat([torch.sigmoid(output_gate) * torch.tanh(memory), memory], dim=1)


def scan(
    cell: Cell,
    state: Tensor,
    *,
    input_projection: Tensor,
    decay: Tensor,
    weight: Tensor,
    bias: Tensor,
    sizes: Sequence[int],
    dropout_mask: Tensor | None = None,
) -> Tensor:
    """States of a cell whose state is multiplied by a decay before each time step.

    Parameters
    ----------
    cell : callable
        One time step: `gru_step`, `gru_before_step`, `lstm_step` or `rnn_step`.
    state : Tensor, shape (stay, memories x hidden)
        State before the first time step. All memories decay alike.
    input_projection, decay, weight, bias, sizes
        As of `recurrence.gru_scan`, with as many gates as the cell has.
    dropout_mask : Tensor, shape (stay, hidden), or None
        Factor on the state in the recurrent products, the same at all time steps.

    Returns
    -------
    Tensor, shape (row, hidden)
        h after each time step.

    References
    ----------
    Gal and Ghahramani 2016, for one dropout mask at all time steps.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.cells import rnn_step, scan
    >>> scan(rnn_step, torch.zeros(1, 1), input_projection=torch.ones(2, 1), decay=torch.ones(2, 1),
    ...      weight=torch.zeros(1, 1), bias=torch.zeros(1), sizes=[1, 1]).flatten()
    tensor([0.7616, 0.7616])
    """
    hidden, states = decay.shape[1], [decay[:0]]
    memories = state.shape[1] // hidden
    steps = zip(input_projection.split(list(sizes)), decay.split(list(sizes)), sizes, strict=True)
    for step_input, step_decay, size in steps:
        decayed = state[:size] * (step_decay.repeat(1, memories) if memories > 1 else step_decay)
        recurrent_input = decayed[:, :hidden] if dropout_mask is None else decayed[:, :hidden] * dropout_mask[:size]
        state = cell(step_input, decayed, recurrent_input, weight, bias)
        states.append(state[:, :hidden])
    return torch.cat(states)


def feedback_scan(
    input_projection: Tensor,
    decay: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    sizes: Sequence[int],
    delayed: Tensor,
    dropout_mask: Tensor | None = None,
) -> Tensor:
    """States of a GRU with a gated feedback of its own earlier state.

    With the decayed state h' = decay * h, and r, z, n as in `recurrence.gru_scan`::

        a = sigmoid(x_a + W_a h' + b_a)          gate of the feedback
        d = tanh(x_d + W_d h_delayed + b_d)      feedback
        h = z h' + (1 - z) (n + a d)

    Parameters
    ----------
    input_projection, decay, weight, bias, sizes
        As of `recurrence.gru_scan`, with gates in the order r, z, n, a, d.
    delayed : Tensor of int64, shape (row,)
        The row of an earlier time step whose state is fed back; -1 for a state of 0.
    dropout_mask : Tensor, shape (stay, hidden), or None
        As of `scan`.

    Returns
    -------
    Tensor, shape (row, hidden)

    References
    ----------
    Erichson et al. 2022, whose g is 1 - z. Deviation from the paper: n has a reset gate, and the delay is in hours
    instead of time steps.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.cells import feedback_scan
    >>> inputs, ones, zeros = torch.ones(2, 5), torch.ones(2, 1), torch.zeros(5, 1)
    >>> feedback_scan(inputs, ones, zeros, torch.zeros(5), sizes=[1, 1], delayed=torch.tensor([-1, 0])).shape
    torch.Size([2, 1])
    """
    hidden, n_rows = decay.shape[1], list(sizes)
    states, past = [decay.new_zeros(1, hidden)], decay.new_zeros(1, hidden)  # row -1, then the rows
    state = decay.new_zeros(max(n_rows, default=0), hidden)
    weights, biases = weight.split([4 * hidden, hidden]), bias.split([4 * hidden, hidden])
    needed = [int(rows.max()) + 2 for rows in delayed.split(n_rows)]  # rows of the past that each time step reads
    steps = zip(input_projection.split(n_rows), decay.split(n_rows), delayed.split(n_rows), needed, n_rows, strict=True)
    for step_input, step_decay, rows, length, size in steps:
        if length > len(past):
            past = torch.cat(states)
        decayed = state[:size] * step_decay
        recurrent_input = decayed if dropout_mask is None else decayed * dropout_mask[:size]
        state = _feedback_step(step_input, decayed, recurrent_input, past[rows + 1], weights, biases)
        states.append(state)
    return torch.cat(states)[1:]


def _feedback_step(
    input_projection: Tensor,
    decayed: Tensor,
    recurrent_input: Tensor,
    feedback: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
) -> Tensor:
    """One time step of `feedback_scan`; weights and biases of the gates r, z, n, a, and those of d."""
    input_r, input_z, input_n, input_a, input_d = input_projection.chunk(5, dim=1)
    product_r, product_z, product_n, product_a = F.linear(recurrent_input, weights[0], biases[0]).chunk(4, dim=1)
    returned = torch.tanh(input_d + F.linear(feedback, weights[1], biases[1]))
    candidate = torch.tanh(input_n + torch.sigmoid(input_r + product_r) * product_n)
    candidate = candidate + torch.sigmoid(input_a + product_a) * returned
    return torch.lerp(candidate, decayed, torch.sigmoid(input_z + product_z))


def delayed_rows(hours: Tensor, rows: Tensor, valid: Tensor, feedback_delay_hours: float) -> Tensor:
    """The last row of the same stay at least so many hours ago.

    Parameters
    ----------
    hours : Tensor, shape (row,)
        Hours since the index time, ascending in each stay.
    rows, valid : Tensor, shape (stay, step)
        From `Batch.padded_index`.
    feedback_delay_hours : float
        Above 0. A difference that is smaller by rounding alone counts.

    Returns
    -------
    Tensor of int64, shape (row,)
        -1 where there is no such row.

    Raises
    ------
    ArgumentError
        If the delay is 0 or less.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.cells import delayed_rows
    >>> rows = torch.tensor([[0, 1, 2]])
    >>> delayed_rows(torch.tensor([0.0, 1.0, 5.0]), rows, rows >= 0, 1.0)
    tensor([-1,  0,  1])
    """
    if feedback_delay_hours <= 0:
        fix = "Give the hours of the delay."
        raise ArgumentError("feedback_delay_hours above 0", f"{feedback_delay_hours}", fix)
    padded = torch.cat([hours, hours.new_zeros(1)]).double()[rows].masked_fill(~valid, torch.inf)
    rounding = 1e-6 * padded.abs()  # float32 has seven digits
    latest = padded - feedback_delay_hours + rounding
    step = torch.searchsorted(padded.contiguous(), latest.contiguous(), right=True) - 1
    earlier = torch.where(step >= 0, rows.gather(1, step.clamp_min(0)), -1)
    delayed = torch.full_like(hours, -1, dtype=torch.long)
    delayed[rows[valid]] = earlier[valid]
    return delayed
