"""Task: the question asked of each stay, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from clinicalgru.data.variables import schema_folder
from clinicalgru.errors import TaskError


@dataclass(frozen=True)
class Task:
    """Who is asked about, when, and what: anchor, window, gap, horizon, outcome.

    name           short name
    title          the question in words
    kind           "binary"
    anchor         "start": the stay's start, or its first measurement where the extract has no start
    window_hours   (from, to) hours since the anchor; what became known in it, both ends included, may be used, and
                   the prediction is made at its end
    gap_hours      hours after the prediction in which the outcome does not count
    horizon_hours  hours after the gap within which the outcome counts; None = until the end of the stay
    outcome        name of the outcome column
    description    more words

    Refused: an unknown kind or anchor, an empty window, a negative gap or horizon.

    >>> Task.load("in_hospital_mortality").window_hours
    (0.0, 48.0)
    """

    name: str
    outcome: str
    window_hours: tuple[float, float]
    title: str = ""
    kind: Literal["binary"] = "binary"
    anchor: Literal["start"] = "start"
    gap_hours: float = 0.0
    horizon_hours: float | None = None
    description: str = ""

    def __post_init__(self) -> None:
        low, high = self.window_hours
        problems = [
            (self.kind == "binary", "kind: binary", f"kind {self.kind!r}"),
            (self.anchor == "start", "anchor: start", f"anchor {self.anchor!r}"),
            (low < high, "a window that ends after it starts", f"{low:g} to {high:g} hours"),
            (self.gap_hours >= 0, "a gap of 0 hours or more", f"{self.gap_hours:g}"),
            (self.horizon_hours is None or self.horizon_hours > 0, "a horizon above 0 hours", f"{self.horizon_hours}"),
        ]
        for right, expected, got in problems:
            if not right:
                raise TaskError(expected, got, "Correct the task.", where=f"task {self.name}")

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
        except yaml.YAMLError:
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
        try:
            low, high = (float(hours) for hours in content["window_hours"])
            gap, horizon = (float(content.get(name) or 0) for name in ("gap_hours", "horizon_hours"))
        except (TypeError, ValueError):
            raise TaskError("hours as numbers", "something else", "Write window_hours: [0, 48].", where=where) from None
        hours = {"window_hours": (low, high), "gap_hours": gap, "horizon_hours": horizon or None}
        return cls(**content | hours)

    def to_dict(self) -> dict[str, Any]:
        """The fields, as they stand in a YAML file or a manifest."""
        return asdict(self) | {"window_hours": list(self.window_hours)}
