"""Bootstrap over patients: resamples as weights of stays, metrics on all of them, percentile intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clinicalgru.checks import check_number
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.validation import Array

WeightedMetric = Callable[[Array], Array]  # weights (n_resamples, n_stays) -> values (n_resamples,)
MetricSet = Callable[[Array], Mapping[str, Array]]  # weights (n_resamples, n_stays) -> values by name of the metric
BLOCK_SIZE = 2**20  # weights held at once: 8 MB, for any number of stays
MIN_DEFINED = 0.95  # no interval is given where a smaller fraction of the resamples is defined


def numbered_patients(patients: Any, stays: int) -> NDArray[np.int64]:
    """Number the patient of each stay: 0, 1, ... in order of first appearance.

    Parameters
    ----------
    patients : array-like of shape (n_stays,) or None
        Identifiers of any type. None makes each stay a patient of its own.
    stays : int
        Number of stays.

    Returns
    -------
    ndarray of int64, shape (n_stays,)
        Number of the patient of each stay.

    Raises
    ------
    ArgumentError
        If the length differs or a patient is unknown.

    Examples
    --------
    >>> numbered_patients(["b", "a", "b"], 3)
    array([0, 1, 0])
    """
    if patients is None:
        return np.arange(stays)
    if not hasattr(patients, "__len__") or isinstance(patients, str):
        raise ArgumentError("patients as one column", describe(patients), "Pass one identifier for every stay.")
    if len(patients) != stays:
        raise ArgumentError(f"a patient for each of {stays:,} stays", f"{len(patients):,}", "Pass one for every stay.")
    numbers = pd.factorize(pd.Series(patients))[0].astype(np.int64)
    unknown = int(np.sum(numbers < 0))
    if unknown:
        got = f"{unknown:,} of {stays:,} stays without one"
        raise ArgumentError("a patient for each stay", got, "Name the patient, or leave these stays out.")
    return numbers


def patient_resamples(patient: NDArray[np.int64], *, n_resamples: int, random_state: int) -> Iterator[Array]:
    """Yield the weight of each stay in each bootstrap resample of the patients, a block of resamples at a time.

    Patients are drawn with replacement; all stays of a patient carry the same weight.

    Parameters
    ----------
    patient : ndarray of int64, shape (n_stays,)
        Numbers from `numbered_patients`.
    n_resamples : int
        Number of resamples in all.
    random_state : int
        Seed; the same seed gives the same weights.

    Yields
    ------
    ndarray of float64, shape (block, n_stays)
        How often each stay counts; at most 8 MB at a time.

    References
    ----------
    Field and Welsh 2007, "Bootstrapping clustered data" (cluster bootstrap).

    Examples
    --------
    >>> import numpy as np
    >>> [block] = patient_resamples(np.array([0, 0, 1]), n_resamples=2, random_state=0)
    >>> bool((block[:, 0] == block[:, 1]).all())
    True
    """
    generator = np.random.default_rng(random_state)
    patients = int(patient.max()) + 1
    rows = max(1, BLOCK_SIZE // len(patient))
    for done in range(0, n_resamples, rows):
        size = min(rows, n_resamples - done)
        drawn = generator.integers(patients, size=(size, patients)) + patients * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * patients).reshape(size, patients)
        yield counts[:, patient].astype(np.float64)


def bootstrap_metrics(
    models: Mapping[str, MetricSet],
    patient: NDArray[np.int64],
    *,
    n_resamples: int,
    random_state: int,
    is_usable: Callable[[Array], NDArray[np.bool_]] | None = None,
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, Array]], int]:
    """Compute the metrics of models on all stays, and on the same resamples of their patients.

    Parameters
    ----------
    models : mapping of str to MetricSet
        Metrics of each model, as functions of the weights.
    patient : ndarray of int64, shape (n_stays,)
        Numbers from `numbered_patients`.
    n_resamples : int
        Number of resamples.
    random_state : int
        Seed of the resamples.
    is_usable : callable, optional
        From weights (n_resamples, n_stays) to whether each resample counts, such as one that holds both outcomes.

    Returns
    -------
    estimates : dict of dict of float
        By model and metric, on all stays.
    replicates : dict of dict of ndarray
        By model and metric, on each usable resample.
    dropped : int
        Number of resamples that were not usable.

    Raises
    ------
    ArgumentError
        If `n_resamples` is not a whole number of 1 or more.

    Examples
    --------
    >>> import numpy as np
    >>> mean = combine({"mean": lambda weights: weights @ np.array([1.0, 3.0]) / weights.sum(axis=1)})
    >>> bootstrap_metrics({"model": mean}, np.array([0, 1]), n_resamples=5, random_state=0)[0]
    {'model': {'mean': 2.0}}
    """
    check_number("n_resamples", n_resamples, minimum=1, whole=True)
    every_stay = np.ones((1, len(patient)))
    estimates = {
        model: {metric: float(value[0]) for metric, value in metrics(every_stay).items()}
        for model, metrics in models.items()
    }
    blocks, usable = [], 0
    for weights in patient_resamples(patient, n_resamples=n_resamples, random_state=random_state):
        weights = weights if is_usable is None else weights[is_usable(weights)]
        usable += len(weights)
        blocks.append({model: metrics(weights) for model, metrics in models.items()})
    replicates = {
        model: {metric: np.concatenate([block[model][metric] for block in blocks]) for metric in values}
        for model, values in estimates.items()
    }
    return estimates, replicates, n_resamples - usable


def combine(metrics: Mapping[str, WeightedMetric]) -> MetricSet:
    """Combine single metrics into one `MetricSet`.

    Parameters
    ----------
    metrics : mapping of str to WeightedMetric
        Functions from weights (n_resamples, n_stays) to values (n_resamples,).

    Returns
    -------
    MetricSet
        Function from weights to values by name.

    Examples
    --------
    >>> import numpy as np
    >>> combine({"total": lambda weights: weights.sum(axis=1)})(np.ones((1, 3)))
    {'total': array([3.])}
    """
    return lambda weights: {name: metric(weights) for name, metric in metrics.items()}


def percentile_interval(replicates: Array) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrap replicates.

    Parameters
    ----------
    replicates : ndarray, shape (n_resamples,)
        NaN where undefined.

    Returns
    -------
    tuple of float
        The 2.5 % and the 97.5 % percentile; NaN where more than 5 % of the replicates are undefined.

    References
    ----------
    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.

    Examples
    --------
    >>> import numpy as np
    >>> percentile_interval(np.arange(101.0))
    (2.5, 97.5)
    """
    known = replicates[~np.isnan(replicates)]
    if not len(known) or len(known) < MIN_DEFINED * len(replicates):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def interval_table(estimates: Mapping[str, float], replicates: Mapping[str, Array]) -> pd.DataFrame:
    """Tabulate estimates with their percentile intervals.

    Parameters
    ----------
    estimates : mapping of str to float
        By metric, on all stays.
    replicates : mapping of str to ndarray
        By metric, on each resample.

    Returns
    -------
    DataFrame
        Columns metric, estimate, low, high.

    Examples
    --------
    >>> import numpy as np
    >>> interval_table({"mean": 2.0}, {"mean": np.arange(101.0)}).to_dict("records")
    [{'metric': 'mean', 'estimate': 2.0, 'low': 2.5, 'high': 97.5}]
    """
    rows = [(name, value, *percentile_interval(replicates[name])) for name, value in estimates.items()]
    return pd.DataFrame(rows, columns=["metric", "estimate", "low", "high"])
