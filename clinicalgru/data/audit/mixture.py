"""Is part of a column in another unit? Three questions to histograms, so that ten million values cost what ten do.

Values. Each value is usual in its own unit or usual in the other one: a mixture, whose share is estimated. The whole
column may lie somewhat higher or lower than usual (another kind of patients), at a price.
Levels. The same of one value a stay, its median: for units that lie so near that the usual values overlap, where a few
patients with many unusual values would tell of a mixture that is none.
Spikes. A row in another unit stands out from its neighbours in the stay, by the factor between the units.

Each answer is a gain in log-likelihood over "all in its own unit". They are counted as if there were no more than
ENOUGH values: what a usual density misses of a real site must not become certainty by sheer number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clinicalgru.data.audit.typical import BIN, HIGHEST, LOGS, LOWEST, STEPS, Floats, Typical
from clinicalgru.data.variables import Conversion

ENOUGH = 400
WILD = 0.01  # share of values that are neither
SHIFTS = np.linspace(-1.5, 1.5, 25)  # of the whole column, in distances between its usual quartiles
SHIFT_SPREAD = 0.2
PARTS = np.array([0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0])
APART = 4.0  # units whose factor is so many quartile distances do not overlap


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is counted of a column.

    values  (len(LOGS),) counts of the logarithms of its values
    levels  (len(LOGS),) the same of the median of each stay
    steps   (len(STEPS),) counts of ln(first / second) and ln(last / last but one) of the values of each stay
    spikes  (len(STEPS),) counts of ln(value / middle one of it and its two neighbours)
    """

    values: Floats
    levels: Floats
    steps: Floats
    spikes: Floats


@dataclass(frozen=True)
class Swap:
    """How much likelier it is that part of a column is in another unit than that all is in its own.

    part    estimated share of values in the other unit
    values  gain in log-likelihood from single values, where the units lie apart (else -inf)
    levels  the same from the medians of the stays, where they do not (else -inf)
    spikes  the same from values that stand out from their neighbours
    """

    part: float
    values: float
    levels: float
    spikes: float

    @property
    def gain(self) -> float:
        """The largest of the three."""
        return max(self.values, self.levels, self.spikes)

    def margin(self, limits: tuple[float, float, float]) -> float:
        """By how much any gain exceeds its limit."""
        gains = (self.values, self.levels, self.spikes)
        return max(gain - limit for gain, limit in zip(gains, limits, strict=True))


def judge(evidence: Evidence, typical: Typical, conversion: Conversion) -> Swap:
    """How likely part of a column is in the unit of `conversion`.

    >>> from clinicalgru.data.audit.typical import typical
    >>> values, none = np.zeros(len(LOGS)), np.zeros(len(STEPS))
    >>> values[np.searchsorted(LOGS, np.log([37.0, 98.6]))] = 95, 5
    >>> swap = judge(Evidence(values, values, none, none), typical()["temperature"], Conversion(5 / 9, offset=-32))
    >>> swap.part
    0.05
    """
    jump = float(np.log((typical.centre / conversion.factor - conversion.offset) / typical.centre))
    apart = abs(jump) >= APART * typical.width
    part, gain = _from_values(evidence.values if apart else evidence.levels, typical, conversion)
    part_of_rows, spikes = _from_spikes(evidence, typical, jump)
    values, levels = (gain, -np.inf) if apart else (-np.inf, gain)
    return Swap(part if gain >= spikes else part_of_rows, values, levels, spikes)


def _from_values(counts: Floats, typical: Typical, conversion: Conversion) -> tuple[float, float]:
    seen = np.flatnonzero(counts)
    if len(seen) == 0:
        return 0.0, 0.0
    weight = counts[seen] * min(1.0, ENOUGH / counts.sum())
    shift = SHIFTS[:, None] * typical.width
    own = _not_sure(_at(LOGS[seen] - shift, typical))
    other = _not_sure(_elsewhere(LOGS[seen], shift, typical, conversion))
    price = -0.5 * (SHIFTS / SHIFT_SPREAD) ** 2
    alone = (np.log(own) @ weight + price).max()
    mixed = PARTS[:, None, None] * other + (1 - PARTS[:, None, None]) * own
    gains = (np.log(mixed) @ weight + price).max(axis=1) - alone
    best = int(gains.argmax())
    return float(PARTS[best]), float(gains[best])


def _at(logs: Floats, typical: Typical) -> Floats:
    return typical.density[np.clip(((logs - LOWEST) / BIN).astype(np.int64), 0, len(LOGS) - 1)]


def _elsewhere(logs: np.ndarray, shift: np.ndarray, typical: Typical, conversion: Conversion) -> Floats:
    """Density of the logarithms of values in the other unit, for each shift of what they stand for."""
    value = np.exp(logs)
    meant = np.maximum(conversion.apply(value), 1e-12)
    return _at(np.log(meant) - shift, typical) * np.abs(conversion.factor) * value / meant


def _from_spikes(evidence: Evidence, typical: Typical, jump: float) -> tuple[float, float]:
    total = evidence.steps.sum() + evidence.spikes.sum()
    if total == 0:
        return 0.0, 0.0
    enough = min(1.0, ENOUGH / total)
    parts = PARTS[PARTS <= 0.5]
    gains = np.zeros(len(parts))
    for counts, density in ((evidence.steps, typical.step_density), (evidence.spikes, typical.spike_density)):
        seen = np.flatnonzero(counts)
        own = density[seen]
        there = _moved(density, jump, seen)
        if counts is evidence.steps:  # its neighbour may be the one in the other unit
            there = (there + _moved(density, -jump, seen)) / 2
        share = parts[:, None] * (2 if counts is evidence.steps else 1) * (1 - parts[:, None])
        gains += np.log((1 - share) * _not_sure(own) + share * _not_sure(there)) @ (counts[seen] * enough)
        gains -= np.log(_not_sure(own)) @ (counts[seen] * enough)
    best = int(gains.argmax())
    return float(parts[best]), float(gains[best])


def _moved(density: Floats, jump: float, seen: np.ndarray) -> Floats:
    return density[np.clip(seen - round(jump / BIN), 0, len(STEPS) - 1)]


def _not_sure(density: Floats) -> Floats:
    return (1 - WILD) * density + WILD / (HIGHEST - LOWEST)
