"""The recurrence against torch's GRU, a plain loop, the published equations in NumPy, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils._python_dispatch import TorchDispatchMode

from clinicalgru.errors import ArgumentError
from clinicalgru.model.network import recurrence
from clinicalgru.model.network.recurrence import gru_scan, gru_scan_plain, packed_rows

RAGGED = [7, 7, 5, 2, 1, 1]


@pytest.fixture(params=[1, 40, 10**9], ids=["a block per step", "a few steps per block", "one block"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(recurrence, "BLOCK_NUMBERS", request.param)


def problem(lengths: list[int], hidden: int = 5, dtype: torch.dtype = torch.float32) -> tuple[list[Tensor], list[int]]:
    """Random input_projection, decay, weight and bias that ask for gradients, and the sizes."""
    draw, sizes = torch.Generator().manual_seed(0), packed_rows(lengths)
    shapes = (sum(sizes), 3 * hidden), (sum(sizes), hidden), (3 * hidden, hidden), (3 * hidden,)
    input_projection, decay, weight, bias = (torch.randn(shape, generator=draw, dtype=dtype) for shape in shapes)
    return [x.requires_grad_() for x in (input_projection, torch.sigmoid(decay), weight, bias)], sizes


def with_gradients(scan, inputs: list[Tensor], sizes: list[int]) -> list[Tensor]:
    """States, and the gradients of a fixed weighted sum of them."""
    states = scan(*inputs, sizes)
    seen = torch.randn(states.shape, generator=torch.Generator().manual_seed(1), dtype=states.dtype)
    return [states.detach(), *torch.autograd.grad((states * seen).sum(), inputs)]


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("lengths", [RAGGED, [1], [1, 1, 1], [9], [4, 4, 4], [6, 1]], ids=str)
def test_states_and_gradients_are_those_of_the_plain_loop(lengths):
    inputs, sizes = problem(lengths)
    fast, plain = with_gradients(gru_scan, inputs, sizes), with_gradients(gru_scan_plain, inputs, sizes)
    for ours, theirs in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_without_decay_states_and_gradients_are_those_of_torch():
    torch.manual_seed(0)
    gru, hidden = nn.GRU(3, 8), 8
    packed = pack_padded_sequence(torch.randn(max(RAGGED), len(RAGGED), 3), RAGGED)
    theirs = gru(packed)[0].data
    input_projection = nn.functional.linear(packed.data, gru.weight_ih_l0, gru.bias_ih_l0)
    ours = gru_scan(
        input_projection,
        torch.ones(len(input_projection), hidden),
        gru.weight_hh_l0,
        gru.bias_hh_l0,
        packed_rows(RAGGED),
    )
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    seen = torch.randn_like(ours)
    for mine, other in zip(*(torch.autograd.grad(h, [*gru.parameters()], seen) for h in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


def test_states_follow_the_published_equations():
    inputs, sizes = problem(RAGGED, dtype=torch.float64)
    input_projection, decay, weight, bias = (x.detach().numpy() for x in inputs)
    states = gru_scan(*inputs, sizes).detach().numpy()
    starts = np.cumsum([0, *sizes])
    for stay, length in enumerate(RAGGED):
        h = np.zeros(5)
        for row in starts[:length] + stay:
            h = decay[row] * h
            a, u = input_projection[row].reshape(3, 5), (weight @ h + bias).reshape(3, 5)
            r, z = 1 / (1 + np.exp(-(a[:2] + u[:2])))
            h = z * h + (1 - z) * np.tanh(a[2] + r * u[2])
            np.testing.assert_allclose(states[row], h, atol=1e-12)


@pytest.mark.usefixtures("_blocks")
def test_gradients_are_those_of_finite_differences():
    inputs, sizes = problem([4, 3, 3, 1], hidden=2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *x: gru_scan(*x, sizes), inputs)


def test_a_gradient_of_the_gradient_is_refused():
    inputs, sizes = problem([2])
    first = torch.autograd.grad(gru_scan(*inputs, sizes).square().sum(), inputs[0], create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_inputs_are_left_alone_and_one_forward_serves_two_backwards():
    inputs, sizes = problem(RAGGED)
    copies = [x.detach().clone() for x in inputs]
    states = gru_scan(*inputs, sizes)
    once, twice = (torch.autograd.grad(states.sum(), inputs, retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))
    assert all(torch.equal(x, copy) for x, copy in zip(inputs, copies, strict=True))


def test_repeated_runs_give_the_same_bits_with_and_without_gradients():
    inputs, sizes = problem(RAGGED)
    first, second = (with_gradients(gru_scan, inputs, sizes) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    with torch.no_grad():
        assert torch.equal(gru_scan(*inputs, sizes), first[0])


def test_inputs_of_any_layout_give_the_same_states_and_gradients():
    inputs, sizes = problem(RAGGED)
    strided = [x.detach().t().contiguous().t().requires_grad_() for x in inputs]
    for a, b in zip(*(with_gradients(gru_scan, x, sizes) for x in (inputs, strided)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
    input_projection, decay, *parameters = inputs
    one, ones = torch.ones(1, 1).expand(decay.shape), torch.ones_like(decay)
    assert torch.equal(
        gru_scan(input_projection, one, *parameters, sizes), gru_scan(input_projection, ones, *parameters, sizes)
    )


@pytest.mark.parametrize("kept", [0.0, 1e-30, 1e-40])
def test_a_vanishing_decay_forgets_and_stays_finite(kept):
    (input_projection, decay, weight, bias), sizes = problem([60, 60])
    decay = torch.full_like(decay, kept).requires_grad_()
    states, *gradients = with_gradients(gru_scan, [input_projection, decay, weight, bias], sizes)
    assert all(torch.isfinite(x).all() for x in (states, *gradients))
    shuffled = torch.randperm(60).repeat_interleave(2) * 2 + torch.tensor([0, 1]).repeat(60)
    torch.testing.assert_close(gru_scan(input_projection[shuffled], decay, weight, bias, sizes), states[shuffled])


class Allocations(TorchDispatchMode):
    """Bytes of each storage that an operation brings into being."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: dict[int, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, Tensor):
                self.bytes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return result


@pytest.mark.slow
def test_without_gradients_only_the_states_grow_with_the_steps():
    inputs, sizes = problem([500, 500])
    with torch.no_grad(), Allocations() as made:
        states = gru_scan(*inputs, sizes)
    given = {x.untyped_storage().data_ptr() for x in inputs}
    large = [size for at, size in made.bytes.items() if at not in given and size >= states.nbytes // 10]
    assert large == [states.nbytes]


def test_no_steps_give_no_states():
    input_projection, decay = torch.zeros(0, 6), torch.ones(0, 2, requires_grad=True)
    for scan in (gru_scan, gru_scan_plain):
        assert scan(input_projection, decay, torch.zeros(6, 2), torch.zeros(6), []).shape == (0, 2)


@pytest.mark.parametrize(
    ("rows", "sizes", "said"),
    [
        (3, [1, 2], "sizes of at least 1 that do not increase"),
        (3, [3, 0], "sizes of at least 1 that do not increase"),
        (4, [2, 1], r"\(3, 6\), \(3, 2\), \(6, 2\), \(6,\); got \(4, 6\), \(4, 2\), \(6, 2\), \(6,\)"),
    ],
    ids=["increasing", "a step without stays", "rows left over"],
)
def test_sizes_that_do_not_fit_are_refused(rows, sizes, said):
    for scan in (gru_scan, gru_scan_plain):
        with pytest.raises(ArgumentError, match=said):
            scan(torch.zeros(rows, 6), torch.ones(rows, 2), torch.zeros(6, 2), torch.zeros(6), sizes)


@pytest.mark.parametrize("wrong", range(4), ids=["input_projection", "decay", "weight", "bias"])
def test_a_shape_that_does_not_fit_is_refused(wrong):
    inputs = [torch.zeros(3, 6), torch.ones(3, 2), torch.zeros(6, 2), torch.zeros(6)]
    inputs[wrong] = torch.zeros(*inputs[wrong].shape[:-1], inputs[wrong].shape[-1] + 1)
    with pytest.raises(ArgumentError, match="input_projection, decay, weight and bias of shapes"):
        gru_scan(*inputs, [2, 1])


def test_packed_rows_are_those_of_a_packed_sequence():
    packed = pack_padded_sequence(torch.zeros(max(RAGGED), len(RAGGED), 1), RAGGED)
    assert packed_rows(RAGGED) == packed.batch_sizes.tolist()
    assert packed_rows([]) == []


@pytest.mark.parametrize("lengths", [[1, 2], [2, 0]], ids=["not sorted", "a stay without steps"])
def test_lengths_that_cannot_be_packed_are_refused(lengths):
    with pytest.raises(ArgumentError, match="sorted from the longest stay to the shortest"):
        packed_rows(lengths)
