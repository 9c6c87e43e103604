"""Units of the laboratory results of eICU: that of the publisher, or that of the hospital's interface."""

from __future__ import annotations

import html
from collections.abc import Sequence

import pandas as pd

from clinicalgru.data.dictionary.units import Conversion
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest.tables import TablePart, duckdb_errors
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.sources.named_columns import with_columns
from clinicalgru.errors import DictionaryError

COLUMNS = ("labname", "labmeasurenamesystem", "labmeasurenameinterface")
# A result that equals its text was not converted, so that its unit is that of the interface.
INTERFACE_UNIT = """
LEFT JOIN eicu_units u ON u.labname = r.labname AND u.labmeasurenameinterface = r.labmeasurenameinterface
    AND u.labmeasurenamesystem = coalesce(r.labmeasurenamesystem, '')
    AND try_cast(r.labresult AS DOUBLE) = try_cast(trim(r.labresulttext) AS DOUBLE)"""


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
    is_other = [_is_other_unit(workspace, *pair) for pair in pairs[list(COLUMNS)].itertuples(index=False)]
    other = pairs[pd.Series(is_other, index=pairs.index, dtype=bool)].assign(unit=lambda table: table[COLUMNS[2]])
    distinct = other[[*COLUMNS, "unit"]].drop_duplicates().astype(str)
    workspace.sql.register("eicu_units_frame", distinct)
    columns = ", ".join(f"{name}::VARCHAR AS {name}" for name in distinct)
    workspace.sql.execute(f"CREATE TABLE eicu_units AS SELECT {columns} FROM eicu_units_frame")
    counts = other.groupby("labname")["rows"].sum()
    return {f"results in the unit of the interface: {name}": int(rows) for name, rows in counts.items() if rows}


def _pairs(workspace: Workspace, part: TablePart) -> pd.DataFrame:
    """Name and both units, and how many results equal their text."""
    part = with_columns(part, ("labname", "labresult"), (*COLUMNS[1:], "labresulttext"))
    with duckdb_errors(part.label, part.text):
        return workspace.sql.execute(f"""
SELECT labname, coalesce(labmeasurenamesystem, '') AS labmeasurenamesystem, labmeasurenameinterface,
    count(*) FILTER (try_cast(labresult AS DOUBLE) = try_cast(trim(labresulttext) AS DOUBLE)) AS rows
FROM {part.sql} WHERE labmeasurenameinterface IS NOT NULL AND labname IS NOT NULL GROUP BY ALL""").df()


def _is_other_unit(workspace: Workspace, name: str, system: str, interface: str) -> bool:
    """Whether the dictionary knows the unit of the interface, and it is not the system's."""
    query = "SELECT canonical FROM names JOIN source_names USING (name) WHERE folded = lower(trim(?))"
    canonical = workspace.sql.execute(query, [name]).fetchall()
    if not canonical:
        return False
    variable = workspace.dictionary[canonical[0][0]]
    written = _conversion(variable, interface)
    return written is not None and written != _conversion(variable, html.unescape(system) or variable.unit)


def _conversion(variable: Variable, unit: str) -> Conversion | None:
    try:
        return variable.conversion(unit)
    except DictionaryError:
        return None
