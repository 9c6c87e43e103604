"""One offline HTML page of the competing events of one stay: incidence in words and over the hours, what moved each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.html_page import figure, page, section, tiles, write
from clinicalgru.view.pages.incidence_page import LIMITS as OF_INCIDENCE
from clinicalgru.view.pages.patient_page import LIMITS
from clinicalgru.view.plots.incidence_plots import plot_stay_incidence
from clinicalgru.view.plots.timeline import patient_drawing
from clinicalgru.view.plots.timeline_data import last_hour, variables_by_contribution
from clinicalgru.view.text.findings import findings_table
from clinicalgru.view.text.format import capitalize_first, format_hours, format_outcome, format_percent
from clinicalgru.view.text.headline import lead_text

if TYPE_CHECKING:
    from clinicalgru.explain.incidence_explanation import IncidenceExplanation
    from clinicalgru.explain.result import Explanation

N_VARIABLES = 6  # drawn over time
STACKED = "From the bottom: each event as the first, one on top of the other; what is left above them is no event yet."
ALONE = (
    "Effects on the risk of {event} {within}, as if no other event could come before it: {risk}. Its incidence is "
    "lower, since other events can prevent it."
)
MEANING = (
    "These figures describe stays like this one. They do not say what will happen to this patient, or what would help."
)


def stay_incidence_page(
    explanation: IncidenceExplanation, path: str | os.PathLike[str], *, title: str = "Competing events of one stay"
) -> Path:
    """Write one offline HTML page of the competing events of one stay.

    Parameters
    ----------
    explanation : IncidenceExplanation
        Result of `explain_incidence`.
    path : str or Path
        File to write; its folder is created.
    title : str
        Heading of the page.

    Returns
    -------
    Path
        The file.
    """
    first = next(iter(explanation.explanations.values()))
    sentences = [tag("p", text, attrs={"class": "lead"}) for text in incidence_sentences(explanation)]
    over = figure(plot_stay_incidence(explanation), "Incidence of each event after the prediction time", STACKED)
    parts = [
        tag("section", *sentences, tag("p", MEANING, attrs={"class": "quiet"}), tiles(_tiles(explanation))),
        section("Over the hours", over, _table(explanation)),
        *(_moved(event, one) for event, one in explanation.explanations.items()),
        section("Measurements", _measurements(first)),
    ]
    about, lead = dict(explanation.provenance), lead_text(explanation.stay_label, last_hour(first))
    return write(page(title, lead, *parts, provenance=about, limits=(*OF_INCIDENCE, *LIMITS)), path)


def incidence_sentences(explanation: IncidenceExplanation) -> list[str]:
    """Say what is expected of each event by each of the hours, and how often nothing will have occurred.

    Parameters
    ----------
    explanation : IncidenceExplanation
        Result of `explain_incidence`.

    Returns
    -------
    list of str
        A sentence for each event, and one for none.
    """
    wide = explanation.incidence
    hours = [float(hour) for hour in wide.index]
    parts = {
        str(event): [
            f"{format_percent(risk)} by hour {format_hours(hour)}" for hour, risk in zip(hours, column, strict=True)
        ]
        for event, column in wide.items()
    }
    *events, none = [(name, _listed(texts)) for name, texts in parts.items()]
    sentences = [f"{capitalize_first(format_outcome(name))} as the first event: {texts}." for name, texts in events]
    return [*sentences, f"None of these yet: {none[1]}."]


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _tiles(explanation: IncidenceExplanation) -> list[tuple[str, str, str]]:
    last = explanation.incidence.iloc[-1]
    note = f"by hour {format_hours(explanation.at_hours[-1])}"
    return [
        (capitalize_first(format_outcome(str(event))), format_percent(float(risk)), note)
        for event, risk in last.items()
    ]


def _table(explanation: IncidenceExplanation) -> Markup:
    wide = explanation.incidence
    rows = [
        [format_hours(hours), *(format_percent(float(one)) for one in row)]
        for hours, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    columns = ["Hours", *(capitalize_first(format_outcome(str(name))) for name in wide.columns)]
    return table("By hours after the prediction time; each row sums to 100 %", columns, rows)


def _moved(event: str, explanation: Explanation) -> Markup:
    """What moved the risk of one event, with what that risk is."""
    risk, within = format_percent(explanation.risk), explanation.target_text
    text = ALONE.format(event=format_outcome(event), within=within, risk=risk)
    return section(
        f"What moved the risk of {format_outcome(event)}",
        tag("p", text, attrs={"class": "quiet"}),
        findings_table(explanation),
    )


def _measurements(explanation: Explanation) -> Markup:
    names = variables_by_contribution(explanation)[:N_VARIABLES]
    event = format_outcome(explanation.provenance.get("outcome", "the first event"))
    title = f"Risk of {event}, {explanation.target_text}, and measurements over time"
    return figure(patient_drawing(explanation, variables=names), title, "")
