"""Figures of an evaluation; each shows what it is given and computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from clinicalgru.evaluate.metrics import METRICS
from clinicalgru.view.plots.theme import (
    DASHES,
    GREY,
    MARKERS,
    MODEL_COLOURS,
    apply_theme,
)
from clinicalgru.view.text.format import (
    escape_plotly,
    format_fixed,
    format_interval,
    format_number,
    format_percent,
    iter_rows,
)

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.evaluate.evaluation import Evaluation


def plot_roc(evaluation: Evaluation) -> go.Figure:
    """How well each model ranks stays: true positives found against false alarms, over all thresholds.

    evaluation  an `Evaluation`; `curves[model].roc` has false_positive_rate and true_positive_rate
    returns     a figure, one line per model
    """
    figure = go.Figure()
    _reference(figure, [0, 1], [0, 1], "by chance")
    for place, (model, curves) in enumerate(evaluation.curves.items()):
        table = curves.roc
        _curve(
            figure, table["false_positive_rate"], table["true_positive_rate"], place, _named(evaluation, model, "auroc")
        )
    return _square(figure, "False positive rate (1 − specificity)", "True positive rate (sensitivity)")


def plot_precision_recall(evaluation: Evaluation) -> go.Figure:
    """How many alarms are true, for each share of events found.

    evaluation  an `Evaluation`; `curves[model].precision_recall` has recall and precision
    returns     a figure, one line of steps per model, and the share of stays with the event
    """
    figure = go.Figure()
    prevalence = evaluation.events / evaluation.stays
    _reference(figure, [0, 1], [prevalence, prevalence], f"by chance, {format_percent(prevalence)}")
    for place, (model, curves) in enumerate(evaluation.curves.items()):
        table = curves.precision_recall
        _curve(
            figure, table["recall"], table["precision"], place, _named(evaluation, model, "auprc"), shape="vh"
        )  # as the area counts it
    return _square(figure, "Recall (share of events found)", "Precision (share of alarms that are true)")


def plot_calibration(evaluation: Evaluation) -> go.Figure:
    """Whether a risk of 30 % comes true in 30 of 100.

    evaluation  an `Evaluation`; `curves[model].calibration` has predicted, observed, low, high and stays
    returns     a figure: observed against predicted with 95 % intervals, one line per model
    """
    return plot_groups({model: curves.calibration for model, curves in evaluation.curves.items()})


def plot_groups(groups: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Predicted against observed risks, a line for each name.

    groups   by name: predicted, observed, low, high and stays
    returns  a figure
    """
    figure = go.Figure()
    _reference(figure, [0, 1], [0, 1], "perfect")
    for place, (name, table) in enumerate(groups.items()):
        _calibrated(figure, table, place, escape_plotly(name))
    most = max(table[["predicted", "high"]].to_numpy().max() for table in groups.values())
    ends = [-0.02 * most, min(1.04 * most, 1.02)]
    figure.update_xaxes(title_text="Predicted risk", tickformat=".0%", range=ends)
    figure.update_yaxes(title_text="Observed share with the event", tickformat=".0%", range=ends)
    return apply_theme(figure, height=520)


def plot_number_groups(name: str, groups: pd.DataFrame) -> go.Figure:
    """Predicted against observed numbers, in the outcome's own unit.

    groups   predicted, observed, low, high and stays
    returns  a figure
    """
    figure, ends = go.Figure(), [float(groups["predicted"].min()), float(groups[["predicted", "high"]].max().max())]
    _reference(figure, ends, ends, "perfect")
    _calibrated(figure, groups, 0, escape_plotly(name), told=format_number)
    figure.update_xaxes(title_text=f"Predicted {escape_plotly(name)}")
    figure.update_yaxes(title_text=f"Observed {escape_plotly(name)}, mean of the group")
    return apply_theme(figure, height=520)


def plot_differences(evaluation: Evaluation) -> go.Figure:
    """How far the model is from each baseline in each metric where more or less is better.

    evaluation  an `Evaluation`; `differences` has baseline, metric, estimate, low, high and verdict
    returns     a figure, one interval per baseline and metric; a filled marker where it leaves out 0
    """
    figure = go.Figure()
    ranked = [metric for metric, about in METRICS.items() if about.best in ("higher", "lower")]
    baselines = list(evaluation.differences["baseline"].unique())
    for place, baseline in enumerate(baselines, start=1):
        of_baseline = evaluation.differences.query("baseline == @baseline").set_index("metric").loc[ranked]
        shift = 0.6 * (place / (len(baselines) + 1) - 0.5)
        _intervals(
            figure,
            of_baseline,
            [row + shift for row in range(len(ranked))],
            place,
            f"against {escape_plotly(baseline)}",
        )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    names = [f"{METRICS[metric].label}<br>{METRICS[metric].best} is better" for metric in ranked]
    figure.update_yaxes(tickvals=list(range(len(ranked))), ticktext=names, range=[len(ranked) - 0.5, -0.5])
    figure.update_xaxes(title_text=f"{escape_plotly(evaluation.name)} minus baseline")
    return apply_theme(figure, height=520).update_yaxes(showgrid=False, automargin=True, ticks="")


def _named(evaluation: Evaluation, model: str, metric: str) -> str:
    rows = evaluation.metrics.query("model == @model and metric == @metric")
    return escape_plotly(model) + "".join(f" {format_fixed(estimate)}" for estimate in rows["estimate"])


def _reference(figure: go.Figure, x: list[float], y: list[float], name: str) -> None:
    line = {"color": GREY, "width": 1, "dash": "dot"}
    figure.add_scatter(x=x, y=y, mode="lines", name=name, line=line, hoverinfo="skip")


def _curve(figure: go.Figure, x: pd.Series, y: pd.Series, place: int, name: str, shape: str = "linear") -> None:
    line = {"color": MODEL_COLOURS[place % 6], "width": 2.5, "dash": DASHES[place % 6], "shape": shape}
    figure.add_scatter(x=x.tolist(), y=y.tolist(), mode="lines", name=name, line=line)


def _calibrated(
    figure: go.Figure, groups: pd.DataFrame, place: int, name: str, *, told: Callable[[float], str] = format_percent
) -> None:
    predicted, observed = groups["predicted"], groups["observed"]
    spread = {"array": (groups["high"] - observed).tolist(), "arrayminus": (observed - groups["low"]).tolist()}
    said = [
        f"{name}: predicted {told(row.predicted)}, observed {told(row.observed)} of {row.stays:,} stays"
        for row in iter_rows(groups)
    ]
    figure.add_scatter(
        x=predicted.tolist(), y=observed.tolist(), mode="lines+markers", name=name, hovertext=said, hoverinfo="text",
        line={"color": MODEL_COLOURS[place % 6], "width": 1.5, "dash": DASHES[place % 6]},
        marker={"size": 9, "symbol": MARKERS[place % 6]},
        error_y={"type": "data", "symmetric": False, "thickness": 1.2, "width": 3, **spread},
    )  # fmt: skip


def _intervals(figure: go.Figure, rows: pd.DataFrame, at: list[float], place: int, name: str) -> None:
    estimate, colour, shape = rows["estimate"], MODEL_COLOURS[place % 6], MARKERS[place % 6]
    clear = (rows["low"] > 0) | (rows["high"] < 0)
    said = [
        f"{name}: {format_fixed(row.estimate, signed=True)} ({format_interval(row.low, row.high, signed=True)}), {escape_plotly(row.verdict)}"
        for row in iter_rows(rows)
    ]
    spread = {"array": (rows["high"] - estimate).tolist(), "arrayminus": (estimate - rows["low"]).tolist()}
    figure.add_scatter(
        x=estimate.tolist(), y=at, mode="markers", name=name, hovertext=said, hoverinfo="text",
        error_x={"type": "data", "symmetric": False, "thickness": 1.6, "width": 4, **spread},
        marker={
            "size": 11, "color": colour, "line": {"color": colour, "width": 2},
            "symbol": [shape if filled else f"{shape}-open" for filled in clear],
        },
    )  # fmt: skip


def _square(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_xaxes(title_text=x, range=[0, 1], constrain="domain").update_yaxes(title_text=y, range=[0, 1.005])
    return apply_theme(figure, height=520)
