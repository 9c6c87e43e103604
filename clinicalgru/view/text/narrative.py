"""A risk told in plain words: when it moved most, what moved it then, what is old and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clinicalgru.view.plots.timeline import a_risk, has_band, known, last_hour, told, whose
from clinicalgru.view.text.format import fixed, hours, number, records, sentence, spaced, value

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.risk_changes.movement import Movement

WITHIN_HOURS = 3.0  # a jump is a change within so many hours
OLD_HOURS = 6.0  # a variable not measured for so long is said to be so
MOST_POINTS = 600  # of the course looked at for the largest jump


def story(explanation: Explanation, movement: Movement | None = None) -> list[str]:
    """The risk of one stay in a few sentences.

    explanation  an `Explanation`
    movement     of the same stay, if it was asked for: jumps are then told in points of risk; otherwise by what was
                 measured then, with its part in the risk at the end
    returns      sentences as plain text
    """
    course = (movement.course if movement is not None else explanation.course)[["hours", "risk"]]
    told = [_ends(explanation), agreement(explanation)]
    found = largest_jump(course)
    if found is not None:
        first, last = found
        told.append(_jump(explanation, movement, course, first=first, last=last))
    return [one for one in (*told, old(explanation), absent(explanation)) if one]


def largest_jump(course: pd.DataFrame) -> tuple[float, float] | None:
    """The hours between which the risk changed most within three hours, the very first ones left out.

    course   hours ascending, risk
    returns  None where there is no such pair, or the risk hardly moved

    >>> largest_jump(pd.DataFrame({"hours": [0.0, 4, 5, 6, 12], "risk": [0.1, 0.1, 0.3, 0.31, 0.32]}))
    (4.0, 6.0)
    """
    later = course.iloc[1:]
    at, risk = later["hours"].to_numpy(dtype=float), later["risk"].to_numpy(dtype=float)
    if len(at) > MOST_POINTS:
        place = np.linspace(0, len(at) - 1, MOST_POINTS).astype(int)
        at, risk = at[place], risk[place]
    apart = at[None, :] - at[:, None]
    change = np.where((apart > 0) & (apart <= WITHIN_HOURS), np.abs(risk[None, :] - risk[:, None]), 0.0)
    if not change.size or change.max() < 0.005:
        return None
    start, end = np.unravel_index(int(change.argmax()), change.shape)
    return float(at[start]), float(at[end])


def old(explanation: Explanation) -> str:
    """Which of the variables that moved the risk most have not been measured for hours.

    Empty where all are recent.
    """
    rows, end, variables = explanation.measurements, last_hour(explanation), known(explanation)
    weight = rows["contribution"].abs().groupby(rows["variable"]).sum().sort_values(ascending=False).head(8)
    last = rows.groupby("variable")["hours"].max()
    since = {str(name): end - float(last[name]) for name in weight.index}
    aged = [(name, gap) for name, gap in since.items() if gap >= OLD_HOURS and name in variables]
    if not aged:
        return ""
    said = ", ".join(f"{_label(explanation, name)} for {hours(gap)} h" for name, gap in aged[:4])
    return f"Not measured since: {said}."


def agreement(explanation: Explanation) -> str:
    """How far the members agree on the risk at the end; empty where there is one member."""
    if not has_band(explanation):
        return ""
    low, high = (told(explanation, float(explanation.course[end].iloc[-1])) for end in ("low", "high"))
    return (
        f"{sentence(whose(explanation))} put it between {low} and {high} (5th to 95th percentile): how "
        "far they disagree, not a confidence interval."
    )


def absent(explanation: Explanation) -> str:
    """Which variables of the model were never measured; empty where all were."""
    measured = set(explanation.measurements["variable"])
    missing = [one.label for one in explanation.variables if not one.static and one.name not in measured]
    if not missing:
        return ""
    more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
    return f"Never measured in these hours: {', '.join(missing[:8])}{more}."


def outcome_of(explanation: Explanation) -> str:
    """What is expected, in words: "death, within 720 hours"."""
    outcome = spaced(explanation.model.get("outcome", explanation.model.get("task", "the outcome")))
    return f"{outcome}, {explanation.about}" if explanation.about and explanation.about != outcome else outcome


def asked_words(explanation: Explanation) -> str:
    """What is explained, in words: "Predicted risk of death, within 720 hours"."""
    return f"{'Predicted risk of' if a_risk(explanation) else 'Expected'} {outcome_of(explanation)}"


def first_figures(explanation: Explanation) -> list[tuple[str, str, str]]:
    """What a page and a widget show first: name, figure and what it is of, the answer before all others."""
    rows = explanation.measurements
    return [
        (
            "Predicted risk" if a_risk(explanation) else "Expected",
            told(explanation, explanation.risk),
            outcome_of(explanation),
        ),
        ("Baseline", told(explanation, explanation.baseline), "the same hours with nothing measured"),
        ("Measurements", f"{len(rows):,}", f"of {rows['variable'].nunique()} variables"),
        ("Completeness gap", fixed(explanation.completeness_gap), f"left unexplained, {effects_in(explanation)}"),
    ]


def effects_in(explanation: Explanation) -> str:
    """What contributions are measured in."""
    return "in log-odds" if a_risk(explanation) else "in the outcome's unit"


def _ends(explanation: Explanation) -> str:
    return (
        f"{asked_words(explanation)}: {told(explanation, explanation.risk)}; "
        f"with nothing measured it would be {told(explanation, explanation.baseline)}."
    )


def _jump(
    explanation: Explanation, movement: Movement | None, course: pd.DataFrame, *, first: float, last: float
) -> str:
    at = course.set_index("hours")["risk"]
    before, after = float(at[first]), float(at[last])
    way, ends = "rose" if after > before else "fell", (told(explanation, before), told(explanation, after))
    said = f"It {way} from {ends[0]} to {ends[1]} between hour {hours(first)} and hour {hours(last)}"
    movers = (
        _by_points(explanation, movement, first, last) if movement is not None else _by_effect(explanation, first, last)
    )
    along = [text for text, effect in movers if (effect > 0) == (after > before)][:3]
    if not along:
        return f"{said}."
    return f"{said}, mostly {_listed(along)}." if movement is not None else f"{said}; measured then: {_listed(along)}."


def _by_points(explanation: Explanation, movement: Movement, first: float, last: float) -> list[tuple[str, float]]:
    moved = movement.between(first, last)
    together = moved.groupby("variable", sort=False).agg({"points": "sum", "value": "last"}).reset_index()
    together = together.sort_values("points", key=abs, ascending=False)
    return [(f"{_measured(explanation, row)} ({points(row.points)})", float(row.points)) for row in records(together)]


def _by_effect(explanation: Explanation, first: float, last: float) -> list[tuple[str, float]]:
    rows, unit = explanation.measurements, effects_in(explanation)
    rows = rows[(rows["hours"] > first) & (rows["hours"] <= last)]
    rows = rows.sort_values("contribution", key=abs, ascending=False)
    return [
        (
            f"{_measured(explanation, row)} ({fixed(row.contribution, signed=True)} {unit}, at the end)",
            row.contribution,
        )
        for row in records(rows)
    ]


def points(share: float) -> str:
    """A change of a risk in points.

    >>> points(0.094), points(-0.002)
    ('+9 points', '−0.2 points')
    """
    amount = 100 * share
    return f"{amount:+.0f} points".replace("-", "−") if abs(amount) >= 1 else f"{amount:+.1f} points".replace("-", "−")


def _measured(explanation: Explanation, row: object) -> str:
    name, amount = str(getattr(row, "variable", "")), float(getattr(row, "value", np.nan))
    variable = known(explanation).get(name)
    if variable is None:
        return name if np.isnan(amount) else f"{name} {number(amount)}"
    return f"{_label(explanation, name)} {value(variable, amount)}"


def _label(explanation: Explanation, name: str) -> str:
    """The label within a sentence: "lactate", but "GCS" as it is."""
    label = known(explanation)[name].label
    return label if label[:2].isupper() or not label[:1].isalpha() else label[:1].lower() + label[1:]


def _listed(said: list[str]) -> str:
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
