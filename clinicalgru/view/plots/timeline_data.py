"""What the timeline of a stay shows: its variables, its hours, and the data of each trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clinicalgru.view.plots.downsample import downsample
from clinicalgru.view.plots.theme import BLUE, VERMILLION
from clinicalgru.view.text.format import escape_plotly, format_fixed, format_number, format_percent, iter_rows
from clinicalgru.view.text.variable_text import format_value

if TYPE_CHECKING:
    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.result import Explanation

IN_RANGE = {"symbol": "circle", "color": BLUE, "size": 8}
ABOVE = {"symbol": "triangle-up", "color": VERMILLION, "size": 10}
BELOW = {"symbol": "triangle-down", "color": VERMILLION, "size": 10}
UNCALIBRATED = "risk not found calibrated"
CARRIED = {"symbol": "circle-open", "color": BLUE, "size": 7}
HALF_LIFE = 6.0  # hours after which a carried value is drawn half as strong, where the explanation does not say
MIN_HALF_LIFE = 1e-3  # hours; the shortest half-life that is drawn
MIN_OPACITY = 0.08  # a carried value that is fainter is not drawn
N_CARRIED_POINTS = 60  # carried values drawn over the whole axis


def variables_by_name(explanation: Explanation) -> dict[str, Variable]:
    """Return the variables of an explanation by name.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    dict of str to Variable
        Variables and static covariates of the model.
    """
    return {variable.name: variable for variable in explanation.variables}


def is_probability(explanation: Explanation) -> bool:
    """Return whether the explained output is a probability.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    bool
        False for a regression, whose output is in the unit of the outcome.
    """
    return explanation.unit == "log-odds"


def format_answer(explanation: Explanation, output: float) -> str:
    """Format an output of the model: a risk in percent, a regression's in the unit of the outcome.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    output : float
        Output of its model.

    Returns
    -------
    str
        The output as text.
    """
    return format_percent(output) if is_probability(explanation) else format_number(output)


def variables_by_contribution(explanation: Explanation) -> list[str]:
    """List the measured variables by the sum of their absolute contributions.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    list of str
        Names, the largest sum first.
    """
    sizes = explanation.measurements.assign(size=explanation.measurements["contribution"].abs())
    totals = sizes.groupby("variable", sort=True)["size"].sum().sort_values(ascending=False, kind="stable")
    known = variables_by_name(explanation)
    return [str(name) for name in totals.index if name in known]


def last_hour(explanation: Explanation) -> float:
    """Return the hour of the last measurement or risk.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    float
        Hours since the index time; 1 where there is none.
    """
    return max([*explanation.risk_trajectory["hours"], *explanation.measurements["hours"]], default=1.0)


def first_hour(explanation: Explanation) -> float:
    """Return the hour of the first measurement or risk.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    float
        Hours since the index time; 0 where there is none.
    """
    return min([*explanation.risk_trajectory["hours"], *explanation.measurements["hours"]], default=0.0)


def has_band(explanation: Explanation) -> bool:
    """Return whether the explanation says how far the ensemble members disagree.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    bool
        Whether its risk trajectory has the columns low and high.
    """
    return {"low", "high"} <= set(explanation.risk_trajectory)


def band_label(explanation: Explanation) -> str:
    """Name the ensemble members whose risks make up the band.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        Such as "the network's 16 members".
    """
    networks = "the network's" if explanation.n_networks == 1 else f"the {explanation.n_networks} networks'"
    return f"{networks} {explanation.n_heads} members"


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


def output_name(explanation: Explanation) -> str:
    """Name the line of the model's output.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        Name of the trace.
    """
    return "predicted risk" if is_probability(explanation) else "expected"


def band_data(explanation: Explanation) -> dict[str, Any]:
    """Compute the outline of the band, in steps: along its upper edge, and back along its lower one.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    dict
        x (hours since the index time), y and name of the trace.
    """
    rows = downsample(explanation.risk_trajectory, "risk")
    hours = rows["hours"].repeat(2).tolist()[1:]
    high, low = rows["high"].repeat(2).tolist()[:-1], rows["low"].repeat(2).tolist()[:-1]
    return {"x": hours + hours[::-1], "y": high + low[::-1], "name": f"range of {band_label(explanation)}"}


def output_data(explanation: Explanation) -> dict[str, Any]:
    """Compute the line of the model's output over time.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    dict
        x (hours since the index time), y and hovertext of the trace.
    """
    rows = downsample(explanation.risk_trajectory, "risk")
    hours, outputs = rows["hours"].tolist(), rows["risk"].tolist()
    hover = [f"{format_answer(explanation, output)} after {format_number(hour)} h"
             for hour, output in zip(hours, outputs, strict=True)]  # fmt: skip
    return {"x": hours, "y": outputs, "hovertext": hover}


def uncalibrated_data(explanation: Explanation) -> dict[str, Any]:
    """Compute the part of the model's output that is drawn in grey, since it was not found calibrated.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    dict
        x (hours since the index time), y (None between parts) and whether the legend names it.
    """
    rows = downsample(explanation.risk_trajectory, "risk")
    grey = is_uncalibrated(rows)
    reach = grey | grey.shift(fill_value=False)  # a line goes to the next point
    hours, outputs = rows["hours"].tolist(), rows["risk"].where(reach).astype(object)
    return {"x": hours, "y": outputs.where(reach, None).tolist(), "showlegend": bool(grey.any())}


def is_uncalibrated(trajectory: pd.DataFrame) -> pd.Series:
    """Find the hours at which a risk was found not calibrated, or that was not evaluated.

    Parameters
    ----------
    trajectory : DataFrame
        `risk_trajectory` of an explanation.

    Returns
    -------
    Series of bool
        False without a column calibrated, and at the last hour.
    """
    if "calibrated" not in trajectory:
        return pd.Series(data=False, index=trajectory.index)
    found = trajectory["calibrated"].isin(["no", "not evaluated"])
    return found & (trajectory["hours"] < trajectory["hours"].max())


def reference_data(explanation: Explanation) -> dict[str, Any]:
    """Compute the level line of the reference risk.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    dict
        x (hours since the index time), y and name of the trace.
    """
    name = f"reference {format_answer(explanation, explanation.reference_risk)}: nothing measured"
    hours = [first_hour(explanation), last_hour(explanation)]
    return {"x": hours, "y": [explanation.reference_risk] * 2, "name": name}


def carried_data(explanation: Explanation, rows: pd.DataFrame, half_life: float) -> dict[str, Any]:
    """Compute the hollow circles of values that are carried forward.

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
    return {"x": x, "y": y, "marker": CARRIED | {"opacity": opacity, "line": {"width": 1.4}}}


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
    unit = effect_unit_suffix(explanation)
    hover = [
        f"{escape_plotly(variable.label)} {escape_plotly(format_value(variable, row.value))} "
        f"at {format_number(row.hours)} h<br>effect {format_fixed(row.contribution, signed=True)}{unit}"
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
        Such as "effect +0.12 log-odds".
    """
    n_drawn = len(downsample(rows, "value"))
    drawn = f"; {n_drawn:,} of {len(rows):,} drawn" if n_drawn < len(rows) else ""
    return f"effect {format_fixed(rows['contribution'].sum(), signed=True)}{effect_unit_suffix(explanation)}{drawn}"


def effect_unit_suffix(explanation: Explanation) -> str:
    """Return the unit of a contribution with a space before it; nothing for a regression.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        The suffix.
    """
    return " log-odds" if is_probability(explanation) else ""


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
