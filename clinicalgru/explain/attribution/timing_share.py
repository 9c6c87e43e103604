"""Share of the contribution of being measured that the time of the last measurement explains: it counts as timing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clinicalgru.disclosure import MIN_CELL_SIZE

KNOTS = np.linspace(0, 1, 5)  # of the time of the last measurement, as a fraction of the time so far
COUNTS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 32])  # lowest number of measurements of each bin
MIN_F = 3.0  # F statistic up to which nothing is moved; beyond, 1 - MIN_F / F of the fitted curve


def fit_timing_share(measured: np.ndarray, counts: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regress contributions of being measured on the time of the last measurement, for equal numbers of measurements.

    Parameters
    ----------
    measured : ndarray, shape (stay, variable)
        Contributions by being measured, summed over the measurements of a stay.
    counts : ndarray of int, shape (stay, variable)
        Number of measurements.
    last : ndarray, shape (stay, variable)
        Time of the last measurement as a fraction of the time so far; not read where there is none.

    Returns
    -------
    curve : ndarray, shape (knot, variable)
        What a time contributes, linear between the knots, 0 at the first one.
    expected : ndarray, shape (bin, variable)
        Its mean by the number of measurements, of at least 11 stays each.

    Notes
    -----
    Least squares within groups of equal numbers of measurements, as what these say is no timing. The curve is shrunk
    by its F statistic, so that chance moves nothing. Fewer than 22 stays with the variable give 0.

    Examples
    --------
    >>> last = np.linspace(0, 1, 60)[:, None]
    >>> curve, expected = fit_timing_share(2 * last, np.ones((60, 1), dtype=int), last)
    >>> curve[:, 0].round(1).tolist(), expected[0].round(1).tolist()
    ([0.0, 0.5, 1.0, 1.5, 2.0], [1.0])
    """
    n_variables = measured.shape[1]
    curve, expected = np.zeros((len(KNOTS), n_variables)), np.zeros((len(COUNTS), n_variables))
    for variable in range(n_variables):
        has = counts[:, variable] > 0
        if has.sum() >= 2 * MIN_CELL_SIZE:
            group_of = _pooled_bins(_bin(counts[has, variable]))
            group, basis = group_of[_bin(counts[has, variable])], _basis(last[has, variable])
            curve[1:, variable] = _shrunk_slopes(measured[has, variable], basis[:, 1:], group)
            expected[:, variable] = _group_mean(group)(basis @ curve[:, variable])[group_of]
    return curve, expected


def timing_share(curve: np.ndarray, expected: np.ndarray, counts: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Compute what counts as timing of the contributions by being measured.

    Parameters
    ----------
    curve : ndarray, shape (stay, knot, variable)
        As of `fit_timing_share`, for each stay.
    expected : ndarray, shape (stay, bin, variable)
        As of `fit_timing_share`, for each stay.
    counts, last : ndarray, shape (stay, variable)
        As for `fit_timing_share`.

    Returns
    -------
    ndarray, shape (stay, variable)
        0 where a variable was not measured.
    """
    at_time = np.einsum("svk,skv->sv", _basis(last), curve)
    at_count = np.take_along_axis(expected, _bin(counts)[:, None, :], axis=1)[:, 0]
    return np.where(counts > 0, at_time - at_count, 0.0)


def _basis(last: np.ndarray) -> np.ndarray:
    """Weight of each knot on a new last axis: straight lines between them."""
    distance = np.abs(np.clip(np.nan_to_num(last), 0, 1)[..., None] - KNOTS) * (len(KNOTS) - 1)
    return np.asarray(np.clip(1 - distance, 0, None))


def _bin(counts: np.ndarray) -> np.ndarray:
    return np.maximum(np.searchsorted(COUNTS, counts, side="right") - 1, 0)


def _pooled_bins(bins: np.ndarray) -> np.ndarray:
    """Group of each bin: neighbours are pooled, from the lowest on, until each group has at least 11 stays."""
    groups, group, so_far = np.zeros(len(COUNTS), dtype=int), 0, 0
    for number, stays in enumerate(np.bincount(bins, minlength=len(COUNTS))):
        groups[number] = group
        so_far += stays
        if so_far >= MIN_CELL_SIZE:
            group, so_far = group + 1, 0
    return np.minimum(groups, group - 1)  # what is left over joins the group before it


def _group_mean(group: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    stays = np.bincount(group)
    return lambda values: np.bincount(group, values) / stays


def _shrunk_slopes(measured: np.ndarray, basis: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Coefficients of the knots within groups, times 1 - MIN_F / F, or 0."""
    mean = _group_mean(group)
    within = basis - np.column_stack([mean(column) for column in basis.T])[group]
    centered = measured - mean(measured)[group]
    slopes, _, rank, _ = np.linalg.lstsq(within, centered, rcond=1e-8)
    left = float(((centered - within @ slopes) ** 2).sum())
    explained, free = float((centered**2).sum()) - left, len(group) - group.max() - 1 - int(rank)
    if rank == 0 or free <= 0 or explained <= 0:
        return np.zeros(basis.shape[1])
    return np.asarray(slopes * max(0.0, 1 - MIN_F * rank * left / (explained * free)))
