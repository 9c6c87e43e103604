"""Task: the question asked of each stay, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clinicalgru.data.condition import Condition, Crossing
from clinicalgru.data.variables import schema_folder
from clinicalgru.errors import TaskError

NUMBERS = ("gap_hours", "horizon_hours", "outcome_above")


@dataclass(frozen=True)
class Task:
    """Who is asked about, when, and what: anchor, inclusion, exclusion, window, gap, horizon, outcome.

    name           short name
    title          the question in words
    kind           "binary"
    anchor         "start": the stay's start, or its first measurement where the extract has no start; "end": its end;
                   a `Crossing`: the first time a value of a variable, within limits, became known
    include        conditions that a stay must meet; one whose value is not known is left out, and counted as such
    exclude        conditions that a stay must not meet; likewise
    window_hours   (from, to) hours since the anchor; what became known in it, both ends included, may be used, and
                   the prediction is made at its end
    gap_hours      hours after the prediction in which the outcome may not happen: such stays are left out and counted
    horizon_hours  hours after the gap within which the outcome counts; None = until the end of the stay
    outcome        name of the outcome column: 0 or 1, unless `outcome_above` makes it so
    outcome_above  the outcome is that the column lies above this number (days of a long stay)
    outcome_time   the column that says when an outcome of 1 happened, in hours since the stay's start, or "end": the
                   stay's end. Gap and horizon need it; without it the outcome is taken as recorded
    description    more words

    Refused: an unknown kind or anchor, an empty window, a negative gap or horizon, a gap or horizon without
    `outcome_time`, a condition that names no subject or limit.

    >>> Task.load("in_hospital_mortality").window_hours
    (0.0, 48.0)
    """

    name: str
    outcome: str
    window_hours: tuple[float, float]
    title: str = ""
    kind: Literal["binary"] = "binary"
    anchor: Literal["start", "end"] | Crossing = "start"
    include: tuple[Condition, ...] = ()
    exclude: tuple[Condition, ...] = ()
    gap_hours: float = 0.0
    horizon_hours: float | None = None
    outcome_above: float | None = None
    outcome_time: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        low, high = self.window_hours
        named = self.anchor in ("start", "end") or isinstance(self.anchor, Crossing)
        untimed = not self.outcome_time and (self.gap_hours > 0 or self.horizon_hours is not None)
        problems = [
            ("kind", self.kind == "binary", "kind: binary", f"kind {self.kind!r}"),
            ("anchor", named, "anchor: start, end, or {variable: ...}", f"anchor {self.anchor!r}"),
            ("window_hours", low < high, "a window that ends after it starts", f"{low:g} to {high:g} hours"),
            ("gap_hours", self.gap_hours >= 0, "a gap of 0 hours or more", f"{self.gap_hours:g}"),
            (
                "horizon_hours",
                self.horizon_hours is None or self.horizon_hours > 0,
                "a horizon above 0 hours",
                f"{self.horizon_hours}",
            ),
            ("outcome_time", not untimed, "outcome_time, which gap and horizon are held against", "none"),
        ]
        for field, right, expected, got in problems:
            if not right:
                raise TaskError(expected, got, "Correct the task.", where=f"task {self.name}, {field}")

    @property
    def anchor_words(self) -> str:
        """The anchor in words: "start of the stay", "first lactate above 2"."""
        return str(self.anchor) if isinstance(self.anchor, Crossing) else f"{self.anchor} of the stay"

    @classmethod
    def load(cls, task: str | Path) -> Task:
        """A task by its shipped name, or from a YAML file of yours."""
        import yaml

        path = Path(task)
        if path.suffix not in (".yaml", ".yml"):
            path = schema_folder() / "tasks" / f"{task}.yaml"
        if not path.is_file():
            shipped = ", ".join(sorted(file.stem for file in (schema_folder() / "tasks").glob("*.yaml")))
            raise TaskError(f"a task among {shipped}, or a YAML file", f"{Path(task).name!r}", "Check the name.")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            raise TaskError("a YAML file", "text that is not YAML", "Repair it.", where=path.name) from None
        return cls.from_dict(content, where=path.name)

    @classmethod
    def from_dict(cls, content: Any, *, where: str = "task") -> Task:
        """A task from its fields; refused where one is unknown, missing or of another type."""
        known = set(cls.__dataclass_fields__)
        if not isinstance(content, dict) or not {"name", "outcome", "window_hours"} <= set(content) <= known:
            came = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
            fix = "name, outcome and window_hours are needed."
            raise TaskError(f"the fields {', '.join(sorted(known))}", came, fix, where=where)
        anchor = content.get("anchor", "start")
        if isinstance(anchor, Mapping):
            anchor = Crossing.from_dict(anchor, where=f"{where}, anchor")
        conditions = {name: _conditions(content, name, where) for name in ("include", "exclude")}
        words = {name: str(content.get(name) or "") for name in ("outcome_time", "title", "description")}
        return cls(**content | _hours(content, where) | conditions | words | {"anchor": anchor})

    def to_dict(self) -> dict[str, Any]:
        """The fields, as they stand in a YAML file or a manifest."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields["window_hours"] = list(self.window_hours)
        fields["anchor"] = self.anchor.to_dict() if isinstance(self.anchor, Crossing) else self.anchor
        for name in ("include", "exclude"):
            fields[name] = [condition.to_dict() for condition in getattr(self, name)]
        return fields


def _conditions(content: dict[str, Any], name: str, where: str) -> tuple[Condition, ...]:
    entries = content.get(name) or []
    if not isinstance(entries, list | tuple):
        raise TaskError(
            "a list of conditions", type(entries).__name__, "Start each with a dash.", where=f"{where}, {name}"
        )
    return tuple(
        Condition.from_dict(entry, where=f"{where}, {name} {number}") for number, entry in enumerate(entries, start=1)
    )


def _hours(content: dict[str, Any], where: str) -> dict[str, Any]:
    """The fields that are numbers; a blank gap is 0, a blank horizon none."""
    try:
        low, high = (float(hours) for hours in content["window_hours"])
        numbers = {name: float(content[name]) for name in NUMBERS if content.get(name) is not None}
    except (TypeError, ValueError):
        raise TaskError("hours as numbers", "something else", "Write window_hours: [0, 48].", where=where) from None
    return {"window_hours": (low, high), "gap_hours": 0.0, "horizon_hours": None, "outcome_above": None} | numbers
