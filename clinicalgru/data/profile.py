"""What an extract holds, before anything is learned: who has what measured when, and how the values are spread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.eligibility import clock
from clinicalgru.data.task.task import Task
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError

MOST_BINS = 60
Facts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # stay, hours, variable, value


def measured_by_hour(data: Events | Sequences, *, hours: int = 48) -> pd.DataFrame:
    """How many stays have each variable measured within each hour since their start, or since the task's anchor.

    data     Events or Sequences
    hours    so many whole hours: of Events the first ones, of Sequences the last ones before the prediction
    returns  variable (name), hour, stays (with at least one value that became known in [hour, hour + 1)), of (stays
             that were there at its start); one row for each variable and hour, those never measured with 0

    Refused: fewer than 1 hour.

    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> table = measured_by_hour(read_events(simulate(30)), hours=24)
    >>> len(table) == 24 * table["variable"].nunique()
    True
    """
    if hours < 1:
        raise ArgumentError("at least 1 hour", f"{hours}", "Pass a number of hours such as 48.")
    first, stayed = _first_hour(data, hours), _hours_there(data, hours)
    closed = isinstance(data, Sequences)
    width, carried = len(data.variables) * hours, np.zeros(0, dtype=np.int64)
    counts = np.zeros(width, dtype=np.int64)
    for stay, at, variable, _ in _facts(data):
        hour = np.floor(at).astype(np.int64) - first
        hour -= closed & (at == first + hours)  # a task's window holds its end
        inside = (hour >= 0) & (hour < hours)
        keys = stay[inside].astype(np.int64) * width + variable[inside] * hours + hour[inside]
        keys = np.unique(np.concatenate([carried, keys]))
        last = keys >= (keys[-1] // width) * width if len(keys) else np.zeros(0, dtype=bool)
        counts += np.bincount(keys[~last] % width, minlength=width)
        carried = keys[last]  # the stay may go on in the next batch
    counts += np.bincount(carried % width, minlength=width)
    names = np.repeat([variable.name for variable in data.variables], hours)
    hour = np.tile(np.arange(first, first + hours), len(data.variables))
    return pd.DataFrame({"variable": names, "hour": hour, "stays": counts, "of": np.tile(stayed, len(data.variables))})


def distribution(data: Events | Sequences, variable: str, *, min_cell_size: int = MIN_CELL_SIZE) -> pd.DataFrame:
    """How the values of one variable are spread, in bins that each hold many.

    variable       its name
    min_cell_size  bins of fewer measurements are joined with their neighbours; 0 joins none
    returns        low, high, measurements; no row where there are fewer than `min_cell_size` in all

    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.read_events import read_events
    >>> bool((distribution(read_events(simulate(30)), "heart_rate")["measurements"] >= 11).all())
    True
    """
    number = [one.name for one in data.variables].index(find(data, variable).name)
    values = np.concatenate([value[which == number] for _, _, which, value in _facts(data)] or [np.zeros(0)])
    if len(values) < max(1, min_cell_size):
        return pd.DataFrame({"low": [], "high": [], "measurements": []})
    distinct = np.unique(values)
    edges = np.histogram_bin_edges(values, bins=MOST_BINS)
    if len(distinct) <= MOST_BINS:  # scores and counts: a bin around each value
        middle = (distinct[1:] + distinct[:-1]) / 2
        edges = np.concatenate([[distinct[0] - 0.5], middle, [distinct[-1] + 0.5]])
    counts = np.histogram(values, edges)[0]
    kept = _joined(counts, max(1, min_cell_size))
    sums = np.add.reduceat(counts, kept)
    return pd.DataFrame({"low": edges[kept], "high": edges[[*kept[1:], len(counts)]], "measurements": sums})


def find(data: Events | Sequences, name: str) -> Variable:
    """The series variable of that name; refused: one that the data do not have."""
    found = {variable.name: variable for variable in data.variables}
    if name not in found:
        raise ArgumentError(f"a variable among {', '.join(found)}", repr(name), "Choose one of them.")
    return found[name]


def _joined(counts: np.ndarray, least: int) -> list[int]:
    """Where bins start, so that each holds at least so many; what is left over goes to the last."""
    starts, held = [0], 0
    for place, count in enumerate(counts[:-1]):
        held += int(count)
        if held >= least and counts[place + 1 :].sum() >= least:
            starts.append(place + 1)
            held = 0
    return starts


def _facts(data: Events | Sequences) -> Iterator[Facts]:
    if isinstance(data, Sequences):
        for block, first in _blocks(data):
            yield first + block.stay_of_measurement, block.hours, block.variable, block.value
        return
    origin = clock(data, Task(name="profile", outcome="none", window_hours=(0, 1))).origin
    for batch in data.batches():
        stay = batch["stay"].to_numpy()
        hours = (batch["available"].to_numpy() - origin[stay]) / HOUR
        yield stay, hours, batch["variable"].to_numpy(), batch["value"].to_numpy()


def _blocks(sequences: Sequences) -> Iterator[tuple[Sequences, int]]:
    done = 0
    for block in sequences.chunks():
        yield block, done
        done += len(block)


def _first_hour(data: Events | Sequences, hours: int) -> int:
    return 0 if isinstance(data, Events) else int(np.ceil(data.task.window_hours[1])) - hours


def _hours_there(data: Events | Sequences, hours: int) -> np.ndarray:
    """(hour,) stays that were there at the start of each hour; all of them where no end is recorded."""
    if isinstance(data, Sequences):
        return np.full(hours, len(data))
    times = clock(data, Task(name="profile", outcome="none", window_hours=(0, 1)))
    length = (times.end - times.origin) / HOUR
    return (length[:, None] > np.arange(hours)).sum(axis=0)
