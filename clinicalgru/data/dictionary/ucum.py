"""Units that the dictionary does not list, through the UCUM grammar (ucumvert on pint; extra `ucum`).

Only conversions that need no chemistry are made: same dimension, same quantity.

References
----------
The Unified Code for Units of Measure, https://ucum.org/ucum.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from typing import Any

from clinicalgru.data.dictionary.units import Conversion

MAX_FACTOR = 1e6  # larger factors are errors of case: Mg is a megagram, ML a megalitre
MAX_LENGTH = 30  # letters of a unit
AMBIGUOUS = re.compile(r"(?<![A-Za-z])([a-z]?eq|[a-z]?osm)(?![A-Za-z])|[{}]|[0-9]{3}")  # and long powers


@cache
def ucum_conversion(unit: str, own: str) -> Conversion | None:
    """Convert between two UCUM units of the same dimension.

    Parameters
    ----------
    unit, own : str
        UCUM codes in upper and lower case, such as "g/L" and "mg/dL"; from `unit` into `own`.

    Returns
    -------
    Conversion or None
        None where there is no safe conversion: text that is not UCUM, another dimension, numbers without dimension
        (40 may be per cent or a score), equivalents and osmoles (they need a valence), annotations (mg{urea} is not
        mg of urea nitrogen), non-linear scales, factors above a million or below a millionth; and where ucumvert is
        not installed.

    Examples
    --------
    >>> ucum_conversion("g/L", "mg/dL")
    Conversion(factor=100.0, offset=0.0)
    >>> ucum_conversion("mmol/L", "mg/dL") is None
    True
    """
    if find_spec("ucumvert") is None or not (_plain(unit) and _plain(own)):
        return None
    target, given = _parse(own), _parse(unit)
    if target is None or given is None or target.dimensionless or target.dimensionality != given.dimensionality:
        return None
    zero, one, two = (_convert(number, given, target) for number in (0.0, 1.0, 2.0))
    factor = float(f"{one - zero:.12g}")
    linear = abs((two - one) - (one - zero)) <= 1e-9 * abs(one - zero)
    if not linear or not 1 / MAX_FACTOR <= abs(factor) <= MAX_FACTOR:
        return None
    return Conversion(factor, float(f"{zero / (one - zero):.9g}"))


def _plain(unit: str) -> bool:
    return len(unit) <= MAX_LENGTH and not AMBIGUOUS.search(unit)


def _parse(unit: str) -> Any:
    """The unit as a pint quantity; None where it is not UCUM."""
    from lark.exceptions import LarkError
    from pint.errors import PintError

    try:
        return _registry().from_ucum(unit)
    except (LarkError, PintError, ArithmeticError):
        return None


def _convert(number: float, given: Any, target: Any) -> float:
    scaled = _registry().Quantity(number * given.magnitude, given.units)
    return float(scaled.to(target.units).magnitude) / float(target.magnitude)


@cache
def _registry() -> Any:
    """Created once, on first use: it takes a second."""
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()
