"""The cells: what one step makes of the state, for each kind; and the plain loop over packed rows they all run in.

`recurrence.gru_scan` is the fast way through the GRU with its reset after the product; everything else runs here, by
autograd. In all of them the state fades by a decay before each step; the products may see it through a dropout mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.errors import ArgumentError

Cell = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
GATES = {"gru": 3, "lstm": 4, "rnn": 1}


def rnn_step(drive: Tensor, faded: Tensor, seen: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """h = tanh(drive + weight h' + bias): Elman 1990.

    drive   (stay, gates x hidden)    projection of the inputs
    faded   (stay, memories x hidden) state before, after its decay: h', and an LSTM's cell state
    seen    (stay, hidden)            h' as the recurrent products see it: through a dropout mask, where there is one
    weight  (gates x hidden, hidden)
    bias    (gates x hidden,)
    returns (stay, memories x hidden) the state after the step; h stands first

    >>> rnn_step(torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1), torch.zeros(1))
    tensor([[0.7616]])
    """
    return torch.tanh(drive + F.linear(seen, weight, bias))


def gru_step(drive: Tensor, faded: Tensor, seen: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One step of `recurrence.gru_scan`; arguments as in `rnn_step`, gates r, z, n.

    >>> gru_step(torch.zeros(1, 3), torch.ones(1, 1), torch.ones(1, 1), torch.zeros(3, 1), torch.zeros(3))
    tensor([[0.5000]])
    """
    drive_r, drive_z, drive_n = drive.chunk(3, dim=1)
    recurrent_r, recurrent_z, recurrent_n = F.linear(seen, weight, bias).chunk(3, dim=1)
    reset, update = torch.sigmoid(drive_r + recurrent_r), torch.sigmoid(drive_z + recurrent_z)
    return torch.lerp(torch.tanh(drive_n + reset * recurrent_n), faded, update)


def gru_before_step(drive: Tensor, faded: Tensor, seen: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The GRU as published: the reset gate stands before the product, n = tanh(drive_n + weight_n (r h') + bias_n).

    Arguments as in `rnn_step`, gates r, z, n. Source: Cho et al. 2014, Eqs. 5-8.

    >>> gru_before_step(torch.zeros(1, 3), torch.ones(1, 1), torch.ones(1, 1), torch.zeros(3, 1), torch.zeros(3))
    tensor([[0.5000]])
    """
    hidden = seen.shape[1]
    gates = torch.sigmoid(drive[:, : 2 * hidden] + F.linear(seen, weight[: 2 * hidden], bias[: 2 * hidden]))
    reset, update = gates.chunk(2, dim=1)
    recurrent = F.linear(reset * seen, weight[2 * hidden :], bias[2 * hidden :])
    return torch.lerp(torch.tanh(drive[:, 2 * hidden :] + recurrent), faded, update)


def lstm_step(drive: Tensor, faded: Tensor, seen: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """c = f c' + i g, h = o tanh(c): arguments as in `rnn_step`, gates i, f, g, o as in PyTorch.

    Source: Hochreiter and Schmidhuber 1997, Gers et al. 2000. DIFF: h and c both fade over the gap.

    >>> lstm_step(torch.zeros(1, 4), torch.ones(1, 2), torch.ones(1, 1), torch.zeros(4, 1), torch.zeros(4))
    tensor([[0.2311, 0.5000]])
    """
    enter, forget, content, show = (drive + F.linear(seen, weight, bias)).chunk(4, dim=1)
    memory = torch.sigmoid(forget) * faded[:, seen.shape[1] :] + torch.sigmoid(enter) * torch.tanh(content)
    return torch.cat([torch.sigmoid(show) * torch.tanh(memory), memory], dim=1)


def scan(
    cell: Cell,
    state: Tensor,
    *,
    drive: Tensor,
    decay: Tensor,
    weight: Tensor,
    bias: Tensor,
    sizes: Sequence[int],
    kept: Tensor | None = None,
) -> Tensor:
    """States of a cell whose state is multiplied by a decay before each step.

    cell    the step: `gru_step`, ...
    state   (stay, memories x hidden) the state before the first step; the memories fade alike
    drive, decay, weight, bias, sizes   as in `recurrence.gru_scan`, with as many gates as the cell has
    kept    (stay, hidden) how much of each number of the state the products see, alike at all steps; None: all
    returns (row, hidden) h after each step

    Source of the one mask for all steps: Gal and Ghahramani 2016.

    >>> scan(rnn_step, torch.zeros(1, 1), drive=torch.ones(2, 1), decay=torch.ones(2, 1), weight=torch.zeros(1, 1),
    ...      bias=torch.zeros(1), sizes=[1, 1]).flatten()
    tensor([0.7616, 0.7616])
    """
    hidden, states = decay.shape[1], [decay[:0]]
    memories = state.shape[1] // hidden
    for entering, fading, size in zip(drive.split(list(sizes)), decay.split(list(sizes)), sizes, strict=True):
        faded = state[:size] * fading.repeat(1, memories) if memories > 1 else state[:size] * fading
        seen = faded[:, :hidden] if kept is None else faded[:, :hidden] * kept[:size]
        state = cell(entering, faded, seen, weight, bias)
        states.append(state[:, :hidden])
    return torch.cat(states)


def delay_scan(
    drive: Tensor,
    decay: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    sizes: Sequence[int],
    delayed: Tensor,
    kept: Tensor | None = None,
) -> Tensor:
    """States of a GRU to which an earlier state of its own comes back, weighted by a gate.

        h' = decay * h;  r, z, n as in `recurrence.gru_scan`
        a  = sigmoid(drive_a + weight_a h' + bias_a)        how much of what was
        d  = tanh(drive_d + weight_d h_delayed + bias_d)    what was
        h  = z h' + (1 - z) (n + a d)

    drive, decay, weight, bias   as in `gru_scan`, gates in the order r, z, n, a, d
    delayed   (row,) the row whose state comes back, of an earlier step; -1 = none yet, a state of 0
    kept      as in `scan`
    returns   (row, hidden)

    Source: Erichson et al. 2022, whose g is 1 - z. DIFF: n has a reset gate; the delay is one of hours, not of steps.

    >>> drive, ones, zeros = torch.ones(2, 5), torch.ones(2, 1), torch.zeros(5, 1)
    >>> delay_scan(drive, ones, zeros, torch.zeros(5), sizes=[1, 1], delayed=torch.tensor([-1, 0])).shape
    torch.Size([2, 1])
    """
    hidden, steps = decay.shape[1], list(sizes)
    states, past = [decay.new_zeros(1, hidden)], decay.new_zeros(1, hidden)  # row -1, then the rows
    state = decay.new_zeros(max(steps, default=0), hidden)
    weight_rzna, weight_d = weight.split([4 * hidden, hidden])
    bias_rzna, bias_d = bias.split([4 * hidden, hidden])
    reach = [int(rows.max()) + 2 for rows in delayed.split(steps)]  # how far into the past each step looks
    parts = zip(drive.split(steps), decay.split(steps), delayed.split(steps), reach, steps, strict=True)
    for entering, fading, rows, needed, size in parts:
        if needed > len(past):
            past = torch.cat(states)
        faded = state[:size] * fading
        seen = faded if kept is None else faded * kept[:size]
        drive_r, drive_z, drive_n, drive_a, drive_d = entering.chunk(5, dim=1)
        product_r, product_z, product_n, product_a = F.linear(seen, weight_rzna, bias_rzna).chunk(4, dim=1)
        returned = torch.tanh(drive_d + F.linear(past[rows + 1], weight_d, bias_d))
        candidate = torch.tanh(drive_n + torch.sigmoid(drive_r + product_r) * product_n)
        candidate = candidate + torch.sigmoid(drive_a + product_a) * returned
        state = torch.lerp(candidate, faded, torch.sigmoid(drive_z + product_z))
        states.append(state)
    return torch.cat(states)[1:]


def delayed_rows(hours: Tensor, rows: Tensor, valid: Tensor, feedback_delay_hours: float) -> Tensor:
    """(row,) the last row of the same stay at or before so many hours ago; -1 = none.

    hours        (row,)       hours since the anchor, ascending in each stay
    rows, valid  (stay, step) the row of each step and whether there is one: `Batch.grid()`
    feedback_delay_hours  above 0; hours that fall short of it by rounding alone count

    >>> rows = torch.tensor([[0, 1, 2]])
    >>> delayed_rows(torch.tensor([0.0, 1.0, 5.0]), rows, rows >= 0, 1.0)
    tensor([-1,  0,  1])
    """
    if feedback_delay_hours <= 0:
        raise ArgumentError("feedback_delay_hours above 0", f"{feedback_delay_hours}", "Give the hours to look back.")
    at = torch.cat([hours, hours.new_zeros(1)]).double()[rows].masked_fill(~valid, torch.inf)
    rounding = 1e-6 * at.abs()  # float32 holds seven digits
    step = torch.searchsorted(at.contiguous(), (at - feedback_delay_hours + rounding).contiguous(), right=True) - 1
    found = torch.where(step >= 0, rows.gather(1, step.clamp_min(0)), -1)
    delayed = torch.full_like(hours, -1, dtype=torch.long)
    delayed[rows[valid]] = found[valid]
    return delayed
