"""Is part of a column in another unit? Questions to histograms, so that ten million values cost what ten do.

Values. Each value is usual in its own unit or usual in the other one: a mixture, whose share is estimated. The whole
column may lie somewhat higher or lower than usual (another kind of patients), at a price.
Levels. The same of one value a stay, its median: for units that lie so near that the usual values overlap, where a few
patients with many unusual values would tell of a mixture that is none.
Digits. The same of the few values that are written with more or fewer decimals than the others, as values that another
device or laboratory reported are: is the other unit among these? One value a stay, for the same reason. Digits alone
say nothing: own values may be written in two ways.
Spikes. A row in another unit stands out from its neighbours in the stay, by the factor between the units.

Each answer is a gain in log-likelihood over "all in its own unit". What speaks for a part of the rows is added up:
spikes, and the best of the other three, which look at the same values. For nearly the whole column there are no spikes.
Gains are counted as if there were no more than ENOUGH values: what a usual density misses of a real site must not
become certainty by sheer number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clinicalgru.data.audit.typical_values import BIN, HIGHEST, LOGS, LOWEST, STEPS, Floats, Typical
from clinicalgru.data.dictionary.units import Conversion

ENOUGH = 400
WILD = 0.01  # share of values that are neither
SHIFTS = np.linspace(-1.5, 1.5, 25)  # of the whole column, in distances between its usual quartiles
SHIFT_SPREAD = 0.2
PARTS = np.array([0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0])
WHOLE = 0.9  # from this part on nearly all of a column is in another unit
APART = 4.0  # units whose factor is so many quartile distances do not overlap
DECIMALS = 5  # ways of writing a value: 0, 1, 2, 3 and more decimals
FEW = 0.35  # the largest part of a column whose writing is unlike that of the others
FEWEST_ROWS = 2.5  # rows in another unit that can be told by their digits
_PRICE = -0.5 * (SHIFTS / SHIFT_SPREAD) ** 2


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is counted of a column.

    values   (DECIMALS, len(LOGS)) counts of the logarithms of its values, by their decimals
    levels   (1, len(LOGS)) the same of the median of each stay
    written  (DECIMALS, len(LOGS)) the same of the median of each stay's values with so many decimals
    steps    (1, len(STEPS)) counts of ln(first / second) and ln(last / last but one) of the values of each stay
    spikes   (1, len(STEPS)) counts of ln(value / middle one of it and its two neighbours)
    """

    values: Floats
    levels: Floats
    written: Floats
    steps: Floats
    spikes: Floats


@dataclass(frozen=True)
class Swap:
    """How much likelier it is that part of a column is in another unit than that all is in its own.

    part  estimated share of values in the other unit
    gain  in log-likelihood
    """

    part: float
    gain: float


def judge(evidence: Evidence, typical: Typical, conversion: Conversion) -> Swap:
    """How likely part of a column is in the unit of `conversion`.

    >>> from clinicalgru.data.audit.typical_values import typical
    >>> written, none = np.zeros((DECIMALS, len(LOGS))), np.zeros((1, len(STEPS)))
    >>> written[1, np.searchsorted(LOGS, np.log([37.0, 98.6]))] = 95, 5
    >>> column = Evidence(written, written[[1]], written, none, none)
    >>> judge(column, typical()["temperature"], Conversion(5 / 9, offset=-32)).part
    0.05
    """
    jump = float(np.log((typical.centre / conversion.factor - conversion.offset) / typical.centre))
    apart = abs(jump) >= APART * typical.width
    fit = _Fit((evidence.values if apart else evidence.levels).sum(axis=0), typical, conversion)
    gains = (fit.mixed(PARTS) + _PRICE).max(axis=1) - (fit.alone + _PRICE).max()
    digits, rows = _from_digits(evidence, typical, conversion), _from_spikes(evidence, typical, jump)
    values = max(_best(PARTS, gains, PARTS < WHOLE), digits, key=_gain)
    some = Swap(max(values, rows, key=_gain).part, values.gain + rows.gain)
    return max(_best(PARTS, gains, PARTS >= WHOLE), some, key=_gain)


class _Fit:
    """Log-likelihood of counted values for each shift of the whole column: in the own unit, and mixed."""

    def __init__(self, counts: Floats, typical: Typical, conversion: Conversion, *, among: float = 0.0) -> None:
        seen, shift = np.flatnonzero(counts), SHIFTS[:, None] * typical.width
        self._weight = counts[seen] * min(1.0, ENOUGH / max(counts.sum(), among, 1.0))
        self._own = _not_sure(_at(LOGS[seen] - shift, typical))
        self._other = _not_sure(_elsewhere(LOGS[seen], shift, typical, conversion))

    @property
    def alone(self) -> Floats:
        """(shift,) all in the own unit."""
        return np.log(self._own) @ self._weight

    def mixed(self, parts: Floats) -> Floats:
        """(part, shift) such a part in the other unit."""
        share = parts[:, None, None]
        return np.log(share * self._other + (1 - share) * self._own) @ self._weight


def _gain(swap: Swap) -> float:
    return swap.gain


def _best(parts: Floats, gains: Floats, asked: np.ndarray) -> Swap:
    """The part with the largest gain among those asked for."""
    if not asked.any():
        return Swap(0.0, -np.inf)
    best = int(np.where(asked, gains, -np.inf).argmax())
    return Swap(float(parts[best]), float(gains[best]))


def _from_digits(evidence: Evidence, typical: Typical, conversion: Conversion) -> Swap:
    """The rarer ways of writing in turn: part of such values in the other unit, all others in their own."""
    rows, among = evidence.values.sum(axis=1), float(evidence.written.sum())
    fits = [_Fit(counts, typical, conversion, among=among) for counts in evidence.written]
    alone = sum((fit.alone for fit in fits), _PRICE)
    found = [Swap(0.0, -np.inf)]
    for fit, count in zip(fits, rows, strict=True):
        if 0 < count <= FEW * rows.sum():
            gains = (alone - fit.alone + fit.mixed(PARTS)).max(axis=1) - alone.max()
            found.append(_best(PARTS * count / rows.sum(), gains, PARTS * count >= FEWEST_ROWS))
    return max(found, key=_gain)


def _at(logs: Floats, typical: Typical) -> Floats:
    return typical.density[np.clip(((logs - LOWEST) / BIN).astype(np.int64), 0, len(LOGS) - 1)]


def _elsewhere(logs: np.ndarray, shift: np.ndarray, typical: Typical, conversion: Conversion) -> Floats:
    """Density of the logarithms of values in the other unit, for each shift of what they stand for."""
    value = np.exp(logs)
    meant = np.maximum(conversion.apply(value), 1e-12)
    return _at(np.log(meant) - shift, typical) * np.abs(conversion.factor) * value / meant


def _from_spikes(evidence: Evidence, typical: Typical, jump: float) -> Swap:
    total = evidence.steps.sum() + evidence.spikes.sum()
    if total == 0:
        return Swap(0.0, 0.0)
    enough = min(1.0, ENOUGH / total)
    parts = PARTS[PARTS <= 0.5]
    gains = np.zeros(len(parts))
    for twofold, (counts,), density in (
        (True, evidence.steps, typical.step_density),
        (False, evidence.spikes, typical.spike_density),
    ):
        seen = np.flatnonzero(counts)
        own = density[seen]
        there = _moved(density, jump, seen)
        if twofold:  # its neighbour may be the one in the other unit
            there = (there + _moved(density, -jump, seen)) / 2
        share = parts[:, None] * (2 if twofold else 1) * (1 - parts[:, None])
        gains += np.log((1 - share) * _not_sure(own) + share * _not_sure(there)) @ (counts[seen] * enough)
        gains -= np.log(_not_sure(own)) @ (counts[seen] * enough)
    return _best(parts, gains, parts > 0)


def _moved(density: Floats, jump: float, seen: np.ndarray) -> Floats:
    return density[np.clip(seen - round(jump / BIN), 0, len(STEPS) - 1)]


def _not_sure(density: Floats) -> Floats:
    return (1 - WILD) * density + WILD / (HIGHEST - LOWEST)
