"""What a risk means: how often the outcome occurred in stays like it, what it leaves open, how stable it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinicalgru.class_names import JOINED, class_text
from clinicalgru.explain.points import format_points
from clinicalgru.output_unit import is_probability
from clinicalgru.view.plots.timeline_data import format_answer
from clinicalgru.view.text.format import capitalize_first, format_hours

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation

NOT_KEPT = "How often the outcome occurred in stays with such a risk is not known."
TOO_FEW = "How often the outcome occurred in stays with such a risk is not known: too few were alike."


def standing_text(explanation: Explanation, outcome: str) -> str:
    """Write what a risk means among the stays that calibrated the model.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    outcome : str
        Name of the outcome.

    Returns
    -------
    str
        One or two sentences; empty where no risk is explained. Where too little is known, they state that
        instead of a number.
    """
    standing = explanation.standing
    if not is_probability(explanation):
        return ""
    if standing is None:
        return NOT_KEPT
    rank, stays = "", "stays with such a risk"
    if standing.of_highest:
        stays = "stays whose highest risk was such"
    if standing.higher_than is not None:
        highest = "the highest risks of " if standing.of_highest else ""
        rank = f"Higher than {highest}{standing.higher_than} of 100 stays that calibrated the model. "
        if standing.higher_than == 0:
            rank = (
                f"Lower than {'the highest risk of ' * standing.of_highest}nearly all stays that calibrated the model. "
            )
    if not standing.is_known:
        return rank + TOO_FEW
    observed, low, high = (f"{100 * share:.0f}" for share in (standing.observed, standing.low, standing.high))
    share = f"about {observed} of 100 {stays} ({low} to {high}; {standing.stays:,} stays)"
    comma = "," if ", " in outcome else ""  # sepsis, within 12 hours, occurred
    return f"{rank}{capitalize_first(outcome)}{comma} occurred in {share}."


def set_text(explanation: Explanation, outcome: str) -> str:
    """Write which outcomes a risk leaves open, at which coverage, and where that holds.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    outcome : str
        Name of the outcome.

    Returns
    -------
    str
        Two sentences; empty where the model has no sets, or they do not hold at this moment.
    """
    shown = explanation.prediction_set
    if shown is None:
        return ""
    covered = f"{100 * (1 - shown.alpha):.0f} of 100 patients"
    if shown.of_classes:
        classes = "no class: each would be unusual"
        if shown.outcomes != "none":
            classes = JOINED.join(map(class_text, shown.outcomes.split(JOINED)))
        return (
            f"Prediction set: {classes}. Of patients like those of training, about {covered} of each class have it in "
            f"such a set at hour {format_hours(shown.hour)}; at other hours that does not hold."
        )
    sets = {
        "event": outcome,
        "no event": f"no {outcome}",
        "either": f"{outcome} or not: the risk leaves both open",
        "none": "neither: both outcomes would be unusual at this risk",
    }
    whom = f"{covered} with the outcome, and {covered} without it," if shown.by_outcome else f"{covered}"
    return (
        f"Prediction set: {sets[shown.outcomes]}. Of patients like those of training, about {whom} have their outcome "
        f"in such a set at hour {format_hours(shown.hour)}; at other hours that does not hold."
    )


def refit_text(explanation: Explanation) -> str:
    """Write how far such a risk moves when the model is refitted.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        One or two sentences; empty where that was not measured.
    """
    refits = explanation.refit_range
    if refits is None or not is_probability(explanation):
        return ""
    low, high = (format_answer(explanation, end) for end in (refits.low, refits.high))
    points = format_points(refits.mape).removeprefix("+")
    return (
        f"Models developed again on {refits.n_refits} bootstrap samples of the training stays give such stays {low} to "
        f"{high} (95 of 100), on average {points} from this risk. Errors that all of them share are not in this range."
    )
