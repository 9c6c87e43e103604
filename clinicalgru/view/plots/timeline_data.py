"""What the timeline of a stay shows: its variables, its hours, and the data of the risk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from clinicalgru.output_unit import is_probability
from clinicalgru.view.plots.downsample import downsample
from clinicalgru.view.text.format import escape_plotly, format_number, format_percent

if TYPE_CHECKING:
    from clinicalgru.data.dictionary.variable import Variable
    from clinicalgru.explain.result import Explanation

UNCALIBRATED = "not known to be calibrated"


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
        x (hours since the index time), y, name and text of the trace.
    """
    name = f"{explanation.reference_text} {format_answer(explanation, explanation.reference_risk)}"
    hours = [first_hour(explanation), last_hour(explanation)]
    return {"x": hours, "y": [explanation.reference_risk] * 2, "name": name, "text": ["", escape_plotly(name)]}
