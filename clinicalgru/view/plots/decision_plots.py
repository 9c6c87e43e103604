"""Figures of a judgement beyond the curves: what acting on the risks is worth, and how groups compare."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from clinicalgru.evaluate.decision_curve import EVERYBODY, NOBODY
from clinicalgru.evaluate.metrics import METRICS
from clinicalgru.view.plots.theme import BLUE, DASHES, GREY, MODEL_COLOURS, apply_theme
from clinicalgru.view.text.format import escape_plotly, format_fixed, format_interval, format_percent, iter_rows


def plot_decision_curve(table: pd.DataFrame) -> go.Figure:
    """Net benefit against the threshold: the higher line is the better policy.

    table    what `decision_curve` returned
    returns  a figure, one line per model; acting on everybody and on nobody in grey

    >>> from clinicalgru.evaluate.decision_curve import decision_curve
    >>> len(plot_decision_curve(decision_curve([0, 1], [0.2, 0.7], n_resamples=2)).data)
    3
    """
    figure = go.Figure()
    models = [model for model in table["model"].unique() if model not in (EVERYBODY, NOBODY)]
    for place, model in enumerate((*models, EVERYBODY, NOBODY)):
        rows = table[table["model"] == model]
        ours = model in models
        line = {
            "color": MODEL_COLOURS[place % 6] if ours else GREY,
            "width": 2.5 if ours else 1.3,
            "dash": DASHES[place % 6],
        }
        name = escape_plotly(model) if ours else f"act on {model}"
        said = [
            f"{name}, threshold {format_percent(row.threshold)}: {format_fixed(row.net_benefit)}"
            for row in iter_rows(rows)
        ]
        x, y = rows["threshold"].tolist(), rows["net_benefit"].tolist()
        figure.add_scatter(x=x, y=y, mode="lines", name=name, line=line, hovertext=said, hoverinfo="text")
    highest = max(table["net_benefit"].max(), 0.01)
    figure.update_yaxes(title_text="Net benefit for each stay", range=[-0.35 * highest, 1.1 * highest])
    figure.update_xaxes(title_text="Threshold: act at this risk or above", tickformat=".0%")
    return apply_theme(figure, height=460)


def plot_subgroups(table: pd.DataFrame, *, metric: str = "auroc") -> go.Figure:
    """One metric in each group with its 95 % interval, the dotted line at that of all stays.

    table    what `subgroups` returned
    metric   one of its metrics
    returns  a figure; a group that is withheld, or has no figure, is named without a mark

    >>> from clinicalgru.evaluate.subgroups import subgroups
    >>> table = subgroups([0, 1, 0, 1], [0.1, 0.9, 0.8, 0.2], list("aabb"), min_cell_size=0, n_resamples=5)
    >>> plot_subgroups(table).layout.xaxis.title.text
    'AUROC'
    """
    rows = table[table["metric"] == metric].reset_index(drop=True)
    whole = float(rows.loc[rows["group"] == "all", "estimate"].iloc[0])
    figure = go.Figure()
    estimate = rows["estimate"]
    said = [
        f"{escape_plotly(row.group)}: {format_fixed(row.estimate)} ({format_interval(row.low, row.high)})"
        + ("" if pd.isna(row.stays) else f", {row.stays:,} stays, {row.events:,} with the event")
        for row in iter_rows(rows)
    ]
    marks = ["diamond" if group == "all" else "circle" for group in rows["group"]]
    spread = {"array": (rows["high"] - estimate).tolist(), "arrayminus": (estimate - rows["low"]).tolist()}
    figure.add_scatter(
        x=estimate.tolist(), y=list(range(len(rows))), mode="markers", hovertext=said, hoverinfo="text",
        showlegend=False, marker={"size": 11, "color": BLUE, "symbol": marks},
        error_x={"type": "data", "symmetric": False, "thickness": 1.6, "width": 4, **spread},
    )  # fmt: skip
    figure.add_vline(x=whole, line={"color": GREY, "width": 1.2, "dash": "dot"})
    names = [
        escape_plotly(row.group) + ("<br>withheld" if pd.isna(row.stays) else f"<br>{row.stays:,} stays")
        for row in iter_rows(rows)
    ]
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=names, range=[len(rows) - 0.5, -0.5])
    figure.update_xaxes(title_text=METRICS[metric].label)
    return apply_theme(figure, height=140 + 52 * len(rows)).update_yaxes(showgrid=False, automargin=True, ticks="")
