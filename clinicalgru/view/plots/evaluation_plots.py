"""Figures of an evaluation and of an explanation; each shows what it is given and computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from clinicalgru.evaluate.metrics import METRICS
from clinicalgru.view.plots.theme import BLUE, DASHES, GREEN, INK, MARKERS, MODELS, ORANGE, PATTERN, QUIET, styled
from clinicalgru.view.plots.timeline import a_risk, known, patient
from clinicalgru.view.text.format import fixed, interval, number, percent, plain, records, value

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.evaluate.evaluation import Evaluation
    from clinicalgru.explain.result import Explanation

__all__ = [
    "attention",
    "contributions",
    "patient",
    "plot_calibration",
    "plot_differences",
    "plot_precision_recall",
    "plot_roc",
]

PARTS = (("by_value", "its value", BLUE, ""), ("by_measured", "being measured", ORANGE, "/"),
         ("by_timing", "its timing", GREEN, "."))  # fmt: skip


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
    _reference(figure, [0, 1], [prevalence, prevalence], f"by chance, {percent(prevalence)}")
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
        _calibrated(figure, table, place, plain(name))
    most = max(table[["predicted", "high"]].to_numpy().max() for table in groups.values())
    ends = [-0.02 * most, min(1.04 * most, 1.02)]
    figure.update_xaxes(title_text="Predicted risk", tickformat=".0%", range=ends)
    figure.update_yaxes(title_text="Observed share with the event", tickformat=".0%", range=ends)
    return styled(figure, height=520)


def plot_number_groups(name: str, groups: pd.DataFrame) -> go.Figure:
    """Predicted against observed numbers, in the outcome's own unit.

    groups   predicted, observed, low, high and stays
    returns  a figure
    """
    figure, ends = go.Figure(), [float(groups["predicted"].min()), float(groups[["predicted", "high"]].max().max())]
    _reference(figure, ends, ends, "perfect")
    _calibrated(figure, groups, 0, plain(name), told=number)
    figure.update_xaxes(title_text=f"Predicted {plain(name)}")
    figure.update_yaxes(title_text=f"Observed {plain(name)}, mean of the group")
    return styled(figure, height=520)


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
            figure, of_baseline, [row + shift for row in range(len(ranked))], place, f"against {plain(baseline)}"
        )
    figure.add_vline(x=0, line={"color": QUIET, "width": 1})
    names = [f"{METRICS[metric].label}<br>{METRICS[metric].best} is better" for metric in ranked]
    figure.update_yaxes(tickvals=list(range(len(ranked))), ticktext=names, range=[len(ranked) - 0.5, -0.5])
    figure.update_xaxes(title_text=f"{plain(evaluation.name)} minus baseline")
    return styled(figure, height=520).update_yaxes(showgrid=False, automargin=True, ticks="")


def contributions(explanation: Explanation, top: int = 12) -> go.Figure:
    """The measurements that moved the risk most, each split into its value, being measured and its timing.

    explanation  an `Explanation`; `measurements` in log-odds
    top          how many measurements to show
    returns      a figure, one stacked bar per measurement, the strongest on top; the diamond marks the sum
    """
    rows = strongest(explanation.measurements, top)
    names = [plain(measured(explanation, row)) for row in records(rows)]
    figure = go.Figure()
    for column, part, colour, pattern in PARTS:
        effects = rows[column].tolist()
        said = [f"{name}<br>{part}: {number(one, signed=True)}" for name, one in zip(names, effects, strict=True)]
        figure.add_bar(
            x=effects, y=list(range(len(rows))), orientation="h", name=part, hovertext=said, hoverinfo="text",
            marker={"color": colour, "pattern": PATTERN | {"shape": pattern}},
        )  # fmt: skip
    figure.add_scatter(
        x=rows["contribution"].tolist(), y=list(range(len(rows))), mode="markers", name="sum", hoverinfo="skip",
        marker={"symbol": "diamond", "size": 9, "color": INK, "line": {"color": "white", "width": 1}},
    )  # fmt: skip
    styled(figure, height=150 + 34 * max(len(rows), 2)).update_layout(barmode="relative", bargap=0.35)
    figure.add_vline(x=0, line={"color": QUIET, "width": 1})
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=names, autorange="reversed",
        showgrid=False, automargin=True, ticks="",
    )  # fmt: skip
    what = "the risk (log-odds)" if a_risk(explanation) else "what is expected"
    return figure.update_xaxes(title_text=f"Effect on {what}: left lowers, right raises", tickformat=".2~f")


def attention(explanation: Explanation) -> go.Figure:
    """Where the model looked: the share of its attention at each hour.

    explanation  an `Explanation`; `attention` has hours and weight
    returns      a figure, one bar per hour with a measurement
    """
    hours, weight = explanation.attention["hours"].tolist(), explanation.attention["weight"].tolist()
    said = [f"{number(hour)} h: {percent(share)} of the attention" for hour, share in zip(hours, weight, strict=True)]
    width = max(
        (max(hours, default=0) - min(hours, default=0)) / 150, 0.05
    )  # hours; wide enough to see and to point at
    figure = go.Figure(go.Bar(x=hours, y=weight, width=width, marker={"color": BLUE}, hovertext=said, hoverinfo="text"))
    styled(figure, height=260).update_layout(margin={"t": 16})
    figure.update_yaxes(title_text="Share of attention", tickformat=".0%", rangemode="tozero", nticks=4)
    return figure.update_xaxes(title_text="Hours since the anchor")


def strongest(measurements: pd.DataFrame, top: int) -> pd.DataFrame:
    """The measurements with the largest contribution either way, the largest first."""
    order = measurements["contribution"].abs().sort_values(ascending=False, kind="stable").index
    return measurements.loc[order[:top]]


def measured(explanation: Explanation, row: Any) -> str:
    """A row of `measurements` in words: "Lactate 4.2 mmol/L, 31 h"."""
    return f"{valued(explanation, row)}, {number(row.hours)} h"


def valued(explanation: Explanation, row: Any) -> str:
    """The same without its hour; a variable not described goes by its name."""
    variable = known(explanation).get(row.variable)
    return f"{variable.label} {value(variable, row.value)}" if variable else f"{row.variable} {number(row.value)}"


def _named(evaluation: Evaluation, model: str, metric: str) -> str:
    rows = evaluation.metrics.query("model == @model and metric == @metric")
    return plain(model) + "".join(f" {fixed(estimate)}" for estimate in rows["estimate"])


def _reference(figure: go.Figure, x: list[float], y: list[float], name: str) -> None:
    line = {"color": QUIET, "width": 1, "dash": "dot"}
    figure.add_scatter(x=x, y=y, mode="lines", name=name, line=line, hoverinfo="skip")


def _curve(figure: go.Figure, x: pd.Series, y: pd.Series, place: int, name: str, shape: str = "linear") -> None:
    line = {"color": MODELS[place % 6], "width": 2.5, "dash": DASHES[place % 6], "shape": shape}
    figure.add_scatter(x=x.tolist(), y=y.tolist(), mode="lines", name=name, line=line)


def _calibrated(
    figure: go.Figure, groups: pd.DataFrame, place: int, name: str, *, told: Callable[[float], str] = percent
) -> None:
    predicted, observed = groups["predicted"], groups["observed"]
    spread = {"array": (groups["high"] - observed).tolist(), "arrayminus": (observed - groups["low"]).tolist()}
    said = [
        f"{name}: predicted {told(row.predicted)}, observed {told(row.observed)} of {row.stays:,} stays"
        for row in records(groups)
    ]
    figure.add_scatter(
        x=predicted.tolist(), y=observed.tolist(), mode="lines+markers", name=name, hovertext=said, hoverinfo="text",
        line={"color": MODELS[place % 6], "width": 1.5, "dash": DASHES[place % 6]},
        marker={"size": 9, "symbol": MARKERS[place % 6]},
        error_y={"type": "data", "symmetric": False, "thickness": 1.2, "width": 3, **spread},
    )  # fmt: skip


def _intervals(figure: go.Figure, rows: pd.DataFrame, at: list[float], place: int, name: str) -> None:
    estimate, colour, shape = rows["estimate"], MODELS[place % 6], MARKERS[place % 6]
    clear = (rows["low"] > 0) | (rows["high"] < 0)
    said = [
        f"{name}: {fixed(row.estimate, signed=True)} ({interval(row.low, row.high, signed=True)}), {plain(row.verdict)}"
        for row in records(rows)
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
    return styled(figure, height=520)
