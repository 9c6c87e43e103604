"""Summary of a risk in a few sentences: its largest change, stale variables and variables never measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clinicalgru.view.plots.timeline_data import (
    format_answer,
    is_uncalibrated,
    last_hour,
    variables_by_name,
)
from clinicalgru.view.text.format import format_hours, format_number, iter_rows
from clinicalgru.view.text.headline import outcome_text, target_text
from clinicalgru.view.text.moments import moment_text
from clinicalgru.view.text.risk_points import format_change
from clinicalgru.view.text.standing_text import refit_text, set_text, standing_text
from clinicalgru.view.text.variable_text import format_value

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.risk_changes.movement import Movement

CHANGE_HOURS = 3.0  # the largest change is sought within so many hours
MIN_CHANGE = 0.005  # of a risk; a smaller change is not mentioned
STALE_HOURS = 6.0  # a variable not measured for so long is stale
MAX_POINTS = 600  # of the risk trajectory in which the largest change is sought
EPONYMS = ("Braden", "Glasgow", "Richmond", "Riker")  # names of persons keep their capital within a sentence
MAX_NAMES, MAX_STALE, MAX_CAUSES = 8, 4, 3  # names in one sentence


def narrative(explanation: Explanation, movement: Movement | None = None) -> list[str]:
    """Summarize the risk of one stay in a few sentences.

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay.
    movement : Movement, optional
        Changes of the risk of the same stay. With it, the largest change is attributed in points of risk; without
        it, the measurements made then are listed, those first that moved the risk most at the end.

    Returns
    -------
    list of str
        Sentences of plain text.
    """
    sentences = [*lead_sentences(explanation, movement), *uncertainty_sentences(explanation)]
    sentences.append(explanation.trajectory_note)
    sentences += [stale_variables(explanation), _never_measured(explanation)]
    return [sentence for sentence in sentences if sentence]


def lead_sentences(explanation: Explanation, movement: Movement | None = None) -> list[str]:
    """Write the first sentences: the risk, what it means, and the moment at which it changed most, with its causes.

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay.
    movement : Movement, optional
        Changes of the risk of the same stay.

    Returns
    -------
    list of str
        One to three sentences.
    """
    source = explanation if movement is None else movement
    left_out = explanation.risk_trajectory.loc[is_uncalibrated(explanation.risk_trajectory), "hours"]
    trajectory = source.risk_trajectory.loc[~source.risk_trajectory["hours"].isin(left_out), ["hours", "risk"]]
    sentences = [
        _risk_sentence(explanation),
        _alert_sentence(explanation),
        standing_text(explanation, outcome_text(explanation)),
    ]
    change = largest_change(trajectory)
    if change is not None:
        sentences.append(_change_sentence(explanation, movement, trajectory, first=change[0], last=change[1]))
    return [sentence for sentence in sentences if sentence]


def largest_change(trajectory: pd.DataFrame) -> tuple[float, float] | None:
    """Find the hours between which the risk changed most within three hours; the first risk is left out.

    Parameters
    ----------
    trajectory : DataFrame
        hours (ascending), risk.

    Returns
    -------
    (float, float) or None
        First and last hour; None where there is no such pair or the risk changed by less than half a point.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.view.text.narrative import largest_change
    >>> largest_change(pd.DataFrame({"hours": [0.0, 4, 5, 6, 12], "risk": [0.1, 0.1, 0.3, 0.31, 0.32]}))
    (4.0, 6.0)
    """
    later = trajectory.iloc[1:]
    hours, risk = later["hours"].to_numpy(dtype=float), later["risk"].to_numpy(dtype=float)
    if len(hours) > MAX_POINTS:
        index = np.linspace(0, len(hours) - 1, MAX_POINTS).astype(int)
        hours, risk = hours[index], risk[index]
    elapsed = hours[None, :] - hours[:, None]
    inside = (elapsed > 0) & (elapsed <= CHANGE_HOURS)
    change = np.where(inside, np.abs(risk[None, :] - risk[:, None]), 0.0)
    if not change.size or change.max() < MIN_CHANGE:
        return None
    start, end = np.unravel_index(int(change.argmax()), change.shape)
    return float(hours[start]), float(hours[end])


def stale_variables(explanation: Explanation) -> str:
    """List the variables of large contribution that were not measured in the last six hours.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        One sentence; empty where all are recent.
    """
    rows, end, variables = explanation.measurements, last_hour(explanation), variables_by_name(explanation)
    size = rows["contribution"].abs().groupby(rows["variable"]).sum().sort_values(ascending=False).head(MAX_NAMES)
    last = rows.groupby("variable")["hours"].max()
    age = {str(name): end - float(last[name]) for name in size.index}
    stale = [(name, hours) for name, hours in age.items() if hours >= STALE_HOURS and name in variables]
    if not stale:
        return ""
    names = [f"{_label_in_sentence(explanation, name)} for {format_hours(hours)} h" for name, hours in stale]
    return f"Not measured since: {', '.join(names[:MAX_STALE])}."


def uncertainty_sentences(explanation: Explanation) -> list[str]:
    """Write which outcomes the risk leaves open, and how stable it is.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    list of str
        Sentences; none where neither is known.
    """
    sentences = set_text(explanation, outcome_text(explanation)), refit_text(explanation)
    return [sentence for sentence in sentences if sentence]


def _never_measured(explanation: Explanation) -> str:
    """List the variables of the model that were never measured."""
    measured = set(explanation.measurements["variable"])
    names = [one.name for one in explanation.variables if not one.static and one.name not in measured]
    missing = [_label_in_sentence(explanation, name) for name in names]
    if not missing:
        return ""
    more = f" and {len(missing) - MAX_NAMES} more" if len(missing) > MAX_NAMES else ""
    return f"Never measured in these hours: {', '.join(missing[:MAX_NAMES])}{more}."


def _alert_sentence(explanation: Explanation) -> str:
    """Write when an early warning reached its threshold, and when its risk was highest."""
    threshold, rows = explanation.alert_threshold, explanation.risk_trajectory
    if threshold is None or rows.empty:
        return ""
    top, level = (
        next(iter_rows(rows.nlargest(1, "risk"))),
        f"the alert threshold of {format_answer(explanation, threshold)}",
    )
    highest = f"highest, {format_answer(explanation, top.risk)}, at {moment_text(explanation, top.hours)}"
    above = rows.loc[rows["risk"] >= threshold, "hours"]
    if above.empty:
        return f"It never reached {level}. It was {highest}."
    side = "above" if explanation.risk >= threshold else "below"
    first = moment_text(explanation, above.iloc[0])
    return f"At the end it is {side} {level}. It first reached it at {first}, and was {highest}."


def _risk_sentence(explanation: Explanation) -> str:
    answer, reference = (format_answer(explanation, one) for one in (explanation.risk, explanation.reference_risk))
    return f"{target_text(explanation)}: {answer} ({explanation.reference_text} {reference})."


def _change_sentence(
    explanation: Explanation, movement: Movement | None, trajectory: pd.DataFrame, *, first: float, last: float
) -> str:
    """Describe the largest change and up to three causes in its direction."""
    risk = trajectory.set_index("hours")["risk"]
    before, after = float(risk[first]), float(risk[last])
    sentence = (
        f"It {'rose' if after > before else 'fell'} from {format_answer(explanation, before)} to "
        f"{format_answer(explanation, after)} between {moment_text(explanation, first)} and "
        f"{moment_text(explanation, last)}"
    )
    if movement is not None:
        causes = _changes_in_points(explanation, movement, first, last)
    else:
        causes = _changes_by_contribution(explanation, first, last)
    same_sign = [text for text, effect in causes if (effect > 0) == (after > before)][:MAX_CAUSES]
    if not same_sign:
        return f"{sentence}."
    return f"{sentence}{', mostly' if movement is not None else '; measured then:'} {_join_and(same_sign)}."


def _changes_in_points(
    explanation: Explanation, movement: Movement, first: float, last: float
) -> list[tuple[str, float]]:
    """List what changed the risk between two hours, in percentage points, the largest change first."""
    changes = movement.between(first, last)
    total = changes.groupby("variable", sort=False).agg({"risk_change": "sum", "value": "last"}).reset_index()
    total = total.sort_values("risk_change", key=abs, ascending=False)
    return [
        (
            f"{_measurement_text(explanation, row)} ({format_change(explanation, row.risk_change)})",
            float(row.risk_change),
        )
        for row in iter_rows(total)
    ]


def _changes_by_contribution(explanation: Explanation, first: float, last: float) -> list[tuple[str, float]]:
    """List what was measured between two hours, and the contribution of each to the risk at the end."""
    rows = explanation.measurements
    rows = rows[(rows["hours"] > first) & (rows["hours"] <= last)]
    rows = rows.sort_values("contribution", key=abs, ascending=False)
    rows = rows.drop_duplicates("variable")
    return [(_measurement_text(explanation, row), float(row.contribution)) for row in iter_rows(rows)]


def _measurement_text(explanation: Explanation, row: Any) -> str:
    """Write a measurement within a sentence."""
    variable = variables_by_name(explanation).get(row.variable)
    if variable is None:
        return row.variable if np.isnan(row.value) else f"{row.variable} {format_number(row.value)}"
    return f"{_label_in_sentence(explanation, row.variable)} {format_value(variable, row.value)}"


def _label_in_sentence(explanation: Explanation, name: str) -> str:
    """Write a label within a sentence: "lactate", but "GCS" as it is."""
    label = variables_by_name(explanation)[name].label
    is_name = label[:2].isupper() or label.startswith(EPONYMS) or not label[:1].isalpha()
    return label if is_name else label[:1].lower() + label[1:]


def _join_and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
