"""Names of an extract without a variable: how often they occur, in which units, and in which range their values lie."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from clinicalgru.data.ingest import ingest_sql
from clinicalgru.data.ingest.row_sql import text_sql
from clinicalgru.data.ingest.tables import TablePart, duckdb_errors, literal, quoted
from clinicalgru.data.ingest.workspace import Workspace
from clinicalgru.data.ledger import UNMAPPED_VALUES
from clinicalgru.disclosure import MIN_CELL_SIZE

MAX_VALUES = 10_000  # of each name, evenly spaced over its rows, of which the range is computed
MAX_UNITS = 3  # named of each name
UNUSED_VALUES = """
CREATE TABLE IF NOT EXISTS unused_values (name VARCHAR, rows BIGINT, patient VARCHAR, stay VARCHAR, value DOUBLE)
"""
PATIENT_OF_UNUSED = """
UPDATE unused_values SET patient = k.patient_id FROM stays_frame k
WHERE unused_values.patient IS NULL AND unused_values.stay = k.stay_id
"""
# Units as text that cannot be a value, an identifier or a date: of a misaligned row, they would be.
SAFE_UNIT = r"regexp_full_match(unit, '(10[*^]|[^\d])[^\s]{0,20}') AND NOT regexp_matches(unit, '\d{4}')"
RANGE = f"""
    count(DISTINCT patient) >= {MIN_CELL_SIZE} AS is_known, quantile_cont(value, 0.05) AS low,
    quantile_cont(value, 0.95) AS high"""
NAMES_AND_UNITS = f"""
CREATE OR REPLACE TEMP TABLE unmapped_pairs AS
SELECT name, coalesce(unit, '') AS unit, sum(rows)::BIGINT AS rows FROM counts
WHERE role IS NULL AND reason IS NOT NULL AND name IS NOT NULL AND NOT {ingest_sql.IS_DAMAGED} GROUP BY ALL
"""
VALUES = f"""
WITH first AS (SELECT name, arg_max(unit, (rows, unit)) AS unit, max(rows) AS rows FROM unmapped_pairs GROUP BY name),
ranges AS (
    SELECT name, {RANGE}
    FROM (
        SELECT f.name, i.patient, r.value
        FROM rows r JOIN name_units s USING (name_unit_id) JOIN identifiers i USING (identifier_id)
        JOIN first f ON f.name = s.name AND f.unit = coalesce(s.unit, '')
        WHERE r.value IS NOT NULL AND isfinite(r.value) AND r.row % (1 + f.rows // {MAX_VALUES}) = 0
    ) GROUP BY name
)
SELECT name, list(unit ORDER BY rows DESC, unit) FILTER (unit = '' OR {SAFE_UNIT}), sum(rows)::BIGINT,
    any_value(CASE WHEN is_known THEN low END), any_value(CASE WHEN is_known THEN high END)
FROM unmapped_pairs LEFT JOIN ranges USING (name) GROUP BY name ORDER BY 3 DESC, 1
"""
UNUSED = f"""
SELECT name, filled, CASE WHEN is_known THEN low END, CASE WHEN is_known THEN high END
FROM (
    SELECT name, sum(rows)::BIGINT AS filled, {RANGE}
    FROM (SELECT name, rows, value, CASE WHEN value IS NOT NULL THEN patient END AS patient FROM unused_values)
    GROUP BY name
) ORDER BY filled DESC, name
"""


def add_unused_values(
    workspace: Workspace, part: TablePart, columns: Collection[str], *, patient: str | None, stay: str | None
) -> None:
    """Keep some values of the columns of a wide table that are not used, for the ledger.

    Parameters
    ----------
    workspace : Workspace
        The read in progress.
    part : TablePart
        The table.
    columns : collection of str
        Its columns that are not used.
    patient, stay : str or None
        Its columns of patients and stays, of which one is there.
    """
    keys = {"patient": patient, "stay": stay}
    cells = [f"{'NULL' if key is None else text_sql(quoted(key))} AS {name}" for name, key in keys.items()]
    workspace.sql.execute(UNUSED_VALUES)
    for column in sorted(set(columns) - {"c_file", "c_row"}):
        text = text_sql(quoted(column), part.types[column])
        with duckdb_errors(part.label):
            workspace.sql.execute(f"""
INSERT INTO unused_values
SELECT {literal(column)}, CASE WHEN place = 1 THEN filled ELSE 0 END, patient, stay, value
FROM (
    SELECT patient, stay, value, filled, row_number() OVER () AS place, 1 + filled // {MAX_VALUES} AS step
    FROM (
        SELECT {", ".join(cells)}, TRY_CAST({text} AS DOUBLE) AS value,
            {text} IS NOT NULL AS is_filled, count({text}) OVER () AS filled
        FROM {part.sql}
    ) WHERE is_filled
) WHERE place % step = 1 % step""")


def unmapped_values(workspace: Workspace, *, reported: Collection[str]) -> pd.DataFrame:
    """Tabulate the names without a variable, and the unused columns of wide tables.

    Parameters
    ----------
    workspace : Workspace
        The workspace, with a stay or a reason for each row.
    reported : collection of str
        Names in rows that may be shown: in a misaligned row, a name may be a value.

    Returns
    -------
    DataFrame
        name, units, rows, low, high; see `Ledger`.
    """
    sql = workspace.sql
    sql.execute(NAMES_AND_UNITS)
    found = [row for row in sql.execute(VALUES).fetchall() if row[0] in reported]
    table = [(name, _units_text(units or []), *rest) for name, units, *rest in found]
    sql.execute(UNUSED_VALUES)
    if sql.execute("SELECT 1 FROM unused_values LIMIT 1").fetchall():
        table += [(name, "", *rest) for name, *rest in sql.execute(UNUSED).fetchall() if rest[0]]
    rounded = [(*row[:3], *(float("nan") if end is None else float(f"{end:.3g}") for end in row[3:])) for row in table]
    return pd.DataFrame(rounded, columns=UNMAPPED_VALUES)


def _units_text(units: list[str]) -> str:
    """Units, the most frequent first; "none" where some rows have none."""
    named = [unit or "none" for unit in units[:MAX_UNITS]]
    more = len(units) - len(named)
    text = ", ".join(named) + (f" and {more} more" if more else "")
    return "" if text == "none" else text
