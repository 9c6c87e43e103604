"""Figures of an explanation: contributions of single measurements, and attention over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from clinicalgru.explain.points import point_rate
from clinicalgru.output_unit import is_probability
from clinicalgru.view.plots.theme import FAINT, GREY, INK, PATTERN, axis, base_layout, validated
from clinicalgru.view.plots.timeline_data import variables_by_name
from clinicalgru.view.text.format import escape_plotly, format_number, format_percent, iter_rows
from clinicalgru.view.text.moments import hour_axis
from clinicalgru.view.text.risk_points import format_effect
from clinicalgru.view.text.variable_text import format_value

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.explain.result import Explanation

COMPONENTS = (("by_value", "its value", INK, ""), ("by_measured", "being measured", GREY, "/"),
              ("by_timing", "its timing", FAINT, "."))  # fmt: skip


ZERO_LINE = {"color": GREY, "width": 1}
NAMES_AXIS = {"autorange": "reversed", "showgrid": False, "automargin": True, "ticks": ""}


def plot_contributions(explanation: Explanation, top: int = 12) -> go.Figure:
    """Draw the measurements with the largest contributions as stacked bars.

    Parameters
    ----------
    explanation : Explanation
        Contributions; a risk's are drawn in points of risk.
    top : int, default 12
        Number of measurements to draw.

    Returns
    -------
    plotly.graph_objects.Figure
        One bar for each measurement, the largest contribution on top. A bar is split into what the value, the fact of
        being measured and the timing contributed. A diamond marks the sum.
    """
    return validated(contributions_drawing(explanation, top))


def contributions_drawing(explanation: Explanation, top: int = 12) -> dict[str, Any]:
    """Compute what `plot_contributions` draws as plain values, for pages.

    Parameters
    ----------
    explanation, top
        See `plot_contributions`.

    Returns
    -------
    dict
        data and layout.
    """
    rows, points = top_contributions(explanation.measurements, top), is_probability(explanation)
    rate = point_rate(explanation) * (100 if points else 1)
    names = [escape_plotly(label(explanation, row)) for row in iter_rows(rows)]
    places, data = list(range(len(rows))), []
    for column, component, colour, pattern in COMPONENTS:
        effects = rows[column].tolist()
        hover = [f"{name}<br>{component}: {format_effect(explanation, effect)}"
                 for name, effect in zip(names, effects, strict=True)]  # fmt: skip
        data.append({
            "type": "bar", "x": [rate * effect for effect in effects], "y": places, "orientation": "h",
            "name": component, "hovertext": hover, "hoverinfo": "text",
            "marker": {"color": colour, "pattern": PATTERN | {"shape": pattern}},
        })  # fmt: skip
    data.append({
        "type": "scatter", "x": (rate * rows["contribution"]).tolist(), "y": places, "mode": "markers", "name": "sum",
        "hoverinfo": "skip",
        "marker": {"symbol": "diamond", "size": 9, "color": INK, "line": {"color": "white", "width": 1}},
    })  # fmt: skip
    target = "the risk in points" if points else "the expected outcome"
    zero = {"type": "line", "xref": "x", "yref": "y domain", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "line": ZERO_LINE}
    layout = base_layout(150 + 34 * max(len(rows), 2)) | {"barmode": "relative", "bargap": 0.35, "shapes": [zero]}
    layout["xaxis"] = axis({"title_text": f"Effect on {target}: left lowers, right raises", "tickformat": "~g"})
    layout["yaxis"] = axis({"tickvals": places, "ticktext": names, **NAMES_AXIS})
    return {"data": data, "layout": layout}


def plot_attention(explanation: Explanation) -> go.Figure:
    """Draw the attention weight of each hour with a measurement.

    Parameters
    ----------
    explanation : Explanation
        Its `attention` has hours and weight; the weights sum to 1.

    Returns
    -------
    plotly.graph_objects.Figure
        One bar for each hour with a measurement.
    """
    return validated(attention_drawing(explanation))


def attention_drawing(explanation: Explanation) -> dict[str, Any]:
    """Compute what `plot_attention` draws as plain values, for pages.

    Parameters
    ----------
    explanation : Explanation
        See `plot_attention`.

    Returns
    -------
    dict
        data and layout.
    """
    hours, weights = explanation.attention["hours"].tolist(), explanation.attention["weight"].tolist()
    hover = [f"{format_number(hour)} h: {format_percent(weight)} of the attention"
             for hour, weight in zip(hours, weights, strict=True)]  # fmt: skip
    width = max((max(hours, default=0) - min(hours, default=0)) / 150, 0.05)  # hours; wide enough to point at
    bars = {"type": "bar", "x": hours, "y": weights, "width": width, "marker": {"color": GREY}, "hovertext": hover}
    layout = base_layout(260)
    layout["margin"] |= {"t": 16}
    layout["xaxis"] = axis(hour_axis(explanation, min(hours, default=0.0), max(hours, default=1.0)))
    layout["yaxis"] = axis({"title_text": "Attention weight", "tickformat": ".0%", "rangemode": "tozero", "nticks": 4})
    return {"data": [bars | {"hoverinfo": "text"}], "layout": layout}


def top_contributions(measurements: pd.DataFrame, top: int) -> pd.DataFrame:
    """Select the measurements with the largest absolute contributions.

    Parameters
    ----------
    measurements : DataFrame
        `measurements` of an `Explanation`.
    top : int
        Number of rows to select.

    Returns
    -------
    DataFrame
        The largest absolute contribution first.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.view.plots.contribution_plots import top_contributions
    >>> top_contributions(pd.DataFrame({"contribution": [0.1, -0.4, 0.2]}), 2)["contribution"].tolist()
    [-0.4, 0.2]
    """
    order = measurements["contribution"].abs().sort_values(ascending=False, kind="stable").index
    return measurements.loc[order[:top]]


def label(explanation: Explanation, row: Any) -> str:
    """Write a measurement with its hour: "Lactate 4.2 mmol/L, 31 h".

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay.
    row : namedtuple
        Row of its `measurements`.

    Returns
    -------
    str
        Label, value, unit and hour.
    """
    return f"{_value_label(explanation, row)}, {format_number(row.hours)} h"


def _value_label(explanation: Explanation, row: Any) -> str:
    """Write a measurement without its hour: "Lactate 4.2 mmol/L"."""
    variable = variables_by_name(explanation).get(row.variable)
    if variable is None:
        return f"{row.variable} {format_number(row.value)}"
    return f"{variable.label} {format_value(variable, row.value)}"
