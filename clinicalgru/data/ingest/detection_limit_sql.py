"""SQL of results that are limits of detection, as laboratories write them."""

from __future__ import annotations

from clinicalgru.data.ingest.tables import literal

LIMIT = r"[<>≤≥]=?\s*([0-9]+\.?[0-9]*|\.[0-9]+)"  # a value that is a bound
WORDS = (("less than", "<"), ("greater than", ">"))
REMARKED = r"^([<>≤≥]=?\s*[0-9]*\.?[0-9]+)\*?\.?(\s{2}.*)?$"  # a bound, perhaps with a mark, then a remark


def limit_sql(text: str) -> str:
    """Write SQL of the limit of detection that a result is, such as "<0.2".

    Parameters
    ----------
    text : str
        SQL of the result as text, such as "<0.2.", ">= 20*" or "LESS THAN 0.2.  VERIFIED."; a unit after the number
        is none of these, as it may be another one than the result's.

    Returns
    -------
    str
        SQL of the bound as text, without its remark; NULL where the result is no bound.

    Examples
    --------
    >>> import duckdb
    >>> from clinicalgru.data.ingest.detection_limit_sql import limit_sql
    >>> duckdb.sql("SELECT " + limit_sql("'LESS THAN 0.2.  VERIFIED.'")).fetchall()
    [('<0.2',)]
    >>> duckdb.sql("SELECT " + limit_sql("'12.5'")).fetchall()
    [(None,)]
    """
    bound = f"trim(CAST({text} AS VARCHAR))"
    for word, sign in WORDS:
        bound = f"regexp_replace({bound}, {literal(f'^{word} +')}, {literal(sign)}, 'i')"
    return f"nullif(regexp_extract({bound}, {literal(REMARKED)}, 1), '')"
