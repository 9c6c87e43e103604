"""Heat map of the gates of a GRU over the hours of one stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

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
            hovertext=hover, hoverinfo="text", colorbar={"tickformat": ".0%"},
        )
    )  # fmt: skip
    apply_theme(figure, height=180 + 14 * len(units)).update_layout(title={"text": TITLES[show], "font": {"size": 15}})
    figure.update_yaxes(title_text="Hidden unit", showticklabels=False, showgrid=False)
    return figure.update_xaxes(title_text="Hours since the index time", showgrid=False)
