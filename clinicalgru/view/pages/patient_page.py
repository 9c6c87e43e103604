"""Why one stay's risk is what it is, as a page to keep, send or print."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.html_page import figure, page, section, tiles, write
from clinicalgru.view.plots.contribution_plots import plot_attention, plot_contributions, top_contributions, value_label
from clinicalgru.view.plots.timeline import (
    HALF_LIFE,
    band_label,
    format_answer,
    has_band,
    last_hour,
    plot_patient,
    variables_by_contribution,
    variables_by_name,
)
from clinicalgru.view.text.format import capitalize_first, format_fixed, format_hours, format_name, format_number, iter_rows
from clinicalgru.view.text.variable_text import format_value
from clinicalgru.view.text.narrative import effect_unit, headline, member_spread, target_text

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation

N_EXPANDED = 8  # variables shown at once; the others are folded
LIMITS = (
    "A contribution says what moved this model, not what harmed or helped the patient; acting on it need not change "
    "the outcome.",
    "A measurement can raise the risk by having been made at all, because of whom it is made for.",
)
TIMELINE = "Filled circles were measured within the adult reference range (shaded), triangles above or below it."
FADES = "Hollow circles carry the last value on and fade"
BAND = (
    "The grey band goes from the 5th to the 95th percentile of {whose}: how far they "
    "disagree. It is not a confidence interval; what they all learned wrong is not in it."
)
SPLIT = (
    "Each bar is one measurement: what its value, the fact that it was measured, and its timing did, {}. "
    "The diamond marks their sum."
)
ATTENTION = (
    "Where the model looked. Attention is not the explanation: a moment can be looked at and change nothing. What "
    "moved the risk is in the contributions."
)


def patient_page(
    explanation: Explanation, path: str | os.PathLike[str], *, title: str = "Why this risk", top: int = 12
) -> Path:
    """One offline HTML page about one stay: its risk over time, what was measured, and what moved the risk.

    explanation  an `Explanation`
    path         the file to write; its folders are made
    title        the heading
    top          how many measurements to list, strongest first
    returns      the path
    refused      a path that is a folder (ArgumentError)
    """
    lead = f"{capitalize_first(explanation.stay_label)}, {format_number(last_hour(explanation))} hours seen"
    seen = tag("div", section("Course", *_course(explanation)), *_static(explanation))
    moved = section("What moved the risk", *_moved(explanation, top))
    columns = tag("div", seen, moved, attrs={"class": "stay"})
    html = page(title, lead, _summary(explanation), columns, provenance=explanation.provenance, limits=LIMITS)
    return write(html, path)


def timeline_caption(explanation: Explanation, half_life: Mapping[str, float] | None = None) -> str:
    """How to read the picture of a stay: its marks, how carried values fade, what its band is.

    half_life  as of `plot_patient`
    """
    life = explanation.half_life if half_life is None else half_life
    named = sorted(
        (life.get(name, HALF_LIFE), variables_by_name(explanation)[name].label)
        for name in variables_by_contribution(explanation)
    )
    said = [TIMELINE]
    if named:
        (soonest, first), (latest, last) = named[0], named[-1]
        some = (
            f"{format_hours(soonest)} hours"
            if soonest == latest
            else f"{_after(soonest, first)} to {_after(latest, last)}"
        )
        own = "as the network lets it fade: " if life and life == explanation.half_life else ""
        said.append(f"{FADES}, {own}half as strong after {some}, until nothing is known.")
    return " ".join([*said, *([BAND.format(whose=band_label(explanation))] if has_band(explanation) else [])])


def _after(amount: float, label: str) -> str:
    return f"{format_hours(amount) if amount < 1000 else 'more than 1,000'} h ({label})"


def _summary(explanation: Explanation) -> Markup:
    answer, baseline = (format_answer(explanation, one) for one in (explanation.risk, explanation.reference_risk))
    said = f"{target_text(explanation)}: {answer} (baseline {baseline}: the same hours with nothing measured)."
    lead = tag("p", said, _drivers(explanation), attrs={"class": "lead"})
    sure = [tag("p", one, attrs={"class": "lead"}) for one in [member_spread(explanation)] if one]
    return tag("section", tiles(headline(explanation)), lead, *sure)


def _drivers(explanation: Explanation) -> str:
    said = [
        f"{value_label(explanation, row)} at hour {format_number(row.hours)} {'raised' if row.contribution > 0 else 'lowered'} it"
        for row in iter_rows(top_contributions(explanation.measurements, 3))
    ]
    return f" What moved it most: {'; '.join(said)}." if said else " Nothing was measured in these hours."


def _course(explanation: Explanation) -> list[Markup]:
    names = variables_by_contribution(explanation)
    said = timeline_caption(explanation)
    shown = [figure(plot_patient(explanation, variables=names[:N_EXPANDED]), "Risk and measurements over time", said)]
    if names[N_EXPANDED:]:
        others = figure(plot_patient(explanation, variables=names[N_EXPANDED:]), "Other variables over time", said)
        shown.append(
            tag(
                "details",
                tag("summary", f"{len(names) - N_EXPANDED} more variables, which moved the risk less"),
                others,
            )
        )
    absent = [one.label for name, one in variables_by_name(explanation).items() if name not in names and not one.static]
    if absent:
        shown.append(tag("p", f"Not measured in these hours: {', '.join(absent)}.", attrs={"class": "quiet"}))
    return shown


def _moved(explanation: Explanation, top: int) -> list[Markup]:
    if explanation.measurements.empty:
        return [tag("p", "Nothing was measured, so nothing but the descriptors moved the risk.")]
    return [
        figure(
            plot_contributions(explanation, top),
            "Measurements that moved it most",
            SPLIT.format(effect_unit(explanation)),
        ),
        _table(explanation, top),
        figure(plot_attention(explanation), "Attention", ATTENTION),
    ]


def _table(explanation: Explanation, top: int) -> Markup:
    variables = variables_by_name(explanation)
    rows = []
    for one in iter_rows(top_contributions(explanation.measurements, top)):
        variable = variables.get(one.variable)
        label, amount = (
            (variable.label, format_value(variable, one.value))
            if variable
            else (one.variable, format_number(one.value))
        )
        parts = (one.contribution, one.by_value, one.by_measured, one.by_timing)
        rows.append([label, format_number(one.hours), amount, *(format_fixed(part, signed=True) for part in parts)])
    head = ("Variable", "Hour", "Value", "Effect", "by value", "by being measured", "by timing")
    caption = f"The {len(rows)} strongest measurements; effects {effect_unit(explanation)}, positive raises it"
    return table(caption, head, rows)


def _static(explanation: Explanation) -> list[Markup]:
    variables = variables_by_name(explanation)
    rows = []
    for one in iter_rows(explanation.static):
        variable = variables.get(one.name)
        label = variable.label if variable else capitalize_first(format_name(one.name))
        amount = format_value(variable, one.value) if variable else format_number(one.value)
        rows.append([label, amount, format_fixed(one.contribution, signed=True)])
    if not rows:
        return []
    shown = table(
        f"What was known of the stay; effects {effect_unit(explanation)}", ("Descriptor", "Value", "Effect"), rows
    )
    return [section("Descriptors", shown)]
