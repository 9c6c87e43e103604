"""The result of the leakage sentinel: what was tried, what it changed, and one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, is_small
from clinicalgru.display import to_html
from clinicalgru.html import summary_html, table

CAPTION = "What was tried; a risk may depend on none of it"
HEAD = ("Check", "Result", "Rows changed", "Stays that moved", "Largest difference", "Note")
COLUMNS = ["check", "result", "rows_changed", "n_stays", "n_moved", "largest_difference", "note"]
LEAK, SAME, NOT_TRIED = "leak", "no leak", "not tried"


@dataclass(frozen=True, eq=False)
class LeakageCheck:
    """What the leakage sentinel tried, and which of it changed a risk.

    Attributes
    ----------
    table : DataFrame
        One row per check: check, result ("leak", "no leak" or "not tried"), rows_changed, n_stays (compared), n_moved
        (stays whose risk moved by more than the tolerance), largest_difference, note.
    moved : DataFrame
        check, stay_id, before, after, difference of each stay whose risk moved. Identifiers stand here only.
    tolerance : float
        Largest difference that is none.
    simulated : bool
        Whether the patients are synthetic; only then small counts are printed.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> cohort = cg.simulate(20, random_state=0)
    >>> def mean_of_everything(tables):
    ...     return tables["measurements"].groupby("stay_id")["value"].mean()
    >>> result = cg.check_no_future(mean_of_everything, cohort, prediction_time=12)
    >>> result.passed
    False
    >>> "later rows deleted" in result.leaks
    True
    """

    table: pd.DataFrame
    moved: pd.DataFrame
    tolerance: float
    simulated: bool = False

    @property
    def leaks(self) -> tuple[str, ...]:
        """Names of the checks that found a leak."""
        return tuple(self.table.loc[self.table["result"] == LEAK, "check"])

    @property
    def passed(self) -> bool:
        """Whether no check found a leak."""
        return not self.leaks

    @property
    def largest_difference(self) -> float:
        """Largest change of a risk over all checks that compare risks; infinite where a risk vanished."""
        return float(self.table["largest_difference"].max())

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        tried = self.table[self.table["result"] != NOT_TRIED]
        compared = int(tried.loc[tried["largest_difference"].notna(), "n_stays"].max())
        if self.passed:
            return (
                f"No leak found by {len(tried)} checks on {compared:,} stays: nothing from after the prediction time "
                f"changed a risk by more than {self.tolerance:g}."
            )
        return (
            f"LEAK found by {len(self.leaks)} of {len(tried)} checks: {', '.join(self.leaks)}. Risks of this pipeline "
            "depend on what is not known when they are due, or its evaluation is not fair."
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the result as plain values, without identifiers.

        Returns
        -------
        dict
            sentence, passed, leaks, largest_difference (None where a risk vanished), tolerance.
        """
        largest = self.largest_difference
        finite = None if pd.isna(largest) or largest == float("inf") else largest
        return {
            "sentence": self.sentence,
            "passed": self.passed,
            "leaks": list(self.leaks),
            "largest_difference": finite,
            "tolerance": self.tolerance,
        }

    def table_rows(self, *, min_cell_size: int | None = None) -> list[list[str]]:
        """Give the table as text.

        Parameters
        ----------
        min_cell_size : int, optional
            Counts of 1 to below this are printed as a bound; None: 11, or 0 for synthetic patients.

        Returns
        -------
        list of list of str
            One row per check, in the order of `HEAD`.
        """
        least = min_cell_size if min_cell_size is not None else 0 if self.simulated else MIN_CELL_SIZE
        return [
            [
                str(row["check"]),
                str(row["result"]),
                _count(row["rows_changed"], 0),
                _count(row["n_moved"], least),
                "" if pd.isna(row["largest_difference"]) else f"{row['largest_difference']:.2g}",
                str(row["note"]),
            ]
            for row in self.table.to_dict("records")
        ]

    def to_html(self, path: str | Path) -> Path:
        """Write one offline page.

        Parameters
        ----------
        path : str or Path
            File to write.

        Returns
        -------
        Path
            The file.
        """
        return to_html(self, path)

    def __str__(self) -> str:
        rows = [list(HEAD), *self.table_rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([self.sentence, "", *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return summary_html("Leakage", {"result": self.sentence}, table(CAPTION, HEAD, self.table_rows()))


def _count(count: float, min_cell_size: int) -> str:
    if pd.isna(count):
        return ""
    return f"fewer than {min_cell_size}" if is_small(count, min_cell_size) else f"{count:,.0f}"
