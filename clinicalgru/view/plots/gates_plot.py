"""Inside a GRU: a heat map of what its gates did over the hours of one stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from clinicalgru.errors import ArgumentError
from clinicalgru.view.plots.theme import apply_theme
from clinicalgru.view.text.format import format_hours, format_percent

if TYPE_CHECKING:
    from clinicalgru.explain.gates import Gates

SAID = {
    "retained": "of the state kept from the step before",
    "decayed": "of the state erased by the hours since the step before",
    "update": "update gate: near 1 keeps the old state",
    "reset": "reset gate: near 0 starts afresh",
}
SHADES = [[0, "#fdf3e3"], [0.5, "#6f9fc4"], [1, "#00406b"]]


def plot_gates(gates: Gates, *, show: str = "retained") -> go.Figure:
    """What one gate did at each step: a row for each unit, steps at their real hours, dark near 1.

    gates    what `gates(model, stay)` returned
    show     "retained", "decayed", "update" or "reset"
    returns  a figure; units with a like mean stand together
    Refused: another name.
    """
    if show not in SAID:
        raise ArgumentError(f"one of {', '.join(SAID)}", repr(show), "Choose one of them.")
    frame = getattr(gates, show)
    units = np.argsort(frame.mean(axis=0).to_numpy(), kind="stable")
    table = frame.to_numpy()[:, units].T
    said = [[f"unit {unit}, hour {format_hours(at)}: {format_percent(one)}" for at, one in zip(frame.index, row, strict=True)]
            for unit, row in zip(units, table, strict=True)]  # fmt: skip
    drawn = go.Figure(
        go.Heatmap(
            z=table.tolist(), x=frame.index.tolist(), zmin=0, zmax=1, colorscale=SHADES,
            hovertext=said, hoverinfo="text",
            colorbar={"tickformat": ".0%"},
        )
    )  # fmt: skip
    apply_theme(drawn, height=180 + 14 * len(units)).update_layout(title={"text": SAID[show], "font": {"size": 15}})
    drawn.update_yaxes(title_text="Unit of the state", showticklabels=False, showgrid=False)
    return drawn.update_xaxes(title_text="Hours since the index time", showgrid=False)
