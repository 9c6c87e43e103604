"""SQL of numbers with decimal commas, as in "78,4"."""

from __future__ import annotations

from clinicalgru.data.ingest.tables import literal
from clinicalgru.data.ingest.time_sql import trim_sql

DECIMALS = (".", ",")
NUMBER = r"([<>≤≥]=?\s*)?[+-]?\d*{mark}\d+([eE][+-]?\d+)?"  # with a fraction, perhaps a limit of detection
NO_NUMBER = " with a decimal point"


def decimal_comma_sql(cell: str) -> str:
    """Write SQL of a cell of text in which the mark of decimals is a comma.

    Parameters
    ----------
    cell : str
        SQL of the cell.

    Returns
    -------
    str
        SQL of the text, trimmed: a number has a decimal point instead. One with a point ("1.234" may be a thousand and
        more) becomes text that is no number.

    Examples
    --------
    >>> import duckdb
    >>> cells = ", ".join(decimal_comma_sql(f"'{text}'") for text in ["78,4", "<0,2", "1.234", "12"])
    >>> duckdb.sql(f"SELECT {cells}").fetchall()
    [('78.4', '<0.2', '1.234 with a decimal point', '12')]
    """
    text = trim_sql(cell)
    comma, point = (literal(NUMBER.replace("{mark}", mark)) for mark in (",", r"\."))
    return (
        f"CASE WHEN regexp_full_match({text}, {comma}) THEN replace({text}, ',', '.') "
        f"WHEN regexp_full_match({text}, {point}) THEN {text} || {literal(NO_NUMBER)} ELSE {text} END"
    )
