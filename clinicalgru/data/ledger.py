"""The ledger of an extract: every row is used, merged or rejected, by reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress, suppress_ledger
from clinicalgru.html import Markup, summary_html, table

# Reasons that do not count against `max_rejected`: they are no error of the extract.
MISSING = "missing value"  # a row without a value: nothing was measured
OUTSIDE = "outside every stay"  # a row of a patient at a time that belongs to no stay
UNMAPPED = "unmapped code"  # a code without a variable, in a source with many more codes than are mapped
RETRACTED = "retracted"  # marked by the source as entered in error or cancelled
CENSORED = "censored value (< or >)"  # below or above the limit of detection
NON_NUMERIC = "non-numeric"  # a category, text or range, where the source says so
DUPLICATE = "duplicate"  # the same value of the same variable at the same time, in another table of the source
SENTINEL = "sentinel date (such as 1900-01-01)"  # a date that stands for "unknown"
LEFT_OUT = "left out by row_filter"  # a row that the user does not want, such as a result that is not final
NOT_COUNTED = (MISSING, OUTSIDE, UNMAPPED, DUPLICATE, RETRACTED, CENSORED, NON_NUMERIC, LEFT_OUT)
# Notes about when accepted rows were known.
TOO_EARLY = "available_at before time (known at the time)"
EARLY_BY_HOURS = "available_at before time by whole hours"
NO_TIME_OF_DAY = "without a time of day (known at the end of the day)"
TIME_NOTES = (TOO_EARLY, EARLY_BY_HOURS, NO_TIME_OF_DAY)
FINDINGS = ["reason", "variable", "series", "rows", "where"]
UNMAPPED_VALUES = ["name", "units", "rows", "low", "high"]


def _no_findings() -> pd.DataFrame:
    """An empty table of rejected rows."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in FINDINGS})


def _no_unmapped_values() -> pd.DataFrame:
    """An empty table of names without a variable."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in UNMAPPED_VALUES})


@dataclass(frozen=True, eq=False)
class Ledger:
    """What happened to each row of an extract.

    Parameters
    ----------
    rows_in : int
        Data rows read.
    used : int
        Rows used as a measurement or a coded event.
    static_values : int
        Rows used as a static covariate of the stay, or that only repeat its identifier.
    merged : int
        Further values of one variable at one instant: repeats, and values that its `merge` (mean, sum, ...) took into
        the one that is counted as used.
    findings : DataFrame
        Rejected rows: reason, variable ("" where the row names none), series (False for a static covariate), rows,
        where (file, row and column of the first).
    converted : mapping of str to int
        Rows converted from another unit, by "variable: unit -> unit".
    notes : mapping of str to int
        Other counts, by name.
    labels : mapping of str to str
        Meaning of codes in the source, by code.
    unmapped_values : DataFrame
        Names without a variable: name, units (the most frequent first), rows, low and high (5th and 95th percentile of
        the numbers in the first unit; NaN of fewer than 11 patients). Columns of wide tables that are not used, too.

    Raises
    ------
    AssertionError
        If the counts do not add up to `rows_in`.

    Examples
    --------
    >>> from clinicalgru.data.ledger import Ledger
    >>> Ledger(rows_in=5, used=3, static_values=1, merged=1).rejected
    {}
    >>> Ledger(rows_in=5, used=3, static_values=0, merged=1)
    Traceback (most recent call last):
    AssertionError: the ledger does not balance: 5 rows in, 4 accounted for
    """

    rows_in: int
    used: int
    static_values: int
    merged: int
    findings: pd.DataFrame = field(default_factory=_no_findings)
    converted: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    unmapped_values: pd.DataFrame = field(default_factory=_no_unmapped_values, repr=False)

    def __post_init__(self) -> None:
        accounted = self.used + self.static_values + self.merged + sum(self.rejected.values())
        assert accounted == self.rows_in, (
            f"the ledger does not balance: {self.rows_in} rows in, {accounted} accounted for"
        )

    @property
    def rejected(self) -> dict[str, int]:
        """Rejected rows by reason, most frequent first; a row without a value counts as `missing value`."""
        by_reason = (
            self.findings.groupby("reason", sort=False)["rows"].sum().sort_values(ascending=False, kind="stable")
        )
        return {str(reason): int(rows) for reason, rows in by_reason.items()}

    @property
    def missing(self) -> int:
        """Rows that name a variable but hold no value."""
        return self.rejected.get(MISSING, 0)

    @property
    def n_counted_rejections(self) -> int:
        """Rejected rows that count against `max_rejected`."""
        return sum(rows for reason, rows in self.rejected.items() if reason not in NOT_COUNTED)

    @property
    def usable(self) -> int:
        """Rows that could have been used: all but those whose rejection does not count against `max_rejected`."""
        return self.rows_in - sum(rows for reason, rows in self.rejected.items() if reason in NOT_COUNTED)

    @property
    def measurements(self) -> int:
        """Rows with a value of a variable, whether used, merged or outside the plausible range."""
        implausible = self.findings.query("reason == 'implausible' and series")["rows"].sum()
        return self.used + self.merged + int(implausible)

    def to_frame(self) -> pd.DataFrame:
        """The ledger as a table.

        Returns
        -------
        DataFrame
            what, rows.
        """
        lines = [("rows in", self.rows_in), ("used", self.used), ("static values", self.static_values)]
        lines.append(("merged", self.merged))
        lines += [(f"rejected: {reason}", rows) for reason, rows in self.rejected.items()]
        lines += [(f"converted: {units}", rows) for units, rows in self.converted.items()]
        lines += list(self.notes.items())
        return pd.DataFrame(lines, columns=["what", "rows"])

    def suppressed(self, *, min_cell_size: int = MIN_CELL_SIZE) -> dict[str, int | None]:
        """The lines of `to_frame`, with small cells suppressed.

        Parameters
        ----------
        min_cell_size : int
            Smallest count that may be shown.

        Returns
        -------
        dict of str to int or None
            Rows by name; None = suppressed.
        """
        entries = {str(what): int(rows) for what, rows in self.to_frame().itertuples(index=False)}
        return suppress_ledger(entries, min_cell_size=min_cell_size)

    def as_text(self, *, min_cell_size: int = MIN_CELL_SIZE) -> str:
        """The ledger as text, with the place of the first row of each finding.

        Parameters
        ----------
        min_cell_size : int
            Smallest count that may be shown.

        Returns
        -------
        str
            Lines.
        """
        counts = self.suppressed(min_cell_size=min_cell_size)
        lines = [f"{what:<52}{format_count(rows):>14}" for what, rows in counts.items()]
        for reason, group in self.findings.groupby("reason", sort=False):
            if reason == MISSING:
                continue
            rows = suppress(group["rows"].reset_index(drop=True), min_cell_size=min_cell_size)[: len(group)]
            hidden = len(group) > 1 and counts[f"rejected: {reason}"] is None
            for row, number in zip(group.itertuples(), rows, strict=True):
                lines.append(
                    f"  {reason} {row.variable}: {format_count(None if hidden else number)}, first at {row.where}"
                )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.as_text(min_cell_size=0)

    __repr__ = __str__

    def as_html(self, *, min_cell_size: int = MIN_CELL_SIZE) -> Markup:
        """The ledger as an HTML table.

        Parameters
        ----------
        min_cell_size : int
            Smallest count that may be shown.

        Returns
        -------
        Markup
            The table.
        """
        counts = self.suppressed(min_cell_size=min_cell_size)
        return table(
            "Rows of the extract", ("What", "Rows"), [[what, format_count(rows)] for what, rows in counts.items()]
        )

    def _repr_html_(self) -> str:
        note = "Counts of 1 to 10, and counts that reveal them, are suppressed here; print(ledger) shows all."
        return summary_html("Ledger", {}, self.as_html(), note=note)
