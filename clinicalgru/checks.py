"""Checks of arguments: one place where a value of the wrong type, size or name becomes an `ArgumentError`."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from clinicalgru.errors import ArgumentError, describe


def check_instance(name: str, value: Any, *types: type, fix: str = "") -> None:
    """Raise unless a value is an instance of one of some types.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        What was passed.
    *types : type
        Types that are accepted.
    fix : str
        What to do; a default sentence where empty.

    Raises
    ------
    ArgumentError
        If `value` is of another type.

    Examples
    --------
    >>> check_instance("stays", 5, list)
    Traceback (most recent call last):
    clinicalgru.errors.ArgumentError: Expected stays as list; got the number 5. Pass a list.
    """
    if not isinstance(value, types):
        names = " or ".join(one.__name__ for one in types)
        raise ArgumentError(f"{name} as {names}", describe(value), fix or f"Pass a {names}.")


def check_number(
    name: str,
    value: Any,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    whole: bool = False,
    open_minimum: bool = False,
    open_maximum: bool = False,
    optional: bool = False,
) -> None:
    """Raise unless a value is a finite number within bounds.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        What was passed; numpy scalars are numbers, booleans and text are not.
    minimum, maximum : float
        Bounds, included unless `open_minimum` or `open_maximum`.
    whole : bool
        Whether only whole numbers are accepted.
    open_minimum, open_maximum : bool
        Whether the bound itself is excluded.
    optional : bool
        Whether None is accepted.

    Raises
    ------
    ArgumentError
        If `value` is not such a number.

    Examples
    --------
    >>> check_number("max_epochs", 2.5, minimum=1, whole=True)
    Traceback (most recent call last):
    clinicalgru.errors.ArgumentError: Expected max_epochs as a whole number of 1 or more; got 2.5. Correct it.
    """
    if value is None and optional:
        return
    kind = numbers.Integral if whole else numbers.Real
    if (
        isinstance(value, bool)
        or not isinstance(value, kind)
        or not math.isfinite(value)
        or not minimum <= float(value) <= maximum
        or (open_minimum and value == minimum)
        or (open_maximum and value == maximum)
    ):
        low = "" if minimum == -math.inf else f" above {minimum:g}" if open_minimum else f" of {minimum:g} or more"
        high = "" if maximum == math.inf else f" below {maximum:g}" if open_maximum else f" of {maximum:g} or less"
        bounds = f"{low}{' and' if low and high else ''}{high}{', or None' if optional else ''}"
        got = f"{value}" if isinstance(value, numbers.Real) and not isinstance(value, bool) else describe(value)
        raise ArgumentError(f"{name} as a {'whole ' if whole else ''}number{bounds}", got, "Correct it.")


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise unless a value is one of some choices.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        What was passed.
    choices : iterable
        What is accepted.

    Raises
    ------
    ArgumentError
        If `value` is none of them.

    Examples
    --------
    >>> check_choice("cell", "gro", ("gru", "lstm"))
    Traceback (most recent call last):
    clinicalgru.errors.ArgumentError: Expected cell among "gru", "lstm"; got "gro". Choose one of them.
    """
    known = list(choices)
    if not any(value is one or (type(value) is type(one) and value == one) for one in known):
        got = _quoted(value) if isinstance(value, str) else describe(value)
        raise ArgumentError(f"{name} among {', '.join(map(_quoted, known))}", got, "Choose one of them.")


def to_python(value: Any) -> Any:
    """Give a numpy scalar as a Python number, and a list or array as a tuple of such; all else as it is.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    object
        The same value in Python's own types.

    Examples
    --------
    >>> import numpy as np
    >>> to_python(np.int64(8)), to_python(np.arange(2)), to_python("gru")
    (8, (0, 1), 'gru')
    """
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(to_python, value)) if isinstance(value, list | tuple | np.ndarray) else value


def _quoted(choice: Any) -> str:
    return f'"{choice}"' if isinstance(choice, str) else str(choice)
