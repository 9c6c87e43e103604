"""Units of the laboratory results of eICU: that of the publisher, or that of the hospital's interface."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.units import Conversion
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest.duckdb_errors import duckdb_errors
from clinicalgru.data.ingest.tables import TablePart
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.named_columns import with_columns
from clinicalgru.errors import DictionaryError

COLUMNS = ("labname", "labmeasurenamesystem", "labmeasurenameinterface")
# A result that equals its text was not converted, so that its unit is that of the interface, if it is plausible there.
INTERFACE_UNIT = """
LEFT JOIN eicu_units u ON u.labname = r.labname AND u.labmeasurenameinterface = r.labmeasurenameinterface
    AND u.labmeasurenamesystem = coalesce(r.labmeasurenamesystem, '')
    AND try_cast(r.labresult AS DOUBLE) = try_cast(trim(r.labresulttext) AS DOUBLE)
    AND try_cast(r.labresult AS DOUBLE) BETWEEN u.low AND u.high"""


def register_lab_units(workspace: Workspace, parts: Sequence[TablePart]) -> dict[str, int]:
    """Create the table eicu_units: where the unit of the interface is another one than labmeasurenamesystem.

    Parameters
    ----------
    workspace : Workspace
        The read in progress, with source_names (see `register_names`).
    parts : sequence of TablePart
        Files of the table lab.

    Returns
    -------
    dict of str to int
        How many results are in the unit of the interface, by variable.

    Notes
    -----
    The publisher converts results into labmeasurenamesystem, but not all: an ionized calcium of 1.17 in "mg/dL" whose
    interface says mmol/L, and whose text is 1.17, is 1.17 mmol/L.
    """
    pairs = pd.concat([pd.DataFrame(columns=[*COLUMNS, "rows"]), *(_pairs(workspace, part) for part in parts)])
    ranges = [_range_in_other_unit(workspace, *pair) for pair in pairs[list(COLUMNS)].itertuples(index=False)]
    pairs[["low", "high"]] = pd.DataFrame(ranges, index=pairs.index, columns=["low", "high"], dtype=float)
    other = pairs.dropna(subset="low").assign(unit=lambda table: table[COLUMNS[2]])
    distinct = other.drop(columns="rows").drop_duplicates()
    workspace.sql.register("eicu_units_frame", distinct.astype(dict.fromkeys([*COLUMNS, "unit"], str)))
    columns = ", ".join(f"{name}::VARCHAR AS {name}" for name in (*COLUMNS, "unit"))
    workspace.sql.execute(f"CREATE TABLE eicu_units AS SELECT {columns}, low, high FROM eicu_units_frame")
    counts: dict[str, int] = {}
    for part in parts:
        for name, rows in _counts(workspace, part):
            counts[name] = counts.get(name, 0) + rows
    return {f"results in the unit of the interface: {name}": rows for name, rows in counts.items()}


def _counts(workspace: Workspace, part: TablePart) -> list[tuple[str, int]]:
    """How many results are in the unit of the interface, by variable."""
    part = with_columns(part, ("labname", "labresult"), (*COLUMNS[1:], "labresulttext"))
    query = (
        f"SELECT r.labname, count(*) FROM {part.sql} r {INTERFACE_UNIT} WHERE u.unit IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    with duckdb_errors(part.label, part.text):
        return workspace.sql.execute(query).fetchall()


def _pairs(workspace: Workspace, part: TablePart) -> pd.DataFrame:
    """Name and both units of the results."""
    part = with_columns(part, ("labname", "labresult"), COLUMNS[1:])
    with duckdb_errors(part.label, part.text):
        return workspace.sql.execute(f"""
SELECT labname, coalesce(labmeasurenamesystem, '') AS labmeasurenamesystem, labmeasurenameinterface, count(*) AS rows
FROM {part.sql} WHERE labmeasurenameinterface IS NOT NULL AND labname IS NOT NULL GROUP BY ALL""").df()


def _range_in_other_unit(workspace: Workspace, name: str, system: str, interface: str) -> tuple[float, float]:
    """The plausible range in the unit of the interface; NaN where that is unknown, or the same as the system's."""
    query = "SELECT canonical FROM names JOIN source_names USING (name) WHERE folded = lower(trim(?))"
    canonical = workspace.sql.execute(query, [name]).fetchall()
    if not canonical:
        return (np.nan, np.nan)
    variable = workspace.dictionary[canonical[0][0]]
    written = _conversion(variable, interface)
    if written is None or written == _conversion(variable, html.unescape(system) or variable.unit):
        return (np.nan, np.nan)
    low, high = sorted(bound / written.factor - written.offset for bound in variable.plausible or (-np.inf, np.inf))
    return (low, high)


def _conversion(variable: Variable, unit: str) -> Conversion | None:
    try:
        return variable.conversion(unit)
    except DictionaryError:
        return None
