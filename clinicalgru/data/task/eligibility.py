"""The stays that are eligible for a task, their index times, and what was known of them in the window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import HOUR, Events, first_times
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.criteria import Criterion, ThresholdCrossing
from clinicalgru.data.task.task import Task
from clinicalgru.errors import TaskError

Step = tuple[str, np.ndarray]  # a step of the cohort flow, and whether each stay passes it
NO_TIME = np.iinfo(np.int64).min  # numpy's "not a time"
DERIVED = ("length_hours", "stay_number")  # columns that criteria may name besides those of `stays`


@dataclass(frozen=True, eq=False)
class StayTimes:
    """The times of each stay, in microseconds.

    Attributes
    ----------
    origin : ndarray of int, shape (stay,)
        Start of the stay, or its first event.
    anchor : ndarray of int, shape (stay,)
        Index time of the task; the start where it did not occur.
    reached : ndarray of bool, shape (stay,)
        Whether the index time occurred; nothing is observed of the other stays.
    end : ndarray of float, shape (stay,)
        End of the stay; infinite where unknown.
    """

    origin: np.ndarray
    anchor: np.ndarray
    reached: np.ndarray
    end: np.ndarray


def stay_times(events: Events, task: Task) -> StayTimes:
    """Compute when each stay starts and ends, and its index time.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.

    Returns
    -------
    StayTimes
        The times.
    """
    origin, end = _origin(events), events.stays["end"]
    ends = end.astype("Float64").to_numpy(dtype=float, na_value=np.inf)
    if task.anchor == "start":
        return StayTimes(origin, origin, np.ones(len(origin), dtype=bool), ends)
    if isinstance(task.anchor, ThresholdCrossing):
        first = _first_crossing(events, task.anchor)
    else:
        first = end.astype("Int64").to_numpy(dtype=np.int64, na_value=NO_TIME)
    reached = first != NO_TIME
    return StayTimes(origin, np.where(reached, first, origin), reached, ends)


def _origin(events: Events) -> np.ndarray:
    """(stay,) microseconds: the start of the stay, or its first event where no start is known."""
    if not events.has_dates:
        return events.stays["start"].astype("Int64").fillna(0).to_numpy(dtype=np.int64)  # hours count from 0, or start
    start = events.stays["start"]
    first = first_times(events)
    return np.where(start.isna(), first, start.fillna(0).to_numpy(dtype=np.int64))


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
    for where, criterion, _ in _criteria(task):
        if criterion.variable:
            _check_variable(events, criterion.variable, where=f"{where}, variable")
        elif criterion.column not in (have := [*_columns(events), *DERIVED]):
            fix = "Name one of them, or remove the criterion."
            raise TaskError(f"a column among {', '.join(have)}", criterion.column, fix, where=f"{where}, column")


def _first_crossing(events: Events, crossing: ThresholdCrossing) -> np.ndarray:
    """(stay,) microseconds at which the first such value became known; NO_TIME where there is none."""
    number = _variable_position(events, crossing.variable)
    first = np.full(len(events.stays), np.iinfo(np.int64).max)
    for batch in events.batches():
        crossed = batch["variable"].to_numpy() == number
        crossed[crossed] = crossing.limits.contain(batch["value"].to_numpy()[crossed])
        np.minimum.at(first, batch["stay"].to_numpy()[crossed], batch["available"].to_numpy()[crossed])
    return np.where(first == np.iinfo(np.int64).max, NO_TIME, first)


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
        known, met = (
            _count_meets(events, criterion, whole) if criterion.variable else _column_meets(events, criterion, where)
        )
        if not known.all():
            steps.append((f"{criterion.column} recorded", known))
        steps.append((criterion.label, met) if required else (f"not: {criterion.label}", ~(met & known)))
    return steps


def _criteria(task: Task) -> Iterator[tuple[str, Criterion, bool]]:
    """Where a criterion stands, the criterion, and whether it must be met."""
    for name, required in (("include", True), ("exclude", False)):
        entries: tuple[Criterion, ...] = getattr(task, name)
        for number, criterion in enumerate(entries, start=1):
            yield f"task {task.name}, {name} {number} ({criterion.label})", criterion, required


def _variable_position(events: Events, name: str) -> int:
    """Position of a variable among those of the events, -1 where it is not measured."""
    return {variable.name: i for i, variable in enumerate(events.variables)}.get(name, -1)


def _count_meets(events: Events, criterion: Criterion, whole: Sequences) -> tuple[np.ndarray, np.ndarray]:
    number = _variable_position(events, criterion.variable)
    chunks = [np.bincount(c.stay_of_measurement[c.variable == number], minlength=len(c)) for c in whole.chunks()]
    counts = np.concatenate(chunks)
    return np.ones(len(whole), dtype=bool), criterion.limits.contain(counts)


def _column_meets(events: Events, criterion: Criterion, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Whether the column is known, and whether the criterion is met."""
    values = _column(events, criterion.column)
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


def _column(events: Events, name: str) -> pd.Series:
    stays = events.stays
    if name == "length_hours":
        return (stays["end"] - stays["start"]).astype("Float64") / HOUR
    if name == "stay_number":
        return _stay_number(stays, has_dates=events.has_dates)
    return stays[name] if name in _columns(events) else pd.Series(np.nan, index=stays.index)


def _stay_number(stays: pd.DataFrame, *, has_dates: bool) -> pd.Series:
    """1 = a patient's first stay by start; unknown where a patient has several stays and one has no date of start."""
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


def observed_in_window(
    available: np.ndarray, stay: np.ndarray, times: StayTimes, task: Task
) -> tuple[np.ndarray, np.ndarray]:
    """Hours since the index time at which events became known, and whether that is within the window.

    Parameters
    ----------
    available : ndarray of int, shape (event,)
        Microseconds at which an event became known.
    stay : ndarray of int, shape (event,)
        Position of its stay.
    times : StayTimes
        Times of the stays.
    task : Task
        The task; with a prediction after each time step, the window ends with the stay.

    Returns
    -------
    hours : ndarray of float, shape (event,)
        Hours since the index time.
    inside : ndarray of bool, shape (event,)
        Whether the event became known within the window, both ends included.
    """
    since = available - times.anchor[stay]
    low, high = (round(hours * HOUR) for hours in task.window_hours)
    inside = (since >= low) & (since <= high) & times.reached[stay]
    return since / HOUR, inside & (available <= times.end[stay]) if task.every_step else inside


def prediction_hours(times: StayTimes, task: Task) -> np.ndarray:
    """Prediction time of each stay.

    Parameters
    ----------
    times : StayTimes
        Times of the stays.
    task : Task
        The task.

    Returns
    -------
    ndarray of float, shape (stay,)
        Hours since the index time: the end of the window, or an earlier end of the stay where the task predicts after
        each time step.
    """
    end = task.window_hours[1]
    if not task.every_step:
        return np.full(len(times.anchor), end)
    return np.clip((times.end - times.anchor) / HOUR, task.window_hours[0], end)


def coded_in_window(coded: pa.Table, times: StayTimes, task: Task) -> dict[str, np.ndarray]:
    """The coded events in the window.

    Parameters
    ----------
    coded : pyarrow.Table
        Coded events of the extract.
    times : StayTimes
        Times of the stays.
    task : Task
        The task.

    Returns
    -------
    dict of str to ndarray
        Arrays of `Sequences`.
    """
    stay = coded["stay"].to_numpy()
    hours, inside = observed_in_window(coded["available"].to_numpy(), stay, times, task)
    starts = np.searchsorted(stay[inside], np.arange(len(times.anchor) + 1))
    return {"code_starts": starts, "code_hours": hours[inside], "code": coded["code"].to_numpy()[inside]}
