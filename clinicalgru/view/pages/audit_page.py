"""What an audit found, as one offline page: the findings with their rows first, then everything that was checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from clinicalgru.disclosure import MIN_CELL_SIZE, WITHHELD
from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.html_page import page, section, tiles, write
from clinicalgru.view.text.format import capitalize_first

if TYPE_CHECKING:
    from clinicalgru.data.audit.result import Audit, Check, Finding

NOTHING: Mapping[str, str] = MappingProxyType({})
SEVERITIES = {
    "error": ("Errors", "cannot be true"),
    "warning": ("Warnings", "seldom true"),
    "note": ("Notes", "worth knowing"),
}
HEAD = ("Finding", "Variable", "What it means", "Kind", "Cases", "Of", "Share", "Lets pass", "First row numbers")
ROWS = (
    "Row numbers count from 0: of events.to_frame() where measurements are counted, of events.stays where stays are. "
    "They change when the extract does."
)
LIMITS = (
    "An audit finds what is looked for. Values that are wrong and look right are not found by any check.",
    "Nothing was changed: whether a finding is an error is for those to say who know the source.",
)


def audit_page(
    audit: Audit,
    path: str | os.PathLike[str],
    *,
    provenance: Mapping[str, str] = NOTHING,
    title: str = "Audit",
    min_cell_size: int = MIN_CELL_SIZE,
) -> Path:
    """One offline HTML page of an audit: what was found, and all that was checked.

    audit       an `Audit`
    path        the file to write; its folders are made
    provenance  facts by name; data and the number of simulated patients are taken from the audit
    title       the heading
    min_cell_size  counts of 1 to below this, or that leave so few, are withheld, with their row numbers; 0 shows all.
                Simulated patients are nobody's: of them all is shown
    returns     the path
    refused     a path that is a folder (ArgumentError)

    >>> from tempfile import mkdtemp
    >>> from clinicalgru.data.audit.audit import audit
    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> audit_page(audit(read_events(simulate(40))), Path(mkdtemp()) / "audit.html").name
    'audit.html'
    """
    min_cell_size = 0 if audit.simulated else min_cell_size
    about = {"data": audit.source, "simulated": "yes" if audit.simulated else "no"} | dict(provenance)
    lead = f"{audit.rows:,} measurements of {audit.stays:,} stays, {len(audit.checks)} checks"
    parts = [_short(audit), *_found(audit.flagged, min_cell_size), _checked(audit)]
    return write(page(title, lead, *parts, provenance=about, limits=LIMITS), path)


def _short(audit: Audit) -> Markup:
    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in audit.flagged:
        counts[finding.check.severity] += 1
    return section("In short", tiles([(*_named(severity, n),) for severity, n in counts.items()]))


def _named(severity: str, count: int) -> tuple[str, str, str]:
    name, meaning = SEVERITIES[severity]
    return name, f"{count}", meaning


def _found(flagged: Sequence[Finding], min_cell_size: int) -> list[Markup]:
    if not flagged:
        return [section("Findings", tag("p", "Every check passed."))]
    parts = []
    for severity, (name, meaning) in SEVERITIES.items():
        rows = [_row(finding, min_cell_size) for finding in flagged if finding.check.severity == severity]
        if rows:
            parts.append(section(name, table(f"{name}: {meaning}", HEAD, rows, words=4)))
    return [*parts, tag("p", ROWS, attrs={"class": "quiet"})]


def _row(finding: Finding, min_cell_size: int) -> list[str]:
    check, hidden = finding.check, finding.is_small(min_cell_size)
    said = " ".join(part for part in (check.says, finding.detail) if part)
    examples = WITHHELD if hidden else ", ".join(map(str, finding.examples))
    count = WITHHELD if hidden else f"{finding.count:,}"
    share = WITHHELD if hidden else f"{finding.share:.2%}"
    among = f"{finding.among:,} {check.of}"
    return [
        capitalize_first(check.name),
        finding.variable,
        said,
        check.category,
        count,
        among,
        share,
        _limit(check),
        examples,
    ]


def _limit(check: Check) -> str:
    return f"up to {check.share:.1%}" if check.share else f"fewer than {check.least}"


def _checked(audit: Audit) -> Markup:
    flagged = {finding.check for finding in audit.flagged}
    rows = [
        [
            capitalize_first(check.name),
            check.category,
            check.severity,
            "found" if check in flagged else "in order",
            _limit(check),
        ]
        for check in sorted(audit.checks, key=lambda check: (check.category, check.name))
    ]
    head = ("Check", "Kind", "Severity", "Result", "Lets pass")
    caption = "All checks, by the framework of Kahn et al. 2016 (eGEMs 4(1):1244)"
    return section("What was checked", table(caption, head, rows, words=5))
