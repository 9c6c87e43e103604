"""One offline HTML page of a report: TRIPOD+AI items, figures computed again, model card, audit trail."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clinicalgru.html import frame_table, tag
from clinicalgru.view.pages.html_page import page, section, write
from clinicalgru.view.text.card_html import card_html

if TYPE_CHECKING:
    from clinicalgru.serve.report import Report


def report_page(report: Report, path: str | os.PathLike[str]) -> Path:
    """Write one offline HTML page of a report.

    Parameters
    ----------
    report : Report
        Result of `clinicalgru.report`.
    path : str or Path
        File to write; its folder is created.

    Returns
    -------
    Path
        The file.
    """
    items = report.items.assign(item=report.items["item"].astype(str), text=report.items["text"].str.replace("`", ""))
    filled = frame_table("The 27 items; what no run can know is for the author", items, n_text_columns=6)
    numbers = [tag("p", report.check)]
    if len(report.shown_numbers):
        shown = frame_table("Stored and computed again", report.shown_numbers)
        numbers.append(tag("details", tag("summary", f"All {len(report.shown_numbers):,} figures"), shown))
    parts = [section("TRIPOD+AI", filled), section("Numbers", *numbers)]
    parts.append(section("Model card", tag("div", card_html(report.model_card), attrs={"class": "card"})))
    parts.append(section("Audit trail", frame_table("What was read, with its hashes", report.audit, n_text_columns=2)))
    if len(report.runs):
        parts.append(section("Scoring runs", frame_table("From the logs", report.runs, n_text_columns=6)))
    simulated = "yes" if "simulated patients" in report.model_card else "no"
    return write(page("Report", report.title, *parts, provenance={"simulated": simulated}), path)
