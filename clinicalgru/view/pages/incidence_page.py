"""One offline HTML page of the incidence of competing events: in short, over the hours, calibration, all figures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from clinicalgru.html import Markup, frame_table, tag
from clinicalgru.view.pages.html_page import figure, page, section, write
from clinicalgru.view.plots.incidence_plots import plot_incidence, plot_incidence_calibration

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.evaluate.incidence_evaluation import IncidenceEvaluation

LIMITS = (
    "An incidence is that of an event as the first: another event before it prevents it. It is not the risk in a world "
    "without the other events.",
    "Follow-up is taken to end for reasons that have nothing to do with the events to come.",
)
NOTHING: Mapping[str, str] = MappingProxyType({})


def incidence_page(
    evaluation: IncidenceEvaluation, path: str | os.PathLike[str], *, provenance: Mapping[str, str] = NOTHING
) -> Path:
    """Write one offline HTML page of an evaluation of competing events.

    Parameters
    ----------
    evaluation : IncidenceEvaluation
        Result of `evaluate_incidence`.
    path : str or Path
        File to write; its folder is created.
    provenance : mapping of str to str
        Data and models, by name.

    Returns
    -------
    Path
        The file.
    """
    last = evaluation.incidence["hours"].max()
    sentences = tag("ul", *(tag("li", sentence) for sentence in evaluation.sentences))
    stays = tag("p", f"First events: {evaluation.shown_counts}.")
    over, groups = plot_incidence(evaluation), plot_incidence_calibration(evaluation)
    observed = "Lines are predicted, points observed with 95 % intervals (Aalen and Johansen)."
    parts = [
        section("In short", tag("div", sentences, stays, attrs={"class": "card"})),
        section("Over the hours", figure(over, "Incidence of each event", observed), _figures(evaluation)),
        section(
            "Calibration",
            figure(groups, f"By hour {last:g}, in groups of similar prediction", "Small groups are suppressed."),
            *(_groups(event, table) for event, table in evaluation.calibration.items()),
        ),
    ]
    about = dict(provenance) | {"simulated": "yes" if evaluation.simulated else "no"}
    lead = f"{' and '.join(evaluation.events)} in {evaluation.stays:,} stays of {evaluation.patients:,} patients"
    return write(page("Competing events", lead, *parts, provenance=about, limits=LIMITS), path)


def _figures(evaluation: IncidenceEvaluation) -> Markup:
    return frame_table("All figures, with 95 % intervals of resampled patients", evaluation.wide())


def _groups(event: str, table: pd.DataFrame) -> Markup:
    return frame_table(f"{event}, by groups from the lowest predictions up", table, style=".3f")
