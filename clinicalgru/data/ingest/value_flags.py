"""Values with an abnormality flag, such as "5.4 H" or "7,5 (L)*": the number is read without it."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.ingest.tables import literal
from clinicalgru.data.ingest.time_sql import trim_sql
from clinicalgru.data.ingest.value_units import NUMBER, with_units_sql

# Of HL7 table 0078 those that say how a number compares with its reference range, and what laboratories print for them.
LETTERS = ("HH", "LL", "AA", "HI", "LO", "H", "L", "A", "N")
WORDS = ("critical", "abnormal", "normal", "panic", "crit", "high", "low", "abn")
SYMBOLS = r"[*!#↑↓▲▼]+"
LETTER = rf"(?:{'|'.join(LETTERS)}|(?i:{'|'.join(WORDS)}))"  # capitals only: h is hours
IN_BRACKETS = rf"(?:\(\s*(?:{LETTER}|{SYMBOLS})\s*\)|\[\s*(?:{LETTER}|{SYMBOLS})\s*\])"
MARK = rf"(?:{IN_BRACKETS}|{SYMBOLS})"  # a flag that cannot be part of a unit
BEFORE = rf"\s*(?:{MARK}\s*|{LETTER}\s+)?"
BEHIND = rf"(?:\s*{MARK})*(?:\s*({LETTER}))?(?:\s*{MARK})*"
UNIT = r"([^0-9\s.,/*!#↑↓▲▼()\[\]](?:.*?[^\s/])??)"
FLAGGED = rf"^{BEFORE}({NUMBER}){BEHIND}\s*$"
FLAGGED_WITH_UNIT = rf"^{BEFORE}({NUMBER})(?:\s*{MARK}|\s+{LETTER}\s)?\s*{UNIT}(?:\s*{MARK}|\s+{LETTER})*\s*$"
NOTE = "values with an abnormality flag, read without it"
HAS_FLAG = "c_has_flag"
COUNT = f"SELECT count(*) FROM {{cells}} WHERE {HAS_FLAG}"


def flag_units_table(variables: Iterable[Variable]) -> pa.Table:
    """Build the table of flags that are a unit of a variable: "0.5 L" of a volume has no flag.

    Parameters
    ----------
    variables : iterable of Variable
        The variables.

    Returns
    -------
    pyarrow.Table
        canonical (name of the variable), flag.

    Examples
    --------
    >>> from clinicalgru import Dictionary
    >>> table = flag_units_table([Dictionary.load()["urine_output"]])
    >>> table.to_pylist()
    [{'canonical': 'urine_output', 'flag': 'L'}]
    """
    units = {
        variable.name: {unit.strip().lower() for unit in (variable.unit, *variable.also)} for variable in variables
    }
    pairs = [(name, flag) for name, known in units.items() for flag in LETTERS if flag.lower() in known]
    names, flags = zip(*pairs, strict=True) if pairs else ((), ())
    return pa.table({"canonical": pa.array(names, pa.string()), "flag": pa.array(flags, pa.string())})


def with_bare_numbers_sql(cells: str, decimal: str, *, has_units: bool, has_flags: bool) -> str:
    """Write SQL of the cells of rows, where flags and units are taken off the values.

    Parameters
    ----------
    cells : str
        SELECT of the cells, with variable_written, unit_written and c_value as text.
    decimal : str
        Mark of decimals, "." or ",".
    has_units, has_flags : bool
        Whether a unit may stand behind the number, and whether flags may stand around it.

    Returns
    -------
    str
        SELECT of the same columns; with flags, also c_has_flag.
    """
    without = with_flags_sql(cells, decimal, has_units=has_units) if has_flags else cells
    return with_units_sql(without, decimal) if has_units else without


def with_flags_sql(cells: str, decimal: str, *, has_units: bool) -> str:
    """Write SQL of the cells of rows, where abnormality flags are taken off the values.

    Parameters
    ----------
    cells : str
        SELECT of the cells, with variable_written and c_value as text.
    decimal : str
        Mark of decimals, "." or ",".
    has_units : bool
        Whether a unit may stand behind the number; it stays there.

    Returns
    -------
    str
        SELECT of the same columns, and c_has_flag. Values of codes, and text of any other form, stay as they are.
    """
    flagged, with_unit = (literal(p.replace("{mark}", decimal)) for p in (FLAGGED, FLAGGED_WITH_UNIT))
    plain = literal(rf"^\s*{NUMBER}\s*$".replace("{mark}", decimal))
    is_flagged = f"regexp_full_match(c.c_value, {flagged}) AND NOT regexp_full_match(c.c_value, {plain})"
    number = f"replace(regexp_extract(c.c_value, {flagged}, 1), ',', '.')"
    cases = f"WHEN {is_flagged} THEN {number}"
    if has_units:
        without = " || ' ' || ".join(f"regexp_extract(c.c_value, {with_unit}, {group})" for group in (1, 2))
        cases += f" WHEN regexp_full_match(c.c_value, {with_unit}) THEN {without}"
    value = f"CASE WHEN n.role = 'code' OR f.flag IS NOT NULL THEN c.c_value {cases} ELSE c.c_value END"
    written, read = (f"regexp_replace({text}, '\\s', '', 'g')" for text in ("c_value", "c_without"))
    return f"""SELECT * EXCLUDE (c_without) REPLACE (c_without AS c_value),
    {written} IS DISTINCT FROM {read} AS {HAS_FLAG}
FROM (
    SELECT c.*, {value} AS c_without FROM ({cells}) c
    LEFT JOIN names n ON n.name = {trim_sql("c.variable_written")}
    LEFT JOIN flag_units f ON f.canonical = n.canonical AND f.flag = regexp_extract(c.c_value, {flagged}, 2)
)"""
