"""Figures of an explanation: contributions of single measurements, and attention over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from clinicalgru.view.plots.theme import BLUE, GREEN, GREY, INK, ORANGE, PATTERN, apply_theme
from clinicalgru.view.plots.timeline import is_probability, variables_by_name
from clinicalgru.view.text.format import escape_plotly, format_number, format_percent, format_value, iter_rows

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.explain.result import Explanation

PARTS = (("by_value", "its value", BLUE, ""), ("by_measured", "being measured", ORANGE, "/"),
         ("by_timing", "its timing", GREEN, "."))  # fmt: skip


def plot_contributions(explanation: Explanation, top: int = 12) -> go.Figure:
    """The measurements that moved the risk most, each split into its value, being measured and its timing.

    explanation  an `Explanation`; `measurements` in log-odds
    top          how many measurements to show
    returns      a figure, one stacked bar per measurement, the strongest on top; the diamond marks the sum
    """
    rows = top_contributions(explanation.measurements, top)
    names = [escape_plotly(label(explanation, row)) for row in iter_rows(rows)]
    figure = go.Figure()
    for column, part, colour, pattern in PARTS:
        effects = rows[column].tolist()
        said = [
            f"{name}<br>{part}: {format_number(one, signed=True)}" for name, one in zip(names, effects, strict=True)
        ]
        figure.add_bar(
            x=effects, y=list(range(len(rows))), orientation="h", name=part, hovertext=said, hoverinfo="text",
            marker={"color": colour, "pattern": PATTERN | {"shape": pattern}},
        )  # fmt: skip
    figure.add_scatter(
        x=rows["contribution"].tolist(), y=list(range(len(rows))), mode="markers", name="sum", hoverinfo="skip",
        marker={"symbol": "diamond", "size": 9, "color": INK, "line": {"color": "white", "width": 1}},
    )  # fmt: skip
    apply_theme(figure, height=150 + 34 * max(len(rows), 2)).update_layout(barmode="relative", bargap=0.35)
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=names, autorange="reversed",
        showgrid=False, automargin=True, ticks="",
    )  # fmt: skip
    what = "the risk (log-odds)" if is_probability(explanation) else "what is expected"
    return figure.update_xaxes(title_text=f"Effect on {what}: left lowers, right raises", tickformat=".2~f")


def plot_attention(explanation: Explanation) -> go.Figure:
    """Where the model looked: the share of its attention at each hour.

    explanation  an `Explanation`; `attention` has hours and weight
    returns      a figure, one bar per hour with a measurement
    """
    hours, weight = explanation.attention["hours"].tolist(), explanation.attention["weight"].tolist()
    said = [
        f"{format_number(hour)} h: {format_percent(share)} of the attention"
        for hour, share in zip(hours, weight, strict=True)
    ]
    width = max(
        (max(hours, default=0) - min(hours, default=0)) / 150, 0.05
    )  # hours; wide enough to see and to point at
    figure = go.Figure(go.Bar(x=hours, y=weight, width=width, marker={"color": BLUE}, hovertext=said, hoverinfo="text"))
    apply_theme(figure, height=260).update_layout(margin={"t": 16})
    figure.update_yaxes(title_text="Share of attention", tickformat=".0%", rangemode="tozero", nticks=4)
    return figure.update_xaxes(title_text="Hours since the anchor")


def top_contributions(measurements: pd.DataFrame, top: int) -> pd.DataFrame:
    """The measurements with the largest contribution either way, the largest first."""
    order = measurements["contribution"].abs().sort_values(ascending=False, kind="stable").index
    return measurements.loc[order[:top]]


def label(explanation: Explanation, row: Any) -> str:
    """A row of `measurements` in words: "Lactate 4.2 mmol/L, 31 h"."""
    return f"{value_label(explanation, row)}, {format_number(row.hours)} h"


def value_label(explanation: Explanation, row: Any) -> str:
    """The same without its hour; a variable not described goes by its name."""
    variable = variables_by_name(explanation).get(row.variable)
    return (
        f"{variable.label} {format_value(variable, row.value)}"
        if variable
        else f"{row.variable} {format_number(row.value)}"
    )
