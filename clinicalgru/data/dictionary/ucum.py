"""Units that the dictionary does not spell out, through the UCUM grammar (ucumvert on pint; extra `ucum`).

Only what needs no chemistry is converted: same dimension, same thing counted. Source: the Unified Code for Units of
Measure, https://ucum.org/ucum.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from typing import Any

from clinicalgru.data.dictionary.units import Conversion

LARGEST = 1e6  # factors beyond it are slips of case: Mg is a megagram, ML a megalitre
LONGEST = 30  # letters of a unit
AMBIGUOUS = re.compile(r"(?<![A-Za-z])([a-z]?eq|[a-z]?osm)(?![A-Za-z])|[{}]|[0-9]{3}")  # and powers that never end


@cache
def ucum_conversion(unit: str, own: str) -> Conversion | None:
    """The way from one UCUM unit into another of the same dimension; None where there is none that is safe.

    unit, own  UCUM codes in upper and lower case, such as "g/L" and "mg/dL"
    None for: text that is no UCUM, another dimension, numbers without dimension (is 40 a per cent or a score?),
    equivalents and osmoles (they need a valence), annotations (mg{urea} is not mg of urea nitrogen), scales that are
    not straight, factors above a million or below a millionth; and where ucumvert is not installed.

    >>> ucum_conversion("g/L", "mg/dL")
    Conversion(factor=100.0, offset=0.0)
    >>> ucum_conversion("mmol/L", "mg/dL") is None
    True
    """
    if find_spec("ucumvert") is None or not (_plain(unit) and _plain(own)):
        return None
    ours, theirs = _parse(own), _parse(unit)
    if ours is None or theirs is None or ours.dimensionless or ours.dimensionality != theirs.dimensionality:
        return None
    zero, one, two = (_convert(number, theirs, ours) for number in (0.0, 1.0, 2.0))
    factor = float(f"{one - zero:.12g}")
    straight = abs((two - one) - (one - zero)) <= 1e-9 * abs(one - zero)
    if not straight or not 1 / LARGEST <= abs(factor) <= LARGEST:
        return None
    return Conversion(factor, float(f"{zero / (one - zero):.9g}"))


def _plain(unit: str) -> bool:
    return len(unit) <= LONGEST and not AMBIGUOUS.search(unit)


def _parse(unit: str) -> Any:
    """The unit as a pint quantity, None where it is no UCUM."""
    from lark.exceptions import LarkError
    from pint.errors import PintError

    try:
        return _registry().from_ucum(unit)
    except (LarkError, PintError, ArithmeticError):
        return None


def _convert(number: float, theirs: Any, ours: Any) -> float:
    scaled = _registry().Quantity(number * theirs.magnitude, theirs.units)
    return float(scaled.to(ours.units).magnitude) / float(ours.magnitude)


@cache
def _registry() -> Any:
    """Made once, when first needed: it takes a second."""
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()
