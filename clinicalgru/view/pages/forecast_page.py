"""What a forecast expected of one stay, as a page: what came otherwise, and what should come next."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.html_page import figure, page, section, tiles, write
from clinicalgru.view.plots.downsample import downsample
from clinicalgru.view.plots.theme import BLUE, GREY, INK, VERMILLION, apply_theme
from clinicalgru.view.plots.timeline import GAP, ROW_HEIGHT
from clinicalgru.view.text.format import escape_plotly, format_hours, format_number, iter_rows
from clinicalgru.view.text.headline import lead_text
from clinicalgru.view.text.variable_text import format_value, label_with_unit

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.forecast_explanation import ForecastExplanation

FIRST = 8  # variables shown at once; the others are folded
INSIDE = {"symbol": "circle", "color": BLUE, "size": 8}
OUTSIDE = {"symbol": "x", "color": VERMILLION, "size": 10}
NEXT = {"symbol": "diamond-open", "color": INK, "size": 10, "line": {"width": 2}}
EXPECTED = {"symbol": "line-ew-open", "color": GREY, "size": 7}
ERROR = {"type": "data", "symmetric": False, "thickness": 1.4, "width": 0, "color": GREY}
LIMITS = (
    "What is odd need not be wrong: patients change, and a model knows little of what is rare. What is expected need "
    "not be healthy.",
    "The intervals hold for stays like those the model was calibrated on, measurement by measurement, not for all "
    "measurements of a stay together.",
)
READING = (
    "Each upright line is what was expected of a measurement before it came: the middle {} %, a dash at the median. "
    "Crosses came outside of it. The hollow diamond at the right is what is expected when it is next measured."
)


def forecast_page(
    expectations: ForecastExplanation,
    path: str | os.PathLike[str],
    *,
    title: str = "What was expected, and what came",
    top: int = 12,
) -> Path:
    """One offline HTML page about one stay: each measurement against what was expected of it, and what is next.

    expectations  an `ForecastExplanation`
    path          the file to write; its folders are made
    title         the heading
    top           how many odd measurements to list, the oddest first
    returns       the path
    refused       a path that is a folder (ArgumentError)
    """
    lead = lead_text(expectations.stay_label, expectations.at_hours)
    parts = [
        section("In short", tiles(_tiles(expectations))),
        section("Course", *_course(expectations)),
        section("Outside of what was expected", *_odd(expectations, top)),
        section("Next", _next(expectations)),
    ]
    return write(page(title, lead, *parts, provenance=expectations.provenance, limits=LIMITS), path)


def plot_forecast(expectations: ForecastExplanation, *, variables: Sequence[str] | None = None) -> go.Figure:
    """Each variable of one stay as it was measured, and as it was expected.

    expectations  an `ForecastExplanation`
    variables     names of the variables to show, in order; None: the eight with the oddest measurement
    returns       a figure; circles came within what was expected, crosses outside of it. Of more than 1,000 points of a
                  variable, the lowest and highest of each stretch are drawn
    """
    named = {variable.name: variable for variable in expectations.variables}
    shown = [named[name] for name in (variables_by_anomaly(expectations)[:FIRST] if variables is None else variables)]
    rows = max(len(shown), 1)
    inner = ROW_HEIGHT * rows + GAP * (rows - 1)
    drawn = make_subplots(rows, 1, shared_xaxes=True, vertical_spacing=GAP / inner if rows > 1 else 0)
    for row, variable in enumerate(shown, start=1):
        _series(drawn, expectations, variable, row)
    for name, marker in (("as expected", INSIDE), ("outside", OUTSIDE), ("expected next", NEXT)):
        drawn.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name, row=1, col=1)
    legend = {"yref": "container", "y": 1, "yanchor": "top"}  # above the name of the first variable
    apply_theme(drawn, height=inner + 130).update_layout(margin={"t": 64, "b": 60, "l": 76}, legend=legend)
    first = min([0.0, *expectations.measurements["hours"]])
    drawn.update_xaxes(range=[first, _beyond(expectations, 1.05)], showticklabels=False)
    return drawn.update_xaxes(title_text="Hours since the index time", showticklabels=True, row=rows, col=1)


def variables_by_anomaly(expectations: ForecastExplanation) -> list[str]:
    """Names of the measured variables, the one with the oddest measurement first."""
    odd = expectations.measurements.groupby("variable", sort=True)["anomaly"].max().fillna(0)
    return [str(name) for name in odd.sort_values(ascending=False, kind="stable").index]


def _beyond(expectations: ForecastExplanation, times: float) -> float:
    """An hour a little after the last."""
    first = min(0.0, float(expectations.measurements["hours"].min()))
    return first + times * max(expectations.at_hours - first, 1.0)


def _series(drawn: go.Figure, expectations: ForecastExplanation, variable: Variable, row: int) -> None:
    every = expectations.measurements.query("variable == @variable.name").sort_values("hours")
    rows = downsample(every, "value")
    ahead = expectations.next_values.query("variable == @variable.name")
    place = {"row": row, "col": 1, "showlegend": False, "mode": "markers"}
    known = rows[rows["median"].notna()]
    drawn.add_scatter(
        x=known["hours"].tolist(), y=known["median"].tolist(), marker=EXPECTED, error_y=_error(known),
        hoverinfo="skip", **place,
    )  # fmt: skip
    marks = [OUTSIDE if one.value < one.low or one.value > one.high else INSIDE for one in iter_rows(rows)]
    drawn.add_scatter(
        x=rows["hours"].tolist(), y=rows["value"].tolist(), hoverinfo="text",
        hovertext=[escape_plotly(_said(variable, one)) for one in iter_rows(rows)],
        marker={key: [mark[key] for mark in marks] for key in INSIDE}, **place,
    )  # fmt: skip
    said = [f"next: {_range(variable, one)}" for one in iter_rows(ahead)]
    drawn.add_scatter(
        x=[_beyond(expectations, 1.025)] * len(ahead), y=ahead["median"].tolist(), marker=NEXT, error_y=_error(ahead),
        hovertext=[escape_plotly(one) for one in said], hoverinfo="text", **place,
    )  # fmt: skip
    at = {"xref": "paper", "yref": "paper", "yanchor": "bottom", "showarrow": False}
    top = drawn.layout["yaxis" if row == 1 else f"yaxis{row}"].domain[1]
    words = f"<b>{escape_plotly(label_with_unit(variable))}</b>"
    drawn.add_annotation(text=words, x=0, xanchor="left", y=top, font={"size": 14}, **at)
    if len(rows) < len(every):
        some = f"{len(rows):,} of {len(every):,} drawn"
        drawn.add_annotation(text=some, x=1, xanchor="right", y=top, font={"size": 13, "color": GREY}, **at)
    drawn.update_yaxes(nticks=5, tickfont={"size": 12}, row=row, col=1)


def _error(rows: pd.DataFrame) -> dict[str, Any]:
    ends = {"array": (rows["high"] - rows["median"]).tolist(), "arrayminus": (rows["median"] - rows["low"]).tolist()}
    return ERROR | ends


def _range(variable: Variable, row: Any) -> str:
    return f"{format_value(variable, row.median)} ({format_number(row.low)} to {format_number(row.high)})"


def _said(variable: Variable, row: Any) -> str:
    said = f"{format_value(variable, row.value)} at {format_hours(row.hours)} h"
    return said if row.median != row.median else f"{said}; expected {_range(variable, row)}"


def _tiles(expectations: ForecastExplanation) -> list[tuple[str, str, str]]:
    judged, outside = len(expectations.predicted), expectations.outside_interval
    named = {variable.name: variable for variable in expectations.variables}
    usual = f"of {judged:,}; {(1 - expectations.coverage) * judged:.0f} is usual"
    shown = [("Measurements outside of what was expected", f"{len(outside):,}", usual)]
    for row in iter_rows(outside.head(1)):
        variable = named[row.variable]
        note = f"at hour {format_hours(row.hours)}; expected {_range(variable, row)}"
        shown.append((f"Oddest: {variable.label}", format_value(variable, row.value), note))
    return shown


def _course(expectations: ForecastExplanation) -> list[Markup]:
    names, said = variables_by_anomaly(expectations), READING.format(f"{100 * expectations.coverage:g}")
    shown = [figure(plot_forecast(expectations), "Expected and measured", said)]
    if names[FIRST:]:
        others = figure(plot_forecast(expectations, variables=names[FIRST:]), "Other variables", said)
        shown.append(tag("details", tag("summary", f"{len(names) - FIRST} more variables"), others))
    return shown


def _odd(expectations: ForecastExplanation, top: int) -> list[Markup]:
    rows = expectations.outside_interval.head(top)
    if rows.empty:
        came = (
            "Every measurement came as it was expected." if len(expectations.predicted) else "Nothing was expected yet."
        )
        return [tag("p", came)]
    named = {variable.name: variable for variable in expectations.variables}
    cells = [
        [named[row.variable].label, format_hours(row.hours), format_value(named[row.variable], row.value),
         _range(named[row.variable], row), format_number(row.anomaly)]
        for row in iter_rows(rows)
    ]  # fmt: skip
    caption = f"The {len(cells)} oddest, by how many spreads they lie from what was expected"
    return [table(caption, ("Variable", "Hour", "Value", "Expected", "Spreads away"), cells)]


def _next(expectations: ForecastExplanation) -> Markup:
    named = {variable.name: variable for variable in expectations.variables}
    cells = [
        [named[row.variable].label, format_value(named[row.variable], row.last), _range(named[row.variable], row)]
        for row in iter_rows(expectations.next_values[expectations.next_values["last"].notna()])
    ]
    caption = f"When it is next measured, as seen from hour {format_hours(expectations.at_hours)}"
    return table(caption, ("Variable", "Last", "Expected"), cells)
