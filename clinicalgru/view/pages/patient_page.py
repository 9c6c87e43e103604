"""HTML page that explains the risk of one stay, to keep, send or print."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from clinicalgru.html import Markup, tag
from clinicalgru.output_unit import is_probability
from clinicalgru.view.pages.html_page import figure, page, section, tiles, write
from clinicalgru.view.plots.contribution_plots import attention_drawing, contributions_drawing
from clinicalgru.view.plots.timeline import patient_drawing
from clinicalgru.view.plots.timeline_data import (
    last_hour,
    variables_by_contribution,
    variables_by_name,
)
from clinicalgru.view.plots.variable_data import HALF_LIFE
from clinicalgru.view.text.findings import contributions_csv, findings_table
from clinicalgru.view.text.format import capitalize_first, format_hours
from clinicalgru.view.text.headline import answer_word, headline, lead_text, output_tiles
from clinicalgru.view.text.moments import clock
from clinicalgru.view.text.narrative import lead_sentences, stale_variables, uncertainty_sentences
from clinicalgru.view.text.risk_points import POINTS_NOTE, effect_unit

if TYPE_CHECKING:
    from clinicalgru.explain.result import Explanation
    from clinicalgru.explain.risk_changes.movement import Movement

N_EXPANDED = 6  # variables drawn at once; the others are folded
PER_FIGURE = 9  # of the others; so many fit a printed page
LIMITS = (
    "A contribution says what moved this model. It does not say what harmed or helped the patient; acting on it need "
    "not change the outcome.",
    "The fact that a measurement was made can raise the risk by itself, because of the patients in whom it is made.",
)
MEANING = "The {} describes stays like this one. It does not say what will happen to this patient, or what would help."
MARKERS = "Filled circles were measured within the adult reference range (shaded), triangles above or below it."
CARRIED = "A thin line carries the last value forward and fades"
MARKS = "Upright dashes at the bottom of the risk are coded events: drugs, procedures, transfers."
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
    title: str | None = None,
    top: int = 12,
    movement: Movement | None = None,
    threshold: float | None = None,
) -> Path:
    """Write an offline HTML page about one stay: its risk over time, what moved it, and its measurements.

    Parameters
    ----------
    explanation : Explanation
        Explanation of the stay.
    path : str or path
        File to write; its folder is created.
    title : str, optional
        Heading of the page. None: what is explained, a risk or a prediction.
    top : int, default 12
        Number of single measurements to draw.
    movement : Movement, optional
        Changes of the risk of the same stay: the first sentences then say what moved the risk at the moment when it
        changed most.
    threshold : float, optional
        A risk at which a line is drawn; by default the alert threshold of an early warning.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If `path` is a folder.
    """
    html = patient_html(explanation, title=title, top=top, movement=movement, threshold=threshold)
    return write(html, path)


def patient_html(
    explanation: Explanation,
    *,
    title: str | None = None,
    top: int = 12,
    movement: Movement | None = None,
    threshold: float | None = None,
    note: str = "",
    navigation: Markup | None = None,
    plotly_path: str | None = None,
) -> Markup:
    """Build the page that `patient_page` writes.

    Parameters
    ----------
    explanation, title, top, movement, threshold
        See `patient_page`.
    note : str
        A sentence after the first ones.
    navigation : Markup, optional
        Links above the heading.
    plotly_path : str, optional
        Where the page's own server has plotly.

    Returns
    -------
    Markup
        The page.
    """
    threshold = explanation.alert_threshold if threshold is None else threshold
    what = answer_word(explanation)
    moment = clock(explanation, last_hour(explanation))
    lead = lead_text(explanation.stay_label, last_hour(explanation)) + (f", until {moment}" if moment else "")
    texts = [*lead_sentences(explanation, movement), *([note] if note else [])]
    sentences = [tag("p", text, attrs={"class": "lead"}) for text in texts]
    sentences.append(tag("p", MEANING.format(what), attrs={"class": "quiet"}))
    course = tag("div", section("Course", *_course(explanation, threshold)))
    moved = tag("div", section(f"What moved the {what}", findings_table(explanation), *_download(explanation)))
    columns = tag("div", course, moved, attrs={"class": "stay"})
    others = tiles(output_tiles(explanation)) if len(explanation.outputs) else ""
    parts = (
        tag("section", *sentences, *([others] if others else [])),
        columns,
        section("In numbers", tiles(headline(explanation))),
    )
    notes = section("How to read this page", *_notes(explanation))
    return page(
        title or f"Explanation of the {what}",
        lead,
        *parts,
        notes,
        _details(explanation, top),
        provenance=explanation.provenance,
        limits=LIMITS,
        navigation=navigation,
        plotly_path=plotly_path,
    )


def timeline_caption(explanation: Explanation, half_life: Mapping[str, float] | None = None) -> str:
    """Say how to read the timeline of a stay: its markers, and how carried values fade.

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
    sentences = [MARKERS, *([MARKS] if len(explanation.marks) else [])]
    if lives:
        (shortest, _), (longest, _) = lives[0], lives[-1]
        hours = f"{format_hours(shortest)} hours"
        if shortest != longest:
            hours = " to ".join(_half_life_text(*end) for end in (lives[0], lives[-1]))
        learned = "as the network decays it: " if by_name and by_name == explanation.half_life else ""
        sentences.append(f"{CARRIED}, {learned}half as strong after {hours}, until nothing is known.")
    if explanation.trajectory_note:
        sentences.insert(0, explanation.trajectory_note)
    return " ".join(sentences)


def _half_life_text(hours: float, label: str) -> str:
    return f"{format_hours(hours) if hours < 1000 else 'more than 1,000'} h ({label})"


def _course(explanation: Explanation, threshold: float | None) -> list[Markup]:
    """Build the timeline; variables beyond the first are folded."""
    names = variables_by_contribution(explanation)
    first = patient_drawing(explanation, variables=names[:N_EXPANDED], threshold=threshold)
    parts = [figure(first, f"{capitalize_first(answer_word(explanation))} and measurements over time", "")]
    others = [names[at : at + PER_FIGURE] for at in range(N_EXPANDED, len(names), PER_FIGURE)]
    if others:
        drawn = [patient_drawing(explanation, variables=few, threshold=threshold) for few in others]
        n_more = len(names) - N_EXPANDED
        heading = tag("summary", f"{n_more} more variable{'' if n_more == 1 else 's'}, with smaller effects")
        parts.append(tag("details", heading, *(figure(one, "Other variables over time", "") for one in drawn)))
    return parts


def _notes(explanation: Explanation) -> list[Markup]:
    """Write how to read the figures, what the risk leaves open, how stable it is, and what was not measured."""
    names, known = variables_by_contribution(explanation), variables_by_name(explanation)
    absent = [variable.label for name, variable in known.items() if name not in names and not variable.static]
    missing = f"Not measured in these hours: {', '.join(absent)}." if absent else ""
    points = POINTS_NOTE.format(reference=explanation.reference_text) if is_probability(explanation) else ""
    nothing = "" if names else "Nothing was measured in these hours."
    texts = [nothing, timeline_caption(explanation), points, *uncertainty_sentences(explanation)]
    return [tag("p", text) for text in [*texts, stale_variables(explanation), missing] if text]


def _details(explanation: Explanation, top: int) -> Markup:
    """Build the folded figures: single measurements and attention."""
    if explanation.measurements.empty:
        return Markup("")
    caption = COMPONENTS.format(effect_unit(explanation))
    return tag(
        "details",
        tag("summary", "Single measurements, and where the model attends"),
        figure(contributions_drawing(explanation, top), "Measurements with the largest effects", caption),
        figure(attention_drawing(explanation), "Attention", ATTENTION),
    )


def _download(explanation: Explanation) -> list[Markup]:
    """Build the link to the table of all contributions in log-odds."""
    href = f"data:text/csv;charset=utf-8,{quote(contributions_csv(explanation))}"
    unit = "log-odds" if is_probability(explanation) else "the unit of the outcome"
    link = tag(
        "a", f"Table of all contributions in {unit} (CSV)", attrs={"href": href, "download": "contributions.csv"}
    )
    return [tag("p", link, attrs={"class": "quiet no-print"})]
