"""The course of a risk: how far the members disagree, and how fast the network lets a value fade."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import clinicalgru as cg
from clinicalgru.evaluate.calibration import PlattCalibrator
from clinicalgru.evaluate.hour_calibrator import HourCalibrator


def members_risks(fitted, stay):
    """(member,) each member's risk of the stay, calibrated by hand."""
    network = fitted.network_.eval()
    with torch.no_grad():
        logit = network(network.make_batch(stay))[:, 0, 0].double().numpy()
    slope, intercept = fitted.calibrator_.slope, fitted.calibrator_.intercept
    if isinstance(fitted.calibrator_, HourCalibrator):
        slope, intercept = fitted.calibrator_.lines(stay.end_hours)
    return 1 / (1 + np.exp(-(slope * logit + intercept)))


def test_the_band_goes_from_the_5th_to_the_95th_percentile_of_the_members_calibrated_risks(fitted, test_stays):
    why = cg.explain(fitted, test_stays[[2]])
    assert why.n_heads == fitted.network_.spec.ensemble_size
    for row in (why.risk_trajectory.iloc[10], why.risk_trajectory.iloc[-1]):
        risks = members_risks(fitted, test_stays[[2]].prefixes(np.array([row["hours"]])))
        assert [row["low"], row["high"]] == pytest.approx(np.percentile(risks, [5, 95]), abs=1e-6)
    assert (why.risk_trajectory["low"] < why.risk_trajectory["high"]).all()


@pytest.mark.slow
def test_one_member_has_no_band(parts, test_stays):
    small = {"network": cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1), "max_epochs": 1}
    alone = cg.explain(
        cg.GRUClassifier(**small).fit(parts[0][:60], validation=parts[1], verbose=False), test_stays[[0]]
    )
    assert alone.n_heads == 1
    assert list(alone.risk_trajectory) == ["hours", "risk", "calibrated"]


@pytest.mark.slow
def test_a_network_that_reads_backwards_has_the_band_of_each_prefix(parts, test_stays):
    small = {
        "network": cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=3, bidirectional=True),
        "max_epochs": 1,
    }
    model = cg.GRUClassifier(**small).fit(parts[0][:60], validation=parts[1], verbose=False)
    model.calibrator_ = PlattCalibrator(slope=1.2, intercept=0.3)
    row = cg.explain(model, test_stays[[2]]).risk_trajectory.iloc[7]
    risks = members_risks(model, test_stays[[2]].prefixes(np.array([row["hours"]])))
    assert [row["low"], row["high"]] == pytest.approx(np.percentile(risks, [5, 95]), abs=1e-6)


def test_after_its_half_life_the_network_carries_half_of_a_value(fitted, test_stays):
    half_life = cg.explain(fitted, test_stays[[0]]).half_life
    assert list(half_life) == [variable.name for variable in fitted.variables_]
    with torch.no_grad():
        kept = fitted.network_.encoder.steps.value_decay(torch.tensor([list(half_life.values())], dtype=torch.float32))
    np.testing.assert_allclose(kept.numpy(), 0.5, atol=1e-5)


def test_a_value_that_is_forgotten_at_once_has_a_half_life_of_0(fitted, test_stays):
    model = copy.deepcopy(fitted)
    with torch.no_grad():
        model.network_.encoder.steps.value_decay.bias[0] = 5.0
    assert next(iter(cg.explain(model, test_stays[[0]]).half_life.values())) == 0.0
