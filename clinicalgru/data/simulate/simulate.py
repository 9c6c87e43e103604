"""A synthetic cohort: an extract as a hospital would export it, with the true risk of each stay."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.atomic_write import atomic_write
from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.simulate.observation import (
    CODES,
    DIAGNOSES,
    UNITS,
    VARIABLES,
    ObservedRecord,
    diagnose,
    observe,
)
from clinicalgru.data.simulate.physiology import (
    AXES,
    Cohort,
    Flags,
    Floats,
    Integers,
    Physiology,
    admit,
    simulate_physiology,
)
from clinicalgru.errors import ArgumentError, system_errors

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
DEATH_RATE = 0.12
LABEL_HOURS = 6.0  # the label of sepsis begins so long before the onset
SIMULATED = "simulated"  # attribute of the table of measurements
MARK = "SYNTHETIC: "  # first word of the README of written tables
EPOCH = np.datetime64("2018-01-01", "us")


@dataclass(frozen=True, eq=False)
class SimulatedCohort:
    """A synthetic cohort: the tables of an extract, and the ground truth behind them.

    Attributes
    ----------
    measurements : DataFrame
        One row per measurement: patient_id, stay_id, time, variable, value, unit, available_at, code (of a
        diagnosis or drug, whose value is empty).
    stays : DataFrame
        patient_id, stay_id, start, end, age (years), sex (1 = male), height (cm), admission_weight (kg), icu_type
        (1 to 4).
    outcomes : DataFrame
        stay_id, patient_id, in_hospital_death (0, 1, empty where unknown); sepsis and sepsis_onset_hours on request.
    truth : DataFrame
        stay_id, severity (mean of the axes over the record), logit, risk, and one column per driver: its contribution
        to the logit. The contributions and a constant sum to the logit.
    drivers : mapping of str to float
        Weight of each driver, per standard deviation.
    planted : mapping of str to int
        Number of data errors of each type in the tables.
    description : str
        Size and seed, in words.
    """

    measurements: pd.DataFrame
    stays: pd.DataFrame
    outcomes: pd.DataFrame
    truth: pd.DataFrame
    drivers: Mapping[str, float]
    planted: Mapping[str, int]
    description: str

    def write(self, folder: str | Path) -> Path:
        """Write measurements.parquet, stays.parquet, outcomes.parquet and README.txt.

        Parameters
        ----------
        folder : str or Path
            The folder; it is created.

        Returns
        -------
        Path
            The folder.
        """
        check_instance("folder", folder, str, Path)
        folder = Path(folder)
        with system_errors(folder.name):
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("measurements", "stays", "outcomes"):
                with atomic_write(folder / f"{name}.parquet") as draft:
                    getattr(self, name).to_parquet(draft, index=False)
            with atomic_write(folder / "README.txt") as draft:
                draft.write_text(f"{MARK}{self.description}\n", encoding="utf-8")
        return folder

    def __repr__(self) -> str:
        return f"SimulatedCohort({self.description}; {len(self.measurements):,} rows)"


def simulate(
    n_stays: int,
    random_state: int | None = 0,
    *,
    hours: float = 48.0,
    drivers: Mapping[str, float] | None = None,
    sepsis: float = 0.0,
) -> SimulatedCohort:
    """Simulate a synthetic cohort whose patients, measurements and deaths follow known rules.

    Parameters
    ----------
    n_stays : int
        Number of stays, at least 1; about one in eight is a readmission.
    random_state : int or None
        Seed; the same seed gives the same cohort. None = a new one each time.
    hours : float
        Length of the record of each stay, shorter where the patient leaves earlier.
    drivers : mapping of str to float, optional
        Weight of each driver of death per standard deviation (names in DRIVERS). None = all of them; {} = equal risks.
        The constant is set so that about 12 % die.
    sepsis : float
        Fraction of the stays in which a sepsis begins. Above 0, the outcomes have `sepsis` and `sepsis_onset_hours`
        (the start of the label, six hours before the onset, as in the PhysioNet/CinC Challenge 2019).

    Returns
    -------
    SimulatedCohort
        The cohort.

    Raises
    ------
    ArgumentError
        If there are fewer than 1 stay, hours are not positive, or drivers are unknown or their weights not finite.

    Examples
    --------
    >>> from clinicalgru import simulate
    >>> cohort = simulate(100, drivers={"lactate": 3.0})
    >>> cohort.description
    'synthetic cohort, 100 stays, seed 0 (no real patients)'
    >>> list(cohort.truth.columns)
    ['stay_id', 'severity', 'logit', 'risk', 'lactate']
    """
    check_number("random_state", random_state, minimum=0, whole=True, optional=True)
    check_number("sepsis", sepsis, minimum=0, maximum=1)
    check_instance("drivers", drivers, Mapping, type(None), fix="Pass a dict of weights by name.")
    weights = _checked(n_stays, hours, dict(DRIVERS if drivers is None else drivers))
    rng = np.random.default_rng(random_state)
    cohort = admit(n_stays, rng)
    onset = _sepsis_onset(cohort, hours, sepsis, rng.spawn(1)[0]) if sepsis > 0 else None
    physiology = simulate_physiology(cohort, int(np.ceil(hours)), rng, onset)
    diagnosed = diagnose(cohort, physiology, rng)
    truth = _truth(cohort, physiology, diagnosed, weights)
    died = rng.random(n_stays) < truth["risk"].to_numpy()
    record = observe(cohort, physiology, diagnosed, hours=hours, rng=rng)
    patient_id, stay_id = _identities(cohort, died, rng)
    identity = pd.DataFrame({"patient_id": patient_id, "stay_id": stay_id})
    outcomes = _outcomes(identity, died, rng)
    if onset is not None:
        outcomes["sepsis"] = np.isfinite(onset).astype(float)
        outcomes["sepsis_onset_hours"] = onset - LABEL_HOURS
    description = f"synthetic cohort, {n_stays:,} stays, seed {random_state} (no real patients)"
    measurements = _extract(record, cohort, identity)
    measurements.attrs[SIMULATED] = description  # `read_events` knows the cohort by it
    return SimulatedCohort(
        measurements=measurements,
        stays=_stays(cohort, identity, rng),
        outcomes=outcomes,
        truth=pd.concat([identity["stay_id"], truth], axis=1),
        drivers=dict(weights),
        planted={**record.planted, "outcome unknown": int(outcomes["in_hospital_death"].isna().sum())},
        description=description,
    )


def simulated_as(data: Any) -> str | None:
    """Find out whether an extract is the table of a synthetic cohort, in memory or as `SimulatedCohort.write` wrote it.

    Parameters
    ----------
    data : object
        As of `read_events`.

    Returns
    -------
    str or None
        The description of the cohort; None for other extracts.

    Examples
    --------
    >>> from clinicalgru import simulate
    >>> simulated_as(simulate(30, random_state=7).measurements)
    'synthetic cohort, 30 stays, seed 7 (no real patients)'
    """
    if isinstance(data, pd.DataFrame):
        return data.attrs.get(SIMULATED)
    if not isinstance(data, str | Path) or Path(data).name != "measurements.parquet":
        return None
    mark = Path(data).with_name("README.txt")
    text = mark.read_text(encoding="utf-8") if mark.is_file() else ""
    return text.removeprefix(MARK).strip() if text.startswith(MARK) else None


def _sepsis_onset(cohort: Cohort, hours: float, fraction: float, rng: np.random.Generator) -> Floats:
    """(stay,) hour of the onset of sepsis, NaN where there is none; some hours before the record ends."""
    last = np.minimum(hours, cohort.length_hours) - 4
    first = LABEL_HOURS + 6
    begins = (rng.random(len(last)) < fraction) & (last > first)
    return np.where(begins, np.round(rng.uniform(first, np.maximum(last, first + 1))), np.nan)


def _checked(n_stays: int, hours: float, weights: dict[str, float]) -> dict[str, float]:
    check_number("n_stays", n_stays, minimum=1, whole=True)
    check_number("hours", hours, minimum=0, open_minimum=True)
    wrong = sorted(str(name) for name, weight in weights.items() if not _is_weight(name, weight))
    if wrong:
        raise ArgumentError(
            f"finite weights for drivers among {', '.join(DRIVERS)}", ", ".join(wrong), "Choose from these names."
        )
    return weights


def _is_weight(name: Any, weight: Any) -> bool:
    return name in DRIVERS and isinstance(weight, numbers.Real) and bool(np.isfinite(float(weight)))


def _truth(cohort: Cohort, physiology: Physiology, diagnosed: Flags, weights: Mapping[str, float]) -> pd.DataFrame:
    """Severity, true logit and risk, and the contribution of each driver to the logit."""
    from scipy.special import expit  # here, as reading an extract needs none of it

    driver_values = _drivers(cohort, physiology, diagnosed)
    contributions = {name: weight * _standardized(driver_values[name]) for name, weight in weights.items()}
    score = sum(contributions.values(), np.zeros(len(cohort.patient)))
    logit = score + _constant(score)
    severity = _mean(np.mean([physiology.states[axis] for axis in AXES], axis=0), physiology.present)
    return pd.DataFrame({"severity": severity, "logit": logit, "risk": expit(logit), **contributions})


def _drivers(cohort: Cohort, physiology: Physiology, diagnosed: Flags) -> dict[str, Floats]:
    """(stay,) by driver, higher is worse: functions of the true course while the patient is in the unit."""
    lactate, pressure, gcs = np.log(physiology.value("lactate")), physiology.value("map"), physiology.value("gcs")
    creatinine, urine = np.log(physiology.value("creatinine")), np.log(physiology.value("urine_output"))
    return {
        "lactate": _value_before_end(lactate, physiology.present, back=0),
        "lactate_rise": _change(lactate, physiology.present),
        "map": -np.min(pressure, axis=1, where=physiology.present, initial=np.inf),
        "hypotension_hours": np.log1p(np.sum(pressure < 65, axis=1, where=physiology.present)),
        "heart_rate_rise": _change(physiology.value("heart_rate"), physiology.present),
        "respiratory_rate": _mean(physiology.value("respiratory_rate"), physiology.present),
        "gcs": -_value_before_end(gcs, physiology.present, back=0),
        "creatinine_rise": np.max(creatinine, axis=1, where=physiology.present, initial=-np.inf) - creatinine[:, 0],
        "urine_output": -_mean(urine, physiology.present),
        "age": cohort.age,
        "lung_cancer": diagnosed[:, list(DIAGNOSES).index("C34.9")].astype(float),
    }


def _value_before_end(path: Floats, present: Flags, *, back: int) -> Floats:
    """(stay,) the value `back` hours before the last hour in the unit, or at the start."""
    last = present.sum(axis=1) - 1
    return path[np.arange(len(path)), np.maximum(last - back, 0)]


def _change(path: Floats, present: Flags) -> Floats:
    """(stay,) change over the last 12 hours."""
    return _value_before_end(path, present, back=0) - _value_before_end(path, present, back=12)


def _mean(path: Floats, present: Flags) -> Floats:
    return np.mean(path, axis=1, where=present)


def _standardized(driver: Floats) -> Floats:
    """(stay,) centered, in standard deviations; 0 where all stays are equal."""
    deviation = driver.std()
    return (driver - driver.mean()) / (deviation if deviation > 0 else 1.0)


def _constant(score: Floats) -> float:
    """The constant that makes the mean risk equal DEATH_RATE, by bisection."""
    from scipy.special import expit  # here, as reading an extract needs none of it

    high = float(np.abs(score).max()) + 10
    low = -high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if expit(score + middle).mean() > DEATH_RATE else (middle, high)
    return (low + high) / 2


def _identities(cohort: Cohort, died: Flags, rng: np.random.Generator) -> tuple[pd.Series, pd.Series]:
    """Identifiers as text with leading zeros; a stay after a death belongs to another patient."""
    opening = np.searchsorted(cohort.patient, cohort.patient)
    deaths_before: Integers = np.cumsum(died) - died
    individual = np.unique(
        np.column_stack([cohort.patient, deaths_before - deaths_before[opening]]), axis=0, return_inverse=True
    )[1]
    stays = len(individual)
    patient_number, stay_number = rng.permutation(10 * stays)[individual], 200_000 + rng.permutation(10 * stays)[:stays]
    return _as_text(patient_number, 8), _as_text(stay_number, 7)


def _as_text(number: Integers, width: int) -> pd.Series:
    return pd.Series(number).astype(str).str.zfill(width)


def _dates_of(minutes: Integers) -> pd.Series:
    return pd.Series(EPOCH + minutes.astype("timedelta64[m]"), dtype="datetime64[us]")


def _extract(record: ObservedRecord, cohort: Cohort, identity: pd.DataFrame) -> pd.DataFrame:
    """The long table; names are looked up by position, -1 = empty."""
    rows, stay = record.rows, record.rows["stay"].to_numpy()
    start = cohort.start[stay]
    return pd.DataFrame(
        {
            "patient_id": identity["patient_id"].take(stay).array,
            "stay_id": identity["stay_id"].take(stay).array,
            "time": _dates_of(start + rows["minute"].to_numpy()),
            "variable": _named(VARIABLES, rows["variable"]),
            "value": rows["value"].to_numpy(),
            "unit": _named(UNITS, rows["unit"]),
            "available_at": _dates_of(start + rows["issued"].to_numpy()),
            "code": _named(CODES, rows["code"]),
        }
    )


def _named(names: tuple[str, ...], position: pd.Series) -> pd.Series:
    return pd.Series([*names, None], dtype="str").take(position.to_numpy()).reset_index(drop=True)


def _stays(cohort: Cohort, identity: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One row per stay; height is unknown in 30 %, weight in 8 %, age and unit type in 1 %."""
    start = cohort.start
    known = {
        "age": (cohort.age, 0.01),
        "sex": (cohort.sex, 0.002),
        "height": (cohort.height, 0.3),
        "admission_weight": (cohort.weight, 0.08),
        "icu_type": (cohort.icu_type, 0.01),
    }
    columns = {
        name: np.where(rng.random(len(start)) < missing, np.nan, values) for name, (values, missing) in known.items()
    }
    return identity.assign(start=_dates_of(start), end=_dates_of(start + cohort.length_hours * 60), **columns)


def _outcomes(identity: pd.DataFrame, died: Flags, rng: np.random.Generator) -> pd.DataFrame:
    """Death in hospital, unknown in 1 % of the stays."""
    unknown = rng.permutation(len(died)) < len(died) // 100
    return identity[["stay_id", "patient_id"]].assign(in_hospital_death=np.where(unknown, np.nan, died.astype(float)))
