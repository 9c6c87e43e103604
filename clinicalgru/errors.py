"""Errors and warnings of the package.

Each error says what was expected, what came, and what to do. Messages may name files, rows, columns, counts, units and
shapes; never a patient's identifier or value.
"""

from __future__ import annotations

import numbers
from typing import Any


class ClinicalGRUError(ValueError):
    """What was expected, what came instead, and what to do about it.

    expected  what would have been right
    got       what came instead; counts, names, units and shapes, never a patient's identifier or value
    fix       one sentence that says what to do
    where     file, row, column, where there are any: "labs.csv, row 17, column value"

    >>> print(InputError("a column named time", "the columns patient_id, value", "Pass columns={'time': ...}."))
    Expected a column named time; got the columns patient_id, value. Pass columns={'time': ...}.
    """

    code = "error"

    def __init__(self, expected: str, got: str, fix: str, *, where: str = "") -> None:
        self.expected, self.got, self.fix, self.where = expected, got, fix, where
        super().__init__(f"{where + ': ' if where else ''}Expected {expected}; got {got}. {fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors survive pickling, so that a worker process can hand one back."""
        return _rebuild, (type(self), self.expected, self.got, self.fix, self.where)


class InputError(ClinicalGRUError):
    """A file, table, column or cell that cannot be read as what it claims to be."""

    code = "input"


class DictionaryError(ClinicalGRUError):
    """A variable, unit or data dictionary that is not known or contradicts itself."""

    code = "dictionary"


class TaskError(ClinicalGRUError):
    """A task that cannot be asked of this data."""

    code = "task"


class ArgumentError(ClinicalGRUError):
    """An argument outside of what a function takes."""

    code = "argument"


class VariableMismatch(ClinicalGRUError):
    """Sequences whose variables, units or static descriptors are not those the model was fitted on."""

    code = "variables"


class TrainingError(ClinicalGRUError):
    """Training that cannot start or cannot go on."""

    code = "training"


class BundleError(ClinicalGRUError):
    """A saved model that is incomplete, altered or made for something else."""

    code = "bundle"


class MissingPackageError(ClinicalGRUError, ImportError):
    """An optional package that is not installed; the fix names the extra that brings it."""

    code = "package"


class ClinicalGRUWarning(UserWarning):
    """Base class of all warnings of the package."""


class DataWarning(ClinicalGRUWarning):
    """Something in the data that can be used, but should be looked at."""


class TrainingWarning(ClinicalGRUWarning):
    """Training that ended otherwise than planned."""


class CalibrationWarning(ClinicalGRUWarning):
    """A model that could not be calibrated, or on too little."""


def _rebuild(cls: type[ClinicalGRUError], expected: str, got: str, fix: str, where: str) -> ClinicalGRUError:
    return cls(expected, got, fix, where=where)


def describe(value: Any) -> str:
    """What a value is, for the `got` of an error: its type, with its shape or length; never its content.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    str
        Such as "a DataFrame of shape (3, 2)", "text", "the number 5", "None".

    Examples
    --------
    >>> describe("abc"), describe([1, 2]), describe(None), describe(2.5)
    ('text', 'a list of length 2', 'None', 'the number 2.5')
    """
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return "text"
    if isinstance(value, numbers.Number):
        return f"the number {value}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    article = "an" if name[:1] in "AEIOUaeiou" else "a"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{article} {name} of shape {tuple(int(size) for size in shape)}"
    return f"{article} {name} of length {len(value)}" if hasattr(value, "__len__") else f"{article} {name}"
