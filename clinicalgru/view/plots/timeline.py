"""One stay over time: the risk above, what was measured below, on one axis of hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clinicalgru.view.plots.downsample import downsample
from clinicalgru.view.plots.theme import BAND, BAND_EDGE, BLUE, GREEN, GREY, INK, ORANGE, VERMILLION, apply_theme
from clinicalgru.view.text.format import escape_plotly, format_fixed, format_number, format_percent, iter_rows
from clinicalgru.view.text.variable_text import category_labels, format_value, label_with_unit

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.result import Explanation

RISK_HEIGHT, ROW_HEIGHT, GAP = 180, 84, 34  # pixels
IN_RANGE = {"symbol": "circle", "color": BLUE, "size": 8}
ABOVE = {"symbol": "triangle-up", "color": VERMILLION, "size": 10}
BELOW = {"symbol": "triangle-down", "color": VERMILLION, "size": 10}
CARRIED = {"symbol": "circle-open", "color": BLUE, "size": 7}
N_CARRIED_POINTS = 60  # carried values drawn over the whole axis
MIN_OPACITY = 0.08  # below this share a carried value is not drawn: a gap
HALF_LIFE = 6.0  # hours after which a carried value is drawn half as strong, where the network does not say
MIN_HALF_LIFE = 1e-3  # hours; the shortest half-life that is drawn
NOTHING: Mapping[str, float] = MappingProxyType({})
RISK_NAME = "predicted risk"
CURSOR_LINE = {"color": ORANGE, "width": 2}


def plot_patient(
    explanation: Explanation,
    *,
    variables: Sequence[str] | None = None,
    half_life: Mapping[str, float] | None = None,
    threshold: float | None = None,
    before: Explanation | None = None,
    cursor: float | None = None,
) -> go.Figure:
    """The risk after each hour, and under it each variable as it was measured.

    explanation  an `Explanation`; where its course has low and high, a band is drawn between them: the range
                 of the members, no confidence interval
    variables    names of the variables to show, in order; default: the eight that contributed most
    half_life    hours by variable after which a carried value is drawn half as strong; None: as the network carries it
                 (the explanation's half_life), 6 where it does not say
    threshold    a risk to draw a line at
    before       the explanation this one is to be compared with: its risk is drawn dashed
    cursor       an hour to draw an upright line at, last among the shapes
    returns      a figure: filled circles within the reference range (shaded), triangles above or below it; hollow
                 circles carry the last value on and fade until nothing is known. Of more than 1,000 points of a line
                 or a variable, the lowest and highest of each stretch are drawn
    """
    half_life = explanation.half_life if half_life is None else half_life
    shown = [
        variables_by_name(explanation)[name]
        for name in (variables_by_contribution(explanation)[:8] if variables is None else variables)
    ]
    heights = [RISK_HEIGHT] + [ROW_HEIGHT] * len(shown)
    inner = sum(heights) + GAP * len(shown)
    figure = make_subplots(
        len(heights), 1, shared_xaxes=True, row_heights=heights, vertical_spacing=GAP / inner if shown else 0
    )
    _risk(figure, explanation, before)
    for row, variable in enumerate(shown, start=2):
        _series(figure, explanation, variable, row=row, half_life=half_life.get(variable.name, HALF_LIFE))
    _legend(figure)
    apply_theme(figure, height=inner + 160).update_layout(margin={"t": 88, "b": 60, "l": 76})
    axis = (
        {"title_text": "Predicted risk", "tickformat": ".0%"}
        if is_probability(explanation)
        else {"title_text": "Expected"}
    )
    figure.update_yaxes(**axis, rangemode="tozero", nticks=5, row=1, col=1)
    figure.update_xaxes(range=[min(0.0, first_hour(explanation)), 1.01 * last_hour(explanation)], showticklabels=False)
    if threshold is not None:
        _threshold(figure, threshold)
    if cursor is not None:
        figure.add_shape(type="line", xref="x", yref="paper", x0=cursor, x1=cursor, y0=0, y1=1, line=CURSOR_LINE)
    return figure.update_xaxes(title_text="Hours since the anchor", showticklabels=True, row=len(heights), col=1)


def variables_by_name(explanation: Explanation) -> dict[str, Variable]:
    """The variables of an explanation by name."""
    return {variable.name: variable for variable in explanation.variables}


def is_probability(explanation: Explanation) -> bool:
    """Whether what is explained is a probability; a regression's is a number in the outcome's unit."""
    return explanation.unit == "log-odds"


def format_answer(explanation: Explanation, answer: float) -> str:
    """An answer as it is written: in percent, or in the outcome's unit."""
    return format_percent(answer) if is_probability(explanation) else format_number(answer)


def _answer(explanation: Explanation) -> str:
    return RISK_NAME if is_probability(explanation) else "expected"


def variables_by_contribution(explanation: Explanation) -> list[str]:
    """Names of the measured variables, the one whose measurements moved the risk most first."""
    moved = explanation.measurements.assign(moved=explanation.measurements["contribution"].abs())
    total = moved.groupby("variable", sort=True)["moved"].sum().sort_values(ascending=False, kind="stable")
    return [str(name) for name in total.index if name in variables_by_name(explanation)]


def last_hour(explanation: Explanation) -> float:
    """The hour of the last measurement or risk; 1 where there is none."""
    return max([*explanation.risk_trajectory["hours"], *explanation.measurements["hours"]], default=1.0)


def first_hour(explanation: Explanation) -> float:
    """The hour of the first measurement or risk; 0 where there is none."""
    return min([*explanation.risk_trajectory["hours"], *explanation.measurements["hours"]], default=0.0)


def carried_forward(rows: pd.DataFrame, *, first: float, end: float, half_life: float) -> tuple[list[float], ...]:
    """Where the last value is carried on: hours, values, and how strong each is drawn, 1 when just measured.

    rows        hours, value of the measurements of one variable, hours ascending
    first, end  hours that the axis spans
    half_life   hours after which it is drawn half as strong
    """
    step = (end - first) / N_CARRIED_POINTS
    if rows.empty or step <= 0:
        return [], [], []
    times, at = rows["hours"].to_numpy(dtype=float), first + step * np.arange(1, N_CARRIED_POINTS + 1)
    last = np.searchsorted(times, at, side="right") - 1
    following = np.append(times, np.inf)[last + 1]
    gap = at - times[last]
    strong = 0.9 * 0.5 ** (gap.clip(0) / half_life)
    keep = (last >= 0) & (gap > 0.45 * step) & (following - at > 0.45 * step) & (strong >= MIN_OPACITY)
    values = rows["value"].to_numpy(dtype=float)[last]
    return at[keep].tolist(), values[keep].tolist(), strong[keep].round(3).tolist()


def update_figure(
    figure: Any, explanation: Explanation, *, variables: Sequence[str], half_life: Mapping[str, float]
) -> None:
    """Bring a figure that `plot_patient` drew to another explanation of the same stay; faster than drawing it anew.

    figure     with the same variables; changed in place, a widget in one message
    variables  as they were drawn
    """
    names = [trace.name for trace in figure.data]
    risk = names.index(_answer(explanation))
    first = risk + 2
    with figure.batch_update():
        if has_band(explanation) and risk and figure.data[0].fill == "toself":
            figure.data[0].update(_band_data(explanation))
        figure.data[risk].update(_risk_data(explanation))
        figure.data[risk + 1].update(_baseline_data(explanation))
        for place, variable in enumerate(variables_by_name(explanation)[name] for name in variables):
            rows = explanation.measurements.query("variable == @variable.name").sort_values("hours")
            faded = _carried_data(explanation, rows, half_life.get(variable.name, HALF_LIFE))
            figure.data[first + 2 * place].update(faded)
            figure.data[first + 2 * place + 1].update(_points_data(explanation, rows, variable))
            figure.layout.annotations[2 * place + 1].text = _moved(explanation, rows)
            figure.layout[f"yaxis{place + 2}"].range = _range(variable, rows["value"])


def has_band(explanation: Explanation) -> bool:
    """Whether it is known how far the members disagree."""
    return {"low", "high"} <= set(explanation.risk_trajectory)


def band_label(explanation: Explanation) -> str:
    """Whose risks the band is made of, in words."""
    of = "the network's" if explanation.n_networks == 1 else f"the {explanation.n_networks} networks'"
    return f"{of} {explanation.n_heads} members"


def _band_data(explanation: Explanation) -> dict[str, Any]:
    """The outline of the band, in steps as the risk: along its upper edge, and back along its lower one."""
    course = downsample(explanation.risk_trajectory, "risk")
    hours = course["hours"].repeat(2).tolist()[1:]
    high, low = course["high"].repeat(2).tolist()[:-1], course["low"].repeat(2).tolist()[:-1]
    return {
        "x": hours + hours[::-1],
        "y": high + low[::-1],
        "name": f"range of {band_label(explanation)}",
    }


def _risk_data(explanation: Explanation) -> dict[str, Any]:
    course = downsample(explanation.risk_trajectory, "risk")
    hours, risk = course["hours"].tolist(), course["risk"].tolist()
    said = [
        f"{format_answer(explanation, one)} after {format_number(hour)} h"
        for hour, one in zip(hours, risk, strict=True)
    ]
    return {"x": hours, "y": risk, "hovertext": said}


def _baseline_data(explanation: Explanation) -> dict[str, Any]:
    name = f"baseline {format_answer(explanation, explanation.reference_risk)}: nothing measured"
    return {"x": [first_hour(explanation), last_hour(explanation)], "y": [explanation.reference_risk] * 2, "name": name}


def _risk(figure: go.Figure, explanation: Explanation, before: Explanation | None) -> None:
    if has_band(explanation):
        figure.add_scatter(
            **_band_data(explanation), mode="lines", fill="toself", fillcolor="rgba(81, 96, 111, 0.2)",
            line={"width": 0}, hoverinfo="skip", row=1, col=1,
        )  # fmt: skip
    if before is not None:
        course = downsample(before.risk_trajectory, "risk")
        was = {"x": course["hours"].tolist(), "y": course["risk"].tolist()}
        line = {"color": GREY, "width": 1.8, "dash": "dot", "shape": "hv"}
        figure.add_scatter(**was, mode="lines", line=line, name="as it was", hoverinfo="skip", row=1, col=1)
    figure.add_scatter(
        **_risk_data(explanation), mode="lines+markers", line={"color": INK, "width": 2.2, "shape": "hv"},
        marker={"size": 5}, name=_answer(explanation), hoverinfo="text", row=1, col=1,
    )  # fmt: skip
    line = {"color": GREY, "width": 1.4, "dash": "dash"}
    figure.add_scatter(**_baseline_data(explanation), mode="lines", line=line, hoverinfo="skip", row=1, col=1)


def _threshold(figure: go.Figure, threshold: float) -> None:
    line = {"color": VERMILLION, "width": 1.6, "dash": "longdash"}
    said = {"text": f"threshold {format_percent(threshold)}", "font": {"size": 12, "color": VERMILLION}}
    where = {"annotation_position": "top left", "row": 1, "col": 1}
    figure.add_hline(y=threshold, line=line, annotation=said, **where)


def _series(figure: go.Figure, explanation: Explanation, variable: Variable, *, row: int, half_life: float) -> None:
    rows = explanation.measurements.query("variable == @variable.name").sort_values("hours")
    plainly = {"mode": "markers", "showlegend": False, "row": row, "col": 1}
    figure.add_scatter(**_carried_data(explanation, rows, half_life), hoverinfo="skip", **plainly)
    figure.add_scatter(**_points_data(explanation, rows, variable), hoverinfo="text", **plainly)
    _title(figure, variable, row, _moved(explanation, rows))
    axis: dict[str, Any] = {"nticks": 5, "tickfont": {"size": 12}, "range": _range(variable, rows["value"])}
    words = {float(level): word for level, word in category_labels(variable).items()}
    if words:
        axis |= {"tickvals": list(words), "ticktext": [escape_plotly(word) for word in words.values()]}
    figure.update_yaxes(axis, row=row, col=1)
    if variable.reference is not None:
        low, high = variable.reference
        figure.add_hrect(y0=low, y1=high, fillcolor=BAND, line=BAND_EDGE, layer="below", row=row, col=1)


def _range(variable: Variable, values: pd.Series) -> list[float] | None:
    ends = [*(variable.reference or ()), *([values.min(), values.max()] if len(values) else [])]
    if not ends:
        return None
    margin = 0.14 * (max(ends) - min(ends)) or 0.5  # room for the markers at the edges
    return [min(ends) - margin, max(ends) + margin]


def _carried_data(explanation: Explanation, rows: pd.DataFrame, half_life: float) -> dict[str, Any]:
    first, end = first_hour(explanation), last_hour(explanation)
    x, y, strong = carried_forward(rows, first=first, end=end, half_life=max(half_life, MIN_HALF_LIFE))
    return {"x": x, "y": y, "marker": CARRIED | {"opacity": strong, "line": {"width": 1.4}}}


def _points_data(explanation: Explanation, rows: pd.DataFrame, variable: Variable) -> dict[str, Any]:
    rows = downsample(rows, "value")
    symbols = [_mark(variable, amount) for amount in rows["value"]]
    said = [
        f"{escape_plotly(variable.label)} {escape_plotly(format_value(variable, one.value))} at {format_number(one.hours)} h"
        f"<br>effect {format_fixed(one.contribution, signed=True)}{_in_log_odds(explanation)}"
        for one in iter_rows(rows)
    ]
    marker: dict[str, Any] = {key: [symbol[key] for symbol in symbols] for key in IN_RANGE}
    marker |= {"opacity": 1, "line": {"color": "white", "width": 0.8}}
    return {"x": rows["hours"].tolist(), "y": rows["value"].tolist(), "hovertext": said, "marker": marker}


def _mark(variable: Variable, amount: float) -> dict[str, object]:
    if variable.reference is None or variable.reference[0] <= amount <= variable.reference[1]:
        return dict(IN_RANGE)
    return dict(ABOVE) if amount > variable.reference[1] else dict(BELOW)


def _moved(explanation: Explanation, rows: pd.DataFrame) -> str:
    drawn = len(downsample(rows, "value"))
    some = f"; {drawn:,} of {len(rows):,} drawn" if drawn < len(rows) else ""
    return f"effect {format_fixed(rows['contribution'].sum(), signed=True)}{_in_log_odds(explanation)}{some}"


def _in_log_odds(explanation: Explanation) -> str:
    return " log-odds" if is_probability(explanation) else ""


def _title(figure: go.Figure, variable: Variable, row: int, moved: str) -> None:
    axis = figure.layout[f"yaxis{row}"]
    at = {"xref": "paper", "yref": "paper", "y": axis.domain[1], "yanchor": "bottom", "showarrow": False}
    figure.add_annotation(
        text=f"<b>{escape_plotly(label_with_unit(variable))}</b>", x=0, xanchor="left", font={"size": 14}, **at
    )
    figure.add_annotation(text=moved, x=1, xanchor="right", font={"size": 13, "color": GREY}, **at)


def _legend(figure: go.Figure) -> None:
    ground = {"symbol": "square", "color": GREEN, "opacity": 0.35, "size": 14}
    for name, marker in (("within reference", IN_RANGE), ("above reference", ABOVE), ("below reference", BELOW),
                         ("last value carried on, fading", CARRIED), ("reference range", ground)):  # fmt: skip
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name, row=1, col=1)
