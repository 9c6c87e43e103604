"""The cells against torch's own, the published equations in NumPy, and the fast recurrence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from clinicalgru.errors import ArgumentError
from clinicalgru.model.network.cells import (
    delayed_rows,
    feedback_scan,
    gru_before_step,
    gru_step,
    lstm_step,
    rnn_step,
    scan,
)
from clinicalgru.model.network.recurrence import gru_scan, packed_rows

LENGTHS = [7, 7, 5, 2, 1, 1]
HIDDEN = 5
STARTS = np.cumsum([0, *packed_rows(LENGTHS)])


def problem(gates: int, dtype: torch.dtype = torch.float64) -> dict:
    """Random input_projection, decay, weight and bias that ask for gradients, and the sizes."""
    draw, sizes = torch.Generator().manual_seed(0), packed_rows(LENGTHS)
    shapes = {"input_projection": (sum(sizes), gates * HIDDEN), "decay": (sum(sizes), HIDDEN)}
    shapes |= {"weight": (gates * HIDDEN, HIDDEN), "bias": (gates * HIDDEN,)}
    drawn = {name: torch.randn(shape, generator=draw, dtype=dtype) for name, shape in shapes.items()}
    drawn["decay"] = torch.sigmoid(drawn["decay"])
    return {name: tensor.requires_grad_() for name, tensor in drawn.items()} | {"sizes": sizes}


def start(memories: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.zeros(len(LENGTHS), memories * HIDDEN, dtype=dtype)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def by_hand(step, memories: int = 1, **given) -> np.ndarray:
    """States of each stay alone, by a loop over its rows in NumPy."""
    given = {name: np.asarray(value.detach()) for name, value in given.items() if isinstance(value, torch.Tensor)}
    states = np.zeros((sum(LENGTHS), HIDDEN))
    for stay, length in enumerate(LENGTHS):
        memory = np.zeros(memories * HIDDEN)
        for row in STARTS[:length] + stay:
            memory = step(given["input_projection"][row], np.tile(given["decay"][row], memories) * memory, given)
            states[row] = memory[:HIDDEN]
    return states


def cho(a, h, given):
    """Cho et al. 2014, Eqs. 5-8."""
    (wr, wz, wn), (br, bz, bn) = np.split(given["weight"], 3), np.split(given["bias"], 3)
    ar, az, an = np.split(a, 3)
    r, z = sigmoid(ar + wr @ h + br), sigmoid(az + wz @ h + bz)
    return z * h + (1 - z) * np.tanh(an + wn @ (r * h) + bn)


def elman(a, h, given):
    return np.tanh(a + given["weight"] @ h + given["bias"])


def hochreiter(a, state, given):
    h, c = np.split(state, 2)
    i, f, g, o = np.split(a + given["weight"] @ h + given["bias"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return np.concatenate([sigmoid(o) * np.tanh(c), c])


@pytest.mark.parametrize(
    ("cell", "published", "gates", "memories"),
    [(gru_before_step, cho, 3, 1), (rnn_step, elman, 1, 1), (lstm_step, hochreiter, 4, 2)],
    ids=["Cho et al. 2014", "Elman 1990", "Gers et al. 2000"],
)
def test_states_follow_the_published_equations(cell, published, gates, memories):
    given = problem(gates)
    ours = scan(cell, start(memories), **given).detach().numpy()
    np.testing.assert_allclose(ours, by_hand(published, memories, **given), atol=1e-12)


@pytest.mark.parametrize(
    ("cell", "module", "gates", "memories"),
    [(lstm_step, nn.LSTM, 4, 2), (rnn_step, nn.RNN, 1, 1), (gru_step, nn.GRU, 3, 1)],
    ids=["LSTM", "RNN", "GRU"],
)
def test_without_decay_states_and_gradients_are_those_of_torch(cell, module, gates, memories):
    torch.manual_seed(0)
    theirs_of = module(3, HIDDEN)
    packed = pack_padded_sequence(torch.randn(max(LENGTHS), len(LENGTHS), 3), LENGTHS)
    input_projection = nn.functional.linear(packed.data, theirs_of.weight_ih_l0, theirs_of.bias_ih_l0)
    given = {
        "input_projection": input_projection,
        "decay": torch.ones(len(input_projection), HIDDEN),
        "sizes": packed_rows(LENGTHS),
    }
    given |= {"weight": theirs_of.weight_hh_l0, "bias": theirs_of.bias_hh_l0}
    ours, theirs = scan(cell, start(memories, torch.float32), **given), theirs_of(packed)[0].data
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    seen = torch.randn_like(ours)
    gradients = [torch.autograd.grad(h, [*theirs_of.parameters()], seen) for h in (ours, theirs)]
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


def test_the_loop_over_the_gru_is_the_fast_recurrence():
    given = problem(3)
    torch.testing.assert_close(scan(gru_step, start(), **given), gru_scan(*given.values()), atol=1e-12, rtol=0)


def test_what_a_mask_hides_the_products_do_not_see_at_any_step_and_the_memory_stays():
    given, dropout_mask = problem(3), torch.ones(len(LENGTHS), HIDDEN, dtype=torch.float64)
    dropout_mask[:, 2] = 0
    weight = given["weight"].detach().clone()
    weight[:, 2] = 0
    ours = scan(gru_step, start(), **given, dropout_mask=dropout_mask)
    torch.testing.assert_close(ours, scan(gru_step, start(), **given | {"weight": weight}), atol=1e-12, rtol=0)


def test_the_delayed_state_comes_back_as_in_the_equations_of_erichson():
    given = problem(5)
    hours = torch.cat([torch.full((size,), 1.5 * step) for step, size in enumerate(given["sizes"])])
    rows = torch.full((len(LENGTHS), max(LENGTHS)), -1)
    for stay, length in enumerate(LENGTHS):
        rows[stay, :length] = torch.from_numpy(STARTS[:length] + stay)
    delayed = delayed_rows(hours, rows, rows >= 0, 3.0)
    ours = feedback_scan(**given, delayed=delayed).detach().numpy()
    input_projection, decay, weight, bias = (
        given[name].detach().numpy() for name in ("input_projection", "decay", "weight", "bias")
    )
    for stay, length in enumerate(LENGTHS):
        states = [np.zeros(HIDDEN)]
        for step, row in enumerate(STARTS[:length] + stay):
            h, before = decay[row] * states[-1], states[max(0, step + 1 - 2)]  # 3 hours are 2 steps
            wr, wz, wn, wa, wd = np.split(weight, 5)
            br, bz, bn, ba, bd = np.split(bias, 5)
            ar, az, an, aa, ad = np.split(input_projection[row], 5)
            r, z, a = sigmoid(ar + wr @ h + br), sigmoid(az + wz @ h + bz), sigmoid(aa + wa @ h + ba)
            candidate = np.tanh(an + r * (wn @ h + bn)) + a * np.tanh(ad + wd @ before + bd)
            states.append(z * h + (1 - z) * candidate)
            np.testing.assert_allclose(ours[row], states[-1], atol=1e-12)


def test_gradients_through_a_delay_are_those_of_finite_differences():
    given = problem(5) | {"sizes": [2, 2, 1]}
    short = [given["input_projection"][:5].detach(), given["decay"][:5].detach(), given["weight"], given["bias"]]
    delayed = torch.tensor([-1, -1, -1, -1, 0])
    assert torch.autograd.gradcheck(lambda *x: feedback_scan(*x, sizes=[2, 2, 1], delayed=delayed), short)


def test_the_delayed_row_is_the_last_at_or_before_so_many_hours_ago_for_irregular_hours():
    hours, rows = torch.tensor([0.0, 0.1, 0.3, 7.0, 7.2]), torch.tensor([[0, 1, 2, 3, 4, -1]])
    assert delayed_rows(hours, rows, rows >= 0, 0.2).tolist() == [-1, -1, 1, 2, 3]
    with pytest.raises(ArgumentError, match="feedback_delay_hours above 0"):
        delayed_rows(hours, rows, rows >= 0, 0.0)


@pytest.mark.parametrize(("cell", "memories", "gates"), [(gru_before_step, 1, 3), (lstm_step, 2, 4), (rnn_step, 1, 1)])
def test_no_steps_give_no_states(cell, memories, gates):
    given = {
        "input_projection": torch.zeros(0, gates * 2),
        "decay": torch.ones(0, 2),
        "weight": torch.zeros(gates * 2, 2),
    }
    assert scan(cell, torch.zeros(0, memories * 2), **given, bias=torch.zeros(gates * 2), sizes=[]).shape == (0, 2)
