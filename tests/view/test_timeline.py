"""What was measured, what was carried, and what nobody knows look different."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from clinicalgru.data.variables import Variable
from clinicalgru.view.timeline import by_weight, carried, patient

COLUMNS = ["hours", "variable", "value", "by_value", "by_measured", "by_timing", "contribution"]


@pytest.fixture
def sparse() -> SimpleNamespace:
    """Lactate at hours 1 (high), 3 (normal) and 20 (low); the risk is known up to hour 24."""
    rows = [(1.0, 4.0, 0.5), (3.0, 1.0, -0.1), (20.0, 0.3, 0.0)]
    measurements = pd.DataFrame([(h, "lactate", v, c, 0, 0, c) for h, v, c in rows], columns=COLUMNS)
    lactate = Variable("lactate", "Lactate", "numeric", "mmol/L", reference=(0.5, 2.0))
    return SimpleNamespace(
        variables=(lactate,), measurements=measurements, baseline=0.1,
        course=pd.DataFrame({"hours": [0.0, 24.0], "risk": [0.1, 0.3]}),
    )  # fmt: skip


def test_the_last_value_is_carried_on_and_fades_until_nothing_is_known(sparse):
    x, y, strong = carried(sparse.measurements, first=0.0, end=60.0, half_life=2.0)
    assert min(x) > 1.0
    assert dict(zip(x, y, strict=True))[2.0] == 4.0
    by_hour = dict(zip(x, strong, strict=True))
    assert by_hour[6.0] == pytest.approx(by_hour[4.0] / 2, abs=1e-3)
    assert max(hour for hour in x if hour < 20) < 12  # then a gap, though the next value comes at 20
    assert not set(x) & set(sparse.measurements["hours"])


def test_carried_values_are_hollow_and_measured_ones_filled(sparse):
    symbols = [t.marker.symbol for t in patient(sparse).data if t.yaxis == "y2"]
    assert symbols[0] == "circle-open"
    assert not any("open" in symbol for symbol in symbols[1])


def test_threshold_comparison_band_and_cursor_are_drawn_where_given(sparse):
    plain, before = patient(sparse), SimpleNamespace(course=pd.DataFrame({"hours": [0.0, 24.0], "risk": [0.1, 0.6]}))
    sparse.course = sparse.course.assign(low=0.05, high=0.4)
    drawn = patient(sparse, threshold=0.25, before=before, cursor=7.0)
    names = {t.name: t for t in drawn.data}
    assert list(names["as it was"].y) == [0.1, 0.6]
    assert list(names["how sure"].y) == [0.4, 0.4, 0.05, 0.05]
    assert drawn.layout.shapes[-1].x0 == 7.0
    assert any(shape.y0 == shape.y1 == 0.25 for shape in drawn.layout.shapes)
    assert len(drawn.data) == len(plain.data) + 2


def test_markers_stand_only_where_something_was_measured_and_their_shape_tells_the_range(sparse):
    points = [t for t in patient(sparse).data if t.yaxis == "y2" and t.mode == "markers"][1]
    assert list(points.x) == [1, 3, 20]
    assert list(points.marker.symbol) == ["triangle-up", "circle", "triangle-down"]


def test_the_reference_range_is_shaded_and_always_in_view(sparse):
    figure = patient(sparse)
    band = next(shape for shape in figure.layout.shapes if shape.yref == "y2")
    assert (band.y0, band.y1) == (0.5, 2.0)
    low, high = figure.layout.yaxis2.range
    assert low < 0.3
    assert high > 4.0


def test_the_label_has_the_unit_and_the_axis_is_in_hours(sparse):
    figure = patient(sparse)
    assert "<b>Lactate (mmol/L)</b>" in [note.text for note in figure.layout.annotations]
    assert figure.layout.xaxis2.title.text == "Hours since the anchor"
    assert figure.layout.xaxis.matches == "x2"


def test_variables_come_in_the_order_of_what_they_moved(explanation):
    moved = explanation.measurements.assign(size=explanation.measurements["contribution"].abs())
    totals = moved.groupby("variable")["size"].sum()
    assert by_weight(explanation) == totals.sort_values(ascending=False).index.tolist()


def test_a_stay_without_any_measurement_shows_its_risk(sparse):
    sparse.measurements = sparse.measurements.iloc[:0]
    figure = patient(sparse)
    assert [list(t.y) for t in figure.data if t.name == "predicted risk"] == [[0.1, 0.3]]
