"""Raw tables of an extract with the prediction time of each stay, and which of their rows lie after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.checks import check_instance
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.simulate.simulate import SimulatedCohort
from clinicalgru.errors import ArgumentError, describe

Tables = dict[str, pd.DataFrame]
MEASUREMENTS, STAYS, OUTCOMES = "measurements", "stays", "outcomes"
IDENTIFIERS = ("stay_id", "patient_id")
TIMES = ("time", "available_at")
STAY_TIMES = ("start", "end")
FIX = 'Pass Events, a SimulatedCohort, or {"measurements": ..., "stays": ..., "outcomes": ...} as DataFrames.'


@dataclass(frozen=True, eq=False)
class RawTables:
    """Tables of an extract, and when the risk of each stay is due.

    Attributes
    ----------
    tables : dict of str to DataFrame
        Each with a column stay_id. "stays" has one row per stay; "outcomes" is optional.
    due : Series
        Prediction time by stay_id: a date, or hours as the times of the tables.
    known_at_start : frozenset of str
        Tables without times whose rows are known from the start.
    known_later : frozenset of str
        Columns of "stays" that are known only after the prediction time.
    simulated : bool
        Whether the patients are synthetic.
    """

    tables: Tables
    due: pd.Series
    known_at_start: frozenset[str] = frozenset()
    known_later: frozenset[str] = frozenset()
    simulated: bool = False

    def of_stays(self, stay_ids: Collection[Any]) -> RawTables:
        """Keep some of the stays.

        Parameters
        ----------
        stay_ids : collection
            Their stay_id.

        Returns
        -------
        RawTables
        """
        tables = {
            name: table[table["stay_id"].isin(stay_ids)].reset_index(drop=True) for name, table in self.tables.items()
        }
        return replace(self, tables=tables, due=self.due[self.due.index.isin(stay_ids)])

    def row_tables(self) -> list[str]:
        """Give the names of the tables with several rows per stay.

        Returns
        -------
        list of str
        """
        return [name for name in self.tables if name not in (STAYS, OUTCOMES)]

    def is_later(self, name: str) -> np.ndarray:
        """Find the rows of a table that were not known at the prediction time.

        Parameters
        ----------
        name : str
            Name of a table of rows.

        Returns
        -------
        ndarray of bool, shape (row,)
            Rows known after it, and rows without a time: nothing says that these were known.
        """
        table = self.tables[name]
        if name in self.known_at_start:
            return np.zeros(len(table), dtype=bool)
        times = [column for column in TIMES if column in table]
        if not times:
            return np.ones(len(table), dtype=bool)
        due = table["stay_id"].map(self.due)
        known = table[times].max(axis=1) <= due
        return ~known.to_numpy(dtype=bool)


def raw_tables(data: Any) -> Tables:
    """Give the tables of an extract, with parsed times and identifiers as text.

    Parameters
    ----------
    data : Events, SimulatedCohort or mapping of str to DataFrame
        The extract.

    Returns
    -------
    dict of str to DataFrame

    Raises
    ------
    ArgumentError
        If a table is missing, has no stay_id, or its times cannot be read.
    """
    if isinstance(data, Events):
        return _tables_of_events(data)
    if isinstance(data, SimulatedCohort):
        tables = {name: getattr(data, name) for name in (MEASUREMENTS, STAYS, OUTCOMES)}
    elif isinstance(data, Mapping):
        tables = dict(data)
    else:
        raise ArgumentError("an extract as tables", describe(data), FIX, where="data")
    if STAYS not in tables:
        raise ArgumentError("a table of stays", f"tables {', '.join(map(str, tables)) or 'none'}", FIX, where="data")
    return {str(name): _prepared(str(name), table) for name, table in tables.items()}


def _prepared(name: str, table: Any) -> pd.DataFrame:
    check_instance(f"table {name}", table, pd.DataFrame, fix=FIX)
    if "stay_id" not in table:
        raise ArgumentError("a column stay_id", f"{len(table.columns)} other columns", FIX, where=f"table {name}")
    table = table.reset_index(drop=True).copy()
    for column in IDENTIFIERS:
        if column in table:
            table[column] = table[column].astype(str)
    if name == STAYS and table["stay_id"].duplicated().any():
        raise ArgumentError("one row for each stay_id", "several", "Keep one row per stay.", where="table stays")
    for column in (*TIMES, *STAY_TIMES):
        if column in table and not (
            pd.api.types.is_numeric_dtype(table[column]) or pd.api.types.is_datetime64_any_dtype(table[column])
        ):
            try:
                table[column] = pd.to_datetime(table[column])
            except (ValueError, TypeError):
                fix = "Pass dates, or numbers of hours."
                raise ArgumentError("times", "other text", fix, where=f"table {name}, column {column}") from None
    return table


def _tables_of_events(events: Events) -> Tables:
    """The canonical rows of an extract as raw tables; categories by their names, times as dates or hours."""
    stays = pd.DataFrame({"patient_id": events.stays["patient_id"], "stay_id": stay_names(events)}).astype(str)
    rows = [_measured(events, stays), _coded(events, stays), _static_rows(events, stays)]
    for column in STAY_TIMES:
        stays[column] = _times(events, events.stays[column])
    for variable in events.static_variables:
        stays[variable.name] = _named(variable, events.stays[variable.name].astype(float))
    observed = events.static_observations
    for number in np.unique(observed["variable"].to_numpy()):
        charted = observed["stay"].to_numpy()[observed["variable"].to_numpy() == number]
        stays.loc[np.unique(charted), events.static_variables[number].name] = None
    outcomes = stays[list(IDENTIFIERS)].assign(**{name: events.stays[name] for name in events.outcomes})
    measurements = (
        pd.concat([part for part in rows if len(part)], ignore_index=True) if any(map(len, rows)) else rows[0]
    )
    return {MEASUREMENTS: measurements, STAYS: stays} | ({OUTCOMES: outcomes} if events.outcomes else {})


def stay_names(events: Events) -> pd.Series:
    """Give a name for each stay of an extract that no other stay has.

    Parameters
    ----------
    events : Events
        The extract.

    Returns
    -------
    Series of str
        The stay_id, with the patient_id before it where patients share one.
    """
    names = events.stays["stay_id"].astype(str)
    return names if names.is_unique else events.stays["patient_id"].astype(str) + "/" + names


def names_of(stays: Sequences, names: pd.Series) -> list[str]:
    """Give the names that `stay_names` gives, of selected stays.

    Parameters
    ----------
    stays : Sequences
        Some of the stays.
    names : Series of str
        What `stay_names` gave for their extract.

    Returns
    -------
    list of str
        One per stay.
    """
    by_patient = [f"{patient}/{stay}" for patient, stay in zip(stays.patient, stays.stay, strict=True)]
    return by_patient if names.isin(by_patient).any() else [str(stay) for stay in stays.stay]


def _measured(events: Events, stays: pd.DataFrame) -> pd.DataFrame:
    table = events.to_frame()
    stay = events.measurements["stay"].to_numpy()
    for column in TIMES:
        source = "time" if column == "time" else "available"
        table[column] = _times(events, pd.Series(events.measurements[source].to_numpy()))
    return table.assign(stay_id=stays["stay_id"].to_numpy()[stay], code=None)


def _coded(events: Events, stays: pd.DataFrame) -> pd.DataFrame:
    coded = events.coded.to_pandas()
    names = pd.Series(events.code_vocabulary, dtype=object).str.split("//", n=1)
    variable, code = (names.str[part].to_numpy()[coded["code"]] if len(coded) else [] for part in (0, 1))
    return _rows(events, stays, coded).assign(variable=variable, code=code, value=np.nan, unit=None)


def _static_rows(events: Events, stays: pd.DataFrame) -> pd.DataFrame:
    rows = events.static_observations.to_pandas()
    table = _rows(events, stays, rows).assign(variable="", value=rows["value"].astype(object), unit=None, code=None)
    for number, part in rows.groupby("variable").groups.items():
        variable = events.static_variables[number]
        table.loc[part, "variable"], table.loc[part, "unit"] = variable.name, variable.unit
        table.loc[part, "value"] = _named(variable, rows.loc[part, "value"])
    return table


def _rows(events: Events, stays: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    times = {"time": _times(events, rows["time"]), "available_at": _times(events, rows["available"])}
    return stays[list(IDENTIFIERS)].iloc[rows["stay"]].reset_index(drop=True).assign(**times)


def _named(variable: Variable, values: pd.Series) -> pd.Series:
    """Values of a static variable as an extract writes them."""
    if not variable.categories:
        return values.astype(object).where(values.notna(), None)
    return values.map(dict(enumerate(variable.categories))).astype(object).where(values.notna(), None)


def _times(events: Events, microseconds: pd.Series) -> pd.Series:
    """Times of an extract as dates, or as hours where it has none."""
    if not events.has_dates:
        return microseconds.astype("Float64").astype(float) / HOUR
    number = microseconds.astype("Int64")
    dates = number.fillna(0).to_numpy(dtype=np.int64).view("datetime64[us]")
    return pd.Series(dates, index=microseconds.index).mask(number.isna())
