"""The lines that are integrated along: copies of a batch, places, and how far a rule of integration is off."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

import clinicalgru as cg
from clinicalgru.explain.asked import asked_of
from clinicalgru.explain.copies import copied
from clinicalgru.explain.path import Lines
from clinicalgru.explain.quadrature import integrated
from clinicalgru.model.batch import Batch
from clinicalgru.model.codes import known_codes


@pytest.mark.parametrize("codes", [False, True])
def test_copies_are_the_batch_that_collating_the_copies_gives(parts, codes):
    model = cg.GRUClassifier(hidden_size=4, members=1, readout_size=4, epochs=1, codes=codes)
    model.fit(parts[0][:60], parts[1][:30], progress=False)
    stays = known_codes(parts[3][:6], model.network_.shape.codes)
    stays = stays[model.network_.batch(stays).order]
    which = np.array([0, 0, 1, 3, 3, 3, 5])
    ours, theirs = copied(stays, model.network_.batch(stays), which).batch, model.network_.batch(stays[which])
    for field in fields(Batch):
        a, b = getattr(ours, field.name), getattr(theirs, field.name)
        if isinstance(a, torch.Tensor):
            torch.testing.assert_close(a, b, equal_nan=True, msg=field.name)
        else:
            assert np.array_equal(a, b), field.name


def test_a_slope_is_the_rise_of_the_height(fitted, test_stays):
    lines = Lines(fitted.network_, asked_of(fitted), test_stays[[1]])
    grid = np.linspace(0, 1, 401)
    found = lines.at(np.zeros(401, int), grid)
    rise = np.diff(found.height) * 400
    np.testing.assert_allclose(rise, (found.slope[1:] + found.slope[:-1]) / 2, atol=0.15, rtol=0.1)
    assert found.height[0] == pytest.approx(integrated(lines, tolerance=1e-3).bottom[0], abs=1e-5)


def test_more_places_are_looked_at_where_less_may_be_left_over(fitted, test_stays):
    lines = Lines(fitted.network_, asked_of(fitted), test_stays[:12])
    coarse, fine = (integrated(lines, tolerance=tolerance) for tolerance in (1e-2, 1e-4))
    assert (np.abs(coarse.gap) <= 1e-2).all()
    assert (np.abs(fine.gap) <= 1e-4).all()
    assert (fine.places >= coarse.places).all()
    assert fine.places.sum() > coarse.places.sum()
    np.testing.assert_allclose(coarse.parts, fine.parts, atol=2e-2)


def test_the_network_is_left_as_it_was(fitted, test_stays):
    before = fitted.predict_proba(test_stays[:5])
    cg.explain(fitted, test_stays[[0]])
    cg.gates(fitted, test_stays[[0]])
    cg.similar(fitted, test_stays[[0]], test_stays, n=2)
    np.testing.assert_array_equal(fitted.predict_proba(test_stays[:5]), before)
    assert not any(module._forward_hooks for module in fitted.network_.modules())
