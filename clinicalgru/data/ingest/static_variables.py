"""Static variables that occur as rows, joined with those of the stays table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import STATIC_OBSERVATIONS
from clinicalgru.data.ingest.accepted_rows import static_rows
from clinicalgru.data.ingest.static_values import static_values
from clinicalgru.data.ingest.workspace import Workspace


def is_static_at_start(
    facts: Iterable[pa.RecordBatch], variables: Sequence[Variable], names: Mapping[str, str]
) -> pa.ChunkedArray:
    """Mark the measurements at hour 0 that are also static values.

    Parameters
    ----------
    facts : iterable of pyarrow.RecordBatch
        Measurements: time (microseconds), variable (position in `variables`).
    variables : sequence of Variable
        The variables.
    names : mapping of str to str
        Series variable -> static variable.

    Returns
    -------
    pyarrow.ChunkedArray of bool
        True for such a measurement.
    """
    positions = pa.array([i for i, variable in enumerate(variables) if variable.name in names], pa.int16())
    masks = [pc.and_(pc.equal(batch["time"], 0), pc.is_in(batch["variable"], positions)) for batch in facts]
    return pa.chunked_array(masks, pa.bool_())


def add_static_rows(
    workspace: Workspace, stays: pd.DataFrame, at_start: pd.DataFrame, names: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Add the static values that occurred as rows to the stays.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with stays and units resolved.
    stays : DataFrame
        The stays in canonical order; gets a column for each static variable.
    at_start : DataFrame
        Measurements at hour 0 that are also static values: stay, available, time, variable (name), value.
    names : mapping of str to str
        Series variable -> static variable.

    Returns
    -------
    stays : DataFrame
        The stays, with the last value of each variable.
    observations : DataFrame
        The values that changed what was known of a stay: stay, available, time, variable (name), value.
    notes : dict of str to int
        In how many stays the values contradict each other, and how many were not used.

    Notes
    -----
    Of several known values the last by time of measurement is used. Values of the stays table are known from the start,
    and take precedence over rows.
    """
    rows = pd.concat([static_rows(workspace), _rows_at_start(workspace, at_start, names)], ignore_index=True)
    notes: dict[str, int] = {}
    observations = [pd.DataFrame(columns=["stay", "available", "time", "variable", "value"])]
    for position in sorted(set(rows["variable"].astype(int))):
        variable, group = workspace.variables[position], rows[rows["variable"] == position]
        if variable.top_coded:
            notes[f"{variable.top_coded.note(variable.name)}, in rows"] = int(group["is_top_coded"].sum())
        values, n_unusable = _static_values(variable, group["value"])
        group = group.assign(value=values, variable=variable.name).dropna(subset="value")
        several = group.groupby("stay")["value"].nunique() > 1
        notes[f"static values not used: {variable.name}"] = n_unusable
        notes[f"stays with several values of {variable.name} (the last known is used)"] = int(several.sum())
        known = _known_values(group)
        last = known.groupby("stay")["value"].last().reindex(range(len(stays)))
        if variable.name in stays:
            in_table = stays[variable.name].notna()
            differs = in_table & last.notna() & (stays[variable.name] != last)
            notes[f"stays with another {variable.name} in the stays table (which is used)"] = int(differs.sum())
            known = known[~in_table.to_numpy()[known["stay"]]]
            last = stays[variable.name].fillna(last)
        stays[variable.name] = last
        observations.append(known)
    used = [table for table in observations if len(table)] or observations[:1]
    return stays, pd.concat(used, ignore_index=True), {name: count for name, count in notes.items() if count}


def observations_table(observations: pd.DataFrame, static_variables: Sequence[Variable]) -> pa.Table:
    """Convert static observations to the table that `Events` has.

    Parameters
    ----------
    observations : DataFrame
        stay, available, time, variable (name), value.
    static_variables : sequence of Variable
        The static variables.

    Returns
    -------
    pyarrow.Table
        The same rows sorted, with the variable as its position.
    """
    names = [variable.name for variable in static_variables]
    numbered = observations.assign(variable=pd.Categorical(observations["variable"], categories=names).codes)
    ordered = numbered.sort_values(["stay", "available", "time", "variable"])
    return pa.table({field.name: pa.array(ordered[field.name], field.type) for field in STATIC_OBSERVATIONS})


def _static_values(variable: Variable, values: pd.Series) -> tuple[np.ndarray, int]:
    """Values as `static_values` gives them, and how many are unusable; each distinct value is converted once."""
    codes, distinct = pd.factorize(values)
    text = pd.Series(distinct).map("{:.12g}".format) if variable.categories else pd.Series(distinct).astype(str)
    converted = static_values(variable, text)[0].to_numpy()[codes]
    return converted, int(np.isnan(converted).sum())


def _known_values(rows: pd.DataFrame) -> pd.DataFrame:
    """The values of one variable that changed what was known of a stay, in order of availability."""
    rows = rows.sort_values(["stay", "available", "time", "value"])
    rows = rows[rows["time"] == rows.groupby("stay")["time"].cummax()]  # else a later measurement was known already
    rows = rows.drop_duplicates(["stay", "available"], keep="last")
    return rows[rows["value"] != rows.groupby("stay")["value"].shift()]


def _rows_at_start(workspace: Workspace, at_start: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Measurements at hour 0 as rows of static values."""
    positions = {variable.name: i for i, variable in enumerate(workspace.variables)}
    static = at_start["variable"].map(names).map(positions).astype("int64")
    return at_start.assign(variable=static, is_top_coded=False)
