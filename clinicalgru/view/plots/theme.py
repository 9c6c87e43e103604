"""Colours, markers and layout that all figures share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import plotly.graph_objects as go

# Colour-blind safe palette (Okabe and Ito 2008). Colour is never the only sign: dash, marker or pattern differ too.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
# In the pictures of one stay each colour means one thing: raises or lowers the risk, within or outside the reference
# range, the cursor.
RAISES, LOWERS, WITHIN, OUTSIDE, CURSOR = VERMILLION, BLUE, "#007a59", "#8a3a78", ORANGE
INK, GREY, FAINT, GRID, BAND = "#1b2733", "#51606f", "#a3adb8", "#dfe4ea", "rgba(0, 158, 115, 0.13)"
CURVE_BAND = "rgba(0, 114, 178, 0.18)"
BAND_EDGE = {"color": "rgba(0, 158, 115, 0.45)", "width": 1}
PATTERN = {"fillmode": "overlay", "fgcolor": "white", "size": 7}
MODEL_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
NO_UPLOAD = ["sendChartToCloud"]  # plotly.js 4 offers every chart a button that sends its data to a server
LEGEND_ABOVE = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"}
OF_EACH_FIGURE = ("height", "autosize", "modebar")  # the rest of the layout is in the template


def apply_theme(figure: go.Figure, *, height: int) -> go.Figure:
    """Give a figure the shared theme: a white background, which reads the same on a light and a dark page.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Changed in place.
    height : int
        Height in pixels; the width is that of the page.

    Returns
    -------
    plotly.graph_objects.Figure
        The same figure.

    Examples
    --------
    >>> import plotly.graph_objects as go
    >>> from clinicalgru.view.plots.theme import apply_theme
    >>> apply_theme(go.Figure(), height=300).layout.height
    300
    """
    own = {name: value for name, value in base_layout(height).items() if name in OF_EACH_FIGURE}
    figure.update_layout(template=_template(), **own)
    return figure


@cache
def _template() -> go.layout.Template:
    """The theme of all axes at once: to set each takes plotly some 10 milliseconds."""
    shared = {name: value for name, value in base_layout(0).items() if name not in OF_EACH_FIGURE}
    return go.layout.Template(layout=shared | {"xaxis": axis({}), "yaxis": axis({})})


def validated(drawing: Mapping[str, Any]) -> go.Figure:
    """Make a figure of data and layout as plain values.

    Parameters
    ----------
    drawing : mapping
        data and layout.

    Returns
    -------
    plotly.graph_objects.Figure
        The figure; Plotly checks all of it, once.
    """
    return go.Figure({"data": drawing["data"], "layout": drawing["layout"] | {"template": "none"}})


def base_layout(height: int) -> dict[str, Any]:
    """Give the layout of the shared theme, without axes.

    Parameters
    ----------
    height : int
        Height in pixels.

    Returns
    -------
    dict
        Properties of a Plotly layout, for the caller to change.
    """
    return {
        "height": height, "autosize": True, "paper_bgcolor": "white", "plot_bgcolor": "white",
        "font": {"family": FONT, "size": 14, "color": INK}, "margin": {"l": 68, "r": 44, "t": 40, "b": 58},
        "legend": {"font": {"size": 13}, **LEGEND_ABOVE}, "hoverlabel": {"font": {"size": 13}, "align": "left"},
        "modebar": {"remove": NO_UPLOAD, "orientation": "v"},  # next to the figure, not over its legend
    }  # fmt: skip


def axis(own: Mapping[str, Any]) -> dict[str, Any]:
    """Give an axis of the shared theme.

    Parameters
    ----------
    own : mapping
        Its own properties; its title as title_text.

    Returns
    -------
    dict
        Properties of a Plotly axis.
    """
    title = {"standoff": 10, "font": {"size": 14}} | ({"text": own["title_text"]} if "title_text" in own else {})
    shared = {"gridcolor": GRID, "linecolor": GREY, "zeroline": False, "ticks": "outside", "tickcolor": GRID}
    return shared | {"title": title} | {name: value for name, value in own.items() if name != "title_text"}
