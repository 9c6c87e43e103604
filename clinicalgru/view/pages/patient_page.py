"""HTML page that explains the risk of one stay, to keep, send or print."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.html_page import figure, page, section, tiles, write
from clinicalgru.view.plots.contribution_plots import plot_attention, plot_contributions, top_contributions, value_label
from clinicalgru.view.plots.timeline import plot_patient
from clinicalgru.view.plots.timeline_data import (
    band_label,
    format_answer,
    has_band,
    last_hour,
    variables_by_contribution,
    variables_by_name,
)
from clinicalgru.view.plots.variable_data import HALF_LIFE
from clinicalgru.view.text.format import (
    capitalize_first,
    format_fixed,
    format_hours,
    format_name,
    format_number,
    iter_rows,
)
from clinicalgru.view.text.headline import effect_unit, headline, lead_text, target_text
from clinicalgru.view.text.narrative import member_spread
from clinicalgru.view.text.variable_text import format_value

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation

N_EXPANDED = 8  # variables drawn at once; the others are folded
LIMITS = (
    "A contribution says what moved this model. It does not say what harmed or helped the patient; acting on it need "
    "not change the outcome.",
    "The fact that a measurement was made can raise the risk by itself, because of the patients in whom it is made.",
)
MARKERS = "Filled circles were measured within the adult reference range (shaded), triangles above or below it."
N_EFFECTS = 3  # variables in the first sentence
N_ABSENT = 5  # variables named that were not measured
CARRIED = "Hollow circles carry the last value forward and fade"
BAND = (
    "The grey band goes from the 5th to the 95th percentile of {members}: how far they disagree. It is not a "
    "confidence interval: errors that all members share are not in it."
)
COMPONENTS = (
    "Each bar is one measurement: the effects of its value, of the fact that it was measured, and of its timing, {}. "
    "The diamond marks their sum."
)
ATTENTION = (
    "Where the model attends. Attention is not the explanation: the model can attend to a moment without any effect on "
    "the risk. The effects are in the contributions."
)


def patient_page(
    explanation: Explanation,
    path: str | os.PathLike[str],
    *,
    title: str = "Explanation of the risk",
    top: int = 12,
) -> Path:
    """Write an offline HTML page about one stay: risk over time, measurements, and their contributions.

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay.
    path : str or path
        File to write; its folder is created.
    title : str
        Heading of the page.
    top : int, default 12
        Number of measurements to list.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If `path` is a folder.
    """
    lead = lead_text(explanation.stay_label, last_hour(explanation))
    course = tag("div", section("Course", *_course(explanation)), *_static(explanation))
    columns = tag("div", course, section("Effects on the risk", *_effects(explanation, top)), attrs={"class": "stay"})
    html = page(title, lead, _summary(explanation), columns, provenance=explanation.provenance, limits=LIMITS)
    return write(html, path)


def timeline_caption(explanation: Explanation, half_life: Mapping[str, float] | None = None) -> str:
    """Say how to read the timeline of a stay: its markers, how carried values fade, what the band is.

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay.
    half_life : mapping of str to float, optional
        As of `plot_patient`.

    Returns
    -------
    str
        Two or three sentences.
    """
    by_name = explanation.half_life if half_life is None else half_life
    known = variables_by_name(explanation)
    names = variables_by_contribution(explanation)
    lives = sorted((by_name.get(name, HALF_LIFE), known[name].label) for name in names)
    sentences = [MARKERS]
    if lives:
        (shortest, _), (longest, _) = lives[0], lives[-1]
        hours = f"{format_hours(shortest)} hours"
        if shortest != longest:
            hours = " to ".join(_half_life_text(*end) for end in (lives[0], lives[-1]))
        learned = "as the network decays it: " if by_name and by_name == explanation.half_life else ""
        sentences.append(f"{CARRIED}, {learned}half as strong after {hours}, until nothing is known.")
    if explanation.trajectory_note:
        sentences.insert(0, explanation.trajectory_note)
    if has_band(explanation):
        sentences.append(BAND.format(members=band_label(explanation)))
    return " ".join(sentences)


def _half_life_text(hours: float, label: str) -> str:
    return f"{format_hours(hours) if hours < 1000 else 'more than 1,000'} h ({label})"


def _summary(explanation: Explanation) -> Markup:
    """Build the headline numbers and the first sentences."""
    answer, reference = (format_answer(explanation, one) for one in (explanation.risk, explanation.reference_risk))
    text = f"{target_text(explanation)}: {answer} ({explanation.reference_text} {reference})."
    lead = tag("p", text, _largest_effects(explanation), attrs={"class": "lead"})
    spread = [tag("p", text, attrs={"class": "lead"}) for text in [member_spread(explanation)] if text]
    return tag("section", tiles(headline(explanation)), lead, *spread)


def _largest_effects(explanation: Explanation) -> str:
    """Name the three variables with the largest effects, each with its last value."""
    rows = explanation.measurements
    if rows.empty:
        return " Nothing was measured in these hours."
    effect = rows.groupby("variable")["contribution"].sum().sort_values(key=abs, ascending=False, kind="stable")
    last = rows.sort_values("hours", kind="stable").drop_duplicates("variable", keep="last").set_index("variable")
    shown = last.loc[effect.index[:N_EFFECTS]].reset_index()
    effects = [
        f"{value_label(explanation, row)} (last, hour {format_number(row.hours)}) "
        f"{'raised' if effect[row.variable] > 0 else 'lowered'} it"
        for row in iter_rows(shown)
    ]
    return f" Largest effects: {'; '.join(effects)}."


def _course(explanation: Explanation) -> list[Markup]:
    """Build the timeline; variables beyond the first eight are folded."""
    names, caption = variables_by_contribution(explanation), timeline_caption(explanation)
    first = plot_patient(explanation, variables=names[:N_EXPANDED])
    parts = [figure(first, "Risk and measurements over time", caption)]
    if names[N_EXPANDED:]:
        others = figure(plot_patient(explanation, variables=names[N_EXPANDED:]), "Other variables over time", caption)
        heading = tag("summary", f"{len(names) - N_EXPANDED} more variables, with smaller effects")
        parts.append(tag("details", heading, others))
    known = variables_by_name(explanation)
    absent = [variable.label for name, variable in known.items() if name not in names and not variable.static]
    if absent:
        parts.append(tag("p", f"Not measured in these hours: {', '.join(absent)}.", attrs={"class": "quiet"}))
    return parts


def _effects(explanation: Explanation, top: int) -> list[Markup]:
    """Build the figures and the table of contributions and attention."""
    if explanation.measurements.empty:
        return [tag("p", "Nothing was measured, so only the static covariates had an effect.")]
    caption = COMPONENTS.format(effect_unit(explanation))
    return [
        *_absent(explanation),
        figure(plot_contributions(explanation, top), "Measurements with the largest effects", caption),
        _table(explanation, top),
        figure(plot_attention(explanation), "Attention", ATTENTION),
    ]


def _absent(explanation: Explanation) -> list[Markup]:
    """Name the variables whose absence has the largest effects, against the average of training stays."""
    known, rows = variables_by_name(explanation), explanation.absent.head(N_ABSENT)
    effects = [
        f"{known[row.variable].label if row.variable in known else row.variable} "
        f"({format_fixed(row.contribution, signed=True)})"
        for row in iter_rows(rows)
    ]
    text = f"Not measured, with an effect {effect_unit(explanation)} against the average: {', '.join(effects)}."
    return [tag("p", text, attrs={"class": "quiet"})] if effects else []


def _table(explanation: Explanation, top: int) -> Markup:
    """Build the table of the largest contributions with their three components."""
    variables, rows = variables_by_name(explanation), []
    for row in iter_rows(top_contributions(explanation.measurements, top)):
        variable = variables.get(row.variable)
        label = variable.label if variable else row.variable
        value = format_value(variable, row.value) if variable else format_number(row.value)
        effects = (row.contribution, row.by_value, row.by_measured, row.by_timing)
        rows.append([label, format_number(row.hours), value, *(format_fixed(one, signed=True) for one in effects)])
    head = ("Variable", "Hour", "Value", "Effect", "by value", "by being measured", "by timing")
    caption = (
        f"The {len(rows)} measurements with the largest effects {effect_unit(explanation)}; positive raises the risk"
    )
    return table(caption, head, rows)


def _static(explanation: Explanation) -> list[Markup]:
    """Build the table of static covariates."""
    variables, rows = variables_by_name(explanation), []
    for row in iter_rows(explanation.static):
        variable = variables.get(row.name)
        label = variable.label if variable else capitalize_first(format_name(row.name))
        value = format_value(variable, row.value) if variable else format_number(row.value)
        rows.append([label, value, format_fixed(row.contribution, signed=True)])
    if not rows:
        return []
    caption = f"Static covariates of the stay; effects {effect_unit(explanation)}"
    return [section("Static covariates", table(caption, ("Covariate", "Value", "Effect"), rows))]
