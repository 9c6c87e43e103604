"""One offline HTML page of a report: TRIPOD+AI items, figures computed again, model card, audit trail."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.html_page import page, section, write

if TYPE_CHECKING:
    import pandas as pd

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
    items = report.items.assign(item=report.items["item"].astype(str))
    parts = [section("TRIPOD+AI", _table("The 27 items; what no run can know is for the author", items, 6))]
    parts.append(section("Numbers", tag("p", report.check), *_some("Stored and computed again", report.shown_numbers)))
    parts.append(section("Model card", tag("div", tag("pre", report.model_card), attrs={"class": "card"})))
    parts.append(section("Audit trail", _table("What was read, with its hashes", report.audit, 2)))
    parts += [section("Scoring runs", _table("From the logs", report.runs, 6))] if len(report.runs) else []
    simulated = "yes" if "simulated patients" in report.model_card else "no"
    return write(page("Report", report.title, *parts, provenance={"simulated": simulated}), path)


def _some(caption: str, shown: pd.DataFrame) -> list[Markup]:
    return [_table(caption, shown, 1)] if len(shown) else []


def _table(caption: str, shown: pd.DataFrame, n_text_columns: int) -> Markup:
    rows = [["-" if cell != cell or cell is None else _cell(cell) for cell in row] for row in shown.to_numpy().tolist()]
    return table(caption, [*map(str, shown.columns)], rows, n_text_columns=n_text_columns)


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
