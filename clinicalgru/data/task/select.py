"""Select the sequences of a task from events, and split them by patient."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.sequences.layout import MEASUREMENT_DTYPES
from clinicalgru.data.sequences.memmap import DiskColumns, MemoryColumns
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.sequences.sequences_io import write_sequences
from clinicalgru.data.task.departures import RECORDED, Step, departure_steps
from clinicalgru.data.task.eligibility import check_names, eligibility_steps
from clinicalgru.data.task.groups import groups_of
from clinicalgru.data.task.labels import outcomes
from clinicalgru.data.task.outcome_kinds import all_unknown
from clinicalgru.data.task.stay_times import NO_TIME, StayTimes, stay_times
from clinicalgru.data.task.task import Task
from clinicalgru.data.task.window import coded_in_window, observed_in_window, prediction_hours, static_in_window
from clinicalgru.errors import ArgumentError, DataWarning, TaskError, describe, system_errors


def select(
    events: Events,
    task: Task,
    *,
    include_ineligible: bool = False,
    codes: bool = False,
    folder: str | Path | None = None,
) -> Sequences:
    """Select the stays of a task, with what was known of them at its prediction time.

    A measurement is included when it became known (`available_at`, else `time`) within the window, both ends included.
    A static covariate has the last value that became known by the prediction time, else it is unknown; criteria see the
    same value.
    Excluded, and counted in `flow`: stays that do not reach the index time, do not meet the criteria, or ended before
    the prediction time or within the gap. So are stays whose outcome is unknown or too early, and those without a
    measurement in the window.
    Deaths, readmissions and discharges are steps of their own. So is each unknown that a condition asks about, such as
    an end of the stay that is not recorded; a warning counts these.

    Parameters
    ----------
    events : Events
        The extract, as `read_events` returns it.
    task : Task
        The task.
    include_ineligible : bool
        Whether to include all stays, for scoring.
    codes : bool
        Whether a stay with coded events but without measurements is eligible, for models with `use_codes`.
    folder : str or Path, optional
        Write the measurements to this folder and keep them there, memory-mapped, for cohorts larger than memory.
        `Sequences.open` opens them again.

    Returns
    -------
    Sequences
        The stays, with the cohort flow in `flow`.

    Raises
    ------
    ArgumentError
        If an argument has another type.
    TaskError
        If the events lack a column or variable of the task, if an outcome that must be 0 or 1 is neither, or if no stay
        is eligible.

    Examples
    --------
    >>> from clinicalgru import Task, read_events, select, simulate
    >>> events = read_events(simulate(50, random_state=0))
    >>> select(events, Task.load("in_hospital_mortality")).flow[0]
    ('stays in the extract', 50)
    """
    check_instance("events", events, Events, fix="Pass what read_events returns.")
    check_instance("task", task, Task, fix='Pass a Task, such as Task.load("in_hospital_mortality").')
    _check_folder(folder)
    if not include_ineligible:
        check_names(events, task)
    times = stay_times(events, task)
    if include_ineligible:
        outcome, early = _outcome_of_all(events, task, times), list[Step]()
    else:
        outcome, early = outcomes(events, task, times)
    with scratch_folder(folder) as scratch:
        whole = _all_stays(events, task, times, outcome, scratch=scratch)
        steps = [] if include_ineligible else _steps(events, task, times, whole, early, codes=codes)
        return _filter_eligible(whole, steps, folder=folder)


def all_stays(events: Events, task: Task, scratch: Path | None = None) -> Sequences:
    """Select all stays, as `include_ineligible` does.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.
    scratch : Path or None
        An empty folder, which holds the measurements as long as they are used; None: they are in memory.

    Returns
    -------
    Sequences
        All stays.
    """
    times = stay_times(events, task)
    return _all_stays(events, task, times, _outcome_of_all(events, task, times), scratch=scratch)


def _outcome_of_all(events: Events, task: Task, times: StayTimes) -> np.ndarray:
    """The outcome of each stay; unknown where the extract has no columns for it."""
    if {*task.outcomes, task.outcome_time} <= {*events.outcomes, "end", ""}:
        return outcomes(events, task, times)[0]
    return all_unknown(len(events.stays), task)


def _steps(
    events: Events, task: Task, times: StayTimes, whole: Sequences, early: Sequence[Step], *, codes: bool
) -> list[Step]:
    """The steps of the cohort flow, in order."""
    steps = eligibility_steps(events, task, times, whole)
    if events.as_of is not None:
        steps.append(("prediction due by the as-of time", times.is_due(task)))
    if not task.every_step:
        steps += departure_steps(events, task, times)
    steps += early
    if codes:
        something = (whole.n_measurements > 0) | (np.diff(whole.code_starts) > 0)
        return [*steps, ("something measured or coded in the window", something)]
    return [*steps, ("something measured in the window", whole.n_measurements > 0)]


def _all_stays(events: Events, task: Task, times: StayTimes, outcome: np.ndarray, *, scratch: Path | None) -> Sequences:
    """All stays, eligible or not, with what was known of them in the window."""
    stays = events.stays
    end_hours = prediction_hours(times, task)
    index_time = np.where(times.reached, times.anchor + np.round(end_hours * HOUR).astype(np.int64), NO_TIME)
    arrays: dict[str, Any] = _measurements(events, times, task, scratch)
    arrays |= coded_in_window(events.coded, times, task) | static_in_window(events, times, task)
    return Sequences(
        variables=events.variables,
        static_variables=events.static_variables,
        code_vocabulary=events.code_vocabulary,
        task=task,
        patient=stays["patient_id"].to_numpy(dtype=object),
        stay=stays["stay_id"].to_numpy(dtype=object),
        outcome=outcome,
        end_hours=end_hours,
        index_time=index_time if events.has_dates else np.zeros(len(stays), dtype=np.int64),
        has_dates=events.has_dates,
        source=events.source,
        simulated=events.simulated,
        reading=events.reading,
        groups=groups_of(events),
        **arrays,
    )


def _measurements(events: Events, times: StayTimes, task: Task, scratch: Path | None) -> dict[str, Any]:
    """The measurements in the window, collected batch by batch in memory or on disk."""
    columns = (
        DiskColumns(scratch, MEASUREMENT_DTYPES)
        if scratch is not None
        else MemoryColumns(MEASUREMENT_DTYPES, events.measurements.num_rows)
    )
    counts = np.zeros(len(events.stays), dtype=np.int64)
    for batch in events.batches():
        stay, available = batch["stay"].to_numpy(), batch["available"].to_numpy()
        hours, inside = observed_in_window(available, stay, times, task)
        if not inside.any():
            continue
        lag = ((available - batch["time"].to_numpy()) / HOUR).astype(np.float32)
        variable, value = batch["variable"].to_numpy(), batch["value"].to_numpy().astype(np.float32)
        columns.add(hours=hours[inside], availability_lag=lag[inside], variable=variable[inside], value=value[inside])
        first, last = int(stay[0]), int(stay[-1])  # stays ascend: a batch holds these only
        counts[first : last + 1] += np.bincount(stay[inside] - first, minlength=last - first + 1)
    arrays, maps = columns.arrays()
    return {"starts": np.concatenate([[0], np.cumsum(counts)]), "_maps": maps, **arrays}


@contextmanager
def scratch_folder(folder: str | Path | None) -> Iterator[Path | None]:
    """Make a temporary folder next to the given one, and remove it at the end.

    Parameters
    ----------
    folder : str, Path or None
        The folder whose parent holds the temporary one; the parent is created.

    Yields
    ------
    Path or None
        The temporary folder; None where no folder is given.
    """
    if folder is None:
        yield None
        return
    with system_errors(Path(folder).name):
        Path(folder).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=Path(folder).parent, prefix=f".{Path(folder).name}-") as scratch:
        yield Path(scratch)


def _filter_eligible(whole: Sequences, steps: Sequence[Step], *, folder: str | Path | None) -> Sequences:
    """The eligible stays, with the cohort flow; all stays, without a flow, where there are no steps."""
    if not steps:
        return whole if folder is None else take_stays(whole, np.ones(len(whole), dtype=bool), folder)
    eligible, flow = np.ones(len(whole), dtype=bool), [("stays in the extract", len(whole))]
    unknown = []
    for step, passed in steps:
        if step.endswith(RECORDED):
            n_excluded = int((eligible & ~passed).sum())
            noun = "stay" if n_excluded == 1 else "stays"
            unknown.append(f"{step.removesuffix(RECORDED)} not recorded ({n_excluded:,} {noun})")
        eligible &= passed
        flow.append((step, int(eligible.sum())))
    if unknown:
        warnings.warn(f"Task {whole.task.name} excludes stays: {'; '.join(unknown)}.", DataWarning, stacklevel=3)
    if not eligible.any():
        counts = "; ".join(f"{step}: {stays}" for step, stays in flow)
        fix = "Check the task's conditions and window, and the outcomes."
        raise TaskError("at least one eligible stay", counts, fix, where=f"task {whole.task.name}")
    return take_stays(replace(whole, flow=tuple(flow)), eligible, folder)


def take_stays(sequences: Sequences, mask: np.ndarray, folder: str | Path | None) -> Sequences:
    """Take some of the stays, in memory or on disk.

    Parameters
    ----------
    sequences : Sequences
        The stays.
    mask : ndarray of bool or int, shape (stay,) or (selected,)
        Mask or positions of the stays to take.
    folder : str or Path, optional
        Write them there, and memory-map them.

    Returns
    -------
    Sequences
        The stays.
    """
    if folder is None:
        return sequences[mask]
    return Sequences.open(write_sequences(sequences, folder, np.arange(len(sequences))[mask]))


def split_patients(
    sequences: Sequences, fractions: Sequence[float], *, random_state: int | None = 0, folder: str | Path | None = None
) -> tuple[Sequences, ...]:
    """Split stays at random into parts, with each patient in one part only.

    Parameters
    ----------
    sequences : Sequences
        The stays.
    fractions : sequence of float
        Fraction of the patients in each part; they sum to 1.
    random_state : int or None
        Seed of the permutation of patients; None = a new one each time.
    folder : str or Path, optional
        Write the parts to its folders part-0, part-1, ..., memory-mapped, for cohorts larger than memory.

    Returns
    -------
    tuple of Sequences
        The parts, in the order of `fractions`.

    Raises
    ------
    ArgumentError
        If an argument has another type, if the fractions do not sum to 1, or if there are fewer patients than parts.

    Notes
    -----
    Patients are permuted and cut. scikit-learn's `StratifiedGroupKFold` makes equal folds only, so unequal fractions
    would be sums of folds of 1/20. It takes 23 s for 40,000 patients instead of 2 ms, and needs as many patients with
    each outcome as there are folds. For cross-validation use scikit-learn's splitters with `groups=sequences.patient`.

    Examples
    --------
    >>> from clinicalgru import Task, read_events, select, simulate, split_patients
    >>> stays = select(read_events(simulate(40, random_state=0)), Task.load("in_hospital_mortality"))
    >>> train, test = split_patients(stays, [0.5, 0.5])
    >>> set(train.patient) & set(test.patient)
    set()
    """
    check_instance("sequences", sequences, Sequences, fix="Pass the Sequences that select returns.")
    check_number("random_state", random_state, minimum=0, whole=True, optional=True)
    _check_folder(folder)
    fractions = _checked_fractions(fractions)
    patients = np.unique(sequences.patient.astype(str))
    if len(patients) < len(fractions):
        raise ArgumentError(f"at least {len(fractions)} patients", f"{len(patients)}", "Use fewer parts.")
    order = np.random.default_rng(random_state).permutation(len(patients))
    bounds = np.round(np.cumsum(fractions) * len(patients)).astype(int)
    part_of = np.empty(len(patients), dtype=int)
    part_of[order] = np.searchsorted(bounds, np.arange(len(patients)), side="right")
    part = part_of[np.searchsorted(patients, sequences.patient.astype(str))]
    folders = [None if folder is None else Path(folder) / f"part-{i}" for i in range(len(fractions))]
    return tuple(take_stays(sequences, part == i, path) for i, path in enumerate(folders))


def _checked_fractions(fractions: Any) -> list[float]:
    """Positive fractions that sum to 1, as a list."""
    if isinstance(fractions, str | bytes) or not isinstance(fractions, Iterable):
        raise ArgumentError("fractions as a list of numbers", describe(fractions), "Pass fractions such as [0.8, 0.2].")
    values = list(fractions)
    for value in values:
        check_number("fractions", value, minimum=0, maximum=1, open_minimum=True)
    if not np.isclose(sum(values), 1):
        raise ArgumentError("fractions above 0 that sum to 1", f"{values}", "Correct them.")
    return values


def _check_folder(folder: Any) -> None:
    if folder is not None:
        check_instance("folder", folder, str, Path, fix="Pass the path of a folder.")
