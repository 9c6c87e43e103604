"""The stays that are eligible for a task."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from clinicalgru.data.events import HOUR, LABELLED_STAY, Events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.criteria import Criterion, ThresholdCrossing
from clinicalgru.data.task.departures import RECORDED, Step
from clinicalgru.data.task.stay_times import PREDICTION_HOURS, StayTimes, variable_position
from clinicalgru.data.task.task import Task
from clinicalgru.data.task.task_fields import PREDICTION_TIME
from clinicalgru.data.task.window import known_static
from clinicalgru.errors import TaskError

DERIVED = ("length_hours", "stay_number")  # columns that criteria may name besides those of `stays`


def check_names(events: Events, task: Task) -> None:
    """Raise where the task names a variable or column that the events do not have.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.

    Raises
    ------
    TaskError
        With the names that there are.
    """
    if isinstance(task.anchor, ThresholdCrossing):
        _check_variable(events, task.anchor.variable, where=f"task {task.name}, anchor")
    if task.anchor == PREDICTION_TIME and PREDICTION_HOURS not in events.stays:
        fix = "Pass the label file to read_events, as outcomes= of source='meds'."
        raise TaskError("labels with a prediction time", "none", fix, where=f"task {task.name}, anchor")
    for where, criterion, _ in _criteria(task):
        if criterion.variable:
            _check_variable(events, criterion.variable, where=f"{where}, variable")
        elif criterion.column not in (have := [*_columns(events), *DERIVED]):
            fix = "Name one of them, or remove the criterion."
            raise TaskError(f"a column among {', '.join(have)}", criterion.column, fix, where=f"{where}, column")


def _check_variable(events: Events, name: str, *, where: str) -> None:
    names = [variable.name for variable in events.variables]
    if name not in names:
        fix = "Name one of them, or remove the criterion."
        raise TaskError(f"a variable among {', '.join(names) or 'none'}", name, fix, where=where)


def eligibility_steps(events: Events, task: Task, times: StayTimes, whole: Sequences) -> list[Step]:
    """The steps of the cohort flow that the task defines: index time, then criteria in order.

    An unknown value is a step of its own and excludes the stay. A column that the events do not have is unknown for all
    stays, and a variable never measured; `check_names` refuses both.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.
    times : StayTimes
        Times of its stays.
    whole : Sequences
        All stays.

    Returns
    -------
    list of (str, ndarray of bool)
        Name of the step, and whether each stay passes it.
    """
    steps = [(f"index time reached ({task.anchor_words})", times.reached)] if task.anchor != "start" else []
    for where, criterion, required in _criteria(task):
        if criterion.variable:
            known, met = _count_meets(events, criterion, whole)
        else:
            known, met = _column_meets(events, criterion, where, _column(events, task, times, criterion.column))
        if not known.all():
            steps.append((f"{criterion.column}{RECORDED}", known))
        steps.append((criterion.label, met) if required else (f"not: {criterion.label}", ~(met & known)))
    return steps


def _criteria(task: Task) -> Iterator[tuple[str, Criterion, bool]]:
    """Where a criterion stands, the criterion, and whether it must be met."""
    for name, required in (("include", True), ("exclude", False)):
        entries: tuple[Criterion, ...] = getattr(task, name)
        for number, criterion in enumerate(entries, start=1):
            yield f"task {task.name}, {name} {number} ({criterion.label})", criterion, required


def _count_meets(events: Events, criterion: Criterion, whole: Sequences) -> tuple[np.ndarray, np.ndarray]:
    number = variable_position(events, criterion.variable)
    chunks = [np.bincount(c.stay_of_measurement[c.variable == number], minlength=len(c)) for c in whole.chunks()]
    counts = np.concatenate(chunks)
    return np.ones(len(whole), dtype=bool), criterion.limits.contain(counts)


def _column_meets(events: Events, criterion: Criterion, where: str, values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Whether the column is known, and whether the criterion is met."""
    known = values.notna().to_numpy()
    if not criterion.among and not pd.api.types.is_numeric_dtype(values):
        raise TaskError("a column of numbers", "text", "Use among: [...].", where=f"{where}, column")
    met = known.copy()
    if criterion.limits.to_dict():
        met &= criterion.limits.contain(values.to_numpy(dtype=float, na_value=np.nan))
    if criterion.among:
        met &= values.isin(_criterion_values(events, criterion, where)).to_numpy()
    return known, met


def _columns(events: Events) -> list[str]:
    return list(events.stays.columns.drop(["patient_id", "stay_id", "start", "end"], errors="ignore"))


def _column(events: Events, task: Task, times: StayTimes, name: str) -> pd.Series:
    """The column of a criterion; a static covariate as it was known at the prediction time."""
    stays = events.stays
    static = [variable.name for variable in events.static_variables]
    if name in static:
        return pd.Series(known_static(events, times, task)[:, static.index(name)], index=stays.index)
    if name == "length_hours":
        return (stays["end"] - stays["start"]).astype("Float64") / HOUR
    if name == "stay_number":
        return _stay_number(stays, has_dates=events.has_dates)
    return stays[name] if name in _columns(events) else pd.Series(np.nan, index=stays.index)


def _stay_number(stays: pd.DataFrame, *, has_dates: bool) -> pd.Series:
    """1 = a patient's first stay by start; unknown where a patient has several stays and one has no date of start."""
    if LABELLED_STAY in stays:
        once = stays.drop_duplicates(LABELLED_STAY)
        number = _stay_number(once.drop(columns=LABELLED_STAY), has_dates=has_dates)
        return stays[LABELLED_STAY].map(number.set_axis(once[LABELLED_STAY]))
    by_patient = stays.groupby("patient_id", sort=False)["start"]
    rank = by_patient.rank(method="first").astype(float)
    several = by_patient.transform("size") > 1
    no_start = stays["start"].isna() | (not has_dates)
    unknown = no_start.groupby(stays["patient_id"], sort=False).transform("any") & several
    return rank.where(several, 1.0).mask(unknown)


def _criterion_values(events: Events, criterion: Criterion, where: str) -> list[object]:
    """The values of `among` as the column met them: a category is its position."""
    static = {variable.name: variable for variable in events.static_variables}.get(criterion.column)
    if static is None or not static.categories:
        return list(criterion.among)
    words = [(str(code), word) for code, word in static.categories.items()]
    unknown = [value for value in criterion.among if not any(str(value) in pair for pair in words)]
    if unknown:
        have = ", ".join(f"{code} ({word})" for code, word in words)
        raise TaskError(f"categories among {have}", str(unknown[0]), "Correct it.", where=f"{where}, among")
    accepted = {str(value) for value in criterion.among}
    return [float(position) for position, pair in enumerate(words) if accepted & set(pair)]
