"""Defects to plant in a synthetic cohort, one for each check of the audit: what an extract gets wrong, on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

DAY, HOUR = pd.Timedelta(days=1), pd.Timedelta(hours=1)
CLOCK = ["time", "available_at"]


@dataclass
class Tables:
    """The tables of a cohort while defects are planted in them."""

    rows: pd.DataFrame
    stays: pd.DataFrame
    outcomes: pd.DataFrame
    chance: np.random.Generator

    def some(self, share: float, where: pd.Series | None = None) -> pd.Index:
        """The labels of a share of the measurements, at least five, of those `where` holds."""
        labels = self.rows.index[
            self.rows["code"].isna() & self.rows["value"].notna() & (True if where is None else where)
        ]
        return pd.Index(self.chance.choice(labels, max(5, round(share * len(labels))), replace=False))

    def of(self, variable: str) -> pd.Series:
        return self.rows["variable"] == variable

    def move(self, labels: pd.Index, by: pd.Timedelta) -> None:
        for name in CLOCK:
            self.rows.loc[labels, name] += by

    def add(self, rows: pd.DataFrame) -> None:
        self.rows = pd.concat([self.rows, rows], ignore_index=True)

    def pair(self) -> tuple[int, int]:
        """Two stays of one patient, earlier first; another stay is given to the patient where nobody has two."""
        stays = self.stays.sort_values("start")
        again = stays["patient_id"].duplicated()
        later = int(stays.index[again][0])
        earlier = int(stays.index[stays["patient_id"] == stays.loc[later, "patient_id"]][0])
        return earlier, later

    def rows_of(self, stay: int) -> pd.Series:
        return self.rows["stay_id"] == self.stays.loc[stay, "stay_id"]


def _cells(column: str, value: object, share: float = 0.001) -> Callable[[Tables], None]:
    def plant(t: Tables) -> None:
        t.rows.loc[t.some(share), column] = value

    return plant


def _moved(by: pd.Timedelta, share: float) -> Callable[[Tables], None]:
    return lambda t: t.move(t.some(share), by)


def _text(column: str, word: str) -> Callable[[Tables], None]:
    def plant(t: Tables) -> None:
        labels = t.some(0.001)
        t.rows[column] = t.rows[column].astype(object).where(t.rows[column].isna(), t.rows[column].astype(str))
        t.rows.loc[labels, column] = word

    return plant


def _stay(column: str, change: Callable[[pd.Series], object], share: float = 0.03) -> Callable[[Tables], None]:
    def plant(t: Tables) -> None:
        chosen = t.chance.choice(
            t.stays.index[t.stays["start"].notna()], max(2, round(share * len(t.stays))), replace=False
        )
        t.stays.loc[chosen, column] = change(t.stays.loc[chosen])

    return plant


def _again(column: str, change: Callable[[object], object]) -> Callable[[Tables], None]:
    def plant(t: Tables) -> None:
        earlier, later = t.pair()
        known = t.stays.loc[earlier, column]
        if known != known:
            known = t.stays.loc[earlier, column] = t.stays[column].median()
        t.stays.loc[later, column] = change(known)

    return plant


def _measured_after_death(t: Tables) -> None:
    died = t.outcomes.loc[t.outcomes["in_hospital_death"] == 1, "stay_id"]
    t.move(t.some(0.01, t.rows["stay_id"].isin(died)), 90 * DAY)


def _year_off(t: Tables) -> None:
    t.move(t.some(0.001), 365 * DAY)


def _day_and_month(t: Tables) -> None:
    clock = t.rows["time"].dt
    labels = t.some(0.05, (clock.day <= 12) & (clock.day != clock.month))
    moved = t.rows.loc[labels, "time"].map(lambda when: when.replace(month=when.day, day=when.month))
    delay = t.rows.loc[labels, "available_at"] - t.rows.loc[labels, "time"]
    t.rows.loc[labels, "time"] = moved
    t.rows.loc[labels, "available_at"] = moved + delay


def _default_date(t: Tables) -> None:
    t.rows.loc[t.some(0.001), CLOCK] = pd.Timestamp("1970-01-01")


def _jumps(t: Tables) -> None:
    labels = t.some(0.06, t.of("heart_rate"))
    t.rows.loc[labels, "value"] = 290


def _frozen(t: Tables) -> None:
    for stay in t.rows.loc[t.of("heart_rate"), "stay_id"].value_counts().index[:5]:
        t.rows.loc[t.of("heart_rate") & (t.rows["stay_id"] == stay), "value"] = 87


def _charted_twice(t: Tables) -> None:
    rows = t.rows.loc[t.some(0.1, t.of("heart_rate"))].copy()
    rows[CLOCK] += pd.Timedelta(seconds=30)
    t.add(rows)


def _midnight(t: Tables) -> None:
    labels = t.some(0.7, t.of("sodium"))
    for name in CLOCK:
        t.rows.loc[labels, name] = t.rows.loc[labels, name].dt.ceil("D")


def _silence(t: Tables) -> None:
    for stay in t.rows["stay_id"].value_counts().index[:8]:
        rows = t.rows[t.rows["stay_id"] == stay]
        t.move(rows.index[rows["time"] > rows["time"].median()], 4 * DAY)


def _one_value(t: Tables) -> None:
    t.rows.loc[t.of("sodium"), "value"] = 140


def _digits(t: Tables) -> None:
    t.rows.loc[t.of("heart_rate"), "value"] = (t.rows.loc[t.of("heart_rate"), "value"] / 10).round() * 10


def _sentinel(t: Tables) -> None:
    t.rows.loc[t.some(0.1, t.of("sodium")).union(t.some(0.1, t.of("sodium"))), "value"] = 999


def _swapped_pressures(t: Tables) -> None:
    stay = t.rows["stay_id"].isin(t.stays["stay_id"].iloc[:10])
    systolic, diastolic = t.of("sbp") & stay, t.of("dbp") & stay
    t.rows.loc[systolic, "variable"], t.rows.loc[diastolic, "variable"] = "dbp", "sbp"


def _mean_outside(t: Tables) -> None:
    t.rows.loc[t.some(0.15, t.of("map")), "value"] += 70


def _added(name: str, source: str, factor: float, unit: str) -> Callable[[Tables], None]:
    def plant(t: Tables) -> None:
        rows = t.rows[t.of(source) & t.rows["unit"].isin(["g/dL", "mg/dL"])]
        t.add(rows.assign(variable=name, value=rows["value"] * factor + 1, unit=unit))

    return plant


def _stops(t: Tables) -> None:
    late = t.stays.sort_values("start")["stay_id"].iloc[28:85]
    t.rows = t.rows[~(t.of("creatinine") & t.rows["stay_id"].isin(late))].reset_index(drop=True)


def _absent_at_site(t: Tables) -> None:
    there = t.stays.loc[t.stays["icu_type"] == 3, "stay_id"]
    t.rows = t.rows[~(t.of("sodium") & t.rows["stay_id"].isin(there))].reset_index(drop=True)


def _seldom(t: Tables) -> None:
    rows = t.rows[t.of("sodium")].iloc[:1]
    t.add(rows.assign(variable="albumin", value=3.1, unit="g/dL"))


def _alike(t: Tables) -> None:
    first, second = t.stays["patient_id"].iloc[0], t.stays["patient_id"].iloc[-1]
    for table in (t.rows, t.stays, t.outcomes):
        table.loc[table["patient_id"] == second, "patient_id"] = "00" + first


def _overlap(t: Tables) -> None:
    earlier, later = t.pair()
    t.stays.loc[later, "start"] = t.stays.loc[earlier, "start"] + HOUR


def _same_start(t: Tables) -> None:
    earlier, later = t.pair()
    t.stays.loc[later, "start"] = t.stays.loc[earlier, "start"]


def _after_death(t: Tables) -> None:
    earlier, _ = t.pair()
    t.outcomes.loc[t.outcomes["stay_id"] == t.stays.loc[earlier, "stay_id"], "in_hospital_death"] = 1.0


def _body_mass(t: Tables) -> None:
    t.stays.loc[t.stays.index[3], ["height", "admission_weight"]] = [110.0, 380.0]


def _nothing_measured(t: Tables) -> None:
    t.rows = t.rows[~t.rows["stay_id"].isin(t.stays["stay_id"].iloc[:12])].reset_index(drop=True)


def _twins(t: Tables) -> None:
    first = t.rows[t.rows_of(t.stays.index[0])]
    other = t.stays.iloc[-1]
    t.rows = t.rows[t.rows["stay_id"] != other["stay_id"]]
    t.add(first.assign(patient_id=other["patient_id"], stay_id=other["stay_id"]))


def _no_stay(t: Tables) -> None:
    t.stays = t.stays[t.stays["stay_id"] != t.rows["stay_id"].iloc[0]].reset_index(drop=True)


def _outcome(value: float, share: float) -> Callable[[Tables], None]:
    def plant(t: Tables) -> None:
        chosen = t.chance.random(len(t.outcomes)) < share
        t.outcomes.loc[chosen, "in_hospital_death"] = value

    return plant


def _empty_hour(t: Tables) -> None:
    t.rows = t.rows[(t.rows["time"].dt.hour != 3) | t.rows["code"].notna()].reset_index(drop=True)


def _afternoon(t: Tables) -> None:
    t.move(t.rows.index[t.rows["time"].dt.hour >= 13], -12 * HOUR)


def _on_the_night(sunday: str, hour: int, *, twice: bool) -> Callable[[Tables], None]:
    """All stays start the evening before the clocks change; the hour is left out, or comes twice."""

    def plant(t: Tables) -> None:
        shift = pd.Timestamp(sunday) - 6 * HOUR - t.stays.set_index("stay_id")["start"].dt.floor("h")
        for name in CLOCK:
            t.rows[name] += t.rows["stay_id"].map(shift)
        for name in ("start", "end"):
            t.stays[name] += t.stays["stay_id"].map(shift)
        hit = (t.rows["time"].dt.date == pd.Timestamp(sunday).date()) & (t.rows["time"].dt.hour == hour)
        if not twice:
            t.rows = t.rows[~hit].reset_index(drop=True)
        else:
            for _ in range(2):
                again = t.rows[hit].copy()
                later = pd.to_timedelta(t.chance.integers(1, 1200, len(again)), unit="s")
                for name in CLOCK:
                    again[name] += later
                t.add(again[again["time"].dt.hour == hour])
                hit = hit.reindex(t.rows.index, fill_value=False)

    return plant


def _merged(t: Tables) -> None:
    t.add(t.rows.loc[t.some(0.08)])


def _emptied(t: Tables) -> None:
    t.rows.loc[t.some(0.4, t.of("heart_rate")), "value"] = np.nan


def _unit(variable: str, factor: float, offset: float = 0.0) -> Callable[[Tables], None]:
    def plant(t: Tables) -> None:
        own = t.rows["unit"].isin(["mg/dL", "°C", "g/dL", "%", "mmHg"])
        labels = t.some(0.1, t.of(variable) & own)
        t.rows.loc[labels, "value"] = t.rows.loc[labels, "value"] * factor + offset

    return plant


DEFECTS: dict[str, list[Callable[[Tables], None]]] = {
    "rejected: no identifier": [_cells("stay_id", None)],
    "rejected: no variable": [_cells("variable", None)],
    "rejected: no time": [_cells("time", pd.NaT)],
    "rejected: time not readable": [_text("time", "soon")],
    "rejected: available_at not readable": [_text("available_at", "later")],
    "rejected: value is not a number": [_text("value", "high")],
    "rejected: unknown variable": [_cells("variable", "mystery")],
    "rejected: unknown unit": [_cells("unit", "furlong")],
    "rejected: stay not in the stays table": [_no_stay],
    "implausible values": [lambda t: t.rows.loc.__setitem__((t.some(0.06, t.of("heart_rate")), "value"), 900.0)],
    "sentinel value": [_sentinel],
    "missing values": [_emptied],
    "several values at one time": [_merged],
    "unit": [
        _unit("temperature", 1.8, 32), _unit("glucose", 1 / 18.016), _unit("creatinine", 88.4), _unit("spo2", 0.01),
        _unit("hemoglobin", 10), _unit("paco2", 0.1333),
    ],
    "constant value": [_one_value],
    "digit preference": [_digits],
    "diastolic above systolic": [_swapped_pressures],
    "mean pressure out of range": [_mean_outside],
    "hematocrit-hemoglobin ratio": [_added("hematocrit", "hemoglobin", 5.5, "%")],
    "direct above total bilirubin": [_added("bilirubin_direct", "bilirubin_total", 2, "mg/dL")],
    "measurement interrupted": [_stops],
    "absent at a site": [_absent_at_site],
    "rarely measured": [_seldom],
    "static covariate missing": [_stay("height", lambda s: np.nan, 0.8)],
    "outcome missing": [_outcome(np.nan, 0.3)],
    "constant outcome": [_outcome(0.0, 1.1), _outcome(1.0, 1.1)],
    "similar identifiers": [_alike],
    "end before start": [_stay("end", lambda s: s["start"] - HOUR)],
    "zero length": [_stay("end", lambda s: s["start"])],
    "longer than a year": [_stay("end", lambda s: s["start"] + 500 * DAY)],
    "overlapping stays": [_overlap],
    "same start": [_same_start],
    "admitted after death": [_after_death],
    "starts in the future": [_stay("start", lambda s: s["start"] + 30000 * DAY)],
    "starts on a default date": [_stay("start", lambda s: pd.Timestamp("1900-01-01"))],
    "starts at midnight": [_stay("start", lambda s: s["start"].dt.floor("D"), 0.5)],
    "age decreased": [_again("age", lambda age: age - 10 if age > 30 else age - 3)],
    "sex changed": [_again("sex", lambda sex: 1 - sex)],
    "height changed": [_again("height", lambda height: height + (25 if height < 200 else -25))],
    "body mass index": [_body_mass],
    "pediatric stays": [_stay("age", lambda s: 7.0, 0.1)],
    "nothing measured": [_nothing_measured],
    "no start": [_stay("start", lambda s: pd.NaT, 0.05)],
    "no end": [_stay("end", lambda s: pd.NaT, 0.2)],
    "identical record in two patients": [_twins],
    "measured before the stay": [_moved(-20 * DAY, 0.05)],
    "measured after the stay": [_moved(200 * DAY, 0.05)],
    "measured after death": [_measured_after_death],
    "measured before birth": [_moved(-40000 * DAY, 0.001)],
    "wrong year": [_year_off],
    "day and month swapped": [_day_and_month],
    "in the future": [_moved(40000 * DAY, 0.001)],
    "default date": [_default_date],
    "available before measured": [lambda t: t.rows.loc.__setitem__(
        (t.some(0.01), "available_at"), t.rows["time"] - pd.Timedelta(minutes=20))],
    "time zone of available_at": [lambda t: t.rows.loc.__setitem__(
        (t.some(0.05), "available_at"), t.rows["time"] - 5 * HOUR)],
    "available over 30 days later": [lambda t: t.rows.loc.__setitem__(
        (t.some(0.01), "available_at"), t.rows["time"] + 60 * DAY)],
    "time zone of one variable": [lambda t: t.move(t.rows.index[t.of("creatinine")], -8 * HOUR)],
    "sudden jump": [_jumps],
    "flatline": [_frozen],
    "repeated within a minute": [_charted_twice],
    "midnight heaping": [_midnight],
    "long gap": [_silence],
    "unused hour of day": [_empty_hour],
    "12-hour clock": [_afternoon],
    "daylight saving start": [_on_the_night("2019-03-31", 2, twice=False), _on_the_night("2020-03-08", 2, twice=False)],
    "daylight saving end": [_on_the_night("2019-10-27", 2, twice=True), _on_the_night("2020-11-01", 1, twice=True)],
}  # fmt: skip

ALONE = (
    "daylight saving start",
    "daylight saving end",
    "identical record in two patients",
)  # others would undo them, or they others
STRUCTURE = (
    "outcome missing", "constant outcome", "similar identifiers", "admitted after death", "nothing measured",
    "measurement interrupted", "absent at a site",
    "rejected: stay not in the stays table",
)  # fmt: skip
TIMES = (
    "measured before the stay", "measured after the stay", "measured after death", "measured before birth",
    "wrong year", "day and month swapped", "in the future", "default date", "available before measured",
    "time zone of available_at", "available over 30 days later",
    "time zone of one variable", "repeated within a minute",
    "midnight heaping", "long gap", "unused hour of day", "12-hour clock",
)  # fmt: skip
STAYS = (
    "end before start", "zero length", "longer than a year", "overlapping stays", "same start",
    "starts in the future", "starts on a default date", "starts at midnight", "age decreased",
    "sex changed", "height changed", "body mass index", "pediatric stays", "no start", "no end",
    "static covariate missing",
)  # fmt: skip
VALUES = tuple(name for name in DEFECTS if name not in (*ALONE, *STRUCTURE, *TIMES, *STAYS))


def schedule(count: int) -> list[tuple[str, ...]]:
    """What is planted in each cohort: one defect alone, or one of each family; text comes last."""
    families = (STRUCTURE, TIMES, STAYS, VALUES)
    return [(ALONE[i // 9 % 3],) if i % 9 == 8 else tuple(one[i % len(one)] for one in families) for i in range(count)]


def planted(cohort: object, names: tuple[str, ...], random_state: int) -> Tables:
    """The tables of a synthetic cohort with these defects in them."""
    tables = [getattr(cohort, name).copy() for name in ("measurements", "stays", "outcomes")]
    t = Tables(*tables, np.random.default_rng(random_state))
    for name in names:
        DEFECTS[name][random_state % len(DEFECTS[name])](t)
    return t
