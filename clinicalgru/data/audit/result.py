"""What an audit found: one line for each check, and one more for each variable at fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, is_small

CATEGORIES = ("conformance", "completeness", "plausibility", "temporal plausibility")
SEVERITIES = ("error", "warning", "note")
EXAMPLES = 5


@dataclass(frozen=True)
class Check:
    """A question asked of the events.

    name      short, as a finding is called
    category  of Kahn et al. 2016 (eGEMs 4(1):1244): conformance, completeness, plausibility (temporal: by itself)
    severity  error: cannot be true; warning: seldom true; note: worth knowing
    share     largest part that passes
    least     fewest cases that count as a finding
    of        what is counted: "measurements" (row numbers of `events.to_frame()`), "stays" (of `events.stays`), "rows"
              (of the extract), "hours", "variables"
    says      what it means, in a sentence
    """

    name: str
    category: str
    severity: str
    share: float
    least: int
    of: str
    says: str


@dataclass(frozen=True)
class Finding:
    """The answer to a check, for one variable where it asks each.

    count, among  cases, and out of how many
    examples      numbers of the first rows, never identifiers or values
    detail        a word on it: the unit proposed, the place in the file
    """

    check: Check
    variable: str
    count: int
    among: int
    examples: tuple[int, ...] = ()
    detail: str = ""

    @property
    def share(self) -> float:
        """Part of the cases, 0 where nothing could be asked."""
        return self.count / self.among if self.among else 0.0

    @property
    def flagged(self) -> bool:
        """Whether it is more than the check lets pass."""
        return self.count >= self.check.least and self.share > self.check.share

    def is_small(self, min_cell_size: int) -> bool:
        """Whether its cases, or the others, are 1 to below `min_cell_size`: they are not told then, nor their rows."""
        return is_small(self.count, min_cell_size) or is_small(self.among - self.count, min_cell_size)

    def to_dict(self, *, min_cell_size: int = 0) -> dict[str, Any]:
        """The finding as plain values for JSON; None for a small cell."""
        small = self.is_small(min_cell_size)
        count, share, examples = (None, None, []) if small else (self.count, self.share, list(self.examples))
        own = {"variable": self.variable, "flagged": self.flagged, "count": count, "among": self.among}
        more = {"found_share": share, "examples": examples, "detail": self.detail}
        return {"check": self.check.name, **asdict(self.check), **own, **more}


COLUMNS = ["check", "category", "severity", "variable", "flagged", "count", "among", "share", "limit", "of", "examples"]


@dataclass(frozen=True, eq=False)
class Audit:
    """All checks of one extract: what was found, and what was looked at and found in order.

    findings  each check at least once, flagged ones first, the severest first
    rows      measurements looked at
    stays     stays looked at
    source    where the data came from, in words
    simulated True where the patients are not real

    >>> from clinicalgru.data.audit.audit import audit
    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> found = audit(read_events(simulate(40)))
    >>> [finding.check.name for finding in found if finding.flagged]
    []
    """

    findings: tuple[Finding, ...]
    rows: int
    stays: int
    source: str
    simulated: bool = False

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def flagged(self) -> tuple[Finding, ...]:
        """The findings that are more than their check lets pass."""
        return tuple(finding for finding in self.findings if finding.flagged)

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks made, each once."""
        return tuple(dict.fromkeys(finding.check for finding in self.findings))

    def to_frame(self) -> pd.DataFrame:
        """One row a finding; `examples` are row numbers as text."""
        lines = []
        for f in self.findings:
            about = (f.check.name, f.check.category, f.check.severity, f.variable)
            lines.append((*about, f.flagged, f.count, f.among, f.share, f.check.share, f.check.of, _listed(f.examples)))
        return pd.DataFrame(lines, columns=COLUMNS)

    def to_dict(self, *, min_cell_size: int = 0) -> dict[str, Any]:
        """The audit as plain values for JSON; counts of 1 to below `min_cell_size` as None."""
        made = [finding.to_dict(min_cell_size=min_cell_size) for finding in self.findings]
        about = {"source": self.source, "simulated": self.simulated, "measurements": self.rows, "stays": self.stays}
        return about | {"checks": len(self.checks), "flagged": len(self.flagged), "findings": made}

    def __str__(self) -> str:
        return self.as_text(min_cell_size=0)

    def as_text(self, *, min_cell_size: int = MIN_CELL_SIZE) -> str:
        """The findings as text; counts of 1 to below `min_cell_size`, and their row numbers, are withheld."""
        head = f"{self.source}: {self.rows:,} measurements of {self.stays:,} stays, {len(self.checks)} checks"
        lines = [head, f"{len(self.flagged)} findings" if self.flagged else "nothing found"]
        for finding in self.flagged:
            check = finding.check
            name = check.name + (f", {finding.variable}" if finding.variable else "")
            small = finding.is_small(min_cell_size)
            count = format_count(None if small else finding.count)
            lines.append(f"{check.severity:<8} {name:<58}{count:>10} of {finding.among:,} {check.of}")
            rows = f" First: {', '.join(map(str, finding.examples))}." if finding.examples and not small else ""
            lines.append(f"         {check.says}{' ' + finding.detail if finding.detail else ''}{rows}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Audit({len(self.flagged)} findings of {len(self.checks)} checks, {self.source})"

    def _repr_html_(self) -> str:
        return self.to_frame().query("flagged").drop(columns="flagged").to_html(index=False)


def _listed(rows: tuple[int, ...]) -> str:
    return " ".join(map(str, rows))


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Flagged findings first, then by severity, kind and name."""

    def key(finding: Finding) -> tuple[Any, ...]:
        check = finding.check
        return (not finding.flagged, SEVERITIES.index(check.severity), CATEGORIES.index(check.category), check.name,
                -finding.share, finding.variable)  # fmt: skip

    return tuple(sorted(findings, key=key))
