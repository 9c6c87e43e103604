"""Figures of thresholds, groups and gates show the numbers they are given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.decision_curve import decision_curve
from clinicalgru.evaluate.subgroups import subgroups
from clinicalgru.view.plots.gates_plot import plot_gates


@pytest.fixture
def stays():
    random = np.random.default_rng(2)
    risk = random.random(200)
    return (random.random(200) < risk).astype(int), risk


def test_a_decision_curve_has_a_line_for_each_model_and_the_two_that_need_none(stays):
    outcome, risk = stays
    curve = decision_curve(outcome, risk, baselines={"trees<b>": risk[::-1]}, n_resamples=2)
    drawn = curve.plot()
    assert [t.name for t in drawn.data] == ["GRU", "trees&lt;b&gt;", "treat all", "treat none"]
    assert list(drawn.data[0].y) == curve.table.query("model == 'GRU'")["net_benefit"].tolist()
    assert len({t.line.dash for t in drawn.data}) == 4  # not by colour alone


@pytest.mark.slow
def test_groups_stand_in_order_with_all_first_and_a_withheld_one_without_a_mark(stays):
    outcome, risk = stays
    labels = np.where(np.arange(200) < 5, "few", np.where(np.arange(200) % 2, "b", "a"))
    drawn = subgroups(outcome, risk, labels, n_resamples=5).plot("brier")
    assert drawn.layout.yaxis.ticktext[0].startswith("all")
    assert drawn.data[0].marker.symbol[0] == "diamond"
    place = [text.split("<br>")[0] for text in drawn.layout.yaxis.ticktext].index("few")
    assert "suppressed" in drawn.layout.yaxis.ticktext[place]
    assert np.isnan(drawn.data[0].x[place])


def test_a_group_without_an_interval_has_no_mark(stays):
    outcome, risk = stays
    labels = np.where(np.flip(np.cumsum(np.flip(outcome))) <= 3, "few", "many")
    groups = subgroups(outcome, risk, labels, min_cell_size=0, n_resamples=5)
    rows = groups.table.query("metric == 'observed_expected' and group == 'few'")
    assert rows["estimate"].notna().all()
    assert rows["low"].isna().all()
    drawn = groups.plot("observed_expected")
    place = [text.split("<br>")[0] for text in drawn.layout.yaxis.ticktext].index("few")
    assert np.isnan(drawn.data[0].x[place])
    assert drawn.layout.yaxis.ticktext[place].endswith("too few events")


def test_gates_are_drawn_at_their_hours_units_in_the_order_of_their_means():
    frame = pd.DataFrame([[0.9, 0.1], [0.8, 0.3]], index=pd.Index([1.5, 7.0], name="hours"))
    drawn = plot_gates(SimpleNamespace(retained=frame), show="retained").data[0]
    assert list(drawn.x) == [1.5, 7.0]
    assert np.array(drawn.z).tolist() == [[0.1, 0.3], [0.9, 0.8]]
    with pytest.raises(ArgumentError, match='show among "retained"'):
        plot_gates(SimpleNamespace(), show="luck")
