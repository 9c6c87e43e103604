"""Errors and warnings of the package.

Each error says what was expected, what was passed instead, and what to do. Messages may name files, rows, columns,
counts, units and shapes; they never contain a patient's identifier or value.
"""

from __future__ import annotations

import numbers
from typing import Any


class ClinicalGRUError(ValueError):
    """Base class of all errors of the package: what was expected, what was passed instead, and what to do.

    Parameters
    ----------
    expected : str
        What would have been right.
    got : str
        What was passed instead: a type, shape, name, unit or count, as of `describe`; never a patient's data.
    fix : str
        One sentence that says what to do.
    where : str
        File, row and column, where there are any: "labs.csv, row 17, column value".

    Attributes
    ----------
    code : str
        Short name of the kind of error, for logs and tables.

    Examples
    --------
    >>> print(InputError("a column named time", "the columns patient_id, value", "Pass columns={'time': ...}."))
    Expected a column named time; got the columns patient_id, value. Pass columns={'time': ...}.
    """

    code = "error"

    def __init__(self, expected: str, got: str, fix: str, *, where: str = "") -> None:
        self.expected, self.got, self.fix, self.where = expected, got, fix, where
        super().__init__(f"{where + ': ' if where else ''}Expected {expected}; got {got}. {fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the four texts, so that a worker process can return an error."""
        return _rebuild, (type(self), self.expected, self.got, self.fix, self.where)


class InputError(ClinicalGRUError):
    """A file, table, column or cell that cannot be read.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "input"


class DictionaryError(ClinicalGRUError):
    """An unknown variable or unit, or a data dictionary that contradicts itself.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "dictionary"


class TaskError(ClinicalGRUError):
    """A task that contradicts itself, or that does not fit the data.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "task"


class ArgumentError(ClinicalGRUError):
    """An argument of a wrong type, size or name.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "argument"


class VariableMismatch(ClinicalGRUError):
    """Sequences with other variables, units or static covariates than those of the fitted model.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "variables"


class TrainingError(ClinicalGRUError):
    """Training that cannot start or cannot continue.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "training"


class BundleError(ClinicalGRUError):
    """A saved model that is incomplete, altered, or of another kind.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "bundle"


class MissingPackageError(ClinicalGRUError, ImportError):
    """An optional package that is not installed; also an `ImportError`.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "package"


class ClinicalGRUWarning(UserWarning):
    """Base class of all warnings of the package.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ClinicalGRUWarning)  # in a pipeline: stop instead of going on
    """


class DataWarning(ClinicalGRUWarning):
    """Data that can be used, but should be checked."""


class TrainingWarning(ClinicalGRUWarning):
    """Training that did not end as planned."""


class CalibrationWarning(ClinicalGRUWarning):
    """A model that could not be calibrated, or was calibrated on few stays."""


def describe(value: Any) -> str:
    """Describe a value for the `got` of an error: its type, with its shape or length, never its content.

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


def _rebuild(cls: type[ClinicalGRUError], expected: str, got: str, fix: str, where: str) -> ClinicalGRUError:
    return cls(expected, got, fix, where=where)
