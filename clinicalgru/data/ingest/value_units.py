"""Values with their unit behind them, such as "38.1 °C": number and unit are read apart."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest.tables import literal
from clinicalgru.data.ingest.time_sql import trim_sql

PART = r"[0-9]*(?:[{mark}][0-9]+)?"
NUMBER = rf"[<>≤≥]?\s*[+-]?[0-9]{PART}(?:\s*/\s*[0-9]{PART})?"  # a bound, or two numbers, may have a unit too
WITH_UNIT = rf"^\s*({NUMBER})\s*([^0-9\s.,].*?)\s*$"


def value_units_table(variables: Iterable[Variable]) -> pa.Table:
    """Build the table of units that may stand behind a number.

    Parameters
    ----------
    variables : iterable of Variable
        The variables.

    Returns
    -------
    pyarrow.Table
        unit: each spelling of the dictionary, in small letters, without blanks.

    Examples
    --------
    >>> from clinicalgru import Dictionary
    >>> "mg/dl" in value_units_table(Dictionary.load().values())["unit"].to_pylist()
    True
    """
    spellings = {unit for variable in variables for unit in (variable.unit, *variable.also)}
    units = {"".join(unit.split()).lower() for unit in spellings}
    return pa.table({"unit": pa.array(sorted(unit for unit in units if unit and not unit[0].isdigit()), pa.string())})


def with_units_sql(cells: str, decimal: str) -> str:
    """Write SQL of the cells of rows, where a unit behind the number is moved to the column of units.

    Parameters
    ----------
    cells : str
        SELECT of the cells, with c_value as text and unit_written.
    decimal : str
        Mark of decimals, "." or ",".

    Returns
    -------
    str
        SELECT of the same columns. Text that is no number and known unit stays as it is, and so does a value whose
        unit differs from the one in the column of units.
    """
    pattern = literal(WITH_UNIT.replace("{mark}", decimal))
    number, behind = (f"regexp_extract(c.c_value, {pattern}, {group})" for group in (1, 2))
    unit, written = (f"lower(regexp_replace({text}, '\\s', '', 'g'))" for text in (behind, "c.unit_written"))
    is_free = f"(c.unit_written IS NULL OR {written} IN ('', {unit}))"
    return f"""SELECT c.* REPLACE (
    CASE WHEN u.unit IS NULL THEN c.c_value ELSE replace({number}, ',', '.') END AS c_value,
    CASE WHEN u.unit IS NULL THEN c.unit_written ELSE {trim_sql(behind)} END AS unit_written)
FROM ({cells}) c LEFT JOIN value_units u ON regexp_full_match(c.c_value, {pattern}) AND u.unit = {unit} AND {is_free}"""
