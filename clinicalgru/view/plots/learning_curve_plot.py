"""Figure of a learning curve."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from clinicalgru.checks import check_choice
from clinicalgru.evaluate.metric_descriptions import metric_label
from clinicalgru.view.plots.theme import BLUE, GREY, apply_theme
from clinicalgru.view.text.format import format_fixed, iter_rows


def plot_learning_curve(curve: Any, *, metric: str | None = None) -> go.Figure:
    """Draw a metric against the number of training patients.

    Parameters
    ----------
    curve : LearningCurve
        Result of `learning_curve`.
    metric : str or None
        A metric of its `summary`; None: the first.

    Returns
    -------
    plotly.graph_objects.Figure
        A point for each fold, and a line through their means.

    Raises
    ------
    ArgumentError
        If there is no such metric.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(80, random_state=0)), cg.Task.load("in_hospital_mortality"))
    >>> logistic = cg.SummaryBaseline("logistic regression")
    >>> len(plot_learning_curve(cg.learning_curve(logistic, stays, train_sizes=(1.0,), n_folds=2)).data)
    2
    """
    known = curve.folds["metric"].unique().tolist()
    name = known[0] if metric is None else metric
    check_choice("metric", name, known)
    folds, means = (table[table["metric"] == name] for table in (curve.folds, curve.summary))
    label = metric_label(name)
    figure = go.Figure()
    texts = [f"fold {row.fold}, {row.patients:,} patients: {format_fixed(row.estimate)}" for row in iter_rows(folds)]
    x, y = folds["patients"].tolist(), folds["estimate"].tolist()
    marker = {"color": GREY, "size": 6}
    figure.add_scatter(x=x, y=y, mode="markers", name="each fold", marker=marker, hovertext=texts, hoverinfo="text")
    x, y = means["patients"].tolist(), means["mean"].tolist()
    line = {"color": BLUE, "width": 2.5}
    figure.add_scatter(x=x, y=y, mode="lines+markers", name="mean", line=line, hovertemplate="%{y:.3f}<extra></extra>")
    figure.update_xaxes(title_text="Patients in training", type="log")
    figure.update_yaxes(title_text=f"{label} on held-out folds")
    return apply_theme(figure, height=420)
