"""Figures of a decision curve, of the flexible calibration curve, and of subgroups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go

from clinicalgru.checks import check_choice
from clinicalgru.disclosure import SUPPRESSED
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.decision_curve import TREAT_ALL, TREAT_NONE
from clinicalgru.evaluate.details_text import TOO_FEW
from clinicalgru.evaluate.metric_descriptions import metric_label
from clinicalgru.evaluate.subgroups import ALL
from clinicalgru.view.plots.theme import BLUE, CURVE_BAND, DASHES, GREY, MODEL_COLOURS, apply_theme
from clinicalgru.view.text.format import escape_plotly, format_fixed, format_interval, format_percent, iter_rows

if TYPE_CHECKING:
    from clinicalgru.evaluate.decision_curve import DecisionCurve
    from clinicalgru.evaluate.evaluation import Evaluation
    from clinicalgru.evaluate.subgroups import Subgroups


def plot_decision_curve(curve: DecisionCurve) -> go.Figure:
    """Draw net benefit against the threshold: the higher line is the better policy.

    Parameters
    ----------
    curve : DecisionCurve
        Result of `decision_curve`.

    Returns
    -------
    plotly.graph_objects.Figure
        One line per model; treat all and treat none in grey.

    Examples
    --------
    >>> from clinicalgru.evaluate.decision_curve import decision_curve
    >>> len(plot_decision_curve(decision_curve([0, 1], [0.2, 0.7], n_resamples=2)).data)
    3
    """
    figure, table = go.Figure(), curve.table
    for place, model in enumerate(table["model"].unique()):
        rows, is_model = table[table["model"] == model], model not in (TREAT_ALL, TREAT_NONE)
        colour, width = (MODEL_COLOURS[place % 6], 2.5) if is_model else (GREY, 1.3)
        name = escape_plotly(model)
        texts = [
            f"{name}, threshold {format_percent(row.threshold)}: {format_fixed(row.net_benefit)}"
            for row in iter_rows(rows)
        ]
        line = {"color": colour, "width": width, "dash": DASHES[place % 6]}
        x, y = rows["threshold"].tolist(), rows["net_benefit"].tolist()
        figure.add_scatter(x=x, y=y, mode="lines", name=name, line=line, hovertext=texts, hoverinfo="text")
    highest = max(table["net_benefit"].max(), 0.01)
    figure.update_yaxes(title_text="Net benefit per stay", range=[-0.35 * highest, 1.1 * highest])
    figure.update_xaxes(title_text="Threshold: act at this risk or above", tickformat=".0%")
    return apply_theme(figure, height=460)


def plot_calibration_curve(evaluation: Evaluation) -> go.Figure:
    """Draw the flexible calibration curve of the model with its 95 % band.

    Parameters
    ----------
    evaluation : Evaluation
        Of a binary task, with `calibration_curve`.

    Returns
    -------
    plotly.graph_objects.Figure
        From the 1st to the 99th percentile of the risks.

    Raises
    ------
    ArgumentError
        If the evaluation has no such curve.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru import evaluate
    >>> evaluation = evaluate(np.tile([0.0, 1.0], 60), np.linspace(0.1, 0.9, 120), n_resamples=20)
    >>> len(plot_calibration_curve(evaluation).data)
    3
    """
    curve = evaluation.calibration_curve
    if curve is None:
        fix = 'Draw "calibration"; a flexible curve needs 20 stays with, and without, the event.'
        raise ArgumentError("an evaluation with a flexible calibration curve", "one without", fix)
    table, figure = curve.table, go.Figure()
    predicted = table["predicted"].tolist()
    ends, grey = [0.0, float(table[["predicted", "high", "observed"]].max().max())], {"color": GREY, "dash": "dot"}
    figure.add_scatter(x=ends, y=ends, mode="lines", name="perfect", line=grey | {"width": 1}, hoverinfo="skip")
    figure.add_scatter(
        x=[*predicted, *predicted[::-1]], y=[*table["high"], *table["low"][::-1]], fill="toself", name="95 % band",
        mode="lines", line={"width": 0}, fillcolor=CURVE_BAND, hoverinfo="skip",
    )  # fmt: skip
    texts = [
        f"predicted {format_percent(row.predicted)}, observed {format_percent(row.observed)}"
        for row in iter_rows(table)
    ]
    figure.add_scatter(
        x=predicted, y=table["observed"].tolist(), mode="lines", name=escape_plotly(evaluation.name),
        line={"color": BLUE, "width": 2.5}, hovertext=texts, hoverinfo="text",
    )  # fmt: skip
    figure.update_xaxes(title_text="Predicted risk", tickformat=".0%")
    figure.update_yaxes(title_text="Observed event rate", tickformat=".0%")
    return apply_theme(figure, height=520)


def plot_subgroups(groups: Subgroups, *, metric: str = "auroc") -> go.Figure:
    """Draw one metric in each group with its 95 % interval; the dotted line is the value of all stays.

    Parameters
    ----------
    groups : Subgroups
        Result of `subgroups`.
    metric : str
        One of its metrics.

    Returns
    -------
    plotly.graph_objects.Figure
        A suppressed group, or one with too few events for an interval, is named without a mark.

    Raises
    ------
    ArgumentError
        If the result has no such metric.

    Examples
    --------
    >>> from clinicalgru.evaluate.subgroups import subgroups
    >>> groups = subgroups([0, 1, 0, 1], [0.1, 0.9, 0.8, 0.2], list("aabb"), min_cell_size=0, n_resamples=5)
    >>> plot_subgroups(groups).layout.xaxis.title.text
    'AUROC'
    """
    check_choice("metric", metric, groups.table["metric"].unique().tolist())
    rows = groups.table[groups.table["metric"] == metric].reset_index(drop=True)
    figure, estimate = go.Figure(), rows["estimate"].where(rows["low"].notna())
    marks = ["diamond" if group == ALL else "circle" for group in rows["group"]]
    ends = {"array": (rows["high"] - estimate).tolist(), "arrayminus": (estimate - rows["low"]).tolist()}
    figure.add_scatter(
        x=estimate.tolist(), y=list(range(len(rows))), mode="markers", hovertext=_texts(rows), hoverinfo="text",
        showlegend=False, marker={"size": 11, "color": BLUE, "symbol": marks},
        error_x={"type": "data", "symmetric": False, "thickness": 1.6, "width": 4, **ends},
    )  # fmt: skip
    overall = float(rows.loc[rows["group"] == ALL, "estimate"].iloc[0])
    figure.add_vline(x=overall, line={"color": GREY, "width": 1.2, "dash": "dot"})
    names = [
        f"{escape_plotly(row.group)}<br>" + (SUPPRESSED if pd.isna(row.stays) else _counted(row))
        for row in iter_rows(rows)
    ]
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=names, range=[len(rows) - 0.5, -0.5])
    figure.update_xaxes(title_text=metric_label(metric, direction=False))
    return apply_theme(figure, height=140 + 52 * len(rows)).update_yaxes(showgrid=False, automargin=True, ticks="")


def _counted(row: Any) -> str:
    """Stays of a group, and why it has no mark."""
    return f"{row.stays:,} stays" + ("" if pd.notna(row.low) else f", {TOO_FEW}")


def _texts(rows: pd.DataFrame) -> list[str]:
    """Group, estimate with interval, and counts where they are shown."""
    return [
        f"{escape_plotly(row.group)}: {format_fixed(row.estimate)} ({format_interval(row.low, row.high)})"
        + ("" if pd.isna(row.stays) else f", {row.stays:,} stays, {row.events:,} with the event")
        for row in iter_rows(rows)
    ]
