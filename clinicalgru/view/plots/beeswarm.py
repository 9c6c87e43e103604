"""The beeswarm of a cohort: a dot for each stay and variable, by what it contributed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from clinicalgru.output_unit import is_probability
from clinicalgru.view.plots.theme import GREY, apply_theme
from clinicalgru.view.text.format import escape_plotly

if TYPE_CHECKING:
    from clinicalgru.explain.cohort import CohortExplanation

BINS = 80  # of the horizontal axis, within which dots are stacked
SWARM = 0.4  # half the height of a row
MAX_STAYS = 1000  # that are drawn
COLOURS = [[0.0, "#0072B2"], [0.5, "#CCCCCC"], [1.0, "#D55E00"]]


def plot_beeswarm(explained: CohortExplanation, top: int = 12, *, random_state: int = 0) -> go.Figure:
    """Draw one row of dots for each variable, a dot for each stay.

    Parameters
    ----------
    explained : CohortExplanation
        Contributions of many stays.
    top : int, default 12
        Number of variables, those with the largest mean absolute contribution.
    random_state : int
        Seed of the stays that are drawn, of more than 1,000.

    Returns
    -------
    plotly.graph_objects.Figure
        Colour is the rank of the last value within the cohort, grey where it was not measured. No dot names its stay or
        its value. Variables that fewer than 11 real patients have are left out.
    """
    shown = explained.summary().head(top)
    names = [variable.name for variable in explained.variables]
    columns = [names.index(name) for name in shown["variable"]]
    drawn = np.random.default_rng(random_state).permutation(len(explained))[:MAX_STAYS]
    points, values = explained.points[drawn][:, columns], explained.values[drawn][:, columns]
    dots = pd.DataFrame(
        {
            "row": np.tile(np.arange(len(columns)), len(drawn)),
            "x": points.ravel(),
            "rank": pd.DataFrame(values).rank(pct=True).to_numpy().ravel(),
        }
    )
    dots["y"] = dots["row"] + _offsets(dots)
    unknown = dots["rank"].isna()
    figure = go.Figure()
    bar = {"title": "value", "tickvals": [0, 1], "ticktext": ["low", "high"], "len": 0.5, "thickness": 10}
    marker = {"color": dots.loc[~unknown, "rank"], "colorscale": COLOURS, "cmin": 0, "cmax": 1, "size": 5}
    style = {"mode": "markers", "hoverinfo": "skip"}
    figure.add_scatter(
        x=dots.loc[~unknown, "x"],
        y=dots.loc[~unknown, "y"],
        name="measured",
        marker=marker | {"colorbar": bar},
        **style,
    )
    grey = {"color": GREY, "size": 4, "symbol": "circle-open"}
    figure.add_scatter(x=dots.loc[unknown, "x"], y=dots.loc[unknown, "y"], name="not measured", marker=grey, **style)
    apply_theme(figure, height=150 + 34 * max(len(columns), 2)).add_vline(x=0, line={"color": GREY, "width": 1})
    labels = [escape_plotly(str(label)) for label in shown["label"]]
    figure.update_yaxes(
        tickvals=list(range(len(columns))), ticktext=labels, autorange="reversed", showgrid=False, automargin=True
    )
    what = "the risk in points" if is_probability(explained) else "the expected outcome"
    form = "+.0%" if is_probability(explained) else ".2~f"
    return figure.update_xaxes(title_text=f"Effect on {what}: left lowers, right raises", tickformat=form)


def _offsets(dots: pd.DataFrame) -> np.ndarray:
    """Heights that spread the dots of one place symmetrically about their row."""
    width = max(float(np.ptp(dots["x"])) / BINS, 1e-12) if len(dots) else 1.0
    groups = dots.groupby(["row", np.floor(dots["x"] / width)])
    place, size = groups.cumcount().to_numpy(), groups["x"].transform("size").to_numpy()
    largest = max(int(size.max(initial=1)), 6)
    return np.asarray((place - (size - 1) / 2) * 2 * SWARM / largest)
