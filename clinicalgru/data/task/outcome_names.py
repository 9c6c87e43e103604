"""Names that a task gives to the classes and values of its outcome, and to its outcome columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.class_names import JOINED, class_number, column_part, format_class, is_named
from clinicalgru.errors import TaskError, describe

VALUE_LISTS = ("positive_values", "negative_values")  # fields of a task
WORDS_OF = {1.0: ("yes", "y", "true", "t"), 0.0: ("no", "n", "false", "f")}  # YAML reads yes and no as true and false


def normalize_classes(classes: Any) -> dict[float, str]:
    """Read the names of classes as a task stores them: by number, ascending.

    Parameters
    ----------
    classes : mapping
        Number, or its digits -> name.

    Returns
    -------
    dict of float to str
    """
    numbered = {float(key): name for key, name in classes.items()}
    return dict(sorted(numbered.items()))


def name_problems(task: Any) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the names of a task.

    Parameters
    ----------
    task : Task
        The task, before its fields are normalized.

    Yields
    ------
    tuple of str
        Field, what was expected, what was given.
    """
    for field in ("classes", "outcome_labels"):
        names = getattr(task, field)
        if not isinstance(names, Mapping) or not all(isinstance(name, str) and name.strip() for name in names.values()):
            yield field, f"{field} as a mapping to names", describe(names)
            return
    texts = list(task.classes.values())
    if any(class_number(key) is None for key in task.classes) or len(set(map(class_number, task.classes))) < len(texts):
        yield "classes", "a different number before each name, such as {0: home, 1: died}", "others"
    if not all(isinstance(key, str) for key in task.outcome_labels):
        yield "outcome_labels", "the name of an outcome column before each label", "others"
    if len(texts) == 1:
        yield "classes", "two classes or more", "1 of them"
    for text in texts:
        if not is_named(text) or JOINED in text or not column_part(text):
            yield "classes", f"names in words, without {JOINED.strip()!r} between words", repr(text)
    if len({column_part(text).casefold() for text in texts}) < len(texts):
        yield "classes", "names that differ in letters or digits", ", ".join(texts)


def class_values(outcome: pd.Series, task: Any) -> np.ndarray:
    """The number of the class of each stay, from the numbers or names in an outcome column.

    Parameters
    ----------
    outcome : Series
        Numbers, or categories of text; missing = unknown.
    task : Task
        A multiclass task.

    Returns
    -------
    ndarray of float, shape (stay,)
        NaN = unknown.

    Raises
    ------
    TaskError
        If a value is none of the classes that the task names, or text of which the task names nothing.
    """
    where, column = f"task {task.name}, classes", task.outcomes[0]
    if isinstance(outcome.dtype, pd.CategoricalDtype):
        if not task.classes:
            fix = "Name them in the task: classes: {0: ..., 1: ...}."
            raise TaskError(f"numbers in {column}, or a task that names its classes", "text", fix, where=where)
        known = {_folded(name): value for value, name in task.classes.items()}
        number = [known.get(_folded(text), math.nan) for text in outcome.cat.categories]
        values = np.append(number, math.nan)[outcome.cat.codes]
    else:
        values = outcome.to_numpy(dtype=float)
        if task.classes:
            values = np.where(np.isin(values, list(task.classes)), values, math.nan)
    other = int((np.isnan(values) & outcome.notna().to_numpy()).sum())
    if other:
        named = ", ".join(f"{format_class(value)}: {name}" for value, name in task.classes.items())
        fix = "Name each class as the outcomes table does, or correct the table."
        raise TaskError(f"values of {column} among {named}", f"others, in {other:,} stays", fix, where=where)
    return values


def value_problems(task: Any) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the values of a task that mean 1 and 0.

    Parameters
    ----------
    task : Task
        The task, before its fields are normalized.

    Yields
    ------
    tuple of str
        Field, what was expected, what was given.
    """
    lists = [getattr(task, field) for field in VALUE_LISTS]
    for field, values in zip(VALUE_LISTS, lists, strict=True):
        is_list = isinstance(values, list | tuple)
        if not is_list or not all(isinstance(v, str | int | float) and str(v).strip() for v in values):
            yield field, f"{field} as a list of words or numbers", describe(values)
            return
    for field, values, others in zip(VALUE_LISTS, lists, reversed(lists), strict=True):
        if others and not values:
            yield field, "both positive_values and negative_values: a value that neither names is unknown", "one list"
    shared = set.intersection(*({key for value in values for key in _keys(value)} for values in lists))
    if shared:
        yield VALUE_LISTS[0], "each value in one of positive_values and negative_values", "a value in both"


def as_flags(outcome: pd.Series, task: Any) -> np.ndarray:
    """Read an outcome column as 0 and 1, by the values that the task names.

    Parameters
    ----------
    outcome : Series
        Numbers, or categories of text; missing = unknown.
    task : Task
        A task with `positive_values` and `negative_values`.

    Returns
    -------
    ndarray of float, shape (stay,)
        1, 0, or NaN where the value is missing or in neither list.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru import Task
    >>> from clinicalgru.data.task.outcome_names import as_flags
    >>> task = Task("death", "place", (0, 24), positive_values=("Expired",), negative_values=("Home",))
    >>> as_flags(pd.Series(["expired", "Home", "Hospice", None], dtype="category"), task)
    array([ 1.,  0., nan, nan])
    """
    flags: dict[object, float] = {
        key: flag
        for flag, field in zip((1.0, 0.0), VALUE_LISTS, strict=True)
        for value in getattr(task, field)
        for key in _keys(value)
    }
    if isinstance(outcome.dtype, pd.CategoricalDtype):
        of_category = [flags.get(_folded(text), math.nan) for text in outcome.cat.categories]
        return np.append(of_category, math.nan)[outcome.cat.codes]
    return outcome.astype(float).map(flags).to_numpy(dtype=float)


def _keys(value: str | float) -> set[object]:
    """What a named value may stand as in a column: folded text, or a number where it is one, or a word for 0 or 1."""
    text = _folded(str(value))
    number = next((number for number, words in WORDS_OF.items() if text in words), class_number(text))
    words = WORDS_OF[float(value)] if isinstance(value, bool) else ()
    return {text, *words} if number is None else {text, *words, float(number)}


def _folded(text: str) -> str:
    """A name without regard to case and spaces."""
    return " ".join(str(text).casefold().split())
