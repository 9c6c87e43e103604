"""A monitor gives, measurement by measurement, what scoring the same prefix as a batch gives."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from family import fitted_case
from helpers import followed

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, InputError


@pytest.mark.slow
def test_each_prefix_has_the_risk_of_the_batch(fitted, test_stays):
    rng, compared = np.random.default_rng(0), 0
    for number in range(12):
        stay = test_stays[[number]]
        for hours in (*rng.uniform(1, 47, 2), 48.0):
            prefix = stay.truncate_at(float(hours))
            if prefix.n_measurements[0] == 0:
                continue
            expected = fitted.predict_proba(prefix)[0, 1]
            assert followed(fitted, prefix).risk(at_hours=float(hours)) == pytest.approx(expected, abs=1e-6)
            compared += 1
    assert compared > 30


def test_the_state_goes_on_after_a_restart_and_does_not_grow(fitted, test_stays):
    stay = test_stays[[1]]
    half = len(stay.hours) // 2
    monitor = followed(fitted, stay, last=half)
    state = monitor.state()
    again = followed(fitted, stay, cg.Monitor.restore(fitted, state), first=half)
    assert again.risk(at_hours=48) == followed(fitted, stay, monitor, first=half).risk(at_hours=48)
    assert len(again.state()) < 1.5 * len(state)
    other = copy.copy(fitted)
    other.calibrator_ = None
    with pytest.raises(InputError, match="another model"):
        cg.Monitor.restore(other, state)
    with pytest.raises(InputError, match="another text"):
        cg.Monitor.restore(fitted, "{}")


def test_asking_changes_nothing_and_what_comes_late_counts_from_then_on(fitted):
    quiet, asked, late = (cg.Monitor(fitted) for _ in range(3))
    assert np.isnan(quiet.risk())
    for monitor in (quiet, asked):
        for hours in (1.0, 2.0, 2.0, 5.0):
            assert monitor.update("heart_rate", 90 + hours, hours=hours)
            if monitor is asked:
                monitor.risk()
        monitor.update("lactate", 4.0, hours=3.0, available_hours=5.0)
    for hours in (1.0, 2.0, 2.0, 5.0):
        late.update("heart_rate", 90 + hours, hours=hours)
    late.update("lactate", 4.0, hours=3.0)  # arrives after what was known at hour 5
    assert quiet.risk(at_hours=6) == asked.risk(at_hours=6) == late.risk(at_hours=6)
    with pytest.raises(ArgumentError, match="earlier"):
        quiet.risk(at_hours=4)


def test_what_cannot_be_used_is_counted(fitted):
    monitor = cg.Monitor(fitted)
    assert not monitor.update("cholesterol_of_mars", 1, hours=1)
    assert not monitor.update("heart_rate", 9e6, hours=1)
    assert not monitor.update("heart_rate", 80, hours=49)
    assert monitor.update("temperature", 98.6, hours=1, unit="[degF]")
    assert monitor.n_rejected == 3
    with pytest.raises(ArgumentError):
        monitor.update("heart_rate", float("nan"), hours=1)
    with pytest.raises(ArgumentError, match="static covariates"):
        cg.Monitor(fitted, static={"shoe_size": 44})
    with pytest.raises(ArgumentError, match="available_hours"):
        monitor.update("heart_rate", 80, hours=1, available_hours=float("nan"))


def test_static_covariates_are_checked_as_those_of_a_table(fitted):
    """What a table of stays rejects is unknown here too; what no table could hold is refused."""
    unknown, rejected = cg.Monitor(fitted, static={"age": None}), cg.Monitor(fitted, static={"age": 700})
    for monitor in (known := cg.Monitor(fitted, static={"age": 70}), unknown, rejected):
        monitor.update("heart_rate", 90, hours=1)
    assert unknown.risk(at_hours=2) == rejected.risk(at_hours=2) != known.risk(at_hours=2)
    assert (unknown.n_rejected, rejected.n_rejected) == (0, 1)
    for wrong in ({"age": "old"}, {"age": float("inf")}, {"sex": 2}, {"sex": 0.5}, {"sex": "female"}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            cg.Monitor(fitted, static=wrong)


def test_other_models_are_refused(parts):
    with pytest.raises(ArgumentError, match="GRU of classes"):
        cg.Monitor(cg.SummaryBaseline("logistic regression").fit(parts[0]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [{"cell": "lstm", "n_layers": 2, "layer_norm": True}, {"cell": "rnn", "attention": None}, {"gate": "time"}],
)
def test_other_networks_are_followed_too(parts, test_stays, network):
    config = cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2, **network)
    model = cg.GRUClassifier(network=config, max_epochs=1, distillation=0.0, random_state=0)
    model.fit(parts[0][:60], validation=parts[1], verbose=False)
    for number in range(5):
        stay = test_stays[[number]]
        expected = model.predict_proba(stay)[0, 1]
        assert followed(model, stay).risk(at_hours=48) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("network", [{"bidirectional": True}, {"convolution": (2,)}, {"attention": "multihead"}])
def test_a_network_that_looks_back_at_all_rows_is_refused(parts, network):
    config = cg.NetworkConfig(hidden_size=8, readout_size=16, ensemble_size=2, **network)
    model = cg.GRUClassifier(network=config, max_epochs=1, distillation=0.0, random_state=0)
    model.fit(parts[0][:60], validation=parts[1], verbose=False)
    with pytest.raises(ArgumentError, match="row by row"):
        cg.Monitor(model)


@pytest.mark.slow
def test_an_early_warning_is_followed_too():
    case = fitted_case("early_warning")
    for number in range(6):
        stay = case.test[[number]]
        expected = case.model.score_rows(stay)[0, 0]
        assert followed(case.model, stay).risk(at_hours=float(stay.end_hours[0])) == pytest.approx(expected, abs=1e-6)
