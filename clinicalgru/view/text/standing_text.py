"""What a risk means, in numbers of stays: how many have a lower one, and in how many like it the outcome occurred."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinicalgru.view.plots.timeline_data import is_probability
from clinicalgru.view.text.format import capitalize_first

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation

NOT_KEPT = "How often the outcome occurred in stays with such a risk is not known: there are none to compare with."
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
    rank = ""
    if standing.higher_than is not None:
        rank = f"Higher than {standing.higher_than} of 100 stays that calibrated the model. "
    if not standing.is_known:
        return rank + TOO_FEW
    observed, low, high = (f"{100 * share:.0f}" for share in (standing.observed, standing.low, standing.high))
    share = f"about {observed} of 100 stays with such a risk ({low} to {high}; {standing.stays:,} stays)"
    return f"{rank}{capitalize_first(outcome)} occurred in {share}."
