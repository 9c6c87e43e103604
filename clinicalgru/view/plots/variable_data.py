"""What the timeline of a stay shows of one variable: points, carried values, effect and axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clinicalgru.view.plots.downsample import downsample
from clinicalgru.view.plots.theme import GREY, OUTSIDE, WITHIN
from clinicalgru.view.plots.timeline_data import first_hour, last_hour
from clinicalgru.view.text.format import escape_plotly, iter_rows
from clinicalgru.view.text.moments import moment_text
from clinicalgru.view.text.risk_points import format_effect
from clinicalgru.view.text.variable_text import format_value

if TYPE_CHECKING:
    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.result import Explanation

IN_RANGE = {"symbol": "circle", "color": WITHIN, "size": 8}
ABOVE = {"symbol": "triangle-up", "color": OUTSIDE, "size": 10}
BELOW = {"symbol": "triangle-down", "color": OUTSIDE, "size": 10}
CARRIED = {"symbol": "line-ew", "color": GREY, "size": 7}  # dashes that join to a line and fade
HALF_LIFE = 6.0  # hours after which a carried value is drawn half as strong, where the explanation does not say
MIN_HALF_LIFE = 1e-3  # hours; the shortest half-life that is drawn
MIN_OPACITY = 0.08  # a carried value that is fainter is not drawn
N_CARRIED_POINTS = 120  # carried values drawn over the whole axis


def carried_forward(
    rows: pd.DataFrame, *, first: float, end: float, half_life: float
) -> tuple[list[float], list[float], list[float]]:
    """Compute where the last value is carried forward, and with which opacity it is drawn.

    Parameters
    ----------
    rows : DataFrame
        hours, value of the measurements of one variable, hours ascending.
    first, end : float
        Hours that the axis spans.
    half_life : float
        Hours after which a value is drawn half as strong.

    Returns
    -------
    hours, values, opacities : list of float
        One entry for each carried point; fainter points are left out.
    """
    step = (end - first) / N_CARRIED_POINTS
    if rows.empty or step <= 0:
        return [], [], []
    times, grid = rows["hours"].to_numpy(dtype=float), first + step * np.arange(1, N_CARRIED_POINTS + 1)
    last = np.searchsorted(times, grid, side="right") - 1
    following = np.append(times, np.inf)[last + 1]
    age = grid - times[last]
    opacity = 0.9 * 0.5 ** (age.clip(0) / half_life)
    mask = (last >= 0) & (age > 0.45 * step) & (following - grid > 0.45 * step) & (opacity >= MIN_OPACITY)
    values = rows["value"].to_numpy(dtype=float)[last]
    return grid[mask].tolist(), values[mask].tolist(), opacity[mask].round(3).tolist()


def carried_data(explanation: Explanation, rows: pd.DataFrame, half_life: float) -> dict[str, Any]:
    """Compute the thin, fading line of values that are carried forward.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    rows : DataFrame
        hours, value of the measurements of one variable, hours ascending.
    half_life : float
        Hours after which a value is drawn half as strong.

    Returns
    -------
    dict
        x (hours since the index time), y and marker of the trace.
    """
    first, end = first_hour(explanation), last_hour(explanation)
    x, y, opacity = carried_forward(rows, first=first, end=end, half_life=max(half_life, MIN_HALF_LIFE))
    return {"x": x, "y": y, "marker": CARRIED | {"opacity": opacity, "line": {"width": 1.3, "color": GREY}}}


def points_data(explanation: Explanation, rows: pd.DataFrame, variable: Variable) -> dict[str, Any]:
    """Compute the filled markers of measurements: circles within the reference range, triangles outside it.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    rows : DataFrame
        hours, value and contribution of the measurements of one variable, hours ascending.
    variable : Variable
        The variable.

    Returns
    -------
    dict
        x (hours since the index time), y, hovertext and marker of the trace.
    """
    rows = downsample(rows, "value")
    markers = [_marker(variable, value) for value in rows["value"]]
    hover = [
        f"{escape_plotly(variable.label)} {escape_plotly(format_value(variable, row.value))} "
        f"at {escape_plotly(moment_text(explanation, row.hours))}<br>{format_effect(explanation, row.contribution)}"
        for row in iter_rows(rows)
    ]
    marker: dict[str, Any] = {key: [one[key] for one in markers] for key in IN_RANGE}
    marker |= {"opacity": 1, "line": {"color": "white", "width": 0.8}}
    return {"x": rows["hours"].tolist(), "y": rows["value"].tolist(), "hovertext": hover, "marker": marker}


def effect_text(explanation: Explanation, rows: pd.DataFrame) -> str:
    """Write the summed contribution of a variable, and how many of its measurements are drawn.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    rows : DataFrame
        hours, value and contribution of the measurements of one variable, hours ascending.

    Returns
    -------
    str
        Such as "+12 points".
    """
    n_drawn = len(downsample(rows, "value"))
    drawn = f"; {n_drawn:,} of {len(rows):,} drawn" if n_drawn < len(rows) else ""
    return f"{format_effect(explanation, float(rows['contribution'].sum()))}{drawn}"


def value_range(variable: Variable, values: pd.Series) -> list[float] | None:
    """Compute the range of an axis that shows the reference range and all values.

    Parameters
    ----------
    variable : Variable
        The variable.
    values : Series of float
        Its measured values, in its unit.

    Returns
    -------
    list of float or None
        Lower and upper end; None where there is neither a reference range nor a value.
    """
    ends = [*(variable.reference or ()), *([values.min(), values.max()] if len(values) else [])]
    if not ends:
        return None
    margin = 0.14 * (max(ends) - min(ends)) or 0.5  # room for the markers at the edges
    return [min(ends) - margin, max(ends) + margin]


def _marker(variable: Variable, value: float) -> dict[str, object]:
    """Choose the marker of a measurement by the reference range."""
    if variable.reference is None or variable.reference[0] <= value <= variable.reference[1]:
        return dict(IN_RANGE)
    return dict(ABOVE) if value > variable.reference[1] else dict(BELOW)
