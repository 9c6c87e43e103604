"""The physiology of the synthetic cohort: hidden severity over hours, treatments, and their effects on vital signs.

Five organ axes (0 = a usual ICU patient, +2 = very ill) share one severity. Each is a level of the stay, a trend to
recovery or deterioration, for some a second insult, and an Ornstein-Uhlenbeck process. Signals are a patient's own
baseline plus weighted axes, traits and treatments. The figures are clinically plausible; they are not fitted to data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinicalgru.data.simulate.signals import SIGNALS, Floats

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Axis:
    """An organ system.

    Attributes
    ----------
    shared : float
        Correlation with the common severity.
    correlation_hours : float
        Time constant of its Ornstein-Uhlenbeck process.
    unit_shift : tuple of float
        Shift by type of unit: coronary care, cardiac surgery, medical, surgical.
    """

    shared: float
    correlation_hours: float
    unit_shift: tuple[float, float, float, float]  # coronary care, cardiac surgery, medical, surgical


AXES: Mapping[str, Axis] = {
    "circulation": Axis(0.75, 8, (0.3, -0.1, 0.1, -0.1)),
    "lung": Axis(0.65, 12, (0.0, -0.3, 0.3, -0.1)),
    "kidney": Axis(0.60, 36, (0.0, -0.2, 0.2, 0.0)),
    "infection": Axis(0.60, 24, (-0.5, -0.5, 0.4, 0.2)),
    "brain": Axis(0.50, 18, (-0.3, -0.4, 0.1, 0.3)),
}
LAG_TREATMENT, LAG_BLOOD = 2.0, 15.0  # hours; blood counts and retained waste (loadings on "_past") trail the organ
AXIS_SD = 0.4  # standard deviation of the Ornstein-Uhlenbeck process of every axis
SEPSIS = {"infection": (2.4, 7.0), "circulation": (1.6, 3.0), "lung": (1.0, 3.0), "kidney": (0.8, 0.0)}  # size, hours
TRAITS = ("tension", "sugar", "muscle", "blood", "airway", "nephrons")  # standard normal, constant for a patient


@dataclass(frozen=True)
class Treatment:
    """A drug that starts when the need exceeds `start`, stops below `stop`, and acts with a lag of about two hours.

    Attributes
    ----------
    codes : tuple of str
        ATC codes; one per stay, by prescribing practice.
    need : mapping of str to float
        Loadings of the need on the states.
    start, stop : float
        Thresholds of the need.
    repeat_hours : int
        Hours between doses.
    """

    codes: tuple[str, ...]
    need: Mapping[str, float]
    start: float
    stop: float
    repeat_hours: int


TREATMENTS: Mapping[str, Treatment] = {
    "fluids": Treatment(("B05BB01",), {"circulation": 1.0, "infection": 0.3}, 0.7, 0.4, 6),
    "vasopressor": Treatment(
        ("C01CA03", "C01CA24"), {"circulation": 1.0, "infection": 0.3, "tension": -0.5}, 1.6, 0.8, 8
    ),
    "insulin": Treatment(("A10AB01",), {"sugar": 1.0, "infection": 0.5}, 1.3, 0.6, 6),
    "antibiotics": Treatment(("J01CR05", "J01DD04", "J01DH02"), {"infection": 1.0}, 0.6, -0.6, 8),
    "sedation": Treatment(("N01AX10", "N05CD08"), {"lung": 1.0, "brain": 0.3}, 1.6, 0.6, 12),
}


@dataclass(frozen=True)
class Cohort:
    """Patients and their stays, as (stay,) arrays sorted by patient and then by date.

    Attributes
    ----------
    patient : ndarray of int
        Position of the patient; several stays may share one.
    start : ndarray of int
        Minutes since 2018-01-01.
    length_hours : ndarray of int
        Whole hours in the unit.
    age, sex, height, weight, icu_type : ndarray
        Years; 1 = male; cm; kg; 1 to 4.
    severity : ndarray of float
        Severity of the stay, standard normal.
    traits : mapping of str to ndarray, shape (stay, 1)
        Constant for a patient.
    baseline : ndarray of float, shape (stay, signal)
        The patient's own baseline, standard normal.
    """

    patient: Integers
    start: Integers
    length_hours: Integers
    age: Floats
    sex: Integers
    height: Floats
    weight: Floats
    icu_type: Integers
    severity: Floats
    traits: Mapping[str, Floats]
    baseline: Floats


@dataclass(frozen=True)
class Physiology:
    """The physiology of each stay on an hourly grid.

    Attributes
    ----------
    present : ndarray of bool, shape (stay, hour)
        Whether the patient is in the unit.
    states : mapping of str to ndarray
        Axes, treatments in effect and time of day, shape (stay, hour); traits, shape (stay, 1).
    levels : mapping of str to ndarray, shape (stay, hour)
        Signals on their own scale, without measurement noise.
    hours_on_drug : mapping of str to ndarray of int, shape (stay, hour)
        Hours since a treatment was started; -1 while it is off.
    """

    present: Flags
    states: Mapping[str, Floats]
    levels: Mapping[str, Floats]
    hours_on_drug: Mapping[str, Integers]

    def value(self, name: str) -> Floats:
        """The true value of a signal, without measurement noise.

        Parameters
        ----------
        name : str
            The signal.

        Returns
        -------
        ndarray, shape (stay, hour)
            Values.
        """
        return SIGNALS[name].value(self.levels[name])


def admit(n_stays: int, rng: np.random.Generator) -> Cohort:
    """Draw patients and their stays; about one stay in eight is a readmission.

    Parameters
    ----------
    n_stays : int
        Number of stays.
    rng : numpy.random.Generator
        Random numbers.

    Returns
    -------
    Cohort
        The stays.
    """
    patients = max(1, round(0.88 * n_stays))
    patient = np.sort(np.concatenate([np.arange(patients), rng.integers(0, patients, n_stays - patients)]))
    sex = (rng.random(patients) < 0.56).astype(np.int64)
    height = np.where(sex == 1, 176, 163) + rng.normal(0, 7, patients)
    weight = np.clip(rng.normal(26.5, 4.5, patients), 16, 50) * (height / 100) ** 2
    traits = {name: rng.normal(size=(patients, 1))[patient] for name in TRAITS}
    age = np.clip(95 - rng.gamma(3.2, 10, patients), 18, 95)[patient]
    severity = rng.normal(size=n_stays) + 0.25 * (age - 63) / 17
    length_hours = np.ceil(np.clip(np.exp(rng.normal(4.5 + 0.15 * severity, 0.55)), 8, 1500)).astype(np.int64)
    start = _dates(patient, length_hours, rng)
    return Cohort(
        patient=patient,
        start=start,
        length_hours=length_hours,
        age=np.floor(age + (start - start[np.searchsorted(patient, patient)]) / (365.25 * 1440)),
        sex=sex[patient],
        height=np.round(height)[patient],
        weight=np.round(weight, 1)[patient],
        icu_type=rng.choice([1, 2, 3, 4], n_stays, p=[0.15, 0.2, 0.37, 0.28]).astype(np.int64),
        severity=severity,
        traits=traits,
        baseline=rng.normal(size=(patients, len(SIGNALS)))[patient],
    )


def _dates(patient: Integers, length_hours: Integers, rng: np.random.Generator) -> Integers:
    """(stay,) minutes since 2018-01-01: a random first admission, later ones days to months after discharge."""
    first = rng.integers(0, 4 * 365 * 1440, len(patient))
    away = length_hours * 60 + 2 * 1440 + rng.exponential(120 * 1440, len(patient)).astype(np.int64)
    before = np.cumsum(away) - away
    opening = np.searchsorted(patient, patient)  # position of the patient's first stay
    return first[opening] + before - before[opening]


def simulate_physiology(
    cohort: Cohort, hours: int, rng: np.random.Generator, sepsis_hours: Floats | None = None
) -> Physiology:
    """Simulate the states, treatments and signals of each stay.

    Parameters
    ----------
    cohort : Cohort
        The stays.
    hours : int
        Hours to simulate.
    rng : numpy.random.Generator
        Random numbers.
    sepsis_hours : ndarray of float, shape (stay,), optional
        Hour of the onset of sepsis; NaN where there is none.

    Returns
    -------
    Physiology
        The physiology on an hourly grid.
    """
    grid = np.arange(hours + 1)
    clock = (cohort.start[:, None] / 60 + grid) % 24
    states: dict[str, Floats] = {"day": np.cos(2 * np.pi * (clock - 16) / 24), "age": (cohort.age[:, None] - 63) / 17}
    states |= {f"icu_type_{i}": (cohort.icu_type[:, None] == i).astype(np.float64) for i in (1, 2, 3, 4)}
    states.update(cohort.traits)
    states |= _axes(cohort, grid, rng)
    for axis, rise in _sepsis(grid, sepsis_hours).items():
        states[axis] = states[axis] + rise
    states |= {f"{axis}_past": _low_pass(states[axis], LAG_BLOOD) for axis in AXES}
    hours_on_drug = {name: _hours_on_drug(treatment, states, rng) for name, treatment in TREATMENTS.items()}
    states |= {
        name: _low_pass((hours_on >= 0).astype(np.float64), LAG_TREATMENT) for name, hours_on in hours_on_drug.items()
    }
    levels = {
        name: signal.center + signal.between_sd * cohort.baseline[:, [i]] + weighted(states, signal.loadings)
        for i, (name, signal) in enumerate(SIGNALS.items())
    }
    return Physiology(grid <= cohort.length_hours[:, None], states, levels, hours_on_drug)


def weighted(states: Mapping[str, Floats], loadings: Mapping[str, float]) -> Floats:
    """Weighted sum of states.

    Parameters
    ----------
    states : mapping of str to ndarray
        States by name.
    loadings : mapping of str to float
        Weights by name.

    Returns
    -------
    ndarray, shape (stay, hour)
        The sum; 0 where there are no loadings.
    """
    total: Floats = np.zeros((1, 1))
    for name, loading in loadings.items():
        total = total + loading * states[name]
    return total


def _axes(cohort: Cohort, grid: Integers, rng: np.random.Generator) -> dict[str, Floats]:
    """(stay, hour) by axis: level + trend + second insult + Ornstein-Uhlenbeck process."""
    from scipy.special import expit  # here, as reading an extract needs none of it

    stays = len(cohort.severity)
    course = rng.normal(-0.7, 0.6, (stays, 1)) * (1 - np.exp(-grid / 30))
    hit_hour = rng.uniform(6, max(60, grid[-1]), (stays, 1))
    hit = (rng.random((stays, 1)) < 0.2) * rng.gamma(4, 0.4, (stays, 1)) * expit((grid - hit_hour) / 1.5)
    states = {}
    for name, axis in AXES.items():
        level = axis.shared * cohort.severity + np.sqrt(1 - axis.shared**2) * rng.normal(size=stays)
        level += np.array(axis.unit_shift)[cohort.icu_type - 1]
        struck = hit * rng.beta(2, 2, (stays, 1)) * 1.5
        ill = level[:, None] + course + struck + _ornstein_uhlenbeck((stays, len(grid)), axis.correlation_hours, rng)
        states[name] = 0.7 * ill + 0.3 * np.sqrt(ill**2 + 0.5)  # nobody is much better than well
    return states


def _sepsis(grid: Integers, onset_hours: Floats | None) -> dict[str, Floats]:
    """(stay, hour) by axis: what sepsis adds; the infection comes hours before the onset, the other organs with it."""
    if onset_hours is None:
        return {}
    from scipy.special import expit  # here, as reading an extract needs none of it

    since = grid - np.nan_to_num(onset_hours, nan=np.inf)[:, None]
    return {axis: size * expit((since + before) / 2.0) for axis, (size, before) in SEPSIS.items()}


def _ornstein_uhlenbeck(shape: tuple[int, int], hours: float, rng: np.random.Generator) -> Floats:
    """(stay, hour) stationary Ornstein-Uhlenbeck processes with the given time constant, exact on the hourly grid."""
    shocks = rng.normal(0, AXIS_SD, shape)
    keep = np.exp(-1 / hours)
    for k in range(1, shape[1]):
        shocks[:, k] = keep * shocks[:, k - 1] + np.sqrt(1 - keep**2) * shocks[:, k]
    return shocks


def _hours_on_drug(treatment: Treatment, states: Mapping[str, Floats], rng: np.random.Generator) -> Integers:
    """(stay, hour) hours since a treatment was started, -1 while it is off; thresholds differ by stay."""
    need = weighted(states, treatment.need)
    need = need - rng.normal(0, 0.25, (len(need), 1))
    since = np.full(need.shape, -1)
    for k in range(1, need.shape[1]):
        running = since[:, k - 1] >= 0
        wanted = need[:, k - 1] > np.where(running, treatment.stop, treatment.start)
        since[:, k] = np.where(wanted, since[:, k - 1] + 1, -1)
    return since


def _low_pass(target: Floats, hours: float) -> Floats:
    """(stay, hour) first-order low-pass filter of the target with the given time constant."""
    path = target.copy()
    for k in range(1, path.shape[1]):
        path[:, k] = path[:, k - 1] + (1 - np.exp(-1 / hours)) * (target[:, k] - path[:, k - 1])
    return path
