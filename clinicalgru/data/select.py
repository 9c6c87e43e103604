"""select: events and a task become sequences; and sequences become parts with each patient in one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from clinicalgru.data.events import HOUR, Events, first_times
from clinicalgru.data.sequences import Sequences
from clinicalgru.data.task import Task
from clinicalgru.errors import ArgumentError, TaskError


def select(events: Events, task: Task, *, every_stay: bool = False) -> Sequences:
    """What was known of each stay at the task's prediction time.

    A fact is seen when it became known (`available_at`, else `time`) within the window, both ends included. Left out,
    and counted in `flow`: stays that ended before the prediction, stays whose outcome is not recorded, stays with
    nothing measured in the window. With `every_stay` (for scoring) all stays stay in, outcomes or not.

    Refused: an outcome the events do not have; a task that leaves no stay.

    >>> from clinicalgru.data.simulate import simulate
    >>> from clinicalgru.data.sources.read import read_events
    >>> ward = simulate(50, seed=0)
    >>> events = read_events(ward.measurements, stays=ward.stays, outcomes=ward.outcomes)
    >>> sequences = select(events, Task.load("in_hospital_mortality"))
    >>> sequences.flow[0]
    ('stays in the extract', 50)
    """
    if not every_stay and task.outcome not in events.outcomes:
        have = ", ".join(events.outcomes) or "none"
        raise TaskError(f"the outcome {task.outcome}", f"outcomes: {have}", "Pass outcomes= to read_events.")
    stays = events.stays
    anchor = _anchor(events)
    arrays: dict[str, Any] = _facts(events.facts, anchor, task) | _codes(events.coded, anchor, task)
    outcome = np.full(len(stays), np.nan)
    if task.outcome in events.outcomes:
        outcome = stays[task.outcome].to_numpy(dtype=float)
    static = [stays[variable.name].to_numpy(dtype=np.float32) for variable in events.statics]
    predicted_at = anchor + int(task.window_hours[1] * HOUR)
    whole = Sequences(
        variables=events.variables,
        statics=events.statics,
        vocabulary=events.vocabulary,
        task=task,
        patient=stays["patient_id"].to_numpy(dtype=object),
        stay=stays["stay_id"].to_numpy(dtype=object),
        static=np.stack(static, axis=1) if static else np.zeros((len(stays), 0), dtype=np.float32),
        outcome=outcome,
        end_hours=np.full(len(stays), task.window_hours[1]),
        predicted_at=predicted_at if events.dated else np.zeros(len(stays), dtype=np.int64),
        dated=events.dated,
        source=events.source,
        simulated=events.simulated,
        **arrays,
    )
    ends = stays["end"].astype("Float64").to_numpy(dtype=float, na_value=np.inf)
    return whole if every_stay else _eligible(whole, ends >= predicted_at)


def _anchor(events: Events) -> np.ndarray:
    """(stay,) microseconds: the stay's start, or its first event where no start is recorded."""
    if not events.dated:
        return np.zeros(len(events.stays), dtype=np.int64)  # hours count from the start already
    start = events.stays["start"]
    first = first_times(events.facts, events.coded, len(start))
    return np.where(start.isna(), first, start.fillna(0).to_numpy(dtype=np.int64))


def _facts(facts: pa.Table, anchor: np.ndarray, task: Task) -> dict[str, np.ndarray]:
    """The measurements in the window, chunk by chunk, so that memory follows what is kept."""
    kept: list[tuple[np.ndarray, ...]] = [_none(np.int32, np.float64, np.float32, np.int16, np.float32)]
    for batch in facts.to_batches():
        stay = batch["stay"].to_numpy()
        hours, seen = _seen(batch["available"].to_numpy(), anchor[stay], task)
        delay = (batch["available"].to_numpy() - batch["time"].to_numpy()) / HOUR
        columns = (
            stay,
            hours,
            delay.astype(np.float32),
            batch["variable"].to_numpy(),
            batch["value"].to_numpy().astype(np.float32),
        )
        kept.append(tuple(column[seen] for column in columns))
    stay, hours, delay, variable, value = (np.concatenate(columns) for columns in zip(*kept, strict=True))
    starts = np.searchsorted(stay, np.arange(len(anchor) + 1))
    return {"starts": starts, "hours": hours, "delay": delay, "variable": variable, "value": value}


def _codes(coded: pa.Table, anchor: np.ndarray, task: Task) -> dict[str, np.ndarray]:
    stay = coded["stay"].to_numpy()
    hours, seen = _seen(coded["available"].to_numpy(), anchor[stay], task)
    starts = np.searchsorted(stay[seen], np.arange(len(anchor) + 1))
    return {"code_starts": starts, "code_hours": hours[seen], "code": coded["code"].to_numpy()[seen]}


def _seen(available: np.ndarray, anchor: np.ndarray, task: Task) -> tuple[np.ndarray, np.ndarray]:
    since = available - anchor
    low, high = (round(hours * HOUR) for hours in task.window_hours)
    return since / HOUR, (since >= low) & (since <= high)


def _none(*kinds: type) -> tuple[np.ndarray, ...]:
    return tuple(np.empty(0, dtype=kind) for kind in kinds)


def _eligible(whole: Sequences, still_there: np.ndarray) -> Sequences:
    """The stays that can be learned from, with the cohort flow."""
    keep, flow = np.ones(len(whole), dtype=bool), [("stays in the extract", len(whole))]
    for step, holds in (
        ("still in the stay at the prediction", still_there),
        (f"outcome recorded ({whole.task.outcome})", ~np.isnan(whole.outcome)),
        ("something measured in the window", whole.counts > 0),
    ):
        keep &= holds
        flow.append((step, int(keep.sum())))
    if not keep.any():
        came = "; ".join(f"{step}: {stays}" for step, stays in flow)
        raise TaskError("at least one stay to learn from", came, "Check the task's window and the outcomes.")
    return replace(whole[keep], flow=tuple(flow))


def split_patients(sequences: Sequences, fractions: Sequence[float], *, seed: int = 0) -> tuple[Sequences, ...]:
    """Parts of the stays with each patient in one part only.

    fractions  shares of patients, summing to 1
    Refused: fractions that do not sum to 1, fewer patients than parts.

    >>> from clinicalgru.data.simulate import simulate
    >>> from clinicalgru.data.sources.read import read_events
    >>> ward = simulate(40, seed=0)
    >>> events = read_events(ward.measurements, stays=ward.stays, outcomes=ward.outcomes)
    >>> train, test = split_patients(select(events, Task.load("in_hospital_mortality")), [0.5, 0.5])
    >>> set(train.patient) & set(test.patient)
    set()
    """
    if not np.isclose(sum(fractions), 1) or min(fractions) <= 0:
        raise ArgumentError("fractions above 0 that sum to 1", f"{list(fractions)}", "Correct them.")
    patients = np.unique(sequences.patient.astype(str))
    if len(patients) < len(fractions):
        raise ArgumentError(f"at least {len(fractions)} patients", f"{len(patients)}", "Use fewer parts.")
    order = np.random.default_rng(seed).permutation(len(patients))
    bounds = np.round(np.cumsum(fractions) * len(patients)).astype(int)
    part_of = np.empty(len(patients), dtype=int)
    part_of[order] = np.searchsorted(bounds, np.arange(len(patients)), side="right")
    part = part_of[np.searchsorted(patients, sequences.patient.astype(str))]
    return tuple(sequences[part == i] for i in range(len(fractions)))
