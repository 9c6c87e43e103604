"""Static variables that occur as rows, joined with those of the stays table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest.accepted_rows import static_rows
from clinicalgru.data.ingest.static_values import static_values
from clinicalgru.data.ingest.workspace import Workspace


def is_static_at_start(facts: pa.Table, variables: Sequence[Variable], names: Mapping[str, str]) -> pa.ChunkedArray:
    """Mark the measurements at hour 0 that are also static values.

    Parameters
    ----------
    facts : pyarrow.Table
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
    return pc.and_(pc.equal(facts["time"], 0), pc.is_in(facts["variable"], positions))


def add_static_rows(
    workspace: Workspace, stays: pd.DataFrame, at_start: pa.Table, names: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Add the static values that occurred as rows to the stays.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with stays and units resolved.
    stays : DataFrame
        The stays in canonical order; gets a column for each static variable.
    at_start : pyarrow.Table
        Measurements at hour 0 that are also static values.
    names : mapping of str to str
        Series variable -> static variable.

    Returns
    -------
    stays : DataFrame
        The stays.
    notes : dict of str to int
        In how many stays the values contradict each other.

    Notes
    -----
    Of several values the last by time is used. Values of the stays table take precedence over rows.
    """
    rows = pd.concat([static_rows(workspace), _rows_at_start(workspace, at_start, names)], ignore_index=True)
    notes: dict[str, int] = {}
    for position in sorted(set(rows["variable"].astype(int))):
        variable, group = workspace.variables[position], rows[rows["variable"] == position]
        text = group["value"].map("{:.12g}".format) if variable.categories else group["value"].astype(str)
        values = static_values(variable, text)[0].set_axis(group["position"]).reindex(range(len(stays)))
        notes[f"stays with several values of {variable.name} (the last is used)"] = int(group["has_several"].sum())
        if variable.name in stays:
            differs = stays[variable.name].notna() & values.notna() & (stays[variable.name] != values)
            notes[f"stays with another {variable.name} in the stays table (which is used)"] = int(differs.sum())
            values = stays[variable.name].fillna(values)
        stays[variable.name] = values
    return stays, {name: count for name, count in notes.items() if count}


def _rows_at_start(workspace: Workspace, at_start: pa.Table, names: Mapping[str, str]) -> pd.DataFrame:
    """Measurements at hour 0 as rows of static values."""
    positions = {variable.name: i for i, variable in enumerate(workspace.variables)}
    rows = at_start.select(["stay", "variable", "value"]).to_pandas().rename(columns={"stay": "position"})
    rows["variable"] = [positions[names[workspace.variables[position].name]] for position in rows["variable"]]
    return rows.assign(has_several=False)
