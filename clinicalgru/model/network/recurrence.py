"""A GRU whose state decays between time steps, over packed rows, with its backward pass written by hand.

`gru_scan_plain` is the slow and obvious reference with equal results.
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

# Numbers of the states in a block of the backward pass: enough for large matrix products, few enough for the cache.
BLOCK_NUMBERS = 262_144

_sigmoid_derivative = torch.ops.aten.sigmoid_backward.grad_input  # grad * y * (1 - y), y = sigmoid(x)
_tanh_derivative = torch.ops.aten.tanh_backward.grad_input  # grad * (1 - y * y), y = tanh(x)


def gru_scan(input_projection: Tensor, decay: Tensor, weight: Tensor, bias: Tensor, sizes: Sequence[int]) -> Tensor:
    """States of a GRU whose state is multiplied by a decay before each time step.

    With the input projections x and the decayed state h' = decay * h::

        r = sigmoid(x_r + W_r h' + b_r)       reset gate
        z = sigmoid(x_z + W_z h' + b_z)       update gate; near 1 it keeps the old state
        n = tanh(x_n + r * (W_n h' + b_n))    candidate
        h = z * h' + (1 - z) * n

    Parameters
    ----------
    input_projection : Tensor, shape (row, 3 * hidden)
        Projection of the inputs of each time step, with gates in the order r, z, n.
    decay : Tensor, shape (row, hidden)
        In (0, 1]; ones for a GRU without decay.
    weight : Tensor, shape (3 * hidden, hidden)
        Recurrent weights, W.
    bias : Tensor, shape (3 * hidden,)
        Recurrent bias, b.
    sizes : sequence of int
        Number of stays that have each time step, not increasing: time step k has the next sizes[k] rows.

    Returns
    -------
    Tensor, shape (row, hidden)
        State after each time step. The state before the first one is 0.

    Raises
    ------
    ArgumentError
        If the shapes do not fit each other, or the sizes increase or do not add up to the rows.

    Notes
    -----
    The gradient is exact; autograd refuses second derivatives. Deviation from the papers: the reset gate stands after
    the product, as in cuDNN and PyTorch.

    References
    ----------
    Cho et al. 2014, for the GRU. Che et al. 2018, Eqs. 10-14, for the decay.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.recurrence import gru_scan, packed_rows
    >>> sizes = packed_rows([2, 1])
    >>> gru_scan(torch.zeros(3, 6), torch.ones(3, 2), torch.zeros(6, 2), torch.zeros(6), sizes).shape
    torch.Size([3, 2])
    """
    sizes = _validate(input_projection, decay, weight, bias, sizes)
    if not sizes:
        return decay
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (input_projection, decay, weight, bias)):
        return _GRUScan.apply(input_projection, decay, weight, bias, sizes)
    return _forward(input_projection, decay, weight, bias, sizes, save_gates=False).states


def gru_scan_plain(
    input_projection: Tensor, decay: Tensor, weight: Tensor, bias: Tensor, sizes: Sequence[int]
) -> Tensor:
    """The states of `gru_scan` by a plain loop and autograd: the reference that it is tested against.

    Parameters
    ----------
    input_projection, decay, weight, bias, sizes
        As of `gru_scan`.

    Returns
    -------
    Tensor, shape (row, hidden)

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.recurrence import gru_scan_plain
    >>> inputs, decay = torch.ones(3, 3), torch.full((3, 1), 0.5)
    >>> gru_scan_plain(inputs, decay, torch.ones(3, 1), torch.zeros(3), [1, 1, 1]).flatten()
    tensor([0.2048, 0.2743, 0.2986])
    """
    sizes = _validate(input_projection, decay, weight, bias, sizes)
    state, states = decay.new_zeros(max(sizes, default=0), decay.shape[1]), [decay[:0]]
    for step_input, step_decay, size in zip(input_projection.split(sizes), decay.split(sizes), sizes, strict=True):
        decayed = step_decay * state[:size]
        input_r, input_z, input_n = step_input.chunk(3, dim=1)
        product_r, product_z, product_n = functional.linear(decayed, weight, bias).chunk(3, dim=1)
        reset = torch.sigmoid(input_r + product_r)
        update = torch.sigmoid(input_z + product_z)
        candidate = torch.tanh(input_n + reset * product_n)
        state = update * decayed + (1 - update) * candidate
        states.append(state)
    return torch.cat(states)


def packed_rows(lengths: Sequence[int]) -> list[int]:
    """Number of stays that have each time step, for stays sorted from the longest to the shortest.

    Parameters
    ----------
    lengths : sequence of int
        Time steps of each stay, at least 1, not increasing.

    Returns
    -------
    list of int
        One number for each time step of the longest stay; they add up to the number of rows.

    Raises
    ------
    ArgumentError
        If a length is below 1, or the lengths increase.

    Notes
    -----
    Rows of a padded (stay, step, variable) tensor in this order: `padded.transpose(0, 1)[valid.T]`.

    Examples
    --------
    >>> from clinicalgru.model.network.recurrence import packed_rows
    >>> packed_rows([3, 3, 1])
    [3, 2, 2]
    """
    lengths = [int(length) for length in lengths]
    if any(length < 1 for length in lengths) or _increases(lengths):
        raise ArgumentError(
            "lengths of at least 1, sorted from the longest stay to the shortest",
            f"{len(lengths)} lengths between {min(lengths)} and {max(lengths)}, or not in that order",
            "Leave out stays without steps and sort the others by length.",
        )
    ended = torch.bincount(torch.tensor(lengths, dtype=torch.long)).cumsum(0)
    return (len(lengths) - ended[:-1]).tolist()


class _SavedForBackward(NamedTuple):
    """Tensors of the forward pass that the backward pass needs."""

    decay: Tensor  # (row, hidden)
    weight: Tensor  # (3 * hidden, hidden)
    states: Tensor  # (row, hidden)
    gates: Tensor  # (row, 3 * hidden)  r, z, and W_n h' + b_n
    candidate: Tensor  # (row, hidden)


class _Gradients(NamedTuple):
    """The gradient of each tensor argument of `gru_scan`, of its shape."""

    input_projection: Tensor
    decay: Tensor
    weight: Tensor
    bias: Tensor


class _StepBlock(NamedTuple):
    """Consecutive time steps: their rows, their sizes, and the rows of the step before (none before the first)."""

    rows: slice
    sizes: list[int]
    earlier: slice


class _GRUScan(torch.autograd.Function):
    """`_forward` and `_backward` as one autograd function."""

    @staticmethod
    def forward(
        ctx: Any, input_projection: Tensor, decay: Tensor, weight: Tensor, bias: Tensor, sizes: list[int]
    ) -> Tensor:
        saved = _forward(input_projection, decay, weight, bias, sizes, save_gates=True)
        ctx.sizes = sizes
        ctx.save_for_backward(*saved)
        return saved.states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        return (*_backward(grad, _SavedForBackward(*ctx.saved_tensors), ctx.sizes), None)


def _forward(
    input_projection: Tensor, decay: Tensor, weight: Tensor, bias: Tensor, sizes: list[int], *, save_gates: bool
) -> _SavedForBackward:
    """States of all rows; gates and candidates of all rows if saved, else of the current time step only."""
    hidden = decay.shape[1]
    two, minus_one = decay.new_tensor(2.0), decay.new_tensor(-1.0)
    weight_bias = torch.cat([weight.t(), bias[None]])
    decayed = decay.new_ones(sizes[0], hidden + 1)  # the last column stays 1, for the bias in the product
    rows, steps = (len(decay), torch.split) if save_gates else (sizes[0], _leading_views)
    gates, candidate = decay.new_empty(rows, 3 * hidden), decay.new_empty(rows, hidden)
    states = decay.new_empty(decay.shape)
    for a, a_n, d, before, h1, h, g, rz, r, z, u, n, after in zip(
        *(part.split(sizes) for part in (input_projection, input_projection[:, 2 * hidden :], decay)),
        _previous_rows(decay.new_zeros(sizes[0], hidden), states.split(sizes)),
        *(_leading_views(part, sizes) for part in (decayed, decayed[:, :hidden])),
        *(steps(part, sizes) for part in (gates, gates[:, : 2 * hidden], *gates.chunk(3, dim=1), candidate)),
        states.split(sizes),
        strict=True,
    ):
        torch.mul(before, d, out=h)
        torch.addmm(a, h1, weight_bias, out=g)
        rz.sigmoid_()
        u.sub_(a_n)
        torch.addcmul(a_n, r, u, out=n)
        n.mul_(two).sigmoid_()  # tanh(x) = 2 sigmoid(2x) - 1, in half the time of tanh
        torch.add(minus_one, n, alpha=2, out=n)
        torch.lerp(n, h, z, out=after)
    return _SavedForBackward(decay, weight, states, gates, candidate)


def _backward(grad: Tensor, saved: _SavedForBackward, sizes: list[int]) -> _Gradients:
    """All gradients, block by block from the last to the first."""
    grads = _Gradients(
        input_projection=torch.empty_like(saved.gates),
        decay=saved.decay.new_empty(saved.decay.shape),
        weight=torch.zeros_like(saved.weight),
        bias=saved.weight.new_zeros(len(saved.weight)),
    )
    carry = saved.decay.new_zeros(sizes[0], saved.decay.shape[1])
    for block in reversed(_step_blocks(sizes, saved.decay.shape[1])):
        _backward_block(block, saved, grads, grad=grad, carry=carry)
    return grads


def _backward_block(
    block: _StepBlock, saved: _SavedForBackward, grads: _Gradients, *, grad: Tensor, carry: Tensor
) -> None:
    """Fill in the gradients of one block; carry is the gradient of its last states, then of the block before."""
    rows, sizes, weight = block.rows, block.sizes, saved.weight
    decay, gates, factors = saved.decay[rows], saved.gates[rows], grads.input_projection[rows]
    start = saved.states[block.earlier] if rows.start else torch.zeros_like(carry)
    before = _previous_rows(start, saved.states[rows].split(sizes))
    decayed = torch.cat(before).mul_(decay)
    derivative = _gate_derivatives(decayed, gates, saved.candidate[rows], out=factors)
    grad_states = grad[rows].clone(memory_format=torch.contiguous_format)
    grad_states[-sizes[-1] :] += carry[: sizes[-1]]
    carry.zero_()
    steps = zip(
        *(part.split(sizes) for part in (grad_states, grad_states[:, None], factors, factors.unflatten(1, (3, -1)))),
        *(part.split(sizes) for part in (gates.chunk(3, dim=1)[1], decay, grads.decay[rows])),
        *(before, _previous_rows(carry, grad_states.split(sizes)), _leading_views(torch.empty_like(carry), sizes)),
        strict=True,
    )
    for grad_after, grad_gates, f, f_gates, z, d, grad_d, earlier, grad_before, grad_decayed in reversed(list(steps)):
        f_gates.mul_(grad_gates)
        torch.mm(f, weight, out=grad_decayed)
        grad_decayed.addcmul_(grad_after, z)
        torch.mul(grad_decayed, earlier, out=grad_d)
        grad_before.addcmul_(grad_decayed, d)
    grads.weight.addmm_(factors.t(), decayed)
    grads.bias.add_(factors.sum(0))
    torch.mul(derivative, grad_states, out=factors.chunk(3, dim=1)[2])  # x_n is not multiplied by the reset gate


def _gate_derivatives(decayed: Tensor, gates: Tensor, candidate: Tensor, *, out: Tensor) -> Tensor:
    """Derivatives of the state by the inputs of r, z and W_n h' + b_n, into out; and by the input of n, returned.

    They do not depend on the gradient, so that they are computed for many rows at once.
    """
    reset, update, recurrent = gates.chunk(3, dim=1)
    d_reset, d_update, d_product = out.chunk(3, dim=1)
    derivative = 1 - update
    _tanh_derivative(derivative, candidate, grad_input=derivative)
    torch.mul(derivative, reset, out=d_product)
    torch.mul(derivative, recurrent, out=d_reset)
    _sigmoid_derivative(d_reset, reset, grad_input=d_reset)
    torch.sub(decayed, candidate, out=d_update)
    _sigmoid_derivative(d_update, update, grad_input=d_update)
    return derivative


def _step_blocks(sizes: list[int], hidden: int) -> list[_StepBlock]:
    """The time steps in order, divided into blocks of about BLOCK_NUMBERS numbers."""
    blocks, first, begin, end = [], 0, 0, 0
    for step, size in enumerate(sizes, start=1):
        end += size
        if (end - begin) * hidden >= BLOCK_NUMBERS or step == len(sizes):
            earlier = slice(begin - (sizes[first - 1] if first else 0), begin)
            blocks.append(_StepBlock(slice(begin, end), sizes[first:step], earlier))
            first, begin = step, end
    return blocks


def _leading_views(scratch: Tensor, sizes: list[int]) -> list[Tensor]:
    """For each time step a view of as many first rows as it needs; equal sizes share one view."""
    views = {size: scratch[:size] for size in set(sizes)}
    return [views[size] for size in sizes]


def _previous_rows(start: Tensor, steps: Sequence[Tensor]) -> list[Tensor]:
    """For each time step the rows of the step before that have it too; start comes before the first."""
    pairs = zip((start, *steps[:-1]), steps, strict=True)
    return [earlier if len(earlier) == len(step) else earlier[: len(step)] for earlier, step in pairs]


def _validate(input_projection: Tensor, decay: Tensor, weight: Tensor, bias: Tensor, sizes: Sequence[int]) -> list[int]:
    """The sizes as whole numbers; refused where shapes or sizes do not fit together."""
    sizes = [int(size) for size in sizes]
    rows, hidden = sum(sizes), weight.shape[-1]
    shapes = [tuple(tensor.shape) for tensor in (input_projection, decay, weight, bias)]
    fitting = [(rows, 3 * hidden), (rows, hidden), (3 * hidden, hidden), (3 * hidden,)]
    if shapes != fitting:
        raise ArgumentError(
            "input_projection, decay, weight and bias of shapes " + ", ".join(map(str, fitting)),
            ", ".join(map(str, shapes)),
            "The sizes add up to the rows; the last axis of weight is hidden; projection and bias have three gates.",
        )
    if _increases(sizes) or any(size < 1 for size in sizes):
        raise ArgumentError(
            "sizes of at least 1 that do not increase from step to step",
            f"{len(sizes)} sizes between {min(sizes)} and {max(sizes)}",
            "Sort the stays from the longest to the shortest and use packed_rows(lengths).",
        )
    return sizes


def _increases(counts: list[int]) -> bool:
    return any(later > earlier for earlier, later in pairwise(counts))
