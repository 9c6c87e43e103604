"""The lines that are integrated along: copies of a batch, places, and how far a rule of integration is off."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

import clinicalgru as cg
from clinicalgru.explain.attribution.batch_copies import copy_stays, end_batch
from clinicalgru.explain.attribution.integration_path import IntegrationPaths
from clinicalgru.explain.attribution.quadrature import Intervals, integrate
from clinicalgru.explain.targets import member_networks
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.codes import known_codes


def same_batch(ours, theirs):
    for field in fields(Batch):
        a, b = getattr(ours, field.name), getattr(theirs, field.name)
        if isinstance(a, torch.Tensor):
            torch.testing.assert_close(a, b, equal_nan=True, msg=field.name)
        else:
            assert np.array_equal(a, b), field.name


@pytest.mark.slow
@pytest.mark.parametrize("codes", [False, True])
def test_copies_are_the_batch_that_collating_the_copies_gives(parts, codes):
    model = cg.GRUClassifier(
        network=cg.NetworkConfig(hidden_size=4, ensemble_size=1, readout_size=4), max_epochs=1, use_codes=codes
    )
    model.fit(parts[0][:60], validation=parts[1][:30], verbose=False)
    stays = known_codes(parts[3][:6], model.network_.spec.code_vocabulary)
    stays = stays[model.network_.make_batch(stays).order]
    which = np.array([0, 0, 1, 3, 3, 3, 5])
    ours, theirs = (
        copy_stays(stays, model.network_.make_batch(stays), which).batch,
        model.network_.make_batch(stays[which]),
    )
    same_batch(ours, theirs)


def test_a_slope_is_the_rise_of_the_height(fitted, test_stays):
    paths = IntegrationPaths(member_networks(fitted)[0], test_stays[[1]])
    grid = np.linspace(0, 1, 401)
    found = paths.at(np.zeros(401, int), grid)
    rise = np.diff(found.value) * 400
    np.testing.assert_allclose(rise, (found.gradient[1:] + found.gradient[:-1]) / 2, atol=0.15, rtol=0.1)
    assert found.value[0] == pytest.approx(integrate(paths, tolerance=1e-3).reference[0], abs=1e-5)


def test_more_places_are_looked_at_where_less_may_be_left_over(fitted, test_stays):
    paths = IntegrationPaths(member_networks(fitted)[0], test_stays[:6])
    coarse, fine = (integrate(paths, tolerance=tolerance) for tolerance in (1e-2, 1e-4))
    assert (np.abs(coarse.residual) <= 1e-2).all()
    assert (np.abs(fine.residual) <= 1e-4).all()
    assert (fine.n_points >= coarse.n_points).all()
    assert fine.n_points.sum() > coarse.n_points.sum()
    np.testing.assert_allclose(coarse.parts, fine.parts, atol=2e-2)


def test_the_network_is_left_as_it_was(fitted, test_stays):
    before = fitted.predict_proba(test_stays[:5])
    cg.explain(fitted, test_stays[[0]])
    cg.gates(fitted, test_stays[[0]])
    cg.similar(fitted, test_stays[[0]], test_stays, n_neighbors=2)
    np.testing.assert_array_equal(fitted.predict_proba(test_stays[:5]), before)
    assert not any(module._forward_hooks for module in fitted.network_.modules())


@pytest.mark.parametrize(
    "options", [{}, {"use_codes": True}, {"network__clinical_indices": ("heart_rate last - map last", "lactate total")}]
)
def test_a_stay_at_its_end_is_the_batch_that_collating_it_gives(parts, options):
    model = cg.GRUClassifier(
        network=cg.NetworkConfig(hidden_size=4, ensemble_size=1, readout_size=4),
        max_epochs=1,
        distillation=0.0,
    ).set_params(**options)
    network = model.fit(parts[0][:60], validation=parts[1][:30], verbose=False).network_
    stay = known_codes(parts[3][[2]], network.spec.code_vocabulary)
    ours = end_batch(stay, network.make_batch(stay, per_step=True), clinical_indices=network.spec.clinical_indices)
    theirs = network.make_batch(stay)
    same_batch(ours, theirs)


def test_tilted_weights_make_the_part_of_each_measurement_right_where_one_rectifier_switches():
    """Two measurements whose slopes jump together at 0.3: their parts are known."""
    place, jump = np.array([0.0, 0.5, 1.0]), 0.3
    slopes = np.where(place[:, None] < jump, [1.0, 4.0], [3.0, -2.0])
    rise = jump * 5.0 + (1 - jump) * 1.0
    interval = Intervals(*(np.array([number]) for number in (0, 0.0, 1.0, 0, 1, 2)))
    found = interval.rule(np.array([0.0, np.nan, rise]), slopes.sum(axis=1))
    np.testing.assert_allclose(found.weight @ slopes, [[0.3 * 1 + 0.7 * 3, 0.3 * 4 - 0.7 * 2]])
    assert found.error == pytest.approx(0)
    assert found.simpson_error == pytest.approx(rise - (5 / 6 * 1.0 + 1 / 6 * 5.0))
    assert found.weight.sum() == pytest.approx(1)


def test_no_weight_falls_below_0_and_what_the_slopes_cannot_say_is_left_over():
    interval = Intervals(*(np.array([number]) for number in (0, 0.0, 1.0, 0, 1, 2)))
    found = interval.rule(np.array([0.0, 0.0, 9.0]), np.array([1.0, 2.0, 3.0]))
    assert (found.weight >= 0).all()
    assert found.weight.sum() == pytest.approx(1)
    assert found.error == pytest.approx(9.0 - found.weight @ np.array([1.0, 2.0, 3.0]))
    level = interval.rule(np.array([0.0, 0.0, 9.0]), np.ones(3))
    assert level.error == pytest.approx(8.0)


def test_no_part_is_far_from_that_of_a_fine_integration(fitted, test_stays):
    paths = IntegrationPaths(member_networks(fitted)[0], test_stays[:5])
    ours, fine = (integrate(paths, tolerance=tolerance) for tolerance in (1e-3, 3e-5))
    assert fine.n_points.mean() > 1.5 * ours.n_points.mean()
    assert np.abs(ours.parts.sum(axis=0) - fine.parts.sum(axis=0)).max() < 3e-3
