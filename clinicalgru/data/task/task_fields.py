"""The fields of a task: how they are read from a YAML file, and what they must satisfy together."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from clinicalgru.data.task.criteria import Criterion, ThresholdCrossing
from clinicalgru.data.task.outcome_names import VALUE_LISTS, name_problems, normalize_classes, value_problems
from clinicalgru.errors import TaskError, describe

TaskType = Literal["binary", "multiclass", "multilabel", "regression", "survival", "early_warning", "forecast"]
TASK_TYPES: tuple[str, ...] = get_args(TaskType)
TEXTS = ("name", "title", "outcome_time", "utility_function", "description")
NUMBERS = ("gap_hours", "horizon_hours", "outcome_threshold", "label_shift_hours", "max_late_hours")
OPTIONAL_NUMBERS = ("horizon_hours", "outcome_threshold")
TIMED = ("survival", "early_warning")  # need the time of the outcome
UNTIMED = ("multiclass", "regression", "forecast")  # neither threshold nor time of the outcome
UTILITIES = ("", "physionet2019")
PREDICTION_TIME = "prediction_time"  # anchor: the prediction time of the label
ANCHORS = ("start", "end", PREDICTION_TIME)

Problem = tuple[str, str, str]  # field, what was expected, what was given


def normalize(task: Any) -> dict[str, Any]:
    """The fields of a task as plain Python values: floats, tuples.

    Parameters
    ----------
    task : Task
        A task whose types `check_types` accepts.

    Returns
    -------
    dict of str to object
        Fields to store.
    """
    fields: dict[str, Any] = {name: tuple(getattr(task, name)) for name in ("include", "exclude")}
    fields |= {name: _float(getattr(task, name)) for name in NUMBERS}
    fields |= {name: tuple(map(float, getattr(task, name))) for name in ("window_hours", "survival_horizons_hours")}
    fields |= {name: tuple(getattr(task, name)) for name in VALUE_LISTS}
    outcome = task.outcome if isinstance(task.outcome, str) else tuple(task.outcome)
    own = (outcome,) if isinstance(outcome, str) else outcome  # `replace` may have changed it: other labels are dropped
    labels = {name: label for name, label in task.outcome_labels.items() if name in own}
    return fields | {"classes": normalize_classes(task.classes), "outcome_labels": labels, "outcome": outcome}


def _float(number: Any) -> float | None:
    return None if number is None else float(number)


def check_types(task: Any) -> None:
    """Raise where a field of a task has a wrong type.

    Parameters
    ----------
    task : Task
        The task.

    Raises
    ------
    TaskError
        With the first such field.
    """
    for field, expected, got in _type_problems(task):
        raise TaskError(expected, got, "Correct the task.", where=f"{_name(task)}, {field}")


def check_values(task: Any) -> None:
    """Raise where the fields of a task contradict each other or are out of range.

    Parameters
    ----------
    task : Task
        A task whose types `check_types` accepts.

    Raises
    ------
    TaskError
        With the first such field.
    """
    for problems in (_value_problems, _problems_of_type):
        for field, expected, got in problems(task):
            raise TaskError(expected, got, "Correct the task.", where=f"{_name(task)}, {field}")


def _name(task: Any) -> str:
    return f"task {task.name}" if isinstance(task.name, str) else "task"


def _type_problems(task: Any) -> Iterator[Problem]:
    for field in TEXTS:
        if not isinstance(getattr(task, field), str):
            yield field, f"{field} as text", describe(getattr(task, field))
    for field in NUMBERS:
        number = getattr(task, field)
        if not (_is_number(number) or (number is None and field in OPTIONAL_NUMBERS)):
            yield field, f"{field} as a number", describe(number)
    if not _are(task.window_hours, _is_finite) or len(task.window_hours) != 2:
        yield "window_hours", "two hours as numbers", describe(task.window_hours)
    if not _are(task.survival_horizons_hours, _is_finite):
        yield "survival_horizons_hours", "hours as numbers", describe(task.survival_horizons_hours)
    if not isinstance(task.outcome, str) and not _are(task.outcome, lambda name: isinstance(name, str)):
        yield "outcome", "the name of an outcome, or several", describe(task.outcome)
    for field in ("include", "exclude"):
        entries = getattr(task, field)
        others = [entry for entry in entries if not isinstance(entry, Criterion)] if _is_list(entries) else [entries]
        if others:
            yield field, "a list of Criterion", describe(others[0])
    yield from name_problems(task)
    yield from value_problems(task)


def _is_list(values: Any) -> bool:
    return isinstance(values, list | tuple)


def _are(values: Any, check: Any) -> bool:
    return _is_list(values) and all(check(value) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value)


def _value_problems(task: Any) -> Iterator[Problem]:
    low, high = task.window_hours
    if task.task_type not in TASK_TYPES:
        yield "task_type", f"a task_type among {', '.join(TASK_TYPES)}", f"task_type {task.task_type!r}"
    if task.anchor not in ANCHORS and not isinstance(task.anchor, ThresholdCrossing):
        yield "anchor", f"anchor: {', '.join(ANCHORS)}, or {{variable: ...}}", f"anchor {task.anchor!r}"
    if task.anchor == PREDICTION_TIME and high > 0:
        yield "window_hours", "a window that ends at the prediction time, 0, or before", f"{low:g} to {high:g} hours"
    if not low < high:
        yield "window_hours", "a window that ends after it starts", f"{low:g} to {high:g} hours"
    if not task.gap_hours >= 0:
        yield "gap_hours", "a gap of 0 hours or more", f"{task.gap_hours:g}"
    if task.horizon_hours is not None and not task.horizon_hours > 0:
        yield "horizon_hours", "a horizon above 0 hours", f"{task.horizon_hours:g}"
    if not task.outcome_time and (task.gap_hours > 0 or task.horizon_hours is not None):
        yield "outcome_time", "outcome_time, which gap and horizon are compared with", "a task without outcome_time"
    if not task.max_late_hours >= 0:
        yield "max_late_hours", "late hours of 0 or more", f"{task.max_late_hours:g}"
    if task.utility_function not in UTILITIES:
        yield "utility_function", "physionet2019, or nothing", f"{task.utility_function!r}"
    horizons = list(task.survival_horizons_hours)
    if horizons != sorted({hours for hours in horizons if hours > 0}):
        yield "survival_horizons_hours", "rising hours above 0", f"{horizons}"


def _problems_of_type(task: Any) -> Iterator[Problem]:
    """Fields that one type of task needs, or does not know."""
    task_type, n_outcomes = task.task_type, len(task.outcomes)
    if task_type == "multilabel" and n_outcomes < 2:
        yield "outcome", "two outcomes or more", f"{n_outcomes} of them"
    if task_type == "forecast" and n_outcomes:
        yield "outcome", "no outcome", f"{n_outcomes} of them"
    if task_type not in ("multilabel", "forecast") and n_outcomes != 1:
        yield "outcome", "one outcome", f"{n_outcomes} of them"
    if task.anchor == PREDICTION_TIME and task_type == "early_warning":
        yield "anchor", "another anchor, as early_warning predicts after each time step", f"anchor {task.anchor!r}"
    if task_type in TIMED and not task.outcome_time:
        yield "outcome_time", f"outcome_time for {task_type}", "a task without outcome_time"
    if task_type == "early_warning" and task.horizon_hours is None:
        yield "horizon_hours", "horizon_hours for early_warning", "a task without horizon_hours"
    if task_type in UNTIMED and task.outcome_threshold is not None:
        yield "outcome_threshold", f"no outcome_threshold for {task_type}", f"{task.outcome_threshold:g}"
    if task_type in UNTIMED and task.outcome_time:
        yield "outcome_time", f"no outcome_time for {task_type}", task.outcome_time
    if task_type != "multiclass" and task.classes:
        yield "classes", "classes in multiclass only", task_type
    if task_type in UNTIMED and task.positive_values:
        yield "positive_values", f"no positive_values for {task_type}", f"{len(task.positive_values)} of them"
    if task.positive_values and task.outcome_threshold is not None:
        yield "positive_values", "positive_values or outcome_threshold", "both"
    for field in ("max_late_hours", "utility_function"):
        if task_type != "early_warning" and getattr(task, field):
            yield field, f"{field} in early_warning only", task_type
    if task_type != "survival" and task.survival_horizons_hours:
        yield "survival_horizons_hours", "survival_horizons_hours in survival only", task_type


def parse_fields(content: Any, known: set[str], *, where: str) -> dict[str, Any]:
    """Read the fields of a task from a mapping, as a YAML file holds them.

    Parameters
    ----------
    content : mapping
        The fields; a blank gap is 0, a blank horizon is no horizon.
    known : set of str
        Names of fields that a task has.
    where : str
        The file, for errors.

    Returns
    -------
    dict of str to object
        Arguments of `Task`.

    Raises
    ------
    TaskError
        If a field is unknown, missing or of another type.
    """
    if isinstance(content, Mapping) and content.get("task_type") == "forecast":
        content = {"outcome": "", **content}
    if not isinstance(content, Mapping) or not {"name", "outcome", "window_hours"} <= set(content) <= known:
        got = ", ".join(map(str, content)) if isinstance(content, Mapping) else describe(content)
        fix = "name, outcome and window_hours are needed."
        raise TaskError(f"the fields {', '.join(sorted(known))}", got, fix, where=where)
    anchor = content.get("anchor", "start")
    if isinstance(anchor, Mapping):
        anchor = ThresholdCrossing.from_dict(anchor, where=f"{where}, anchor")
    criteria = {name: _parse_criteria(content, name, where) for name in ("include", "exclude")}
    texts = {name: _parse_text(content.get(name), name, where) for name in TEXTS[1:]}
    fields = {**content, **_parse_hours(content, where), **criteria, **texts, "anchor": anchor}
    fields |= {name: content.get(name) or {} for name in ("classes", "outcome_labels")}
    fields |= {name: _parse_values(content.get(name)) for name in VALUE_LISTS}
    name = _parse_text(content["name"], "name", where)
    if not name:
        raise TaskError("name as text", describe(content["name"]), "Give the task a name.", where=where)
    outcome = _parse_outcome(content["outcome"], where)
    labels, own = fields["outcome_labels"], (outcome,) if isinstance(outcome, str) else tuple(outcome)
    unknown = [str(key) for key in labels if key not in own] if isinstance(labels, Mapping) else []
    if unknown:
        expected, place = f"labels of {', '.join(own) or 'no outcome'}", f"{where}, outcome_labels"
        raise TaskError(expected, ", ".join(unknown), "Correct the task.", where=place)
    return fields | {"name": name, "outcome": outcome}


def _parse_criteria(content: Mapping[str, Any], name: str, where: str) -> tuple[Criterion, ...]:
    entries = content.get(name) or []
    place = f"{where}, {name}"
    if not isinstance(entries, list | tuple):
        raise TaskError("a list of conditions", describe(entries), "Start each with a dash.", where=place)
    return tuple(Criterion.from_dict(entry, where=f"{place} {number}") for number, entry in enumerate(entries, 1))


def _parse_hours(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields that are numbers."""
    try:
        low, high = _numbers(content["window_hours"])
        given = {name: _numbers([content[name]])[0] for name in NUMBERS if content.get(name) is not None}
        horizons = _numbers(content.get("survival_horizons_hours") or ())
    except (TypeError, ValueError):
        got = ", ".join(
            f"{name} as {describe(content[name])}" for name in ("window_hours", *NUMBERS) if name in content
        )
        raise TaskError("hours as numbers", got, "Write window_hours: [0, 48].", where=where) from None
    blank: dict[str, Any] = {name: None if name in OPTIONAL_NUMBERS else 0.0 for name in NUMBERS}
    return {"window_hours": (low, high), "survival_horizons_hours": horizons} | blank | given


def _parse_values(values: Any) -> Any:
    """Values of an outcome as a tuple; one alone stands for a list of one."""
    if isinstance(values, list | tuple):
        return tuple(values)
    return () if values is None else (values,)


def _numbers(values: Any) -> tuple[float, ...]:
    """Finite numbers of a list; a text, a mapping or yes and no are none."""
    if not _are(values, _is_finite):
        raise ValueError("no numbers")
    return tuple(map(float, values))


def _parse_outcome(outcome: Any, where: str) -> str | tuple[str, ...]:
    if isinstance(outcome, list | tuple):
        if None in outcome:
            raise TaskError("the name of each outcome", "an empty one", "Leave it out, or name it.", where=where)
        return tuple(_parse_text(name, "outcome", where) for name in outcome)
    return _parse_text(outcome, "outcome", where)


def _parse_text(value: Any, field: str, where: str) -> str:
    """Text as it is, a number as its digits, nothing as ""; a list, a yes or no, or bytes are no text."""
    if value is None:
        return ""
    if not (isinstance(value, str) or _is_number(value)):
        raise TaskError(f"{field} as text", describe(value), "Write it in quotes.", where=where)
    return str(value)
