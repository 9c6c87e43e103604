"""One offline HTML page of the Table 1 of a cohort."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clinicalgru.html import tag
from clinicalgru.view.pages.html_page import page, section, write

if TYPE_CHECKING:
    from clinicalgru.data.task.table_one import TableOne

LIMITS = (
    "Of a variable that is measured, the first value in the window counts. Stays without a value are left out of its "
    "median and quartiles.",
)


def cohort_page(shown: TableOne, path: str | os.PathLike[str], *, title: str = "Table 1") -> Path:
    """Write one offline HTML page of the characteristics of a cohort; `TableOne.to_html` calls this function.

    Parameters
    ----------
    shown : TableOne
        Result of `clinicalgru.table_one`.
    path : str or Path
        File to write; its folder is created.
    title : str
        Heading of the page.

    Returns
    -------
    Path
        The file.
    """
    note = [tag("p", shown.note, attrs={"class": "quiet"})] if shown.note else []
    part = section("Characteristics", shown.as_html(), *note)
    return write(page(title, shown.title, part, provenance=shown.provenance, limits=LIMITS), path)
