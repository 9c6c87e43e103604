"""What moved the risk up to an hour: a small table with bars, which says the same to those who do not see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clinicalgru.html import Markup, tag
from clinicalgru.view.plots.timeline import variables_by_name
from clinicalgru.view.text.format import format_fixed, format_hours, format_percent, iter_rows
from clinicalgru.view.text.variable_text import format_value
from clinicalgru.view.text.narrative import CHANGE_HOURS, format_points

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.risk_changes.movement import Movement

MAX_ROWS = 8


def variable_effects(explanation: Explanation, movement: Movement | None, *, hour: float) -> pd.DataFrame:
    """What each variable had done to the risk by an hour, strongest first.

    explanation  an `Explanation`
    movement     of the same stay; None: effects are those on the risk at the end, in log-odds
    hour         hours since the anchor
    returns      variable, effect, value and hours of its last measurement by then, in_points; with a movement, effects
                 are the points by which the risk moved in the three hours up to then
    """
    rows = explanation.measurements
    rows = rows[rows["hours"] <= hour].sort_values("hours", kind="stable")
    last = rows.groupby("variable")[["value", "hours"]].last()
    if movement is None:
        effect = rows.groupby("variable")["contribution"].sum()
    else:
        effect = movement.between(hour - CHANGE_HOURS, hour).groupby("variable")["risk_change"].sum()
    table = pd.DataFrame({"effect": effect}).join(last, how="left").rename_axis("variable").reset_index()
    table = table.assign(in_points=movement is not None)
    return table.sort_values("effect", key=abs, ascending=False, kind="stable", ignore_index=True)


def effects_table(explanation: Explanation, shown: pd.DataFrame, *, hour: float, plain: bool = False) -> Markup:
    """The strongest of them as a table with bars: to the right and ▲ raises, to the left and ▼ lowers.

    shown  what `variable_effects` returned
    plain  without bars, as for print
    """
    if shown.empty:
        return tag("p", f"Nothing was known by hour {format_hours(hour)}.", attrs={"class": "cg-quiet"})
    in_points = bool(shown["in_points"].iloc[0])
    course = explanation.risk_trajectory[explanation.risk_trajectory["hours"] <= hour]
    now = f" ({format_percent(float(course['risk'].iloc[-1]))} then)" if len(course) else ""
    what = f"What moved the risk in the {format_hours(CHANGE_HOURS)} hours up to hour {format_hours(hour)}{now}" if in_points else (
        f"What was known by hour {format_hours(hour)}{now}, and its effect on the risk at the end (log-odds)"
    )  # fmt: skip
    largest = max(float(shown["effect"].abs().max()), 1e-9)
    lines = [_line(explanation, row, hour, in_points, largest, plain) for row in iter_rows(shown.head(MAX_ROWS))]
    names = ("Variable, last value", "Effect", *(() if plain else ("",)))
    head = tag("thead", tag("tr", *(tag("th", name, attrs={"scope": "col"}) for name in names)))
    table = tag("table", tag("caption", what), head, tag("tbody", *lines), attrs={"style": "width:100%"})
    return tag("div", table, attrs={"class": "scroll"})


def _line(explanation: Explanation, row: object, hour: float, in_points: bool, largest: float, plain: bool) -> Markup:
    name, effect = str(getattr(row, "variable", "")), float(getattr(row, "effect", 0.0))
    amount, at = float(getattr(row, "value", np.nan)), float(getattr(row, "hours", np.nan))
    variable = variables_by_name(explanation).get(name)
    label = variable.label if variable else name
    last = format_value(variable, amount) if variable and not np.isnan(amount) else "–"
    ago = f", {format_hours(hour - at)} h ago" if not np.isnan(at) else ""
    way = "▲" if effect > 0 else "▼"
    told = f"{way} {format_points(effect) if in_points else format_fixed(effect, signed=True)}"
    cells = [
        tag("th", label, tag("small", last + ago), attrs={"scope": "row"}),
        tag("td", told, attrs={"class": "number"}),
    ]
    return tag("tr", *cells, *([] if plain else [_bar(effect / largest)]))


def _bar(part: float) -> Markup:
    """A bar from the middle, `part` of the half to the right or, below 0, to the left."""
    width = 50 * min(abs(part), 1.0)
    left = 50.0 if part > 0 else 50.0 - width
    shape = {"class": "cg-up" if part > 0 else "cg-down", "style": f"margin-left:{left:.1f}%;width:{width:.1f}%"}
    return tag("td", tag("span", attrs=shape), attrs={"style": "width:26%", "aria-hidden": "true"})
