"""Checks and findings: what a data quality check counts and tolerates, and what it found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from clinicalgru.disclosure import is_small

CATEGORIES = ("conformance", "completeness", "plausibility", "temporal plausibility")
SEVERITIES = ("error", "warning", "note")
MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Check:
    """A data quality check: what is counted, and how many cases it tolerates.

    Attributes
    ----------
    name : str
        Short name; findings are listed under it.
    category : str
        One of `CATEGORIES`, after Kahn et al. 2016; temporal plausibility is a category of its own here.
    severity : str
        "error" (cannot be true), "warning" (rarely true) or "note" (worth knowing).
    max_fraction : float
        Largest fraction of cases that passes.
    min_count : int
        Smallest number of cases that is a finding.
    unit : str
        What is counted: "measurements" (row numbers of `events.to_frame()`), "stays" (of `events.stays`), "rows" (of
        the extract), "rejected rows" or "hours".
    message : str
        What a finding means, in one sentence.

    References
    ----------
    Kahn et al. 2016, A harmonized data quality assessment terminology and framework, eGEMs 4(1):1244.
    """

    name: str
    category: str
    severity: str
    max_fraction: float
    min_count: int
    unit: str
    message: str


@dataclass(frozen=True)
class Finding:
    """The result of a check, for all variables together or for one of them.

    Attributes
    ----------
    check : Check
        The check.
    variable : str
        Name of the variable; "" where the check is not about one variable.
    count : int
        Cases found.
    n_checked : int
        Cases checked.
    examples : tuple of int
        Numbers of the first rows; never identifiers or values.
    detail : str
        More about the finding, such as the proposed unit or the place in the file.
    """

    check: Check
    variable: str
    count: int
    n_checked: int
    examples: tuple[int, ...] = ()
    detail: str = ""

    @property
    def fraction(self) -> float:
        """Cases found as a fraction of the cases checked; 0 where none could be checked."""
        return self.count / self.n_checked if self.n_checked else 0.0

    @property
    def flagged(self) -> bool:
        """Whether there are more cases than the check tolerates."""
        return self.count >= self.check.min_count and self.fraction > self.check.max_fraction

    def is_small(self, min_cell_size: int) -> bool:
        """Whether the cases, or the rest, are a small cell, so that counts and examples are suppressed.

        Parameters
        ----------
        min_cell_size : int
            Counts of 1 to below this are small; 0 suppresses nothing.

        Returns
        -------
        bool
            True where the finding must be suppressed.
        """
        return is_small(self.count, min_cell_size) or is_small(self.n_checked - self.count, min_cell_size)

    def to_dict(self, *, min_cell_size: int = 0) -> dict[str, Any]:
        """Return the finding as plain values for JSON.

        Parameters
        ----------
        min_cell_size : int
            Counts of 1 to below this become None; 0 shows all.

        Returns
        -------
        dict
            Fields of the check and of the finding.
        """
        small = self.is_small(min_cell_size)
        count, fraction, examples = (None, None, []) if small else (self.count, self.fraction, list(self.examples))
        result = {"variable": self.variable, "flagged": self.flagged, "count": count, "n_checked": self.n_checked}
        result |= {"fraction": fraction, "examples": examples, "detail": self.detail}
        return {"check": self.check.name, **asdict(self.check), **result}


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Sort findings: flagged ones first, then by severity, category, name and fraction.

    Parameters
    ----------
    findings : list of Finding
        Findings in any order.

    Returns
    -------
    tuple of Finding
        The same findings, sorted.
    """

    def key(finding: Finding) -> tuple[Any, ...]:
        check = finding.check
        place = (SEVERITIES.index(check.severity), CATEGORIES.index(check.category))
        return (not finding.flagged, *place, check.name, -finding.fraction, finding.variable)

    return tuple(sorted(findings, key=key))


def flagged_or_total(check: Check, findings: list[Finding], n_checked: int | None = None) -> list[Finding]:
    """Return the flagged findings of a check, or one finding without cases where it passed.

    Parameters
    ----------
    check : Check
        The check.
    findings : list of Finding
        Its findings, such as one per variable.
    n_checked : int, optional
        Cases checked in all; the sum over the findings where None.

    Returns
    -------
    list of Finding
        At least one finding.
    """
    total = sum(finding.n_checked for finding in findings) if n_checked is None else n_checked
    return [finding for finding in findings if finding.flagged] or [Finding(check, "", 0, total)]
