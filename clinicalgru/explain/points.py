"""Contributions in points of risk: one scale for everything that a reader sees."""

from __future__ import annotations

import math
from typing import Any

from clinicalgru.output_unit import is_probability

SMALLEST_RISK, SMALLEST_RISE = 1e-9, 1e-9


def point_rate(explanation: Any) -> float:
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
    >>> from clinicalgru.explain.points import point_rate
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
    >>> from clinicalgru.explain.points import format_points
    >>> format_points(0.094), format_points(-0.002), format_points(0.0001), format_points(0.01)
    ('+9 points', '−0.2 points', '±0 points', '+1 point')
    """
    points = 100 * risk_change
    if abs(points) < 0.05:
        return "±0 points"
    number = f"{points:+.{0 if abs(points) >= 0.95 else 1}f}".replace("-", "−")
    return f"{number} point{'' if number[1:] == '1' else 's'}"
