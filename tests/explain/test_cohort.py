"""Explanations of many stays: those of single stays, row by row; and what is not shown of real patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import clinicalgru as cg


@pytest.fixture(scope="module")
def explained(fitted, test_stays):
    return cg.explain_cohort(fitted, test_stays[:14])


def test_each_row_is_that_of_the_stay_alone(explained, fitted, test_stays):
    alone = cg.explain(fitted, test_stays[[5]])
    rows = explained.to_frame().query("stay == 5").set_index("variable")["contribution"]
    for row in alone.by_variable().itertuples():
        assert rows[row.variable] == pytest.approx(row.contribution, abs=2e-3)
    assert explained.stays["risk"][5] == pytest.approx(alone.risk, abs=1e-6)


def test_points_sum_to_the_risk_above_the_reference(explained):
    gap = explained.stays["risk"] - explained.stays["reference_risk"]
    np.testing.assert_allclose(explained.points.sum(axis=1), gap, atol=2e-3)


def test_the_values_are_the_last_ones(explained, test_stays):
    names = [variable.name for variable in explained.variables]
    table = test_stays[[3]].to_frame()
    last = table[table["variable"] == "heart_rate"]["value"].iloc[-1]
    assert explained.values[3, names.index("heart_rate")] == pytest.approx(last)


def test_the_beeswarm_has_a_dot_for_each_stay_and_no_identifier(explained, test_stays):
    figure = explained.plot("beeswarm", top=4)
    assert sum(len(trace.x) for trace in figure.data) == 4 * len(explained)
    assert not any(stay in figure.to_json() for stay in test_stays.stay[:14])
    assert all(trace.hoverinfo == "skip" for trace in figure.data)


def test_of_real_patients_few_are_refused_and_rare_variables_left_out(explained, fitted, test_stays):
    with pytest.raises(cg.ClinicalGRUError, match="at least 11 patients"):
        cg.explain_cohort(fitted, replace(test_stays[:5], simulated=False))
    real = replace(explained, simulated=False)
    rare = (~np.isnan(explained.values)).sum(axis=0) < 11
    assert rare.any()
    assert not set(real.summary()["variable"]) & {v.name for v, few in zip(real.variables, rare, strict=True) if few}
