"""Validation of outcomes and risks: one value for each stay, 0 or 1, or a probability; pandas objects aligned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.errors import ArgumentError, describe

Array = NDArray[np.float64]


def validate_outcome(outcome: ArrayLike) -> Array:
    """Return the outcome of each stay as 0.0 or 1.0.

    Parameters
    ----------
    outcome : array-like, shape (n_stays,)
        0 and 1, or False and True; both present.

    Returns
    -------
    ndarray of float64, shape (n_stays,)
        The outcome.

    Raises
    ------
    ArgumentError
        If the outcome is not one column, is empty, holds unknown or other values, or holds one class only.

    Examples
    --------
    >>> validate_outcome([True, False])
    array([1., 0.])
    """
    numbers = _one_column(outcome, "outcome")
    _refuse_unknown(numbers, "outcome", "Select the stays with a known outcome before evaluating.")
    other = int(np.sum((numbers != 0) & (numbers != 1)))
    if other:
        raise ArgumentError("an outcome of 0 or 1", _count(other, numbers, "another value"), "Code the event as 1.")
    if numbers.min() == numbers.max():
        got = f"only outcome {numbers[0]:.0f} in {len(numbers):,} stays"
        raise ArgumentError("stays with and without the event", got, "Evaluate on a set of stays that has both.")
    return numbers


def validate_risk(risk: ArrayLike, *, stays: int | None = None, name: str = "risk") -> Array:
    """Return the risk of each stay as a probability.

    Parameters
    ----------
    risk : array-like, shape (n_stays,)
        Between 0 and 1.
    stays : int, optional
        Expected number of stays.
    name : str
        Name of the argument, for error messages.

    Returns
    -------
    ndarray of float64, shape (n_stays,)
        The risk.

    Raises
    ------
    ArgumentError
        If the risk is not one column, has another length, is empty, or holds unknown values or values outside of 0
        to 1.

    Examples
    --------
    >>> validate_risk([0.1, 0.9], stays=2)
    array([0.1, 0.9])
    """
    numbers = _one_column(risk, name)
    if stays is not None and len(numbers) != stays:
        fix = "Predict for the stays whose outcome you pass."
        raise ArgumentError(f"one {name} for each of {stays:,} stays", f"{len(numbers):,}", fix)
    _refuse_unknown(numbers, name, "Select the stays with a risk before evaluating, and report how many had none.")
    outside = int(np.sum((numbers < 0) | (numbers > 1)))
    if outside:
        got = _count(outside, numbers, "a value outside")
        raise ArgumentError(f"a {name} between 0 and 1", got, "Pass probabilities, not logits.")
    return numbers


def check_aligned(**named: Any) -> None:
    """Raise if two of the arguments are pandas objects of equal length with different indexes.

    Rows are compared by position. Where two pandas objects carry different indexes, positions would silently pair the
    outcome of one stay with the risk of another.

    Parameters
    ----------
    **named : object
        Arguments by name; only `pandas.Series` and `pandas.DataFrame` are compared.

    Raises
    ------
    ArgumentError
        If an index differs, also if only its order differs.

    Examples
    --------
    >>> import pandas as pd
    >>> check_aligned(outcome=pd.Series([0, 1], index=["a", "b"]), risk=pd.Series([0.9, 0.1], index=["b", "a"]))
    Traceback (most recent call last):
    clinicalgru.errors.ArgumentError: Expected risk with the index of outcome; got the same labels in another order. \
Align them: risk = risk.loc[outcome.index].
    """
    indexed = [(name, value) for name, value in named.items() if isinstance(value, pd.Series | pd.DataFrame)]
    for (first, one), (name, other) in ((indexed[0], pair) for pair in indexed[1:]):
        if len(one) != len(other) or one.index.equals(other.index):
            continue
        shared = int(one.index.isin(other.index).sum())
        if shared == len(one):
            got, fix = "the same labels in another order", f"Align them: {name} = {name}.loc[{first}.index]."
        else:
            got = f"an index that shares {shared:,} of {len(one):,} labels"
            fix = f"Align them, or pass {name}.to_numpy() where the rows correspond by position."
        raise ArgumentError(f"{name} with the index of {first}", got, fix)


def _one_column(values: ArrayLike, name: str) -> Array:
    """Values as one column of numbers; unknown ones become NaN."""
    column: Any = values if isinstance(values, pd.Series) else np.asarray(values)
    if column.ndim != 1:
        fix = "Pass one column; for predict_proba that is [:, 1]."
        got = f"shape {column.shape}" if column.ndim else describe(values)
        raise ArgumentError(f"{name} of shape (n_stays,)", got, fix)
    try:
        numbers = pd.Series(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):  # the original message would quote the value
        raise ArgumentError(f"a number for each {name}", f"type {column.dtype}", "Convert it to numbers.") from None
    if not len(numbers):
        raise ArgumentError(f"{name} of at least one stay", "0 stays", "Pass the stays to evaluate on.")
    return numbers


def _refuse_unknown(numbers: Array, name: str, fix: str) -> None:
    unknown = int(np.isnan(numbers).sum())
    if unknown:
        raise ArgumentError(f"a known {name} for every stay", _count(unknown, numbers, "an unknown one"), fix)


def _count(stays: int, numbers: Array, what: str) -> str:
    return f"{stays:,} of {len(numbers):,} stays with {what}"
