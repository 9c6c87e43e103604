"""What is explained, in words, and the headline numbers of an explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinicalgru.view.plots.timeline_data import format_answer, is_probability
from clinicalgru.view.text.format import capitalize_first, format_fixed, format_name, format_number

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation


def outcome_text(explanation: Explanation) -> str:
    """Name the explained outcome: "death, within 720 hours".

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        Name of the outcome, with the class or horizon where there are several.
    """
    provenance, target = explanation.provenance, explanation.target_text
    outcome = format_name(provenance.get("outcome", provenance.get("task", "the outcome")))
    return f"{outcome}, {target}" if target and target != outcome else outcome


def target_text(explanation: Explanation) -> str:
    """Name the explained output: "Predicted risk of death, within 720 hours".

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        Kind of the output and its outcome.
    """
    return f"{'Predicted risk of' if is_probability(explanation) else 'Expected'} {outcome_text(explanation)}"


def headline(explanation: Explanation) -> list[tuple[str, str, str]]:
    """List the headline numbers of an explanation, the risk first.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    list of (str, str, str)
        Name, number and note of each.
    """
    rows, risk = explanation.measurements, is_probability(explanation)
    answer, reference = (format_answer(explanation, one) for one in (explanation.risk, explanation.reference_risk))
    gap = format_fixed(explanation.completeness_gap)
    return [
        ("Predicted risk" if risk else "Expected", answer, outcome_text(explanation)),
        ("Reference risk" if risk else "Reference", reference, explanation.reference_text),
        ("Measurements", f"{len(rows):,}", f"of {rows['variable'].nunique()} variables"),
        ("Completeness gap", gap, f"not attributed, {effect_unit(explanation)}"),
    ]


def effect_unit(explanation: Explanation) -> str:
    """Name the unit of the contributions.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        "in log-odds", or "in the outcome's unit" for a regression.
    """
    return "in log-odds" if is_probability(explanation) else "in the outcome's unit"


def lead_text(stay_label: str, hours: float) -> str:
    """Write the line under the heading of a page about one stay.

    Parameters
    ----------
    stay_label : str
        What the stay is called.
    hours : float
        Hours of the stay that the model has seen.

    Returns
    -------
    str
        The line.

    Examples
    --------
    >>> from clinicalgru.view.text.headline import lead_text
    >>> lead_text("stay", 48.0)
    'Stay, 48 hours observed'
    """
    return f"{capitalize_first(stay_label)}, {format_number(hours)} hours observed"


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
    >>> from clinicalgru.view.text.headline import format_points
    >>> format_points(0.094), format_points(-0.002)
    ('+9 points', '−0.2 points')
    """
    points = 100 * risk_change
    return f"{points:+.{0 if abs(points) >= 1 else 1}f} points".replace("-", "−")
