"""The smallest change with which a risk crosses a threshold, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinicalgru.view.plots.timeline_data import variables_by_name
from clinicalgru.view.text.format import format_percent, iter_rows
from clinicalgru.view.text.variable_text import format_value

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.what_if.counterfactual import Counterfactual

MAX_VARIABLES = 5  # variables that are named
CAUTION = "This is what would move the model, not what would help the patient."


def counterfactual_text(counterfactual: Counterfactual, explanation: Explanation) -> list[str]:
    """Describe the smallest change with which a risk crosses a threshold.

    Parameters
    ----------
    counterfactual : Counterfactual
        What `WhatIf.counterfactual` returned.
    explanation : Explanation
        Explanation of the stay as it is.

    Returns
    -------
    list of str
        Sentences of plain text; the last says what the change does not mean.
    """
    side = "below" if counterfactual.risk >= counterfactual.target_risk else "above"
    risks = (counterfactual.risk, counterfactual.changed_risk, counterfactual.target_risk)
    now, changed, target = (format_percent(risk) for risk in risks)
    if not counterfactual.valid:
        result = f"No plausible change of what was measured takes the risk from {now} {side} {target}"
        return [f"{result}; the nearest that was found leaves it at {changed}."]
    variables, shifts = variables_by_name(explanation), []
    for row in iter_rows(counterfactual.shifts.head(MAX_VARIABLES)):
        variable = variables[row.variable]
        before, after = format_value(variable, row.mean_before), format_value(variable, row.mean_after)
        shifts.append(f"{variable.label} from {before} to {after}")
    n_more = len(counterfactual.shifts) - MAX_VARIABLES
    more = f"; and {n_more} more, by less" if n_more > 0 else ""
    result = f"The smallest change that was found takes the risk from {now} to {changed}, {side} {target}"
    return [f"{result}. Means of all measurements would go: {'; '.join(shifts)}{more}.", CAUTION]
