"""Contributions in points of risk: one scale for everything that a reader sees."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clinicalgru.view.plots.timeline_data import is_probability
from clinicalgru.view.text.format import format_number

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation

SMALLEST_RISK, SMALLEST_RISE = 1e-9, 1e-9
POINTS_NOTE = (
    "Points are percentage points of risk. The difference between the risk and the {reference} is divided in "
    "proportion to the contributions in log-odds, which the table to download gives."
)


def point_rate(explanation: Explanation) -> float:
    """Return the points of risk for each log-odds of contribution, so that all contributions add up to the difference.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    float
        As a fraction, 0.01 is one point; 1 where the output is a number of its own unit.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from clinicalgru.view.text.risk_points import point_rate
    >>> round(point_rate(SimpleNamespace(unit="log-odds", risk=0.5, reference_risk=0.5)), 3)
    0.25
    """
    if not is_probability(explanation):
        return 1.0
    after, before = (
        min(max(risk, SMALLEST_RISK), 1 - SMALLEST_RISK) for risk in (explanation.risk, explanation.reference_risk)
    )
    rise = math.log(after / (1 - after)) - math.log(before / (1 - before))
    return (after - before) / rise if abs(rise) > SMALLEST_RISE else after * (1 - after)


def format_points(risk_change: float) -> str:
    """Format a change of a risk in percentage points.

    Parameters
    ----------
    risk_change : float
        Difference of two risks.

    Returns
    -------
    str
        With its sign; one decimal below one point.

    Examples
    --------
    >>> from clinicalgru.view.text.risk_points import format_points
    >>> format_points(0.094), format_points(-0.002), format_points(0.0001), format_points(0.01)
    ('+9 points', '−0.2 points', '±0 points', '+1 point')
    """
    points = 100 * risk_change
    if abs(points) < 0.05:
        return "±0 points"
    number = f"{points:+.{0 if abs(points) >= 0.95 else 1}f}".replace("-", "−")
    return f"{number} point{'' if number[1:] == '1' else 's'}"


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
