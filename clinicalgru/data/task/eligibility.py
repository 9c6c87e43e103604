"""A task held against events: the moment it counts from, the stays it asks about, and what was known of them."""

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

Step = tuple[str, np.ndarray]  # a step of the cohort flow, and the stays it holds for
NO_TIME = np.iinfo(np.int64).min  # what numpy takes as "not a time"
DERIVED = ("length_hours", "stay_number")  # columns that conditions may name besides those of `stays`


@dataclass(frozen=True, eq=False)
class StayTimes:
    """The moments of each stay, (stay,) microseconds: its start or first event, the task's anchor, its end.

    reached  False where the anchor never came; `anchor` is then the start, and nothing is seen from it
    end      float; infinite where not recorded
    """

    origin: np.ndarray
    anchor: np.ndarray
    reached: np.ndarray
    end: np.ndarray


def clock(events: Events, task: Task) -> StayTimes:
    """When each stay starts, when the task's anchor came, and when the stay ends."""
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
    """(stay,) microseconds: the stay's start, or its first event where no start is recorded."""
    if not events.has_dates:
        return np.zeros(len(events.stays), dtype=np.int64)  # hours count from the start already
    start = events.stays["start"]
    first = first_times(events)
    return np.where(start.isna(), first, start.fillna(0).to_numpy(dtype=np.int64))


def check_names(events: Events, task: Task) -> None:
    """Refused: an anchor or a condition on a variable or column that the events do not have, with those they have."""
    if isinstance(task.anchor, ThresholdCrossing):
        _check_variable(events, task.anchor.variable, where=f"task {task.name}, anchor")
    for where, condition, _ in _entries(task):
        if condition.variable:
            _check_variable(events, condition.variable, where=f"{where}, variable")
        elif condition.column not in (have := [*_columns(events), *DERIVED]):
            fix = "Name one of them, or leave the condition out."
            raise TaskError(f"a column among {', '.join(have)}", condition.column, fix, where=f"{where}, column")


def _first_crossing(events: Events, crossing: ThresholdCrossing) -> np.ndarray:
    """(stay,) microseconds at which the first such value became known; NO_TIME where none did."""
    number = _number(events, crossing.variable)
    first = np.full(len(events.stays), np.iinfo(np.int64).max)
    for batch in events.batches():
        ours = batch["variable"].to_numpy() == number
        ours[ours] = crossing.limits.hold(batch["value"].to_numpy()[ours])
        np.minimum.at(first, batch["stay"].to_numpy()[ours], batch["available"].to_numpy()[ours])
    return np.where(first == np.iinfo(np.int64).max, NO_TIME, first)


def _check_variable(events: Events, name: str, *, where: str) -> None:
    names = [variable.name for variable in events.variables]
    if name not in names:
        fix = "Name one of them, or leave the condition out."
        raise TaskError(f"a variable among {', '.join(names) or 'none'}", name, fix, where=where)


def asked(events: Events, task: Task, times: StayTimes, whole: Sequences) -> list[Step]:
    """Whom the task asks about: the anchor came, then its inclusions and exclusions in order.

    An unknown value is a step of its own and leaves the stay out; a column or variable that the events do not have is
    unknown, or never measured, for all (`check_names` refuses it).
    """
    steps = [(f"anchor came ({task.anchor_words})", times.reached)] if task.anchor != "start" else []
    for where, condition, wanted in _entries(task):
        known, holds = (
            _measured(events, condition, whole) if condition.variable else _described(events, condition, where)
        )
        if not known.all():
            steps.append((f"{condition.column} recorded", known))
        steps.append((condition.label, holds) if wanted else (f"not: {condition.label}", ~(holds & known)))
    return steps


def _entries(task: Task) -> Iterator[tuple[str, Criterion, bool]]:
    """Where it stands, the condition, and whether it is wanted."""
    for name, wanted in (("include", True), ("exclude", False)):
        entries: tuple[Criterion, ...] = getattr(task, name)
        for number, condition in enumerate(entries, start=1):
            yield f"task {task.name}, {name} {number} ({condition.label})", condition, wanted


def _number(events: Events, name: str) -> int:
    """Position of a variable among those of the events, -1 where they have none of it."""
    return {variable.name: i for i, variable in enumerate(events.variables)}.get(name, -1)


def _measured(events: Events, condition: Criterion, whole: Sequences) -> tuple[np.ndarray, np.ndarray]:
    number = _number(events, condition.variable)
    blocks = [np.bincount(b.stay_of_measurement[b.variable == number], minlength=len(b)) for b in whole.chunks()]
    counts = np.concatenate(blocks)
    return np.ones(len(whole), dtype=bool), condition.limits.hold(counts)


def _described(events: Events, condition: Criterion, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Where the column is known, and where the condition holds."""
    values = _column(events, condition.column)
    known = values.notna().to_numpy()
    if not condition.among and not pd.api.types.is_numeric_dtype(values):
        raise TaskError("a column of numbers", "text", "Use among: [...].", where=f"{where}, column")
    holds = known.copy()
    if condition.limits.to_dict():
        holds &= condition.limits.hold(values.to_numpy(dtype=float, na_value=np.nan))
    if condition.among:
        holds &= values.isin(_meant(events, condition, where)).to_numpy()
    return known, holds


def _columns(events: Events) -> list[str]:
    return list(events.stays.columns.drop(["patient_id", "stay_id", "start", "end"], errors="ignore"))


def _column(events: Events, name: str) -> pd.Series:
    stays = events.stays
    if name == "length_hours":
        return (stays["end"] - stays["start"]).astype("Float64") / HOUR
    if name == "stay_number":
        return _stay_number(stays)
    return stays[name] if name in _columns(events) else pd.Series(np.nan, index=stays.index)


def _stay_number(stays: pd.DataFrame) -> pd.Series:
    """1 for a patient's first stay by start; unknown where a patient has several and one has no start."""
    by_patient = stays.groupby("patient_id", sort=False)["start"]
    rank = by_patient.rank(method="first").astype(float)
    several = by_patient.transform("size") > 1
    unknown = stays["start"].isna().groupby(stays["patient_id"], sort=False).transform("any") & several
    return rank.where(several, 1.0).mask(unknown)


def _meant(events: Events, condition: Criterion, where: str) -> list[object]:
    """The values of `among` as they stand in the column: a category is the position of its word or code."""
    static = {variable.name: variable for variable in events.static_variables}.get(condition.column)
    if static is None or not static.categories:
        return list(condition.among)
    words = [(str(code), word) for code, word in static.categories.items()]
    unknown = [value for value in condition.among if not any(str(value) in pair for pair in words)]
    if unknown:
        have = ", ".join(f"{code} ({word})" for code, word in words)
        raise TaskError(f"levels among {have}", str(unknown[0]), "Correct it.", where=f"{where}, among")
    wanted = {str(value) for value in condition.among}
    return [float(position) for position, pair in enumerate(words) if wanted & set(pair)]


def seen(available: np.ndarray, stay: np.ndarray, times: StayTimes, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Hours since the anchor of each event, and whether it became known within the window.

    What is asked after each step is asked until the stay ends.
    """
    since = available - times.anchor[stay]
    low, high = (round(hours * HOUR) for hours in task.window_hours)
    inside = (since >= low) & (since <= high) & times.reached[stay]
    return since / HOUR, inside & (available <= times.end[stay]) if task.every_step else inside


def looked_at(times: StayTimes, task: Task) -> np.ndarray:
    """(stay,) hours since the anchor at which each stay is looked at: the window's end, or an earlier end of the stay
    where the task asks after each step."""
    end = task.window_hours[1]
    if not task.every_step:
        return np.full(len(times.anchor), end)
    return np.clip((times.end - times.anchor) / HOUR, task.window_hours[0], end)


def coded_seen(coded: pa.Table, times: StayTimes, task: Task) -> dict[str, np.ndarray]:
    """The coded events in the window, as arrays of `Sequences`."""
    stay = coded["stay"].to_numpy()
    hours, inside = seen(coded["available"].to_numpy(), stay, times, task)
    starts = np.searchsorted(stay[inside], np.arange(len(times.anchor) + 1))
    return {"code_starts": starts, "code_hours": hours[inside], "code": coded["code"].to_numpy()[inside]}
