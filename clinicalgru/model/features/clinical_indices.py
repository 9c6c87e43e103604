"""Clinical indices, such as PaO2/FiO2: what bedside medicine makes of the summaries of two variables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain, zip_longest
from typing import NamedTuple

import numpy as np

from clinicalgru.data.dictionary.schemas import nearest, schema_folder
from clinicalgru.data.dictionary.yaml_file import read_yaml
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError

SUMMARIES = ("count", "mean", "std", "min", "max", "first", "last", "change", "hours_since_first", "hours_since_last")
TOTAL = "total"
SIGNS = {" / ": np.divide, " - ": np.subtract, " or lower ": np.fmin}


class Operand(NamedTuple):
    """One operand of a formula: a summary of a variable, or its total.

    Parameters
    ----------
    variable : str
        Name of the variable.
    summary : str
        One of `SUMMARIES`, or "total".
    """

    variable: str
    summary: str


class Index(NamedTuple):
    """A formula that was read: one operand alone, or two and the sign that joins them.

    Parameters
    ----------
    operands : tuple of Operand
        One or two operands.
    sign : str
        One of `SIGNS`, or "" for one operand alone.
    """

    operands: tuple[Operand, ...]
    sign: str


@cache
def index_of(formula: str) -> Index:
    """Read a formula.

    Parameters
    ----------
    formula : str
        Such as "pao2 last / fio2 last".

    Returns
    -------
    Index
        Its operands and its sign.

    Raises
    ------
    ArgumentError
        For a summary or a sign that is not known.

    Examples
    --------
    >>> index_of("pao2 last / fio2 last").operands[0]
    Operand(variable='pao2', summary='last')
    """
    sign = next((sign for sign in SIGNS if sign in formula), "")
    words = [part.split() for part in (formula.split(sign) if sign else [formula])]
    wrong = [part[-1] for part in words if len(part) == 2 and part[1] not in (*SUMMARIES, TOTAL)]
    if len(words) > 2 or wrong or any(len(part) != 2 for part in words):
        expected = "a formula such as 'pao2 last / fio2 last', joined by '/', '-' or 'or lower'"
        known = f"{nearest(wrong[0], SUMMARIES) if wrong else ''}Summaries: {', '.join(SUMMARIES)}, {TOTAL}."
        raise ArgumentError(expected, repr(formula), known)
    return Index(tuple(Operand(variable, summary) for variable, summary in words), sign)


def known_indices(variables: Sequence[str]) -> tuple[str, ...]:
    """Give the formulas of data_schemas/indices.yaml that these variables allow.

    Parameters
    ----------
    variables : sequence of str
        Names of variables.

    Returns
    -------
    tuple of str
        Formulas, in the order of the file.

    Examples
    --------
    >>> known_indices(["ast", "alt", "ph"])
    ('ast max / alt max',)
    """
    return tuple(formula for formula in _shipped() if {o.variable for o in index_of(formula).operands} <= {*variables})


def indices_of(stays: Sequences) -> tuple[str, ...]:
    """Give the shipped formulas that the variables of these stays allow.

    Parameters
    ----------
    stays : Sequences
        Any stays.

    Returns
    -------
    tuple of str
        Formulas, as `known_indices` gives them.
    """
    return known_indices([variable.name for variable in stays.variables])


@cache
def _shipped() -> tuple[str, ...]:
    content = read_yaml(schema_folder() / "indices.yaml")
    return tuple(formula for entry in content.values() for formula in entry["formulas"])


def with_indices(summaries: np.ndarray, variables: Sequence[str], indices: Sequence[str]) -> np.ndarray:
    """Append clinical indices to the summaries that they are computed from.

    Parameters
    ----------
    summaries : ndarray, shape (point, variable x summary)
        As `summarise` gives them; NaN where not known.
    variables : sequence of str
        Names of the variables.
    indices : sequence of str
        Formulas.

    Returns
    -------
    ndarray of float32, shape (point, variable x summary + index)
        Summaries, then one column for each index; NaN where not known. Without indices, `summaries` itself.

    Raises
    ------
    ArgumentError
        If a formula cannot be read, or names a variable that is not among `variables`.
    """
    made = [_value(summaries, _columns(tuple(variables), formula), index_of(formula)) for formula in indices]
    return np.concatenate([summaries, *made], axis=1, dtype=np.float32) if made else summaries


def index_parts(variables: Sequence[str], indices: Sequence[str]) -> np.ndarray:
    """Give the columns of the summaries that each index is computed from.

    Parameters
    ----------
    variables : sequence of str
        Names of the variables.
    indices : sequence of str
        Formulas.

    Returns
    -------
    ndarray of int64, shape (index, part)
        Positions of columns; -1 where an index has fewer parts than others.

    Raises
    ------
    ArgumentError
        If a formula cannot be read, or names a variable that is not among `variables`.

    Examples
    --------
    >>> index_parts(["ast", "alt"], ["ast max / alt max"])
    array([[ 4, 14]])
    """
    made = [list(chain(*_columns(tuple(variables), formula))) for formula in indices]
    if not made:
        return np.zeros((0, 0), dtype=np.int64)
    return np.array(list(zip_longest(*made, fillvalue=-1)), dtype=np.int64).reshape(-1, len(indices)).T


@cache
def _columns(variables: tuple[str, ...], formula: str) -> tuple[tuple[int, ...], ...]:
    """Of each operand, the columns of the summaries that it is made of: a total of a count and a mean."""
    operands = index_of(formula).operands
    unknown = [operand.variable for operand in operands if operand.variable not in variables]
    if unknown:
        fix = f"{nearest(unknown[0], variables)}Leave it out, or read that variable."
        raise ArgumentError("indices of the variables at hand", f"{formula!r}", fix)
    return tuple(
        tuple(
            variables.index(variable) * len(SUMMARIES) + SUMMARIES.index(name)
            for name in (("count", "mean") if summary == TOTAL else (summary,))
        )
        for variable, summary in operands
    )


def _value(summaries: np.ndarray, columns: tuple[tuple[int, ...], ...], index: Index) -> np.ndarray:
    """(point, 1)"""
    sides = [
        np.expm1(summaries[:, column[:1]]) * summaries[:, column[1:]] if len(column) == 2 else summaries[:, column]
        for column in columns
    ]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = SIGNS[index.sign](*sides) if index.sign else sides[0]
    return np.where(np.isfinite(value), value, np.nan)
