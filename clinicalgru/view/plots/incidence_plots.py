"""Figures of predicted and observed incidence of competing events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from clinicalgru.view.plots.theme import DASHES, GREY, MODEL_COLOURS, apply_theme
from clinicalgru.view.text.format import escape_plotly

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.evaluate.incidence_evaluation import IncidenceEvaluation
    from clinicalgru.explain.incidence_explanation import IncidenceExplanation


def plot_incidence(evaluation: IncidenceEvaluation) -> go.Figure:
    """Draw the incidence of each event over the hours, predicted and observed.

    Parameters
    ----------
    evaluation : IncidenceEvaluation
        Result of `evaluate_incidence`.

    Returns
    -------
    plotly.graph_objects.Figure
        Lines are predicted; points with 95 % intervals are observed (Aalen and Johansen).
    """
    figure = go.Figure()
    for (event, rows), colour in zip(evaluation.incidence.groupby("event", sort=False), MODEL_COLOURS, strict=False):
        line = {"color": colour, "width": 2.5}
        hours, predicted = [0.0, *rows["hours"]], [0.0, *rows["predicted"]]
        figure.add_scatter(x=hours, y=predicted, mode="lines", line=line, name=f"{event}, predicted")
        figure.add_scatter(**_points(rows, "hours"), marker={"color": colour, "size": 9}, name=f"{event}, observed")
    figure.update_xaxes(title_text="Hours after the prediction time", rangemode="tozero")
    figure.update_yaxes(title_text="Incidence", tickformat=".0%", rangemode="tozero")
    return apply_theme(figure, height=440)


def plot_incidence_calibration(evaluation: IncidenceEvaluation) -> go.Figure:
    """Draw observed against predicted incidence in groups of similar prediction, at the last of the hours.

    Parameters
    ----------
    evaluation : IncidenceEvaluation
        Result of `evaluate_incidence`.

    Returns
    -------
    plotly.graph_objects.Figure
        One colour for each event, without groups that are suppressed; the dotted line is perfect calibration.
    """
    figure, grey = go.Figure(), {"color": GREY, "dash": "dot", "width": 1}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=grey, name="as predicted", hoverinfo="skip")
    for (event, table), colour in zip(evaluation.calibration.items(), MODEL_COLOURS, strict=False):
        rows = table[(table["group"] != "all") & table["observed"].notna()]
        figure.add_scatter(**_points(rows, "predicted"), marker={"color": colour, "size": 9}, name=event)
    figure.update_xaxes(title_text="Predicted incidence", tickformat=".0%")
    figure.update_yaxes(title_text="Observed incidence", tickformat=".0%")
    return apply_theme(figure, height=480)


def plot_stay_incidence(explanation: IncidenceExplanation) -> go.Figure:
    """Draw the incidence of competing events in one stay over the hours, one on top of the other.

    Parameters
    ----------
    explanation : IncidenceExplanation
        Result of `explain_incidence`.

    Returns
    -------
    plotly.graph_objects.Figure
        Areas up to 100 %, each with its own colour and dash; what is left above is no event yet.
    """
    figure = go.Figure()
    signs = zip(explanation.events, MODEL_COLOURS, DASHES, strict=False)
    for event, colour, dash in signs:
        rows = explanation.curves[explanation.curves["event"] == event]
        figure.add_scatter(
            x=list(rows["hours"]), y=list(rows["incidence"]), name=escape_plotly(event), stackgroup="incidence",
            mode="lines", line={"color": colour, "width": 2.5, "dash": dash},
            hovertemplate="%{y:.1%} by hour %{x:.0f}",
        )  # fmt: skip
    for hours in explanation.at_hours[:-1]:
        figure.add_vline(x=hours, line={"color": GREY, "width": 1, "dash": "dot"})
    figure.update_xaxes(title_text="Hours after the prediction time", range=[0, explanation.at_hours[-1]])
    figure.update_yaxes(title_text="Incidence as the first event", tickformat=".0%", range=[0, 1])
    return apply_theme(figure, height=420)


def _points(rows: pd.DataFrame, across: str) -> dict[str, object]:
    above, below = rows["high"] - rows["observed"], rows["observed"] - rows["low"]
    bars = {"type": "data", "array": list(above), "arrayminus": list(below), "thickness": 1.2, "width": 4}
    return {"x": list(rows[across]), "y": list(rows["observed"]), "error_y": bars, "mode": "markers"}
