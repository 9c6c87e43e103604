"""The data dictionary as tables that an intake joins its rows with: names, plausible ranges, words for values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.dictionary.variable import Variable


def names_table(known: Mapping[str, str], ordered: Sequence[Variable]) -> pa.Table:
    """name, variable (position in `ordered`), role, canonical: what becomes of the rows of each name.

    known  {name in the source: variable name}
    """
    position = {variable.name: i for i, variable in enumerate(ordered)}
    rows = [(alias, position[name], _role(ordered[position[name]]), name) for alias, name in known.items()]
    names = pd.DataFrame(rows, columns=["name", "variable", "role", "canonical"])
    return pa.Table.from_pandas(names, preserve_index=False)


def ranges_table(ordered: Sequence[Variable]) -> pa.Table:
    """variable (position), low, high: what is plausible; without limits where the dictionary gives none."""
    rows = [(i, *(variable.plausible or (-np.inf, np.inf))) for i, variable in enumerate(ordered)]
    return pa.Table.from_pandas(pd.DataFrame(rows, columns=["variable", "low", "high"]), preserve_index=False)


def words_table(ordered: Sequence[Variable]) -> pa.Table:
    """canonical, word, number: the words that stand for a value, of each variable that has some."""
    words = [(v.name, list(v.words), list(v.words.values())) for v in ordered if v.words]
    kinds = {"canonical": pa.string(), "word": pa.list_(pa.string()), "number": pa.list_(pa.float64())}
    columns = zip(*words, strict=True) if words else ([], [], [])
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)})


def _role(variable: Variable) -> str:
    if variable.variable_type == "code" and not variable.static:
        return "code"
    return "static" if variable.static else "series"
