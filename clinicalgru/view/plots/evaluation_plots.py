"""Figures of an evaluation; each shows what it is given and computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.metric_descriptions import describe_metric, format_horizon, metric_label
from clinicalgru.view.plots.theme import DASHES, GREY, MARKERS, MODEL_COLOURS, apply_theme
from clinicalgru.view.text.format import (
    escape_plotly,
    format_fixed,
    format_interval,
    format_name,
    format_number,
    format_percent,
    iter_rows,
)

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.evaluate.evaluation import Evaluation


def plot_roc(evaluation: Evaluation) -> go.Figure:
    """Draw the ROC curve of each model: true positive rate against false positive rate, over all thresholds.

    Parameters
    ----------
    evaluation : Evaluation
        Of a binary task.

    Returns
    -------
    plotly.graph_objects.Figure
        One line per model.

    Raises
    ------
    ArgumentError
        If the evaluation has no curves.

    Examples
    --------
    >>> from clinicalgru.evaluate.evaluation import evaluate
    >>> len(plot_roc(evaluate([0, 1, 0, 1], [0.1, 0.6, 0.7, 0.9], n_resamples=5)).data)
    2
    """
    _need_curves(evaluation)
    figure = go.Figure()
    _reference(figure, [0, 1], [0, 1], "chance")
    for place, (model, curves) in enumerate(evaluation.curves.items()):
        name = _with_estimate(evaluation, model, "auroc")
        _curve(figure, curves.roc["false_positive_rate"], curves.roc["true_positive_rate"], place, name)
    return _square(figure, "False positive rate (1 − specificity)", "True positive rate (sensitivity)")


def plot_precision_recall(evaluation: Evaluation) -> go.Figure:
    """Draw precision against recall of each model.

    Parameters
    ----------
    evaluation : Evaluation
        Of a binary task.

    Returns
    -------
    plotly.graph_objects.Figure
        One step line per model, as the average precision counts it; the dotted line is the event rate.

    Raises
    ------
    ArgumentError
        If the evaluation has no curves.

    Examples
    --------
    >>> from clinicalgru.evaluate.evaluation import evaluate
    >>> len(plot_precision_recall(evaluate([0, 1, 0, 1], [0.1, 0.6, 0.7, 0.9], n_resamples=5)).data)
    2
    """
    _need_curves(evaluation)
    figure = go.Figure()
    event_rate = (evaluation.events or 0) / evaluation.stays
    _reference(figure, [0, 1], [event_rate, event_rate], f"chance, {format_percent(event_rate)}")
    for place, (model, curves) in enumerate(evaluation.curves.items()):
        table, name = curves.precision_recall, _with_estimate(evaluation, model, "auprc")
        _curve(figure, table["recall"], table["precision"], place, name, shape="vh")
    return _square(figure, "Recall (fraction of events found)", "Precision (fraction of alerts that are true)")


def plot_calibration(evaluation: Evaluation) -> go.Figure:
    """Draw predicted against observed, with 95 % intervals.

    Parameters
    ----------
    evaluation : Evaluation
        Of a binary, multiclass, multilabel, regression or survival task.

    Returns
    -------
    plotly.graph_objects.Figure
        One line per model of a binary task; else per class, label or horizon of the model.

    Raises
    ------
    ArgumentError
        If the evaluation has no calibration groups.

    Examples
    --------
    >>> from clinicalgru.evaluate.evaluation import evaluate
    >>> len(plot_calibration(evaluate([0, 1, 0, 1], [0.1, 0.6, 0.7, 0.9], n_resamples=5)).data)
    2
    """
    if evaluation.curves:
        return plot_risk_groups({model: curves.calibration for model, curves in evaluation.curves.items()})
    if not evaluation.calibration:
        fix = "Small groups are suppressed; early warnings and forecasts have none."
        raise ArgumentError("an evaluation with calibration groups", f"a {evaluation.task_type} evaluation", fix)
    if evaluation.is_probability:
        return plot_risk_groups(
            {format_horizon(format_name(name)): groups for name, groups in evaluation.calibration.items()}
        )
    [(name, groups)] = evaluation.calibration.items()
    return plot_number_groups(format_name(name), groups)


def plot_risk_groups(groups: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Draw predicted against observed risks.

    Parameters
    ----------
    groups : mapping of str to DataFrame
        By name: predicted, observed, low, high and stays.

    Returns
    -------
    plotly.graph_objects.Figure
        One line per name.
    """
    figure = go.Figure()
    _reference(figure, [0, 1], [0, 1], "perfect")
    for place, (name, table) in enumerate(groups.items()):
        _groups(figure, table, place, escape_plotly(name))
    largest = max(table[["predicted", "high"]].to_numpy().max() for table in groups.values())
    ends = [-0.02 * largest, min(1.04 * largest, 1.02)]
    figure.update_xaxes(title_text="Predicted risk", tickformat=".0%", range=ends)
    figure.update_yaxes(title_text="Observed event rate", tickformat=".0%", range=ends)
    return apply_theme(figure, height=520)


def plot_number_groups(name: str, groups: pd.DataFrame) -> go.Figure:
    """Draw predicted against observed numbers, in the unit of the outcome.

    Parameters
    ----------
    name : str
        What is predicted.
    groups : DataFrame
        predicted, observed, low, high and stays.

    Returns
    -------
    plotly.graph_objects.Figure
        One line.
    """
    figure, ends = go.Figure(), [float(groups["predicted"].min()), float(groups[["predicted", "high"]].max().max())]
    _reference(figure, ends, ends, "perfect")
    _groups(figure, groups, 0, escape_plotly(name), style=format_number)
    figure.update_xaxes(title_text=f"Predicted {escape_plotly(name)}")
    figure.update_yaxes(title_text=f"Observed {escape_plotly(name)}, mean of the group")
    return apply_theme(figure, height=520)


def plot_differences(evaluation: Evaluation) -> go.Figure:
    """Draw the paired difference of the model from each baseline, for metrics where higher or lower is better.

    Parameters
    ----------
    evaluation : Evaluation
        Of any type of task.

    Returns
    -------
    plotly.graph_objects.Figure
        One interval per baseline and metric; the marker is filled where it excludes 0.

    Examples
    --------
    >>> from clinicalgru.evaluate.evaluation import evaluate
    >>> baselines = {"trees": [0.3, 0.4, 0.6, 0.5]}
    >>> len(plot_differences(evaluate([0, 1, 0, 1], [0.1, 0.6, 0.7, 0.9], baselines=baselines, n_resamples=5)).data)
    1
    """
    figure, differences = go.Figure(), evaluation.differences
    known = evaluation.metrics["metric"].unique()
    metrics = [metric for metric in known if describe_metric(metric)[0].direction in ("higher", "lower")]
    baselines = list(differences["baseline"].unique())
    for place, baseline in enumerate(baselines, start=1):
        rows = differences[differences["baseline"] == baseline].set_index("metric").reindex(metrics)
        shift = 0.6 * (place / (len(baselines) + 1) - 0.5)
        name = f"against {escape_plotly(baseline)}"
        _intervals(figure, rows, [row + shift for row in range(len(metrics))], place, name)
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    names = [
        f"{escape_plotly(metric_label(metric, direction=False))}<br>{describe_metric(metric)[0].direction_text}"
        for metric in metrics
    ]
    figure.update_yaxes(tickvals=list(range(len(metrics))), ticktext=names, range=[len(metrics) - 0.5, -0.5])
    figure.update_xaxes(title_text=f"{escape_plotly(evaluation.name)} minus baseline")
    height = 160 + 90 * len(metrics)
    return apply_theme(figure, height=height).update_yaxes(showgrid=False, automargin=True, ticks="")


def plot_by_hour(evaluation: Evaluation) -> go.Figure:
    """Draw AUROC, observed : expected and calibration slope of the model at several hours, with 95 % intervals.

    Parameters
    ----------
    evaluation : Evaluation
        Of a binary task, with `by_hour`.

    Returns
    -------
    plotly.graph_objects.Figure
        One panel per metric; the dotted line is chance, or perfect calibration.

    Raises
    ------
    ArgumentError
        If the model was not evaluated by hour.

    Examples
    --------
    >>> import pandas as pd
    >>> from dataclasses import replace
    >>> from clinicalgru.evaluate.evaluation import evaluate
    >>> row = {"hours": 6.0, "metric": "auroc", "estimate": 0.7, "low": 0.6, "high": 0.8}
    >>> evaluation = evaluate([0, 1, 0, 1], [0.1, 0.6, 0.7, 0.9], n_resamples=5)
    >>> len(plot_by_hour(replace(evaluation, by_hour=pd.DataFrame([row]))).data)
    1
    """
    if evaluation.by_hour.empty:
        fix = "Evaluate with evaluate(model, stays, by_hour=True)."
        raise ArgumentError("an evaluation by hour", "an evaluation at the end of the window", fix)
    metrics = evaluation.by_hour["metric"].unique().tolist()
    hours = sorted(evaluation.by_hour["hours"].unique().tolist())
    titles = [metric_label(metric, direction=False) for metric in metrics]
    figure = make_subplots(rows=1, cols=len(metrics), subplot_titles=titles, horizontal_spacing=0.08)
    for place, metric in enumerate(metrics):
        rows = evaluation.by_hour.query("metric == @metric").sort_values("hours")
        estimate = rows["estimate"]
        ends = {"array": (rows["high"] - estimate).tolist(), "arrayminus": (estimate - rows["low"]).tolist()}
        texts = [
            f"hour {row.hours:g}: {format_fixed(row.estimate)} ({format_interval(row.low, row.high)})"
            for row in iter_rows(rows)
        ]
        figure.add_scatter(
            x=[hours.index(hour) for hour in rows["hours"]], y=estimate.tolist(), mode="lines+markers",
            name=titles[place], showlegend=False, hovertext=texts, hoverinfo="text", row=1, col=place + 1,
            line={"color": MODEL_COLOURS[0], "width": 2}, marker={"size": 8},
            error_y={"type": "data", "symmetric": False, "thickness": 1.2, "width": 3, **ends},
        )  # fmt: skip
        reference = 0.5 if metric == "auroc" else 1.0
        figure.add_hline(y=reference, line={"color": GREY, "width": 1, "dash": "dot"}, row=1, col=place + 1)
    ticks = [f"{hour:g}" for hour in hours]
    figure.update_xaxes(title_text="Hour", tickvals=list(range(len(hours))), ticktext=ticks)
    return apply_theme(figure, height=420)


def _need_curves(evaluation: Evaluation) -> None:
    """Raise where an evaluation has no curves."""
    if not evaluation.curves:
        fix = 'Draw "calibration" or "differences".'
        raise ArgumentError("an evaluation of a binary task", f"a {evaluation.task_type} evaluation", fix)


def _with_estimate(evaluation: Evaluation, model: str, metric: str) -> str:
    """Name of a model with its estimate of a metric."""
    rows = evaluation.metrics
    rows = rows[(rows["model"] == model) & (rows["metric"] == metric)]
    return escape_plotly(model) + "".join(f" {format_fixed(estimate)}" for estimate in rows["estimate"])


def _reference(figure: go.Figure, x: list[float], y: list[float], name: str) -> None:
    """A dotted grey line."""
    line = {"color": GREY, "width": 1, "dash": "dot"}
    figure.add_scatter(x=x, y=y, mode="lines", name=name, line=line, hoverinfo="skip")


def _curve(figure: go.Figure, x: pd.Series, y: pd.Series, place: int, name: str, shape: str = "linear") -> None:
    """The line of one model."""
    line = {"color": MODEL_COLOURS[place % 6], "width": 2.5, "dash": DASHES[place % 6], "shape": shape}
    figure.add_scatter(x=x.tolist(), y=y.tolist(), mode="lines", name=name, line=line)


def _groups(
    figure: go.Figure, groups: pd.DataFrame, place: int, name: str, *, style: Callable[[float], str] = format_percent
) -> None:
    """The calibration groups of one model, class, label or horizon."""
    predicted, observed = groups["predicted"], groups["observed"]
    ends = {"array": (groups["high"] - observed).tolist(), "arrayminus": (observed - groups["low"]).tolist()}
    texts = [
        f"{name}: predicted {style(row.predicted)}, observed {style(row.observed)} of {row.stays:,} stays"
        for row in iter_rows(groups)
    ]
    figure.add_scatter(
        x=predicted.tolist(), y=observed.tolist(), mode="lines+markers", name=name, hovertext=texts, hoverinfo="text",
        line={"color": MODEL_COLOURS[place % 6], "width": 1.5, "dash": DASHES[place % 6]},
        marker={"size": 9, "symbol": MARKERS[place % 6]},
        error_y={"type": "data", "symmetric": False, "thickness": 1.2, "width": 3, **ends},
    )  # fmt: skip


def _intervals(figure: go.Figure, rows: pd.DataFrame, heights: list[float], place: int, name: str) -> None:
    """Estimates of one baseline with their intervals."""
    estimate, colour, shape = rows["estimate"], MODEL_COLOURS[place % 6], MARKERS[place % 6]
    clear = (rows["low"] > 0) | (rows["high"] < 0)
    texts = [
        f"{name}: {format_fixed(row.estimate, signed=True)} ({format_interval(row.low, row.high, signed=True)}), "
        f"{escape_plotly(str(row.verdict))}"
        for row in iter_rows(rows)
    ]
    ends = {"array": (rows["high"] - estimate).tolist(), "arrayminus": (estimate - rows["low"]).tolist()}
    figure.add_scatter(
        x=estimate.tolist(), y=heights, mode="markers", name=name, hovertext=texts, hoverinfo="text",
        error_x={"type": "data", "symmetric": False, "thickness": 1.6, "width": 4, **ends},
        marker={
            "size": 11, "color": colour, "line": {"color": colour, "width": 2},
            "symbol": [shape if filled else f"{shape}-open" for filled in clear],
        },
    )  # fmt: skip


def _square(figure: go.Figure, x: str, y: str) -> go.Figure:
    """Both axes from 0 to 1."""
    figure.update_xaxes(title_text=x, range=[0, 1], constrain="domain").update_yaxes(title_text=y, range=[0, 1.005])
    return apply_theme(figure, height=520)
