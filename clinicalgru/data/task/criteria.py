"""Eligibility criteria and index times of a task, as data out of a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clinicalgru.errors import TaskError, describe

LIMITS = ("at_least", "at_most", "above", "below")


@dataclass(frozen=True)
class Bounds:
    """Bounds on a number; all that are given must hold.

    Parameters
    ----------
    at_least, at_most : float, optional
        Bounds that belong to the range.
    above, below : float, optional
        Bounds that do not.

    Examples
    --------
    >>> import numpy as np
    >>> str(Bounds(at_least=18, below=90)), Bounds(above=2.0).contain(np.array([2.0, 2.1])).tolist()
    ('at least 18, below 90', [False, True])
    """

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    def contain(self, values: np.ndarray) -> np.ndarray:
        """Whether values lie within the bounds.

        Parameters
        ----------
        values : ndarray, shape (n,)
            Numbers; NaN = unknown.

        Returns
        -------
        ndarray of bool, shape (n,)
            False for an unknown value, unless there is no bound.
        """
        inside = np.ones(len(values), dtype=bool)
        for bound, compare in zip(self._bounds(), (np.greater_equal, np.less_equal, np.greater, np.less), strict=True):
            if bound is not None:
                inside &= compare(values, bound)
        return inside

    def to_dict(self) -> dict[str, float]:
        """The bounds that are given.

        Returns
        -------
        dict of str to float
            Bounds by name.
        """
        return {name: bound for name, bound in zip(LIMITS, self._bounds(), strict=True) if bound is not None}

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {bound:g}" for name, bound in self.to_dict().items())

    def _bounds(self) -> tuple[float | None, ...]:
        return self.at_least, self.at_most, self.above, self.below


@dataclass(frozen=True)
class Criterion:
    """One inclusion or exclusion criterion; it becomes a step of the cohort flow.

    Parameters
    ----------
    label : str
        Name of the step in the cohort flow.
    column : str
        Static covariate or outcome of the stay, `length_hours` (start to end) or `stay_number` (1 = the patient's first
        stay in the extract). Give either `column` or `variable`.
    variable : str
        Variable; the limits then apply to the number of its measurements in the window.
    limits : Bounds
        Bounds on the column or the number.
    among : tuple
        Accepted values of the column, or the words of accepted categories.

    Examples
    --------
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
        """Make a criterion from an entry of a YAML file.

        Parameters
        ----------
        content : dict
            The entry.
        where : str
            What to name in an error.

        Returns
        -------
        Criterion
            The criterion.

        Raises
        ------
        TaskError
            If a field is unknown, if both or none of column and variable are named, or if there is no condition.
        """
        allowed = ("label", "column", "variable", "among", *LIMITS)
        _check_fields(content, allowed, where)
        if ("column" in content) == ("variable" in content):
            fix = "Name one of them."
            raise TaskError(
                "either column or variable", "both" if "column" in content else "neither of them", fix, where=where
            )
        limits, among = _limits(content, where), content.get("among")
        if among is not None and (not isinstance(among, list) or "variable" in content):
            got = "among of a variable" if "variable" in content else describe(among)
            raise TaskError("among: [a, b] of a column", got, "Write a list.", where=f"{where}, among")
        if not limits.to_dict() and not among:
            fix = f"Add one of {', '.join(LIMITS)}, or among."
            raise TaskError("a condition", "an entry without limits", fix, where=where)
        column, variable = str(content.get("column", "")), str(content.get("variable", ""))
        words = " ".join(
            [column or f"measurements of {variable}", *(["among", ", ".join(map(str, among))] if among else [])]
        )
        label = str(content.get("label") or f"{words} {limits}".strip())
        return cls(label, column, variable, limits, tuple(among or ()))

    def to_dict(self) -> dict[str, Any]:
        """The criterion as it stands in a YAML file or a manifest.

        Returns
        -------
        dict of str to object
            Plain values; `from_dict` makes an equal criterion from them.
        """
        subject = {"column": self.column} if self.column else {"variable": self.variable}
        among = {"among": list(self.among)} if self.among else {}
        return {"label": self.label} | subject | self.limits.to_dict() | among


@dataclass(frozen=True)
class ThresholdCrossing:
    """An index time: the first time that a value of a variable within limits became known.

    Parameters
    ----------
    variable : str
        The variable.
    limits : Bounds
        Limits on the value; without limits, the first value of any size counts.

    Examples
    --------
    >>> str(ThresholdCrossing("lactate", Bounds(above=2.0)))
    'first lactate above 2'
    """

    variable: str
    limits: Bounds = field(default_factory=Bounds)

    @classmethod
    def from_dict(cls, content: Any, *, where: str) -> ThresholdCrossing:
        """Make an index time from an entry such as {variable: lactate, above: 2}.

        Parameters
        ----------
        content : dict
            The entry.
        where : str
            What to name in an error.

        Returns
        -------
        ThresholdCrossing
            The index time.

        Raises
        ------
        TaskError
            If a field is unknown or `variable` is missing.
        """
        _check_fields(content, ("variable", *LIMITS), where)
        if "variable" not in content:
            fix = "Write anchor: {variable: lactate, above: 2}."
            raise TaskError("anchor: start, end, or a variable", "an entry without variable", fix, where=where)
        return cls(str(content["variable"]), _limits(content, where))

    def to_dict(self) -> dict[str, Any]:
        """The index time as it stands in a YAML file or a manifest.

        Returns
        -------
        dict of str to object
            Plain values; `from_dict` makes an equal index time from them.
        """
        return {"variable": self.variable} | self.limits.to_dict()

    def __str__(self) -> str:
        return f"first {self.variable} {self.limits}".strip()


def _check_fields(content: Any, allowed: tuple[str, ...], where: str) -> None:
    if not isinstance(content, Mapping):
        raise TaskError(f"the fields {', '.join(allowed)}", describe(content), "Write {name: value}.", where=where)
    unknown = [str(name) for name in content if name not in allowed]
    if unknown:
        raise TaskError(f"the fields {', '.join(allowed)}", ", ".join(unknown), "Correct the name.", where=where)


def _limits(content: Mapping[str, Any], where: str) -> Bounds:
    bounds = {name: content[name] for name in LIMITS if content.get(name) is not None}
    for name, bound in bounds.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not np.isfinite(bound):
            raise TaskError("a number", describe(bound), "Write at_least: 18.", where=f"{where}, {name}")
    return Bounds(**{name: float(bound) for name, bound in bounds.items()})
