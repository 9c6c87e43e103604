"""Cells of a static variable as numbers: words, categories, units and plausible ranges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.dictionary.top_code import TopCode
from clinicalgru.data.dictionary.units import Conversion
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import IMPLAUSIBLE
from clinicalgru.data.ingest.number_groups import group_values

TRUTH_WORDS = {"true": "1", "yes": "1", "y": "1", "false": "0", "no": "0", "n": "0"}


def static_values(variable: Variable, text: pd.Series, conversion: Conversion | None = None) -> tuple[pd.Series, int]:
    """Convert text to the values of a static variable.

    Parameters
    ----------
    variable : Variable
        The variable.
    text : Series of str
        Its cells; NA where blank.
    conversion : Conversion, optional
        From the unit of the cells into that of the variable.

    Returns
    -------
    values : Series of float
        Positions of categories, or numbers within the plausible range; NaN where blank or unusable.
    n_unusable : int
        How many cells with text became NaN.
    """
    text = _with_words(variable, text)
    if variable.categories:
        category = {name: float(i) for i, name in enumerate(variable.categories)}
        values = text.str.removesuffix(".0").map(category).astype(float)
    else:
        values = as_numbers(variable, text, conversion)
        low, high = variable.plausible or (-np.inf, np.inf)
        values = values.where(values.between(low, high))
    return values, int((values.isna() & text.notna()).sum())


def as_numbers(variable: Variable, text: pd.Series, conversion: Conversion | None = None) -> pd.Series:
    """Read cells as numbers in the unit of a variable, plausible or not.

    Parameters
    ----------
    variable : Variable
        The variable; its words stand for numbers.
    text : Series of str
        Its cells; NA where blank.
    conversion : Conversion, optional
        From the unit of the cells into that of the variable.

    Returns
    -------
    Series of float
        NaN where the cell is no number and no group of numbers.
    """
    numbers = pd.to_numeric(_with_words(variable, text), errors="coerce").astype(float)
    numbers = numbers.fillna(group_values(text))
    converted = numbers if conversion is None else conversion.apply(numbers)
    top = variable.top_coded
    return converted if top is None else converted.mask(_is_top_coded(top, text, conversion), top.value)


def top_coded_notes(variable: Variable, text: pd.Series, conversion: Conversion | None = None) -> dict[str, int]:
    """Count the cells that give a value above a limit as one group ("> 89").

    Parameters
    ----------
    variable : Variable
        The variable.
    text : Series of str
        Its cells; NA where blank.
    conversion : Conversion, optional
        From the unit of the cells; numbers that stand for the group do so in the variable's own unit only.

    Returns
    -------
    dict of str to int
        A note for the ledger; empty where there are none.
    """
    top = variable.top_coded
    count = 0 if top is None else int(_is_top_coded(top, text, conversion).sum())
    return {top.note(variable.name): count} if top is not None and count else {}


def group_notes(variable: Variable, text: pd.Series) -> dict[str, int]:
    """Count the cells that give a group of numbers ("60-69"), of a variable of numbers.

    Parameters
    ----------
    variable : Variable
        The variable.
    text : Series of str
        Its cells; NA where blank.

    Returns
    -------
    dict of str to int
        A note for the ledger; empty where there are none.
    """
    is_group = group_values(text).notna()
    if variable.top_coded is not None:
        is_group &= ~text.str.casefold().isin(variable.top_coded.words())
    count = 0 if variable.categories else int(is_group.sum())
    return (
        {f"static values given as a group, of which the middle or the bound is used: {variable.name}": count}
        if count
        else {}
    )


def _is_top_coded(top: TopCode, text: pd.Series, conversion: Conversion | None) -> pd.Series:
    """Mark cells of the group, by their words, or by their numbers where these are in the variable's own unit."""
    is_word = text.str.casefold().isin(top.words())
    if conversion not in (None, Conversion(1.0)):
        return is_word
    return is_word | pd.to_numeric(text, errors="coerce").between(*top.codes)


def _with_words(variable: Variable, text: pd.Series) -> pd.Series:
    """The cells with words as numbers; yes and no are words of a binary variable that has no others."""
    words = {word: f"{number:.12g}" for word, number in variable.words.items()}
    if variable.variable_type == "binary" and not words:
        words = TRUTH_WORDS
    if not words:
        return text
    return text.str.casefold().map(words).astype(object).where(lambda mapped: mapped.notna(), text)


def implausible_static(stays: pd.DataFrame, implausible: pd.DataFrame | None) -> pa.Table:
    """Give the rejected static values of a stays table the positions of their stays.

    Parameters
    ----------
    stays : DataFrame
        The stays in canonical order: patient_id, stay_id.
    implausible : DataFrame or None
        patient_id, stay_id, variable, value.

    Returns
    -------
    pyarrow.Table
        stay (position), time (NULL), variable (name), value.
    """
    if implausible is None or implausible.empty:
        return IMPLAUSIBLE.empty_table()
    keys = ["patient_id", "stay_id"]
    position = pd.Series(range(len(stays)), index=pd.MultiIndex.from_frame(stays[keys]))
    stay = position.loc[pd.MultiIndex.from_frame(implausible[keys].astype(object))].to_numpy()
    order = np.lexsort((stay, pd.factorize(implausible["variable"])[0]))
    variable, value = implausible["variable"].iloc[order], implausible["value"].astype(float).iloc[order]
    arrays = (stay[order], [None] * len(order), variable, value)
    columns = [pa.array(array, field.type) for array, field in zip(arrays, IMPLAUSIBLE, strict=True)]
    return pa.Table.from_arrays(columns, schema=IMPLAUSIBLE)
