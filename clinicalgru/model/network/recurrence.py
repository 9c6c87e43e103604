"""The recurrence: a GRU whose state fades between steps, over packed rows, with its backward pass written by hand.

Everything here is arithmetic on rows; how hours become decay and values become drive is decided in layers.
`gru_scan_plain` is the oracle: slow, obvious, equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from clinicalgru.errors import ArgumentError

# States (row x hidden numbers) per block of the backward pass: enough for large products, few enough for the cache.
BLOCK_NUMBERS = 262_144

_sigmoid_slope = torch.ops.aten.sigmoid_backward.grad_input  # grad * y * (1 - y), y = sigmoid(x)
_tanh_slope = torch.ops.aten.tanh_backward.grad_input  # grad * (1 - y * y), y = tanh(x)


def gru_scan(drive: Tensor, decay: Tensor, weight: Tensor, bias: Tensor, sizes: Sequence[int]) -> Tensor:
    """States of a GRU whose state is multiplied by a decay before each step.

        h' = decay * h                                  the state, faded over the gap
        r  = sigmoid(drive_r + weight_r h' + bias_r)    reset
        z  = sigmoid(drive_z + weight_z h' + bias_z)    update; near 1 it keeps the old state
        n  = tanh(drive_n + r * (weight_n h' + bias_n)) candidate; reset after the product, as in cuDNN and PyTorch
        h  = z * h' + (1 - z) * n

    drive    (row, 3 * hidden)     input projection of each step; gates in the order reset, update, candidate
    decay    (row, hidden)         in (0, 1]; ones for a plain GRU
    weight   (3 * hidden, hidden)  recurrent weights
    bias     (3 * hidden,)         recurrent bias
    sizes    stays still running at each step, not increasing; rows are time-major: step k holds the first sizes[k]
    returns  (row, hidden)         the state after each step; the first one starts from zero

    Refused with ArgumentError: shapes that do not fit each other, sizes that increase or do not add up to the rows.
    The gradient is exact; a gradient of the gradient is refused by autograd.

    Source: Che et al. 2018, Eq. 10 to 14 (decay); Cho et al. 2014 (GRU); the reset after the product is PyTorch's.

    >>> sizes = packed_rows([2, 1])
    >>> states = gru_scan(torch.zeros(3, 6), torch.ones(3, 2), torch.zeros(6, 2), torch.zeros(6), sizes)
    >>> states.shape
    torch.Size([3, 2])
    """
    sizes = _checked(drive, decay, weight, bias, sizes)
    if not sizes:
        return decay
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (drive, decay, weight, bias)):
        return _Scan.apply(drive, decay, weight, bias, sizes)
    return _forward(drive, decay, weight, bias, sizes, keep=False).states


def gru_scan_plain(drive: Tensor, decay: Tensor, weight: Tensor, bias: Tensor, sizes: Sequence[int]) -> Tensor:
    """The same states as `gru_scan`, by a plain loop and autograd: the oracle it is tested against.

    Arguments, result and refusals are those of `gru_scan`.

    >>> drive, decay = torch.ones(3, 3), torch.full((3, 1), 0.5)
    >>> gru_scan_plain(drive, decay, torch.ones(3, 1), torch.zeros(3), [1, 1, 1]).flatten()
    tensor([0.2048, 0.2743, 0.2986])
    """
    sizes = _checked(drive, decay, weight, bias, sizes)
    state, states = decay.new_zeros(max(sizes, default=0), decay.shape[1]), [decay[:0]]
    for step_drive, step_decay, size in zip(drive.split(sizes), decay.split(sizes), sizes, strict=True):
        faded = step_decay * state[:size]
        drive_r, drive_z, drive_n = step_drive.chunk(3, dim=1)
        recurrent_r, recurrent_z, recurrent_n = functional.linear(faded, weight, bias).chunk(3, dim=1)
        reset = torch.sigmoid(drive_r + recurrent_r)
        update = torch.sigmoid(drive_z + recurrent_z)
        candidate = torch.tanh(drive_n + reset * recurrent_n)
        state = update * faded + (1 - update) * candidate
        states.append(state)
    return torch.cat(states)


def packed_rows(lengths: Sequence[int]) -> list[int]:
    """Stays still running at each step, for stays sorted from the longest to the shortest.

    lengths  steps of each stay, at least 1, not increasing
    returns  one count per step of the longest stay; they add up to the number of rows

    Rows of a padded (stay, step, variable) tensor in this order: `padded.transpose(0, 1)[valid.T]`.

    >>> packed_rows([3, 3, 1])
    [3, 2, 2]
    """
    lengths = [int(length) for length in lengths]
    if any(length < 1 for length in lengths) or _increase(lengths):
        raise ArgumentError(
            "lengths of at least 1, sorted from the longest stay to the shortest",
            f"{len(lengths)} lengths between {min(lengths)} and {max(lengths)}, or not in that order",
            "Leave out stays without steps and sort the others by length.",
        )
    ended = torch.bincount(torch.tensor(lengths, dtype=torch.long)).cumsum(0)
    return (len(lengths) - ended[:-1]).tolist()


class _Tape(NamedTuple):
    """What the forward pass computes, and the backward pass needs again."""

    decay: Tensor  # (row, hidden)
    weight: Tensor  # (3 * hidden, hidden)
    states: Tensor  # (row, hidden)
    gates: Tensor  # (row, 3 * hidden)  r, z, and weight_n h' + bias_n
    candidate: Tensor  # (row, hidden)


class _Gradients(NamedTuple):
    """One for each tensor given to `gru_scan`, of its shape."""

    drive: Tensor
    decay: Tensor
    weight: Tensor
    bias: Tensor


class _Block(NamedTuple):
    """Neighbouring steps: their rows, their sizes, and the rows of the step before (none before the first)."""

    rows: slice
    sizes: list[int]
    earlier: slice


class _Scan(torch.autograd.Function):
    """`_forward` and `_backward`, joined."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, decay: Tensor, weight: Tensor, bias: Tensor, sizes: list[int]) -> Tensor:
        tape = _forward(drive, decay, weight, bias, sizes, keep=True)
        ctx.sizes = sizes
        ctx.save_for_backward(*tape)
        return tape.states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        return (*_backward(grad, _Tape(*ctx.saved_tensors), ctx.sizes), None)


def _forward(drive: Tensor, decay: Tensor, weight: Tensor, bias: Tensor, sizes: list[int], *, keep: bool) -> _Tape:
    """States of every row; gates and candidates too if kept, else only of the step at hand."""
    hidden = decay.shape[1]
    two, minus_one = decay.new_tensor(2.0), decay.new_tensor(-1.0)
    weight_bias = torch.cat([weight.t(), bias[None]])
    faded = decay.new_ones(sizes[0], hidden + 1)  # its last column stays 1: the bias rides along in the matrix product
    rows, steps = (len(decay), torch.split) if keep else (sizes[0], _windows)
    gates, candidate = decay.new_empty(rows, 3 * hidden), decay.new_empty(rows, hidden)
    states = decay.new_empty(decay.shape)
    for a, a_n, d, before, h1, h, g, rz, r, z, u, n, after in zip(
        *(part.split(sizes) for part in (drive, drive[:, 2 * hidden :], decay)),
        _before(decay.new_zeros(sizes[0], hidden), states.split(sizes)),
        *(_windows(part, sizes) for part in (faded, faded[:, :hidden])),
        *(steps(part, sizes) for part in (gates, gates[:, : 2 * hidden], *gates.chunk(3, dim=1), candidate)),
        states.split(sizes),
        strict=True,
    ):
        torch.mul(before, d, out=h)
        torch.addmm(a, h1, weight_bias, out=g)
        rz.sigmoid_()
        u.sub_(a_n)
        torch.addcmul(a_n, r, u, out=n)
        n.mul_(two).sigmoid_()  # tanh(x) = 2 sigmoid(2x) - 1, here in half the time of tanh
        torch.add(minus_one, n, alpha=2, out=n)
        torch.lerp(n, h, z, out=after)
    return _Tape(decay, weight, states, gates, candidate)


def _backward(grad: Tensor, tape: _Tape, sizes: list[int]) -> _Gradients:
    """Gradients of everything, one block of steps after the other, from the last to the first."""
    grads = _Gradients(
        drive=torch.empty_like(tape.gates),
        decay=tape.decay.new_empty(tape.decay.shape),
        weight=torch.zeros_like(tape.weight),
        bias=tape.weight.new_zeros(len(tape.weight)),
    )
    carry = tape.decay.new_zeros(sizes[0], tape.decay.shape[1])
    for block in reversed(_blocks(sizes, tape.decay.shape[1])):
        _backward_block(block, tape, grads, grad=grad, carry=carry)
    return grads


def _backward_block(block: _Block, tape: _Tape, grads: _Gradients, *, grad: Tensor, carry: Tensor) -> None:
    """Fill the gradients of one block; carry brings in what reaches its last states, and takes out what leaves it."""
    rows, sizes, weight = block.rows, block.sizes, tape.weight
    decay, gates, factors = tape.decay[rows], tape.gates[rows], grads.drive[rows]
    start = tape.states[block.earlier] if rows.start else torch.zeros_like(carry)
    before = _before(start, tape.states[rows].split(sizes))
    faded = torch.cat(before).mul_(decay)
    slope = _slopes(faded, gates, tape.candidate[rows], out=factors)
    reach = grad[rows].clone(memory_format=torch.contiguous_format)
    reach[-sizes[-1] :] += carry[: sizes[-1]]
    carry.zero_()
    steps = zip(
        *(part.split(sizes) for part in (reach, reach[:, None], factors, factors.unflatten(1, (3, -1)))),
        *(part.split(sizes) for part in (gates.chunk(3, dim=1)[1], decay, grads.decay[rows])),
        *(before, _before(carry, reach.split(sizes)), _windows(torch.empty_like(carry), sizes)),
        strict=True,
    )
    for grad_after, grad_gates, f, f_gates, z, d, grad_d, earlier, grad_before, grad_faded in reversed(list(steps)):
        f_gates.mul_(grad_gates)
        torch.mm(f, weight, out=grad_faded)
        grad_faded.addcmul_(grad_after, z)
        torch.mul(grad_faded, earlier, out=grad_d)
        grad_before.addcmul_(grad_faded, d)
    grads.weight.addmm_(factors.t(), faded)
    grads.bias.add_(factors.sum(0))
    torch.mul(slope, reach, out=factors.chunk(3, dim=1)[2])  # the candidate's drive is not behind the reset


def _slopes(faded: Tensor, gates: Tensor, candidate: Tensor, *, out: Tensor) -> Tensor:
    """Slopes of the state by what enters r, z and weight_n h' + bias_n, into out; by what enters n, returned.

    They do not depend on the gradient: made here for many rows at once, the loop only has to multiply.
    """
    reset, update, recurrent = gates.chunk(3, dim=1)
    by_reset, by_update, by_recurrent = out.chunk(3, dim=1)
    slope = 1 - update
    _tanh_slope(slope, candidate, grad_input=slope)
    torch.mul(slope, reset, out=by_recurrent)
    torch.mul(slope, recurrent, out=by_reset)
    _sigmoid_slope(by_reset, reset, grad_input=by_reset)
    torch.sub(faded, candidate, out=by_update)
    _sigmoid_slope(by_update, update, grad_input=by_update)
    return slope


def _blocks(sizes: list[int], hidden: int) -> list[_Block]:
    """Steps in order, cut where a block holds enough numbers."""
    blocks, first, begin, end = [], 0, 0, 0
    for step, size in enumerate(sizes, start=1):
        end += size
        if (end - begin) * hidden >= BLOCK_NUMBERS or step == len(sizes):
            earlier = slice(begin - (sizes[first - 1] if first else 0), begin)
            blocks.append(_Block(slice(begin, end), sizes[first:step], earlier))
            first, begin = step, end
    return blocks


def _windows(scratch: Tensor, sizes: list[int]) -> list[Tensor]:
    """The first rows of one scratch tensor, as many as each step needs; equal sizes share one view."""
    views = {size: scratch[:size] for size in set(sizes)}
    return [views[size] for size in sizes]


def _before(start: Tensor, steps: Sequence[Tensor]) -> list[Tensor]:
    """For each step the rows of the step before it that go on; start stands before the first."""
    pairs = zip((start, *steps[:-1]), steps, strict=True)
    return [earlier if len(earlier) == len(step) else earlier[: len(step)] for earlier, step in pairs]


def _checked(drive: Tensor, decay: Tensor, weight: Tensor, bias: Tensor, sizes: Sequence[int]) -> list[int]:
    """The sizes as whole numbers, once everything fits together."""
    sizes = [int(size) for size in sizes]
    rows, hidden = sum(sizes), weight.shape[-1]
    shapes = [tuple(tensor.shape) for tensor in (drive, decay, weight, bias)]
    fitting = [(rows, 3 * hidden), (rows, hidden), (3 * hidden, hidden), (3 * hidden,)]
    if shapes != fitting:
        raise ArgumentError(
            "drive, decay, weight and bias of shapes " + ", ".join(map(str, fitting)),
            ", ".join(map(str, shapes)),
            "The sizes add up to the rows; the last axis of weight is hidden; drive and bias have three gates.",
        )
    if _increase(sizes) or any(size < 1 for size in sizes):
        raise ArgumentError(
            "sizes of at least 1 that do not increase from step to step",
            f"{len(sizes)} sizes between {min(sizes)} and {max(sizes)}",
            "Sort the stays from the longest to the shortest and take packed_rows(lengths).",
        )
    return sizes


def _increase(counts: list[int]) -> bool:
    return any(later > earlier for earlier, later in pairwise(counts))
