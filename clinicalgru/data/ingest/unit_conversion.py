"""Units of an extract: the conversion of each unit that occurs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import pandas as pd
import pyarrow as pa

from clinicalgru.data.dictionary.name_words import means_urea
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.errors import DataWarning, DictionaryError

UREA_NITROGEN, UREA_UNIT = "bun", "mg{urea}/dL"


def resolve_units(workspace: Workspace, units: Mapping[str, str]) -> None:
    """Create the table `units`: factor and offset of each name and unit that occurs.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with all rows of the source.
    units : mapping of str to str
        Variable -> unit of its values where the extract writes none. Of values that are named urea and written in
        mg/dL, it is the unit too.

    Warns
    -----
    DataWarning
        If such values are read as urea nitrogen and `units` does not name their unit.
    """
    rows, doubtful = [], list[str]()
    for position, name, unit in workspace.sql.execute(ingest_sql.UNITS_SEEN).fetchall():
        variable = workspace.variables[position]
        conversion = _conversion(workspace, variable, unit, units)
        if variable.name == UREA_NITROGEN and means_urea(name) and conversion == (1.0, 0.0, True):
            conversion = _conversion(workspace, variable, None, units)
            doubtful += [] if variable.name in units else [name]
        rows.append((name, unit or "", *conversion))
    if doubtful:
        warnings.warn(
            f"{', '.join(sorted(set(doubtful)))} in mg/dL is read as urea nitrogen. If it is urea, its values are 2.14 "
            f"times too high: name the unit, units={{'{UREA_NITROGEN}': '{UREA_UNIT}'}}, or 'mg/dL' where it is not.",
            DataWarning,
            stacklevel=2,
        )
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
