"""The observation process of the synthetic cohort: measurement times, units, codes and data errors.

Measurement is informative: the sicker a patient, the more often. Scheduled measurements follow the clock, laboratory
samples are a Poisson process with a morning peak, some variables are never measured, and a laboratory result is known
only when it is issued.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clinicalgru.data.simulate.physiology import (
    TREATMENTS,
    Cohort,
    Flags,
    Floats,
    Integers,
    Physiology,
    weighted,
)
from clinicalgru.data.simulate.signals import SIGNALS


@dataclass(frozen=True)
class Panel:
    """Signals that are measured together.

    Attributes
    ----------
    signals : tuple of str
        Names of signals.
    rate : float
        Measurements per hour in a usual patient; multiplied by exp(driven_by . states).
    driven_by : mapping of str to float
        Loadings of the log rate on the states.
    scheduled : bool
        At most once an hour, near the full hour; else a Poisson process with a peak at the morning sample.
    issued : tuple of float
        Hours from measurement to result: shortest, longest.
    """

    signals: tuple[str, ...]
    rate: float
    driven_by: Mapping[str, float]
    scheduled: bool = False
    issued: tuple[float, float] = (0.0, 0.0)


PRESSURES = ("sbp", "map", "dbp")
PANELS: tuple[Panel, ...] = (
    Panel(
        ("heart_rate", "respiratory_rate", "spo2", *PRESSURES, "temperature", "gcs"),
        0.6,
        {"circulation": 0.15, "lung": 0.1, "brain": 0.05},
        scheduled=True,
    ),
    Panel(("urine_output",), 0.35, {"kidney": 0.15, "circulation": 0.15}, scheduled=True),
    Panel(("ph", "paco2", "pao2", "fio2", "lactate"), 0.07, {"lung": 0.4, "circulation": 0.35}, issued=(0.3, 0.8)),
    Panel(
        ("creatinine", "bun", "sodium", "potassium", "bicarbonate", "glucose", "bilirubin_total"),
        0.055,
        {"kidney": 0.25, "circulation": 0.2},
        issued=(0.6, 3.0),
    ),
    Panel(("hemoglobin", "wbc", "platelets"), 0.035, {"infection": 0.25, "blood": 0.2}, issued=(0.4, 2.0)),
)


@dataclass(frozen=True)
class SiteUnit:
    """The unit of another site: recorded = value * factor + offset, rounded.

    Attributes
    ----------
    unit : str
        The unit recorded there.
    factor : float
        Recorded units per unit of the dictionary.
    digits : int
        Decimals recorded.
    offset : float
        Added after the factor.
    """

    unit: str
    factor: float
    digits: int
    offset: float = 0.0


SECOND_LABORATORY: Mapping[str, SiteUnit] = {
    "creatinine": SiteUnit("umol/L", 88.42, 0),
    "bun": SiteUnit("mmol/L", 1 / 2.8014, 1),  # as urea
    "lactate": SiteUnit("mg/dL", 9.008, 1),
    "glucose": SiteUnit("mmol/L", 1 / 18.016, 1),
    "bilirubin_total": SiteUnit("umol/L", 17.104, 0),
    "hemoglobin": SiteUnit("g/L", 10, 0),
}
FAHRENHEIT_UNIT: Mapping[str, SiteUnit] = {"temperature": SiteUnit("°F", 1.8, 1, offset=32)}


@dataclass(frozen=True)
class Diagnosis:
    """An ICD-10 code, present with probability expit(base + loadings . states at admission).

    Attributes
    ----------
    base : float
        Log-odds where all states are 0.
    loadings : mapping of str to float
        Change of the log-odds per unit of each state.
    chronic : bool
        Whether the draws are the same in all stays of a patient.
    """

    base: float
    loadings: Mapping[str, float]
    chronic: bool = False  # the same draws in all stays of a patient


DIAGNOSES: Mapping[str, Diagnosis] = {
    "A41.9": Diagnosis(-3.0, {"infection": 1.9, "circulation": 0.5}),  # sepsis
    "J18.9": Diagnosis(-2.6, {"lung": 0.8, "infection": 0.9}),  # pneumonia
    "J96.0": Diagnosis(-2.4, {"lung": 1.5}),  # acute respiratory failure
    "I50.9": Diagnosis(-2.0, {"circulation": 0.6, "age": 0.7}),  # heart failure
    "I21.9": Diagnosis(-4.0, {"icu_type_1": 3.6, "age": 0.5}),  # myocardial infarction
    "I25.1": Diagnosis(-3.5, {"icu_type_2": 3.6, "icu_type_1": 1.0, "age": 0.9}),  # coronary atherosclerosis
    "I63.9": Diagnosis(-3.6, {"brain": 1.3}),  # cerebral infarction
    "K92.2": Diagnosis(-3.5, {"blood": 1.0}),  # gastrointestinal bleeding
    "N17.9": Diagnosis(-2.5, {"kidney": 1.7}),  # acute kidney failure
    "N18.9": Diagnosis(-2.8, {"nephrons": 1.7}, chronic=True),  # chronic kidney disease
    "E11.9": Diagnosis(-1.6, {"sugar": 1.7}, chronic=True),  # type 2 diabetes
    "I10": Diagnosis(-0.5, {"tension": 1.2, "age": 0.5}, chronic=True),  # hypertension
    "J44.9": Diagnosis(-2.4, {"airway": 1.6}, chronic=True),  # chronic obstructive pulmonary disease
    "C34.9": Diagnosis(-2.8, {"blood": 0.4, "age": 0.3}, chronic=True),  # lung cancer
}
DRUGS: tuple[str, ...] = tuple(code for treatment in TREATMENTS.values() for code in treatment.codes)
CODES = (*DIAGNOSES, *DRUGS)
VARIABLES = (*SIGNALS, "diagnosis", "drug")
OTHER_SITES = {**SECOND_LABORATORY, **FAHRENHEIT_UNIT}
UNITS = tuple(signal.unit for signal in SIGNALS.values()) + tuple(site.unit for site in OTHER_SITES.values())
IMPLAUSIBLE: Mapping[str, float] = {"heart_rate": 999, "respiratory_rate": 7000, "temperature": 0, "ph": 735}


@dataclass(frozen=True)
class ObservedRecord:
    """The recorded rows, and the data errors among them.

    Attributes
    ----------
    rows : DataFrame
        stay (position), minute and issued (minutes since the start of the stay), variable, unit and code (positions in
        VARIABLES, UNITS and CODES, -1 = none), value.
    planted : mapping of str to int
        Rows by type of data error.
    """

    rows: pd.DataFrame
    planted: Mapping[str, int]


def diagnose(cohort: Cohort, physiology: Physiology, rng: np.random.Generator) -> Flags:
    """Draw the diagnoses of count stay.

    Parameters
    ----------
    cohort : Cohort
        The stays.
    physiology : Physiology
        Their physiology.
    rng : numpy.random.Generator
        Random numbers.

    Returns
    -------
    ndarray of bool, shape (stay, diagnosis)
        Whether the stay has the code.
    """
    from scipy.special import expit  # here, as reading an extract needs none of it

    draws = rng.random((len(cohort.patient), len(DIAGNOSES)))
    chronic = [diagnosis.chronic for diagnosis in DIAGNOSES.values()]
    draws[:, chronic] = draws[np.searchsorted(cohort.patient, cohort.patient)][:, chronic]
    admitted = {name: state[:, :1] for name, state in physiology.states.items()}
    logits = [diagnosis.base + weighted(admitted, diagnosis.loadings) for diagnosis in DIAGNOSES.values()]
    return draws < expit(np.hstack(logits))


def observe(
    cohort: Cohort, physiology: Physiology, diagnosed: Flags, *, hours: float, rng: np.random.Generator
) -> ObservedRecord:
    """Record measurements, diagnoses and drugs, and plant a few data errors.

    Parameters
    ----------
    cohort : Cohort
        The stays.
    physiology : Physiology
        Their physiology.
    diagnosed : ndarray of bool, shape (stay, diagnosis)
        Their diagnoses.
    hours : float
        Hours since the start of the stay that are recorded.
    rng : numpy.random.Generator
        Random numbers.

    Returns
    -------
    ObservedRecord
        The record.
    """
    stays = len(cohort.patient)
    end_minute = np.minimum(cohort.length_hours * 60, int(hours * 60))
    tables = [*_measurements(cohort, physiology, rng), _diagnoses(diagnosed, rng), *_drugs(physiology, rng)]
    rows = pd.concat(tables, ignore_index=True)
    silent = rng.permutation(stays) < stays // 400  # admitted, but nothing was ever recorded
    stay = rows["stay"].to_numpy()
    rows = rows[(rows["minute"].to_numpy() < end_minute[stay]) & ~silent[stay]]
    rows, planted = _with_errors(rows, max(1, stays // 20), rng)
    order = np.lexsort((rows["variable"], rows["minute"], rows["stay"]))
    return ObservedRecord(rows.iloc[order].reset_index(drop=True), {**planted, "stay without rows": int(silent.sum())})


def _measurements(cohort: Cohort, physiology: Physiology, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """One table per signal; the signals of a panel share its measurement times, its delay and part of its noise."""
    ordered, elsewhere = _practice(cohort, rng)
    for panel in PANELS:
        stay, minute = _measurement_times(panel, cohort, physiology, rng)
        issued = minute + _delay(panel, len(stay), rng)
        common = rng.normal(size=len(stay))
        for name in panel.signals:
            here = ordered[name][stay] & (rng.random(len(stay)) < SIGNALS[name].in_panel)
            seen, when = stay[here], minute[here]
            measured = _measured_values(name, physiology, stay=seen, minute=when, common=common[here], rng=rng)
            value, unit = _in_units(name, measured, elsewhere[name][seen])
            yield _rows(seen, when, issued=issued[here], variable=name, value=value, unit=unit)


def _practice(cohort: Cohort, rng: np.random.Generator) -> tuple[dict[str, Flags], dict[str, Flags]]:
    """(stay,) by signal: whether it is ever measured, and whether in the unit of the other site."""
    stays = len(cohort.patient)
    ease = np.exp(-cohort.severity)
    ordered = {name: rng.random(stays) < signal.ever_measured**ease for name, signal in SIGNALS.items()}
    second_laboratory, fahrenheit_unit = rng.random(stays) < 0.3, rng.random(stays) < 0.12
    elsewhere = dict.fromkeys(SIGNALS, np.zeros(stays, dtype=np.bool_))
    elsewhere |= dict.fromkeys(SECOND_LABORATORY, second_laboratory) | dict.fromkeys(FAHRENHEIT_UNIT, fahrenheit_unit)
    return ordered, elsewhere


def _delay(panel: Panel, rounds: int, rng: np.random.Generator) -> Integers:
    """(measurement,) minutes until the result is known."""
    shortest, longest = panel.issued
    return np.ceil(60 * (shortest + (longest - shortest) * rng.beta(1.5, 3, rounds))).astype(np.int64)


def _measured_values(
    name: str, physiology: Physiology, *, stay: Integers, minute: Integers, common: Floats, rng: np.random.Generator
) -> Floats:
    """Measured values: the level interpolated between two hours of the grid, with noise."""
    signal, level = SIGNALS[name], physiology.levels[name]
    hour, fraction = minute // 60, minute % 60 / 60
    path = (1 - fraction) * level[stay, hour] + fraction * level[stay, hour + 1]
    noise = signal.shared_noise * common + np.sqrt(1 - signal.shared_noise**2) * rng.normal(size=len(stay))
    return signal.value(path + signal.noise_sd * noise)


def _measurement_times(
    panel: Panel, cohort: Cohort, physiology: Physiology, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """Stay (position) and minute since its start of count measurement of the panel, all distinct."""
    clock = (cohort.start[:, None] // 60 + np.arange(physiology.present.shape[1] - 1)) % 24
    rate = panel.rate * np.exp(weighted(physiology.states, panel.driven_by))[:, :-1] * np.where(clock < 6, 0.75, 1.0)
    if panel.scheduled:
        stay, hour = np.nonzero(rng.random(rate.shape) < np.minimum(rate, 0.97))
        full_hour = -cohort.start[stay] % 60  # minutes from the start to the next full hour of the clock
        minute = hour * 60 + full_hour + np.minimum(rng.geometric(0.25, len(stay)) - 1, 59)
    else:
        rate = rate * np.where(clock == 5, 12.0, 0.8)
        stay, hour = np.nonzero(rng.random(rate.shape) < -np.expm1(-rate))
        minute = hour * 60 + rng.integers(0, 60, len(stay))
    inside = minute < 60 * rate.shape[1]
    return stay[inside], minute[inside]


def _in_units(name: str, value: Floats, elsewhere: Flags) -> tuple[Floats, Integers]:
    """Values as recorded, rounded, and the position of their units; `elsewhere` marks rows of the other site."""
    home = np.round(value, SIGNALS[name].digits)
    unit = np.full(len(value), list(SIGNALS).index(name))
    if name not in OTHER_SITES:
        return home, unit
    site = OTHER_SITES[name]
    there = np.round(value * site.factor + site.offset, site.digits)
    return np.where(elsewhere, there, home), np.where(elsewhere, len(SIGNALS) + list(OTHER_SITES).index(name), unit)


def _diagnoses(diagnosed: Flags, rng: np.random.Generator) -> pd.DataFrame:
    """Codes entered within the first half day."""
    stay, code = np.nonzero(diagnosed)
    minute = rng.integers(0, 12 * 60, len(stay))
    return _rows(stay, minute, issued=minute, variable="diagnosis", code=code)


def _drugs(physiology: Physiology, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Each treatment when it starts and every `repeat_hours` while it runs."""
    for name, treatment in TREATMENTS.items():
        since = physiology.hours_on_drug[name]
        stay, hour = np.nonzero((since >= 0) & (since % treatment.repeat_hours == 0))
        minute = hour * 60 + rng.integers(0, 60, len(stay))
        choice = rng.integers(0, len(treatment.codes), len(since))
        code = len(DIAGNOSES) + DRUGS.index(treatment.codes[0]) + choice[stay]
        yield _rows(stay, minute, issued=minute, variable="drug", code=code)


def _rows(
    stay: Integers,
    minute: Integers,
    *,
    issued: Integers,
    variable: str,
    value: Floats | float = np.nan,
    unit: Integers | int = -1,
    code: Integers | int = -1,
) -> pd.DataFrame:
    columns = {"stay": stay, "minute": minute, "issued": issued, "variable": VARIABLES.index(variable)}
    return pd.DataFrame({**columns, "value": value, "unit": unit, "code": code})


def _with_errors(rows: pd.DataFrame, count: int, rng: np.random.Generator) -> tuple[pd.DataFrame, dict[str, int]]:
    """Plant `count` impossible values, `count` empty ones and `count` second values at one time."""
    rows = rows.reset_index(drop=True)
    names = np.array(VARIABLES)[rows["variable"]]
    picked = rng.permutation(np.flatnonzero(np.isin(names, list(IMPLAUSIBLE))))[: 3 * count]
    wrong, empty, repeated = picked[:count], picked[count : 2 * count], picked[2 * count :]
    value = rows["value"].to_numpy().copy()
    value[wrong] = [IMPLAUSIBLE[name] for name in names[wrong]]
    value[empty] = np.nan
    rows = rows.assign(value=value)
    second = rows.iloc[repeated].assign(value=np.round(value[repeated] * 1.01, 2))
    planted = {"implausible value": len(wrong), "empty value": len(empty), "second value at one instant": len(repeated)}
    return pd.concat([rows, second], ignore_index=True), planted
