"""Importance over a cohort: means of explanations, intervals by patient, and refusal of few patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import clinicalgru as cg


@pytest.mark.slow
def test_importance_is_the_mean_size_of_what_each_variable_did(fitted, test_stays):
    stays = test_stays[:12]
    found = cg.importance(fitted, stays, n_resamples=200)
    each = [cg.explain(fitted, stays[[i]]).by_variable().set_index("variable")["contribution"] for i in range(12)]
    for row in found.table.head(5).itertuples():
        sizes = [abs(one.get(row.variable, 0.0)) for one in each]
        assert row.mean_abs == pytest.approx(np.mean(sizes), abs=2e-4)
        assert row.low <= row.mean_abs <= row.high
    assert found.table["mean_abs"].is_monotonic_decreasing
    assert found.max_completeness_error <= 1e-3


def test_the_interval_of_importance_resamples_patients_not_stays(fitted, test_stays):
    """Each stay twice, as stays of one patient, tells no more than once."""
    once = replace(test_stays[:12], patient=np.arange(12))
    twice = once[np.repeat(np.arange(12), 2)]
    alone, doubled = (cg.importance(fitted, stays, n_resamples=300).table for stays in (once, twice))
    for name in ("mean_abs", "low", "high"):
        np.testing.assert_allclose(doubled[name], alone[name], atol=2e-4)
    apart = cg.importance(fitted, replace(twice, patient=np.arange(24)), n_resamples=300).table
    assert (apart["high"] - apart["low"]).sum() < 0.9 * (alone["high"] - alone["low"]).sum()


def test_importance_of_few_real_patients_is_refused(fitted, test_stays):
    with pytest.raises(cg.ClinicalGRUError, match="stays of at least 11 patients; got fewer"):
        cg.importance(fitted, replace(test_stays[:5], simulated=False))
