"""What moved the risk: each variable once, with its latest value and its trend, grouped by system of the body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clinicalgru.explain.points import point_rate
from clinicalgru.html import Markup, column_header, tag
from clinicalgru.output_unit import is_probability
from clinicalgru.view.plots.timeline_data import last_hour, variables_by_name
from clinicalgru.view.text.format import capitalize_first, format_hours, format_name, iter_rows
from clinicalgru.view.text.risk_points import effect_unit, format_effect
from clinicalgru.view.text.variable_text import format_value

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation

OTHER = "other"
MAX_FINDINGS = 14  # variables in the table; the others are summed
MIN_AGE = 0.05  # hours; a value that is younger is new
MIN_POINTS = 0.0005  # of risk; what would be shown as ±0 points is summed with the others
MIN_SHARE = 0.02  # of the largest effect; smaller ones are summed
COLUMNS = ["variable", "contribution", "value", "hours", "first_value", "first_hours", "is_measured"]


def findings(explanation: Explanation) -> pd.DataFrame:
    """Sum what each variable, static covariate and absent variable contributed.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    DataFrame
        variable, contribution, value and hours of the last and of the first measurement, is_measured, system; the
        largest absolute contribution first. All contributions are there: they add up to those of the explanation.
    """
    known = variables_by_name(explanation)
    rows = explanation.measurements.sort_values("hours", kind="stable")
    by_variable = rows.groupby("variable", sort=False)
    measured = by_variable.agg(
        contribution=("contribution", "sum"), value=("value", "last"), hours=("hours", "last"),
        first_value=("value", "first"), first_hours=("hours", "first"),
    ).reset_index()  # fmt: skip
    static = explanation.static.rename(columns={"name": "variable"})
    parts = [measured.assign(is_measured=True), static.assign(is_measured=True)]
    parts.append(explanation.absent.assign(is_measured=False))
    coded = getattr(explanation, "coded_events", None)
    if coded is not None and len(coded):
        total = {"variable": "coded events", "contribution": coded["contribution"].sum(), "is_measured": True}
        parts.append(pd.DataFrame([total]))
    table = pd.concat([part for part in parts if len(part)] or [pd.DataFrame(columns=COLUMNS)])
    table = table.reindex(columns=COLUMNS)
    table = table.assign(system=[_system(known.get(name)) for name in table["variable"]])
    return table.sort_values("contribution", key=abs, ascending=False, kind="stable", ignore_index=True)


def findings_table(explanation: Explanation, *, bars: bool = True) -> Markup:
    """Build the table of what moved the risk, grouped by system; the system with the largest effect first.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.
    bars : bool, default True
        Whether to draw bars.

    Returns
    -------
    Markup
        The table.
    """
    table = findings(explanation)
    if table.empty:
        return tag("p", "Nothing was known of this stay.", attrs={"class": "quiet"})
    size = table["contribution"].abs()
    least = MIN_POINTS / point_rate(explanation) if is_probability(explanation) else 0.0
    shown = table[(size >= max(MIN_SHARE * size.max(), least)) & (table.index < MAX_FINDINGS)]
    largest = max(float(size.max()), 1e-9)
    order = shown.groupby("system")["contribution"].agg(lambda part: float(part.abs().sum()))
    bodies = []
    for system in order.sort_values(ascending=False, kind="stable").index:
        rows = shown[shown["system"] == system]
        lines = [_row(explanation, row, largest, bars) for row in iter_rows(rows)]
        head = _head_row(explanation, str(system), float(rows["contribution"].sum()), bars)
        bodies.append(tag("tbody", head, *lines))
    bodies.append(tag("tbody", *_totals(explanation, table, shown, bars)))
    names = ("Finding", "Latest value", "Effect", *(("",) if bars else ()))
    head = tag("thead", tag("tr", *(_column(name) for name in names)))
    caption = f"Effects {effect_unit(explanation)}, against the {explanation.reference_text}"
    inner = tag("table", tag("caption", caption), head, *bodies, attrs={"class": "findings"})
    attrs = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption}
    return tag("div", inner, attrs=attrs)


def contributions_csv(explanation: Explanation) -> str:
    """Write all contributions as CSV, in log-odds (or the unit of the outcome), with their parts.

    Parameters
    ----------
    explanation : Explanation
        Explanation of a stay.

    Returns
    -------
    str
        hours, variable, value, by_value, by_measured, by_timing, contribution; then static covariates and variables
        that were not measured.
    """
    parts = [explanation.measurements, explanation.static.rename(columns={"name": "variable"}), explanation.absent]
    table = pd.concat([part for part in parts if len(part)] or [explanation.measurements])
    gap = pd.DataFrame({"variable": ["(not attributed)"], "contribution": [explanation.completeness_gap]})
    return pd.concat([table, gap]).round(6).to_csv(index=False, lineterminator="\n")


def _system(variable: Any) -> str:
    return (variable.system if variable is not None else "") or OTHER


def _column(name: str) -> Markup:
    return column_header(name, {"class": "number"} if name == "Effect" else {})


def _head_row(explanation: Explanation, system: str, total: float, bars: bool) -> Markup:
    effect = tag("td", format_effect(explanation, total), attrs={"class": "number"})
    name = tag("th", capitalize_first(system), attrs={"scope": "rowgroup", "colspan": "2"})
    return tag("tr", name, effect, *([tag("td")] if bars else []), attrs={"class": "system"})


def _row(explanation: Explanation, row: Any, largest: float, bars: bool) -> Markup:
    variable = variables_by_name(explanation).get(row.variable)
    label = variable.label if variable else capitalize_first(format_name(row.variable))
    cells = [
        tag("th", label, attrs={"scope": "row"}),
        tag("td", *_latest(explanation, variable, row)),
        tag(
            "td", f"{arrow(row.contribution)} {format_effect(explanation, row.contribution)}", attrs={"class": "number"}
        ),
    ]
    return tag("tr", *cells, *([bar(row.contribution / largest)] if bars else []))


def _latest(explanation: Explanation, variable: Any, row: Any) -> Sequence[str]:
    """Write the latest value with its age, and the value before it."""
    if not row.is_measured:
        return [tag("span", "not measured", attrs={"class": "quiet"})]
    if variable is None or pd.isna(row.value):
        return ["–" if variable is None else format_value(variable, np.nan)]
    value = format_value(variable, row.value)
    if pd.isna(row.hours):
        return [value]
    first, age = format_value(variable, row.first_value), last_hour(explanation) - row.hours
    before = f", {_trend(row)} {first}" if first != value and row.first_hours < row.hours else ""
    old = f"{format_hours(age)} h old" if age >= MIN_AGE else "new"
    return [value, " ", tag("small", old + before)]


def _trend(row: Any) -> str:
    return "up from" if row.value > row.first_value else "down from"


def _totals(explanation: Explanation, table: pd.DataFrame, shown: pd.DataFrame, bars: bool) -> list[Markup]:
    """The others together, and the sum."""
    others, empty = len(table) - len(shown), [tag("td")] if bars else []
    rest = float(table["contribution"].sum() - shown["contribution"].sum())
    lines = []
    if others:
        text = tag("th", f"{others} others", attrs={"scope": "row", "colspan": "2"})
        effect = tag("td", format_effect(explanation, rest), attrs={"class": "number"})
        lines.append(tag("tr", text, effect, *empty))
    total = float(table["contribution"].sum()) + explanation.completeness_gap
    name = "Together: the risk minus the " if is_probability(explanation) else "Together: the number minus the "
    text = tag("th", name + explanation.reference_text, attrs={"scope": "row", "colspan": "2"})
    effect = tag("td", format_effect(explanation, total), attrs={"class": "number"})
    return [*lines, tag("tr", text, effect, *empty, attrs={"class": "system"})]


def arrow(effect: float) -> str:
    """Return the sign of an effect: ▲ raises, ▼ lowers.

    Parameters
    ----------
    effect : float
        An effect.

    Returns
    -------
    str
        One character.
    """
    return "▲" if effect > 0 else "▼"


def bar(fraction: float) -> Markup:
    """Build the cell of a bar from the middle: to the right it raises, to the left it lowers.

    Parameters
    ----------
    fraction : float
        From -1 to 1, of the half.

    Returns
    -------
    Markup
        A cell that screen readers skip.
    """
    width = 50 * min(abs(fraction), 1.0)
    left = 50.0 if fraction > 0 else 50.0 - width
    css_class = "cg-up" if fraction > 0 else "cg-down"
    inner = tag("span", attrs={"class": css_class, "style": f"margin-left:{left:.1f}%;width:{width:.1f}%"})
    return tag("td", inner, attrs={"class": "bar", "aria-hidden": "true"})
