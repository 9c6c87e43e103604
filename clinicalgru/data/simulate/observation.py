"""What the simulated ward writes down: when it measures, in which unit, what it codes, and the slips it makes.

Charting is informative: the sicker a patient, the more often. Rounds follow the clock, laboratory draws are a Poisson
process with a morning peak, some values are never ordered, and a laboratory result is known only when it is issued.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clinicalgru.data.simulate.physiology import (
    SIGNALS,
    TREATMENTS,
    Body,
    Cohort,
    Flags,
    Floats,
    Integers,
    sigmoid,
    weighted,
)


@dataclass(frozen=True)
class Panel:
    """Signals measured together, `rate` times an hour in a usual patient, more by exp(driven_by . states).

    planned  at most once an hour, near the full hour; otherwise a Poisson process, busiest at the morning draw
    issued   hours from measurement to result: shortest, longest
    """

    signals: tuple[str, ...]
    rate: float
    driven_by: Mapping[str, float]
    planned: bool = False
    issued: tuple[float, float] = (0.0, 0.0)


PRESSURES = ("sbp", "map", "dbp")
PANELS: tuple[Panel, ...] = (
    Panel(
        ("heart_rate", "respiratory_rate", "spo2", *PRESSURES, "temperature", "gcs"),
        0.6,
        {"circulation": 0.15, "lung": 0.1, "brain": 0.05},
        planned=True,
    ),
    Panel(("urine_output",), 0.35, {"kidney": 0.15, "circulation": 0.15}, planned=True),
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
class Elsewhere:
    """The unit of another site: charted = value * factor + offset, rounded to `digits`."""

    unit: str
    factor: float
    digits: int
    offset: float = 0.0


SECOND_LABORATORY: Mapping[str, Elsewhere] = {
    "creatinine": Elsewhere("umol/L", 88.42, 0),
    "bun": Elsewhere("mmol/L", 1 / 2.8014, 1),  # as urea
    "lactate": Elsewhere("mg/dL", 9.008, 1),
    "glucose": Elsewhere("mmol/L", 1 / 18.016, 1),
    "bilirubin_total": Elsewhere("umol/L", 17.104, 0),
    "hemoglobin": Elsewhere("g/L", 10, 0),
}
FAHRENHEIT_WARD: Mapping[str, Elsewhere] = {"temperature": Elsewhere("°F", 1.8, 1, offset=32)}


@dataclass(frozen=True)
class Diagnosis:
    """An ICD-10 code, present with probability sigmoid(base + loadings . states at admission)."""

    base: float
    loadings: Mapping[str, float]
    chronic: bool = False  # the same luck in all stays of a patient


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
ABROAD = {**SECOND_LABORATORY, **FAHRENHEIT_WARD}
UNITS = tuple(signal.unit for signal in SIGNALS.values()) + tuple(site.unit for site in ABROAD.values())
IMPLAUSIBLE: Mapping[str, float] = {"heart_rate": 999, "respiratory_rate": 7000, "temperature": 0, "ph": 735}


@dataclass(frozen=True)
class Chart:
    """Rows as written down, and how many slips of each kind are among them.

    rows     stay (position), minute and issued (minutes since the stay's start), variable, unit and code (positions in
             VARIABLES, UNITS and CODES, -1 for none), value
    planted  rows by kind of slip
    """

    rows: pd.DataFrame
    planted: Mapping[str, int]


def diagnose(cohort: Cohort, body: Body, rng: np.random.Generator) -> Flags:
    """(stay, diagnosis) True where the stay carries the code."""
    luck = rng.random((len(cohort.patient), len(DIAGNOSES)))
    chronic = [diagnosis.chronic for diagnosis in DIAGNOSES.values()]
    luck[:, chronic] = luck[np.searchsorted(cohort.patient, cohort.patient)][:, chronic]
    admitted = {name: state[:, :1] for name, state in body.states.items()}
    logits = [diagnosis.base + weighted(admitted, diagnosis.loadings) for diagnosis in DIAGNOSES.values()]
    return luck < sigmoid(np.hstack(logits))


def write_down(cohort: Cohort, body: Body, diagnosed: Flags, *, hours: float, rng: np.random.Generator) -> Chart:
    """Chart measurements, diagnoses and drugs of the first `hours` hours, and plant a few slips."""
    stays = len(cohort.patient)
    leaves = np.minimum(cohort.stayed * 60, int(hours * 60))
    parts = [*_measurements(cohort, body, rng), _diagnoses(diagnosed, rng), *_drugs(body, rng)]
    rows = pd.concat(parts, ignore_index=True)
    silent = rng.permutation(stays) < stays // 400  # admitted, but nothing was ever charted
    stay = rows["stay"].to_numpy()
    rows = rows[(rows["minute"].to_numpy() < leaves[stay]) & ~silent[stay]]
    rows, planted = _with_slips(rows, max(1, stays // 20), rng)
    order = np.lexsort((rows["variable"], rows["minute"], rows["stay"]))
    return Chart(rows.iloc[order].reset_index(drop=True), {**planted, "stay without rows": int(silent.sum())})


def _measurements(cohort: Cohort, body: Body, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """One table per signal; the signals of a panel share its rounds, its delay and part of its noise."""
    ordered, away = _habits(cohort, rng)
    for panel in PANELS:
        stay, minute = _rounds(panel, cohort, body, rng)
        issued = minute + _delay(panel, len(stay), rng)
        common = rng.normal(size=len(stay))
        for name in panel.signals:
            here = ordered[name][stay] & (rng.random(len(stay)) < SIGNALS[name].kept)
            seen, when = stay[here], minute[here]
            shown = _shown(name, body, stay=seen, minute=when, common=common[here], rng=rng)
            value, unit = _in_units(name, shown, away[name][seen])
            yield _rows(seen, when, issued=issued[here], variable=name, value=value, unit=unit)


def _habits(cohort: Cohort, rng: np.random.Generator) -> tuple[dict[str, Flags], dict[str, Flags]]:
    """(stay,) by signal: whether it is ever measured, likelier in the sick; and whether in the other site's unit."""
    stays = len(cohort.patient)
    ease = np.exp(-cohort.severity)
    ordered = {name: rng.random(stays) < signal.ordered**ease for name, signal in SIGNALS.items()}
    second_laboratory, fahrenheit_ward = rng.random(stays) < 0.3, rng.random(stays) < 0.12
    away = dict.fromkeys(SIGNALS, np.zeros(stays, dtype=np.bool_))
    away |= dict.fromkeys(SECOND_LABORATORY, second_laboratory) | dict.fromkeys(FAHRENHEIT_WARD, fahrenheit_ward)
    return ordered, away


def _delay(panel: Panel, rounds: int, rng: np.random.Generator) -> Integers:
    """(round,) minutes until the result is known."""
    shortest, longest = panel.issued
    return np.ceil(60 * (shortest + (longest - shortest) * rng.beta(1.5, 3, rounds))).astype(np.int64)


def _shown(
    name: str, body: Body, *, stay: Integers, minute: Integers, common: Floats, rng: np.random.Generator
) -> Floats:
    """What the device or laboratory finds: the path between two hours of the grid, with noise."""
    signal, level = SIGNALS[name], body.levels[name]
    hour, share = minute // 60, minute % 60 / 60
    path = (1 - share) * level[stay, hour] + share * level[stay, hour + 1]
    noise = signal.together * common + np.sqrt(1 - signal.together**2) * rng.normal(size=len(stay))
    return signal.value(path + signal.noise * noise)


def _rounds(panel: Panel, cohort: Cohort, body: Body, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Stay (position) and minute since its start of each time the panel is measured, no two alike."""
    clock = (cohort.start[:, None] // 60 + np.arange(body.present.shape[1] - 1)) % 24
    rate = panel.rate * np.exp(weighted(body.states, panel.driven_by))[:, :-1] * np.where(clock < 6, 0.75, 1.0)
    if panel.planned:
        stay, hour = np.nonzero(rng.random(rate.shape) < np.minimum(rate, 0.97))
        full_hour = -cohort.start[stay] % 60  # minutes from the start to the next full hour of the clock
        minute = hour * 60 + full_hour + np.minimum(rng.geometric(0.25, len(stay)) - 1, 59)
    else:
        rate = rate * np.where(clock == 5, 12.0, 0.8)
        stay, hour = np.nonzero(rng.random(rate.shape) < -np.expm1(-rate))
        minute = hour * 60 + rng.integers(0, 60, len(stay))
    inside = minute < 60 * rate.shape[1]
    return stay[inside], minute[inside]


def _in_units(name: str, value: Floats, away: Flags) -> tuple[Floats, Integers]:
    """Values as charted, rounded, and the position of their units; `away` marks rows of the other site."""
    home = np.round(value, SIGNALS[name].digits)
    unit = np.full(len(value), list(SIGNALS).index(name))
    if name not in ABROAD:
        return home, unit
    site = ABROAD[name]
    there = np.round(value * site.factor + site.offset, site.digits)
    return np.where(away, there, home), np.where(away, len(SIGNALS) + list(ABROAD).index(name), unit)


def _diagnoses(diagnosed: Flags, rng: np.random.Generator) -> pd.DataFrame:
    """Codes entered within the first half day."""
    stay, code = np.nonzero(diagnosed)
    minute = rng.integers(0, 12 * 60, len(stay))
    return _rows(stay, minute, issued=minute, variable="diagnosis", code=code)


def _drugs(body: Body, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Each treatment when it starts and every `repeat_hours` while it runs."""
    for name, treatment in TREATMENTS.items():
        since = body.given[name]
        stay, hour = np.nonzero((since >= 0) & (since % treatment.repeat_hours == 0))
        minute = hour * 60 + rng.integers(0, 60, len(stay))
        habit = rng.integers(0, len(treatment.codes), len(since))
        code = len(DIAGNOSES) + DRUGS.index(treatment.codes[0]) + habit[stay]
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


def _with_slips(rows: pd.DataFrame, each: int, rng: np.random.Generator) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows with `each` impossible values, `each` empty ones and `each` second values at one instant."""
    rows = rows.reset_index(drop=True)
    names = np.array(VARIABLES)[rows["variable"]]
    picked = rng.permutation(np.flatnonzero(np.isin(names, list(IMPLAUSIBLE))))[: 3 * each]
    wrong, empty, twice = picked[:each], picked[each : 2 * each], picked[2 * each :]
    value = rows["value"].to_numpy().copy()
    value[wrong] = [IMPLAUSIBLE[name] for name in names[wrong]]
    value[empty] = np.nan
    rows = rows.assign(value=value)
    second = rows.iloc[twice].assign(value=np.round(value[twice] * 1.01, 2))
    planted = {"implausible value": len(wrong), "empty value": len(empty), "second value at one instant": len(twice)}
    return pd.concat([rows, second], ignore_index=True), planted
