"""What was known of the stays in the window of a task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.task.stay_times import StayTimes
from clinicalgru.data.task.task import Task


def observed_in_window(
    available: np.ndarray, stay: np.ndarray, times: StayTimes, task: Task
) -> tuple[np.ndarray, np.ndarray]:
    """Hours since the index time at which events became known, and whether that is within the window.

    Parameters
    ----------
    available : ndarray of int, shape (event,)
        Microseconds at which an event became known.
    stay : ndarray of int, shape (event,)
        Position of its stay.
    times : StayTimes
        Times of the stays.
    task : Task
        The task; with a prediction after each time step, the window ends with the stay.

    Returns
    -------
    hours : ndarray of float, shape (event,)
        Hours since the index time.
    inside : ndarray of bool, shape (event,)
        Whether the event became known within the window, both ends included.
    """
    hours, known = known_by_prediction(available, stay, times, task)
    return hours, known & (available - times.anchor[stay] >= round(task.window_hours[0] * HOUR))


def known_by_prediction(
    available: np.ndarray, stay: np.ndarray, times: StayTimes, task: Task
) -> tuple[np.ndarray, np.ndarray]:
    """Hours since the index time at which events became known, and whether that is by the prediction time.

    Parameters
    ----------
    available, stay, times, task
        As of `observed_in_window`.

    Returns
    -------
    hours : ndarray of float, shape (event,)
        Hours since the index time.
    known : ndarray of bool, shape (event,)
        Whether the event became known by the end of the window; never in a stay without index time.
    """
    since = available - times.anchor[stay]
    known = (since <= round(task.window_hours[1] * HOUR)) & times.reached[stay]
    return since / HOUR, known & (available <= times.end[stay]) if task.every_step else known


def prediction_hours(times: StayTimes, task: Task) -> np.ndarray:
    """Prediction time of each stay.

    Parameters
    ----------
    times : StayTimes
        Times of the stays.
    task : Task
        The task.

    Returns
    -------
    ndarray of float, shape (stay,)
        Hours since the index time: the end of the window. Where the task predicts after each time step, an earlier end
        of the stay, or the moment up to which the extract is seen.
    """
    end = task.window_hours[1]
    if not task.every_step:
        return np.full(len(times.anchor), end)
    last = np.minimum(times.end, times.as_of)
    return np.clip((last - times.anchor) / HOUR, task.window_hours[0], end)


def coded_in_window(coded: pa.Table, times: StayTimes, task: Task) -> dict[str, np.ndarray]:
    """The coded events in the window.

    Parameters
    ----------
    coded : pyarrow.Table
        Coded events of the extract.
    times : StayTimes
        Times of the stays.
    task : Task
        The task.

    Returns
    -------
    dict of str to ndarray
        Arrays of `Sequences`.
    """
    stay = coded["stay"].to_numpy()
    hours, inside = observed_in_window(coded["available"].to_numpy(), stay, times, task)
    starts = np.searchsorted(stay[inside], np.arange(len(times.anchor) + 1))
    return {"code_starts": starts, "code_hours": hours[inside], "code": coded["code"].to_numpy()[inside]}


def known_static(events: Events, times: StayTimes, task: Task) -> np.ndarray:
    """The static covariates that were known at the prediction time.

    Parameters
    ----------
    events : Events
        The extract.
    times : StayTimes
        Times of its stays.
    task : Task
        The task.

    Returns
    -------
    ndarray of float, shape (stay, static covariate)
        The last value known by then; NaN where none was. Values of the stays table are known from the start.
    """
    columns = [events.stays[variable.name].to_numpy(dtype=float) for variable in events.static_variables]
    static = np.stack(columns, axis=1) if columns else np.zeros((len(events.stays), 0))
    observed = events.static_observations
    static[observed["stay"].to_numpy(), observed["variable"].to_numpy()] = np.nan
    known = _observations(events, times, task)
    last = known.drop_duplicates(["static_column", "stay"], keep="last")
    static[last["stay"], last["static_column"]] = last["static_value"]
    return static


def static_in_window(events: Events, times: StayTimes, task: Task) -> dict[str, Any]:
    """The static covariates that were known at the prediction time, and how they changed within the window.

    Parameters
    ----------
    events : Events
        The extract.
    times : StayTimes
        Times of its stays.
    task : Task
        The task.

    Returns
    -------
    dict of str to ndarray
        Arrays of `Sequences`. Covariates that did not change after the start of the window have no static observation.
    """
    known = _observations(events, times, task)
    pair = known.groupby(["stay", "static_column"])["static_hours"]
    known = known[(pair.transform("max") > task.window_hours[0]).to_numpy(dtype=bool)]
    return {
        "static": known_static(events, times, task).astype(np.float32),
        "static_starts": np.searchsorted(known["stay"], np.arange(len(events.stays) + 1)),
        "static_hours": known["static_hours"].to_numpy(dtype=np.float64),
        "static_column": known["static_column"].to_numpy(dtype=np.int16),
        "static_value": known["static_value"].to_numpy(dtype=np.float32),
    }


def _observations(events: Events, times: StayTimes, task: Task) -> pd.DataFrame:
    """The static observations that were known at the prediction time, in order of stay and availability."""
    rows = events.static_observations
    stay = rows["stay"].to_numpy()
    hours, known = known_by_prediction(rows["available"].to_numpy(), stay, times, task)
    columns = {"stay": stay, "static_hours": hours, "static_column": rows["variable"].to_numpy()}
    return pd.DataFrame(columns | {"static_value": rows["value"].to_numpy()})[known]
