"""Scaling by the distributions of another hospital, without outcomes."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

import clinicalgru as cg


@pytest.fixture(scope="module")
def adapted(fitted, parts):
    return cg.adapt_scaling(fitted, parts[0])


def test_a_hospital_that_measures_everything_twice_as_high_has_the_same_risks(fitted, parts, adapted, test_stays):
    """Ranks do not change with a factor, and twice a number is exact."""
    doubled = [replace(stays, value=2 * stays.value) for stays in (parts[0], test_stays)]
    there = cg.adapt_scaling(fitted, doubled[0])
    expected = adapted.predict_proba(test_stays)
    np.testing.assert_allclose(there.predict_proba(doubled[1]), expected, atol=1e-6)
    assert np.abs(fitted.predict_proba(doubled[1]) - expected).max() > 0.01


def test_outcomes_are_not_used_and_the_model_before_stays_as_it_is(fitted, parts, adapted, test_stays):
    before = {name: tensor.clone() for name, tensor in fitted.network_.state_dict().items()}
    without = cg.adapt_scaling(fitted, replace(parts[0], outcome=1 - parts[0].outcome))
    np.testing.assert_array_equal(without.predict_proba(test_stays), adapted.predict_proba(test_stays))
    assert all((tensor == before[name]).all() for name, tensor in fitted.network_.state_dict().items())
    assert not getattr(fitted, "changes_", [])


def test_a_bundle_holds_the_scaling_and_says_so(adapted, test_stays, tmp_path):
    again = cg.load(cg.save(adapted, tmp_path / "bundle"))
    np.testing.assert_array_equal(again.predict_proba(test_stays), adapted.predict_proba(test_stays))
    assert [change["what"] for change in again.changes_] == ["scaling adapted"]
    assert (again.calibrator_, again.calibrated_on_) == (None, None)  # that of training need not hold
    assert "scaling adapted" in (tmp_path / "bundle" / "card.md").read_text(encoding="utf-8")


def test_what_cannot_be_adapted_is_one_clear_error(fitted, parts):
    with pytest.raises(cg.ClinicalGRUError, match="100 patients or more"):
        cg.adapt_scaling(fitted, parts[0][:99])
    with pytest.raises(cg.ClinicalGRUError, match="trees have no scaling"):
        cg.adapt_scaling(cg.SummaryBaseline("boosted trees"), parts[0])
    forecast = copy.copy(fitted)
    forecast.task_ = cg.Task.load("next_measurements")
    with pytest.raises(cg.ClinicalGRUError, match="a model of an outcome"):
        cg.adapt_scaling(forecast, parts[0])
