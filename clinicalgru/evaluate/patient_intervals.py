"""95 % intervals of proportions and means of stays, several of which may be of one patient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from clinicalgru.evaluate.validation import Array

Z = 1.959963984540054  # 97.5 % point of the normal distribution


def patient_products(value: Array, group: NDArray[np.int64], patients: NDArray[Any]) -> Array:
    """Sum products between groups over patients: of their stays' distances from the group mean, and of their numbers.

    Parameters
    ----------
    value : ndarray, shape (n_stays,)
        Outcomes.
    group : ndarray of int, shape (n_stays,)
        Number of the group of each stay, from 0, none empty.
    patients : ndarray, shape (n_stays,)
        Patient of each stay.

    Returns
    -------
    ndarray, shape (2, n_groups, n_groups)
        Where groups merge, the products of the merged groups are the sums of theirs.

    Examples
    --------
    >>> one = np.zeros(3, dtype=np.int64)
    >>> patient_products(np.array([0.0, 1.0, 1.0]), one, np.array(["a", "b", "b"])).round(2).tolist()
    [[[0.89]], [[5.0]]]
    """
    number = np.unique(np.asarray(patients).astype(str), return_inverse=True)[1]
    n_groups, n_patients = int(group.max()) + 1, int(number.max()) + 1
    cell, size = group * n_patients + number, n_groups * n_patients
    stays = np.bincount(group)
    distance = value - (np.bincount(group, value) / stays)[group]
    sums = [np.bincount(cell, of, size).reshape(n_groups, n_patients) for of in (distance, np.ones(len(value)))]
    return np.stack([table @ table.T for table in sums])


def wilson_interval(rate: Array, stays: Array, products: Array | None = None) -> tuple[Array, Array]:
    """Compute Wilson's interval for the effective number of stays, by patient.

    Parameters
    ----------
    rate, stays : ndarray, shape (n_groups,)
        Proportion of the stays with the event, and their number.
    products : ndarray of shape (2, n_groups, n_groups), optional
        Of `patient_products`. None: each stay is another patient.

    Returns
    -------
    low, high : ndarray, shape (n_groups,)
        Where each stay is another patient, Wilson's interval.

    Notes
    -----
    So many single stays of patients would give the variance that several stays of a patient have: at most all stays.
    Where all stays or none have the event, that is not known, and the stays of a patient are taken as equal. The
    quantile is that of a t distribution by the effective number of patients.

    References
    ----------
    Wilson 1927. Dean and Pagano 2015, J Surv Stat Methodol 3:484-503, intervals of proportions from clusters.

    Examples
    --------
    >>> low, high = wilson_interval(np.array([0.9]), np.array([100.0]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.826], [0.945])
    """
    effective, quantile = np.asarray(stays, dtype=float), np.full(len(stays), Z)
    if products is not None:
        squares, pairs = (np.diagonal(table) for table in products)
        patients = stays**2 / pairs
        seen = rate * (1 - rate) * stays**2 / np.where(squares > 0, squares, 1)
        has_several = pairs > stays
        effective = np.where(has_several, np.minimum(stays, np.where(squares > 0, seen, patients)), stays)
        quantile = np.where(has_several, stdtrit(np.maximum(patients - 1, 1), 0.975), Z)
    share = quantile**2 / effective
    half = np.sqrt(share * (rate * (1 - rate) + share / 4))
    return (rate + share / 2 - half) / (1 + share), (rate + share / 2 + half) / (1 + share)


def mean_error(value: Array, patients: NDArray[Any]) -> float:
    """Standard error of a mean over stays, robust to several stays of a patient.

    Parameters
    ----------
    value : ndarray, shape (n_stays,)
        Numbers.
    patients : ndarray, shape (n_stays,)
        Patient of each stay.

    Returns
    -------
    float
        NaN of one patient. Where each stay is another patient, the standard deviation by the square root of their
        number.

    Examples
    --------
    >>> round(mean_error(np.array([1.0, 2.0, 3.0]), np.arange(3)), 4)
    0.5774
    """
    number = np.unique(np.asarray(patients).astype(str), return_inverse=True)[1]
    sums = np.bincount(number, value - value.mean())
    n = len(sums)
    return float(np.sqrt((sums**2).sum() * n / (n - 1)) / len(value)) if n > 1 else float("nan")
