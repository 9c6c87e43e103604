"""Contributions in points of risk: one scale for everything that a reader sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinicalgru.explain.points import format_points, point_rate
from clinicalgru.output_unit import is_probability
from clinicalgru.view.text.format import format_number

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation

POINTS_NOTE = (
    "Points are percentage points of risk. The difference between the risk and the {reference} is divided in "
    "proportion to the contributions in log-odds, which the table to download gives."
)


def format_effect(explanation: Explanation, contribution: float) -> str:
    """Format a contribution as it is shown: in points of risk, or in the unit of the outcome.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    contribution : float
        Contribution, in the unit of the explanation.

    Returns
    -------
    str
        With its sign.
    """
    return format_change(explanation, point_rate(explanation) * contribution)


def format_change(explanation: Explanation, change: float) -> str:
    """Format a change of what is explained: of a risk in points, of a number in its unit.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    change : float
        Difference of two outputs of the model.

    Returns
    -------
    str
        With its sign.
    """
    return format_points(change) if is_probability(explanation) else format_number(float(f"{change:.2g}"), signed=True)


def effect_unit(explanation: Explanation) -> str:
    """Name the unit in which contributions are shown.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        "in points of risk", or "in the outcome's unit" for a regression.
    """
    return "in points of risk" if is_probability(explanation) else "in the outcome's unit"
