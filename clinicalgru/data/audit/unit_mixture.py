"""Mixture models: estimate which fraction of a variable's values is in another unit, with a log Bayes factor.

All models work on histograms, so that their cost does not depend on the number of values. Four sources of evidence:

1. Values. Each value is typical in its own unit or typical in the other unit: a mixture whose fraction is estimated.
   The whole variable may be shifted (other patients), with a prior on the shift.
2. Medians. The same with one value per stay, its median, for units so close that typical values overlap. There, a few
   patients with many unusual values would look like a mixture.
3. Decimals. The same with the few values written with more or fewer decimals than the rest, as another device or
   laboratory may report them: are these in the other unit? One value per stay, for the same reason. The number of
   decimals alone is no evidence: values of one unit may be written in two ways.
4. Spikes. A value in another unit differs from its neighbours in the stay by the conversion factor.

Each gives a log-likelihood ratio against "all values in their own unit". For a mixture, spikes and the best of the
other three, which use the same values, are added. If nearly all values are in the other unit, there are no spikes.
At most MAX_EFFECTIVE_VALUES values are counted: what a reference distribution misses at a real site must not become
certainty through sample size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clinicalgru.data.audit.typical_values import BIN_WIDTH, LOG_RATIOS, LOG_VALUES, MAX_LOG, MIN_LOG, Floats, Typical
from clinicalgru.data.dictionary.units import Conversion

MAX_EFFECTIVE_VALUES = 400
OUTLIER_FRACTION = 0.01  # of values that are typical in neither unit
SHIFTS = np.linspace(-1.5, 1.5, 25)  # of the whole variable, in interquartile ranges of its logarithm
SHIFT_STD = 0.2
FRACTIONS = np.array([0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0])
NEARLY_ALL = 0.9  # from this fraction on, nearly the whole variable is in the other unit
SEPARATION = 4.0  # units whose log-ratio is this many interquartile ranges do not overlap
DECIMALS = 5  # classes of decimals: 0, 1, 2, 3 and more
MAX_RARE_FRACTION = 0.35  # largest fraction of values whose number of decimals counts as rare
MIN_RARE_VALUES = 2.5  # fewest values in the other unit that decimals can reveal
_LOG_PRIOR = -0.5 * (SHIFTS / SHIFT_STD) ** 2


@dataclass(frozen=True, eq=False)
class Histograms:
    """Histograms of one variable at one site.

    Attributes
    ----------
    values : array, shape (DECIMALS, len(LOG_VALUES))
        Counts of the logarithms of values, by number of decimals.
    medians : array, shape (1, len(LOG_VALUES))
        Counts of the logarithm of each stay's median.
    decimal_medians : array, shape (DECIMALS, len(LOG_VALUES))
        The same of the median of each stay's values with so many decimals.
    ratios : array, shape (1, len(LOG_RATIOS))
        Counts of ln(first / second) and ln(last / second last) of each stay's values.
    spikes : array, shape (1, len(LOG_RATIOS))
        Counts of ln(value / median of the value and its two neighbours).
    """

    values: Floats
    medians: Floats
    decimal_medians: Floats
    ratios: Floats
    spikes: Floats


@dataclass(frozen=True)
class UnitMixture:
    """Evidence that a fraction of a variable's values is in another unit.

    Attributes
    ----------
    fraction : float
        Estimated fraction of values in the other unit, 0 to 1.
    log_bayes_factor : float
        Natural logarithm of the Bayes factor against "all values in their own unit".
    """

    fraction: float
    log_bayes_factor: float


def estimate_fraction(histograms: Histograms, typical: Typical, conversion: Conversion) -> UnitMixture:
    """Estimate the fraction of values in the unit of `conversion`.

    Parameters
    ----------
    histograms : Histograms
        What is observed of the variable.
    typical : Typical
        Reference distribution of the variable in its own unit.
    conversion : Conversion
        Conversion from the other unit to the variable's own.

    Returns
    -------
    UnitMixture
        The most likely fraction and its log Bayes factor.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru.data.audit.typical_values import LOG_RATIOS, LOG_VALUES, typical
    >>> from clinicalgru.data.audit.unit_mixture import DECIMALS, Histograms, estimate_fraction
    >>> from clinicalgru.data.dictionary.units import Conversion
    >>> values, none = np.zeros((DECIMALS, len(LOG_VALUES))), np.zeros((1, len(LOG_RATIOS)))
    >>> values[1, np.searchsorted(LOG_VALUES, np.log([37.0, 98.6]))] = 95, 5
    >>> histograms = Histograms(values, values[[1]], values, none, none)
    >>> estimate_fraction(histograms, typical()["temperature"], Conversion(5 / 9, offset=-32)).fraction
    0.05
    """
    log_ratio = float(np.log((typical.median / conversion.factor - conversion.offset) / typical.median))
    is_separate = abs(log_ratio) >= SEPARATION * typical.log_iqr
    counts = (histograms.values if is_separate else histograms.medians).sum(axis=0)
    fit = _Likelihood(counts, typical, conversion)
    gains = (fit.mixture(FRACTIONS) + _LOG_PRIOR).max(axis=1) - (fit.own_unit + _LOG_PRIOR).max()
    decimals, spikes = _from_decimals(histograms, typical, conversion), _from_spikes(histograms, typical, log_ratio)
    values = max(_best(FRACTIONS, gains, FRACTIONS < NEARLY_ALL), decimals, key=_log_bayes_factor)
    fraction = max(values, spikes, key=_log_bayes_factor).fraction
    partial = UnitMixture(fraction, values.log_bayes_factor + spikes.log_bayes_factor)
    return max(_best(FRACTIONS, gains, FRACTIONS >= NEARLY_ALL), partial, key=_log_bayes_factor)


class _Likelihood:
    """Log-likelihood of a histogram for each shift of the whole variable: in its own unit, and as a mixture."""

    def __init__(self, counts: Floats, typical: Typical, conversion: Conversion, *, n_values: float = 0.0) -> None:
        """n_values: values of the variable in all; the sum of `counts` where that is more."""
        bins, shift = np.flatnonzero(counts), SHIFTS[:, None] * typical.log_iqr
        self._weight = counts[bins] * min(1.0, MAX_EFFECTIVE_VALUES / max(counts.sum(), n_values, 1.0))
        self._own = _with_outliers(_density_at(LOG_VALUES[bins] - shift, typical))
        self._other = _with_outliers(_density_in_other_unit(LOG_VALUES[bins], shift, typical, conversion))

    @property
    def own_unit(self) -> Floats:
        """(shift,) all values in their own unit."""
        return np.log(self._own) @ self._weight

    def mixture(self, fractions: Floats) -> Floats:
        """(fraction, shift) a fraction of the values in the other unit."""
        fraction = fractions[:, None, None]
        return np.log(fraction * self._other + (1 - fraction) * self._own) @ self._weight


def _log_bayes_factor(mixture: UnitMixture) -> float:
    """The key by which mixtures are compared."""
    return mixture.log_bayes_factor


def _best(fractions: Floats, gains: Floats, allowed: np.ndarray) -> UnitMixture:
    """The allowed fraction with the largest log-likelihood ratio."""
    if not allowed.any():
        return UnitMixture(0.0, -np.inf)
    best = int(np.where(allowed, gains, -np.inf).argmax())
    return UnitMixture(float(fractions[best]), float(gains[best]))


def _from_decimals(histograms: Histograms, typical: Typical, conversion: Conversion) -> UnitMixture:
    """Each rare number of decimals in turn: a fraction of its values in the other unit, all others in their own."""
    n_by_decimals, n_medians = histograms.values.sum(axis=1), float(histograms.decimal_medians.sum())
    fits = [_Likelihood(counts, typical, conversion, n_values=n_medians) for counts in histograms.decimal_medians]
    own_unit = sum((fit.own_unit for fit in fits), _LOG_PRIOR)
    results, total = [UnitMixture(0.0, -np.inf)], n_by_decimals.sum()
    for fit, count in zip(fits, n_by_decimals, strict=True):
        if 0 < count <= MAX_RARE_FRACTION * total:
            gains = (own_unit - fit.own_unit + fit.mixture(FRACTIONS)).max(axis=1) - own_unit.max()
            results.append(_best(FRACTIONS * count / total, gains, FRACTIONS * count >= MIN_RARE_VALUES))
    return max(results, key=_log_bayes_factor)


def _density_at(logs: Floats, typical: Typical) -> Floats:
    """Density of logarithms of values in the variable's own unit."""
    return typical.density[np.clip(((logs - MIN_LOG) / BIN_WIDTH).astype(np.int64), 0, len(LOG_VALUES) - 1)]


def _density_in_other_unit(logs: np.ndarray, shift: np.ndarray, typical: Typical, conversion: Conversion) -> Floats:
    """Density of logarithms of values in the other unit, for each shift of the converted values."""
    value = np.exp(logs)
    converted = np.maximum(conversion.apply(value), 1e-12)
    return _density_at(np.log(converted) - shift, typical) * np.abs(conversion.factor) * value / converted


def _from_spikes(histograms: Histograms, typical: Typical, log_ratio: float) -> UnitMixture:
    """Single values that differ from their neighbours by the conversion factor."""
    total = histograms.ratios.sum() + histograms.spikes.sum()
    if total == 0:
        return UnitMixture(0.0, 0.0)
    weight = min(1.0, MAX_EFFECTIVE_VALUES / total)
    fractions = FRACTIONS[FRACTIONS <= 0.5]
    gains = np.zeros(len(fractions))
    for is_ratio, (counts,), density in (
        (True, histograms.ratios, typical.ratio_density),
        (False, histograms.spikes, typical.spike_density),
    ):
        bins = np.flatnonzero(counts)
        own, other = density[bins], _shifted_density(density, log_ratio, bins)
        if is_ratio:  # the neighbour may be the value in the other unit
            other = (other + _shifted_density(density, -log_ratio, bins)) / 2
        differs = fractions[:, None] * (2 if is_ratio else 1) * (1 - fractions[:, None])
        gains += np.log((1 - differs) * _with_outliers(own) + differs * _with_outliers(other)) @ (counts[bins] * weight)
        gains -= np.log(_with_outliers(own)) @ (counts[bins] * weight)
    return _best(fractions, gains, fractions > 0)


def _shifted_density(density: Floats, log_ratio: float, bins: np.ndarray) -> Floats:
    """A density of log-ratios, shifted, at some bins."""
    return density[np.clip(bins - round(log_ratio / BIN_WIDTH), 0, len(LOG_RATIOS) - 1)]


def _with_outliers(density: Floats) -> Floats:
    """A density mixed with a uniform one for outliers."""
    return (1 - OUTLIER_FRACTION) * density + OUTLIER_FRACTION / (MAX_LOG - MIN_LOG)
