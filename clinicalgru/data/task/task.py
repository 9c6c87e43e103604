"""Task: a prediction task as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from clinicalgru.checks import check_instance
from clinicalgru.class_names import format_class
from clinicalgru.data.dictionary.safe_yaml import load_yaml
from clinicalgru.data.dictionary.schemas import nearest, schema_folder
from clinicalgru.data.task.criteria import Criterion, ThresholdCrossing
from clinicalgru.data.task.outcome_names import VALUE_LISTS
from clinicalgru.data.task.task_fields import (
    PREDICTION_TIME,
    TaskType,
    check_types,
    check_values,
    normalize,
    parse_fields,
)
from clinicalgru.errors import TaskError
from clinicalgru.html import summary_html

MAX_YAML_BYTES = 1_000_000


@dataclass(frozen=True)
class Task:
    """A prediction task: index time, eligibility criteria, window, gap, horizon and outcome.

    Parameters
    ----------
    name : str
        Short name.
    outcome : str or tuple of str
        Outcome column: 0 or 1 (or any number where `outcome_threshold` is given) for "binary", any number for
        "multiclass" and "regression", several columns for "multilabel", "" for "forecast". Text for "multiclass" where
        `classes` names it, and for the others where `positive_values` and `negative_values` do.
    window_hours : tuple of float
        First and last hour since the index time. What became known in between, both ends included, may be used. The
        prediction time is the last hour.
    title : str
        The question in words.
    task_type : str
        "binary": whether the outcome occurs. "multiclass": one of several classes. "multilabel": several outcomes.
        "regression": a number. "survival": the time of the outcome, with censoring. "early_warning": after each time
        step, whether the outcome is about to occur. "forecast": the next value of each variable.
    anchor : str or ThresholdCrossing
        The index time. "start": the start of the stay, or its first measurement where no start is known. "end": its
        end. "prediction_time": that of its label, from a label file of MEDS; the window must end at 0 or before. A
        `ThresholdCrossing`: the first time a value within limits became known.
    include : tuple of Criterion
        Conditions that a stay must meet. A stay whose value is unknown is excluded, and counted as such.
    exclude : tuple of Criterion
        Conditions that a stay must not meet; likewise.
    gap_hours : float
        Hours after the prediction time in which the outcome must not occur; such stays are excluded and counted.
    horizon_hours : float, optional
        Hours after the gap within which the outcome counts; None = until the end of the stay.
    outcome_threshold : float, optional
        The outcome is that the column exceeds this number, such as days of a long stay.
    outcome_time : str
        Column with the time of an outcome of 1, in hours since the start of the stay, or "end": the end of the stay.
        Gap and horizon need it. For "survival" it is also the time of censoring.
    label_shift_hours : float
        Hours added to `outcome_time`, where labels were published so long before the outcome.
    max_late_hours : float
        "early_warning": a warning still counts as due at time steps up to so many hours after the onset.
    utility_function : str
        "early_warning": "physionet2019" weights the training steps by the utility of that challenge; "": equal
        weights.
    survival_horizons_hours : tuple of float
        "survival": hours after the prediction time at which a risk is reported; empty = quartiles of the event times.
    description : str
        More words.
    classes : mapping of float to str
        "multiclass": a name for each value of the outcome, such as {0: "discharged home", 1: "died"}. Pages, metrics,
        explanations and score columns use the names. A text outcome holds the names themselves.
    outcome_labels : mapping of str to str
        Outcome columns in words, for pages: {"died": "death in hospital"}.
    positive_values, negative_values : tuple of str or float
        Values of the outcome that mean 1 and 0, such as ("Expired",) and ("Home", "Rehab"), where the table holds words
        or codes. Letter case makes no difference. Any other value is unknown: the stay is excluded and counted.

    Raises
    ------
    TaskError
        If a field has a wrong type, is out of range, or contradicts another.

    Examples
    --------
    >>> from clinicalgru import Task
    >>> Task.load("in_hospital_mortality").window_hours
    (0.0, 48.0)
    >>> task = Task("discharge", "place", (0, 24), task_type="multiclass", classes={0: "home", 1: "died"})
    >>> task.class_names([1.0])
    ('died',)
    """

    name: str
    outcome: str | tuple[str, ...]
    window_hours: tuple[float, float]
    title: str = ""
    task_type: TaskType = "binary"
    anchor: Literal["start", "end", "prediction_time"] | ThresholdCrossing = "start"
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
    classes: Mapping[float, str] = field(default_factory=dict, hash=False)
    outcome_labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    positive_values: tuple[str | float, ...] = ()
    negative_values: tuple[str | float, ...] = ()

    def __post_init__(self) -> None:
        check_types(self)
        for name, value in normalize(self).items():
            object.__setattr__(self, name, value)
        check_values(self)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The names of the outcome columns.

        Examples
        --------
        >>> from clinicalgru import Task
        >>> Task("any", ("sepsis", "shock"), (0, 24), task_type="multilabel").outcomes
        ('sepsis', 'shock')
        """
        return tuple(name for name in ((self.outcome,) if isinstance(self.outcome, str) else self.outcome) if name)

    @property
    def outcome_words(self) -> str:
        """The outcomes in words: "sepsis, shock"."""
        return ", ".join(self.outcome_names)

    @property
    def outcome_names(self) -> tuple[str, ...]:
        """The outcomes, each by its label, or by its column where it has none."""
        return tuple(self.outcome_labels.get(name, name) for name in self.outcomes)

    def class_names(self, values: Iterable[float]) -> tuple[str, ...]:
        """Name the classes of a multiclass outcome.

        Parameters
        ----------
        values : iterable of float
            Values of the outcome.

        Returns
        -------
        tuple of str
            The name of each, or its number where the task names none.
        """
        return tuple(self.classes.get(float(value), format_class(value)) for value in values)

    @property
    def every_step(self) -> bool:
        """Whether there is a prediction after each time step of a stay, until it ends."""
        return self.task_type in ("early_warning", "forecast")

    @property
    def anchor_words(self) -> str:
        """The index time in words: "start of the stay", "first lactate above 2"."""
        if self.anchor == PREDICTION_TIME:
            return "prediction time of the label"
        return str(self.anchor) if isinstance(self.anchor, ThresholdCrossing) else f"{self.anchor} of the stay"

    @staticmethod
    def shipped() -> tuple[str, ...]:
        """Names of the shipped tasks.

        Returns
        -------
        tuple of str
            In alphabetical order.

        Examples
        --------
        >>> "in_hospital_mortality" in Task.shipped()
        True
        """
        return tuple(sorted(file.stem for file in (schema_folder() / "tasks").glob("*.yaml")))

    @classmethod
    def load(cls, task: str | Path) -> Task:
        """Load a task.

        Parameters
        ----------
        task : str or Path
            Name of a shipped task, or a YAML file.

        Returns
        -------
        Task
            The task.

        Raises
        ------
        TaskError
            If there is no such task, or the file is not a task.
        """
        check_instance("task", task, str, Path, fix="Pass the name of a task, or the path of a YAML file.")
        path = Path(task)
        if path.suffix not in (".yaml", ".yml"):
            path = schema_folder() / "tasks" / f"{task}.yaml"
        if not path.is_file():
            shipped, name = cls.shipped(), Path(task).name
            fix = f"{nearest(name, shipped)}Check the name."
            raise TaskError(f"a task among {', '.join(shipped)}, or a YAML file", f"{name!r}", fix)
        content = load_yaml(path, error=TaskError, max_bytes=MAX_YAML_BYTES)
        return cls.from_dict(content, where=path.name)

    @classmethod
    def from_dict(cls, content: Any, *, where: str = "task") -> Task:
        """Make a task from its fields.

        Parameters
        ----------
        content : dict
            The fields, as they stand in a YAML file.
        where : str
            What to name in an error.

        Returns
        -------
        Task
            The task.

        Raises
        ------
        TaskError
            If a field is unknown, missing or of another type.
        """
        return cls(**parse_fields(content, set(cls.__dataclass_fields__), where=where))

    def without_outcome(self) -> Task:
        """Give the task of the same index time, criteria and window that needs no outcome.

        It is of the type "forecast": `select` then gives stays whose outcome is unknown too, such as for `pretrain`,
        and stays that ended before the end of the window.

        Returns
        -------
        Task
            The task.

        Examples
        --------
        >>> from clinicalgru import Task
        >>> Task.load("in_hospital_mortality").without_outcome().task_type
        'forecast'
        """
        shared = {name: getattr(self, name) for name in ("window_hours", "anchor", "include", "exclude")}
        return Task(f"{self.name}_without_outcome", "", task_type="forecast", **shared)

    def _repr_html_(self) -> str:
        fields = self.to_dict()
        labels = {name: [entry["label"] for entry in fields[name]] for name in ("include", "exclude")}
        given = {name: value for name, value in (fields | labels).items() if value not in (None, "", [])}
        rows = {
            name: ", ".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in given.items()
        }
        return summary_html(f"Task: {self.title or self.name}", rows | {"anchor": self.anchor_words})

    def to_dict(self) -> dict[str, Any]:
        """The fields, as they stand in a YAML file or a manifest.

        Returns
        -------
        dict of str to object
            Plain values; `from_dict` makes an equal task from them.
        """
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields["window_hours"] = list(self.window_hours)
        fields["survival_horizons_hours"] = list(self.survival_horizons_hours)
        fields["outcome"] = self.outcome if isinstance(self.outcome, str) else list(self.outcome)
        fields["anchor"] = self.anchor.to_dict() if isinstance(self.anchor, ThresholdCrossing) else self.anchor
        for name in ("include", "exclude"):
            fields[name] = [criterion.to_dict() for criterion in getattr(self, name)]
        names = {
            "classes": {format_class(value): name for value, name in fields.pop("classes").items()},
            "outcome_labels": dict(fields.pop("outcome_labels")),
            **{name: list(fields.pop(name)) for name in VALUE_LISTS},
        }
        return fields | {name: value for name, value in names.items() if value}
