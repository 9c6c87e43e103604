"""The HTML page of an audit: the findings with their row numbers, then all checks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clinicalgru.disclosure import MIN_CELL_SIZE, SUPPRESSED
from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.html_page import page, section, tiles, write
from clinicalgru.view.text.format import capitalize_first

if TYPE_CHECKING:
    from clinicalgru.data.audit.finding import Check, Finding
    from clinicalgru.data.audit.result import Audit

SEVERITIES = {
    "error": ("Errors", "cannot be true"),
    "warning": ("Warnings", "rarely true"),
    "note": ("Notes", "worth knowing"),
}
HEAD = (
    *("Finding", "Variable", "Meaning", "Category", "Cases", "Checked", "Fraction", "Tolerated"),
    "First row numbers",
)
ROWS = (
    "Row numbers count from 0: rows of events.to_frame() for measurements, of events.stays for stays. They change when "
    "the extract changes."
)
LIMITS = (
    "An audit finds only what its checks test. No check finds wrong values that look right.",
    "Nothing was changed. Whether a finding is an error is for people who know the source to decide.",
)


def audit_page(
    audit: Audit,
    path: str | os.PathLike[str],
    *,
    provenance: Mapping[str, str] | None = None,
    title: str = "Audit",
    min_cell_size: int = MIN_CELL_SIZE,
) -> Path:
    """Write an audit as one offline HTML page; `Audit.to_html` calls this function.

    Parameters
    ----------
    audit : Audit
        What `audit` returned.
    path : str or path
        File to write; its folder is created.
    provenance : mapping of str to str, optional
        Facts to list on the page; the source of the data and whether it is simulated are added.
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
        If the path is a folder.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from clinicalgru import audit, read_events, simulate
    >>> from clinicalgru.view.pages.audit_page import audit_page
    >>> audit_page(audit(read_events(simulate(40))), Path(mkdtemp()) / "audit.html").name
    'audit.html'
    """
    min_cell_size = 0 if audit.simulated else min_cell_size
    about = {"data": audit.source, "simulated": "yes" if audit.simulated else "no"} | dict(provenance or {})
    lead = f"{audit.n_measurements:,} measurements of {audit.n_stays:,} stays, {len(audit.checks)} checks"
    parts = [_summary(audit), *_findings(audit.flagged, min_cell_size), _checks(audit)]
    return write(page(title, lead, *parts, provenance=about, limits=LIMITS), path)


def _summary(audit: Audit) -> Markup:
    """Number of findings of each severity."""
    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in audit.flagged:
        counts[finding.check.severity] += 1
    return section("Summary", tiles([_tile(severity, count) for severity, count in counts.items()]))


def _tile(severity: str, count: int) -> tuple[str, str, str]:
    """Name, count and meaning of a severity."""
    name, meaning = SEVERITIES[severity]
    return name, f"{count}", meaning


def _findings(flagged: Sequence[Finding], min_cell_size: int) -> list[Markup]:
    """One table of findings for each severity."""
    if not flagged:
        return [section("Findings", tag("p", "All checks passed."))]
    parts = []
    for severity, (name, meaning) in SEVERITIES.items():
        rows = [_row(finding, min_cell_size) for finding in flagged if finding.check.severity == severity]
        if rows:
            parts.append(section(name, table(f"{name}: {meaning}", HEAD, rows, n_text_columns=4)))
    return [*parts, tag("p", ROWS, attrs={"class": "quiet"})]


def _row(finding: Finding, min_cell_size: int) -> list[str]:
    """The cells of a finding, in the order of `HEAD`."""
    check, hidden = finding.check, finding.is_small(min_cell_size)
    meaning = " ".join(part for part in (check.message, finding.detail) if part)
    examples = SUPPRESSED if hidden else ", ".join(map(str, finding.examples))
    count = SUPPRESSED if hidden else f"{finding.count:,}"
    fraction = SUPPRESSED if hidden else f"{finding.fraction:.2%}"
    checked = f"{finding.n_checked:,} {check.unit}"
    name = capitalize_first(check.name)
    return [name, finding.variable, meaning, check.category, count, checked, fraction, _tolerated(check), examples]


def _tolerated(check: Check) -> str:
    """What a check tolerates, as text."""
    return (
        f"up to {check.max_fraction:.1%}"
        if check.max_fraction
        else f"fewer than {check.min_count}"
        if check.min_count > 1
        else "none"
    )


def _checks(audit: Audit) -> Markup:
    """The table of all checks."""
    flagged = {finding.check for finding in audit.flagged}
    rows = [
        [
            capitalize_first(check.name),
            check.category,
            check.severity,
            "findings" if check in flagged else "passed",
            _tolerated(check),
        ]
        for check in sorted(audit.checks, key=lambda check: (check.category, check.name))
    ]
    head = ("Check", "Category", "Severity", "Result", "Tolerated")
    caption = "All checks, after Kahn et al. 2016 (eGEMs 4(1):1244)"
    every = table(caption, head, rows, n_text_columns=5)
    return section("Checks", tag("details", tag("summary", f"All {len(rows)} checks"), every))
