"""Describe an extract: when each variable is measured, and the distribution of its values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.stay_times import stay_times
from clinicalgru.data.task.task import Task
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError

MAX_BINS = 60
Measurements = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # stay, hours, variable, value


def measured_by_hour(data: Events | Sequences, *, hours: int = 48) -> pd.DataFrame:
    """Count the stays in which each variable was measured, hour by hour.

    Parameters
    ----------
    data : Events or Sequences
        The data.
    hours : int
        Number of hours: of Events the first ones since the start of the stay, of Sequences the last ones before the
        prediction time.

    Returns
    -------
    DataFrame
        One row per variable and hour: variable (name), hour, stays (with a value that became known in [hour, hour +
        1)), of (stays at risk: present at the start of the hour).

    Raises
    ------
    ArgumentError
        If `data` has another type or `hours` is below 1.

    Examples
    --------
    >>> from clinicalgru import read_events, simulate
    >>> table = measured_by_hour(read_events(simulate(30)), hours=24)
    >>> len(table) == 24 * table["variable"].nunique()
    True
    """
    check_instance("data", data, Events, Sequences)
    check_number("hours", hours, minimum=1, whole=True)
    first, at_risk = _first_hour(data, hours), _at_risk(data, hours)
    closed = isinstance(data, Sequences)
    width, carried = len(data.variables) * hours, np.zeros(0, dtype=np.int64)
    counts = np.zeros(width, dtype=np.int64)
    for stay, at, variable, _ in _measurements(data):
        hour = np.floor(at).astype(np.int64) - first
        hour -= closed & (at == first + hours)  # the window of a task includes its end
        inside = (hour >= 0) & (hour < hours)
        keys = stay[inside].astype(np.int64) * width + variable[inside] * hours + hour[inside]
        keys = np.unique(np.concatenate([carried, keys]))
        last = keys >= (keys[-1] // width) * width if len(keys) else np.zeros(0, dtype=bool)
        counts += np.bincount(keys[~last] % width, minlength=width)
        carried = keys[last]  # the stay may continue in the next batch
    counts += np.bincount(carried % width, minlength=width)
    names = np.repeat([variable.name for variable in data.variables], hours)
    hour = np.tile(np.arange(first, first + hours), len(data.variables))
    return pd.DataFrame({"variable": names, "hour": hour, "stays": counts, "of": np.tile(at_risk, len(data.variables))})


def histogram(data: Events | Sequences, variable: str, *, min_cell_size: int = MIN_CELL_SIZE) -> pd.DataFrame:
    """Histogram of the values of one variable, with small bins merged.

    Parameters
    ----------
    data : Events or Sequences
        The data.
    variable : str
        Name of the variable.
    min_cell_size : int
        Bins of fewer measurements are merged with their neighbours; 0 merges none.

    Returns
    -------
    DataFrame
        One row per bin: low, high, measurements; no row where there are fewer than `min_cell_size` measurements.

    Raises
    ------
    ArgumentError
        If the data have no such variable.

    Examples
    --------
    >>> from clinicalgru import read_events, simulate
    >>> bool((histogram(read_events(simulate(30)), "heart_rate")["measurements"] >= 11).all())
    True
    """
    check_instance("data", data, Events, Sequences)
    position = [known.name for known in data.variables].index(find(data, variable).name)
    values = np.concatenate([value[of == position] for _, _, of, value in _measurements(data)] or [np.zeros(0)])
    if len(values) < max(1, min_cell_size):
        return pd.DataFrame({"low": [], "high": [], "measurements": []})
    distinct = np.unique(values)
    edges = np.histogram_bin_edges(values, bins=MAX_BINS)
    if len(distinct) <= MAX_BINS:  # scores and counts: a bin around each value
        middle = (distinct[1:] + distinct[:-1]) / 2
        edges = np.concatenate([[distinct[0] - 0.5], middle, [distinct[-1] + 0.5]])
    counts = np.histogram(values, edges)[0]
    starts = _merge_bins(counts, max(1, min_cell_size))
    sums = np.add.reduceat(counts, starts)
    return pd.DataFrame({"low": edges[starts], "high": edges[[*starts[1:], len(counts)]], "measurements": sums})


def find(data: Events | Sequences, name: str) -> Variable:
    """Find a variable by its name.

    Parameters
    ----------
    data : Events or Sequences
        The data.
    name : str
        The name.

    Returns
    -------
    Variable
        The variable.

    Raises
    ------
    ArgumentError
        If the data have no such variable.
    """
    by_name = {variable.name: variable for variable in data.variables}
    if name not in by_name:
        raise ArgumentError(f"a variable among {', '.join(by_name)}", repr(name), "Choose one of them.")
    return by_name[name]


def _merge_bins(counts: np.ndarray, min_count: int) -> list[int]:
    """Starts of merged bins of at least `min_count`; the remainder goes to the last."""
    starts, total = [0], 0
    for place, count in enumerate(counts[:-1]):
        total += int(count)
        if total >= min_count and counts[place + 1 :].sum() >= min_count:
            starts.append(place + 1)
            total = 0
    return starts


def _measurements(data: Events | Sequences) -> Iterator[Measurements]:
    if isinstance(data, Sequences):
        first = 0
        for chunk in data.chunks():
            yield first + chunk.stay_of_measurement, chunk.hours, chunk.variable, chunk.value
            first += len(chunk)
        return
    origin = stay_times(data, Task(name="profile", outcome="none", window_hours=(0, 1))).origin
    for batch in data.batches():
        stay = batch["stay"].to_numpy()
        hours = (batch["available"].to_numpy() - origin[stay]) / HOUR
        yield stay, hours, batch["variable"].to_numpy(), batch["value"].to_numpy()


def _first_hour(data: Events | Sequences, hours: int) -> int:
    return 0 if isinstance(data, Events) else int(np.ceil(data.task.window_hours[1])) - hours


def _at_risk(data: Events | Sequences, hours: int) -> np.ndarray:
    """(hour,) stays present at the start of each hour; a stay without a known end always is."""
    if isinstance(data, Sequences):
        return np.full(hours, len(data))
    times = stay_times(data, Task(name="profile", outcome="none", window_hours=(0, 1)))
    length = (times.end - times.origin) / HOUR
    return (length[:, None] > np.arange(hours)).sum(axis=0)
