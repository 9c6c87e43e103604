"""Signatures of the features of steps: laws of the area between a course and its chord, and trees that use it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from family import fitted_case

import clinicalgru as cg
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.features.step_features import latest_measurements, levy_areas, step_features


def areas(stays):
    new = stays.is_new_step
    return levy_areas(stays, latest_measurements(stays, np.cumsum(new) - 1, stays.stay_of_measurement[new]))


@pytest.mark.slow
def test_the_area_is_that_by_hand_of_each_variable_of_each_stay_and_uses_nothing_later():
    stays, checked = fitted_case("early_warning").test[:6], 0
    found, steps = areas(stays), np.cumsum(stays.n_steps) - stays.n_steps
    for one in range(len(stays)):
        alone = stays[[one]]
        for row in range(0, int(alone.n_steps[0]), 5):
            until = alone.truncate_at(float(np.unique(alone.hours)[row]))
            for variable in range(len(stays.variables)):
                t, x = (array[until.variable == variable].astype(float) for array in (until.hours, until.value))
                got = found[steps[one] + row, variable]
                if not len(t):
                    assert np.isnan(got)
                    continue
                by_hand = np.trapezoid(x - x[0], t) - (x[-1] - x[0]) * (t[-1] - t[0]) / 2
                np.testing.assert_allclose(got, by_hand, rtol=1e-4, atol=1e-4)
                checked += len(t) > 2
    assert checked > 20


def test_a_straight_course_has_no_area_and_level_does_not_matter():
    stays = fitted_case("early_warning").test[:6]
    straight = replace(stays, value=(3 * stays.hours + 5).astype(np.float32))
    np.testing.assert_allclose(np.nan_to_num(areas(straight)), 0, atol=1e-3)
    higher = replace(stays, value=stays.value + np.float32(64))
    np.testing.assert_allclose(areas(higher), areas(stays), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(areas(replace(stays, value=-stays.value)), -areas(stays), rtol=1e-6)


@pytest.mark.slow
def test_trees_use_signatures_and_are_saved_with_them(tmp_path):
    case = fitted_case("early_warning")
    columns = [next(step_features(case.test, signatures=flag)).shape[1] for flag in (False, True)]
    assert columns[1] - columns[0] == len(case.test.variables)
    model = EarlyWarningTrees(signatures=True).fit(case.train)
    loaded = cg.load(cg.save(model, tmp_path / "bundle"))
    assert loaded.signatures is True
    np.testing.assert_allclose(loaded.predict_proba(case.test), model.predict_proba(case.test), atol=1e-9)
