"""One offline HTML page of an update held against a protocol: verdict, conditions, new minus old, the new model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.evaluate.evaluation_text import heading
from clinicalgru.evaluate.metric_descriptions import metric_label
from clinicalgru.html import Markup, frame_table, minus_signs, tag
from clinicalgru.view.pages.evaluation_page import LIMITS, evaluation_sections, metric_meanings
from clinicalgru.view.pages.html_page import page, section, write
from clinicalgru.view.text.format import format_fixed, format_interval, iter_rows

if TYPE_CHECKING:
    from clinicalgru.serve.protocol import ProtocolResult

OWN_LIMITS = (
    "A protocol is worth what it was when the results were not yet known: conditions written afterwards prove nothing.",
    "A pass holds for these stays. Another site, or a later year, needs its own.",
)
MARKS = {"pass": "✓ pass", "fail": "✗ fail"}
CONDITIONS = "What the protocol requires, the 95 % interval found (of a group its AUROC), and whether it is met"
DIFFERENCES = "On the same stays: difference of the new model from the old one, with its 95 % interval"


def protocol_page(result: ProtocolResult, path: str | os.PathLike[str], *, min_cell_size: int = MIN_CELL_SIZE) -> Path:
    """Write one offline HTML page of an update that was held against a protocol.

    Parameters
    ----------
    result : ProtocolResult
        Result of `clinicalgru.compare_bundles`.
    path : str or Path
        File to write; its folder is created.
    min_cell_size : int
        Smallest count that may be shown; 0 shows all, and synthetic patients are always shown.

    Returns
    -------
    Path
        The file.
    """
    evaluation = result.evaluation
    least = 0 if evaluation.simulated else min_cell_size
    notes = [tag("p", one) for one in result.comparison.warnings]
    verdict = tag("p", result.sentence, attrs={"class": "lead"})
    rows = result.table.assign(result=result.table["result"].map(lambda word: MARKS.get(word, f"? {word}")))
    rows = rows.map(lambda cell: minus_signs(str(cell))).rename(columns=str.capitalize)
    parts = [
        section("Verdict", tag("div", verdict, *notes, attrs={"class": "card"})),
        section("Conditions of the protocol", frame_table(CONDITIONS, rows, n_text_columns=4)),
        section("New and old", _differences(result)),
        section("The new model by itself", tag("p", "What follows is of the new model alone.")),
        *evaluation_sections(evaluation, min_cell_size=least),
        metric_meanings(evaluation),
    ]
    provenance = dict(result.provenance) | {"simulated": "yes" if evaluation.simulated else "no"}
    lead = f"New and old model on {heading(evaluation, min_cell_size=least)}"
    lead = f"{provenance['task']}. {lead}" if "task" in provenance else lead
    return write(page("Update of a model", lead, *parts, provenance=provenance, limits=(*OWN_LIMITS, *LIMITS)), path)


def _differences(result: ProtocolResult) -> Markup:
    """Each metric of both models, and the paired difference in words."""
    table = result.comparison.table
    difference = [
        f"{format_fixed(row.difference, signed=True)} ({format_interval(row.low, row.high, signed=True)})"
        for row in iter_rows(table)
    ]
    shown = pd.DataFrame(
        {
            "Metric": [
                metric_label(metric) + ("" if method == "bootstrap" else f", {method}")
                for metric, method in zip(table["metric"], table["method"], strict=True)
            ],
            "Verdict": table["verdict"],
            "Old": [format_fixed(value) for value in table["second"]],
            "New": [format_fixed(value) for value in table["first"]],
            "New − old": difference,
        }
    )
    return frame_table(DIFFERENCES, shown, n_text_columns=2)
