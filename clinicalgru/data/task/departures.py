"""Steps of the cohort flow for stays that ended, by death or discharge, and for readmissions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from clinicalgru.data.events import HOUR, LABELLED_STAY, Events
from clinicalgru.data.task.stay_times import StayTimes
from clinicalgru.data.task.task import Task

DEATH = "in_hospital_death"  # outcome that says whether a stay ended by death
RECORDED = " recorded"  # how the names of the steps end that exclude what is unknown

Step = tuple[str, np.ndarray]  # a step of the cohort flow, and whether each stay passes it


def departure_steps(events: Events, task: Task, times: StayTimes) -> list[Step]:
    """The steps that exclude stays that ended before the prediction or within the gap.

    A stay whose end is not recorded is excluded in a step of its own. In an extract without any end, no stay is
    excluded for it, and the step says so.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.
    times : StayTimes
        Times of its stays.

    Returns
    -------
    list of (str, ndarray of bool)
        Steps, in order: end recorded, deaths, readmissions and all that remain, before the prediction; then the same
        within the gap. Of those, steps that exclude no stay are left out.
    """
    prediction = times.anchor + round(task.window_hours[1] * HOUR)
    recorded, readmitted = np.isfinite(times.end), _readmission(events, times)
    still = "still in the stay at the prediction"
    if not recorded.any():
        steps = [(f"{still} (no end is recorded)", ~recorded)]
    else:
        steps = _if_any(f"end of the stay{RECORDED}", recorded)
        left = times.end < prediction
        steps += _if_any("no death before the prediction", ~(left & _died(events, task)))
        steps += _if_any("no readmission before the prediction", ~(readmitted <= prediction))
        steps.append((still, ~left))
    if task.gap_hours > 0:
        gap, until = f"within the gap of {task.gap_hours:g} hours", prediction + round(task.gap_hours * HOUR)
        left = (times.end > prediction) & (times.end <= until)
        steps += _if_any(f"no death {gap}", ~(left & _died(events, task)))
        steps += _if_any(f"no readmission {gap}", ~((readmitted > prediction) & (readmitted <= until)))
        steps += _if_any(f"no discharge {gap}", ~left)
    return steps


def _if_any(name: str, passed: np.ndarray) -> list[Step]:
    """The step, if it excludes anybody."""
    return [] if passed.all() else [(name, passed)]


def _died(events: Events, task: Task) -> np.ndarray:
    """(stay,) whether the stay is known to have ended by death, or by the outcome of the task."""
    names = [DEATH, *(task.outcomes if task.outcome_time == "end" else ())]
    have = [name for name in names if name in events.outcomes and is_numeric_dtype(events.stays[name])]
    died = [events.stays[name].to_numpy(dtype=float) == 1 for name in have]
    return np.any(died, axis=0) if died else np.zeros(len(events.stays), dtype=bool)


def _readmission(events: Events, times: StayTimes) -> np.ndarray:
    """(stay,) microseconds at which the patient's next stay starts, after the end of this one; NaN where none does."""
    start = events.stays["start"].astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    if not events.has_dates:
        return np.full(len(start), np.nan)
    by_patient = pd.DataFrame({"patient": events.stays["patient_id"].to_numpy(), "start": start})
    by_patient["stay"] = events.stays.get(LABELLED_STAY, pd.Series(range(len(start)))).to_numpy()
    once = by_patient.dropna().drop_duplicates("stay").sort_values("start", kind="stable")
    following = once.set_index("stay").groupby("patient", sort=False)["start"].shift(-1)
    return_time = by_patient["stay"].map(following).to_numpy(dtype=float)
    is_after = (return_time > start) & ((return_time >= times.end) | np.isinf(times.end))
    return np.where(is_after, return_time, np.nan)
