"""Changes of what was not known at the prediction time: no risk may notice any of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.leakage.raw_tables import IDENTIFIERS, OUTCOMES, STAY_TIMES, STAYS, TIMES, RawTables, Tables

MAX_APPENDED = 20  # rows of each stay that are copied behind the prediction time
CODE = "code"  # of a diagnosis, drug or procedure
LATER_HOURS = 0.5, 48.0  # how long after it


class NotTried(Exception):
    """A perturbation that these tables do not allow; the text says why."""


@dataclass(frozen=True, eq=False)
class Changed:
    """Tables after a perturbation.

    Attributes
    ----------
    tables : dict of str to DataFrame
        The tables that must give the same risks.
    n_rows : int
        How many rows were changed.
    compared_with : dict of str to DataFrame, optional
        The tables whose risks they must equal; None: those of the extract.
    """

    tables: Tables
    n_rows: int
    compared_with: Tables | None = None


def _later_rows_deleted(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Delete all rows that were not known at the prediction time."""
    return _at_later_rows(raw, lambda table, later: table[~later].reset_index(drop=True))


def _later_values_corrupted(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Change the values and codes of all rows that were not known at the prediction time."""
    return _at_later_rows(raw, lambda table, later: _corrupted(table, later, rng))


def _later_values_shuffled(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Exchange values between the later rows of a variable, of all stays."""
    return _at_later_rows(raw, lambda table, later: _shuffled(table, later, rng))


def _later_times_moved(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Move all rows that were not known at the prediction time to other, still later times."""

    def moved(table: pd.DataFrame, later: np.ndarray) -> pd.DataFrame:
        times = [column for column in TIMES if column in table]
        if not times:
            return table[~later]
        return _at(table, later, raw, rng)

    return _at_later_rows(raw, moved)


def _later_rows_appended(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Append rows after the prediction time: copies of known rows with other values."""
    tables, changed = dict(raw.tables), 0
    for name in _with_times(raw):
        table = raw.tables[name]
        known = table[~raw.is_later(name)].sample(frac=1, random_state=int(rng.integers(2**31)))
        copies = known.groupby("stay_id").head(MAX_APPENDED).reset_index(drop=True)
        every = np.ones(len(copies), dtype=bool)
        copies = _at(_corrupted(copies, every, rng), every, raw, rng)
        tables[name], changed = pd.concat([table, copies], ignore_index=True), changed + len(copies)
    return Changed(tables, changed)


def _later_descriptors(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Chart other values of the descriptors of a stay (age, weight) after the prediction time."""
    stays = raw.tables[STAYS].drop(columns=[*IDENTIFIERS, *STAY_TIMES, *raw.known_later], errors="ignore")
    numbers = numeric_columns(stays)
    names = [name for name in _with_times(raw) if {"variable", "value"} <= {*raw.tables[name]}]
    if not numbers or not names:
        raise NotTried("no descriptors, or no table with time, variable and value")
    table = raw.tables[names[0]]
    long = stays[numbers].apply(pd.to_numeric, errors="coerce").melt(var_name="variable", ignore_index=False).dropna()
    long["value"] = rng.permutation(long["value"].to_numpy())
    identity = raw.tables[STAYS][[name for name in IDENTIFIERS if name in raw.tables[STAYS]]]
    rows = identity.loc[long.index].reset_index(drop=True).assign(**long.reset_index(drop=True))
    rows = _at(rows.reindex(columns=table.columns), np.ones(len(rows), dtype=bool), raw, rng)
    return Changed(raw.tables | {names[0]: _joined(table, rows)}, len(rows))


def _available_later(raw: RawTables, rng: np.random.Generator, *, odd: bool = False) -> Changed:
    """Let known rows become available only after the prediction time: as if they were not there."""
    names = [name for name in raw.row_tables() if "available_at" in raw.tables[name]]
    if not names:
        raise NotTried("no column available_at")
    moved, without, changed = dict(raw.tables), dict(raw.tables), 0
    for name in names:
        table = raw.tables[name]
        variable = pd.factorize(table["variable"])[0] if "variable" in table else np.arange(len(table))
        half = (pd.factorize(table["stay_id"])[0] + variable) % 2 == int(odd)
        chosen = ~raw.is_later(name) & half
        moved[name] = _at(table, chosen, raw, rng, columns=("available_at",))
        without[name], changed = table[~chosen].reset_index(drop=True), changed + int(chosen.sum())
    return Changed(moved, changed, compared_with=without)


def _ends_moved(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Move every time of the stays table that lies after the prediction time."""
    return _at_stay_times(raw, lambda due: due + _later(due, rng))


def _ends_removed(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Remove every time of the stays table that lies after the prediction time: at that time nobody knows it."""
    return _at_stay_times(raw, lambda due: due.mask(due.notna()))


def _later_columns_shuffled(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Exchange, between stays, the columns of the stays table that are known later."""
    if not raw.known_later:
        raise NotTried("no column of the stays table named in known_later")
    stays = raw.tables[STAYS].copy()
    for column in sorted(raw.known_later):
        stays[column] = stays[column].to_numpy()[_derangement(len(stays), rng)]
    return Changed(raw.tables | {STAYS: stays}, len(stays))


def _outcomes_flipped(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Turn outcomes of 0 and 1 around, and exchange other ones between stays."""
    return _at_outcomes(raw, lambda values: _other_outcomes(values, rng))


def _outcomes_removed(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Make every outcome unknown."""
    return _at_outcomes(raw, lambda values: values.mask(values.notna()))


def _other_stays_removed(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Remove every second stay: the risks of the others may not notice."""
    kept = raw.of_stays(list(raw.due.index[::2]))
    return Changed(kept.tables, len(raw.due) - len(kept.due))


def _other_stays_corrupted(raw: RawTables, rng: np.random.Generator) -> Changed:
    """Change all values of every second stay: the risks of the others may not notice."""
    return stays_corrupted(raw, raw.due.index[1::2], rng)


def stays_corrupted(raw: RawTables, stay_ids: Collection[Any], rng: np.random.Generator) -> Changed:
    """Change all values of some stays, and flip their outcomes.

    Parameters
    ----------
    raw : RawTables
        The extract.
    stay_ids : collection
        The stays.
    rng : Generator
        Source of the values.

    Returns
    -------
    Changed
    """
    tables, changed = dict(raw.tables), 0
    for name in raw.row_tables():
        chosen = raw.tables[name]["stay_id"].isin(stay_ids).to_numpy()
        tables[name], changed = _corrupted(raw.tables[name], chosen, rng), changed + int(chosen.sum())
    if OUTCOMES in tables:
        others, flipped = ~tables[OUTCOMES]["stay_id"].isin(stay_ids), _outcomes_flipped(raw, rng).tables[OUTCOMES]
        tables[OUTCOMES] = tables[OUTCOMES].where(others, flipped)
    return Changed(tables, changed)


PERTURBATIONS: Mapping[str, Callable[[RawTables, np.random.Generator], Changed]] = MappingProxyType(
    {
        "later rows deleted": _later_rows_deleted,
        "later values corrupted": _later_values_corrupted,
        "later values shuffled": _later_values_shuffled,
        "later rows moved in time": _later_times_moved,
        "later rows appended": _later_rows_appended,
        "static covariates charted later": _later_descriptors,
        "rows available later": _available_later,
        "other rows available later": partial(_available_later, odd=True),
        "later times of stays moved": _ends_moved,
        "later times of stays removed": _ends_removed,
        "later columns exchanged": _later_columns_shuffled,
        "outcomes flipped": _outcomes_flipped,
        "outcomes removed": _outcomes_removed,
    }
)
OF_OTHERS: Mapping[str, Callable[[RawTables, np.random.Generator], Changed]] = MappingProxyType(
    {"other stays removed": _other_stays_removed, "other stays corrupted": _other_stays_corrupted}
)  # compared on the other half


def _at_later_rows(raw: RawTables, change: Callable[[pd.DataFrame, np.ndarray], pd.DataFrame]) -> Changed:
    tables, changed = dict(raw.tables), 0
    for name in raw.row_tables():
        later = raw.is_later(name)
        if later.any():
            tables[name], changed = change(raw.tables[name], later), changed + int(later.sum())
    if not changed:
        raise NotTried("no row is later than the prediction time")
    return Changed(tables, changed)


def _with_times(raw: RawTables) -> list[str]:
    names = [name for name in raw.row_tables() if "time" in raw.tables[name] and name not in raw.known_at_start]
    if not names:
        raise NotTried("no table with a column time")
    return names


def numeric_columns(table: pd.DataFrame) -> list[str]:
    """Find the columns that hold numbers only, as numbers or as text, other than true and false.

    Parameters
    ----------
    table : DataFrame
        Any table.

    Returns
    -------
    list of str
        Their names.
    """
    kinds = {name: pd.to_numeric(table[name], errors="coerce") for name in table if table[name].dtype != bool}
    dates = {name for name in table if pd.api.types.is_datetime64_any_dtype(table[name])}
    return [
        str(name)
        for name, numbers in kinds.items()
        if name not in dates and numbers.notna().any() and bool((numbers.notna() == table[name].notna()).all())
    ]


def _values(table: pd.DataFrame) -> list[str]:
    """Columns that are neither identifiers, times, names of variables nor units."""
    fixed = {*IDENTIFIERS, *TIMES, *STAY_TIMES, "variable", "unit"}
    return [str(name) for name in table if name not in fixed]


def _corrupted(table: pd.DataFrame, chosen: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Numbers moved by about two standard deviations of their variable; text exchanged between the chosen rows."""
    table = table.copy()
    for column in _values(table):
        number = pd.to_numeric(table[column], errors="coerce")
        text = table[column].notna() & number.isna()
        if column == CODE or number.isna().all():  # codes of digits only, such as of ICD-9, are no numbers
            written = chosen & table[column].notna()
            table.loc[written, column] = rng.permutation(table.loc[written, column].to_numpy(dtype=object, copy=True))
            continue
        groups = number.groupby(table["variable"]) if "variable" in table else number.groupby(np.zeros(len(number)))
        spread = groups.transform("std").fillna(1).replace(0, 1)
        sign = np.where(rng.random(len(table)) < 0.5, -1, 1)
        moved = number + sign * spread * rng.uniform(1, 3, len(table))
        moved = moved.where(chosen & number.notna(), number)
        if text.any():  # a column of numbers and words is written as text
            moved = moved.astype(object).where(~text, table[column]).map(str, na_action="ignore")
        table[column] = moved
    return table


def _shuffled(table: pd.DataFrame, chosen: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """The values of the chosen rows in another order, within each variable."""
    table, rows = table.copy(), np.flatnonzero(chosen)
    variable = pd.factorize(table["variable"])[0] if "variable" in table else np.zeros(len(table), dtype=int)
    ordered = rows[np.argsort(variable[rows], kind="stable")]
    random = rows[np.lexsort((rng.random(len(rows)), variable[rows]))]
    for column in _values(table):
        values = table[column].to_numpy(copy=True)
        values[ordered] = values[random]
        table[column] = pd.Series(values, index=table.index).astype(table[column].dtype)
    return table


def _at(
    table: pd.DataFrame,
    chosen: np.ndarray,
    raw: RawTables,
    rng: np.random.Generator,
    *,
    columns: tuple[str, ...] = TIMES,
) -> pd.DataFrame:
    """The chosen rows at times after the prediction time."""
    table = table.copy()
    due = table["stay_id"].map(raw.due)
    later = due + _later(due, rng)
    for column in columns:
        if column in table:
            table[column] = later.where(chosen, table[column]).astype(later.dtype)
    return table


def _later(due: pd.Series, rng: np.random.Generator) -> pd.Series:
    """Random times to add to prediction times: whole minutes."""
    minutes = pd.Series(np.round(rng.uniform(60 * LATER_HOURS[0], 60 * LATER_HOURS[1], len(due))), index=due.index)
    return minutes / 60 if pd.api.types.is_numeric_dtype(due) else pd.to_timedelta(minutes, unit="min")


def _joined(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows below a table; columns that they leave empty keep their type."""
    return pd.concat([table, rows.dropna(axis=1, how="all")], ignore_index=True)


def _at_stay_times(raw: RawTables, change: Callable[[pd.Series], pd.Series]) -> Changed:
    stays = raw.tables[STAYS].copy()
    due, changed = stays["stay_id"].map(raw.due), 0
    numeric = pd.api.types.is_numeric_dtype(due)
    for column in stays.columns.difference([*IDENTIFIERS, "start"]):
        is_time = column == "end" if numeric else pd.api.types.is_datetime64_any_dtype(stays[column])
        if is_time:
            later = (stays[column] > due).to_numpy(dtype=bool)
            stays[column] = change(due).astype(stays[column].dtype).where(later, stays[column])
            changed += int(later.sum())
    if not changed:
        raise NotTried("no time of the stays table is later than the prediction time")
    return Changed(raw.tables | {STAYS: stays}, changed)


def _at_outcomes(raw: RawTables, change: Callable[[pd.Series], pd.Series]) -> Changed:
    if OUTCOMES not in raw.tables:
        raise NotTried("no table of outcomes")
    outcomes = raw.tables[OUTCOMES].copy()
    for column in outcomes.columns.difference(list(IDENTIFIERS)):
        outcomes[column] = change(outcomes[column])
    return Changed(raw.tables | {OUTCOMES: outcomes}, len(outcomes))


def _other_outcomes(values: pd.Series, rng: np.random.Generator) -> pd.Series:
    number = pd.to_numeric(values, errors="coerce")
    if number.notna().any() and number.dropna().isin([0, 1]).all():
        return 1 - number
    return pd.Series(values.to_numpy()[_derangement(len(values), rng)], index=values.index).astype(values.dtype)


def _derangement(size: int, rng: np.random.Generator) -> np.ndarray:
    """Positions in an order in which none stands in its own place."""
    return np.roll(np.arange(size), int(rng.integers(1, max(2, size))))
