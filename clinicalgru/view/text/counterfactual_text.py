"""The smallest change with which a risk crosses a threshold, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinicalgru.view.plots.timeline import known
from clinicalgru.view.text.format import percent, records, value

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.what_if.counterfactual import Counterfactual

MOST = 5  # variables that are named
CAUTION = "This is what would move the model, not what would help the patient."


def crossing(change: Counterfactual, explanation: Explanation) -> list[str]:
    """What would have to be different for the risk to cross a threshold, in a few sentences of plain text.

    change       what `WhatIf.smallest_change` returned
    explanation  of the stay as it is
    """
    side = "below" if change.risk >= change.target else "above"
    now, then, target = percent(change.risk), percent(change.changed_risk), percent(change.target)
    if not change.found:
        told = f"No plausible change of what was measured takes the risk from {now} {side} {target}"
        return [f"{told}; the nearest that was found leaves it at {then}."]
    variables = known(explanation)
    moved = []
    for row in records(change.shifts.head(MOST)):
        variable = variables[row.variable]
        before, after = value(variable, row.mean_before), value(variable, row.mean_after)
        moved.append(f"{variable.label} from {before} to {after}")
    more = f"; and {len(change.shifts) - MOST} more, less" if len(change.shifts) > MOST else ""
    told = f"The smallest change that was found takes the risk from {now} to {then}, {side} {target}"
    return [f"{told}. Means of all measurements would go: {'; '.join(moved)}{more}.", CAUTION]
