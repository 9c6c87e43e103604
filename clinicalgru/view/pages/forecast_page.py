"""HTML page of a forecast for one stay: measurements outside their prediction interval, and the next values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.html_page import figure, page, section, tiles, write
from clinicalgru.view.plots.downsample import downsample
from clinicalgru.view.plots.theme import BLUE, GREY, INK, VERMILLION, apply_theme
from clinicalgru.view.plots.timeline import GAP, ROW_HEIGHT
from clinicalgru.view.text.format import escape_plotly, format_hours, format_number, iter_rows
from clinicalgru.view.text.headline import lead_text
from clinicalgru.view.text.moments import hours_title
from clinicalgru.view.text.variable_text import format_value, label_with_unit

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.forecast_explanation import ForecastExplanation

N_EXPANDED = 8  # variables drawn at once; the others are folded
INSIDE = {"symbol": "circle", "color": BLUE, "size": 8}
OUTSIDE = {"symbol": "x", "color": VERMILLION, "size": 10}
NEXT = {"symbol": "diamond-open", "color": INK, "size": 10, "line": {"width": 2}}
EXPECTED = {"symbol": "line-ew-open", "color": GREY, "size": 7}
ERROR = {"type": "data", "symmetric": False, "thickness": 1.4, "width": 0, "color": GREY}
LIMITS = (
    "An unexpected measurement need not be wrong: patients change, and a model knows little of what is rare. An "
    "expected measurement need not be healthy.",
    "The intervals hold for stays like those the model was calibrated on. They hold for single measurements, not for "
    "all measurements of a stay together.",
)
READING = (
    "Each upright line is the {} % prediction interval of a measurement, predicted one time step before, with a dash "
    "at the median. Crosses are measurements outside it. The hollow diamond at the right is the prediction for the "
    "next measurement."
)


def forecast_page(
    forecast: ForecastExplanation,
    path: str | os.PathLike[str],
    *,
    title: str = "Forecast and measurements",
    top: int = 12,
) -> Path:
    """Write an offline HTML page about one stay: measurements with their prediction intervals, and the next values.

    Parameters
    ----------
    forecast : ForecastExplanation
        What `explain_forecast` returned.
    path : str or path
        File to write; its folder is created.
    title : str
        Heading of the page.
    top : int, default 12
        Number of unexpected measurements to list, the most unexpected first.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If `path` is a folder.
    """
    lead = lead_text(forecast.stay_label, forecast.at_hours)
    parts = [
        section("Summary", tiles(_tiles(forecast))),
        section("Course", *_course(forecast)),
        section("Outside the prediction interval", *_outside(forecast, top)),
        section("Next measurements", _next(forecast)),
    ]
    return write(page(title, lead, *parts, provenance=forecast.provenance, limits=LIMITS), path)


def plot_forecast(forecast: ForecastExplanation, *, variables: Sequence[str] | None = None) -> go.Figure:
    """Draw the measurements of one stay with their prediction intervals.

    Parameters
    ----------
    forecast : ForecastExplanation
        What `explain_forecast` returned.
    variables : sequence of str, optional
        Names of the variables to draw, in order. Default: the eight with the most unexpected measurement.

    Returns
    -------
    plotly.graph_objects.Figure
        Circles lie inside the interval, crosses outside it. Of more than 1,000 points of a variable, the minimum and
        maximum of each stretch are drawn.
    """
    known = {variable.name: variable for variable in forecast.variables}
    drawn_variables = [
        known[name] for name in (variables_by_anomaly(forecast)[:N_EXPANDED] if variables is None else variables)
    ]
    rows = max(len(drawn_variables), 1)
    inner = ROW_HEIGHT * rows + GAP * (rows - 1)
    drawn = make_subplots(rows, 1, shared_xaxes=True, vertical_spacing=GAP / inner if rows > 1 else 0)
    for row, variable in enumerate(drawn_variables, start=1):
        _series(drawn, forecast, variable, row)
    for name, marker in (("inside", INSIDE), ("outside", OUTSIDE), ("next", NEXT)):
        drawn.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name, row=1, col=1)
    legend = {"yref": "container", "y": 1, "yanchor": "top"}  # above the name of the first variable
    apply_theme(drawn, height=inner + 130).update_layout(margin={"t": 64, "b": 60, "l": 76}, legend=legend)
    first = min([0.0, *forecast.measurements["hours"]])
    drawn.update_xaxes(range=[first, _beyond(forecast, 1.05)], showticklabels=False)
    return drawn.update_xaxes(title_text=escape_plotly(hours_title(forecast)), showticklabels=True, row=rows, col=1)


def variables_by_anomaly(forecast: ForecastExplanation) -> list[str]:
    """List the measured variables by their most unexpected measurement.

    Parameters
    ----------
    forecast : ForecastExplanation
        What `explain_forecast` returned.

    Returns
    -------
    list of str
        Names, the most unexpected first.
    """
    odd = forecast.measurements.groupby("variable", sort=True)["anomaly"].max().fillna(0)
    return [str(name) for name in odd.sort_values(ascending=False, kind="stable").index]


def _beyond(forecast: ForecastExplanation, times: float) -> float:
    """Return an hour a little after the last."""
    first = min(0.0, float(forecast.measurements["hours"].min()))
    return first + times * max(forecast.at_hours - first, 1.0)


def _series(drawn: go.Figure, forecast: ForecastExplanation, variable: Variable, row: int) -> None:
    every = forecast.measurements[forecast.measurements["variable"] == variable.name].sort_values("hours")
    rows = downsample(every, "value")
    ahead = forecast.next_values[forecast.next_values["variable"] == variable.name]
    place = {"row": row, "col": 1, "showlegend": False, "mode": "markers"}
    known = rows[rows["median"].notna()]
    drawn.add_scatter(
        x=known["hours"].tolist(), y=known["median"].tolist(), marker=EXPECTED, error_y=_error(known),
        hoverinfo="skip", **place,
    )  # fmt: skip
    marks = [OUTSIDE if one.value < one.low or one.value > one.high else INSIDE for one in iter_rows(rows)]
    drawn.add_scatter(
        x=rows["hours"].tolist(), y=rows["value"].tolist(), hoverinfo="text",
        hovertext=[escape_plotly(_hover(variable, one)) for one in iter_rows(rows)],
        marker={key: [mark[key] for mark in marks] for key in INSIDE}, **place,
    )  # fmt: skip
    text = [f"next: {_range(variable, one)}" for one in iter_rows(ahead)]
    drawn.add_scatter(
        x=[_beyond(forecast, 1.025)] * len(ahead), y=ahead["median"].tolist(), marker=NEXT, error_y=_error(ahead),
        hovertext=[escape_plotly(one) for one in text], hoverinfo="text", **place,
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
    """The median and the interval, without values that cannot be."""
    least, most = variable.plausible or (-np.inf, np.inf)
    median, low, high = np.clip([row.median, row.low, row.high], least, most)
    return f"{format_value(variable, median)} ({format_number(low)} to {format_number(high)})"


def _signed_value(variable: Variable, row: Any) -> str:
    """A measurement outside its interval, with the side on which it lies."""
    return f"{'▲' if row.value > row.high else '▼'} {format_value(variable, row.value)}"


def _hover(variable: Variable, row: Any) -> str:
    text = f"{format_value(variable, row.value)} at {format_hours(row.hours)} h"
    return text if row.median != row.median else f"{text}; expected {_range(variable, row)}"


def _tiles(forecast: ForecastExplanation) -> list[tuple[str, str, str]]:
    n_predicted, outside = len(forecast.predicted), forecast.outside_interval
    variables = {variable.name: variable for variable in forecast.variables}
    usual = f"of {n_predicted:,}; {(1 - forecast.coverage) * n_predicted:.0f} expected by chance"
    name = f"Measurements outside their {100 * forecast.coverage:g} % interval"
    parts = [(name, f"{len(outside):,}", usual)]
    for row in iter_rows(outside.head(1)):
        variable = variables[row.variable]
        note = f"at hour {format_hours(row.hours)}; expected {_range(variable, row)}"
        parts.append((f"Most unexpected: {variable.label}", _signed_value(variable, row), note))
    return parts


def _course(forecast: ForecastExplanation) -> list[Markup]:
    names, text = variables_by_anomaly(forecast), READING.format(f"{100 * forecast.coverage:g}")
    parts = [figure(plot_forecast(forecast), "Expected and measured", text)]
    if names[N_EXPANDED:]:
        others = figure(plot_forecast(forecast, variables=names[N_EXPANDED:]), "Other variables", text)
        parts.append(tag("details", tag("summary", f"{len(names) - N_EXPANDED} more variables"), others))
    return parts


def _outside(forecast: ForecastExplanation, top: int) -> list[Markup]:
    rows = forecast.outside_interval.head(top)
    if rows.empty:
        text = (
            "All measurements lie inside their prediction interval."
            if len(forecast.predicted)
            else "No measurement has a prediction yet."
        )
        return [tag("p", text)]
    variables = {variable.name: variable for variable in forecast.variables}
    cells = [
        [variables[row.variable].label, format_hours(row.hours), _signed_value(variables[row.variable], row),
         _range(variables[row.variable], row)]
        for row in iter_rows(rows)
    ]  # fmt: skip
    which = f"The {len(cells)} most unexpected measurements" if len(cells) > 1 else "The most unexpected measurement"
    caption = f"{which}; ▲ above, ▼ below the {100 * forecast.coverage:g} % prediction interval"
    return [table(caption, ("Variable", "Hour", "Value", "Expected"), cells)]


def _next(forecast: ForecastExplanation) -> Markup:
    variables = {variable.name: variable for variable in forecast.variables}
    cells = [
        [
            variables[row.variable].label,
            format_value(variables[row.variable], row.last),
            _range(variables[row.variable], row),
        ]
        for row in iter_rows(forecast.next_values[forecast.next_values["last"].notna()])
    ]
    caption = f"Prediction of the next measurement from hour {format_hours(forecast.at_hours)}"
    return table(caption, ("Variable", "Last", "Predicted"), cells)
