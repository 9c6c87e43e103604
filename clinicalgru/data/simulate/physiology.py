"""The bodies of the simulated ward: hidden severity over hours, the treatments it brings, and what it does to signs.

Five organ axes (0 a usual ICU patient, +2 very ill) share one severity. Each is a level of the stay, a course towards
recovery or deterioration, for some a second hit, and an Ornstein-Uhlenbeck process. Signs are a patient's own baseline
plus weighted axes, traits and treatments. The figures are plausible at the bedside; they are not fitted to any data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Axis:
    """An organ system: how far it shares the common severity, how fast it wavers, how far each unit type shifts it."""

    shared: float
    wavers_hours: float
    unit_shift: tuple[float, float, float, float]  # coronary care, cardiac surgery, medical, surgical


AXES: Mapping[str, Axis] = {
    "circulation": Axis(0.75, 8, (0.3, -0.1, 0.1, -0.1)),
    "lung": Axis(0.65, 12, (0.0, -0.3, 0.3, -0.1)),
    "kidney": Axis(0.60, 36, (0.0, -0.2, 0.2, 0.0)),
    "infection": Axis(0.60, 24, (-0.5, -0.5, 0.4, 0.2)),
    "brain": Axis(0.50, 18, (-0.3, -0.4, 0.1, 0.3)),
}
LAG_TREATMENT, LAG_BLOOD = 2.0, 15.0  # hours; blood counts and retained waste (loadings on "_past") trail the organ
WAVER = 0.4  # spread of the Ornstein-Uhlenbeck process of every axis
TRAITS = ("tension", "sugar", "muscle", "blood", "airway", "nephrons")  # standard normal, constant for a patient


@dataclass(frozen=True)
class Treatment:
    """A drug that starts when the need passes `start`, stops below `stop`, and acts with a lag of about two hours."""

    codes: tuple[str, ...]  # ATC; one per stay, by habit of the prescriber
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
class Signal:
    """A sign or laboratory value: `centre` plus loadings on the state, in its own scale.

    unit      as charted, in a spelling of the bedside
    curve     linear: the value itself; log: its logarithm; below, above: the logarithm of its distance to `anchor`
    spread    between patients; noise: between measurements; low, high: what a living body shows
    together  share of the noise common to all signals of one round: pressures move as one
    ordered   chance that it is ever measured in a stay of usual severity; kept: that a round of its panel includes it
    """

    unit: str
    centre: float
    loadings: Mapping[str, float]
    spread: float
    noise: float
    low: float
    high: float
    digits: int
    curve: str = "linear"
    anchor: float = 0.0
    together: float = 0.3
    ordered: float = 1.0
    kept: float = 0.95

    def value(self, level: Floats) -> Floats:
        """The value, in `unit`, of a level on the signal's own scale."""
        if self.curve == "linear":
            return np.clip(level, self.low, self.high)
        distance = np.exp(np.minimum(level, 12.0))
        return np.clip(self.anchor + (-distance if self.curve == "below" else distance), self.low, self.high)


def _log(unit: str, typical: float, loadings: Mapping[str, float], spread: float, noise: float, low: float,
         high: float, digits: int, ordered: float = 0.98) -> Signal:  # fmt: skip
    """A laboratory value that varies by proportion around `typical`."""
    centre = float(np.log(typical))
    return Signal(unit, centre, loadings, spread, noise, low, high, digits, curve="log", ordered=ordered)


SIGNALS: Mapping[str, Signal] = {
    "heart_rate": Signal("bpm", 84, {"circulation": 7, "infection": 5, "lung": 2, "vasopressor": 4, "fluids": -3,
                                     "sedation": -5, "day": 2}, 9, 3.5, 32, 210, 0),
    "respiratory_rate": Signal("/min", 18, {"lung": 2.6, "infection": 1.4, "sedation": -3}, 1.8, 1.6, 7, 58, 0),
    "spo2": Signal("%", 1.0, {"lung": 0.45, "airway": 0.25, "sedation": -0.3}, 0.2, 0.25, 60, 100, 0, "below", 100),
    "sbp": Signal("mmHg", 121, {"circulation": -13, "infection": -4, "tension": 13, "vasopressor": 13,
                               "fluids": 5, "sedation": -5, "day": 3}, 5, 6, 42, 238, 0, together=0.95),
    "map": Signal("mmHg", 83, {"circulation": -9, "infection": -3, "tension": 8, "vasopressor": 9, "fluids": 3.5,
                              "sedation": -3.5, "day": 2}, 2, 4, 28, 165, 0, together=0.95),
    "dbp": Signal("mmHg", 64, {"circulation": -7, "infection": -2.5, "tension": 5, "vasopressor": 7,
                              "fluids": 3, "sedation": -3, "day": 2}, 2, 3, 18, 130, 0, together=0.95),
    "temperature": Signal("°C", 36.8, {"infection": 0.45, "circulation": -0.1, "day": 0.2}, 0.25, 0.15, 33.5, 41.5, 1,
                          kept=0.3),
    "gcs": Signal("1", -0.6, {"brain": 1.0, "sedation": 1.3}, 0.3, 0.2, 3, 15, 0, "below", 15, kept=0.25),
    "urine_output": _log("mL", 75, {"kidney": -0.5, "circulation": -0.25, "fluids": 0.2}, 0.25, 0.45, 0, 900, 0, 0.9),
    "ph": Signal("[pH]", 7.395, {"circulation": -0.025, "kidney": -0.02, "airway": -0.01}, 0.015, 0.015, 6.9, 7.65, 2,
                 ordered=0.7),
    "paco2": _log("mmHg", 39, {"airway": 0.08, "lung": 0.04, "infection": -0.03}, 0.06, 0.05, 16, 120, 0, 0.7),
    "pao2": _log("mmHg", 98, {"lung": -0.13, "airway": -0.05, "sedation": 0.15}, 0.1, 0.14, 38, 420, 0, 0.7),
    "fio2": Signal("1", -1.9, {"lung": 0.55, "sedation": 0.3}, 0.2, 0.1, 0.21, 1.0, 2, "above", 0.21, ordered=0.7),
    "lactate": _log("mmol/L", 1.3, {"circulation": 0.4, "infection": 0.12, "kidney": 0.06}, 0.15, 0.08, 0.3, 28, 1,
                    ordered=0.8),
    "creatinine": _log("mg/dL", 0.95, {"kidney_past": 0.45, "muscle": 0.15, "nephrons": 0.2}, 0.05, 0.04, 0.25, 16, 2),
    "bun": _log("mg/dL", 18, {"kidney_past": 0.38, "nephrons": 0.15, "infection_past": 0.08}, 0.15, 0.05, 3, 210, 0),
    "sodium": Signal("mmol/L", 138.5, {"kidney": -0.5, "infection": -0.5, "fluids": 0.8}, 3, 1, 114, 168, 0),
    "potassium": Signal("mmol/L", 4.1, {"kidney": 0.22, "circulation": 0.06, "insulin": -0.2}, 0.25, 0.15, 2.2, 7.8, 1),
    "bicarbonate": Signal("mmol/L", 24, {"circulation": -1.4, "kidney": -1.1, "airway": 1}, 1.5, 0.8, 6, 44, 0),
    "glucose": _log("mg/dL", 128, {"sugar": 0.26, "infection": 0.12, "insulin": -0.25}, 0.1, 0.12, 42, 700, 0),
    "bilirubin_total": _log("mg/dL", 0.75, {"infection_past": 0.35}, 0.4, 0.06, 0.1, 28, 1, 0.45),
    "hemoglobin": Signal("g/dL", 10.8, {"blood": -1.2, "kidney": -0.2, "fluids": -0.4}, 0.8, 0.25, 4.2, 19, 1),
    "wbc": _log("K/uL", 10.2, {"infection_past": 0.3, "circulation": 0.04}, 0.2, 0.08, 0.5, 75, 1),
    "platelets": _log("K/uL", 205, {"infection_past": -0.15, "circulation_past": -0.07}, 0.3, 0.06, 8, 950, 0),
}  # fmt: skip


@dataclass(frozen=True)
class Cohort:
    """Who is admitted, (stay,) arrays sorted by patient and then by date.

    patient  position of the patient; several stays may share one
    start    minutes since 2018-01-01; stayed: whole hours on the unit
    age      years; sex: 1 male; height: cm; weight: kg; icu_type: 1..4; severity: of the stay, standard normal
    traits   (stay, 1) by name, equal in all stays of a patient
    own      (stay, signal) the patient's own baseline, standard normal
    """

    patient: Integers
    start: Integers
    stayed: Integers
    age: Floats
    sex: Integers
    height: Floats
    weight: Floats
    icu_type: Integers
    severity: Floats
    traits: Mapping[str, Floats]
    own: Floats


@dataclass(frozen=True)
class Body:
    """What happens in each stay on an hourly grid.

    present  (stay, hour) True while the patient is on the unit
    states   by name: axes, treatments in effect and time of day (stay, hour), traits (stay, 1)
    levels   (stay, hour) by signal, on the signal's own scale, without measurement noise
    given    (stay, hour) by treatment: hours since it was started, -1 while it is off
    """

    present: Flags
    states: Mapping[str, Floats]
    levels: Mapping[str, Floats]
    given: Mapping[str, Integers]

    def value(self, name: str) -> Floats:
        """(stay, hour) the true value of a signal, without measurement noise."""
        return SIGNALS[name].value(self.levels[name])


def admit(n_stays: int, rng: np.random.Generator) -> Cohort:
    """Draw patients and their stays: about one stay in eight is a readmission."""
    patients = max(1, round(0.88 * n_stays))
    patient = np.sort(np.concatenate([np.arange(patients), rng.integers(0, patients, n_stays - patients)]))
    sex = (rng.random(patients) < 0.56).astype(np.int64)
    height = np.where(sex == 1, 176, 163) + rng.normal(0, 7, patients)
    weight = np.clip(rng.normal(26.5, 4.5, patients), 16, 50) * (height / 100) ** 2
    traits = {name: rng.normal(size=(patients, 1))[patient] for name in TRAITS}
    age = np.clip(95 - rng.gamma(3.2, 10, patients), 18, 95)[patient]
    severity = rng.normal(size=n_stays) + 0.25 * (age - 63) / 17
    stayed = np.ceil(np.clip(np.exp(rng.normal(4.5 + 0.15 * severity, 0.55)), 8, 1500)).astype(np.int64)
    start = _dates(patient, stayed, rng)
    return Cohort(
        patient=patient,
        start=start,
        stayed=stayed,
        age=np.floor(age + (start - start[np.searchsorted(patient, patient)]) / (365.25 * 1440)),
        sex=sex[patient],
        height=np.round(height)[patient],
        weight=np.round(weight, 1)[patient],
        icu_type=rng.choice([1, 2, 3, 4], n_stays, p=[0.15, 0.2, 0.37, 0.28]).astype(np.int64),
        severity=severity,
        traits=traits,
        own=rng.normal(size=(patients, len(SIGNALS)))[patient],
    )


def _dates(patient: Integers, stayed: Integers, rng: np.random.Generator) -> Integers:
    """(stay,) minutes since 2018-01-01: a random first admission, later ones days to months after discharge."""
    first = rng.integers(0, 4 * 365 * 1440, len(patient))
    away = stayed * 60 + 2 * 1440 + rng.exponential(120 * 1440, len(patient)).astype(np.int64)
    before = np.cumsum(away) - away
    opening = np.searchsorted(patient, patient)  # position of the patient's first stay
    return first[opening] + before - before[opening]


def live(cohort: Cohort, hours: int, rng: np.random.Generator) -> Body:
    """Run every stay through `hours` hours."""
    grid = np.arange(hours + 1)
    clock = (cohort.start[:, None] / 60 + grid) % 24
    states: dict[str, Floats] = {"day": np.cos(2 * np.pi * (clock - 16) / 24), "age": (cohort.age[:, None] - 63) / 17}
    states |= {f"icu_type_{i}": (cohort.icu_type[:, None] == i).astype(np.float64) for i in (1, 2, 3, 4)}
    states.update(cohort.traits)
    states |= _axes(cohort, grid, rng)
    states |= {f"{axis}_past": _followed(states[axis], LAG_BLOOD) for axis in AXES}
    given = {name: _given(treatment, states, rng) for name, treatment in TREATMENTS.items()}
    states |= {name: _followed((hours_on >= 0).astype(np.float64), LAG_TREATMENT) for name, hours_on in given.items()}
    levels = {
        name: signal.centre + signal.spread * cohort.own[:, [i]] + weighted(states, signal.loadings)
        for i, (name, signal) in enumerate(SIGNALS.items())
    }
    return Body(grid <= cohort.stayed[:, None], states, levels, given)


def sigmoid(logit: Floats) -> Floats:
    """Chance of a logit, without overflow."""
    return 0.5 * (1 + np.tanh(logit / 2))


def weighted(states: Mapping[str, Floats], loadings: Mapping[str, float]) -> Floats:
    """(stay, hour) the sum of states times their loadings; 0 where there are none."""
    total: Floats = np.zeros((1, 1))
    for name, loading in loadings.items():
        total = total + loading * states[name]
    return total


def _axes(cohort: Cohort, grid: Integers, rng: np.random.Generator) -> dict[str, Floats]:
    """(stay, hour) by axis: level + course + second hit + Ornstein-Uhlenbeck process."""
    stays = len(cohort.severity)
    course = rng.normal(-0.7, 0.6, (stays, 1)) * (1 - np.exp(-grid / 30))
    hit_hour = rng.uniform(6, max(60, grid[-1]), (stays, 1))
    hit = (rng.random((stays, 1)) < 0.2) * rng.gamma(4, 0.4, (stays, 1)) * sigmoid((grid - hit_hour) / 1.5)
    states = {}
    for name, axis in AXES.items():
        level = axis.shared * cohort.severity + np.sqrt(1 - axis.shared**2) * rng.normal(size=stays)
        level += np.array(axis.unit_shift)[cohort.icu_type - 1]
        struck = hit * rng.beta(2, 2, (stays, 1)) * 1.5
        ill = level[:, None] + course + struck + _wavering((stays, len(grid)), axis.wavers_hours, rng)
        states[name] = 0.7 * ill + 0.3 * np.sqrt(ill**2 + 0.5)  # nobody is much better than well
    return states


def _wavering(shape: tuple[int, int], hours: float, rng: np.random.Generator) -> Floats:
    """(stay, hour) stationary Ornstein-Uhlenbeck processes with the given time constant, exact on the hourly grid."""
    shocks = rng.normal(0, WAVER, shape)
    keep = np.exp(-1 / hours)
    for k in range(1, shape[1]):
        shocks[:, k] = keep * shocks[:, k - 1] + np.sqrt(1 - keep**2) * shocks[:, k]
    return shocks


def _given(treatment: Treatment, states: Mapping[str, Floats], rng: np.random.Generator) -> Integers:
    """(stay, hour) hours since the treatment was started, -1 while it is off; starting and stopping differ by stay."""
    need = weighted(states, treatment.need)
    need = need - rng.normal(0, 0.25, (len(need), 1))
    since = np.full(need.shape, -1)
    for k in range(1, need.shape[1]):
        running = since[:, k - 1] >= 0
        wanted = need[:, k - 1] > np.where(running, treatment.stop, treatment.start)
        since[:, k] = np.where(wanted, since[:, k - 1] + 1, -1)
    return since


def _followed(target: Floats, hours: float) -> Floats:
    """(stay, hour) what trails the target with the given time constant, from where the target starts."""
    path = target.copy()
    for k in range(1, path.shape[1]):
        path[:, k] = path[:, k - 1] + (1 - np.exp(-1 / hours)) * (target[:, k] - path[:, k - 1])
    return path
