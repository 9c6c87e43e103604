"""The reference of contributions: the average of training stays, or a stay in which nothing was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.explain.attribution.integration_path import MEASURED, TIMING
from clinicalgru.explain.attribution.quadrature import Attribution
from clinicalgru.explain.attribution.timing_share import COUNTS, KNOTS, fit_timing_share, timing_share
from clinicalgru.output_unit import LOG_ODDS

SHARES = (0.125, 0.375, 1.0)  # of the window: hours at which the average is computed
MAX_TILT = 20.0


@dataclass(frozen=True, eq=False)
class PopulationReference:
    """Mean contributions of training stays to the explained number, at some hours.

    Attributes
    ----------
    hours : ndarray, shape (hour,)
        Hours since the index time, ascending.
    parts : ndarray, shape (hour, 3, variable)
        By value, by having been measured, by timing; sums over the measurements of a stay.
    static : ndarray, shape (hour, static covariate)
        Of static covariates.
    coded : ndarray, shape (hour, code)
        Of coded events.
    codes : tuple of str
        The codes.
    timing_curve, timing_expected : ndarray, shape (hour, knot, variable) and (hour, bin, variable)
        What of having been measured counts as timing: see `timing_share`.

    Notes
    -----
    What fewer than 11 of the stays have counts from nothing measured, so that no mean is that of a few patients.
    The mean over stays is weighted a little, so that the reference is the log-odds of their mean risk, which a plain
    mean of log-odds is not.
    """

    hours: np.ndarray
    parts: np.ndarray
    static: np.ndarray
    coded: np.ndarray
    codes: tuple[str, ...]
    timing_curve: np.ndarray
    timing_expected: np.ndarray

    @classmethod
    def of(cls, by_hour: list[tuple[Sequences, Attribution]], *, unit: str) -> Self:
        """Average contributions against a stay in which nothing was measured.

        Parameters
        ----------
        by_hour : list of (Sequences, Attribution)
            The stays as they were known at each hour, and their contributions.
        unit : str
            Unit of the explained number.

        Returns
        -------
        PopulationReference
        """
        stays = by_hour[0][0]
        means = [_means(one, found, _weights(found.number, unit)) for one, found in by_hour]
        hours = np.array([float(one.end_hours.mean()) for one, _ in by_hour])
        parts, static, coded, curve, expected = (np.stack(arrays) for arrays in zip(*means, strict=True))
        return cls(hours, parts, static, coded, stays.code_vocabulary, curve, expected)

    def at(self, hours: np.ndarray) -> tuple[np.ndarray, ...]:
        """Interpolate the mean contributions, and what counts as timing, to some hours.

        Parameters
        ----------
        hours : ndarray, shape (stay,)
            Hours since the index time; those outside count as the first or last.

        Returns
        -------
        parts : ndarray, shape (stay, 3, variable)
        static : ndarray, shape (stay, static covariate)
        coded : ndarray, shape (stay, code)
        timing_curve : ndarray, shape (stay, knot, variable)
        timing_expected : ndarray, shape (stay, bin, variable)
        """
        place = np.interp(hours, self.hours, np.arange(len(self.hours)))
        low = np.floor(place).astype(int)
        high, share = np.minimum(low + 1, len(self.hours) - 1), place - low
        return tuple(
            array[low] + (array[high] - array[low]) * share.reshape(-1, *[1] * (array.ndim - 1))
            for array in (self.parts, self.static, self.coded, self.timing_curve, self.timing_expected)
        )

    def center(self, stays: Sequences, attribution: Attribution) -> Attribution:
        """Turn contributions against an empty stay into contributions against the average.

        What a variable contributes on average is taken from its measurements in equal shares. Of a variable that was
        not measured, it is what its absence contributes. What its being measured contributes at some times more than at
        others counts as timing.

        Parameters
        ----------
        stays : Sequences
            The stays.
        attribution : Attribution
            Their contributions against a stay in which nothing was measured.

        Returns
        -------
        Attribution
            With the same completeness gaps.
        """
        parts, static, coded, curve, expected = self.at(stays.end_hours)
        stay, variable, n = stays.stay_of_measurement, stays.variable, len(stays)
        counts, last = _counts_and_last(stays)
        moved = timing_share(curve, expected, counts, last)
        taken = parts.copy()
        taken[:, MEASURED] += moved
        taken[:, TIMING] -= moved
        own = attribution.parts - taken[stay, :, variable].T / counts[stay, variable]
        absent = -np.where(counts == 0, parts.sum(axis=1), 0.0)
        position = {code: place for place, code in enumerate(self.codes)}
        column = np.array([position.get(code, -1) for code in stays.code_vocabulary], dtype=int)[stays.code]
        code_stay = np.repeat(np.arange(n), np.diff(stays.code_starts))
        known = column >= 0
        code_counts = _table(code_stay[known], column[known], np.ones(known.sum()), coded.shape)
        own_coded = attribution.coded.copy()
        own_coded[known] -= (coded / np.maximum(code_counts, 1))[code_stay[known], column[known]]
        absent_codes = -np.where(code_counts == 0, coded, 0.0).sum(axis=1)
        reference = attribution.reference + parts.sum(axis=(1, 2)) + static.sum(axis=1) + coded.sum(axis=1)
        return replace(
            attribution,
            parts=own,
            static=attribution.static - static,
            coded=own_coded,
            reference=reference,
            absent=absent,
            absent_codes=absent_codes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Give all numbers by name, for a manifest.

        Returns
        -------
        dict
            Lists by name.
        """
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else list(value) for name, value in vars(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore the reference that `to_dict` described.

        Parameters
        ----------
        values : mapping
            Lists by name.

        Returns
        -------
        PopulationReference
        """
        names = ("hours", "parts", "static", "coded")
        hours, parts, static, coded = (np.asarray(values[name], dtype=float) for name in names)
        n = len(hours)
        parts, codes = parts.reshape(n, 3, -1), tuple(values["codes"])
        zeros = {"timing_curve": np.zeros((n, len(KNOTS), parts.shape[2]))}  # of an earlier version: nothing is moved
        zeros["timing_expected"] = np.zeros((n, len(COUNTS), parts.shape[2]))
        timing = {
            name: np.asarray(values.get(name, zero), dtype=float).reshape(zero.shape) for name, zero in zeros.items()
        }
        return cls(hours, parts, static.reshape(n, -1), coded.reshape(n, -1), codes, **timing)


def reference_hours(stays: Sequences, *, any_hour: bool) -> list[np.ndarray]:
    """Hours at which the average is computed, for each stay.

    Parameters
    ----------
    stays : Sequences
        The stays.
    any_hour : bool
        Whether the model predicts at any hour; else only the end of each stay.

    Returns
    -------
    list of ndarray, shape (stay,)
        Hours since the index time, the earliest first.
    """
    first = stays.task.window_hours[0]
    return [first + share * (stays.end_hours - first) for share in (SHARES if any_hour else SHARES[-1:])]


def _weights(number: np.ndarray, unit: str) -> np.ndarray:
    """Weights of the stays, which sum to 1; of log-odds such that their mean is the log-odds of the mean risk."""
    plain = np.full(len(number), 1 / len(number))
    if unit != LOG_ODDS or np.ptp(number) == 0:
        return plain
    wanted, centered = logit(expit(number).mean()), number - number.mean()

    def excess(tilt: float) -> float:
        weight = np.exp(tilt * centered - (tilt * centered).max())
        return float(weight @ number / weight.sum() - wanted)

    bound = MAX_TILT / np.abs(centered).max()
    if excess(-bound) * excess(bound) > 0:
        return plain
    tilt = brentq(excess, -bound, bound)
    weight = np.exp(tilt * centered - (tilt * centered).max())
    return np.asarray(weight / weight.sum())


def _means(stays: Sequences, found: Attribution, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weighted means over the stays: (3, variable), (static covariate,), (code,); 0 for what fewer than 11 have.

    Also the curve and its means, of (knot, variable) and (bin, variable), of what counts as timing.
    """
    n, stay = len(stays), stays.stay_of_measurement
    size = (n, len(stays.variables))
    sums = np.stack([_table(stay, stays.variable, part, size) for part in found.parts])
    counts, last = _counts_and_last(stays)
    curve, expected = fit_timing_share(sums[MEASURED], counts, last)
    moved = timing_share(np.stack([curve] * n), np.stack([expected] * n), counts, last)
    sums[MEASURED] -= moved
    sums[TIMING] += moved
    parts, measured = np.einsum("s,psv->pv", weight, sums), counts > 0
    code_stay, size = np.repeat(np.arange(n), np.diff(stays.code_starts)), (n, len(stays.code_vocabulary))
    coded = weight @ _table(code_stay, stays.code, found.coded, size)
    occurred = _table(code_stay, stays.code, np.ones(len(code_stay)), size) > 0
    static = weight @ found.static
    for mean, known in ((parts, measured), (static, ~np.isnan(stays.static)), (coded, occurred)):
        mean[..., known.sum(axis=0) < MIN_CELL_SIZE] = 0
    return parts, static, coded, curve, expected


def _counts_and_last(stays: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Number of measurements, and the time of the last as a fraction of the time so far: (stay, variable) each."""
    stay, size = stays.stay_of_measurement, (len(stays), len(stays.variables))
    counts = _table(stay, stays.variable, np.ones(len(stay)), size).astype(int)
    first, last = stays.task.window_hours[0], np.full(size, -np.inf)
    np.maximum.at(last, (stay, stays.variable), stays.hours)
    span = np.maximum(stays.end_hours - first, np.finfo(float).tiny)[:, None]
    return counts, np.where(counts > 0, (last - first) / span, 0.0)


def _table(row: np.ndarray, column: np.ndarray, value: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Sums of values by row and column."""
    return np.bincount(row * shape[1] + column, weights=value, minlength=shape[0] * shape[1]).reshape(shape)
