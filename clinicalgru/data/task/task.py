"""Task: the question asked of each stay, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from clinicalgru.data.dictionary.schemas import nearest, schema_folder
from clinicalgru.data.task.criteria import Criterion, ThresholdCrossing
from clinicalgru.errors import TaskError
from clinicalgru.html import summary_html

NUMBERS = ("gap_hours", "horizon_hours", "outcome_threshold", "label_shift_hours", "max_late_hours")
Kind = Literal["binary", "multiclass", "multilabel", "regression", "survival", "early_warning", "forecast"]
TIMED = ("survival", "early_warning")  # ask when it happened
OUTCOMES = {"multilabel": "two outcomes or more", "forecast": "no outcome"}
UTILITIES = ("", "physionet2019")
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Task:
    """Who is asked about, when, and what: anchor, inclusion, exclusion, window, gap, horizon, outcome.

    name           short name
    title          the question in words
    task_type           what is asked: "binary", will it happen; "multiclass", which of several; "multilabel", which of
                   several, each by itself; "regression", how much; "survival", when, with censoring; "early_warning",
                   after each step, whether it is about to happen; "forecast", what will be measured next
    anchor         "start": the stay's start, or its first measurement where the extract has no start; "end": its end;
                   a `ThresholdCrossing`: the first time a value of a variable, within limits, became known
    include        conditions that a stay must meet; one whose value is not known is left out, and counted as such
    exclude        conditions that a stay must not meet; likewise
    window_hours   (from, to) hours since the anchor; what became known in it, both ends included, may be used, and
                   the prediction is made at its end
    gap_hours      hours after the prediction in which the outcome may not happen: such stays are left out and counted
    horizon_hours  hours after the gap within which the outcome counts; None = until the end of the stay
    outcome        name of the outcome column: 0 or 1 (unless `outcome_threshold` makes it so), any number for "multiclass"
                   and "regression", several names for "multilabel", none for "forecast"
    outcome_threshold  the outcome is that the column lies above this number (days of a long stay)
    outcome_time   the column that says when an outcome of 1 happened, in hours since the stay's start, or "end": the
                   stay's end. Gap and horizon need it; without it the outcome is taken as recorded. For "survival" it
                   also says until when a stay without the outcome was followed
    label_shift_hours  added to `outcome_time`, where labels were published so many hours ahead of the outcome
    max_late_hours     "early_warning": steps up to so many hours after the onset still count, as warnings that are due
    utility_function        "early_warning": "physionet2019", steps teach as much as a warning is worth or costs there, by that
                   challenge's utility (hours around an onset of sepsis); "": all alike
    survival_horizons_hours "survival": hours after the prediction at which a risk is reported; none = quartiles of the events
    description    more words

    Refused: an unknown kind or anchor, an empty window, a negative gap or horizon, a gap or horizon without
    `outcome_time`, early warning without onset times and horizon, survival without times, a condition that names no
    subject or limit.

    >>> Task.load("in_hospital_mortality").window_hours
    (0.0, 48.0)
    """

    name: str
    outcome: str | tuple[str, ...]
    window_hours: tuple[float, float]
    title: str = ""
    task_type: Kind = "binary"
    anchor: Literal["start", "end"] | ThresholdCrossing = "start"
    include: tuple[Criterion, ...] = ()
    exclude: tuple[Criterion, ...] = ()
    gap_hours: float = 0.0
    horizon_hours: float | None = None
    outcome_threshold: float | None = None
    outcome_time: str = ""
    label_shift_hours: float = 0.0
    max_late_hours: float = 0.0
    utility_function: Literal["", "physionet2019"] = ""
    survival_horizons_hours: tuple[float, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        low, high = self.window_hours
        named = self.anchor in ("start", "end") or isinstance(self.anchor, ThresholdCrossing)
        untimed = not self.outcome_time and (self.gap_hours > 0 or self.horizon_hours is not None)
        problems = [
            (
                "task_type",
                self.task_type in KINDS,
                f"a task_type among {', '.join(KINDS)}",
                f"task_type {self.task_type!r}",
            ),
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
            *self._problems_of_kind(),
        ]
        for field, right, expected, got in problems:
            if not right:
                raise TaskError(expected, got, "Correct the task.", where=f"task {self.name}, {field}")

    def _problems_of_kind(self) -> list[tuple[str, bool, str, str]]:
        """Field, whether it is right, what was expected, what came: of what not every kind of task asks."""
        several, names, kind = self.task_type == "multilabel", len(self.outcomes), self.task_type
        wanted = 0 if kind == "forecast" else 1
        number = kind in ("multiclass", "regression", "forecast")
        rising = list(self.survival_horizons_hours) == sorted(
            {hours for hours in self.survival_horizons_hours if hours > 0}
        )
        return [
            (
                "outcome",
                names > 1 if several else names == wanted,
                OUTCOMES.get(kind, "one outcome"),
                f"{names} of them",
            ),
            ("outcome_time", kind not in TIMED or bool(self.outcome_time), f"outcome_time for {kind}", "none"),
            ("horizon_hours", kind != "early_warning" or self.horizon_hours is not None, "horizon_hours", "none"),
            (
                "outcome_threshold",
                not number or self.outcome_threshold is None,
                f"no outcome_threshold for {kind}",
                "one",
            ),
            ("outcome_time", not number or not self.outcome_time, f"no outcome_time for {kind}", self.outcome_time),
            ("max_late_hours", self.max_late_hours >= 0, "late hours of 0 or more", f"{self.max_late_hours:g}"),
            (
                "max_late_hours",
                kind == "early_warning" or not self.max_late_hours,
                "max_late_hours in early_warning only",
                kind,
            ),
            (
                "utility_function",
                self.utility_function in UTILITIES,
                "physionet2019, or nothing",
                f"{self.utility_function!r}",
            ),
            (
                "utility_function",
                kind == "early_warning" or not self.utility_function,
                "utility_function in early_warning only",
                kind,
            ),
            ("survival_horizons_hours", rising, "rising hours above 0", f"{list(self.survival_horizons_hours)}"),
            (
                "survival_horizons_hours",
                kind == "survival" or not self.survival_horizons_hours,
                "survival_horizons_hours in survival only",
                kind,
            ),
        ]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The names of the outcome columns.

        >>> Task("any", ("sepsis", "shock"), (0, 24), task_type="multilabel").outcomes
        ('sepsis', 'shock')
        """
        return tuple(name for name in ((self.outcome,) if isinstance(self.outcome, str) else self.outcome) if name)

    @property
    def outcome_words(self) -> str:
        """The outcomes in words: "sepsis, shock"."""
        return ", ".join(self.outcomes)

    @property
    def every_step(self) -> bool:
        """Whether it is asked after each step of a stay, however long it lasts."""
        return self.task_type in ("early_warning", "forecast")

    @property
    def anchor_words(self) -> str:
        """The anchor in words: "start of the stay", "first lactate above 2"."""
        return str(self.anchor) if isinstance(self.anchor, ThresholdCrossing) else f"{self.anchor} of the stay"

    @classmethod
    def load(cls, task: str | Path) -> Task:
        """A task by its shipped name, or from a YAML file of yours."""
        import yaml

        path = Path(task)
        if path.suffix not in (".yaml", ".yml"):
            path = schema_folder() / "tasks" / f"{task}.yaml"
        if not path.is_file():
            shipped, came = sorted(file.stem for file in (schema_folder() / "tasks").glob("*.yaml")), Path(task).name
            fix = f"{nearest(came, shipped)}Check the name."
            raise TaskError(f"a task among {', '.join(shipped)}, or a YAML file", f"{came!r}", fix)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            raise TaskError("a YAML file", "text that is not YAML", "Repair it.", where=path.name) from None
        return cls.from_dict(content, where=path.name)

    @classmethod
    def from_dict(cls, content: Any, *, where: str = "task") -> Task:
        """A task from its fields; refused where one is unknown, missing or of another type."""
        known = set(cls.__dataclass_fields__)
        content = {"outcome": ""} | content if _asks_forecast(content) else content
        if not isinstance(content, dict) or not {"name", "outcome", "window_hours"} <= set(content) <= known:
            came = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
            fix = "name, outcome and window_hours are needed."
            raise TaskError(f"the fields {', '.join(sorted(known))}", came, fix, where=where)
        anchor = content.get("anchor", "start")
        if isinstance(anchor, Mapping):
            anchor = ThresholdCrossing.from_dict(anchor, where=f"{where}, anchor")
        conditions = {name: _conditions(content, name, where) for name in ("include", "exclude")}
        words = {
            name: str(content.get(name) or "") for name in ("outcome_time", "title", "description", "utility_function")
        }
        words["outcome"] = _names(content["outcome"])
        return cls(**content | _hours(content, where) | conditions | words | {"anchor": anchor})

    def _repr_html_(self) -> str:
        fields = self.to_dict()
        asked = {name: [entry["label"] for entry in fields[name]] for name in ("include", "exclude")}
        words = {name: said for name, said in (fields | asked).items() if said not in (None, "", [])}
        shown = {
            name: ", ".join(map(str, said)) if isinstance(said, list) else str(said) for name, said in words.items()
        }
        return summary_html(f"Task: {self.title or self.name}", shown | {"anchor": self.anchor_words})

    def to_dict(self) -> dict[str, Any]:
        """The fields, as they stand in a YAML file or a manifest."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields["window_hours"] = list(self.window_hours)
        fields["survival_horizons_hours"] = list(self.survival_horizons_hours)
        fields["outcome"] = self.outcome if isinstance(self.outcome, str) else list(self.outcome)
        fields["anchor"] = self.anchor.to_dict() if isinstance(self.anchor, ThresholdCrossing) else self.anchor
        for name in ("include", "exclude"):
            fields[name] = [condition.to_dict() for condition in getattr(self, name)]
        return fields


def _conditions(content: dict[str, Any], name: str, where: str) -> tuple[Criterion, ...]:
    entries = content.get(name) or []
    if not isinstance(entries, list | tuple):
        raise TaskError(
            "a list of conditions", type(entries).__name__, "Start each with a dash.", where=f"{where}, {name}"
        )
    return tuple(
        Criterion.from_dict(entry, where=f"{where}, {name} {number}") for number, entry in enumerate(entries, start=1)
    )


def _hours(content: dict[str, Any], where: str) -> dict[str, Any]:
    """The fields that are numbers; a blank gap is 0, a blank horizon none."""
    try:
        low, high = (float(hours) for hours in content["window_hours"])
        numbers = {name: float(content[name]) for name in NUMBERS if content.get(name) is not None}
        horizons = tuple(float(hours) for hours in content.get("survival_horizons_hours") or ())
    except (TypeError, ValueError):
        raise TaskError("hours as numbers", "something else", "Write window_hours: [0, 48].", where=where) from None
    blank = {
        "gap_hours": 0.0,
        "horizon_hours": None,
        "outcome_threshold": None,
        "label_shift_hours": 0.0,
        "max_late_hours": 0.0,
    }
    return {"window_hours": (low, high), "survival_horizons_hours": horizons} | blank | numbers


def _asks_forecast(content: Any) -> bool:
    return isinstance(content, dict) and content.get("task_type") == "forecast"


def _names(outcome: Any) -> Any:
    """One name, or several."""
    return tuple(map(str, outcome)) if isinstance(outcome, list | tuple) else str(outcome or "")
