"""The result of an audit: all findings as table, text, JSON and HTML page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru.checks import check_number
from clinicalgru.data.audit.finding import Check, Finding
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count
from clinicalgru.display import to_html

COLUMNS = [
    *("check", "category", "severity", "variable", "flagged", "count", "n_checked", "fraction", "max_fraction"),
    *("unit", "examples"),
]


@dataclass(frozen=True, eq=False)
class Audit:
    """All checks of one extract: those with findings, and those that passed.

    Attributes
    ----------
    findings : tuple of Finding
        Each check at least once; flagged findings first, then by severity.
    n_measurements : int
        Measurements checked.
    n_stays : int
        Stays checked.
    source : str
        Where the data came from.
    simulated : bool
        True where the patients are not real.

    Examples
    --------
    >>> from clinicalgru import audit, read_events, simulate
    >>> result = audit(read_events(simulate(40)))
    >>> [finding.check.name for finding in result if finding.flagged]
    []
    """

    findings: tuple[Finding, ...]
    n_measurements: int
    n_stays: int
    source: str
    simulated: bool = False

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def flagged(self) -> tuple[Finding, ...]:
        """Findings with more cases than their check tolerates."""
        return tuple(finding for finding in self.findings if finding.flagged)

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks made, without repetition."""
        return tuple(dict.fromkeys(finding.check for finding in self.findings))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per finding.

        Returns
        -------
        DataFrame
            Columns check, category, severity, variable, flagged, count, n_checked, fraction, max_fraction, unit and
            examples (row numbers as text).
        """
        return pd.DataFrame([_row(finding) for finding in self.findings], columns=COLUMNS)

    def to_dict(self, *, min_cell_size: int = 0) -> dict[str, Any]:
        """Return the audit as plain values for JSON.

        Parameters
        ----------
        min_cell_size : int
            Counts of 1 to below this become None; 0 shows all.

        Returns
        -------
        dict
            source, simulated, measurements, stays, checks, flagged and findings.
        """
        findings = [finding.to_dict(min_cell_size=min_cell_size) for finding in self.findings]
        counts = {"measurements": self.n_measurements, "stays": self.n_stays}
        counts |= {"checks": len(self.checks), "flagged": len(self.flagged)}
        return {"source": self.source, "simulated": self.simulated, **counts, "findings": findings}

    def __str__(self) -> str:
        return self.as_text(min_cell_size=0)

    def as_text(self, *, min_cell_size: int = MIN_CELL_SIZE) -> str:
        """Return the flagged findings as text.

        Parameters
        ----------
        min_cell_size : int
            Counts of 1 to below this, and their row numbers, are suppressed; 0 shows all.

        Returns
        -------
        str
            A heading, and two lines per finding.
        """
        counts = f"{self.n_measurements:,} measurements of {self.n_stays:,} stays, {len(self.checks)} checks"
        lines = [f"{self.source}: {counts}", f"{len(self.flagged)} findings" if self.flagged else "no findings"]
        for finding in self.flagged:
            lines += _text_lines(finding, min_cell_size)
        return "\n".join(lines)

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        provenance: Mapping[str, str] | None = None,
        title: str = "Audit",
        min_cell_size: int = MIN_CELL_SIZE,
    ) -> Path:
        """Write the audit as one offline HTML page: the findings with their rows, then all checks.

        Parameters
        ----------
        path : str or path
            File to write; its folder is created.
        provenance : mapping of str to str, optional
            Facts to list on the page besides the source of the data.
        title : str
            Heading of the page.
        min_cell_size : int
            Counts of 1 to below this, and their row numbers, are suppressed; 0 shows all. Nothing is suppressed for
            simulated patients.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ArgumentError
            If the path is a folder, or `min_cell_size` is not a whole number of 0 or more.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> from clinicalgru import audit, read_events, simulate
        >>> audit(read_events(simulate(40))).to_html(Path(mkdtemp()) / "audit.html").name
        'audit.html'
        """
        check_number("min_cell_size", min_cell_size, minimum=0, whole=True)
        return to_html(self, Path(path), provenance=provenance or {}, title=title, min_cell_size=min_cell_size)

    def __repr__(self) -> str:
        return f"Audit({len(self.flagged)} findings of {len(self.checks)} checks, {self.source})"

    def _repr_html_(self) -> str:
        return self.to_frame().query("flagged").drop(columns="flagged").to_html(index=False)


def _row(finding: Finding) -> tuple[Any, ...]:
    """One finding in the order of `COLUMNS`."""
    check, examples = finding.check, " ".join(map(str, finding.examples))
    numbers = (finding.count, finding.n_checked, finding.fraction, check.max_fraction)
    return (
        check.name,
        check.category,
        check.severity,
        finding.variable,
        finding.flagged,
        *numbers,
        check.unit,
        examples,
    )


def _text_lines(finding: Finding, min_cell_size: int) -> list[str]:
    """A finding as two lines of text."""
    check, small = finding.check, finding.is_small(min_cell_size)
    name = check.name + (f", {finding.variable}" if finding.variable else "")
    count = format_count(None if small else finding.count)
    rows = f"First: {', '.join(map(str, finding.examples))}." if finding.examples and not small else ""
    return [
        f"{check.severity:<8} {name:<58}{count:>10} of {finding.n_checked:,} {check.unit}",
        " " * 9 + " ".join(part for part in (check.message, finding.detail, rows) if part),
    ]
