"""Errors and warnings of the package.

Each error says what was expected, what was passed instead, and what to do. Messages may name files, rows, columns,
counts, units and shapes; they never contain a patient's identifier or value.
"""

from __future__ import annotations

import errno
import numbers
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
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
    exit_code : int
        With which the command line ends.

    Examples
    --------
    >>> print(InputError("a column named time", "the columns patient_id, value", "Pass columns={'time': ...}."))
    Expected a column named time; got the columns patient_id, value. Pass columns={'time': ...}.
    """

    code = "error"
    exit_code = 2

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


class SignatureError(BundleError):
    """A bundle that is not signed by the required key.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "signature"
    exit_code = 8


class InputMismatch(ClinicalGRUError):
    """An extract that differs from what a model learned from, where that is not allowed.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "mismatch"
    exit_code = 3


class TooFewScored(ClinicalGRUError):
    """Fewer stays with a prediction than requested.

    Parameters
    ----------
    expected, got, fix, where : str
        See `ClinicalGRUError`.
    """

    code = "too few scored"
    exit_code = 4


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


class PrivacyWarning(ClinicalGRUWarning):
    """A model that tells too much about the patients it was trained on."""


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


# Error number of the system -> what was expected, what was found, what to do.
SYSTEM_ERRORS = {
    (errno.ENOENT,): ("an existing file or folder", "no such path", "Check the path."),
    (errno.EACCES, errno.EPERM): (
        "permission to use this path",
        "permission denied",
        "Change the rights of the file or folder, or choose another one.",
    ),
    (errno.EROFS,): ("a place that can be written to", "a read-only disk", "Choose another folder."),
    (errno.EISDIR,): ("a file", "a folder of that name", "Pass the path of a file."),
    (errno.ENOTDIR, errno.EEXIST): ("a folder", "a file of that name", "Choose another path."),
    (errno.ENOTEMPTY,): ("an empty folder", "a folder with files in it", "Choose another folder."),
    (errno.ENAMETOOLONG,): ("a name that the disk can hold", "a longer name", "Choose a shorter name."),
    (errno.ELOOP,): ("links that lead to a file", "links in a circle", "Remove the links."),
    (errno.EMFILE, errno.ENFILE): ("fewer open files", "more than allowed", "Raise the limit (ulimit -n)."),
    (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)): (
        "enough free disk space",
        "a full disk, or a limit on the size of files",
        "Free disk space; temporary files go to the folder that TMPDIR names.",
    ),
    (errno.ETXTBSY, errno.EBUSY): ("a file of its own", "one in use by another program", "Close it there."),
}


def system_error(error: OSError, name: str) -> InputError:
    """Build the error that says what the operating system refused.

    Parameters
    ----------
    error : OSError
        The system's error.
    name : str
        Name of the file or folder, for the message.

    Returns
    -------
    InputError
        The error, to be raised.

    Examples
    --------
    >>> print(system_error(PermissionError(13, "Permission denied"), "labs.csv"))
    labs.csv: Expected permission to use this path; got permission denied. Change the rights of the file or folder, or \
choose another one.
    """
    number = error.errno if error.errno is not None else system_error_number(str(error))
    for numbers_, (expected, got, fix) in SYSTEM_ERRORS.items():
        if number in numbers_:
            return InputError(expected, got, fix, where=name)
    got = os.strerror(number).lower() if number is not None else "an error of the system"
    return InputError("a file or folder that can be read or written", got, "Check the disk, and try again.", where=name)


def system_error_number(message: str) -> int | None:
    """Find the number of the system's error that the message of another library quotes.

    Parameters
    ----------
    message : str
        The message.

    Returns
    -------
    int or None
        The number, by itself or by its text; None where there is none that is known.

    Examples
    --------
    >>> system_error_number("IO Error: Could not write: No space left on device")
    28
    """
    written = re.search(r"errno:? (\d+)", message, re.IGNORECASE)
    if written:
        return int(written[1])
    known = (number for numbers_ in SYSTEM_ERRORS for number in numbers_)
    return next((number for number in known if os.strerror(number).lower() in message.lower()), None)


@contextmanager
def system_errors(name: str) -> Iterator[None]:
    """Raise errors of the operating system as ours: no permission, no such folder, a full disk.

    Parameters
    ----------
    name : str
        Name of the file or folder, for the message.

    Yields
    ------
    None
        Nothing; the block reads or writes.

    Raises
    ------
    InputError
        If the system refuses.
    """
    try:
        yield
    except OSError as error:
        raise system_error(error, name) from None
    except ValueError as error:
        if type(error) is not ValueError or "null byte" not in str(error):
            raise
        fix = "Choose another name."
        raise InputError("a name that the disk can hold", "one with a NUL character", fix) from None
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # of Path.resolve before Python 3.13
            raise
        raise system_error(OSError(errno.ELOOP, ""), name) from None


def _rebuild(cls: type[ClinicalGRUError], expected: str, got: str, fix: str, where: str) -> ClinicalGRUError:
    return cls(expected, got, fix, where=where)
