"""When each stay starts and ends, and the index time of a task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clinicalgru.data.events import HOUR, Events, first_times
from clinicalgru.data.task.criteria import ThresholdCrossing
from clinicalgru.data.task.task import Task
from clinicalgru.data.task.task_fields import PREDICTION_TIME

PREDICTION_HOURS = "prediction_hours"  # column of the stays: hours from the start to the prediction time of the label
NO_TIME = np.iinfo(np.int64).min  # numpy's "not a time"


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
    as_of : float
        Moment up to which the extract is seen; infinite where there is none.
    """

    origin: np.ndarray
    anchor: np.ndarray
    reached: np.ndarray
    end: np.ndarray
    as_of: float = np.inf

    def due(self, task: Task) -> np.ndarray:
        """Compute when the first prediction of each stay is due.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        ndarray of int, shape (stay,)
            Microseconds: the end of the window, or its start where the task predicts after each time step.
        """
        return self.anchor + round(task.window_hours[0 if task.every_step else 1] * HOUR)

    def is_due(self, task: Task) -> np.ndarray:
        """Give whether the first prediction of each stay lies within what is seen of the extract.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        ndarray of bool, shape (stay,)
            False where it would have to be made later than `as_of`.
        """
        return self.due(task) <= self.as_of


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
    as_of = np.inf if events.as_of is None else float(events.as_of)
    if task.anchor == "start":
        return StayTimes(origin, origin, np.ones(len(origin), dtype=bool), ends, as_of)
    if isinstance(task.anchor, ThresholdCrossing):
        first = _first_crossing(events, task.anchor)
    elif task.anchor == PREDICTION_TIME:
        hours = label_hours(events)
        first = np.where(np.isnan(hours), NO_TIME, origin + np.round(np.nan_to_num(hours) * HOUR).astype(np.int64))
    else:
        first = end.astype("Int64").to_numpy(dtype=np.int64, na_value=NO_TIME)
    reached = first != NO_TIME
    return StayTimes(origin, np.where(reached, first, origin), reached, ends, as_of)


def label_hours(events: Events) -> np.ndarray:
    """Give the prediction time of each stay's label.

    Parameters
    ----------
    events : Events
        The extract.

    Returns
    -------
    ndarray of float, shape (stay,)
        Hours since the start of the stay; NaN where the stay has no label.
    """
    if PREDICTION_HOURS not in events.stays:
        return np.full(len(events.stays), np.nan)
    return events.stays[PREDICTION_HOURS].to_numpy(dtype=float, na_value=np.nan)


def _origin(events: Events) -> np.ndarray:
    """(stay,) microseconds: the start of the stay, or its first event where no start is known."""
    if not events.has_dates:
        return events.stays["start"].astype("Int64").fillna(0).to_numpy(dtype=np.int64)  # hours count from 0, or start
    start = events.stays["start"]
    first = first_times(events)
    return np.where(start.isna(), first, start.fillna(0).to_numpy(dtype=np.int64))


def _first_crossing(events: Events, crossing: ThresholdCrossing) -> np.ndarray:
    """(stay,) microseconds at which the first such value became known; NO_TIME where there is none."""
    number = variable_position(events, crossing.variable)
    first = np.full(len(events.stays), np.iinfo(np.int64).max)
    for batch in events.batches():
        crossed = batch["variable"].to_numpy() == number
        crossed[crossed] = crossing.limits.contain(batch["value"].to_numpy()[crossed])
        np.minimum.at(first, batch["stay"].to_numpy()[crossed], batch["available"].to_numpy()[crossed])
    return np.where(first == np.iinfo(np.int64).max, NO_TIME, first)


def variable_position(events: Events, name: str) -> int:
    """Give the position of a variable.

    Parameters
    ----------
    events : Events
        The extract.
    name : str
        Name of the variable.

    Returns
    -------
    int
        Position among `events.variables`; -1 where it is not measured.
    """
    return {variable.name: i for i, variable in enumerate(events.variables)}.get(name, -1)
