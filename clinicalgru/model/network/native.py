"""The GRU layer in C, where it was built: input projection, decay and recurrence in one pass.

Wherever `usable` says no, `gru_layer` computes the same from torch operations.
"""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from clinicalgru.model.network.cells import gru_step, scan
from clinicalgru.model.network.layers import MAX_DECAY_EXPONENT
from clinicalgru.model.network.native_library import library_for, pointer
from clinicalgru.model.network.recurrence import gru_scan

BLOCK, CHUNK = 48, 128  # as in scan.c


def gru_layer(
    inputs: Tensor,
    delta_hours: Tensor,
    *,
    input_weights: tuple[Tensor, Tensor],
    decay_weights: tuple[Tensor, Tensor],
    weights: tuple[Tensor, Tensor],
    sizes: Sequence[int],
    state: Tensor | None = None,
) -> Tensor:
    """States of a GRU layer whose state decays over time gaps.

    Parameters
    ----------
    inputs : Tensor, shape (row, input)
        Inputs of each time step.
    delta_hours : Tensor, shape (row, gap)
        Time gaps.
    input_weights : (Tensor, Tensor), shapes (3 * hidden, input), (3 * hidden,)
        Projection of the inputs: weight and bias, with gates in the order r, z, n.
    decay_weights : (Tensor, Tensor), shapes (hidden, gap), (hidden,)
        Weight and bias of the exponent of the decay, which is limited to -80 to 0.
    weights : (Tensor, Tensor), shapes (3 * hidden, hidden), (3 * hidden,)
        Recurrent weight and bias.
    sizes : sequence of int
        Number of stays that have each time step, as of `gru_scan`.
    state : Tensor, shape (stay, hidden), or None
        State before the first time step, which no gradient is computed of; None: 0.

    Returns
    -------
    Tensor, shape (row, hidden)
        State after each time step.

    Raises
    ------
    ArgumentError
        If the shapes do not fit each other, or the sizes increase or do not add up to the rows.

    Notes
    -----
    In float32 the native layer and torch agree to about 1e-6.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.native import gru_layer
    >>> linear = lambda outputs, inputs: (torch.zeros(outputs, inputs), torch.zeros(outputs))
    >>> weights = dict(input_weights=linear(6, 4), decay_weights=linear(2, 1), weights=linear(6, 2))
    >>> gru_layer(torch.zeros(3, 4), torch.ones(3, 1), sizes=[2, 1], **weights).shape
    torch.Size([3, 2])
    """
    tensors: tuple[Tensor, ...] = (inputs, delta_hours, *input_weights, *decay_weights, *weights)
    sizes = [int(size) for size in sizes]
    library = usable(tensors, sizes)
    if library is None:
        decay = torch.exp(F.hardtanh(F.linear(delta_hours, *decay_weights), -MAX_DECAY_EXPONENT, 0.0))
        projection = F.linear(inputs, *input_weights)
        if state is not None:
            weight, bias = weights
            return scan(
                gru_step, state, input_projection=projection, decay=decay, weight=weight, bias=bias, sizes=sizes
            )
        return gru_scan(projection, decay, *weights, sizes)
    hidden = weights[0].shape[1]
    spare = -hidden % library.gru_lanes()
    if spare:
        tensors = _more_units(tensors, spare)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        states = _NativeLayer.apply(library, sizes, *tensors)
    else:
        before = state if state is None or not spare else F.pad(state, (0, spare))
        states = _forward(library, sizes, tensors, save=False, before=before).states
    return states[:, :hidden] if spare else states


def usable(tensors: Sequence[Tensor], sizes: Sequence[int]) -> ctypes.CDLL | None:
    """The native layer, if it can compute these tensors.

    Parameters
    ----------
    tensors : sequence of Tensor
        Inputs, time gaps, and weights and biases in the order of `gru_layer`.
    sizes : sequence of int
        Number of stays that have each time step.

    Returns
    -------
    CDLL or None
        None for other numbers than float32, another device, shapes or sizes that do not fit (torch raises), a processor
        without a native layer, and where the environment variable CLINICALGRU_KERNEL is 0.
    """
    library = library_for(tensors)
    if library is None or tensors[0].ndim != 2:
        return None
    (rows, inputs), gaps, hidden = tensors[0].shape, tensors[1].shape[-1], tensors[6].shape[-1]
    shapes = [(rows, inputs), (rows, gaps), (3 * hidden, inputs), (3 * hidden,), (hidden, gaps), (hidden,)]
    shapes += [(3 * hidden, hidden), (3 * hidden,)]
    fits = [tuple(tensor.shape) for tensor in tensors] == shapes and min(rows, inputs, gaps, hidden) > 0
    ordered = sum(sizes) == rows and min(sizes, default=0) > 0 and all(map(operator.ge, sizes, sizes[1:]))
    return library if fits and ordered else None


def _more_units(tensors: Sequence[Tensor], spare: int) -> tuple[Tensor, ...]:
    """The tensors of a layer with further units whose weights are 0, and whose state stays 0."""
    inputs, delta_hours, *weights = tensors
    hidden = weights[4].shape[1]
    weights[4] = F.pad(weights[4], (0, spare))
    above = [(0, 0) * (weight.ndim - 1) + (0, spare) for weight in weights]
    by_gate = (weight.unflatten(0, (-1, hidden)) for weight in weights)
    return inputs, delta_hours, *(F.pad(x, by).flatten(0, 1) for x, by in zip(by_gate, above, strict=True))


class _Saved(NamedTuple):
    """What the forward pass computes; gates and decay are empty unless they are saved."""

    states: Tensor  # (row, hidden)
    gates: Tensor  # (row, 4 * hidden)  r, z, W_n h' + b_n, n
    decay: Tensor  # (row, hidden)


class _NativeLayer(torch.autograd.Function):
    """`_forward` and `_backward` as one autograd function."""

    @staticmethod
    def forward(ctx: Any, library: ctypes.CDLL, sizes: list[int], *tensors: Tensor) -> Tensor:
        saved = _forward(library, sizes, tensors, save=True)
        ctx.library, ctx.sizes = library, sizes
        ctx.save_for_backward(*tensors, *saved)
        return saved.states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        *tensors, states, gates, decay = ctx.saved_tensors
        saved, wanted = _Saved(states, gates, decay), ctx.needs_input_grad[2:4]
        return None, None, *_backward(ctx.library, ctx.sizes, tensors, saved, grad=grad, wanted=wanted)


def _forward(
    library: ctypes.CDLL, sizes: list[int], tensors: Sequence[Tensor], *, save: bool, before: Tensor | None = None
) -> _Saved:
    x, delta, weight_x, bias_x, weight_gap, bias_gap, weight, bias = tensors
    rows, hidden = len(x), weight.shape[1]
    gated, candidate = bias.split([2 * hidden, hidden])
    saved = _Saved(*(x.new_empty(n * rows, width) for n, width in ((1, hidden), (save, 4 * hidden), (save, hidden))))
    scratch = x.new_empty(BLOCK * (6 * hidden + 2 * library.gru_lanes()))
    bias_x = bias_x + F.pad(gated, (0, hidden))
    numbers = (x.shape[1], delta.shape[1], hidden, int(save))
    weights = (weight_x.t(), bias_x, weight.t(), candidate, weight_gap.t(), bias_gap)
    _call(library.gru_forward, sizes, numbers, (x, delta, *weights, before), (*saved, scratch))
    return saved


def _backward(
    library: ctypes.CDLL,
    sizes: list[int],
    tensors: Sequence[Tensor],
    saved: _Saved,
    *,
    grad: Tensor,
    wanted: tuple[bool, bool],
) -> list[Tensor | None]:
    """The gradient of each tensor; of the inputs and the time gaps if wanted."""
    x, delta, weight_x, _, weight_gap, _, weight, _ = tensors
    (rows, inputs), gaps, hidden, lanes = x.shape, delta.shape[1], weight.shape[1], library.gru_lanes()
    spare = [-inputs % lanes, -gaps % lanes]
    wide = [inputs + spare[0], gaps + spare[1]]
    grads = [x.new_empty(rows, width) if want else None for width, want in zip(wide, wanted, strict=True)]
    shapes = (inputs, 3 * hidden), (hidden, 3 * hidden), (gaps, hidden), (4 * hidden,), (hidden,)
    sums = [x.new_zeros(shape) for shape in shapes]
    zeros, carry = x.new_zeros(max(hidden, *wide)), x.new_zeros(sizes[0], hidden)
    scratch = x.new_empty((CHUNK + sizes[0]) * (7 * hidden + 3 * lanes))
    padded = F.pad(weight_x, (0, spare[0])), weight.roll(hidden, 0), F.pad(weight_gap, (0, spare[1]))
    numbers = (inputs, gaps, hidden, *wide)
    written = (*grads, *sums, zeros, carry, scratch)
    _call(library.gru_backward, sizes, numbers, (x, delta, *padded, *saved, grad), written)
    by_input, by_state, by_gap, by_bias, by_gap_bias = sums
    return [
        *(found if found is None else found[:, :width] for found, width in zip(grads, (inputs, gaps), strict=True)),
        *(by_input.t(), by_bias[hidden:], by_gap.t(), by_gap_bias),
        *(by_state.t().roll(-hidden, 0), by_bias[: 3 * hidden].roll(-hidden)),
    ]


def _call(
    function: Any,
    sizes: list[int],
    numbers: Sequence[int],
    read: Sequence[Tensor | None],
    written: Sequence[Tensor | None],
) -> None:
    """Call a function of the library: sizes, numbers, arrays that it reads, and arrays that it writes to."""
    arrays = [torch.tensor(sizes), *(tensor if tensor is None else tensor.contiguous() for tensor in read), *written]
    first, *others = map(pointer, arrays)
    function(ctypes.c_long(len(sizes)), first, *map(ctypes.c_long, numbers), *others)
