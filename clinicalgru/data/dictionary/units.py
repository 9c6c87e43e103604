"""Conversions between units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Conversion:
    """A linear conversion into the unit of a variable: (value + offset) * factor.

    Parameters
    ----------
    factor : float
        Factor.
    offset : float
        Offset, in the other unit.

    Examples
    --------
    >>> round(Conversion(5 / 9, offset=-32).apply(98.6), 6)
    37.0
    """

    factor: float
    offset: float = 0.0

    def apply(self, value: Any) -> Any:
        """Convert values.

        Parameters
        ----------
        value : float or ndarray
            Values in the other unit.

        Returns
        -------
        float or ndarray
            Values in the unit of the variable.
        """
        return (value + self.offset) * self.factor
