"""A risk told in plain words: when it moved most, what moved it then, what is old and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clinicalgru.view.plots.timeline import (
    band_label,
    format_answer,
    has_band,
    is_probability,
    last_hour,
    variables_by_name,
)
from clinicalgru.view.text.format import capitalize_first, format_fixed, format_hours, format_name, format_number, iter_rows
from clinicalgru.view.text.variable_text import format_value

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.risk_changes.movement import Movement

CHANGE_HOURS = 3.0  # a jump is a change within so many hours
STALE_HOURS = 6.0  # a variable not measured for so long is said to be so
MAX_POINTS = 600  # of the course looked at for the largest jump


def narrative(explanation: Explanation, movement: Movement | None = None) -> list[str]:
    """The risk of one stay in a few sentences.

    explanation  an `Explanation`
    movement     of the same stay, if it was asked for: jumps are then told in points of risk; otherwise by what was
                 measured then, with its part in the risk at the end
    returns      sentences as plain text
    """
    course = (movement.risk_trajectory if movement is not None else explanation.risk_trajectory)[["hours", "risk"]]
    told = [_risk_sentence(explanation), member_spread(explanation)]
    found = largest_change(course)
    if found is not None:
        first, last = found
        told.append(_change_sentence(explanation, movement, course, first=first, last=last))
    return [one for one in (*told, stale_variables(explanation), never_measured(explanation)) if one]


def largest_change(course: pd.DataFrame) -> tuple[float, float] | None:
    """The hours between which the risk changed most within three hours, the very first ones left out.

    course   hours ascending, risk
    returns  None where there is no such pair, or the risk hardly moved

    >>> largest_change(pd.DataFrame({"hours": [0.0, 4, 5, 6, 12], "risk": [0.1, 0.1, 0.3, 0.31, 0.32]}))
    (4.0, 6.0)
    """
    later = course.iloc[1:]
    at, risk = later["hours"].to_numpy(dtype=float), later["risk"].to_numpy(dtype=float)
    if len(at) > MAX_POINTS:
        place = np.linspace(0, len(at) - 1, MAX_POINTS).astype(int)
        at, risk = at[place], risk[place]
    apart = at[None, :] - at[:, None]
    change = np.where((apart > 0) & (apart <= CHANGE_HOURS), np.abs(risk[None, :] - risk[:, None]), 0.0)
    if not change.size or change.max() < 0.005:
        return None
    start, end = np.unravel_index(int(change.argmax()), change.shape)
    return float(at[start]), float(at[end])


def stale_variables(explanation: Explanation) -> str:
    """Which of the variables that moved the risk most have not been measured for hours.

    Empty where all are recent.
    """
    rows, end, variables = explanation.measurements, last_hour(explanation), variables_by_name(explanation)
    weight = rows["contribution"].abs().groupby(rows["variable"]).sum().sort_values(ascending=False).head(8)
    last = rows.groupby("variable")["hours"].max()
    since = {str(name): end - float(last[name]) for name in weight.index}
    aged = [(name, gap) for name, gap in since.items() if gap >= STALE_HOURS and name in variables]
    if not aged:
        return ""
    said = ", ".join(f"{_label_in_sentence(explanation, name)} for {format_hours(gap)} h" for name, gap in aged[:4])
    return f"Not measured since: {said}."


def member_spread(explanation: Explanation) -> str:
    """How far the members agree on the risk at the end; empty where there is one member."""
    if not has_band(explanation):
        return ""
    low, high = (
        format_answer(explanation, float(explanation.risk_trajectory[end].iloc[-1])) for end in ("low", "high")
    )
    return (
        f"{capitalize_first(band_label(explanation))} put it between {low} and {high} (5th to 95th percentile): how "
        "far they disagree, not a confidence interval."
    )


def never_measured(explanation: Explanation) -> str:
    """Which variables of the model were never measured; empty where all were."""
    measured = set(explanation.measurements["variable"])
    missing = [one.label for one in explanation.variables if not one.static and one.name not in measured]
    if not missing:
        return ""
    more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
    return f"Never measured in these hours: {', '.join(missing[:8])}{more}."


def outcome_text(explanation: Explanation) -> str:
    """What is expected, in words: "death, within 720 hours"."""
    outcome = format_name(explanation.provenance.get("outcome", explanation.provenance.get("task", "the outcome")))
    return (
        f"{outcome}, {explanation.target_text}"
        if explanation.target_text and explanation.target_text != outcome
        else outcome
    )


def target_text(explanation: Explanation) -> str:
    """What is explained, in words: "Predicted risk of death, within 720 hours"."""
    return f"{'Predicted risk of' if is_probability(explanation) else 'Expected'} {outcome_text(explanation)}"


def headline(explanation: Explanation) -> list[tuple[str, str, str]]:
    """What a page and a widget show first: name, figure and what it is of, the answer before all others."""
    rows = explanation.measurements
    return [
        (
            "Predicted risk" if is_probability(explanation) else "Expected",
            format_answer(explanation, explanation.risk),
            outcome_text(explanation),
        ),
        ("Baseline", format_answer(explanation, explanation.reference_risk), "the same hours with nothing measured"),
        ("Measurements", f"{len(rows):,}", f"of {rows['variable'].nunique()} variables"),
        (
            "Completeness gap",
            format_fixed(explanation.completeness_gap),
            f"left unexplained, {effect_unit(explanation)}",
        ),
    ]


def effect_unit(explanation: Explanation) -> str:
    """What contributions are measured in."""
    return "in log-odds" if is_probability(explanation) else "in the outcome's unit"


def _risk_sentence(explanation: Explanation) -> str:
    return (
        f"{target_text(explanation)}: {format_answer(explanation, explanation.risk)}; "
        f"with nothing measured it would be {format_answer(explanation, explanation.reference_risk)}."
    )


def _change_sentence(
    explanation: Explanation, movement: Movement | None, course: pd.DataFrame, *, first: float, last: float
) -> str:
    at = course.set_index("hours")["risk"]
    before, after = float(at[first]), float(at[last])
    way, ends = (
        "rose" if after > before else "fell",
        (format_answer(explanation, before), format_answer(explanation, after)),
    )
    said = f"It {way} from {ends[0]} to {ends[1]} between hour {format_hours(first)} and hour {format_hours(last)}"
    movers = (
        _changes_in_points(explanation, movement, first, last)
        if movement is not None
        else _changes_by_contribution(explanation, first, last)
    )
    along = [text for text, effect in movers if (effect > 0) == (after > before)][:3]
    if not along:
        return f"{said}."
    return (
        f"{said}, mostly {_join_and(along)}." if movement is not None else f"{said}; measured then: {_join_and(along)}."
    )


def _changes_in_points(
    explanation: Explanation, movement: Movement, first: float, last: float
) -> list[tuple[str, float]]:
    moved = movement.between(first, last)
    together = moved.groupby("variable", sort=False).agg({"risk_change": "sum", "value": "last"}).reset_index()
    together = together.sort_values("risk_change", key=abs, ascending=False)
    return [
        (f"{_measurement_text(explanation, row)} ({format_points(row.risk_change)})", float(row.risk_change))
        for row in iter_rows(together)
    ]


def _changes_by_contribution(explanation: Explanation, first: float, last: float) -> list[tuple[str, float]]:
    rows, unit = explanation.measurements, effect_unit(explanation)
    rows = rows[(rows["hours"] > first) & (rows["hours"] <= last)]
    rows = rows.sort_values("contribution", key=abs, ascending=False)
    return [
        (
            f"{_measurement_text(explanation, row)} ({format_fixed(row.contribution, signed=True)} {unit}, at the end)",
            row.contribution,
        )
        for row in iter_rows(rows)
    ]


def format_points(share: float) -> str:
    """A change of a risk in points.

    >>> format_points(0.094), format_points(-0.002)
    ('+9 points', '−0.2 points')
    """
    amount = 100 * share
    return f"{amount:+.0f} points".replace("-", "−") if abs(amount) >= 1 else f"{amount:+.1f} points".replace("-", "−")


def _measurement_text(explanation: Explanation, row: object) -> str:
    name, amount = str(getattr(row, "variable", "")), float(getattr(row, "value", np.nan))
    variable = variables_by_name(explanation).get(name)
    if variable is None:
        return name if np.isnan(amount) else f"{name} {format_number(amount)}"
    return f"{_label_in_sentence(explanation, name)} {format_value(variable, amount)}"


def _label_in_sentence(explanation: Explanation, name: str) -> str:
    """The label within a sentence: "lactate", but "GCS" as it is."""
    label = variables_by_name(explanation)[name].label
    return label if label[:2].isupper() or not label[:1].isalpha() else label[:1].lower() + label[1:]


def _join_and(said: list[str]) -> str:
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
