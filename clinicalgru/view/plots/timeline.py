"""Figure of one stay: its risk on top and its measurements below, on one axis of hours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from clinicalgru.errors import ArgumentError
from clinicalgru.output_unit import is_probability
from clinicalgru.view.plots import timeline_data as data
from clinicalgru.view.plots import variable_data as points
from clinicalgru.view.plots.downsample import downsample
from clinicalgru.view.plots.theme import BAND, BAND_EDGE, CURSOR, FAINT, GREY, INK, axis, base_layout, validated
from clinicalgru.view.text.format import escape_plotly, format_percent
from clinicalgru.view.text.moments import hour_axis
from clinicalgru.view.text.variable_text import category_labels, label_with_unit

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.result import Explanation

RISK_HEIGHT, ROW_HEIGHT, GAP = 220, 78, 34  # pixels
MAX_MARKS = 200
CURSOR_LINE = {"color": CURSOR, "width": 2}
THRESHOLD = {
    "type": "line", "xref": "x domain", "yref": "y", "x0": 0, "x1": 1,
    "line": {"color": INK, "width": 1.4, "dash": "longdashdot"},
}  # fmt: skip
UNCLEAR_DASH = "5px,4px"
NICE_TOPS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)  # ends of the axis of a low risk
N_RISK_TRACES = 6  # risk, its parts not known to be calibrated and unclear, reference, end, coded events
FIRST = {"xaxis": "x", "yaxis": "y"}
END = {"symbol": "circle", "size": 9, "color": INK, "line": {"color": "white", "width": 1}}
SILENT, WITH_TEXT = {"hoverinfo": "skip", **FIRST}, {"hoverinfo": "text", **FIRST}
MARK = {"symbol": "line-ns", "size": 12, "line": {"width": 1.6, "color": INK}}

OUTSIDE_ENTRY = {  # of the legend
    "x": [None], "y": [None], "mode": "markers", "marker": points.ABOVE,
    "name": "outside the reference range (shaded)", **FIRST,
}  # fmt: skip


def plot_patient(
    explanation: Explanation,
    *,
    variables: Sequence[str] | None = None,
    half_life: Mapping[str, float] | None = None,
    threshold: float | None = None,
    before: Explanation | None = None,
    cursor: float | None = None,
) -> go.Figure:
    """Draw the risk of a stay over time, and below it the measurements of each variable.

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay. The range of ensemble members is not drawn: it is no interval of the risk.
    variables : sequence of str, optional
        Names of the variables to draw, in order. Default: the eight with the largest contributions.
    half_life : mapping of str to float, optional
        Hours, by variable, after which a carried value is drawn half as strong. Default: as the network decays it
        (`explanation.half_life`), 6 where the explanation does not say.
    threshold : float, optional
        A risk at which a line is drawn.
    before : Explanation, optional
        Explanation to compare with; its risk is drawn as a dotted line.
    cursor : float, optional
        Hour of an upright line, which is the last of the shapes.

    Returns
    -------
    plotly.graph_objects.Figure
        Filled circles lie within the reference range (shaded), triangles above or below it. A thin line carries the
        last value forward and fades. The risk is grey where it was not found calibrated, and dashed where too few
        events leave that open. The axis of a risk goes to 100 %, or its title says where it ends. Upright dashes
        at the bottom of the risk mark coded events. Of more than 1,000 points of a line or a variable, the minimum and
        maximum of each stretch are drawn.

    Raises
    ------
    ArgumentError
        If a variable is not one of the explanation.
    """
    drawing = patient_drawing(
        explanation, variables=variables, half_life=half_life, threshold=threshold, before=before, cursor=cursor
    )
    return validated(drawing)


def patient_drawing(
    explanation: Explanation,
    *,
    variables: Sequence[str] | None = None,
    half_life: Mapping[str, float] | None = None,
    threshold: float | None = None,
    before: Explanation | None = None,
    cursor: float | None = None,
) -> dict[str, Any]:
    """Compute what `plot_patient` draws as plain values, for pages: twenty times faster than a figure of Plotly.

    Parameters
    ----------
    explanation, variables, half_life, threshold, before, cursor
        See `plot_patient`.

    Returns
    -------
    dict
        data and layout.

    Raises
    ------
    ArgumentError
        If a variable is not one of the explanation.
    """
    half_life = explanation.half_life if half_life is None else half_life
    drawn = _select_variables(explanation, variables)
    layout = _panels(explanation, drawn, threshold, before)
    traces, shapes, notes = [*_risk_traces(explanation, before)], list[dict[str, Any]](), list[dict[str, Any]]()
    for row, variable in enumerate(drawn, start=2):
        rows = _measurements(explanation, variable)
        carried = points.carried_data(explanation, rows, half_life.get(variable.name, points.HALF_LIFE))
        traces += _variable_traces(explanation, variable, rows, carried, row)
        notes += _titles(layout[f"yaxis{row}"]["domain"][1], variable, points.effect_text(explanation, rows))
        shapes += _reference_range(variable, row)
    if threshold is not None:
        shapes.append(THRESHOLD | {"y0": threshold, "y1": threshold})
        line = {"mode": "lines", "line": THRESHOLD["line"], "name": f"threshold {format_percent(threshold)}"}
        traces.append({"x": [None], "y": [None], **line, **FIRST})  # named in the legend: a label would cover the risk
    if cursor is not None:
        shapes.append(
            {"type": "line", "xref": "x", "yref": "paper", "x0": cursor, "x1": cursor, "y0": 0, "y1": 1}
            | {"line": CURSOR_LINE}
        )
    data = [{"type": "scatter", **trace} for trace in (*traces, OUTSIDE_ENTRY)]
    return {"data": data, "layout": layout | {"shapes": shapes, "annotations": notes}}


def update_figure(
    figure: Any, explanation: Explanation, *, variables: Sequence[str], half_life: Mapping[str, float]
) -> None:
    """Bring a figure of `plot_patient` to another explanation of the same stay; faster than drawing it again.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Changed in place; a widget in one message.
    explanation : Explanation
        What it is to show.
    variables : sequence of str
        Names of the variables, as they were drawn.
    half_life : mapping of str to float
        As of `plot_patient`.
    """
    names = [trace.name for trace in figure.data]
    risk = names.index(data.output_name(explanation))
    first, known = risk + N_RISK_TRACES, data.variables_by_name(explanation)
    with figure.batch_update():
        figure.data[risk].update(data.output_data(explanation))
        figure.data[risk + 1].update(data.uncalibrated_data(explanation))
        figure.data[risk + 2].update(data.unclear_data(explanation))
        figure.data[risk + 3].update(data.reference_data(explanation))
        figure.data[risk + 4].update(data.end_data(explanation))
        for place, variable in enumerate(known[name] for name in variables):
            rows = _measurements(explanation, variable)
            carried = points.carried_data(explanation, rows, half_life.get(variable.name, points.HALF_LIFE))
            figure.data[first + 2 * place].update(carried)
            figure.data[first + 2 * place + 1].update(points.points_data(explanation, rows, variable))
            figure.layout.annotations[2 * place + 1].text = points.effect_text(explanation, rows)
            figure.layout[f"yaxis{place + 2}"].range = points.value_range(variable, rows["value"])
        figure.layout.yaxis.range = _risk_axis(explanation, None, None).get("range", figure.layout.yaxis.range)


def _select_variables(explanation: Explanation, variables: Sequence[str] | None) -> list[Variable]:
    """Look the variables up by name, or take the eight with the largest contributions."""
    known = data.variables_by_name(explanation)
    names = data.variables_by_contribution(explanation)[:8] if variables is None else variables
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ArgumentError("variables of the explanation", ", ".join(map(repr, unknown)), "Correct the names.")
    return [known[name] for name in names]


def _measurements(explanation: Explanation, variable: Variable) -> pd.DataFrame:
    rows = explanation.measurements
    return rows[rows["variable"] == variable.name].sort_values("hours")


def _risk_traces(explanation: Explanation, before: Explanation | None) -> Iterator[dict[str, Any]]:
    """The risk before a change, the risk, its parts not known to be calibrated, reference, end and coded events."""
    if before is not None:
        rows = downsample(before.risk_trajectory, "risk")
        line = {"color": GREY, "width": 1.8, "dash": "dot", "shape": "hv"}
        place = {"x": rows["hours"].tolist(), "y": rows["risk"].tolist(), "mode": "lines", "line": line}
        yield place | {"name": "before the changes"} | SILENT
    steps: dict[str, Any] = {"mode": "lines+markers", "marker": {"size": 4}}
    line = {"color": INK, "width": 2.2, "shape": "hv"}
    yield data.output_data(explanation) | steps | {"line": line, "name": data.output_name(explanation), **WITH_TEXT}
    grey = {"line": line | {"color": FAINT}, "name": data.UNCALIBRATED}
    yield data.uncalibrated_data(explanation) | steps | grey | SILENT
    unclear = {"line": line | {"dash": UNCLEAR_DASH}, "name": data.UNCLEAR}
    yield data.unclear_data(explanation) | steps | unclear | WITH_TEXT
    dashed = {"color": GREY, "width": 1.4, "dash": "dash"}
    below = explanation.risk >= explanation.reference_risk  # the name of the line is away from the curve
    position = "bottom left" if below else "top left"
    apart = {
        "mode": "lines+markers+text",
        "marker": {"size": 9, "opacity": 0},
    }  # invisible marks keep text off the line
    text = apart | {"textposition": position, "textfont": {"size": 12, "color": GREY}}
    yield data.reference_data(explanation) | text | {"line": dashed, "showlegend": False} | SILENT
    above = {"mode": "markers+text", "textposition": "top left" if below else "bottom left", "cliponaxis": False}
    end = {"marker": END, "textfont": {"size": 14, "color": INK}, "name": "at the end", "showlegend": False}
    yield data.end_data(explanation) | above | end | WITH_TEXT
    marks = explanation.marks.head(MAX_MARKS)
    labels = [escape_plotly(str(label)) for label in marks["label"]]
    place = {"x": marks["hours"].tolist(), "y": [0.0] * len(marks), "hovertext": labels, "hoverinfo": "text+x"}
    more = {"mode": "markers", "marker": MARK, "name": "coded event", "showlegend": False, "cliponaxis": False}
    yield place | more | FIRST


def _variable_traces(
    explanation: Explanation, variable: Variable, rows: pd.DataFrame, carried: dict[str, Any], row: int
) -> list[dict[str, Any]]:
    """The carried values of a variable, and its measurements."""
    place = {"mode": "markers", "showlegend": False, "xaxis": f"x{row}", "yaxis": f"y{row}"}
    measured = points.points_data(explanation, rows, variable)
    return [carried | place | {"hoverinfo": "skip"}, measured | place | {"hoverinfo": "text"}]


def _value_axis(variable: Variable, values: pd.Series) -> dict[str, Any]:
    """The axis of a variable, with the labels of its categories."""
    shown = {"nticks": 5, "tickfont": {"size": 12}, "range": points.value_range(variable, values)}
    labels = {float(category): label for category, label in category_labels(variable).items()}
    ticks = {"tickvals": list(labels), "ticktext": [escape_plotly(label) for label in labels.values()]}
    return shown | (ticks if labels else {})


def _reference_range(variable: Variable, row: int) -> list[dict[str, Any]]:
    if variable.reference is None:
        return []
    low, high = variable.reference
    place = {"xref": f"x{row} domain", "yref": f"y{row}", "x0": 0, "x1": 1, "y0": low, "y1": high}
    return [{"type": "rect", "fillcolor": BAND, "line": BAND_EDGE, "layer": "below", **place}]


def _titles(top: float, variable: Variable, effect: str) -> list[dict[str, Any]]:
    """The label of a variable above its axis on the left, and its effect on the right."""
    place = {"xref": "paper", "yref": "paper", "y": top, "yanchor": "bottom", "showarrow": False}
    label = f"<b>{escape_plotly(label_with_unit(variable))}</b>"
    return [
        place | {"text": label, "x": 0, "xanchor": "left", "font": {"size": 14}},
        place | {"text": effect, "x": 1, "xanchor": "right", "font": {"size": 13, "color": GREY}},
    ]


def _panels(
    explanation: Explanation, drawn: Sequence[Variable], threshold: float | None, before: Explanation | None
) -> dict[str, Any]:
    """The layout without texts and shapes: the risk on top, a panel for each variable below, one axis of hours."""
    heights = [RISK_HEIGHT] + [ROW_HEIGHT] * len(drawn)
    inner = sum(heights) + GAP * len(drawn)
    layout = base_layout(inner + 160)
    layout["margin"] |= {"t": 88, "b": 76, "l": 76}
    last, top = len(heights), float(inner)
    for row, height in enumerate(heights, start=1):
        name = "" if row == 1 else str(row)
        ends = [max(top - height, 0.0) / inner, top / inner]
        own = (
            _risk_axis(explanation, threshold, before) | {"nticks": 5}
            if row == 1
            else _own_axis(explanation, drawn[row - 2])
        )
        layout[f"yaxis{name}"] = axis(own) | {"anchor": f"x{name}", "domain": ends}
        hours = {
            "anchor": f"y{name}",
            "domain": [0.0, 1.0],
            "range": _hours(explanation),
            "showticklabels": row == last,
        }
        if row < last:
            hours["matches"] = f"x{last}"
        layout[f"xaxis{name}"] = axis(hour_axis(explanation, *_hours(explanation)) if row == last else {}) | hours
        top -= height + GAP
    return layout


def _own_axis(explanation: Explanation, variable: Variable) -> dict[str, Any]:
    return _value_axis(variable, _measurements(explanation, variable)["value"])


def _hours(explanation: Explanation) -> list[float]:
    return [min(0.0, data.first_hour(explanation)), 1.01 * data.last_hour(explanation)]


def _risk_axis(explanation: Explanation, threshold: float | None, before: Explanation | None) -> dict[str, Any]:
    """Compute the axis of a risk: from 0 to 100 %, or to less, which its title then says."""
    if not is_probability(explanation):
        return {"title_text": "Expected", "rangemode": "tozero"}
    tops = [one.risk_trajectory["risk"].max() for one in (explanation, before) if one is not None]
    top = max([*tops, explanation.reference_risk, threshold or 0.0])
    end = next((nice for nice in NICE_TOPS if top <= 0.95 * nice), 1.0)
    title = "Predicted risk" if end == 1.0 else f"Predicted risk<br>(axis to {end:.0%})"
    return {"title_text": title, "tickformat": ".0%", "range": [0, 1.02 * end]}
