"""Conversions between units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Conversion:
    """From another unit into a variable's own: (value + offset) * factor.

    >>> round(Conversion(5 / 9, offset=-32).apply(98.6), 6)
    37.0
    """

    factor: float
    offset: float = 0.0

    def apply(self, value: Any) -> Any:
        """A number or array in the other unit as one in the variable's own unit."""
        return (value + self.offset) * self.factor
