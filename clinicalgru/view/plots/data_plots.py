"""Figures of data before training: which variables are measured when, and how their values are distributed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from clinicalgru.disclosure import MIN_CELL_SIZE, is_small
from clinicalgru.view.plots.theme import BAND, BAND_EDGE, BLUE, GREY, VERMILLION, apply_theme
from clinicalgru.view.text.format import escape_plotly, format_number, format_percent, iter_rows
from clinicalgru.view.text.variable_text import label_with_unit

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.data.dictionary.variable import Variable

COLOURSCALE = [[0, "#ffffff"], [0.05, "#d5e6f3"], [1, "#00406b"]]


def plot_measured_by_hour(
    counts: pd.DataFrame, labels: Mapping[str, str], *, min_cell_size: int = MIN_CELL_SIZE
) -> go.Figure:
    """Draw the proportion of stays with each variable measured in each hour, as a heat map.

    Parameters
    ----------
    counts : DataFrame
        What `measured_by_hour` returned.
    labels : mapping of str to str
        Label of each variable, by name.
    min_cell_size : int, default 11
        Counts from 1 to below this are suppressed, and so are counts that leave so few.

    Returns
    -------
    plotly.graph_objects.Figure
        A row for each variable, the most measured on top. A suppressed cell is drawn as the smallest count that may
        be shown.
    """
    n_total, n_stays = (counts.pivot(index="variable", columns="hour", values=column) for column in ("of", "stays"))
    order = n_stays.sum(axis=1).sort_values(kind="stable").index
    n_total, n_stays = n_total.loc[order], n_stays.loc[order]
    cells = [list(zip(*row, strict=True)) for row in zip(n_stays.values, n_total.values, strict=True)]
    names = [escape_plotly(labels[name]) for name in order]
    hover = [
        [f"{name}, hour {hour}: {_cell_text(*cell, min_cell_size)}"
         for hour, cell in zip(n_stays.columns, row, strict=True)]
        for name, row in zip(names, cells, strict=True)
    ]  # fmt: skip
    figure = go.Figure(
        go.Heatmap(
            z=[[_proportion(*cell, min_cell_size) for cell in row] for row in cells],
            x=[float(hour) for hour in n_stays.columns], y=names,
            zmin=0, zmax=1, colorscale=COLOURSCALE, xgap=1, ygap=1, hovertext=hover, hoverinfo="text",
            colorbar={"tickformat": ".0%", "title": {"text": "of stays"}},
        )
    )  # fmt: skip
    apply_theme(figure, height=150 + 24 * len(order)).update_yaxes(automargin=True, showgrid=False, ticks="")
    return figure.update_xaxes(title_text="Hour since the start of the stay or the index time", showgrid=False)


def plot_histogram(histogram: pd.DataFrame, variable: Variable) -> go.Figure:
    """Draw the distribution of a variable with its reference and plausible range.

    Parameters
    ----------
    histogram : DataFrame
        Columns low, high, measurements: the bins and their counts.
    variable : Variable
        The variable.

    Returns
    -------
    plotly.graph_objects.Figure
        The density of the values. The reference range is shaded; dashed lines mark the plausible range.
    """
    width = histogram["high"] - histogram["low"]
    total = max(float(histogram["measurements"].sum()), 1.0)
    hover = [
        f"{format_number(row.low)} to {format_number(row.high)}: "
        f"{format_percent(row.measurements / total)} of measurements"
        for row in iter_rows(histogram)
    ]
    figure = go.Figure(
        go.Bar(
            x=((histogram["low"] + histogram["high"]) / 2).tolist(), width=width.tolist(),
            y=(histogram["measurements"] / width / total).tolist(),
            hovertext=hover, hoverinfo="text", marker={"color": BLUE, "line": {"width": 0}},
        )
    )  # fmt: skip
    if variable.reference is not None:
        low, high = variable.reference
        figure.add_vrect(x0=low, x1=high, fillcolor=BAND, line=BAND_EDGE, layer="below")
    for limit in variable.plausible or ():
        figure.add_vline(x=limit, line={"color": VERMILLION, "width": 1.6, "dash": "dash"})
    figure.update_yaxes(title_text="Density", showticklabels=False)
    figure.update_xaxes(title_text=escape_plotly(label_with_unit(variable)), zerolinecolor=GREY)
    return apply_theme(figure, height=380)


def _proportion(n_stays: int, n_total: int, min_cell_size: int) -> float | None:
    """Return the proportion to draw; a suppressed cell is drawn as the smallest count that may be shown."""
    if n_total == 0:
        return None
    if is_small(n_stays, min_cell_size):
        return min(1.0, min_cell_size / n_total)
    if is_small(n_total - n_stays, min_cell_size):
        return max(0.0, 1 - min_cell_size / n_total)
    return n_stays / n_total


def _cell_text(n_stays: int, n_total: int, min_cell_size: int) -> str:
    """Write the proportion of a cell, or the bound of a suppressed one."""
    if n_total == 0 or is_small(n_total, min_cell_size):
        return "hardly any stays at this hour"
    if is_small(n_stays, min_cell_size):
        return f"fewer than {min_cell_size} stays"
    if is_small(n_total - n_stays, min_cell_size):
        return f"all but fewer than {min_cell_size} stays"
    return f"{format_percent(n_stays / n_total)} of stays"
