"""What the inputs of training looked like, in numbers of groups of patients; scoring compares new extracts with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE

MAX_GROUPS = 10  # of patients, by size of a number: their means stand for its quantiles
LEAST_KNOWN = 0.0025  # fraction of patients with the fewest measurements, from which a limit is learned
MAX_ABSTAINED = 0.005  # fraction of stays like those of training that a limit may refuse
DIGITS = 4
CHUNK_MEASUREMENTS = 1_000_000


@dataclass(frozen=True, eq=False)
class StayInputs:
    """Numbers of each stay.

    Attributes
    ----------
    counts : ndarray of int, shape (stay, variable)
        Measurements of each variable.
    means : ndarray of float, shape (stay, variable)
        Mean of the values of each variable; NaN where there is none.
    hours : ndarray of float, shape (stay,)
        Hours from the start of the window to the prediction, at least 1.
    """

    counts: np.ndarray
    means: np.ndarray
    hours: np.ndarray

    def of(self, chosen: np.ndarray) -> StayInputs:
        """The numbers of some of the stays.

        Parameters
        ----------
        chosen : ndarray of bool, shape (stay,)
            Which ones.

        Returns
        -------
        StayInputs
            Their numbers.
        """
        return self if chosen.all() else StayInputs(self.counts[chosen], self.means[chosen], self.hours[chosen])

    @property
    def n_measurements(self) -> np.ndarray:
        """(stay,) measurements of all variables."""
        return self.counts.sum(axis=1)

    @property
    def n_variables(self) -> np.ndarray:
        """(stay,) variables with a measurement."""
        return (self.counts > 0).sum(axis=1)


def stay_inputs(stays: Sequences) -> StayInputs:
    """Count the measurements of each stay, and take their mean, by variable.

    Parameters
    ----------
    stays : Sequences
        Stays.

    Returns
    -------
    StayInputs
        Their numbers.
    """
    width, counts, means = len(stays.variables), [], []
    for block in stays.chunks(size=CHUNK_MEASUREMENTS):
        cell = block.stay_of_measurement.astype(np.int64) * width + block.variable
        shape, size = (len(block), width), len(block) * width
        count = np.bincount(cell, minlength=size)
        total = np.bincount(cell, weights=block.value, minlength=size)
        mean = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
        counts.append(count.astype(np.int32).reshape(shape))
        means.append(mean.astype(np.float32).reshape(shape))
    hours = np.maximum(stays.end_hours - stays.task.window_hours[0], 1.0)
    return StayInputs(np.concatenate(counts), np.concatenate(means), hours)


def input_profile(stays: Sequences) -> dict[str, Any]:
    """Describe the inputs of training stays; no number is that of a single patient.

    Parameters
    ----------
    stays : Sequences
        Training stays.

    Returns
    -------
    dict
        variables and static_variables: by name, share of the stays that have a value, per_stay (mean number of
        measurements of those), and quantiles. measurements and variables of the stays, as quantiles; measurements by
        hour where the task predicts after each time step. limits: the fewest measurements and variables with which a
        stay is scored.

    Notes
    -----
    A quantile is the mean of a group of at least 11 patients, each with the mean of its stays. A share of fewer than 11
    patients is 0, one that leaves out fewer than 11 is 1.

    Examples
    --------
    >>> from clinicalgru import Task, read_events, select, simulate
    >>> stays = select(read_events(simulate(60)), Task.load("in_hospital_mortality"))
    >>> profile = input_profile(stays)
    >>> profile["variables"]["heart_rate"]["share"], len(profile["variables"]["heart_rate"]["quantiles"])
    (1.0, 4)
    """
    inputs = stay_inputs(stays)
    patient = np.unique(stays.patient.astype(str), return_inverse=True)[1]
    amount = measurement_amount(inputs, every_step=stays.task.every_step)
    return {
        "variables": {
            variable.name: _variable(inputs.means[:, number], patient) | _per_stay(inputs.counts[:, number], patient)
            for number, variable in enumerate(stays.variables)
        },
        "static_variables": {
            variable.name: _variable(stays.static[:, number], patient)
            for number, variable in enumerate(stays.static_variables)
        },
        "measurements": _quantiles(amount, patient),
        "limits": {
            "measurements": _limit(amount, patient),
            "variables": None if stays.task.every_step else _limit(inputs.n_variables, patient),
        },
    }


def measurement_amount(inputs: StayInputs, *, every_step: bool) -> np.ndarray:
    """How much was measured of each stay: the number of measurements, by hour where the length of stays differs.

    Parameters
    ----------
    inputs : StayInputs
        Numbers of the stays.
    every_step : bool
        Whether the task predicts after each time step.

    Returns
    -------
    ndarray of float, shape (stay,)
        Measurements, or measurements by hour.
    """
    return inputs.n_measurements / inputs.hours if every_step else inputs.n_measurements.astype(float)


def _variable(values: np.ndarray, patient: np.ndarray) -> dict[str, Any]:
    present = ~np.isnan(values)
    return {"share": _share(present, patient), "quantiles": _quantiles(values[present], patient[present])}


def _per_stay(counts: np.ndarray, patient: np.ndarray) -> dict[str, Any]:
    """Mean number of measurements of the stays that have any; None of fewer than 11 patients."""
    present = counts > 0
    if len(np.unique(patient[present])) < MIN_CELL_SIZE:
        return {"per_stay": None}
    return {"per_stay": _rounded(counts[present].mean())}


def _share(present: np.ndarray, patient: np.ndarray) -> float:
    """Fraction of the stays; 0 or 1 where fewer than 11 patients differ from that."""
    for group, share in ((present, 0.0), (~present, 1.0)):
        if len(np.unique(patient[group])) < MIN_CELL_SIZE:
            return share
    return _rounded(present.mean())


def _quantiles(values: np.ndarray, patient: np.ndarray) -> list[float]:
    """Means of groups of at least 11 patients, ascending; none of fewer patients."""
    each = _by_patient(values, patient)
    groups = np.array_split(each, max(1, min(MAX_GROUPS, len(each) // MIN_CELL_SIZE)))
    return [_rounded(group.mean()) for group in groups if len(group) >= MIN_CELL_SIZE]


def _limit(values: np.ndarray, patient: np.ndarray) -> float | None:
    """Mean of the patients with the least, lower where there are few patients; None of fewer than 11."""
    each = _by_patient(values, patient)
    size = max(MIN_CELL_SIZE, int(np.ceil(LEAST_KNOWN * len(each))))
    if len(each) < size:
        return None
    return _rounded(each[:size].mean() * min(1.0, MAX_ABSTAINED * len(each) / size))


def _by_patient(values: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """(patient,) means of the values of each patient, ascending."""
    number = np.unique(patient, return_inverse=True)[1]
    total, count = np.bincount(number, weights=values), np.bincount(number)
    return np.sort(total / count)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
