"""Names of the classes of an outcome: in texts, in columns, in prediction sets."""

from __future__ import annotations

import math
import numbers
import re
from typing import Any

JOINED = " or "  # between the classes of a prediction set
ONE_OF = "one of: "  # before the names of all classes of an outcome


def format_class(value: float) -> str:
    """Write the value of a class.

    Parameters
    ----------
    value : float
        Value of the outcome.

    Returns
    -------
    str
        Its digits, without ".0".

    Examples
    --------
    >>> format_class(2.0), format_class(1.5)
    ('2', '1.5')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def is_named(name: str) -> bool:
    """Whether a class has a name rather than a number.

    Parameters
    ----------
    name : str
        From `Task.class_names`.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_named("died"), is_named("2")
    (True, False)
    """
    return class_number(name) is None


def class_text(name: str) -> str:
    """Write a class within a text: its name, or "class 2".

    Parameters
    ----------
    name : str
        From `Task.class_names`.

    Returns
    -------
    str

    Examples
    --------
    >>> class_text("died"), class_text("2")
    ('died', 'class 2')
    """
    return name if is_named(name) else f"class {name}"


def column_part(name: str) -> str:
    """Write a class or label as part of a column: letters, digits and underscores.

    Parameters
    ----------
    name : str
        Name of a class or label, or the number of a class.

    Returns
    -------
    str
        A number as it is.

    Examples
    --------
    >>> column_part("to a nursing home"), column_part("-1.5")
    ('to_a_nursing_home', '-1.5')
    """
    return re.sub(r"\W+", "_", name).strip("_") if is_named(name) else name


def class_number(value: Any) -> float | None:
    """Read the number of a class.

    Parameters
    ----------
    value : object
        A number, or its digits.

    Returns
    -------
    float or None
        None where it is no finite number.

    Examples
    --------
    >>> class_number("2"), class_number("died")
    (2.0, None)
    """
    if isinstance(value, bool) or not isinstance(value, str | numbers.Real):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
