"""Figures of the instability of individual risks over refits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from clinicalgru.view.plots.theme import BLUE, CURVE_BAND, GREY, apply_theme

if TYPE_CHECKING:
    from clinicalgru.evaluate.instability import Instability


def plot_refit_risks(instability: Instability) -> go.Figure:
    """Draw the risks by refitted models against the risk by the model.

    Parameters
    ----------
    instability : Instability
        Result of `instability`.

    Returns
    -------
    plotly.graph_objects.Figure
        The band holds 95 % of the refitted models' risks in groups of similar risk; the dotted line is no change.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.evaluate.instability import Instability
    >>> risk = np.linspace(0.1, 0.9, 100)
    >>> len(plot_refit_risks(Instability.of(risk, [risk, risk / 2])).data)
    2
    """
    curve, figure = instability.by_risk, go.Figure()
    risk, ends = list(curve.risk), [0.0, max([*curve.high, *curve.risk], default=1.0)]
    grey = {"color": GREY, "dash": "dot", "width": 1}
    figure.add_scatter(x=ends, y=ends, mode="lines", name="no change", line=grey, hoverinfo="skip")
    figure.add_scatter(
        x=[*risk, *risk[::-1]], y=[*curve.high, *curve.low[::-1]], fill="toself", mode="lines", line={"width": 0},
        fillcolor=CURVE_BAND, name=f"95 % of the risks by {curve.n_refits} refits",
    )  # fmt: skip
    figure.update_xaxes(title_text="Risk by the model", tickformat=".0%")
    figure.update_yaxes(title_text="Risk by refitted models", tickformat=".0%")
    return apply_theme(figure, height=520)


def plot_mape(instability: Instability) -> go.Figure:
    """Draw the mean absolute difference of the refitted models' risks against the risk by the model.

    Parameters
    ----------
    instability : Instability
        Result of `instability`.

    Returns
    -------
    plotly.graph_objects.Figure
        One point for each group of similar risk.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.evaluate.instability import Instability
    >>> risk = np.linspace(0.1, 0.9, 100)
    >>> len(plot_mape(Instability.of(risk, [risk, risk / 2])).data)
    1
    """
    curve = instability.by_risk
    line = {"color": BLUE, "width": 2.5}
    trace = go.Scatter(x=list(curve.risk), y=list(curve.mape), mode="lines+markers", line=line)
    figure = go.Figure(trace).update_layout(showlegend=False)
    figure.update_xaxes(title_text="Risk by the model", tickformat=".0%")
    figure.update_yaxes(title_text="Mean absolute difference by refits", tickformat=".1%", rangemode="tozero")
    return apply_theme(figure, height=420)
