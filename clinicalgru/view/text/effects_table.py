"""Table of the effect of each variable on the risk up to an hour, with bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clinicalgru.html import Markup, column_header, tag
from clinicalgru.view.plots.timeline_data import format_answer, variables_by_name
from clinicalgru.view.text.findings import arrow, bar
from clinicalgru.view.text.format import format_hours, iter_rows
from clinicalgru.view.text.narrative import CHANGE_HOURS
from clinicalgru.view.text.risk_points import effect_unit, format_change, format_effect
from clinicalgru.view.text.variable_text import format_value

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.risk_changes.movement import Movement

MAX_ROWS = 8


def variable_effects(explanation: Explanation, movement: Movement | None, *, hour: float) -> pd.DataFrame:
    """Compute the effect of each variable on the risk up to an hour.

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay.
    movement : Movement or None
        Changes of the risk of the same stay. With it, effects are the changes of the risk in the three hours up to
        `hour`; without it, contributions to the risk at the end.
    hour : float
        Hours since the index time.

    Returns
    -------
    DataFrame
        variable, effect, value and hours of its last measurement by then, is_change; the largest absolute effect
        first.
    """
    rows = explanation.measurements
    rows = rows[rows["hours"] <= hour].sort_values("hours", kind="stable")
    last = rows.groupby("variable")[["value", "hours"]].last()
    if movement is None:
        effect = rows.groupby("variable")["contribution"].sum()
    else:
        effect = movement.between(hour - CHANGE_HOURS, hour).groupby("variable")["risk_change"].sum()
    table = pd.DataFrame({"effect": effect}).join(last, how="left").rename_axis("variable").reset_index()
    table = table.assign(is_change=movement is not None)
    return table.sort_values("effect", key=abs, ascending=False, kind="stable", ignore_index=True)


def effects_table(explanation: Explanation, effects: pd.DataFrame, *, hour: float, bars: bool = True) -> Markup:
    """Build a table of the largest effects: ▲ and a bar to the right raise the risk, ▼ and a bar to the left lower it.

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay.
    effects : DataFrame
        What `variable_effects` returned.
    hour : float
        Hours since the index time.
    bars : bool, default True
        Whether to draw bars; print needs none.

    Returns
    -------
    Markup
        The table.
    """
    if effects.empty:
        return tag("p", f"Nothing was known by hour {format_hours(hour)}.", attrs={"class": "cg-quiet"})
    largest = max(float(effects["effect"].abs().max()), 1e-9)
    lines = [_row(explanation, row, hour, largest, bars) for row in iter_rows(effects.head(MAX_ROWS))]
    names = ("Variable, last value", "Effect", *(("",) if bars else ()))
    head = tag("thead", tag("tr", *map(column_header, names)))
    caption = tag("caption", _caption(explanation, hour, is_change=bool(effects["is_change"].iloc[0])))
    return tag("div", tag("table", caption, head, tag("tbody", *lines), attrs={"style": "width:100%"}),
               attrs={"class": "scroll"})  # fmt: skip


def _caption(explanation: Explanation, hour: float, *, is_change: bool) -> str:
    """Say what the effects of the table are, with the risk at the hour."""
    trajectory = explanation.risk_trajectory[explanation.risk_trajectory["hours"] <= hour]
    risk = f" ({format_answer(explanation, float(trajectory['risk'].iloc[-1]))} then)" if len(trajectory) else ""
    if is_change:
        hours = f"{format_hours(CHANGE_HOURS)} hours up to hour {format_hours(hour)}"
        return f"Changes of the risk in the {hours}{risk}"
    unit = effect_unit(explanation)
    return f"What was known by hour {format_hours(hour)}{risk}, and its effect on the risk at the end, {unit}"


def _row(explanation: Explanation, row: Any, hour: float, largest: float, bars: bool) -> Markup:
    """Build the row of a variable: label, last value and its age, effect, bar."""
    variable = variables_by_name(explanation).get(row.variable)
    label = variable.label if variable else row.variable
    value = format_value(variable, row.value) if variable and not np.isnan(row.value) else "–"
    age = f", {format_hours(hour - row.hours)} h ago" if not np.isnan(row.hours) else ""
    effect = format_change(explanation, row.effect) if row.is_change else format_effect(explanation, row.effect)
    cells = [
        tag("th", label, tag("small", value + age), attrs={"scope": "row"}),
        tag("td", f"{arrow(row.effect)} {effect}", attrs={"class": "number"}),
    ]
    return tag("tr", *cells, *([bar(row.effect / largest)] if bars else []))
