"""What the values of a variable usually look like in its own unit: read from data_schemas/typical.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from clinicalgru.data.dictionary.schemas import schema_folder
from clinicalgru.data.dictionary.yaml_file import read_yaml

Floats = NDArray[np.float64]

BIN = 0.01  # of histograms and densities, in natural logarithms
LOWEST, HIGHEST = -9.0, 16.0  # logarithms of the values that are looked at
FURTHEST = 8.0  # largest difference of logarithms that is looked at
LOGS = LOWEST + BIN * (np.arange(round((HIGHEST - LOWEST) / BIN)) + 0.5)
STEPS = BIN * (np.arange(round(2 * FURTHEST / BIN)) + 0.5) - FURTHEST
SHARES = np.array([0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995])
STEP_SHARES = np.array([0.0, 0.5, 0.9, 0.99, 0.997])


@dataclass(frozen=True)
class Typical:
    """Usual values of one variable, in its own unit, in adults in intensive care.

    quantiles  of single values, at SHARES
    steps      quantiles of |ln(first / second)| and |ln(last / last but one)| of a stay's values, at STEP_SHARES from
               the second on
    spikes     the same of |ln(value / middle one of it and its two neighbours)|
    units      other units that its values are searched for

    >>> typical()["temperature"].units
    ('[degF]', 'K')
    """

    quantiles: tuple[float, ...]
    steps: tuple[float, ...]
    spikes: tuple[float, ...]
    units: tuple[str, ...]

    @property
    def centre(self) -> float:
        """The median."""
        return self.quantiles[3]

    @property
    def width(self) -> float:
        """Distance between the quartiles, in natural logarithms."""
        return float(np.log(self.quantiles[4] / self.quantiles[2])) + 2 * BIN

    @cached_property
    def density(self) -> Floats:
        """Density of the logarithm of a value at LOGS."""
        return _whole(_smooth(_density(LOGS, np.log(np.array(self.quantiles)), SHARES), 0.1 * self.width))

    @cached_property
    def step_density(self) -> Floats:
        """Density of a step at STEPS, alike in both directions."""
        return _whole(_density(np.abs(STEPS), np.array([0.0, *self.steps]), STEP_SHARES))

    @cached_property
    def spike_density(self) -> Floats:
        """Density of a spike at STEPS, alike in both directions."""
        return _whole(_density(np.abs(STEPS), np.array([0.0, *self.spikes]), STEP_SHARES))


@cache
def typical() -> Mapping[str, Typical]:
    """Usual values by variable."""
    content = read_yaml(schema_folder() / "typical.yaml")
    return {name: Typical(*(tuple(entry[key]) for key in Typical.__annotations__)) for name, entry in content.items()}


def _density(at: np.ndarray, quantiles: np.ndarray, shares: Floats) -> Floats:
    """Density with the given quantiles: level between two of them, exponential tails outside."""
    knots = np.maximum.accumulate(quantiles) + BIN * np.arange(len(quantiles))  # ties get a width
    level = np.diff(shares) / np.diff(knots)
    piece = np.clip(np.searchsorted(knots, at) - 1, 0, len(level) - 1)
    below = _tail(knots[0] - at, shares[0], knots[1] - knots[0])
    above = _tail(at - knots[-1], 1 - shares[-1], knots[-1] - knots[-2])
    return np.where(at < knots[0], below, np.where(at > knots[-1], above, level[piece]))


def _whole(density: Floats) -> Floats:
    """The density with a sum of 1 over the bins."""
    return density / (density.sum() * BIN)


def _tail(beyond: Floats, share: float, reach: float) -> Floats:
    scale = max(reach / 2, BIN)
    return share / scale * np.exp(-np.maximum(beyond, 0) / scale)


def _smooth(density: Floats, spread: float) -> Floats:
    half = int(np.ceil(4 * spread / BIN))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * BIN / max(spread, BIN / 4)) ** 2)
    return np.convolve(density, kernel / kernel.sum(), mode="same")
