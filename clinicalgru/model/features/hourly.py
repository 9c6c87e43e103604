"""Risks after each time step, as they stand at each full hour."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.evaluate.physionet2019 import best_threshold


def hourly_predictions(stays: Sequences, risk: np.ndarray) -> pd.DataFrame:
    """Carry the risk after each time step forward to each full hour.

    Parameters
    ----------
    stays : Sequences
        The stays.
    risk : ndarray, shape (n_steps,)
        Risk after each time step of each stay, stay after stay.

    Returns
    -------
    DataFrame
        stay (position), hours (since the index time), risk; one row for each stay and full hour, from the first with
        a measurement to the end of the stay or window.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.data.read_events import read_events
    >>> from clinicalgru.data.simulate.simulate import simulate
    >>> from clinicalgru.data.task.select import select
    >>> from clinicalgru.data.task.task import Task
    >>> stays = select(read_events(simulate(20)), Task.load("in_hospital_mortality"))
    >>> list(hourly_predictions(stays, np.zeros(int(stays.n_steps.sum()))))
    ['stay', 'hours', 'risk']
    """
    step_hours = stays.hours[stays.is_new_step]
    begins = np.cumsum(stays.n_steps) - stays.n_steps
    measured = stays.n_steps > 0
    first = np.full(len(stays), np.inf)
    first[measured] = np.ceil(step_hours[begins[measured]])
    count = np.where(measured, np.maximum(np.floor(stays.end_hours) - first + 1, 0), 0).astype(np.int64)
    stay = np.repeat(np.arange(len(stays)), count)
    hours = first[stay] + np.arange(len(stay)) - np.repeat(np.cumsum(count) - count, count)
    step_stay = np.repeat(np.arange(len(stays)), stays.n_steps)
    all_stays, all_hours = np.concatenate([step_stay, stay]), np.concatenate([step_hours, hours])
    is_hour = np.concatenate([np.zeros(len(step_stay), bool), np.ones(len(stay), bool)])
    order = np.lexsort((is_hour, all_hours, all_stays))  # at equal hours the time step comes first
    last = np.cumsum(~is_hour[order]) - 1  # steps are in order, so their number is their position
    return pd.DataFrame({"stay": stay, "hours": hours, "risk": risk[last[is_hour[order]]]})


def best_hourly_threshold(stays: Sequences, risk: np.ndarray) -> float:
    """Choose the threshold of the highest PhysioNet 2019 utility.

    Parameters
    ----------
    stays : Sequences
        Stays used neither for training nor for evaluation.
    risk : ndarray, shape (n_steps,)
        Risk after each time step of each stay, stay after stay.

    Returns
    -------
    float
        One of the risks, or infinity where no alert gains anything.
    """
    table = hourly_predictions(stays, risk)
    return best_threshold(table["risk"], onset_hours=stays.outcome, stay=table["stay"], hours=table["hours"])
