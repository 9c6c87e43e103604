"""One offline HTML page of a validation elsewhere: verdict, evaluation, inputs in training and here, mismatches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clinicalgru.disclosure import MIN_CELL_SIZE, suppress_flow, suppress_nested
from clinicalgru.evaluate.evaluation_text import heading
from clinicalgru.html import Markup, frame_table, tag
from clinicalgru.view.pages.evaluation_page import (
    LIMITS,
    cohort_section,
    evaluation_sections,
    ledger_section,
    metric_meanings,
)
from clinicalgru.view.pages.html_page import page, section, write

if TYPE_CHECKING:
    from clinicalgru.serve.validation_result import Validation

CASE_MIX = (
    "Ranges are those of the means of groups of at least 11 patients. The standardised difference is that of the "
    "means, in standard deviations of such groups; 0.25 or more is marked with !"
)


def validation_page(
    validation: Validation, path: str | os.PathLike[str], *, min_cell_size: int = MIN_CELL_SIZE
) -> Path:
    """Write one offline HTML page of a validation.

    Parameters
    ----------
    validation : Validation
        Result of `clinicalgru.validate`.
    path : str or Path
        File to write; its folder is created.
    min_cell_size : int
        Smallest count that may be shown; 0 shows all, and synthetic patients are always shown.

    Returns
    -------
    Path
        The file.
    """
    evaluation, about = validation.evaluation, validation.about
    least = 0 if evaluation.simulated else min_cell_size
    known = [count for count in suppress_nested([evaluation.stays], min_cell_size=least) if count is not None]
    steps = suppress_flow(about.get("flow", ()), within=known, min_cell_size=least)
    shown = [*known, *(stays for _, stays in steps if stays is not None)]
    shown_evaluation = evaluation_sections(evaluation, min_cell_size=least, without=validation.verdict)
    parts = [_verdict(validation), *shown_evaluation, *_inputs(validation)]
    parts += cohort_section(steps)
    parts += [ledger_section(about["ledger"], shown, least)] if "ledger" in about else []
    parts += [metric_meanings(evaluation)]
    provenance = dict(validation.provenance) | {"simulated": "yes" if evaluation.simulated else "no"}
    lead = f"{evaluation.name} on {heading(evaluation, min_cell_size=least)}"
    return write(page("Validation", lead, *parts, provenance=provenance, limits=LIMITS), path)


def _verdict(validation: Validation) -> Markup:
    """Verdict, and the recalibration where there was one."""
    parts = [tag("p", validation.verdict, attrs={"class": "lead"})]
    parts += [tag("p", sentence) for sentence in validation.recalibration_sentences]
    if validation.recalibration is not None:
        parts.append(frame_table("Before and after recalibration", validation.recalibration.shown_table))
    return section("Verdict", tag("div", *parts, attrs={"class": "card"}))


def _inputs(validation: Validation) -> list[Markup]:
    """Case mix, differences and codes without a variable."""
    listed = tag("ul", *(tag("li", one) for one in validation.differences or ("None was found.",)))
    parts = [section("Differences from the training extract", tag("div", listed, attrs={"class": "card"}))]
    if not validation.case_mix.empty:
        rows = validation.case_mix_rows().reset_index(names="Variable")
        parts.append(section("Inputs in training and here", frame_table(CASE_MIX, rows)))
    if len(validation.unmapped):
        codes = validation.unmapped.astype(str).rename(columns={"code": "Code"})
        parts.append(section("Codes without a variable", frame_table("Of at least 11 rows", codes)))
    return parts
