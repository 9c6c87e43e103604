"""Summaries against pandas, and shares against what they must add up to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.features.summaries import shares, summarise, summary_names


@pytest.mark.slow
def test_summaries_are_those_of_pandas(test_stays):
    frame = test_stays.to_frame()
    groups = frame.groupby(["stay", "variable"])
    end = test_stays.end_hours[0]
    value, measured = groups["value"], groups["measured_hours"]
    expected = {
        "count": np.log1p(value.size()),
        "mean": value.mean(),
        "std": value.std(ddof=0),
        "min": value.min(),
        "max": value.max(),
        "first": value.first(),
        "last": value.last(),
        "change": value.last() - value.first(),
        "hours_since_first": end - measured.first(),
        "hours_since_last": end - measured.last(),
    }
    table = pd.DataFrame(summarise(test_stays), columns=summary_names(test_stays))
    for summary in SUMMARIES:
        for (stay, variable), figure in expected[summary].items():
            np.testing.assert_allclose(table.loc[stay, f"{variable} {summary}"], figure, rtol=1e-4, atol=2e-3)
    measured_cells = table.filter(like=" mean").notna().to_numpy().sum()
    assert measured_cells == len(expected["mean"])


def test_what_was_not_measured_is_missing_and_counts_zero(test_stays):
    none = test_stays.filter_measurements(np.zeros(len(test_stays.value), bool))
    table = summarise(none).reshape(len(none), -1, len(SUMMARIES))
    assert (table[:, :, 0] == 0).all()
    assert np.isnan(table[:, :, 1:]).all()


def test_the_shares_of_each_summary_sum_to_one_in_each_cell(test_stays):
    cell = test_stays.stay_of_measurement * 100 + test_stays.variable
    for weight, kind in shares(test_stays):
        assert kind in (0, 1, 2)
        sums = pd.Series(weight).groupby(cell).sum()
        np.testing.assert_allclose(sums, 1)


def test_a_minimum_belongs_to_the_lowest_value(test_stays):
    weight, _ = shares(test_stays)[SUMMARIES.index("min")]
    frame = test_stays.to_frame().assign(weight=weight)
    lowest = frame.groupby(["stay", "variable"])["value"].transform("min")
    assert (frame.loc[frame["weight"] == 1, "value"] == lowest[frame["weight"] == 1]).all()
