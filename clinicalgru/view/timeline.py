"""One stay over time: the risk above, what was measured below, on one axis of hours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clinicalgru.view.theme import BAND, BAND_EDGE, BLUE, GREEN, INK, QUIET, VERMILLION, styled
from clinicalgru.view.words import fixed, labelled, levels, number, percent, plain, records, value

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.data.variables import Variable
    from clinicalgru.explain.result import Explanation

RISK_HEIGHT, ROW_HEIGHT, GAP = 180, 84, 34  # pixels
WITHIN = {"symbol": "circle", "color": BLUE, "size": 8}
ABOVE = {"symbol": "triangle-up", "color": VERMILLION, "size": 10}
BELOW = {"symbol": "triangle-down", "color": VERMILLION, "size": 10}
CARRIED = {"color": BLUE, "width": 1.3, "dash": "dot"}
FADED = {"color": "rgba(0, 114, 178, 0.28)", "width": 1.3, "dash": "dot"}


def patient(explanation: Explanation, *, variables: Sequence[str] | None = None, gap_hours: float = 6.0) -> go.Figure:
    """The risk after each hour, and under it each variable as it was measured.

    explanation  an `Explanation`
    variables    names of the variables to show, in order; default: the eight that contributed most
    gap_hours    for this long the last value is carried as a dotted line; after that the line fades, up to the next one
    returns      a figure: filled circles within the reference range (shaded), triangles above or below it
    """
    shown = [known(explanation)[name] for name in (by_weight(explanation)[:8] if variables is None else variables)]
    heights = [RISK_HEIGHT] + [ROW_HEIGHT] * len(shown)
    inner = sum(heights) + GAP * len(shown)
    figure = make_subplots(
        len(heights), 1, shared_xaxes=True, row_heights=heights, vertical_spacing=GAP / inner if shown else 0
    )
    _risk(figure, explanation)
    for row, variable in enumerate(shown, start=2):
        _series(figure, explanation, variable, row=row, gap_hours=gap_hours)
    _legend(figure, gap_hours)
    styled(figure, height=inner + 160).update_layout(margin={"t": 88, "b": 60, "l": 76})
    figure.update_yaxes(title_text="Predicted risk", tickformat=".0%", rangemode="tozero", nticks=5, row=1, col=1)
    figure.update_xaxes(range=[min(0.0, first_hour(explanation)), 1.01 * last_hour(explanation)], showticklabels=False)
    return figure.update_xaxes(title_text="Hours since the anchor", showticklabels=True, row=len(heights), col=1)


def known(explanation: Explanation) -> dict[str, Variable]:
    """The variables of an explanation by name."""
    return {variable.name: variable for variable in explanation.variables}


def by_weight(explanation: Explanation) -> list[str]:
    """Names of the measured variables, the one whose measurements moved the risk most first."""
    moved = explanation.measurements.assign(moved=explanation.measurements["contribution"].abs())
    total = moved.groupby("variable", sort=True)["moved"].sum().sort_values(ascending=False, kind="stable")
    return [str(name) for name in total.index if name in known(explanation)]


def last_hour(explanation: Explanation) -> float:
    """The hour of the last measurement or risk; 1 where there is none."""
    return max([*explanation.course["hours"], *explanation.measurements["hours"]], default=1.0)


def first_hour(explanation: Explanation) -> float:
    """The hour of the first measurement or risk; 0 where there is none."""
    return min([*explanation.course["hours"], *explanation.measurements["hours"]], default=0.0)


def _risk(figure: go.Figure, explanation: Explanation) -> None:
    hours, risk = explanation.course["hours"].tolist(), explanation.course["risk"].tolist()
    said = [f"{percent(one)} after {number(hour)} h" for hour, one in zip(hours, risk, strict=True)]
    figure.add_scatter(
        x=hours, y=risk, mode="lines+markers", line={"color": INK, "width": 2.2, "shape": "hv"}, marker={"size": 5},
        name="predicted risk", hovertext=said, hoverinfo="text", row=1, col=1,
    )  # fmt: skip
    ends = [first_hour(explanation), last_hour(explanation)]
    figure.add_scatter(
        x=ends, y=[explanation.baseline] * 2, mode="lines", line={"color": QUIET, "width": 1.4, "dash": "dash"},
        name=f"baseline {percent(explanation.baseline)}: nothing measured", hoverinfo="skip", row=1, col=1,
    )  # fmt: skip


def _series(figure: go.Figure, explanation: Explanation, variable: Variable, *, row: int, gap_hours: float) -> None:
    rows = explanation.measurements.query("variable == @variable.name").sort_values("hours")
    _carried(figure, rows, row, end=last_hour(explanation), gap_hours=gap_hours)
    _points(figure, rows, variable, row)
    _reference(figure, variable, row, rows["value"])
    _title(figure, variable, row, rows["contribution"].sum())
    words = {float(level): word for level, word in levels(variable).items()}
    if words:
        figure.update_yaxes(tickvals=list(words), ticktext=[plain(word) for word in words.values()], row=row, col=1)
    figure.update_yaxes(nticks=5, tickfont={"size": 12}, row=row, col=1)


def _reference(figure: go.Figure, variable: Variable, row: int, values: pd.Series) -> None:
    low, high = variable.reference or (values.min(), values.max())
    bottom, top = min(low, values.min()), max(high, values.max())
    margin = 0.14 * (top - bottom) or 0.5  # room for the markers at the edges
    figure.update_yaxes(range=[bottom - margin, top + margin], row=row, col=1)
    if variable.reference is not None:
        figure.add_hrect(y0=low, y1=high, fillcolor=BAND, line=BAND_EDGE, layer="below", row=row, col=1)


def _carried(figure: go.Figure, rows: pd.DataFrame, row: int, *, end: float, gap_hours: float) -> None:
    near: list[tuple[float | None, float | None]] = []
    far: list[tuple[float | None, float | None]] = []
    times = [*rows["hours"], end]
    for (start, stop), amount in zip(pairwise(times), rows["value"], strict=True):
        fades = min(stop, start + gap_hours)
        near += [(start, amount), (fades, amount), (None, None)]
        far += [(fades, amount), (stop, amount), (None, None)] if stop > fades else []
    for points, line in ((near, CARRIED), (far, FADED)):
        x, y = [hour for hour, _ in points], [amount for _, amount in points]
        figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False, row=row, col=1)


def _points(figure: go.Figure, rows: pd.DataFrame, variable: Variable, row: int) -> None:
    symbols = [_mark(variable, amount) for amount in rows["value"]]
    said = [
        f"{plain(variable.label)} {plain(value(variable, one.value))} at {number(one.hours)} h"
        f"<br>effect {fixed(one.contribution, signed=True)} log-odds"
        for one in records(rows)
    ]
    marker = {key: [symbol[key] for symbol in symbols] for key in WITHIN}
    figure.add_scatter(
        x=rows["hours"].tolist(), y=rows["value"].tolist(), mode="markers", hovertext=said, hoverinfo="text",
        marker={**marker, "opacity": 1, "line": {"color": "white", "width": 0.8}}, showlegend=False, row=row, col=1,
    )  # fmt: skip


def _mark(variable: Variable, amount: float) -> dict[str, object]:
    if variable.reference is None or variable.reference[0] <= amount <= variable.reference[1]:
        return dict(WITHIN)
    return dict(ABOVE) if amount > variable.reference[1] else dict(BELOW)


def _title(figure: go.Figure, variable: Variable, row: int, effect: float) -> None:
    axis = figure.layout[f"yaxis{row}"]
    at = {"xref": "paper", "yref": "paper", "y": axis.domain[1], "yanchor": "bottom", "showarrow": False}
    figure.add_annotation(text=f"<b>{plain(labelled(variable))}</b>", x=0, xanchor="left", font={"size": 14}, **at)
    moved = f"effect {fixed(effect, signed=True)} log-odds"
    figure.add_annotation(text=moved, x=1, xanchor="right", font={"size": 13, "color": QUIET}, **at)


def _legend(figure: go.Figure, gap_hours: float) -> None:
    ground = {"symbol": "square", "color": GREEN, "opacity": 0.35, "size": 14}
    for name, marker in (("within reference", WITHIN), ("above reference", ABOVE), ("below reference", BELOW),
                         ("reference range", ground)):  # fmt: skip
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name, row=1, col=1)
    for name, line in ((f"last value, up to {number(gap_hours)} h", CARRIED), ("longer unmeasured", FADED)):
        figure.add_scatter(x=[None], y=[None], mode="lines", line=line, name=name, row=1, col=1)
