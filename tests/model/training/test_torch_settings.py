"""A good guest in the user's process: fitting neither changes nor feels what the process does besides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event

import numpy as np
import pytest
import torch
from sklearn.base import clone

import clinicalgru as cg
from clinicalgru.model.network.generator import Dropout, linear, use_generator
from clinicalgru.model.training.torch_settings import seeded, threads, torch_defaults

NETWORK = cg.NetworkConfig(hidden_size=8, readout_size=8, ensemble_size=2)
SMALL = {"max_epochs": 2, "distillation": 0.0}
OPTIONS = [
    {},
    {
        "network__cell": "lstm",
        "network__recurrent_dropout": 0.2,
        "network__n_layers": 2,
        "network__layer_norm": True,
        "network__attention": "multihead",
    },
    {
        "network__bidirectional": True,
        "network__convolution": (2,),
        "network__encoder": "per_variable",
        "forecast_weight": 0.0,
    },
    {"network__feedback_delay_hours": 2.0, "network__gate": "time", "forecast_weight": 0.3},
]


@pytest.fixture(scope="module")
def few(parts):
    return parts[0][np.arange(60)], parts[1][np.arange(30)]


def small(**options):
    return clone(cg.GRUClassifier(NETWORK, **SMALL)).set_params(**options)


def risk_after_fit(few, **options):
    model = small(**options).fit(few[0], validation=few[1], verbose=False)
    return model.predict_proba(few[1])[:, 1]


@pytest.fixture(scope="module")
def alone(few):
    """Risks without a setting of the caller, by the position of the options."""
    return [risk_after_fit(few, **options) for options in OPTIONS]


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(OPTIONS)))
@pytest.mark.parametrize(
    "setting",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: default_dtype(torch.float64),
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        lambda: torch.device("meta"),
    ],
    ids=["no_grad", "inference_mode", "float64", "autocast", "device"],
)
def test_a_setting_of_the_caller_does_not_change_a_bit_of_fit_and_predict(few, alone, setting, number):
    with setting():
        within = risk_after_fit(few, **OPTIONS[number])
    np.testing.assert_array_equal(within, alone[number])


@pytest.mark.slow
def test_two_fits_in_two_threads_give_the_bits_of_each_alone_while_a_third_draws_from_the_global_generator(few):
    alone = [risk_after_fit(few, random_state=seed, network__recurrent_dropout=0.1) for seed in (0, 1)]
    stop = Event()

    def draw():
        while not stop.is_set():
            torch.rand(1000)

    with ThreadPoolExecutor(3) as pool:
        drawing = pool.submit(draw)
        fits = [pool.submit(risk_after_fit, few, random_state=seed, network__recurrent_dropout=0.1) for seed in (0, 1)]
        together = [fit.result() for fit in fits]
        stop.set()
        drawing.result()
    np.testing.assert_array_equal(together, alone)


@pytest.mark.slow
def test_fit_and_predict_leave_the_global_generators_and_the_number_of_threads_as_they_were(few, tmp_path):
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()
    model = small(max_epochs=1, n_threads=2).fit(few[0], validation=few[1], verbose=False)
    cg.save(model, tmp_path / "bundle")
    cg.load(tmp_path / "bundle").predict_proba(few[1])
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert torch.get_num_threads() == states[2]


def test_parameters_and_buffers_are_float32_whatever_the_default_dtype(few):
    with default_dtype(torch.float64):
        model = small(max_epochs=1, network__encoder="per_variable").fit(few[0], validation=few[1], verbose=False)
    assert {tensor.dtype for tensor in model.network_.state_dict().values()} == {torch.float32}


@contextmanager
def settings_of_the_process():
    """What a user may have set: everything on another device, in double precision."""
    torch.set_default_device("meta")
    try:
        with default_dtype(torch.float64):
            yield
    finally:
        torch.set_default_device(None)


def test_a_bundle_loads_and_a_stay_is_followed_whatever_the_defaults_of_the_process(fitted, parts, tmp_path):
    expected = fitted.predict_proba(parts[3])

    def followed(model):
        monitor = cg.Monitor(model)
        monitor.update("heart_rate", 100, hours=1.0)
        monitor.update("lactate", 2, hours=3.0)
        return monitor.risk(at_hours=48.0)

    risk = followed(fitted)
    with settings_of_the_process():
        model = cg.load(cg.save(fitted, tmp_path / "bundle"))
        np.testing.assert_array_equal(model.predict_proba(parts[3]), expected)
        assert followed(model) == risk


def test_the_number_of_threads_is_set_back_where_fits_overlap():
    """The first one to begin ends first: the second one began in a thread that torch had started with its number."""
    before, both = torch.get_num_threads(), Barrier(2, timeout=60)
    first_done = Event()

    def first():
        with threads(3):
            both.wait()
            inside = torch.get_num_threads()
        first_done.set()
        return inside, torch.get_num_threads()

    def second():
        with threads(2):
            both.wait()
            first_done.wait(60)
            inside = torch.get_num_threads()
        return inside, torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(one) for one in (first, second)]
    assert [one.result() for one in results] == [(3, before), (2, before)]
    with ThreadPoolExecutor(1) as fresh:
        assert fresh.submit(torch.get_num_threads).result() == before


def test_contexts_of_threads_may_be_nested():
    before = torch.get_num_threads()
    with threads(3):
        with threads(2):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def test_our_layers_draw_the_bits_that_those_of_torch_draw():
    torch.manual_seed(4)
    theirs = torch.nn.Linear(5, 7), torch.nn.Dropout(0.3)
    expected = theirs[1](theirs[0](torch.ones(6, 5)))
    with use_generator(torch.Generator().manual_seed(4)):
        ours = linear(5, 7), Dropout(0.3)
        result = ours[1](ours[0](torch.ones(6, 5)))
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_the_same_seed_draws_the_same_masks_and_another_seed_draws_others():
    def mask(seed):
        with seeded([seed, 1]):
            return Dropout(0.5)(torch.ones(100))

    assert torch.equal(mask(0), mask(0))
    assert not torch.equal(mask(0), mask(1))


def test_gradients_are_recorded_or_not_as_the_context_says():
    weight = torch.ones(2, requires_grad=True)
    with torch.no_grad(), torch_defaults():
        assert (weight * 2).requires_grad
    with torch_defaults(grad=False):
        assert not (weight * 2).requires_grad
