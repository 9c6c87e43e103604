"""The quantile of split-conformal prediction: pooled over patients, with the range of its coverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clinicalgru.evaluate.validation import Array

POOLED = 11  # residuals of patients whose mean is the quantile, so that none is that of a single patient
MAX_PATIENTS = 1e10  # more are a damaged number


def coverage_range(n_patients: int, alpha: float) -> tuple[float, float]:
    """Give where the coverage of a split-conformal quantile lies in 95 of 100 draws of the calibration patients.

    The mean over draws is 1 - alpha; sets of one draw hold too few or too many outcomes, in all later patients alike.

    Parameters
    ----------
    n_patients : int
        Calibration patients that the quantile rests on.
    alpha : float
        Fraction that may lie outside.

    Returns
    -------
    tuple of float
        Lower and upper end.

    References
    ----------
    Vovk 2012, "Conditional validity of inductive conformal predictors": a Beta distribution.

    Examples
    --------
    >>> coverage_range(165, 0.1), coverage_range(5000, 0.1)
    ((0.854, 0.944), (0.892, 0.908))
    """
    from scipy.stats import beta

    rank = int(np.ceil((n_patients + 1) * (1 - alpha)))
    low, high = beta.ppf([0.025, 0.975], rank, n_patients + 1 - rank)
    return round(float(low), 3), round(float(high), 3)


def read_quantiles(values: Mapping[str, Any]) -> tuple[float, dict[str, float], dict[str, int]]:
    """Read what `to_dict` of sets gave, and check it.

    Parameters
    ----------
    values : mapping
        alpha, quantiles, patients.

    Returns
    -------
    alpha : float
        Fraction that may lie outside.
    quantiles : dict of str to float
        By group.
    patients : dict of str to int
        By group.

    Raises
    ------
    ValueError
        If a number is impossible, or the groups differ.

    Examples
    --------
    >>> read_quantiles({"alpha": 0.1, "quantiles": {"all": 0.8}, "patients": {"all": 500.0}})
    (0.1, {'all': 0.8}, {'all': 500})
    """
    alpha = float(values["alpha"])
    quantiles = {str(name): float(value) for name, value in values["quantiles"].items()}
    counts = {str(name): float(count) for name, count in values["patients"].items()}
    if not (0 < alpha <= 0.5 and quantiles and set(quantiles) == set(counts)):
        raise ValueError("quantiles that do not fit")
    whole = all(count <= MAX_PATIENTS and count == int(count) for count in counts.values())
    if not whole or not all(0 <= value <= 1 for value in quantiles.values()):
        raise ValueError("quantiles outside 0 to 1, or counts that are none")
    if min(counts.values()) < least_patients(alpha):
        raise ValueError("quantiles of too few patients")
    return alpha, quantiles, {name: int(count) for name, count in counts.items()}


def least_patients(alpha: float) -> int:
    """Give the smallest number of patients for which there is a quantile.

    Parameters
    ----------
    alpha : float
        Fraction that may lie outside.

    Returns
    -------
    int
        So many that 11 residuals lie around the rank.

    Examples
    --------
    >>> least_patients(0.1)
    59
    """
    return int(np.ceil((POOLED // 2 + 1 - alpha) / alpha))


def one_per_patient(patient: NDArray[np.int64], random_state: int) -> NDArray[np.int64]:
    """Draw one stay of each patient.

    Parameters
    ----------
    patient : ndarray of int, shape (n_stays,)
        Number of the patient of each stay.
    random_state : int
        Seed of the draw.

    Returns
    -------
    ndarray of int
        Positions of the stays.

    Examples
    --------
    >>> len(one_per_patient(np.array([0, 1, 0, 1, 2]), 0))
    3
    """
    rows = np.random.default_rng(random_state).permutation(len(patient))
    return rows[np.unique(patient[rows], return_index=True)[1]]


def conformal_quantile(residual: Array, alpha: float) -> float | None:
    """Give the mean of the 11 residuals around the rank of split-conformal prediction.

    Parameters
    ----------
    residual : ndarray
        Residuals, ascending.
    alpha : float
        Fraction that may lie above.

    Returns
    -------
    float or None
        None where there are not so many around the rank.

    Examples
    --------
    >>> conformal_quantile(np.arange(100.0), 0.1), conformal_quantile(np.arange(20.0), 0.1)
    (90.0, None)
    """
    rank, half = int(np.ceil((len(residual) + 1) * (1 - alpha))), POOLED // 2
    if rank + half > len(residual) or rank - half < 1:
        return None
    return float(residual[rank - 1 - half : rank + half].mean())
