"""The encoder against a NumPy loop of GRU-D, and its options against what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from clinicalgru.errors import ArgumentError
from clinicalgru.model.network.collate import collate
from clinicalgru.model.network.config import NetworkSpec, check_spec
from clinicalgru.model.network.convolution import Convolutions, strided
from clinicalgru.model.network.encoder import Encoder
from clinicalgru.model.network.network import n_categories
from clinicalgru.model.network.scaling import InputScaler


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def stays(test_stays):
    return test_stays[np.argsort(test_stays.n_steps)[:5]]


def shaped(stays, **options) -> NetworkSpec:
    return NetworkSpec(len(stays.variables), (), hidden_size=4, **options)


def encoded(stays, **options):
    """An untrained encoder in double precision, its inputs, batch and states."""
    torch.manual_seed(0)
    encoder = Encoder(shaped(stays, **options)).double().eval()
    scales = InputScaler(len(stays.variables), n_categories(stays.static_variables))
    scales.fit(stays)
    batch = collate(stays)
    inputs = replace(scales(batch), **{n: getattr(scales(batch), n).double() for n in ("score", "mask", "delta_hours")})
    return encoder, inputs, batch, encoder(inputs, batch)


def test_states_are_those_of_gru_d(stays):
    """Che et al. 2018, Eqs. 3-6 and 10-14, one stay, one step, one equation at a time.

    Deviation from the paper: W_gamma = softplus(raw);
    their z is 1 - z here, as in Cho et al. 2014; the training mean is the median, whose score is 0."""
    encoder, inputs, batch, (states, _) = encoded(stays, reset="before")
    layer, value_decay = encoder.forward_layers[0], encoder.steps.value_decay
    p = {name: tensor.detach().numpy() for name, tensor in layer.named_parameters()}
    wx, bx = np.log1p(np.exp(value_decay.raw.detach().numpy())), value_decay.bias.detach().numpy()
    wh, bh = np.log1p(np.exp(p["state_decay.raw"])), p["state_decay.bias"]
    wr, wz, w = np.split(p["project.weight"], 3)  # [W, V] of the paper side by side, for values and for masks
    ur, uz, u = np.split(p["recurrent.weight"], 3)
    br, bz, b = np.split(p["project.bias"] + p["recurrent.bias"], 3)
    score, observed = inputs.score.numpy(), inputs.mask.numpy()
    for stay in range(len(stays)):
        h = np.zeros(4)
        last = np.zeros(len(stays.variables))  # x_last; before any measurement the mean
        for row in np.flatnonzero(batch.stay.numpy() == stay):
            m, delta = observed[row], inputs.delta_hours[row].numpy()
            for variable in np.flatnonzero(m):
                last[variable] = score[batch.locf_index[row, variable]]
            gamma_x = np.exp(-np.maximum(0, wx * delta + bx))  # Eq. 3, diagonal
            x = m * last + (1 - m) * (gamma_x * last + (1 - gamma_x) * 0)  # Eq. 5
            gamma_h = np.exp(-np.maximum(0, wh @ delta + bh))  # Eq. 3
            h = gamma_h * h  # Eq. 6
            xm = np.concatenate([x, m])
            r, z = sigmoid(wr @ xm + ur @ h + br), sigmoid(wz @ xm + uz @ h + bz)  # Eqs. 10, 11
            candidate = np.tanh(w @ xm + u @ (r * h) + b)  # Eq. 12
            h = z * h + (1 - z) * candidate  # Eq. 13, their z being 1 - z
            np.testing.assert_allclose(states[row].detach().numpy(), h, atol=1e-10)


def test_the_update_gate_sees_the_gap(stays):
    encoder, inputs, batch, (before, _) = encoded(stays, gate="time")
    layer = encoder.forward_layers[0]
    layer.time_gate.weight.data.fill_(100.0)  # a long gap: the update gate keeps the old state, which starts from 0
    kept, _ = encoder(replace(inputs, delta_hours=inputs.delta_hours + 1), batch)
    assert float(before.detach().abs().mean()) > 0.01
    assert float(kept.detach().abs().max()) < 1e-6


def test_a_bidirectional_state_at_the_point_has_read_the_whole_stay_from_both_ends(stays):
    encoder, inputs, batch, (states, steps) = encoded(stays, bidirectional=True)
    at = encoder.states_at(states, steps)
    assert at.shape == (len(stays), 8)
    shifted = replace(inputs, score=inputs.score + 1)
    moved = encoder.states_at(*encoder(shifted, batch))
    assert bool(((at - moved).abs() > 1e-9).all())
    first = states[batch.point_stay]
    torch.testing.assert_close(at[:, 4:], first[:, 4:])
    torch.testing.assert_close(at[:, :4], states[batch.point_row][:, :4])


def test_what_is_read_from_the_end_is_what_is_read_from_the_start_of_the_mirrored_stay(stays):
    encoder, inputs, batch, (states, _) = encoded(stays, bidirectional=True)
    mirror = batch.reversed_rows()
    assert torch.equal(mirror[mirror], torch.arange(len(mirror)))
    below, gaps = encoder.steps(inputs, batch), len(stays.variables)
    backward = replace(batch, hours=-batch.hours[mirror])
    read = encoder.backward_layers[0](
        below[mirror], backward.step_interval_hours[:, None].expand(-1, gaps).double(), backward
    )
    torch.testing.assert_close(states[:, 4:], read[mirror])


def test_one_dropout_mask_serves_all_steps_of_a_stay_and_none_is_drawn_when_predicting(stays):
    encoder, inputs, batch, (calm, _) = encoded(stays, recurrent_dropout=0.5)
    plain = encoded(stays)[3][0]
    torch.testing.assert_close(calm, plain)
    encoder.train()
    mask = encoder.forward_layers[0]._dropout_mask(calm, batch)
    assert mask.shape == (len(stays), 4)
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    assert not torch.allclose(encoder(inputs, batch)[0], plain)


def test_layer_norm_centres_each_state(stays):
    states = encoded(stays, n_layers=2, layer_norm=True)[3][0]
    torch.testing.assert_close(states.mean(dim=1), torch.zeros(len(states), dtype=torch.float64), atol=1e-9, rtol=0)


def test_a_convolution_with_strides_is_that_of_torch_on_each_stay_alone(stays):
    torch.manual_seed(0)
    batch, layer = collate(stays), Convolutions(3, 4, (3,))
    inputs = torch.randn(len(batch.hours), 3)
    ours, gaps, coarse = layer(inputs, torch.zeros(len(inputs), 2), batch)
    kernel = layer.layers[0].weight.unflatten(1, (7, 3)).permute(0, 2, 1).flip(2)  # ours counts back in time
    for stay in range(len(stays)):
        rows = inputs[batch.stay == stay]
        past = torch.cat([torch.zeros(6, 3), rows]).T[None]
        each = torch.nn.functional.conv1d(past, kernel, layer.layers[0].bias)[0].T.relu()
        theirs = each.flip(0)[::3].flip(0)
        torch.testing.assert_close(ours[coarse.stay == stay], theirs, atol=1e-5, rtol=1e-5)
        assert torch.equal(coarse.hours[coarse.stay == stay], batch.hours[batch.stay == stay].flip(0)[::3].flip(0))
    assert torch.equal(coarse.hours[coarse.point_row], batch.hours[batch.point_row])
    assert bool((gaps == coarse.step_interval_hours[:, None]).all())


def test_strides_leave_a_stay_without_steps_without_any(stays):
    empty = stays.filter_measurements(stays.stay_of_measurement == 0)
    coarse, _ = strided(collate(empty), 4)
    assert coarse.point_row.tolist()[1:] == [-1] * 4
    nothing, rows = strided(collate(stays.filter_measurements(np.zeros(len(stays.value), bool))), 2)
    assert nothing.sizes == []
    assert len(rows) == 0


@pytest.mark.parametrize(
    ("options", "every_step", "message"),
    [
        ({"cell": "gruu"}, False, 'cell among "gru", "lstm", "rnn"; got "gruu"'),
        ({"cell": "lstm", "reset": "before"}, False, 'cell="gru" with reset="before"; got cell="lstm"'),
        ({"cell": "rnn", "gate": "time"}, False, "a cell with gates"),
        ({"feedback_delay_hours": -1.0}, False, "feedback_delay_hours as a number above 0, or None; got -1.0"),
        ({"cell": "lstm", "feedback_delay_hours": 6.0}, False, 'reset="after" with feedback_delay_hours'),
        ({"n_layers": 0}, False, "n_layers as a whole number of 1 or more"),
        ({"recurrent_dropout": 1.0}, False, "recurrent_dropout as a number of 0 or more and below 1"),
        ({"convolution": (0,)}, False, "convolution as strides of 1 or more"),
        (
            {"attention": "multihead", "hidden_size": 6},
            False,
            "a multiple of 4 numbers",
        ),
        ({"bidirectional": True}, True, "one direction for a prediction after each step; got two"),
        ({"convolution": (2,)}, True, "strides of 1 for a prediction after each step"),
        ({"variables": 0}, False, "variables or coded events; got neither"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused_in_one_sentence(options, every_step, message):
    with pytest.raises(ArgumentError) as refused:
        check_spec(NetworkSpec(**{"variables": 3, "static_variables": ()} | options), every_step=every_step)
    assert message in str(refused.value)
    assert str(refused.value).count("\n") == 0


def test_what_goes_together_is_taken():
    check_spec(NetworkSpec(3, (), bidirectional=True, convolution=(5, 2), attention=None), every_step=False)
    check_spec(NetworkSpec(3, (), convolution=(1, 1), feedback_delay_hours=24.0, gate="time"), every_step=True)
    check_spec(NetworkSpec(0, (), code_vocabulary=("I10",)), every_step=False)
