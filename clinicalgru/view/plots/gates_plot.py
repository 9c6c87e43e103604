"""Heat map of the gates of a GRU over the hours of one stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clinicalgru.checks import check_choice
from clinicalgru.view.plots.theme import apply_theme
from clinicalgru.view.text.format import format_hours, format_percent

if TYPE_CHECKING:
    from clinicalgru.explain.gates import Gates

TITLES = {
    "retained": "Fraction of the state retained from the time step before",
    "decayed": "Fraction of the state decayed since the time step before",
    "update": "Update gate: near 1 keeps the old state",
    "reset": "Reset gate: near 0 ignores the old state",
}
EQUATIONS = {  # in the order in which they are computed
    "decayed": "Decay by elapsed hours: h′ = exp(−max(0, W<sub>d</sub>Δ + b<sub>d</sub>)) ⊙ h. Dark: decayed",
    "reset": "Reset gate: r = σ(W<sub>r</sub>x + U<sub>r</sub>h′ + b<sub>r</sub>). Dark: the old state is used",
    "update": "Update gate: z = σ(W<sub>z</sub>x + U<sub>z</sub>h′ + b<sub>z</sub>). Dark: the old state is kept",
    "state": "New state: h = z ⊙ h′ + (1 − z) ⊙ tanh(Wx + b + r ⊙ (Uh′ + c)). Blue: below 0, red: above 0",
}
STATE_COLOURS = [[0, "#0072B2"], [0.5, "#ffffff"], [1, "#D55E00"]]
COLOURSCALE = [[0, "#fdf3e3"], [0.5, "#6f9fc4"], [1, "#00406b"]]


def plot_gates(gates: Gates, *, show: str = "retained") -> go.Figure:
    """Draw one gate of a GRU along a stay, as a heat map.

    Parameters
    ----------
    gates : Gates
        What `gates(model, stay)` returned.
    show : {"retained", "decayed", "update", "reset"}
        What to draw.

    Returns
    -------
    plotly.graph_objects.Figure
        A row for each hidden unit, sorted by its mean; a column for each time step, at its hour. Dark is near 1.

    Raises
    ------
    ArgumentError
        If `show` is another name.
    """
    check_choice("show", show, TITLES)
    frame = getattr(gates, show)
    units = np.argsort(frame.mean(axis=0).to_numpy(), kind="stable")
    values = frame.to_numpy()[:, units].T
    hover = [[f"unit {unit}, hour {format_hours(hour)}: {format_percent(value)}"
              for hour, value in zip(frame.index, row, strict=True)]
             for unit, row in zip(units, values, strict=True)]  # fmt: skip
    figure = go.Figure(
        go.Heatmap(
            z=values.tolist(), x=frame.index.tolist(), zmin=0, zmax=1, colorscale=COLOURSCALE,
            hovertext=hover, hoverinfo="text", colorbar={"tickformat": ".0%", "thickness": 12},
        )
    )  # fmt: skip
    apply_theme(figure, height=180 + 14 * len(units)).update_layout(
        title={"text": TITLES[show], "font": {"size": 15}}, margin_r=70
    )
    figure.update_yaxes(title_text="Hidden unit", showticklabels=False, showgrid=False)
    return figure.update_xaxes(title_text="Hours since the index time", showgrid=False)


def plot_equations(gates: Gates) -> go.Figure:
    """Draw decay, reset gate, update gate and state of a stay below each other, each under its equation.

    Parameters
    ----------
    gates : Gates
        What `gates(model, stay)` returned.

    Returns
    -------
    plotly.graph_objects.Figure
        Four heat maps with one axis of hours; a row is a hidden unit, in the same order in all of them.
    """
    units = np.argsort(gates.update.mean(axis=0).to_numpy(), kind="stable")
    titles = list(EQUATIONS.values())
    figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, vertical_spacing=0.07, subplot_titles=titles)
    for row, name in enumerate(EQUATIONS, start=1):
        frame, is_state = getattr(gates, name), name == "state"
        values = frame.to_numpy()[:, units].T
        colours = {"zmin": -1 if is_state else 0, "zmax": 1, "colorscale": STATE_COLOURS if is_state else COLOURSCALE}
        bar = {
            "len": 0.22,
            "y": 1 - (row - 0.5) / len(titles),
            "thickness": 12,
            "tickvals": [-1, 0, 1] if is_state else [0, 0.5, 1],
        }
        heat = go.Heatmap(z=values.tolist(), x=frame.index.tolist(), colorbar=bar, hovertemplate="%{z:.2f}", **colours)
        figure.add_trace(heat, row=row, col=1)
    apply_theme(figure, height=120 + len(titles) * (70 + 7 * len(units)))
    figure.update_annotations(font={"size": 13}, x=0, xanchor="left")
    figure.update_yaxes(title_text="Unit", showticklabels=False, showgrid=False)
    figure.update_xaxes(showgrid=False)
    return figure.update_xaxes(title_text="Hours since the index time", row=len(titles), col=1)
