"""Development and test stays of an extract, without a common patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from clinicalgru.checks import check_number
from clinicalgru.data.events import Events
from clinicalgru.data.read_events import read_events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.simulate.simulate import simulate
from clinicalgru.data.task.select import select, split_patients
from clinicalgru.data.task.split_by import split_by_time
from clinicalgru.data.task.task import Task
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_nested
from clinicalgru.errors import ArgumentError, InputError

Report = Callable[[str], None]
SIMULATED_TEST_FRACTION = 0.5
TEST_FRACTION = 0.25
RANDOM_SPLIT = (
    "the test stays were drawn at random from the same extract, so they share its hospital, years and charting: the "
    "figures flatter, and only another site or a later year shows how the model does elsewhere (validate)"
)


@dataclass(frozen=True, eq=False)
class Parts:
    """Stays for development and for testing, without a common patient.

    Attributes
    ----------
    development : Sequences
        Stays for training, validation and calibration.
    test : Sequences
        Stays for evaluation.
    test_events : Events
        Extract of the test stays.
    auxiliary : DataFrame, optional
        Auxiliary targets by stay_id, as from `Events.auxiliary_targets`.
    split : str
        What a reader of the evaluation has to know of the split; empty where there is nothing.
    """

    development: Sequences
    test: Sequences
    test_events: Events
    auxiliary: pd.DataFrame | None = None
    split: str = ""


def describe_extract(events: Events, *, min_cell_size: int = MIN_CELL_SIZE) -> str:
    """Return what was read, and the ledger, as text.

    Parameters
    ----------
    events : Events
        The extract.
    min_cell_size : int
        Counts of 1 to below this are suppressed, except of synthetic patients.

    Returns
    -------
    str
        Lines.
    """
    min_cell_size = 0 if events.simulated else min_cell_size
    stays = format_count(*suppress_nested([len(events.stays)], min_cell_size=min_cell_size))
    head = f"{len(events):,} events of {stays} stays, {len(events.variables)} variables, {events.source}"
    return f"{head}\n{events.ledger.as_text(min_cell_size=min_cell_size)}"


def simulated_parts(stays: int, random_state: int, report: Report) -> Parts:
    """Simulate a synthetic cohort, read it as any extract, and split it.

    Parameters
    ----------
    stays : int
        Number of stays.
    random_state : int
        Seed of simulation and split.
    report : callable
        Receives text about the extract.

    Returns
    -------
    Parts
        Half of the patients for testing, so that there are events enough for a verdict.
    """
    events = read_events(simulate(stays, random_state=random_state))
    report(describe_extract(events))
    return split_parts(events, Task.load("in_hospital_mortality"), random_state, test=SIMULATED_TEST_FRACTION)


def split_parts(
    events: Events,
    task: Task,
    random_state: int,
    *,
    test: float = TEST_FRACTION,
    test_from: str | None = None,
    split_column: str | None = None,
) -> Parts:
    """Split one extract by patient.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.
    random_state : int
        Seed of the split.
    test : float
        Fraction of the patients for testing.
    test_from : str or None
        A date: stays with a prediction time before it are for training, the others for testing, as `split_by_time`
        divides them, instead of a fraction.
    split_column : str or None
        Column of the stays that is "train" or "test", instead of a fraction; the same for all stays of a patient.

    Returns
    -------
    Parts
        Development and test stays.

    Raises
    ------
    ArgumentError
        If both ways are given, the date is none, or the extract has no dates or no such column.
    InputError
        If the column holds something else, or a part has no stay.
    """
    check_number("test", test, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
    if test_from is not None and split_column is not None:
        raise ArgumentError("test_from or split_column", "both", "Leave one of them out.")
    stays = select(events, task)
    note = ""
    if test_from is not None:
        development, held = split_by_time(stays, test_from)
    elif split_column is not None:
        is_test = _column_test(events, stays, split_column)
        development, held = stays[~is_test], stays[is_test]
    else:
        development, held = split_patients(stays, [1 - test, test], random_state=random_state)
        note = RANDOM_SPLIT
    if not (len(development) and len(held)):
        raise InputError("stays to train on and to evaluate on", "a split with none of one kind", "Split otherwise.")
    return Parts(development, held, events, events.auxiliary_targets(task), note)


def _column_test(events: Events, stays: Sequences, split_column: str) -> np.ndarray:
    """(stay,) whether a column of the stays says "test"."""
    if split_column not in events.stays:
        names = ", ".join(map(str, events.stays.columns))
        raise ArgumentError(f"a column of the stays: {names}", f"{split_column}", "Name the column of the split.")
    column = events.stays.set_index(events.stays["stay_id"].astype(str))[split_column].astype(str)
    part = column.reindex(pd.Index(stays.stay.astype(str))).reset_index(drop=True)
    n_parts = part.groupby(stays.patient.astype(str)).nunique()
    if not part.isin(["train", "test"]).all() or (n_parts > 1).any():
        expected = "train or test, the same for all stays of a patient"
        raise InputError(expected, "other values", "Mend the column.", where=f"stays, {split_column}")
    return (part == "test").to_numpy()


def physionet2012_parts(folder: Path, report: Report) -> Parts:
    """Read PhysioNet 2012: set a for development, set b for testing, as published.

    Parameters
    ----------
    folder : Path
        Folder with set-a, set-b and their Outcomes files.
    report : callable
        Receives text about each set.

    Returns
    -------
    Parts
        Development and test stays.

    Raises
    ------
    InputError
        If a set is missing.
    """
    task = Task.load("in_hospital_mortality")
    set_a, set_b = (_read_set(folder, name, report) for name in "ab")
    sequences = select(set_a, task)
    test = select(set_b, task).with_variables(sequences.variables).with_static_variables(sequences.static_variables)
    return Parts(sequences, test, set_b, set_a.auxiliary_targets(task))


def _read_set(folder: Path, name: str, report: Report) -> Events:
    """One set of PhysioNet 2012, packed or not."""
    for data in (folder / f"set-{name}.tar.gz", folder / f"set-{name}.zip", folder / f"set-{name}"):
        if data.exists():
            events = read_events(data, source="physionet2012", outcomes=folder / f"Outcomes-{name}.txt")
            report(describe_extract(events))
            return events
    fix = "Download the sets from PhysioNet and pass their folder with --data."
    raise InputError(f"set-{name} as .tar.gz, .zip or folder", "no such path", fix, where=folder.name)


def unlabelled_stays(events: Events, task: Task, parts: Parts) -> Sequences:
    """Give the stays of an extract that have the window of a task, but no known outcome.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.
    parts : Parts
        Stays with outcomes, as of `split_parts`.

    Returns
    -------
    Sequences
        Stays that last to the prediction time, of patients of whom no stay is in any of the parts.

    Raises
    ------
    ArgumentError
        If there are none.
    """
    everyone = select(events, task.without_outcome())
    known = np.concatenate([parts.development.patient, parts.test.patient]).astype(str)
    lasting = everyone.end_hours >= task.window_hours[1]  # others have ended before the prediction
    others = everyone[lasting & ~np.isin(everyone.patient.astype(str), known)]
    if not len(others):
        fix = "Leave --unlabelled out, or pass an extract with further stays."
        raise ArgumentError("stays without a known outcome", "none of another patient", fix)
    return others
