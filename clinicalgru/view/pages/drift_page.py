"""One offline HTML page of a comparison with training: alarms, weeks and groups, all comparisons."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from clinicalgru.html import frame_table, tag
from clinicalgru.view.pages.html_page import page, section, write

if TYPE_CHECKING:
    from clinicalgru.serve.drift_result import Drift

LIMITS = (
    "An alarm says that patients differ from those of training, not why, nor whether the risks are wrong. Without a "
    "change at most 1 % of runs have an alarm.",
    "No alarm does not say that nothing changed: small changes of few patients are not found.",
)


EACH = "Each comparison; p below its limit is an alarm. –: suppressed, or more than one number."


def drift_page(drift: Drift, path: str | os.PathLike[str]) -> Path:
    """Write one offline HTML page of a comparison with training.

    Parameters
    ----------
    drift : Drift
        Result of `clinicalgru.drift`.
    path : str or Path
        File to write; its folder is created.

    Returns
    -------
    Path
        The file. It holds no count of patients below 100.
    """
    notes = tag("ul", *(tag("li", note) for note in drift.notes or ("All kinds were compared.",)))
    parts = [section("Notes", tag("div", notes, attrs={"class": "card"}))]
    if drift.exit_code:
        parts.insert(0, section("Alarms", frame_table("The clearest first", drift.rows(alarms=True), n_text_columns=3)))
    groups = drift.by_group().map(_words)
    parts.append(
        section(
            "By week and group",
            frame_table("Number of alarms of each kind. Patients are rounded down.", groups, n_text_columns=2),
        )
    )
    every = drift.rows()
    shown = frame_table(EACH, every, n_text_columns=3)
    parts.append(
        section(
            "All patients",
            tag("details", tag("summary", f"All {len(every):,} comparisons"), shown),
        )
    )
    provenance = dict(drift.provenance) | {"simulated": "yes" if drift.simulated else "no"}
    return write(page("Drift", drift.sentence, *parts, provenance=provenance, limits=LIMITS), path)


def _words(value: object) -> str:
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:.1%}"
    return str(value)
