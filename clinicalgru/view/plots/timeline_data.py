"""What the timeline of a stay shows: its variables, its hours, and the data of the risk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clinicalgru.output_unit import is_probability
from clinicalgru.view.plots.downsample import downsample
from clinicalgru.view.text.format import escape_plotly, format_number, format_percent

if TYPE_CHECKING:
    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.result import Explanation

UNCALIBRATED = "not known to be calibrated"
UNCLEAR = "too few events to say whether calibrated"


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


def output_data(explanation: Explanation) -> dict[str, Any]:
    """Compute the line of the model's output over time, without the part that `unclear_data` gives.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    dict
        x (hours since the index time), y (None between parts) and hovertext of the trace.
    """
    rows = downsample(explanation.risk_trajectory, "risk")
    return _part(explanation, rows, ~is_unclear(rows))


def uncalibrated_data(explanation: Explanation) -> dict[str, Any]:
    """Compute the part of the model's output that is drawn in grey, since it was not found calibrated.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    dict
        x (hours since the index time), y (None between parts), hovertext and whether the legend names it.
    """
    rows = downsample(explanation.risk_trajectory, "risk")
    grey = is_uncalibrated(rows)
    return _part(explanation, rows, grey) | {"showlegend": bool(grey.any())}


def unclear_data(explanation: Explanation) -> dict[str, Any]:
    """Compute the part of the model's output that is drawn dashed, since too few events leave its calibration open.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    dict
        x (hours since the index time), y (None between parts), hovertext and whether the legend names it.
    """
    rows = downsample(explanation.risk_trajectory, "risk")
    unclear = is_unclear(rows)
    return _part(explanation, rows, unclear) | {"showlegend": bool(unclear.any())}


def end_data(explanation: Explanation) -> dict[str, Any]:
    """Compute the mark of what is explained, at the end of the line.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    dict
        x (hours since the index time), y, text and hovertext of the trace.
    """
    hour, answer = last_hour(explanation), format_answer(explanation, explanation.risk)
    hover = f"{answer} after {format_number(hour)} h"
    return {"x": [hour], "y": [explanation.risk], "text": [f"<b>{answer}</b>"], "hovertext": [hover]}


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
    return _has_verdict(trajectory, "no", "not evaluated")


def is_unclear(trajectory: pd.DataFrame) -> pd.Series:
    """Find the hours at which too few events leave open whether a risk is calibrated.

    Parameters
    ----------
    trajectory : DataFrame
        `risk_trajectory` of an explanation.

    Returns
    -------
    Series of bool
        False without a column calibrated, and at the last hour.
    """
    return _has_verdict(trajectory, "unclear")


def line_parts(drawn: pd.Series) -> list[range]:
    """Give the points of each part of a step line: those that are to be drawn, and the one after, which ends the step.

    Parameters
    ----------
    drawn : Series of bool, shape (point,)
        Whether the line from a point to the next one belongs to the parts.

    Returns
    -------
    list of range
        Positions of points.

    Examples
    --------
    >>> line_parts(pd.Series([True, False, True, True]))
    [range(0, 2), range(2, 4)]
    """
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], drawn, [False]]).astype(int)))
    return [range(first, min(last + 1, len(drawn))) for first, last in bounds.reshape(-1, 2).tolist()]


def reference_data(explanation: Explanation) -> dict[str, Any]:
    """Compute the level line of the reference risk.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    dict
        x (hours since the index time), y, name and text of the trace.
    """
    name = f"{explanation.reference_text} {format_answer(explanation, explanation.reference_risk)}"
    hours = [first_hour(explanation), last_hour(explanation)]
    return {"x": hours, "y": [explanation.reference_risk] * 2, "name": name, "text": ["", escape_plotly(name)]}


def _has_verdict(trajectory: pd.DataFrame, *verdicts: str) -> pd.Series:
    if "calibrated" not in trajectory:
        return pd.Series(data=False, index=trajectory.index)
    return trajectory["calibrated"].isin(verdicts) & (trajectory["hours"] < trajectory["hours"].max())


def _part(explanation: Explanation, rows: pd.DataFrame, drawn: pd.Series) -> dict[str, Any]:
    """The points of the drawn parts, with a gap after each but the last."""
    points = [(hour, output, f"{format_answer(explanation, output)} after {format_number(hour)} h")
              for hour, output in zip(rows["hours"].tolist(), rows["risk"].tolist(), strict=True)]  # fmt: skip
    parts = [[points[at] for at in part] for part in line_parts(drawn)]
    listed = [point for part in parts for point in (*part, (None, None, ""))][:-1]
    x, y, hover = ([point[field] for point in listed] for field in range(3))
    return {"x": x, "y": y, "hovertext": hover}
