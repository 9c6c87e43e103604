"""One error family. Each error says what was expected, what came, and what to do.

Messages may name files, rows, columns, counts, units and shapes; never a patient's identifier or value.
"""

from __future__ import annotations


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
