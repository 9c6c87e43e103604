"""The data dictionary as lookup tables: names, plausible ranges, and words that stand for values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from clinicalgru.data.dictionary.variable import Variable

TOP = 1e300  # stands for a top-coded word until its unit is known; in ingest_sql too


def names_table(names: Mapping[str, str], variables: Sequence[Variable]) -> pa.Table:
    """Build the table of names.

    Parameters
    ----------
    names : mapping of str to str
        Name in the source -> variable name.
    variables : sequence of Variable
        The variables that positions refer to.

    Returns
    -------
    pyarrow.Table
        name, variable (position in `variables`), role ("code", "static" or "series"), canonical (name of the variable).
    """
    position = {variable.name: i for i, variable in enumerate(variables)}
    roles = {variable.name: _role(variable) for variable in variables}
    columns = {
        "name": pa.array(list(names), pa.string()),
        "variable": pa.array([position[name] for name in names.values()], pa.int64()),
        "role": pa.array([roles[name] for name in names.values()], pa.string()),
        "canonical": pa.array(list(names.values()), pa.string()),
    }
    return pa.table(columns)


def ranges_table(variables: Sequence[Variable]) -> pa.Table:
    """Build the table of plausible ranges.

    Parameters
    ----------
    variables : sequence of Variable
        The variables.

    Returns
    -------
    pyarrow.Table
        variable (position), low, high (in its unit; infinite where the dictionary gives none); top_low, top_high, top
        (codes of a top-coded value, and what it is taken as; NULL where there is none).
    """
    columns = {"variable": pa.int64()} | dict.fromkeys(("low", "high", "top_low", "top_high", "top"), pa.float64())
    rows = [
        (i, *(variable.plausible or (-np.inf, np.inf)), *((*top.codes, top.value) if top else (None,) * 3))
        for i, variable in enumerate(variables)
        for top in (variable.top_coded,)
    ]
    return pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows], schema=pa.schema(columns))


def level_table(variables: Sequence[Variable]) -> pa.Table:
    """Build the table of words that stand for values.

    Parameters
    ----------
    variables : sequence of Variable
        The variables; those without such words are left out.

    Returns
    -------
    pyarrow.Table
        canonical (name of the variable), word and number (lists of equal length).
    """
    meaning = {
        v.name: dict(v.words) | dict.fromkeys(v.top_coded.words() if v.top_coded else (), TOP) for v in variables
    }
    words = [(name, list(numbers), list(numbers.values())) for name, numbers in meaning.items() if numbers]
    dtypes = {"canonical": pa.string(), "word": pa.list_(pa.string()), "number": pa.list_(pa.float64())}
    columns = zip(*words, strict=True) if words else ([], [], [])
    return pa.table(
        {name: pa.array(column, dtype) for (name, dtype), column in zip(dtypes.items(), columns, strict=True)}
    )


def _role(variable: Variable) -> str:
    """What becomes of the rows of a variable: code, static or series."""
    if variable.variable_type == "code" and not variable.static:
        return "code"
    return "static" if variable.static else "series"
