"""Units of an extract: the conversion of each unit that occurs."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import DictionaryError


def resolve_units(workspace: Workspace, units: Mapping[str, str]) -> None:
    """Create the table `units`: factor and offset of each name and unit that occurs.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with all rows of the source.
    units : mapping of str to str
        Variable -> unit of its values where the extract writes none.
    """
    rows = [
        (name, unit or "", *_conversion(workspace, workspace.variables[position], unit, units))
        for position, name, unit in workspace.sql.execute(ingest_sql.UNITS_SEEN).fetchall()
    ]
    table = pd.DataFrame(rows, columns=["name", "unit", "factor", "shift", "known"])
    table = table.astype({"name": str, "unit": str, "factor": float, "shift": float, "known": bool})
    workspace.sql.register("units_frame", pa.Table.from_pandas(table, preserve_index=False))
    workspace.sql.execute("CREATE TABLE units AS SELECT * FROM units_frame")


def _conversion(
    workspace: Workspace, variable: Variable, unit: str | None, units: Mapping[str, str]
) -> tuple[float, float, bool]:
    """Factor, offset, and whether the unit is known."""
    try:
        conversion = variable.conversion(default_unit(workspace, variable, units) if unit is None else unit)
    except DictionaryError:
        return 1.0, 0.0, False
    return conversion.factor, conversion.offset, True


def default_unit(workspace: Workspace, variable: Variable, units: Mapping[str, str]) -> str:
    """Find the unit of a variable where none is written: the user's, else the source's, else the dictionary's.

    Parameters
    ----------
    workspace : Workspace
        The workspace, which knows the sources.
    variable : Variable
        The variable.
    units : mapping of str to str
        Variable -> the user's unit.

    Returns
    -------
    str
        The unit.
    """
    if variable.name in units:
        return units[variable.name]
    own = (variable.unit_in[source] for source in workspace.name_sources if source in variable.unit_in)
    return next(own, variable.unit)
