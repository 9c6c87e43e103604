"""The outcomes table that may accompany an extract: labels of its stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import HOUR
from clinicalgru.data.ingest.column_names import IDENTIFIERS, OUTCOMES, columns_of, normalize
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.static_values import TRUTH_WORDS
from clinicalgru.data.ingest.table_cells import TableCells, check_once, read_cells
from clinicalgru.data.ingest.table_times import TIMES, Clock, read_dates
from clinicalgru.data.ingest.time_sql import TIME_UNITS
from clinicalgru.errors import InputError

BINARY_WORDS = {**TRUTH_WORDS, "t": "1", "f": "0", "1": "1", "0": "0", "1.0": "1", "0.0": "0"}
MAX_CLASSES = 50  # different values of an outcome that is text


@dataclass(frozen=True, eq=False)
class OutcomesTable:
    """An outcomes table after reading.

    Attributes
    ----------
    frame : DataFrame
        stay_id (and patient_id), then one column per outcome: a float where NaN = not recorded, or Int64 microseconds
        for the time of an outcome that is written as a date, or categories of a named outcome that is text.
    named : tuple of str
        The outcomes that `outcomes_columns` names.
    columns : list of str
        All columns of the table, as it names them.
    notes : mapping of str to int
        Columns that are not used, with how many of their cells hold something.
    clocks : tuple of Clock
        The kinds of its times.
    """

    frame: pd.DataFrame
    named: tuple[str, ...]
    columns: list[str]
    notes: Mapping[str, int] = field(default_factory=dict)
    clocks: tuple[Clock, ...] = ()


def read_outcomes(
    options: ReadOptions, dictionary: Dictionary, *, static: Mapping[str, str] | None = None
) -> OutcomesTable:
    """Read the outcomes table of `read_events`.

    Parameters
    ----------
    options : ReadOptions
        The arguments of `read_events`; `outcomes` is the table.
    dictionary : Dictionary
        Data dictionary: its static variables are no outcomes, unless `outcomes_columns` names them.
    static : mapping of str to str, optional
        Column in lower case -> the static variable that it is; None: those of the dictionary, under their own names.

    Returns
    -------
    OutcomesTable
        The outcomes, and the columns that are not used.

    Raises
    ------
    InputError
        If a named outcome is missing, is text of too many values, or mixes text and numbers; or if a stay occurs
        twice or has no identifier.
    """
    cells = read_cells(
        options.outcomes,
        columns_of(options.columns, OUTCOMES),
        name=OUTCOMES,
        keys=("stay_id",),
        times=options.times,
        text_format=options.text_format,
        time_columns=(),
    )
    static = {normalize(name): name for name in dictionary if dictionary[name].static} if static is None else static
    named = _named(options, cells)
    mapped = {*named, *columns_of(options.columns, OUTCOMES)}  # a column that is mapped is meant, text or not
    frame = cells.frame[[name for name in IDENTIFIERS if name in cells.frame]].copy()
    notes = dict(cells.notes)
    clocks: list[Clock] = []
    for column in cells.frame.columns.difference([*IDENTIFIERS], sort=False):
        is_unknown = options.missing.is_missing(cells.frame[column], column, cells.written[column])
        text = cells.frame[column].mask(is_unknown)
        is_outcome = column in named if options.outcomes_columns is not None else _may_be_outcome(column, static)
        values = _outcome(text, column, options, clocks, notes, is_named=column in mapped) if is_outcome else None
        if values is None:
            notes[f"column not used: {cells.written.get(column, column)} (outcomes)"] = int(text.notna().sum())
        else:
            frame[column] = values
    check_once(frame, [name for name in IDENTIFIERS if name in frame], OUTCOMES)
    return OutcomesTable(frame.reset_index(drop=True), named, list(cells.written.values()), notes, tuple(clocks))


def _may_be_outcome(column: str, static: Mapping[str, str]) -> bool:
    """Whether a column is neither a static variable nor a time of the stays table."""
    return normalize(column) not in static and column not in TIMES


def _named(options: ReadOptions, cells: TableCells) -> tuple[str, ...]:
    """The outcomes that `outcomes_columns` names, as the table spells them."""
    if options.outcomes_columns is None:
        return ()
    have = {normalize(column): column for column in map(str, cells.frame)}
    absent = [name for name in options.outcomes_columns if normalize(name) not in have]
    if absent:
        got, fix = f"columns {', '.join(map(str, cells.frame))}", "Correct outcomes_columns=."
        raise InputError(f"the columns {', '.join(absent)}", got, fix, where=OUTCOMES)
    reserved = [have[normalize(name)] for name in options.outcomes_columns if have[normalize(name)] in TIMES]
    if reserved:
        fix = f"Name it otherwise: columns={{'outcomes': {{'{reserved[0]}_time': '{reserved[0]}'}}}}."
        raise InputError("outcomes of other names", f"{reserved[0]}, a column of the stays", fix, where=OUTCOMES)
    return tuple(have[normalize(name)] for name in options.outcomes_columns)


def _outcome(
    text: pd.Series,
    column: str,
    options: ReadOptions,
    clocks: list[Clock],
    notes: dict[str, int],
    *,
    is_named: bool,
) -> pd.Series | None:
    """The values of an outcome; None where the column is text throughout, or blank, and nobody named it."""
    if options.outcomes_columns is None and text.isna().all():
        return _as_outcome(text, column)
    is_number = pd.to_numeric(text, errors="coerce").notna()
    words = text.str.casefold()
    if (words.isin(BINARY_WORDS) | text.isna()).all():
        return words.map(BINARY_WORDS).astype(float)
    if not is_number.any() and (dates := read_dates(text, options.times)) is not None:
        instants, clock, undetermined = dates
        clocks.append(replace(clock, where=f"{OUTCOMES}, {clock.where}, column {column}"))
        notes |= {f"{column} (outcomes) is {kind}, taken as unknown": n for kind, n in undetermined.items()}
        return instants
    if is_named and not is_number.any():  # codes such as A, E and N are no yes and no
        return _as_categories(text, column)
    if not (is_number | words.isin(BINARY_WORDS)).any():
        return None
    return _as_outcome(text, column) * float(TIME_UNITS.get(options.units.get(column, ""), 1))


def _as_categories(text: pd.Series, column: str) -> pd.Series:
    """A named outcome that is text throughout, as categories; free text has too many values for one."""
    categories = text.astype("category")
    n_values = len(categories.cat.categories)
    if n_values > MAX_CLASSES:
        fix = "Write 1 and 0, or yes and no, or one name for each class."
        got = f"text of {n_values:,} different values"
        raise InputError(f"numbers, or at most {MAX_CLASSES} classes", got, fix, where=f"{OUTCOMES}, column {column}")
    return categories


def _as_outcome(text: pd.Series, column: str) -> pd.Series:
    """Read the cells of an outcome as numbers."""
    number = pd.to_numeric(text, errors="coerce").astype(float)
    number = number.mask(np.isinf(number))
    is_text = number.isna() & text.notna()
    if is_text.any():
        fix = "Write 1 and 0, or yes and no; or name the columns that are outcomes with outcomes_columns=."
        where = f"{OUTCOMES}, {text.index[is_text][0]}, column {column}"
        raise InputError("a number, or blank where not recorded", "text that is no number", fix, where=where)
    return number


def read_published_outcomes(
    data: object, *, keys: Mapping[str, str], renamed: Mapping[str, str], missing: tuple[float, ...] = ()
) -> pd.DataFrame:
    """Read the outcomes table of a publisher.

    Parameters
    ----------
    data : path, DataFrame or Arrow table
        The table; blank = not recorded.
    keys : mapping of str to str
        Our name of an identifier -> the table's.
    renamed : mapping of str to str
        The table's outcome -> our name; other columns are left out. Empty: all columns under their own names.
    missing : tuple of float
        Numbers that mean "not recorded".

    Returns
    -------
    DataFrame
        stay_id, patient_id where given, one column of floats per outcome; NaN = not recorded.

    Raises
    ------
    InputError
        If an outcome is text, or a stay occurs twice or has no identifier.
    """
    cells = read_cells(data, keys, name=OUTCOMES, keys=("stay_id",), time_columns=()).frame
    outcomes = cells[[name for name in IDENTIFIERS if name in cells]].copy()
    for column in cells.columns.difference([*IDENTIFIERS, *TIMES], sort=False):
        if not renamed or column in renamed:
            number = _as_outcome(cells[column], column)
            outcomes[renamed.get(column, column)] = number.mask(number.isin(missing))
    check_once(outcomes, [name for name in IDENTIFIERS if name in outcomes], OUTCOMES)
    return outcomes.reset_index(drop=True)


def join_outcomes(stays: pd.DataFrame, outcomes: pd.DataFrame, first: pd.Series) -> tuple[pd.DataFrame, dict[str, int]]:
    """Join the stays with their outcomes.

    Parameters
    ----------
    stays : DataFrame
        The stays: patient_id, stay_id, start.
    outcomes : DataFrame
        stay_id, patient_id where given, one column per outcome; Int64 columns are dates in microseconds.
    first : Series of Int64
        Time of the first row of each stay, from which its hours count where no start is known.

    Returns
    -------
    joined : DataFrame
        The stays with columns of outcomes; NaN where a stay has none. A date becomes hours since the start.
    notes : dict of str to int
        How many rows of outcomes belong to no stay of the extract.

    Raises
    ------
    InputError
        If the outcomes lack patient_id and several patients share a stay_id, none of them belongs to a stay, or one has
        the name of a static variable.
    """
    keys = [name for name in IDENTIFIERS if name in outcomes]
    if keys == ["stay_id"] and stays["stay_id"].duplicated().any():
        got = "stay_id only, which several patients share"
        raise InputError("patient_id in the outcomes", got, "Add patient_id.", where=OUTCOMES)
    twice = sorted(set(map(str, outcomes)) & set(map(str, stays)) - set(keys))
    if twice:
        got = f"{twice[0]}, which is a static variable of the stays too"
        raise InputError("outcomes of other names", got, "Rename it in one of the tables.", where=OUTCOMES)
    joined = stays.merge(outcomes, on=keys, how="left", indicator=True)
    n_matched = int(joined.pop("_merge").eq("both").sum())
    if len(outcomes) and len(stays) and not n_matched:
        got = f"{len(outcomes):,} outcomes of other stays"
        fix = "Write identifiers as in the rows: 11 and 11.0, or 7 and 007, are two."
        if len(keys) == 2 and outcomes["stay_id"].isin(stays["stay_id"]).any():
            got = f"{len(outcomes):,} outcomes of stays with other patients"
            fix = "Name the columns of each table: columns={'stays': {'patient_id': ...}, 'outcomes': {...}}."
        raise InputError("outcomes of stays of the extract", got, fix, where=OUTCOMES)
    origin = joined["start"].astype("Int64").fillna(first.set_axis(joined.index))
    for name in outcomes.columns.difference(keys):
        if str(outcomes[name].dtype) == "Int64":
            joined[name] = ((joined[name] - origin).astype("Float64") / HOUR).astype(float)
    return joined, {"outcomes of no stay of the extract": len(outcomes) - n_matched}
