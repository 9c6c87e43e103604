"""Ingest: the rows of a source become checked measurements and a ledger, out of core, in DuckDB.

Rules. An error of a whole file (a missing column, another encoding, a malformed row) stops the load. An error of one
row (no identifier, unreadable time, a value that is no number, an unknown variable or unit, a value outside the
plausible range) rejects that row; it is counted by reason with the place of the first. More than `max_rejected` of
such rows stop the load, and so does a variable that loses half of its values. A row without a value is a measurement
not made: it is counted, but no error. The order of rows does not matter, but for scores of which the last counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import NO_TIME, earliest_times
from clinicalgru.data.ingest.accepted_rows import coded_events, implausible_values, measurements
from clinicalgru.data.ingest.assign_stays import assign_stays
from clinicalgru.data.ingest.build_ledger import build_ledger
from clinicalgru.data.ingest.date_columns import resolve_date_columns
from clinicalgru.data.ingest.outcomes_table import join_outcomes
from clinicalgru.data.ingest.read_options import ReadOptions
from clinicalgru.data.ingest.rejected_rows import check_rejected
from clinicalgru.data.ingest.source import SourceResult
from clinicalgru.data.ingest.static_values import implausible_static
from clinicalgru.data.ingest.static_variables import add_static_rows, is_static_at_start, observations_table
from clinicalgru.data.ingest.stay_dates import stay_notes, without_sentinel_dates
from clinicalgru.data.ingest.time_format import resolve_time_format
from clinicalgru.data.ingest.unit_conversion import resolve_units
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import Ledger
from clinicalgru.data.sequences.memmap import MemoryMaps


@dataclass(frozen=True, eq=False)
class IngestResult:
    """The fields of `Events` that an ingest computes, under the same names, and the maps of its measurements.

    Attributes
    ----------
    measurements : pyarrow.Table
        stay, available and time (microseconds), variable, value; in canonical order, memory-mapped.
    coded : pyarrow.Table
        stay, available and time (microseconds), code.
    code_vocabulary : tuple of str
        The codes, as "variable//code".
    stays : DataFrame
        patient_id, stay_id, start, end (microseconds, may be missing), static covariates, outcomes.
    variables : tuple of Variable
        Variables that are measured, by name.
    static_variables : tuple of Variable
        Static covariates that occur.
    outcomes : tuple of str
        Outcome columns of `stays`.
    named_outcomes : tuple of str
        Those that the source or the user names as such.
    ledger : Ledger
        What happened to each row.
    has_dates : bool
        Whether times are dates; else they are hours since the start of the stay.
    implausible : pyarrow.Table
        Rejected values outside the plausible range: stay, time, variable (name), value.
    static_observations : pyarrow.Table
        Values of static covariates that occurred as rows: stay, available, time, variable, value.
    maps : MemoryMaps
        The memory maps of `measurements`.
    """

    measurements: pa.Table
    coded: pa.Table
    code_vocabulary: tuple[str, ...]
    stays: pd.DataFrame
    variables: tuple[Variable, ...]
    static_variables: tuple[Variable, ...]
    outcomes: tuple[str, ...]
    named_outcomes: tuple[str, ...]
    ledger: Ledger
    has_dates: bool
    implausible: pa.Table
    static_observations: pa.Table
    maps: MemoryMaps


def ingest(workspace: Workspace, result: SourceResult, options: ReadOptions) -> IngestResult:
    """Compute measurements, coded events, stays and ledger from the rows in the workspace.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with all rows of the source.
    result : SourceResult
        What the source knows besides its rows.
    options : ReadOptions
        The arguments of `read_events`.

    Returns
    -------
    IngestResult
        The fields of `Events`.

    Raises
    ------
    InputError
        If times are not of one format, or too many rows were rejected.
    """
    has_dates = resolve_time_format(workspace, result.clocks)
    result, date_notes = without_sentinel_dates(workspace, result, has_dates=has_dates)
    midnight_notes = resolve_date_columns(workspace) if has_dates else {}
    resolve_units(workspace, options.units)
    stays = assign_stays(workspace, result.stays, count_unmapped=result.count_unmapped)
    rejected_static = implausible_static(stays, result.implausible)
    facts, variables, maps, n_merged = measurements(workspace)
    coded, code_vocabulary, n_repeated = coded_events(workspace)
    at_start = is_static_at_start(maps.batches(facts), variables, result.static_from_start)
    at_start_rows = _named(facts.filter(at_start), variables)
    stays, observed, static_notes = add_static_rows(workspace, stays, at_start_rows, result.static_from_start)
    static_variables = tuple(variable for variable in workspace.variables if variable.static and variable.name in stays)
    earliest = earliest_times(chain(coded.to_batches(), maps.batches(facts)), len(stays))
    first = pd.Series(earliest, dtype="Int64").mask(earliest == NO_TIME)
    stays, outcomes, outcome_notes = _with_outcomes(stays, result.outcomes, first)
    without_series = len(stays) - _n_stays(maps.batches(facts), at_start)
    maps.release()
    notes = {
        **workspace.notes,
        **midnight_notes,
        **result.notes,
        **date_notes,
        **stay_notes(stays, first, has_dates=has_dates),
    }
    notes |= {**static_notes, **outcome_notes}
    notes |= {"stays": len(stays), "stays without a series": without_series}
    n_merged["exact repeats"] = n_merged.get("exact repeats", 0) + n_repeated
    ledger = _ledger(workspace, result, options, n_merged=n_merged, notes=notes)
    implausible = pa.concat_tables([implausible_values(workspace), rejected_static])
    return IngestResult(
        measurements=facts,
        coded=coded,
        code_vocabulary=code_vocabulary,
        stays=stays,
        variables=variables,
        static_variables=static_variables,
        outcomes=outcomes,
        named_outcomes=outcomes if result.named_outcomes is None else result.named_outcomes,
        ledger=ledger,
        has_dates=has_dates,
        implausible=implausible,
        static_observations=observations_table(observed, static_variables),
        maps=maps,
    )


def _ledger(
    workspace: Workspace,
    result: SourceResult,
    options: ReadOptions,
    *,
    n_merged: Mapping[str, int],
    notes: Mapping[str, int],
) -> Ledger:
    """The ledger; raises where too many rows were rejected."""
    ledger = build_ledger(workspace, n_merged=n_merged, units=options.units, notes=notes, labels=result.labels)
    lost = check_rejected(workspace, ledger, max_rejected=options.max_rejected, allow=options.allow)
    return replace(ledger, notes={**ledger.notes, **lost})


def _with_outcomes(
    stays: pd.DataFrame, outcomes: pd.DataFrame | None, first: pd.Series
) -> tuple[pd.DataFrame, tuple[str, ...], Mapping[str, int]]:
    """Stays with their outcomes, the names of the outcomes, and how many belong to no stay."""
    if outcomes is None:
        return stays, (), {}
    stays, notes = join_outcomes(stays, outcomes, first)
    return stays, tuple(outcomes.columns.difference(["patient_id", "stay_id"], sort=False)), notes


def _n_stays(batches: Iterable[pa.RecordBatch], at_start: pa.ChunkedArray) -> int:
    """How many stays have a measurement that is not only a static value."""
    pairs = zip(batches, at_start.chunks, strict=True)
    stays = [batch["stay"].filter(pc.invert(is_static)).unique() for batch, is_static in pairs]
    return len(pa.chunked_array(stays, pa.int32()).unique())


def _named(facts: pa.Table, variables: Sequence[Variable]) -> pd.DataFrame:
    """Measurements with the names of their variables."""
    names = np.array([variable.name for variable in variables], dtype=object)
    return facts.to_pandas().assign(variable=names[facts["variable"].to_numpy()])
