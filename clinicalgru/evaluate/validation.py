"""What the judge takes: outcomes of 0 and 1, risks that are probabilities, one of each for every stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clinicalgru.errors import ArgumentError

Array = NDArray[np.float64]


def checked_outcome(outcome: ArrayLike) -> Array:
    """The outcome of each stay as 0.0 or 1.0, with both classes present.

    outcome  (stay,)  0/1 or False/True
    returns  (stay,)

    Refused: anything but one column, no stays, unknown outcomes (counted), values other than 0 and 1, one class only.

    >>> checked_outcome([True, False])
    array([1., 0.])
    """
    numbers = _numbers(outcome, "outcome")
    _refuse_unknown(numbers, "outcome", "Select the stays with a known outcome before judging.")
    other = int(np.sum((numbers != 0) & (numbers != 1)))
    if other:
        raise ArgumentError("an outcome of 0 or 1", _count(other, numbers, "another value"), "Code the event as 1.")
    if numbers.min() == numbers.max():
        only = f"only outcome {numbers[0]:.0f} in {len(numbers):,} stays"
        raise ArgumentError("stays with and without the event", only, "Judge a set of stays that has both.")
    return numbers


def checked_risk(risk: ArrayLike, *, stays: int | None = None, name: str = "risk") -> Array:
    """The risk of each stay as a probability.

    risk     (stay,)  between 0 and 1
    stays    how many are expected; None for any number
    returns  (stay,)

    Refused: anything but one column, another length, no stays, unknown risks (counted), values outside of 0 to 1.

    >>> checked_risk([0.1, 0.9], stays=2)
    array([0.1, 0.9])
    """
    numbers = _numbers(risk, name)
    if stays is not None and len(numbers) != stays:
        raise ArgumentError(
            f"one {name} for each of {stays:,} stays",
            f"{len(numbers):,}",
            "Predict for the stays whose outcome you pass.",
        )
    _refuse_unknown(numbers, name, "Select the stays that have a risk before judging, and report how many had none.")
    outside = int(np.sum((numbers < 0) | (numbers > 1)))
    if outside:
        raise ArgumentError(
            f"a {name} between 0 and 1", _count(outside, numbers, "a value outside"), "Pass probabilities, not logits."
        )
    return numbers


def _numbers(values: ArrayLike, name: str) -> Array:
    column: Any = values if isinstance(values, pd.Series) else np.asarray(values)
    if column.ndim != 1:
        fix = "Pass one column; for predict_proba that is [:, 1]."
        raise ArgumentError(f"{name} of shape (stay,)", f"shape {column.shape}", fix)
    try:
        numbers = pd.Series(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):  # the original message would quote the value
        raise ArgumentError(f"a number for each {name}", f"type {column.dtype}", "Convert it to numbers.") from None
    if not len(numbers):
        raise ArgumentError(f"{name} of at least one stay", "none", "Pass the stays to be judged.")
    return numbers


def _refuse_unknown(numbers: Array, name: str, fix: str) -> None:
    unknown = int(np.isnan(numbers).sum())
    if unknown:
        raise ArgumentError(f"a known {name} for every stay", _count(unknown, numbers, "an unknown one"), fix)


def _count(stays: int, numbers: Array, what: str) -> str:
    return f"{stays:,} of {len(numbers):,} stays with {what}"
