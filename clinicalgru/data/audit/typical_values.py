"""Reference distributions: what the values of a variable usually look like, from data_schemas/typical.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from clinicalgru.data.dictionary.schemas import schema_folder
from clinicalgru.data.dictionary.yaml_file import read_yaml

Floats = NDArray[np.float64]

BIN_WIDTH = 0.01  # of histograms and densities, in natural logarithms
MIN_LOG, MAX_LOG = -9.0, 16.0  # range of the logarithms of values
MAX_LOG_RATIO = 8.0  # largest absolute logarithm of a ratio of two values
LOG_VALUES = MIN_LOG + BIN_WIDTH * (np.arange(round((MAX_LOG - MIN_LOG) / BIN_WIDTH)) + 0.5)
LOG_RATIOS = BIN_WIDTH * (np.arange(round(2 * MAX_LOG_RATIO / BIN_WIDTH)) + 0.5) - MAX_LOG_RATIO
PROBABILITIES = np.array([0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995])
RATIO_PROBABILITIES = np.array([0.0, 0.5, 0.9, 0.99, 0.997])


@dataclass(frozen=True)
class Typical:
    """Reference distribution of one variable in its own unit, in adult intensive care.

    Attributes
    ----------
    quantiles : tuple of float
        Quantiles of single values at `PROBABILITIES`.
    log_ratios : tuple of float
        Quantiles of |ln(first / second)| and |ln(last / second last)| of a stay's values, at `RATIO_PROBABILITIES`
        from the second on.
    log_spikes : tuple of float
        The same of |ln(value / median of the value and its two neighbours)|.
    units : tuple of str
        Other units that values are tested for.

    Examples
    --------
    >>> from clinicalgru.data.audit.typical_values import typical
    >>> typical()["temperature"].units
    ('[degF]', 'K')
    """

    quantiles: tuple[float, ...]
    log_ratios: tuple[float, ...]
    log_spikes: tuple[float, ...]
    units: tuple[str, ...]

    @property
    def median(self) -> float:
        """Median of the values."""
        return self.quantiles[3]

    @property
    def log_iqr(self) -> float:
        """Interquartile range of the logarithm of a value."""
        return float(np.log(self.quantiles[4] / self.quantiles[2])) + 2 * BIN_WIDTH

    @cached_property
    def density(self) -> Floats:
        """Density of the logarithm of a value at `LOG_VALUES`."""
        density = _density(LOG_VALUES, np.log(np.array(self.quantiles)), PROBABILITIES)
        return _normalized(_smoothed(density, 0.1 * self.log_iqr))

    @cached_property
    def ratio_density(self) -> Floats:
        """Density of the log-ratio of neighbouring values at `LOG_RATIOS`, symmetric about 0."""
        return _normalized(_density(np.abs(LOG_RATIOS), np.array([0.0, *self.log_ratios]), RATIO_PROBABILITIES))

    @cached_property
    def spike_density(self) -> Floats:
        """Density of a spike at `LOG_RATIOS`, symmetric about 0."""
        return _normalized(_density(np.abs(LOG_RATIOS), np.array([0.0, *self.log_spikes]), RATIO_PROBABILITIES))


@cache
def typical() -> Mapping[str, Typical]:
    """Return the reference distributions by name of variable.

    Returns
    -------
    mapping of str to Typical
        The entries of data_schemas/typical.yaml.
    """
    content = read_yaml(schema_folder() / "typical.yaml")
    return {name: Typical(*(tuple(entry[key]) for key in Typical.__annotations__)) for name, entry in content.items()}


def _density(at: np.ndarray, quantiles: np.ndarray, probabilities: Floats) -> Floats:
    """Density with the given quantiles: constant between two of them, exponential tails outside."""
    knots = np.maximum.accumulate(quantiles) + BIN_WIDTH * np.arange(len(quantiles))  # ties get a width
    heights = np.diff(probabilities) / np.diff(knots)
    interval = np.clip(np.searchsorted(knots, at) - 1, 0, len(heights) - 1)
    below = _tail(knots[0] - at, probabilities[0], knots[1] - knots[0])
    above = _tail(at - knots[-1], 1 - probabilities[-1], knots[-1] - knots[-2])
    return np.where(at < knots[0], below, np.where(at > knots[-1], above, heights[interval]))


def _normalized(density: Floats) -> Floats:
    """The density with an integral of 1 over the bins."""
    return density / (density.sum() * BIN_WIDTH)


def _tail(distance: Floats, probability: float, interval: float) -> Floats:
    """Exponential tail with a given total probability; its scale is half the neighbouring interval."""
    scale = max(interval / 2, BIN_WIDTH)
    return probability / scale * np.exp(-np.maximum(distance, 0) / scale)


def _smoothed(density: Floats, std: float) -> Floats:
    """The density convolved with a Gaussian kernel."""
    half = int(np.ceil(4 * std / BIN_WIDTH))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * BIN_WIDTH / max(std, BIN_WIDTH / 4)) ** 2)
    return np.convolve(density, kernel / kernel.sum(), mode="same")
