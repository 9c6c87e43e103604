"""The native GRU layer against the torch operations that stand in for it."""

from __future__ import annotations

import ctypes
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

import clinicalgru
from clinicalgru.errors import ArgumentError
from clinicalgru.model.network import native, native_library
from clinicalgru.model.network.layers import QuantileScaler
from clinicalgru.model.network.native import gru_layer
from clinicalgru.model.network.native_library import SWITCH, library_for, load
from clinicalgru.model.network.recurrence import packed_rows

ROOT = Path(clinicalgru.__file__).parents[1]
RAGGED = [9, 8, 8, 7, 7, 7, 7, 3, 3, 2, 1, 1, 1]
SHAPES = {
    "ragged": (RAGGED, 64, 72, 36),
    "one step": ([1], 16, 1, 1),
    "few units": ([5, 3], 5, 3, 2),
    "many stays": ([7] * 60 + [4] * 73, 32, 17, 5),  # more rows than a block of the forward pass
    "many steps": (sorted(range(20, 201, 6), reverse=True), 48, 20, 16),  # several chunks of the backward pass
}


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Compiled from the source as it is now, and used by every test here."""
    folder = tmp_path_factory.mktemp("native")
    (folder / "scan.c").write_bytes((native_library.FOLDER / "scan.c").read_bytes())
    module = importlib.util.module_from_spec(
        spec := importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    )
    spec.loader.exec_module(module)
    module.compile_scan(folder)
    built = load(folder)
    if built is None:
        pytest.skip("no C compiler, or none for this processor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native_library, "load", lambda: built)
        yield built


def problem(lengths: list[int], hidden: int, inputs: int, gaps: int) -> tuple[list[Tensor], list[int]]:
    """Random tensors in the order of `gru_layer` that ask for gradients, and the sizes."""
    draw, sizes = torch.Generator().manual_seed(0), packed_rows(lengths)
    rows = sum(sizes)
    linear = lambda outputs, width: (  # noqa: E731
        torch.randn(outputs, width, generator=draw) * width**-0.5,
        torch.randn(outputs, generator=draw) * 0.5,
    )
    first = torch.randn(rows, inputs, generator=draw), torch.randn(rows, gaps, generator=draw)
    layers = linear(3 * hidden, inputs), linear(hidden, gaps), linear(3 * hidden, hidden)
    return [x.requires_grad_() for x in (*first, *(x for pair in layers for x in pair))], sizes


def with_gradients(tensors: list[Tensor], sizes: list[int], *, wanted: slice = slice(None)) -> list[Tensor]:
    """States, and the gradients of a fixed weighted sum of them."""
    x, delta, *rest = tensors
    states = gru_layer(
        x, delta, input_weights=(*rest[:2],), decay_weights=(*rest[2:4],), weights=(*rest[4:],), sizes=sizes
    )
    seen = torch.randn(states.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    return [states.detach(), *torch.autograd.grad((states * seen).sum(), tensors[wanted])]


def relative(ours: Tensor, theirs: Tensor) -> float:
    """The largest deviation, relative to the largest number or 1."""
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1)).item()


@pytest.mark.parametrize("shape", SHAPES)
def test_states_and_gradients_are_those_of_torch(shape, monkeypatch):
    tensors, sizes = problem(*SHAPES[shape])
    assert native.usable(tensors, sizes) is not None
    ours = with_gradients(tensors, sizes)
    monkeypatch.setenv(SWITCH, "0")
    assert native.usable(tensors, sizes) is None
    theirs = with_gradients(tensors, sizes)
    assert max(map(relative, ours, theirs)) <= 1e-6


def test_both_are_as_close_to_float64():
    tensors, sizes = problem(*SHAPES["ragged"])
    exact = [x.detach().double().requires_grad_() for x in tensors]
    assert native.usable(exact, sizes) is None
    assert max(map(relative, with_gradients(tensors, sizes), with_gradients(exact, sizes))) <= 1e-6


def test_states_are_the_same_bits_without_gradients_in_other_batches_and_threads():
    tensors, sizes = problem(*SHAPES["ragged"])
    first, *gradients = with_gradients(tensors, sizes)
    with torch.no_grad():
        x, delta, *rest = tensors
        layer = {"input_weights": rest[:2], "decay_weights": rest[2:4], "weights": rest[4:]}
        assert torch.equal(first, gru_layer(x, delta, **layer, sizes=sizes))
        longest = [sum(sizes[:step]) for step in range(len(sizes))]
        alone = gru_layer(x[longest], delta[longest], **layer, sizes=[1] * len(sizes))
        assert torch.equal(first[longest], alone)
    with ThreadPoolExecutor(4) as pool:
        for states, *others in pool.map(lambda _: with_gradients(tensors, sizes), range(8)):
            assert torch.equal(states, first)
            assert all(map(torch.equal, gradients, others))


def test_gradients_of_weights_alone_and_of_any_layout_are_the_same():
    tensors, sizes = problem(*SHAPES["ragged"])
    whole = with_gradients(tensors, sizes)
    still = [x.detach() for x in tensors[:2]] + tensors[2:]
    strided = [x.detach().t().contiguous().t().requires_grad_() for x in tensors]
    for found, expected in zip(with_gradients(still, sizes, wanted=slice(2, None))[1:], whole[3:], strict=True):
        assert torch.equal(found, expected)
    assert all(map(torch.equal, with_gradients(strided, sizes), whole))


def test_a_state_that_never_decays_and_one_that_is_forgotten():
    tensors, sizes = problem(*SHAPES["ragged"])
    for exponent in (0.0, 5.0, -1e-9, -79.0, -1e4):
        tensors[4], tensors[5] = torch.zeros(64, 36).requires_grad_(), torch.full((64,), exponent).requires_grad_()
        ours = with_gradients(tensors, sizes)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(SWITCH, "0")
            theirs = with_gradients(tensors, sizes)
        assert max(map(relative, ours, theirs)) <= 1e-6


@pytest.mark.parametrize("wrong", range(8))
def test_a_shape_that_does_not_fit_never_reaches_the_library(wrong):
    tensors, sizes = problem(*SHAPES["few units"])
    tensors[wrong] = torch.zeros(*tensors[wrong].shape[:-1], tensors[wrong].shape[-1] + 1)
    assert native.usable(tensors, sizes) is None


def test_sizes_that_do_not_fit_are_refused():
    tensors, _ = problem(*SHAPES["few units"])
    for sizes in ([2, 2, 2, 1], [1, 2, 2, 1, 2], [8, 0], []):
        with pytest.raises(ArgumentError, match="sizes"):
            with_gradients(tensors, sizes)


def test_a_library_of_another_source_is_not_loaded(library, tmp_path):
    built = Path(library._name)
    (tmp_path / built.name).write_bytes(built.read_bytes())
    (tmp_path / "scan.c").write_text("int other;")
    assert load(tmp_path) is None
    assert load(tmp_path / "empty") is None


@pytest.mark.parametrize("hidden", [16, 5])
def test_steps_that_follow_a_state_are_those_of_one_pass(hidden, monkeypatch):
    (x, delta, *weights), _ = problem([9] * 3, hidden, 6, 4)
    x, delta, *weights = (tensor.detach() for tensor in (x, delta, *weights))
    named = dict(
        zip(("input_weights", "decay_weights", "weights"), zip(weights[::2], weights[1::2], strict=True), strict=True)
    )
    whole = gru_layer(x, delta, sizes=[3] * 9, **named)
    first = gru_layer(x[:12], delta[:12], sizes=[3] * 4, **named)
    then = gru_layer(x[12:], delta[12:], sizes=[3] * 5, state=first[-3:], **named)
    assert torch.equal(torch.cat([first, then]), whole)
    monkeypatch.setenv(SWITCH, "0")
    by_torch = gru_layer(x[12:], delta[12:], sizes=[3] * 5, state=first[-3:], **named)
    assert torch.allclose(by_torch, then, atol=1e-5)


@pytest.mark.parametrize("n_knots", [2, 5, 65])
def test_scores_of_values_are_those_of_torch(n_knots, monkeypatch):
    draw = torch.Generator().manual_seed(3)
    scaler = QuantileScaler(7, knots=n_knots)
    for feature, spread in enumerate((0.0, 1.0, 1e-3, 1e6, 1.0, 1.0)):  # one is constant, and the last was never fitted
        scaler.fit(feature, (5 + spread * torch.randn(400, generator=draw)).numpy())
    table = 5 + 3 * torch.randn(500, 7, generator=draw)
    table[::7] = scaler.knots.t()[torch.randint(n_knots, (72,), generator=draw)]  # values at knots
    table[3, :], table[4, :], table[5, :] = float("nan"), float("inf"), -float("inf")
    feature = torch.arange(7).expand(500, 7).flatten()
    assert library_for((table, scaler.knots)) is not None
    native_scores = scaler(table), scaler(table.t().contiguous().t()), scaler.at(table.flatten(), feature).view(500, 7)
    monkeypatch.setenv(SWITCH, "0")
    expected = scaler(table)
    assert expected.isnan().sum() == 7
    for scores in (*native_scores, scaler.at(table.flatten(), feature).view(500, 7)):
        torch.testing.assert_close(scores, expected, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_scores_of_values_that_ask_for_gradients_have_them():
    scaler = QuantileScaler(1, knots=5)
    scaler.fit(0, torch.arange(101.0).numpy())
    value = torch.tensor([[30.0]], requires_grad=True)
    assert torch.autograd.grad(scaler(value).sum(), value)[0].item() > 0
