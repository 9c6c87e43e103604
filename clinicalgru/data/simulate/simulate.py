"""A simulated ward: an extract as a hospital would export it, with the truth behind each outcome beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from clinicalgru.data.simulate.observation import CODES, DIAGNOSES, UNITS, VARIABLES, Chart, diagnose, write_down
from clinicalgru.data.simulate.physiology import AXES, Body, Cohort, Flags, Floats, Integers, admit, live, sigmoid
from clinicalgru.errors import ArgumentError

DRIVERS: Mapping[str, float] = MappingProxyType(
    {
        "lactate": 0.3,
        "lactate_rise": 0.6,
        "map": 0.2,
        "hypotension_hours": 0.3,
        "heart_rate_rise": 0.4,
        "respiratory_rate": 0.2,
        "gcs": 0.45,
        "creatinine_rise": 0.25,
        "urine_output": 0.2,
        "age": 0.5,
        "lung_cancer": 0.4,
    }
)
DEATHS = 0.12
EPOCH = np.datetime64("2018-01-01", "us")


@dataclass(frozen=True, eq=False)
class SimulatedCohort:
    """Simulated patients: what a hospital would export, and the truth it would not know.

    measurements  one row each: patient_id, stay_id, time, variable, value, unit, available_at, code (of a diagnosis or
                  drug, whose value is empty)
    stays         patient_id, stay_id, start, end, age (years), sex (1 male), height (cm), admission_weight (kg),
                  icu_type (1..4)
    outcomes      stay_id, patient_id, in_hospital_death (0, 1, empty where unknown)
    truth         stay_id, severity (mean of the axes over the record), logit, risk, and one column per driver: its
                  share of the logit; the shares and a constant sum to the logit
    drivers       weight of each driver, per standard deviation
    planted       how many slips of each kind are in the tables
    """

    measurements: pd.DataFrame
    stays: pd.DataFrame
    outcomes: pd.DataFrame
    truth: pd.DataFrame
    drivers: Mapping[str, float]
    planted: Mapping[str, int]
    description: str

    def write(self, folder: str | Path) -> Path:
        """Write measurements.parquet, stays.parquet, outcomes.parquet and README.txt; give back the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("measurements", "stays", "outcomes"):
            getattr(self, name).to_parquet(folder / f"{name}.parquet", index=False)
        (folder / "README.txt").write_text(f"SIMULATED: {self.description}\n", encoding="utf-8")
        return folder

    def __repr__(self) -> str:
        return f"Ward({self.description}; {len(self.measurements):,} rows)"


def simulate(
    n_stays: int, random_state: int = 0, *, hours: float = 48.0, drivers: Mapping[str, float] | None = None
) -> SimulatedCohort:
    """Simulate a ward whose patients, measurements and deaths are drawn from known rules.

    n_stays  stays, at least 1; about one in eight is a readmission
    random_state     same seed, same ward
    hours    length of the record of each stay, shorter where the patient leaves earlier
    drivers  weight of each driver of death per standard deviation (names in DRIVERS); None: all of them, {}: chance
             alone. The constant is set so that about 12 % die
    returns  a Ward
    refuses  fewer than 1 stay, hours that are not positive, drivers that do not exist or
             whose weight is not finite (ArgumentError)

    >>> cohort = simulate(100, drivers={"lactate": 3.0})
    >>> cohort.description
    'simulated ward, 100 stays, seed 0 (no real patients)'
    >>> list(cohort.truth.columns)
    ['stay_id', 'severity', 'logit', 'risk', 'lactate']
    """
    weights = _checked(n_stays, hours, dict(DRIVERS if drivers is None else drivers))
    rng = np.random.default_rng(random_state)
    cohort = admit(n_stays, rng)
    body = live(cohort, int(np.ceil(hours)), rng)
    diagnosed = diagnose(cohort, body, rng)
    truth = _truth(cohort, body, diagnosed, weights)
    died = rng.random(n_stays) < truth["risk"].to_numpy()
    chart = write_down(cohort, body, diagnosed, hours=hours, rng=rng)
    patient_id, stay_id = _identities(cohort, died, rng)
    identity = pd.DataFrame({"patient_id": patient_id, "stay_id": stay_id})
    outcomes = _outcomes(identity, died, rng)
    return SimulatedCohort(
        measurements=_extract(chart, cohort, identity),
        stays=_descriptors(cohort, identity, rng),
        outcomes=outcomes,
        truth=pd.concat([identity["stay_id"], truth], axis=1),
        drivers=MappingProxyType(weights),
        planted=MappingProxyType({**chart.planted, "outcome unknown": int(outcomes["in_hospital_death"].isna().sum())}),
        description=f"simulated ward, {n_stays:,} stays, seed {random_state} (no real patients)",
    )


def _checked(n_stays: int, hours: float, weights: dict[str, float]) -> dict[str, float]:
    if n_stays < 1:
        raise ArgumentError("n_stays of at least 1", str(n_stays), "Ask for one stay or more.")
    if not 0 < hours < np.inf:
        raise ArgumentError("hours above 0", str(hours), "Pass the length of the record, such as 48.")
    wrong = sorted(name for name, weight in weights.items() if name not in DRIVERS or not np.isfinite(weight))
    if wrong:
        raise ArgumentError(
            f"finite weights for drivers among {', '.join(DRIVERS)}", ", ".join(wrong), "Choose from these names."
        )
    return weights


def _truth(cohort: Cohort, body: Body, diagnosed: Flags, weights: Mapping[str, float]) -> pd.DataFrame:
    """Severity, true logit and risk, and the share of each driver in the logit."""
    driven = _drivers(cohort, body, diagnosed)
    shares = {name: weight * _standardised(driven[name]) for name, weight in weights.items()}
    score = sum(shares.values(), np.zeros(len(cohort.patient)))
    logit = score + _constant(score)
    severity = _mean(np.mean([body.states[axis] for axis in AXES], axis=0), body.present)
    return pd.DataFrame({"severity": severity, "logit": logit, "risk": sigmoid(logit), **shares})


def _drivers(cohort: Cohort, body: Body, diagnosed: Flags) -> dict[str, Floats]:
    """(stay,) by driver, higher is worse: functions of the true course while the patient is on the unit."""
    lactate, pressure, gcs = np.log(body.value("lactate")), body.value("map"), body.value("gcs")
    creatinine, urine = np.log(body.value("creatinine")), np.log(body.value("urine_output"))
    return {
        "lactate": _at(lactate, body.present, back=0),
        "lactate_rise": _rise(lactate, body.present),
        "map": -np.min(pressure, axis=1, where=body.present, initial=np.inf),
        "hypotension_hours": np.log1p(np.sum(pressure < 65, axis=1, where=body.present)),
        "heart_rate_rise": _rise(body.value("heart_rate"), body.present),
        "respiratory_rate": _mean(body.value("respiratory_rate"), body.present),
        "gcs": -_at(gcs, body.present, back=0),
        "creatinine_rise": np.max(creatinine, axis=1, where=body.present, initial=-np.inf) - creatinine[:, 0],
        "urine_output": -_mean(urine, body.present),
        "age": cohort.age,
        "lung_cancer": diagnosed[:, list(DIAGNOSES).index("C34.9")].astype(float),
    }


def _at(path: Floats, present: Flags, *, back: int) -> Floats:
    """(stay,) the path `back` hours before the last hour on the unit, or at the start."""
    last = present.sum(axis=1) - 1
    return path[np.arange(len(path)), np.maximum(last - back, 0)]


def _rise(path: Floats, present: Flags) -> Floats:
    """(stay,) rise of the path over the last 12 hours."""
    return _at(path, present, back=0) - _at(path, present, back=12)


def _mean(path: Floats, present: Flags) -> Floats:
    return np.mean(path, axis=1, where=present)


def _standardised(driver: Floats) -> Floats:
    """(stay,) centred, in standard deviations of the ward; 0 where all stays are alike."""
    spread = driver.std()
    return (driver - driver.mean()) / (spread if spread > 0 else 1.0)


def _constant(score: Floats) -> float:
    """The constant that makes the mean risk DEATHS, by bisection."""
    high = float(np.abs(score).max()) + 10
    low = -high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if sigmoid(score + middle).mean() > DEATHS else (middle, high)
    return (low + high) / 2


def _identities(cohort: Cohort, died: Flags, rng: np.random.Generator) -> tuple[pd.Series, pd.Series]:
    """Identifiers as text with leading zeros; nobody returns after death, the next stay belongs to somebody else."""
    opening = np.searchsorted(cohort.patient, cohort.patient)
    deaths_before: Integers = np.cumsum(died) - died
    person = np.unique(
        np.column_stack([cohort.patient, deaths_before - deaths_before[opening]]), axis=0, return_inverse=True
    )[1]
    stays = len(person)
    patient_number, stay_number = rng.permutation(10 * stays)[person], 200_000 + rng.permutation(10 * stays)[:stays]
    return _as_text(patient_number, 8), _as_text(stay_number, 7)


def _as_text(number: Integers, width: int) -> pd.Series:
    return pd.Series(number).astype(str).str.zfill(width)


def _moments(minutes: Integers) -> pd.Series:
    return pd.Series(EPOCH + minutes.astype("timedelta64[m]"), dtype="datetime64[us]")


def _extract(chart: Chart, cohort: Cohort, identity: pd.DataFrame) -> pd.DataFrame:
    """The long table; names are looked up by position, -1 is empty."""
    rows, stay = chart.rows, chart.rows["stay"].to_numpy()
    start = cohort.start[stay]
    return pd.DataFrame(
        {
            "patient_id": identity["patient_id"].take(stay).array,
            "stay_id": identity["stay_id"].take(stay).array,
            "time": _moments(start + rows["minute"].to_numpy()),
            "variable": _named(VARIABLES, rows["variable"]),
            "value": rows["value"].to_numpy(),
            "unit": _named(UNITS, rows["unit"]),
            "available_at": _moments(start + rows["issued"].to_numpy()),
            "code": _named(CODES, rows["code"]),
        }
    )


def _named(names: tuple[str, ...], position: pd.Series) -> pd.Series:
    return pd.Series([*names, None], dtype="str").take(position.to_numpy()).reset_index(drop=True)


def _descriptors(cohort: Cohort, identity: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One row a stay; height is unknown in 30 %, weight in 8 %, age and unit type in 1 %."""
    start = cohort.start
    known = {
        "age": (cohort.age, 0.01),
        "sex": (cohort.sex, 0.002),
        "height": (cohort.height, 0.3),
        "admission_weight": (cohort.weight, 0.08),
        "icu_type": (cohort.icu_type, 0.01),
    }
    columns = {
        name: np.where(rng.random(len(start)) < share, np.nan, values) for name, (values, share) in known.items()
    }
    return identity.assign(start=_moments(start), end=_moments(start + cohort.stayed * 60), **columns)


def _outcomes(identity: pd.DataFrame, died: Flags, rng: np.random.Generator) -> pd.DataFrame:
    """Death in hospital, unknown in one stay of a hundred."""
    unknown = rng.permutation(len(died)) < len(died) // 100
    return identity[["stay_id", "patient_id"]].assign(in_hospital_death=np.where(unknown, np.nan, died.astype(float)))
