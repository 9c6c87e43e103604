"""Who a task asks about and from which moment it counts, as data: conditions and anchors out of a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clinicalgru.errors import TaskError

LIMITS = ("at_least", "at_most", "above", "below")


@dataclass(frozen=True)
class Bounds:
    """Bounds on a number; all that are given hold together.

    >>> str(Bounds(at_least=18, below=90)), Bounds(above=2.0).hold(np.array([2.0, 2.1])).tolist()
    ('at least 18, below 90', [False, True])
    """

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    def hold(self, values: np.ndarray) -> np.ndarray:
        """True where a value lies within; an unknown value (NaN) never does where there is a bound."""
        inside = np.ones(len(values), dtype=bool)
        for bound, compare in zip(self._bounds(), (np.greater_equal, np.less_equal, np.greater, np.less), strict=True):
            if bound is not None:
                inside &= compare(values, bound)
        return inside

    def to_dict(self) -> dict[str, float]:
        """The bounds that are given, by name."""
        return {name: bound for name, bound in zip(LIMITS, self._bounds(), strict=True) if bound is not None}

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {bound:g}" for name, bound in self.to_dict().items())

    def _bounds(self) -> tuple[float | None, ...]:
        return self.at_least, self.at_most, self.above, self.below


@dataclass(frozen=True)
class Criterion:
    """One condition that a stay must, or must not, meet; it becomes a step of the cohort flow.

    label     what the flow calls it
    column    a descriptor or outcome of the stay, `length_hours` (start to end) or `stay_number` (1 = the patient's
              first stay in the extract); or
    variable  a series variable: the limits then hold for the number of its measurements in the window
    limits    at_least, at_most, above, below
    among     the values, or the words of the levels, that are meant

    >>> Criterion.from_dict({"column": "age", "at_least": 18}, where="mine.yaml").label
    'age at least 18'
    """

    label: str
    column: str = ""
    variable: str = ""
    limits: Bounds = field(default_factory=Bounds)
    among: tuple[Any, ...] = ()

    @classmethod
    def from_dict(cls, content: Any, *, where: str) -> Criterion:
        """The condition of a YAML entry. Refused: an unknown field, no or two subjects, nothing to hold."""
        allowed = ("label", "column", "variable", "among", *LIMITS)
        _check_fields(content, allowed, where)
        if ("column" in content) == ("variable" in content):
            fix = "Name the one that the condition is about."
            raise TaskError("either column or variable", "both" if "column" in content else "neither", fix, where=where)
        limits, among = _limits(content, where), content.get("among")
        if among is not None and (not isinstance(among, list) or "variable" in content):
            raise TaskError("among: [a, b] of a column", "something else", "Write a list.", where=f"{where}, among")
        if not limits.to_dict() and not among:
            fix = f"Add one of {', '.join(LIMITS)}, or among."
            raise TaskError("something that must hold", "no limit", fix, where=where)
        column, variable = str(content.get("column", "")), str(content.get("variable", ""))
        words = " ".join(
            [column or f"measurements of {variable}", *(["among", ", ".join(map(str, among))] if among else [])]
        )
        label = str(content.get("label") or f"{words} {limits}".strip())
        return cls(label, column, variable, limits, tuple(among or ()))

    def to_dict(self) -> dict[str, Any]:
        """The entry, as it stands in a YAML file or a manifest."""
        subject = {"column": self.column} if self.column else {"variable": self.variable}
        among = {"among": list(self.among)} if self.among else {}
        return {"label": self.label} | subject | self.limits.to_dict() | among


@dataclass(frozen=True)
class ThresholdCrossing:
    """The first time that a value of a variable within the limits became known; without limits, any first value.

    >>> str(ThresholdCrossing("lactate", Bounds(above=2.0)))
    'first lactate above 2'
    """

    variable: str
    limits: Bounds = field(default_factory=Bounds)

    @classmethod
    def from_dict(cls, content: Any, *, where: str) -> ThresholdCrossing:
        """The anchor of a YAML entry such as {variable: lactate, above: 2}."""
        _check_fields(content, ("variable", *LIMITS), where)
        if "variable" not in content:
            fix = "Write anchor: {variable: lactate, above: 2}."
            raise TaskError("anchor: start, end, or a variable", "an entry without variable", fix, where=where)
        return cls(str(content["variable"]), _limits(content, where))

    def to_dict(self) -> dict[str, Any]:
        """The entry, as it stands in a YAML file or a manifest."""
        return {"variable": self.variable} | self.limits.to_dict()

    def __str__(self) -> str:
        return f"first {self.variable} {self.limits}".strip()


def _check_fields(content: Any, allowed: tuple[str, ...], where: str) -> None:
    if not isinstance(content, Mapping):
        raise TaskError(f"the fields {', '.join(allowed)}", type(content).__name__, "Write {name: value}.", where=where)
    unknown = [str(name) for name in content if name not in allowed]
    if unknown:
        raise TaskError(f"the fields {', '.join(allowed)}", ", ".join(unknown), "Correct the name.", where=where)


def _limits(content: Mapping[str, Any], where: str) -> Bounds:
    bounds = {name: content[name] for name in LIMITS if content.get(name) is not None}
    for name, bound in bounds.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not np.isfinite(bound):
            raise TaskError("a number", type(bound).__name__, "Write at_least: 18.", where=f"{where}, {name}")
    return Bounds(**{name: float(bound) for name, bound in bounds.items()})
