"""What was measured, what was carried, and what nobody knows look different."""

from __future__ import annotations

import base64
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.view.pages.patient_page import timeline_caption
from clinicalgru.view.plots.downsample import downsample
from clinicalgru.view.plots.static_picture import risk_picture
from clinicalgru.view.plots.timeline import plot_patient, update_figure
from clinicalgru.view.plots.timeline_data import UNCALIBRATED, UNCLEAR, variables_by_contribution
from clinicalgru.view.plots.variable_data import carried_forward

COLUMNS = ["hours", "variable", "value", "by_value", "by_measured", "by_timing", "contribution"]


@pytest.fixture
def sparse() -> SimpleNamespace:
    """Lactate at hours 1 (high), 3 (normal) and 20 (low); the risk is known up to hour 24."""
    rows = [(1.0, 4.0, 0.5), (3.0, 1.0, -0.1), (20.0, 0.3, 0.0)]
    measurements = pd.DataFrame([(h, "lactate", v, c, 0, 0, c) for h, v, c in rows], columns=COLUMNS)
    lactate = Variable("lactate", "Lactate", "numeric", "mmol/L", reference=(0.5, 2.0))
    return SimpleNamespace(
        trajectory_note="", reference_text="with nothing measured", standing=None, prediction_set=None,
        refit_range=None, zero_time=None, show_id=False, provenance={"hour_0": "first lactate above 2"},
        marks=pd.DataFrame({"hours": [], "label": []}), risk=0.3,
        absent=pd.DataFrame({"variable": [], "contribution": []}),
        variables=(lactate,), measurements=measurements, reference_risk=0.1, half_life={}, n_heads=16, n_networks=1,
        unit="log-odds", target_text="",
        risk_trajectory=pd.DataFrame({"hours": [0.0, 24.0], "risk": [0.1, 0.3]}),
    )  # fmt: skip


def test_the_last_value_is_carried_on_and_fades_until_nothing_is_known(sparse):
    x, y, strong = carried_forward(sparse.measurements, first=0.0, end=60.0, half_life=2.0)
    assert min(x) > 1.0
    assert dict(zip(x, y, strict=True))[2.0] == 4.0
    by_hour = dict(zip(x, strong, strict=True))
    assert by_hour[6.0] == pytest.approx(by_hour[4.0] / 2, abs=1e-3)
    assert max(hour for hour in x if hour < 20) < 12  # then a gap, though the next value comes at 20
    assert not set(x) & set(sparse.measurements["hours"])


def test_carried_values_are_a_line_and_measured_ones_filled_marks(sparse):
    symbols = [t.marker.symbol for t in plot_patient(sparse).data if t.yaxis == "y2"]
    assert symbols[0] == "line-ew"
    assert not any("open" in symbol or "line" in symbol for symbol in symbols[1])


def test_threshold_comparison_and_cursor_are_drawn_where_given_and_the_range_of_members_never(sparse):
    plain, before = (
        plot_patient(sparse),
        SimpleNamespace(risk_trajectory=pd.DataFrame({"hours": [0.0, 24.0], "risk": [0.1, 0.6]})),
    )
    sparse.risk_trajectory = sparse.risk_trajectory.assign(low=0.05, high=0.4)
    drawn = plot_patient(sparse, threshold=0.25, before=before, cursor=7.0)
    names = {t.name: t for t in drawn.data}
    assert list(names["before the changes"].y) == [0.1, 0.6]
    assert not any("members" in str(name) or trace.fill for name, trace in names.items())
    assert drawn.layout.shapes[-1].x0 == 7.0
    assert any(shape.y0 == shape.y1 == 0.25 for shape in drawn.layout.shapes)
    assert "threshold 25 %" in names  # in the legend: a label would cover the risk
    assert len(drawn.data) == len(plain.data) + 2  # the risk before, and the entry of the threshold


def test_markers_stand_only_where_something_was_measured_and_their_shape_tells_the_range(sparse):
    points = [t for t in plot_patient(sparse).data if t.yaxis == "y2" and t.mode == "markers"][1]
    assert list(points.x) == [1, 3, 20]
    assert list(points.marker.symbol) == ["triangle-up", "circle", "triangle-down"]


def test_the_reference_range_is_shaded_and_always_in_view(sparse):
    figure = plot_patient(sparse)
    band = next(shape for shape in figure.layout.shapes if shape.yref == "y2")
    assert (band.y0, band.y1) == (0.5, 2.0)
    low, high = figure.layout.yaxis2.range
    assert low < 0.3
    assert high > 4.0


def test_the_label_has_the_unit_and_the_axis_is_in_hours(sparse):
    figure = plot_patient(sparse)
    assert "<b>Lactate (mmol/L)</b>" in [note.text for note in figure.layout.annotations]
    assert figure.layout.xaxis2.title.text == "Hours since the first lactate above 2"  # as the task says
    assert figure.layout.xaxis.matches == "x2"


def test_variables_come_in_the_order_of_what_they_moved(explanation):
    moved = explanation.measurements.assign(size=explanation.measurements["contribution"].abs())
    totals = moved.groupby("variable")["size"].sum()
    assert variables_by_contribution(explanation) == totals.sort_values(ascending=False).index.tolist()


def test_a_stay_without_any_measurement_shows_its_risk(sparse):
    sparse.measurements = sparse.measurements.iloc[:0]
    figure = plot_patient(sparse)
    assert [list(t.y) for t in figure.data if t.name == "predicted risk"] == [[0.1, 0.3]]


def fading(figure):
    """Hours and strengths of the carried lactate."""
    trace = next(t for t in figure.data if t.yaxis == "y2")
    return dict(zip(trace.x, trace.marker.opacity, strict=True))


@pytest.mark.slow
def test_a_carried_value_fades_as_the_network_carries_it_unless_told_otherwise(sparse):
    six = fading(plot_patient(sparse))
    sparse.half_life = {"lactate": 12.0}
    assert fading(plot_patient(sparse))[10.0] == pytest.approx(0.9 * 0.5 ** (7 / 12), abs=1e-3)
    assert (
        fading(plot_patient(sparse, half_life={}))[10.0] == six[10.0] == pytest.approx(0.9 * 0.5 ** (7 / 6), abs=1e-3)
    )
    sparse.half_life = {"lactate": 0.0}
    assert fading(plot_patient(sparse)) == {}


def test_the_words_under_the_picture_say_how_values_fade_and_nothing_of_members(sparse):
    assert "half as strong after 6 hours, until" in timeline_caption(sparse)
    sparse.half_life = {"lactate": 12.5}
    sparse.risk_trajectory = sparse.risk_trajectory.assign(low=0.05, high=0.4)
    assert "as the network decays it: half as strong after 12.5 hours" in timeline_caption(sparse)
    assert "members" not in timeline_caption(sparse)


def test_thinned_rows_keep_both_ends_and_the_extremes_of_each_stretch():
    values = np.random.default_rng(0).normal(size=10_000)
    rows = pd.DataFrame({"y": values})
    few = downsample(rows, "y", max_points=400)
    assert len(few) <= 402
    assert few.index.is_monotonic_increasing
    assert {0, 9_999, values.argmin(), values.argmax()} <= set(few.index)
    stretches = values.reshape(200, 50)
    assert set(stretches.min(axis=1)) | set(stretches.max(axis=1)) <= set(few["y"])
    assert len(downsample(rows[:400], "y", max_points=400)) == 400


def test_what_is_not_drawn_is_said_and_all_of_it_counts(sparse):
    hours = np.arange(3000) / 100
    sparse.measurements = pd.DataFrame({"hours": hours, "variable": "lactate", "value": hours % 3, "contribution": 1.0})
    notes = [note.text for note in plot_patient(sparse).layout.annotations]
    assert any("points; 1,00" in note and "of 3,000 drawn" in note for note in notes)


def test_hours_that_were_never_evaluated_are_grey_up_to_the_end(sparse):
    assert part_of_line(sparse, UNCALIBRATED) == ({}, False)
    sparse.risk_trajectory = sparse.risk_trajectory.assign(calibrated="not evaluated")
    sparse.trajectory_note = "Never evaluated."
    assert part_of_line(sparse, UNCALIBRATED) == (
        {0.0: 0.1, 24.0: 0.3},
        True,
    )  # the first point, and the line to the end
    assert "Never evaluated." in timeline_caption(sparse)


def part_of_line(explanation, name) -> tuple[dict[float, float], bool]:
    """Points of a trace, and whether the legend names it."""
    trace = next(one for one in plot_patient(explanation).data if one.name == name)
    points = {hour: risk for hour, risk in zip(trace.x, trace.y, strict=True) if risk is not None}
    return points, trace.showlegend is not False


VERDICTS = ["yes", "unclear", "yes", "no", "not evaluated", "unclear", "unclear"]


def test_hours_that_too_few_events_leave_open_are_dashed_and_named_in_figure_and_picture(sparse):
    """Of each hour exactly the line to the next one is solid, grey or dashed; the end is what the page is about."""
    hours, risks = np.arange(7.0), np.arange(1, 8) / 10
    sparse.risk_trajectory = pd.DataFrame({"hours": hours, "risk": risks, "calibrated": VERDICTS})
    figure = plot_patient(sparse)
    lines = {name: segments(figure, name) for name in ("predicted risk", UNCALIBRATED, UNCLEAR)}
    assert lines == {"predicted risk": {0, 2, 3, 4}, UNCALIBRATED: {3, 4}, UNCLEAR: {1, 5}}  # grey lies on top
    drawn = {one.name: one for one in figure.data}
    assert drawn[UNCLEAR].line.dash not in (None, "solid")
    assert drawn[UNCLEAR].showlegend is drawn[UNCALIBRATED].showlegend is True
    assert {hour for hour, text in zip(drawn[UNCLEAR].x, drawn[UNCLEAR].hovertext, strict=True) if text} == {1, 2, 5, 6}
    picture = svg_of(sparse)
    assert picture.count(UNCLEAR) == picture.count(UNCALIBRATED) == 1
    assert picture.count('stroke-dasharray="5 4"') == 3  # two parts and the legend
    sparse.risk_trajectory = sparse.risk_trajectory.assign(calibrated="yes")
    assert part_of_line(sparse, UNCLEAR) == ({}, False)
    assert UNCLEAR not in svg_of(sparse)


def test_what_is_dashed_follows_a_change_of_the_stay(sparse):
    sparse.risk_trajectory = pd.DataFrame({"hours": [0.0, 1, 2], "risk": [0.1, 0.2, 0.3], "calibrated": "yes"})
    figure = plot_patient(sparse)
    sparse.risk_trajectory = sparse.risk_trajectory.assign(calibrated=["yes", "unclear", "yes"])
    update_figure(figure, sparse, variables=["lactate"], half_life={})
    assert segments(figure, UNCLEAR) == {1}
    assert segments(figure, "predicted risk") == {0}
    assert [one.showlegend for one in figure.data if one.name == UNCLEAR] == [True]


def segments(figure, name) -> set[float]:
    """First hour of each step that a trace draws."""
    trace = next(one for one in figure.data if one.name == name)
    pairs = zip(zip(trace.x, trace.y, strict=True), zip(trace.x[1:], trace.y[1:], strict=True), strict=False)
    return {hour for (hour, risk), (_, following) in pairs if risk is not None and following is not None}


def svg_of(explanation) -> str:
    encoded = re.search(r"base64,([^\"]+)", risk_picture(explanation))[1]
    return base64.b64decode(encoded).decode()
