"""The HTML page of the leakage sentinel: one sentence, and what was tried."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clinicalgru.html import table
from clinicalgru.view.pages.html_page import page, section, write

if TYPE_CHECKING:
    from clinicalgru.leakage.result import LeakageCheck

HEAD = ("Check", "Result", "Note", "Rows changed", "Stays that moved", "Largest difference")
LIMITS = (
    "The sentinel finds only what its checks test, on the stays it drew. It finds no leak that is already in the "
    "values: a result that was entered later under an earlier time looks like one that was known.",
)


def leakage_page(check: LeakageCheck, path: str | os.PathLike[str], *, title: str = "Leakage") -> Path:
    """Write what the leakage sentinel found as one offline HTML page; `LeakageCheck.to_html` calls this function.

    Parameters
    ----------
    check : LeakageCheck
        What `check_no_future` returned.
    path : str or path
        File to write; its folder is created.
    title : str
        Heading of the page.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If the path is a folder.
    """
    about = {"simulated": "yes" if check.simulated else "no", "tolerance": f"{check.tolerance:g}"}
    rows = [[name, result, note, *numbers] for name, result, *numbers, note in check.table_rows()]
    shown = table("What was tried; a risk may depend on none of it", HEAD, rows, n_text_columns=3)
    parts = [section("Checks", shown)]
    return write(page(title, check.sentence, *parts, provenance=about, limits=LIMITS), path)
