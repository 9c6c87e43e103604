"""Which stays of an extract get a prediction, and the reason for each that gets none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.eligibility import eligibility_steps
from clinicalgru.data.task.stay_times import stay_times
from clinicalgru.data.task.task import Task
from clinicalgru.serve.input_checks import TOO_FEW_MEASUREMENTS, TOO_FEW_VARIABLES

SCORED, TOO_LITTLE, NOT_SCORED = "scored", "too little known", "not scored"
NOT_ELIGIBLE, NOT_DUE, ENDED, UNMEASURED = "not eligible", "not due", "ended", "not measured"  # codes of reasons
WORDS = {
    ENDED: "the stay ended before the prediction",
    UNMEASURED: "no variable of the model was measured in the window",
    TOO_FEW_MEASUREMENTS: "fewer measurements than in nearly all training stays",
    TOO_FEW_VARIABLES: "fewer variables with a measurement than in nearly all training stays",
}
STATUS = {"": SCORED, TOO_FEW_MEASUREMENTS: TOO_LITTLE, TOO_FEW_VARIABLES: TOO_LITTLE}  # of a reason; else not scored
DUE = ("", UNMEASURED, TOO_FEW_MEASUREMENTS, TOO_FEW_VARIABLES)  # reasons of stays that could have been scored


def stay_reasons(events: Events, task: Task, sequences: Sequences) -> pd.DataFrame:
    """Find the stays that have no prediction as of the moment up to which an extract is seen.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.
    sequences : Sequences
        All its stays, as `select` gives them with `include_ineligible`.

    Returns
    -------
    DataFrame
        A row for each stay: reason_code ("not eligible", "not due", "ended", or "" where the stay is to be predicted),
        and reason, the same in words.
    """
    times = stay_times(events, task)
    first_prediction = times.anchor + round(task.window_hours[0 if task.every_step else 1] * HOUR)
    ended = times.end < first_prediction
    due = times.is_due(task)
    unmet = _first_unmet(eligibility_steps(events, task, times, sequences))
    causes = [~times.reached, ended & (unmet == ""), ~due & ~ended, unmet != ""]
    code = np.select(causes, [NOT_ELIGIBLE, ENDED, NOT_DUE, NOT_ELIGIBLE], "").astype(object)
    waiting = _due_words(times.due(task), has_dates=events.has_dates)
    reason = np.select(causes, [unmet, WORDS[ENDED], waiting, unmet], "").astype(object)
    return pd.DataFrame({"reason_code": code, "reason": reason})


def _first_unmet(steps: Iterable[tuple[str, np.ndarray]]) -> np.ndarray:
    """(stay,) the first of the task's conditions that does not hold, in words; "" where all hold."""
    reason: Any = ""
    for step, holds in steps:
        reason = np.where((reason == "") & ~holds, f"the task requires: {step}", reason).astype(object)
    return np.atleast_1d(reason)


def _due_words(due: np.ndarray, *, has_dates: bool) -> np.ndarray:
    """(stay,) when the prediction is due, in words."""
    if has_dates:
        moments = pd.Series(due.view("datetime64[us]")).dt.strftime("%Y-%m-%d %H:%M:%S").to_numpy(dtype=object)
        return "prediction due at " + moments
    return np.array([f"prediction due at hour {hours:g}" for hours in due / HOUR], dtype=object)
