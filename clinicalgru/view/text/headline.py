"""What is explained, in words, and the headline numbers of an explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clinicalgru.class_names import ONE_OF
from clinicalgru.evaluate.metric_descriptions import format_horizon
from clinicalgru.output_unit import is_probability
from clinicalgru.view.plots.timeline_data import format_answer
from clinicalgru.view.text.format import capitalize_first, format_number, format_outcome, format_percent
from clinicalgru.view.text.risk_points import effect_unit, format_effect

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation

MAX_OUTPUTS = 8  # tiles of classes, labels or horizons


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
    provenance, target = explanation.provenance, format_horizon(explanation.target_text)
    written = provenance.get("outcome", provenance.get("task", "the outcome"))
    outcome = format_outcome(written)
    if target and written.startswith(ONE_OF):  # a class with a name, which may be any phrase
        return f"the outcome “{target}”"
    if target in written.split(" or "):  # one label of several
        return format_outcome(target)
    return f"{outcome}, {target}" if target and target != outcome else outcome


def answer_word(explanation: Explanation) -> str:
    """Name what is explained in one word.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        "risk", or "prediction" for a number.
    """
    return "risk" if is_probability(explanation) else "prediction"


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
    gap = format_effect(explanation, explanation.completeness_gap)
    return [
        ("Predicted risk" if risk else "Expected", answer, outcome_text(explanation)),
        ("Reference risk" if risk else "Reference", reference, explanation.reference_text),
        ("Measurements", f"{len(rows):,}", f"of {rows['variable'].nunique()} variables"),
        ("Not attributed", gap, f"completeness gap, {effect_unit(explanation)}"),
    ]


def output_tiles(explanation: Explanation) -> list[tuple[str, str, str]]:
    """List the risks of all classes, labels or horizons; the page explains one of them.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    list of (str, str, str)
        Name, risk and note of each: horizons in their order, others by their risk. Empty where there is one. Of more
        than eight, the largest risks and the explained one.
    """
    outputs, explained = explanation.outputs, explanation.target_text
    if not str(explained).startswith("within "):
        outputs = outputs.sort_values("risk", ascending=False, kind="stable")
    kept = outputs[(outputs["output"] == explained) | (np.arange(len(outputs)) < MAX_OUTPUTS)]
    return [
        (
            capitalize_first(format_horizon(format_outcome(str(output)))),
            format_percent(float(risk)),
            "explained on this page" if output == explained else "",
        )
        for output, risk in kept[["output", "risk"]].itertuples(index=False)
    ]


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
