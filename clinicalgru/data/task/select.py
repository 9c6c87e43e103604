"""select: events and a task become sequences; and sequences become parts with each patient in one of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.sequences.layout import MEASUREMENT_DTYPES
from clinicalgru.data.sequences.memmap import DiskColumns, MemoryColumns
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.sequences.sequences_io import write_sequences
from clinicalgru.data.task.eligibility import (
    NO_TIME,
    StayTimes,
    Step,
    asked,
    check_names,
    clock,
    coded_seen,
    looked_at,
    seen,
)
from clinicalgru.data.task.labels import outcomes
from clinicalgru.data.task.outcome_kinds import recorded, unknown
from clinicalgru.data.task.task import Task
from clinicalgru.errors import ArgumentError, TaskError


def select(
    events: Events,
    task: Task,
    *,
    include_ineligible: bool = False,
    codes: bool = False,
    folder: str | Path | None = None,
) -> Sequences:
    """What was known of each stay at the task's prediction time.

    A fact is seen when it became known (`available_at`, else `time`) within the window, both ends included. Left out,
    and counted in `flow`: stays in which the anchor never came, that do not meet the task's conditions, that ended
    before the prediction, whose outcome is not recorded or came too early, or with nothing measured in the window. With
    `include_ineligible` (for scoring) all stays stay in, conditions and outcomes or not. With `folder`, the measurements are
    written there and stay there, memory-mapped, for cohorts larger than memory; `Sequences.open` finds them again. With
    `codes`, for a model that looks at coded events, a stay of which none but those is known is one to learn from too.

    Refused: a column or variable that the events do not have, with those they have; an outcome that is neither 0 nor 1;
    a task that leaves no stay.

    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> cohort = simulate(50, random_state=0)
    >>> events = read_events(cohort.measurements, stays=cohort.stays, outcomes=cohort.outcomes)
    >>> sequences = select(events, Task.load("in_hospital_mortality"))
    >>> sequences.flow[0]
    ('stays in the extract', 50)
    """
    if not include_ineligible:
        check_names(events, task)
    times = clock(events, task)
    outcome, early = unknown(len(events.stays), task), list[Step]()
    if not include_ineligible or {*task.outcomes, task.outcome_time} <= {*events.outcomes, "end", ""}:
        outcome, early = outcomes(events, task, times)
    with room_for(folder) as room:
        whole = _whole(events, task, times, outcome, room=room)
        steps = [] if include_ineligible else _steps(events, task, times, whole, early, codes=codes)
        return _eligible(whole, steps, folder=folder)


def _steps(
    events: Events, task: Task, times: StayTimes, whole: Sequences, early: Sequence[Step], *, codes: bool
) -> list[Step]:
    """What is asked of a stay, in order."""
    steps = asked(events, task, times, whole)
    if not task.every_step:
        steps.append(("still in the stay at the prediction", times.end >= times.anchor + _after(task)))
    if task.outcomes:
        steps += [(f"outcome recorded ({task.outcome_words})", recorded(whole.outcome, task)), *early]
    if codes:
        something = (whole.n_measurements > 0) | (np.diff(whole.code_starts) > 0)
        return [*steps, ("something measured or coded in the window", something)]
    return [*steps, ("something measured in the window", whole.n_measurements > 0)]


def _whole(events: Events, task: Task, times: StayTimes, outcome: np.ndarray, *, room: Path | None) -> Sequences:
    """All stays, whoever they are, with what was seen of them."""
    stays = events.stays
    static = [stays[variable.name].to_numpy(dtype=np.float32) for variable in events.static_variables]
    looked = looked_at(times, task)
    index_time = np.where(times.reached, times.anchor + np.round(looked * HOUR).astype(np.int64), NO_TIME)
    arrays: dict[str, Any] = _facts(events, times, task, room) | coded_seen(events.coded, times, task)
    return Sequences(
        variables=events.variables,
        static_variables=events.static_variables,
        code_vocabulary=events.code_vocabulary,
        task=task,
        patient=stays["patient_id"].to_numpy(dtype=object),
        stay=stays["stay_id"].to_numpy(dtype=object),
        static=np.stack(static, axis=1) if static else np.zeros((len(stays), 0), dtype=np.float32),
        outcome=outcome,
        end_hours=looked,
        index_time=index_time if events.has_dates else np.zeros(len(stays), dtype=np.int64),
        has_dates=events.has_dates,
        source=events.source,
        simulated=events.simulated,
        **arrays,
    )


def _after(task: Task) -> int:
    """Microseconds from the anchor to the prediction."""
    return round(task.window_hours[1] * HOUR)


def _facts(events: Events, times: StayTimes, task: Task, room: Path | None) -> dict[str, Any]:
    """The measurements in the window, chunk by chunk: memory follows what is kept, or it goes to the room on disk."""
    kept = (
        DiskColumns(room, MEASUREMENT_DTYPES)
        if room is not None
        else MemoryColumns(MEASUREMENT_DTYPES, events.measurements.num_rows)
    )
    counts = np.zeros(len(events.stays), dtype=np.int64)
    for batch in events.batches():
        stay, available = batch["stay"].to_numpy(), batch["available"].to_numpy()
        hours, inside = seen(available, stay, times, task)
        if not inside.any():
            continue
        lag = ((available - batch["time"].to_numpy()) / HOUR).astype(np.float32)
        variable, value = batch["variable"].to_numpy(), batch["value"].to_numpy().astype(np.float32)
        kept.add(hours=hours[inside], availability_lag=lag[inside], variable=variable[inside], value=value[inside])
        first, last = int(stay[0]), int(stay[-1])  # stays ascend: only these occur
        counts[first : last + 1] += np.bincount(stay[inside] - first, minlength=last - first + 1)
    arrays, maps = kept.arrays()
    return {"starts": np.concatenate([[0], np.cumsum(counts)]), "_maps": maps, **arrays}


@contextmanager
def room_for(folder: str | Path | None) -> Iterator[Path | None]:
    """A folder beside the given one for what is written on the way; none for none."""
    if folder is None:
        yield None
        return
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=Path(folder).parent, prefix=f".{Path(folder).name}-") as room:
        yield Path(room)


def _eligible(whole: Sequences, steps: Sequence[Step], *, folder: str | Path | None) -> Sequences:
    """The stays that can be learned from, with the cohort flow; all of them, and no flow, where nothing is asked."""
    if not steps:
        return whole if folder is None else kept_in(whole, np.ones(len(whole), dtype=bool), folder)
    keep, flow = np.ones(len(whole), dtype=bool), [("stays in the extract", len(whole))]
    for step, holds in steps:
        keep &= holds
        flow.append((step, int(keep.sum())))
    if not keep.any():
        came = "; ".join(f"{step}: {stays}" for step, stays in flow)
        fix = "Check the task's conditions and window, and the outcomes."
        raise TaskError("at least one stay to learn from", came, fix, where=f"task {whole.task.name}")
    return kept_in(replace(whole, flow=tuple(flow)), keep, folder)


def kept_in(sequences: Sequences, which: np.ndarray, folder: str | Path | None) -> Sequences:
    """The stays at these positions: in memory, or written to a folder and memory-mapped from there."""
    if folder is None:
        return sequences[which]
    return Sequences.open(write_sequences(sequences, folder, np.arange(len(sequences))[which]))


def split_patients(
    sequences: Sequences, fractions: Sequence[float], *, random_state: int = 0, folder: str | Path | None = None
) -> tuple[Sequences, ...]:
    """Parts of the stays with each patient in one part only.

    fractions  shares of patients, summing to 1
    folder     write the parts to its folders part-0, part-1, ..., memory-mapped, for cohorts larger than memory
    Refused: fractions that do not sum to 1, fewer patients than parts.

    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> cohort = simulate(40, random_state=0)
    >>> events = read_events(cohort.measurements, stays=cohort.stays, outcomes=cohort.outcomes)
    >>> train, test = split_patients(select(events, Task.load("in_hospital_mortality")), [0.5, 0.5])
    >>> set(train.patient) & set(test.patient)
    set()
    """
    if not np.isclose(sum(fractions), 1) or min(fractions) <= 0:
        raise ArgumentError("fractions above 0 that sum to 1", f"{list(fractions)}", "Correct them.")
    patients = np.unique(sequences.patient.astype(str))
    if len(patients) < len(fractions):
        raise ArgumentError(f"at least {len(fractions)} patients", f"{len(patients)}", "Use fewer parts.")
    order = np.random.default_rng(random_state).permutation(len(patients))
    bounds = np.round(np.cumsum(fractions) * len(patients)).astype(int)
    part_of = np.empty(len(patients), dtype=int)
    part_of[order] = np.searchsorted(bounds, np.arange(len(patients)), side="right")
    part = part_of[np.searchsorted(patients, sequences.patient.astype(str))]
    folders = [None if folder is None else Path(folder) / f"part-{i}" for i in range(len(fractions))]
    return tuple(kept_in(sequences, part == i, path) for i, path in enumerate(folders))
