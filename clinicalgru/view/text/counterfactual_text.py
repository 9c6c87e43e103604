"""The smallest change with which a risk crosses a threshold, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinicalgru.view.plots.timeline import variables_by_name
from clinicalgru.view.text.format import format_percent, iter_rows
from clinicalgru.view.text.variable_text import format_value

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.what_if.counterfactual import Counterfactual

MAX_VARIABLES = 5  # variables that are named
CAUTION = "This is what would move the model, not what would help the patient."


def counterfactual_text(change: Counterfactual, explanation: Explanation) -> list[str]:
    """What would have to be different for the risk to cross a threshold, in a few sentences of plain text.

    change       what `WhatIf.counterfactual` returned
    explanation  of the stay as it is
    """
    side = "below" if change.risk >= change.target_risk else "above"
    now, then, target = (
        format_percent(change.risk),
        format_percent(change.changed_risk),
        format_percent(change.target_risk),
    )
    if not change.valid:
        told = f"No plausible change of what was measured takes the risk from {now} {side} {target}"
        return [f"{told}; the nearest that was found leaves it at {then}."]
    variables = variables_by_name(explanation)
    moved = []
    for row in iter_rows(change.shifts.head(MAX_VARIABLES)):
        variable = variables[row.variable]
        before, after = format_value(variable, row.mean_before), format_value(variable, row.mean_after)
        moved.append(f"{variable.label} from {before} to {after}")
    more = f"; and {len(change.shifts) - MAX_VARIABLES} more, less" if len(change.shifts) > MAX_VARIABLES else ""
    told = f"The smallest change that was found takes the risk from {now} to {then}, {side} {target}"
    return [f"{told}. Means of all measurements would go: {'; '.join(moved)}{more}.", CAUTION]
