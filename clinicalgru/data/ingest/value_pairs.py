"""Values of two numbers, such as a blood pressure of 120/80: a row of them is read as one row of each variable."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from clinicalgru.data.ingest.tables import literal
from clinicalgru.data.ingest.time_sql import trim_sql

NOT_A_PAIR = "value is not two numbers"
SEPARATOR = "/"  # between two numbers, and between their variables in `names`
NUMBER = r"([0-9]+(?:[{mark}][0-9]+)?)"
PAIR = rf"\s*{NUMBER}\s*{SEPARATOR}\s*{NUMBER}\s*"  # {mark} is that of decimals
COUNT = "SELECT c_pair, count(*) // 2 FROM {cells} WHERE c_pair IS NOT NULL GROUP BY 1 ORDER BY 1"


def pairs_in(names: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Find the names that stand for two variables.

    Parameters
    ----------
    names : mapping of str to str
        Name in the extract -> variable, or two of them with a slash between.

    Returns
    -------
    dict of str to (str, str)
        Name -> the two variables.

    Examples
    --------
    >>> from clinicalgru.data.ingest.value_pairs import pairs_in
    >>> pairs_in({"BP": "sbp/dbp", "Pulse": "heart_rate"})
    {'BP': ('sbp', 'dbp')}
    """
    split = {name: variable.split(SEPARATOR) for name, variable in names.items()}
    return {name: (pair[0], pair[1]) for name, pair in split.items() if len(pair) == 2}


def pairs_table(pairs: Mapping[str, tuple[str, str]]) -> pa.Table:
    """Build the table of names that stand for two variables.

    Parameters
    ----------
    pairs : mapping of str to (str, str)
        Name -> the two variables.

    Returns
    -------
    pyarrow.Table
        name, variable, place (1 or 2).
    """
    rows = [
        {"name": name, "variable": variable, "place": place}
        for name, pair in pairs.items()
        for place, variable in enumerate(pair, start=1)
    ]
    return pa.Table.from_pylist(rows, pa.schema({"name": pa.string(), "variable": pa.string(), "place": pa.int32()}))


def with_pairs_sql(cells: str, dtype: str, decimal: str) -> str:
    """Write SQL of the cells of rows, where a row of two values stands once for each variable.

    Parameters
    ----------
    cells : str
        SELECT of the cells, with variable_written, c_value and c_source_reason.
    dtype : str
        DuckDB type of c_value; a column of numbers has no pairs.
    decimal : str
        Mark of decimals in text, "." or ",".

    Returns
    -------
    str
        SELECT of the same columns, and c_pair: the name of a pair, else NULL. A lone number has a reason against it.
    """
    is_number = "p.name IS NOT NULL AND TRY_CAST(c.c_value AS DOUBLE) IS NOT NULL"
    value = "c.c_value"
    if dtype == "VARCHAR":
        pair = literal(PAIR.format(mark=decimal))
        first, second = (f"replace(regexp_extract(c.c_value, {pair}, {group}), ',', '.')" for group in (1, 2))
        part = f"CASE WHEN p.place = 1 THEN {first} ELSE {second} END"
        value = f"CASE WHEN p.name IS NOT NULL AND regexp_full_match(c.c_value, {pair}) THEN {part} ELSE {value} END"
    return f"""SELECT c.* REPLACE (
    coalesce(p.variable, c.variable_written) AS variable_written, {value} AS c_value,
    CASE WHEN {is_number} THEN {literal(NOT_A_PAIR)} ELSE c.c_source_reason END AS c_source_reason), p.name AS c_pair
FROM ({cells}) c LEFT JOIN value_pairs p ON p.name = {trim_sql("c.variable_written")}"""


def with_pair_names_sql(keys: str) -> str:
    """Write SQL of the keys of rows, with the variables in place of the names of pairs.

    Parameters
    ----------
    keys : str
        SELECT of the keys, with variable_written.

    Returns
    -------
    str
        SELECT of the same columns.
    """
    return f"""SELECT c.* REPLACE (coalesce(p.variable, c.variable_written) AS variable_written)
FROM ({keys}) c LEFT JOIN value_pairs p ON p.name = {trim_sql("c.variable_written")}"""
