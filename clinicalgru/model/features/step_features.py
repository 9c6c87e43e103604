"""Features after each time step of a stay, for tree baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.features.cells import cells_in_order
from clinicalgru.model.features.clinical_indices import indices_of
from clinicalgru.model.features.summaries import summaries_at

CHUNK_STAYS = 1000  # stays whose features are computed together, to bound memory
RECENT_HOURS = (6.0, 12.0)  # windows of the recent counts and means
HOUR_TOLERANCE = 1e-6  # a measurement exactly as old as the window, up to this difference, is not recent


def step_features(
    stays: Sequences, *, signatures: bool = False, rolling_hours: Sequence[float] = ()
) -> Iterator[np.ndarray]:
    """Features after each time step, from what was known at that step.

    Parameters
    ----------
    stays : Sequences
        Any stays.
    signatures : bool
        Whether the signature of depth two of each variable over time is added, see `levy_areas`.
    rolling_hours : sequence of float
        Lengths of windows before each step, whose statistics are added, see `rolling_at`.

    Yields
    ------
    ndarray of float32, shape (step, feature)
        Summaries and clinical indices, counts and means of the last 6 and 12 hours, static covariates, and the hour;
        NaN where unknown. One array for each `CHUNK_STAYS` stays, with the steps stay after stay.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> cohort = cg.simulate(20, random_state=0)
    >>> stays = cg.select(cg.read_events(cohort), cg.Task.load("in_hospital_mortality"))
    >>> sum(len(table) for table in step_features(stays)) == int(stays.n_steps.sum())
    True
    """
    indices, windows = indices_of(stays), [one for one in RECENT_HOURS if one not in rolling_hours]
    for first in range(0, len(stays), CHUNK_STAYS):
        part = stays[np.arange(first, min(first + CHUNK_STAYS, len(stays)))]
        new = part.is_new_step
        stay, hours = part.stay_of_measurement[new], part.hours[new]
        latest = latest_measurements(part, np.cumsum(new) - 1, stay)
        recent = [recent_features(part, latest, stay, hours, window_hours=window) for window in windows]
        columns = [
            summaries_at(part, latest, hours, indices=indices, rolling_hours=rolling_hours),
            *recent,
            *([levy_areas(part, latest)] if signatures else []),
            part.static_at(stay, hours),
            hours[:, None],
        ]
        yield np.concatenate(columns, axis=1, dtype=np.float32)


def latest_measurements(stays: Sequences, row: np.ndarray, stay: np.ndarray) -> np.ndarray:
    """The latest measurement of each variable at each row.

    Parameters
    ----------
    stays : Sequences
        Any stays.
    row : ndarray of int, shape (measurement,)
        Row at which each measurement became known; rows stand stay after stay, in order of time.
    stay : ndarray of int, shape (row,)
        Stay of each row.

    Returns
    -------
    ndarray of int, shape (row, variable)
        Position of the measurement; `len(stays.value)` where there is none.
    """
    latest = np.full((len(stay), len(stays.variables)), -1, dtype=np.int64)
    latest[row, stays.variable] = np.arange(len(stays.value))
    if len(latest):
        np.maximum.accumulate(latest, axis=0, out=latest)
    latest[latest < stays.starts[stay][:, None]] = len(stays.value)  # a measurement of the stay before
    return latest


def recent_features(
    stays: Sequences, latest: np.ndarray, stay: np.ndarray, hours: np.ndarray, *, window_hours: float
) -> np.ndarray:
    """Counts and means of the measurements that became known in the last hours.

    Parameters
    ----------
    stays : Sequences
        Any stays.
    latest : ndarray of int, shape (row, variable)
        As of `latest_measurements`.
    stay, hours : ndarray, shape (row,)
        Stay and hour of each row, ascending.
    window_hours : float
        Length of the window.

    Returns
    -------
    ndarray of float32, shape (row, 2 x variable)
        Counts of all variables, then means; a mean is NaN where the count is 0.
    """
    span = float(np.ptp(hours)) + window_hours + 1.0 if len(hours) else 1.0
    clock = stay * span + hours - hours.min(initial=0.0)  # ascending over all rows
    previous = np.searchsorted(clock, clock - window_hours + HOUR_TOLERANCE, side="right") - 1  # last row outside
    same_stay = (previous >= 0) & (stay[previous] == stay)
    before = np.where(same_stay[:, None], latest[previous], len(stays.value))
    cell = stays.stay_of_measurement * len(stays.variables) + stays.variable
    by_cell = pd.DataFrame({"value": stays.value.astype(np.float64)}).groupby(cell, sort=False)
    counts = np.append(by_cell.cumcount().to_numpy() + 1, 0)
    sums = np.append(by_cell["value"].cumsum().to_numpy(), 0.0)
    count = counts[latest] - counts[before]
    mean = (sums[latest] - sums[before]) / np.where(count > 0, count, np.nan)
    return np.concatenate([count, mean], axis=1, dtype=np.float32)


def levy_areas(stays: Sequences, latest: np.ndarray) -> np.ndarray:
    """Signed area between the course of each variable over time and the straight line from its first to its last value.

    With the change of the value and the time that has passed, which are among the summaries, it makes up the signature
    of depth two of the path of time and value.

    Parameters
    ----------
    stays : Sequences
        Any stays.
    latest : ndarray of int, shape (row, variable)
        As of `latest_measurements`.

    Returns
    -------
    ndarray of float32, shape (row, variable)
        In hours times the unit of the variable; above 0 where the course lies above the line. NaN where not measured.

    References
    ----------
    Morrill et al. 2020, "Utilization of the signature method to identify the early onset of sepsis from multivariate
    physiological time series in critical care monitoring".
    """
    cells, order, first = cells_in_order(stays)
    begin = np.repeat(first, np.diff(np.append(first, len(order))))
    passed = stays.hours[order] - stays.hours[order[begin]]
    change = stays.value[order].astype(np.float64) - stays.value[order[begin]]
    strips = np.zeros(len(order))
    strips[1:] = (change[1:] + change[:-1]) / 2 * np.diff(passed)
    strips[first] = 0
    above = pd.Series(strips).groupby(cells[order], sort=False).cumsum().to_numpy()
    area = np.full(len(order) + 1, np.nan)
    area[order] = above - change * passed / 2
    limits = np.finfo(np.float32)
    return area.clip(limits.min, limits.max).astype(np.float32)[latest]
