"""Pipelines with a planted leak, and clean ones: what the leakage sentinel must find, and must leave alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.simulate.simulate import SimulatedCohort
from clinicalgru.leakage.pipelines import Pipeline
from clinicalgru.leakage.raw_tables import MEASUREMENTS, OUTCOMES, STAYS, Tables

DUE = 24.0  # hours after the start
LATE = 60.0  # hours after the start at which a descriptor is charted again


@dataclass(frozen=True, eq=False)
class Planted:
    """Arguments of `check_no_future`: a pipeline and its extract, with or without a leak.

    Attributes
    ----------
    pipeline : callable
        From raw tables to risks.
    tables : dict of str to DataFrame
        The extract.
    options : mapping
        Further arguments.
    """

    pipeline: Pipeline
    tables: Tables
    options: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Give all arguments.

        Returns
        -------
        dict
        """
        return {"pipeline": self.pipeline, "data": self.tables, "prediction_time": DUE, **self.options}


def planted_leaks(cohort: SimulatedCohort) -> dict[str, Planted]:
    """Give fourteen pipelines with one leak each.

    Parameters
    ----------
    cohort : SimulatedCohort
        Its tables are their extract.

    Returns
    -------
    dict of str to Planted
        By the name of the leak.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> len(planted_leaks(cg.simulate(20)))
    14
    """
    tables = _tables(cohort)
    leaks = {name: Planted(pipeline, tables) for name, pipeline in LEAKY.items()}
    leaks["discharge code"] = Planted(_code_of_discharge, tables | {"diagnoses": _discharge_codes(cohort)})
    leaks["later descriptor"] = Planted(_last_weight, _with_late_weights(tables))
    splits = {"train": tables[STAYS]["stay_id"][::2], "test": tables[STAYS]["stay_id"][1::2]}
    leaks["patient in two splits"] = Planted(_last_known, tables, {"splits": splits})
    leaks["preprocessing on all rows"] = Planted(
        _last_known, tables, {"splits": _by_patient(tables), "fit": _fit_on_all_rows}
    )
    return leaks


def clean_pipelines(cohort: SimulatedCohort) -> dict[str, Planted]:
    """Give pipelines that use only what was known at the prediction time.

    Parameters
    ----------
    cohort : SimulatedCohort
        Its tables are their extract.

    Returns
    -------
    dict of str to Planted
        By name.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> len(clean_pipelines(cg.simulate(20)))
    12
    """
    tables = _tables(cohort)
    clean = {name: Planted(pipeline, tables) for name, pipeline in CLEAN.items()}
    home = tables | {"home_medication": tables[STAYS][["stay_id"]][::3].assign(drug="aspirin")}
    clean["home medication"] = Planted(_home_medication, home, {"known_at_start": ["home_medication"]})
    clean["first weight"] = Planted(_known_weight, _with_late_weights(tables))
    clean["preprocessing on training rows"] = Planted(
        _last_known, tables, {"splits": _by_patient(tables), "fit": _fit_on_training_rows}
    )
    return clean


def _tables(cohort: SimulatedCohort) -> Tables:
    return {MEASUREMENTS: cohort.measurements, STAYS: cohort.stays, OUTCOMES: cohort.outcomes}


def _rows(tables: Tables) -> pd.DataFrame:
    """Heart rates with the hours since the start at which they were measured and known."""
    rows = tables[MEASUREMENTS].loc[tables[MEASUREMENTS]["variable"] == "heart_rate"]
    rows = rows.merge(tables[STAYS][["stay_id", "start"]], on="stay_id")
    known = rows[["time", "available_at"]].max(axis=1)
    for name, time in (("hours", rows["time"]), ("known", known)):
        rows[name] = (time - rows["start"]).dt.total_seconds() / 3600
    rows["value"] = pd.to_numeric(rows["value"], errors="coerce").clip(0, 300)
    return rows.dropna(subset=["value", "hours"]).sort_values(["stay_id", "hours"], kind="stable")


def _known(tables: Tables) -> pd.DataFrame:
    rows = _rows(tables)
    return rows[rows["known"] <= DUE]


def _by_stay(rows: pd.DataFrame, column: str = "value") -> Any:
    return rows.groupby("stay_id")[column]


def _grid(rows: pd.DataFrame) -> pd.DataFrame:
    """(stay, hour) mean value of each hour from 0 to 47."""
    hour = np.floor(rows["hours"]).clip(0, 47).astype(int)
    return (
        rows.assign(hour=hour).pivot_table(index="stay_id", columns="hour", values="value").reindex(columns=range(48))
    )


def _backfilled(tables: Tables) -> pd.Series:
    return _grid(_rows(tables)).bfill(axis=1)[int(DUE)] / 300


def _interpolated(tables: Tables) -> pd.Series:
    grid = _grid(_rows(tables))
    grid.loc[:, grid.columns % 4 == 0] = np.nan  # a gap at the prediction time, as often
    return grid.interpolate(axis=1, limit_direction="both")[int(DUE)] / 300


def _normalised_by_stay(tables: Tables) -> pd.Series:
    whole = _by_stay(_rows(tables))
    return (_by_stay(_known(tables)).last() - whole.mean()) / (1 + whole.std().fillna(0))


def _time_to_next(tables: Tables) -> pd.Series:
    rows = _rows(tables)
    later = _by_stay(rows[rows["known"] > DUE], "hours").min()
    return (later - _by_stay(_known(tables), "hours").max()).fillna(48)


def _sequence_length(tables: Tables) -> pd.Series:
    return _by_stay(_rows(tables)).size() / 100


def _attended(rows: pd.DataFrame) -> pd.Series:
    """Softmax attention over rows: higher values attract more of it."""
    weight = np.exp(rows["value"] / 30 - 5)
    rows = rows.assign(weight=weight, weighted=weight * rows["value"])
    return _by_stay(rows, "weighted").sum() / _by_stay(rows, "weight").sum() / 300


def _attention_to_all(tables: Tables) -> pd.Series:
    return _attended(_rows(tables))


def _recurrent(rows: pd.DataFrame) -> pd.Series:
    """The last state of a linear recurrence over the rows in their order."""
    state = _by_stay(rows).transform(lambda value: value.ewm(alpha=0.3).mean())
    return state.groupby(rows["stay_id"]).last() / 300


def _bidirectional(tables: Tables) -> pd.Series:
    return _recurrent(_known(tables)) + _recurrent(_rows(tables).iloc[::-1])


def _label_as_feature(tables: Tables) -> pd.Series:
    outcome = tables[OUTCOMES].set_index("stay_id")["in_hospital_death"]
    return _last_known(tables) + 0.1 * pd.to_numeric(outcome, errors="coerce").fillna(0.5)


def _charted_by_then(tables: Tables) -> pd.Series:
    rows = tables[MEASUREMENTS].merge(tables[STAYS][["stay_id", "start"]], on="stay_id")
    charted = rows["time"] <= rows["start"] + pd.Timedelta(hours=DUE)
    return rows[charted & (rows["variable"] == "lactate")].groupby("stay_id")["value"].last().astype(float) / 30


def _stay_that_ends(tables: Tables) -> pd.Series:
    stays = tables[STAYS].set_index("stay_id")
    length = (stays["end"] - stays["start"]).dt.total_seconds() / 3600
    return _last_known(tables).reindex(stays.index) + length.fillna(999) / 1000


def _code_of_discharge(tables: Tables) -> pd.Series:
    coded = tables["diagnoses"].groupby("stay_id").size()
    return _last_known(tables) + 0.1 * coded.reindex(tables[STAYS]["stay_id"]).fillna(0)


def _last_weight(tables: Tables) -> pd.Series:
    return _weights(tables).groupby("stay_id")["value"].last().astype(float) / 300


def _known_weight(tables: Tables) -> pd.Series:
    rows = _weights(tables).merge(tables[STAYS][["stay_id", "start"]], on="stay_id")
    known = rows[["time", "available_at"]].max(axis=1) <= rows["start"] + pd.Timedelta(hours=DUE)
    return rows[known].groupby("stay_id")["value"].last().astype(float) / 300


def _weights(tables: Tables) -> pd.DataFrame:
    rows = tables[MEASUREMENTS]
    return rows[rows["variable"] == "weight"].sort_values("time", kind="stable")


def _discharge_codes(cohort: SimulatedCohort) -> pd.DataFrame:
    """A code, without a time, that only the stays of those who died have: written after discharge."""
    died = cohort.outcomes.loc[cohort.outcomes["in_hospital_death"] == 1, "stay_id"]
    others = cohort.outcomes.loc[cohort.outcomes["in_hospital_death"] == 0, "stay_id"]
    codes = {"R99": died, "I10": others[::2]}
    return pd.concat([pd.DataFrame({"stay_id": stays, "code": code}) for code, stays in codes.items()])


def _with_late_weights(tables: Tables) -> Tables:
    """Weights charted at the start and, other ones, long after the prediction time."""
    stays = tables[STAYS]
    rows = [
        stays[["patient_id", "stay_id"]].assign(
            variable="weight",
            value=80.0 + change * np.arange(len(stays)) % 40,
            time=stays["start"] + pd.Timedelta(hours=hours),
        )
        for hours, change in ((1.0, 1.0), (LATE, 7.0))
    ]
    rows = [part.assign(available_at=part["time"]) for part in rows]
    return tables | {MEASUREMENTS: pd.concat([tables[MEASUREMENTS], *rows], ignore_index=True)}


def _by_patient(tables: Tables) -> dict[str, pd.Series]:
    stays = tables[STAYS]
    test = stays["patient_id"].isin(stays["patient_id"].unique()[::2])
    return {"train": stays.loc[~test, "stay_id"], "test": stays.loc[test, "stay_id"]}


def _last_known(tables: Tables) -> pd.Series:
    return _by_stay(_known(tables)).last() / 300


def _mean_known(tables: Tables) -> pd.Series:
    return _by_stay(_known(tables)).mean() / 300


def _count_known(tables: Tables) -> pd.Series:
    return _by_stay(_known(tables)).size() / 100


def _change_known(tables: Tables) -> pd.Series:
    return (_by_stay(_known(tables)).last() - _by_stay(_known(tables)).first()) / 300


def _hours_since_last(tables: Tables) -> pd.Series:
    return (DUE - _by_stay(_known(tables), "known").max()) / 48


def _carried_forward(tables: Tables) -> pd.Series:
    return _grid(_known(tables)).ffill(axis=1)[int(DUE)] / 300


def _normalised_by_window(tables: Tables) -> pd.Series:
    known = _by_stay(_known(tables))
    return (known.last() - known.mean()) / (1 + known.std().fillna(0))


def _attention_to_known(tables: Tables) -> pd.Series:
    return _attended(_known(tables))


def _recurrent_over_known(tables: Tables) -> pd.Series:
    return _recurrent(_known(tables))


def _home_medication(tables: Tables) -> pd.Series:
    drugs = tables["home_medication"].groupby("stay_id").size()
    return _last_known(tables) + 0.1 * drugs.reindex(tables[STAYS]["stay_id"]).fillna(0)


def _scaled(mean: float) -> Pipeline:
    return lambda tables: _last_known(tables) - mean / 300


def _fit_on_all_rows(tables: Tables, train: list[str]) -> Pipeline:
    return _scaled(float(_known(tables)["value"].mean()))


def _fit_on_training_rows(tables: Tables, train: list[str]) -> Pipeline:
    known = _known(tables)
    return _scaled(float(known.loc[known["stay_id"].isin(train), "value"].mean()))


LEAKY: Mapping[str, Callable[[Tables], pd.Series]] = MappingProxyType(
    {
        "backfill": _backfilled,
        "interpolation": _interpolated,
        "whole-stay normalisation": _normalised_by_stay,
        "time to next": _time_to_next,
        "sequence length": _sequence_length,
        "non-causal attention": _attention_to_all,
        "bidirectional": _bidirectional,
        "label as feature": _label_as_feature,
        "charted, not available": _charted_by_then,
        "unknown end": _stay_that_ends,
    }
)
CLEAN: Mapping[str, Callable[[Tables], pd.Series]] = MappingProxyType(
    {
        "last known value": _last_known,
        "mean of known values": _mean_known,
        "number of known values": _count_known,
        "change of known values": _change_known,
        "hours since the last value": _hours_since_last,
        "carried forward": _carried_forward,
        "window normalisation": _normalised_by_window,
        "causal attention": _attention_to_known,
        "one direction": _recurrent_over_known,
    }
)
