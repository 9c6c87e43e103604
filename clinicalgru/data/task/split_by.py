"""Split stays by the time of prediction or by a group, such as hospital; each patient in one part only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, DataWarning, describe

UNKNOWN = "unknown"


def split_by_time(sequences: Sequences, times: Any) -> tuple[Sequences, ...]:
    """Split stays at dates, such as to train on the past and test on what followed.

    Parameters
    ----------
    sequences : Sequences
        The stays, of an extract with dates.
    times : date, str or sequence of them
        Where the parts end: a stay whose prediction time is before the first is in the first part, and so on. As the
        times of the extract; with an offset, an instant.

    Returns
    -------
    tuple of Sequences
        The parts, in order of time; one more than there are dates.

    Raises
    ------
    ArgumentError
        If the stays have no dates, a date cannot be read, dates do not rise, or a part is empty.

    Notes
    -----
    A patient is in the part of the first stay only. Later stays that fall into another part are left out, with a
    warning that counts them: in training they would be of the future, and in the test of a patient seen before.

    Examples
    --------
    >>> from clinicalgru import Task, read_events, select, simulate, split_by_time
    >>> stays = select(read_events(simulate(40, random_state=0)), Task.load("in_hospital_mortality"))
    >>> middle = np.sort(stays.index_time.view("datetime64[us]"))[len(stays) // 2]
    >>> past, future = split_by_time(stays, middle)
    >>> bool(past.index_time.max() < future.index_time.min())
    True
    """
    check_instance("sequences", sequences, Sequences, fix="Pass the Sequences that select returns.")
    if not sequences.has_dates:
        raise ArgumentError("stays with dates", "hours since the start", "Use split_patients or split_by.")
    cuts = _moments(times)
    if (np.diff(cuts) <= 0).any():
        raise ArgumentError("times that rise", f"{len(cuts)} that do not", "Sort them, each once.")
    parts = np.searchsorted(cuts, sequences.index_time, side="right")
    return tuple(
        _checked(sequences[part], f"part {i + 1}") for i, part in enumerate(_masks(sequences, parts, len(cuts) + 1))
    )


def split_by(sequences: Sequences, column: str) -> dict[str, Sequences]:
    """Split stays by a group, such as to train in some hospitals and test in another.

    Parameters
    ----------
    sequences : Sequences
        The stays, with groups (`group_columns` of `read_events`).
    column : str
        Column of `sequences.groups`.

    Returns
    -------
    dict of str to Sequences
        The stays of each group, in alphabetical order; those whose group is not recorded as "unknown".

    Raises
    ------
    ArgumentError
        If there is no such column.

    Notes
    -----
    A patient is in the group of the first stay only (by time where the extract has dates). Stays in other groups are
    left out, with a warning that counts them.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> cohort = cg.simulate(40, random_state=0)
    >>> table = cohort.stays.assign(site=["A", "B"] * 20)
    >>> events = cg.read_events(cohort.measurements, stays=table, outcomes=cohort.outcomes, group_columns="site")
    >>> list(cg.split_by(cg.select(events, cg.Task.load("in_hospital_mortality")), "site"))
    ['A', 'B']
    """
    check_instance("sequences", sequences, Sequences, fix="Pass the Sequences that select returns.")
    if column not in sequences.groups:
        have = ", ".join(map(str, sequences.groups)) or "none"
        fix = f"Name columns of the stays table with group_columns=[{column!r}] in read_events."
        raise ArgumentError(f"a group among {have}", f"{column!r}", fix)
    label = sequences.groups[column].astype(object).where(sequences.groups[column].notna(), UNKNOWN).astype(str)
    names, parts = np.unique(label.to_numpy(dtype=str), return_inverse=True)
    masks = _masks(sequences, parts, len(names))
    return {str(name): sequences[mask] for name, mask in zip(names, masks, strict=True) if mask.any()}


def _moments(times: Any) -> np.ndarray:
    """Dates as microseconds since 1970 in UTC."""
    listed = (
        list(times) if isinstance(times, Sequence | np.ndarray | pd.Index) and not isinstance(times, str) else [times]
    )
    fix = 'Pass dates such as split_by_time(stays, "2031-01-01").'
    try:
        moments = [pd.Timestamp(each) for each in listed]
    except (TypeError, ValueError):
        raise ArgumentError("times as dates", describe(times), fix) from None
    if not moments or any(moment is pd.NaT for moment in moments):
        raise ArgumentError("times as dates", describe(times), fix)
    instants = [moment.tz_convert("UTC").tz_localize(None) if moment.tzinfo else moment for moment in moments]
    return np.array([moment.to_datetime64().astype("datetime64[us]").astype(np.int64) for moment in instants])


def _masks(sequences: Sequences, part: np.ndarray, n_parts: int) -> list[np.ndarray]:
    """Which stays are in each part: those of the part of their patient's first stay."""
    patients = pd.Series(sequences.patient.astype(str))
    order = np.argsort(sequences.index_time, kind="stable")
    first = pd.Series(part[order]).groupby(patients.to_numpy()[order]).first()
    stays_in = part == patients.map(first).to_numpy()
    n_left = int((~stays_in).sum())
    if n_left:
        noun = "stay" if n_left == 1 else "stays"
        warnings.warn(
            f"{n_left:,} {noun} left out: their patients' first stay is in another part.", DataWarning, stacklevel=3
        )
    return [(part == number) & stays_in for number in range(n_parts)]


def _checked(part: Sequences, name: str) -> Sequences:
    if not len(part):
        raise ArgumentError("stays in each part", f"none in {name}", "Move the times.")
    return part
