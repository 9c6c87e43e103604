"""What was measured, what was carried, and what nobody knows look different."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from clinicalgru.data.variables import Variable
from clinicalgru.view.timeline import CARRIED, FADED, by_weight, patient

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


def lines(figure, style: dict) -> list:
    """Points of the line with this style on the row of lactate, None where it is broken."""
    found = [t for t in figure.data if t.yaxis == "y2" and t.mode == "lines" and t.line.color == style["color"]]
    return list(zip(found[0].x, found[0].y, strict=True))


def test_the_last_value_is_carried_for_the_hours_given_then_fades(sparse):
    figure, broken = patient(sparse, gap_hours=6), (None, None)
    assert lines(figure, CARRIED) == [
        (1, 4), (3, 4), broken, (3, 1), (9, 1), broken, (20, 0.3), (24, 0.3), broken,
    ]  # fmt: skip
    assert lines(figure, FADED) == [(9, 1), (20, 1), broken]


def test_markers_stand_only_where_something_was_measured_and_their_shape_tells_the_range(sparse):
    points = next(t for t in patient(sparse).data if t.yaxis == "y2" and t.mode == "markers")
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
