"""SQL of whether a row has no value."""

from __future__ import annotations

from clinicalgru.data.ingest.column_names import normalize
from clinicalgru.data.ingest.missing_values import MissingValues, as_number
from clinicalgru.data.ingest.tables import literal


def missing_sql(
    value_text: str, missing_values: tuple[float, ...], missing: MissingValues, *, names: tuple[str, ...]
) -> str:
    """Write SQL of whether a row has no value: a blank, the source's number for it, or one that the user names.

    Parameters
    ----------
    value_text : str
        SQL of the value as text.
    missing_values : tuple of float
        Numbers that mean "not measured" in the source.
    missing : MissingValues
        Those that the user names.
    names : tuple of str
        Names of the column of values.

    Returns
    -------
    str
        SQL of a condition on the columns number, value, name and canonical.
    """
    tests = [f"(number IS NULL AND {value_text} IS NULL)", *(f"value = {number}" for number in missing_values)]
    tests += [_equals(value_text, text) for text in missing.of(*names)]
    for name, texts in missing.by_name.items():
        own = " OR ".join(_equals(value_text, text) for text in texts) or "false"
        folded = literal(normalize(name))
        tests.append(f"((lower(canonical) = {folded} OR lower(name) = {folded}) AND ({own}))")
    return f"({' OR '.join(tests)})"


def _equals(value_text: str, text: str) -> str:
    """SQL of whether a cell holds a number, or a word in any letter case."""
    number = as_number(text)
    is_number = "" if number is None else f" OR number = {number!r}"
    return f"coalesce(lower({value_text}) = {literal(text.lower())}{is_number}, false)"
