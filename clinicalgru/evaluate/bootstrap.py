"""Bootstrap over patients: resamples as weights of stays, metrics on all of them, percentile intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, stdtrit

from clinicalgru.checks import check_number
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.validation import Array

WeightedMetric = Callable[[Array], Array]  # weights (n_resamples, n_stays) -> values (n_resamples,)
MetricSet = Callable[[Array], Mapping[str, Array]]  # weights (n_resamples, n_stays) -> values by name of the metric
BLOCK_SIZE = 2**20  # weights held at once: 8 MB, for any number of stays
MIN_DEFINED = 0.95  # no interval is given where a smaller fraction of the resamples is defined
MIN_EVENTS = 20  # of fewer stays with, or without, the event no interval is given
PROPORTIONS = (
    "auroc",
    "auprc",
    "accuracy",
    "concordance",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "event_sensitivity",
    "false_alert_rate",
)  # the last two of early warning
# how the names of metrics on the log-odds scale begin
Z = 1.959963984540054  # 97.5 % point of the normal distribution
TAIL = 0.025  # left out at each end of an interval of 95 %


def class_patients(outcome: Array, patient: NDArray[np.int64]) -> tuple[int, int]:
    """Count the patients with the event, and those without it: what an interval by patient rests on.

    Parameters
    ----------
    outcome : ndarray, shape (n_stays,)
        0 or 1.
    patient : ndarray of int, shape (n_stays,)
        Number of the patient of each stay.

    Returns
    -------
    tuple of int
        Patients who have a stay with the event, and who have one without it; some have both.

    Examples
    --------
    >>> class_patients(np.array([1.0, 1.0, 0.0]), np.array([0, 0, 0]))
    (1, 1)
    """
    return len(np.unique(patient[outcome == 1])), len(np.unique(patient[outcome == 0]))


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


def percentile_interval(
    replicates: Array, n_resamples: int | None = None, *, n_patients: int | None = None
) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrap replicates.

    Parameters
    ----------
    replicates : ndarray, shape (n_replicates,)
        NaN where undefined.
    n_resamples : int, optional
        Number of resamples that were drawn. None: as many as there are replicates.
    n_patients : int, optional
        Number of patients that the replicates rest on, 2 or more. The percentiles then are those of Hesterberg's
        expanded interval, which is wider by a factor of 1.04 for 50 patients. None: no such correction.

    Returns
    -------
    tuple of float
        The 2.5 % and the 97.5 % percentile, or the expanded ones; NaN where more than 5 % of the resamples are
        undefined or were dropped.

    References
    ----------
    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. Hesterberg 2015, Am Stat 69:371-386,
    section 5.3, expanded percentile interval.

    Examples
    --------
    >>> import numpy as np
    >>> percentile_interval(np.arange(101.0))
    (2.5, 97.5)
    >>> [round(end, 1) for end in percentile_interval(np.arange(101.0), n_patients=50)]
    [2.1, 97.9]
    """
    known = _enough(replicates, n_resamples)
    if known is None:
        return float("nan"), float("nan")
    tail = TAIL if n_patients is None else ndtr(-_quantile(n_patients) * math.sqrt(n_patients / (n_patients - 1)))
    low, high = np.percentile(known, [100 * tail, 100 * (1 - tail)])
    return float(low), float(high)


def metric_interval(
    metric: str, estimate: float, replicates: Array, *, n_resamples: int | None = None, class_count: int | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of a metric.

    Parameters
    ----------
    metric : str
        Name of the metric.
    estimate : float
        Its value on all stays.
    replicates : ndarray, shape (n_replicates,)
        Its values on resamples; NaN where undefined.
    n_resamples : int, optional
        Number of resamples that were drawn. None: as many as there are replicates.
    class_count : int, optional
        Number of patients with, or without, the event, whichever are fewer. None: not of that kind.

    Returns
    -------
    tuple of float
        NaN where there are fewer than 20 such patients, or more than 5 % of the resamples are undefined. AUROC, AUPRC,
        accuracy, concordance, event sensitivity and false-alert rate: symmetric on the log-odds scale, with the
        standard deviation of the replicates, so that it stays within 0 and 1 and is not of width 0 near 1. Other
        metrics: percentiles. Both have the quantile of a t distribution with one degree of freedom less than there are
        patients; without a count the normal one.

    References
    ----------
    Pepe 2003, "The Statistical Evaluation of Medical Tests", chapter 5, intervals of the AUROC on the log-odds scale.
    Boyd et al. 2013, the same for the AUPRC. Clopper and Pearson 1934, for a perfect ranking.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = metric_interval("auroc", 1.0, np.ones(100), class_count=30)
    >>> round(low, 3), high
    (0.884, 1.0)
    """
    nothing = float("nan"), float("nan")
    if class_count is not None and class_count < MIN_EVENTS:
        return nothing
    known = _enough(replicates, n_resamples)
    if known is None or not metric.startswith(PROPORTIONS) or math.isnan(estimate):
        return percentile_interval(replicates, n_resamples, n_patients=class_count)
    if not 0 < estimate < 1:
        if class_count is None:
            return nothing
        bound = 0.025 ** (1 / class_count)
        return (bound, 1.0) if estimate >= 1 else (0.0, 1 - bound)
    center, error = logit(estimate), float(known.std(ddof=1)) / (estimate * (1 - estimate)) if len(known) > 1 else 0.0
    half = _quantile(class_count) * error
    return float(expit(center - half)), float(expit(center + half))


def interval_table(
    estimates: Mapping[str, float],
    replicates: Mapping[str, Array],
    *,
    n_resamples: int | None = None,
    class_counts: Mapping[str, int] | int | None = None,
) -> pd.DataFrame:
    """Tabulate estimates with their intervals.

    Parameters
    ----------
    estimates : mapping of str to float
        By metric, on all stays.
    replicates : mapping of str to ndarray
        By metric, on each resample.
    n_resamples : int, optional
        Number of resamples that were drawn. None: as many as there are replicates.
    class_counts : int, or mapping of str to int, optional
        Number of patients with, or without, the event, whichever are fewer; by metric, with "" for all others.

    Returns
    -------
    DataFrame
        Columns metric, estimate, low, high; see `metric_interval`.

    Examples
    --------
    >>> import numpy as np
    >>> interval_table({"mean": 2.0}, {"mean": np.arange(101.0)}).to_dict("records")
    [{'metric': 'mean', 'estimate': 2.0, 'low': 2.5, 'high': 97.5}]
    """
    counts = {"": class_counts} if isinstance(class_counts, int) else class_counts or {}
    rows = []
    for name, value in estimates.items():
        count = counts.get(name, counts.get(""))
        interval = metric_interval(name, value, replicates[name], n_resamples=n_resamples, class_count=count)
        rows.append((name, value, *interval))
    return pd.DataFrame(rows, columns=["metric", "estimate", "low", "high"])


def _quantile(n_patients: int | None) -> float:
    """97.5 % point of the t distribution for a number of patients; without one, of the normal distribution."""
    return Z if n_patients is None else float(stdtrit(n_patients - 1, 1 - TAIL))


def _enough(replicates: Array, n_resamples: int | None) -> Array | None:
    """The defined replicates; None where they are fewer than 95 % of the resamples."""
    known = replicates[~np.isnan(replicates)]
    return known if len(known) and len(known) >= MIN_DEFINED * (n_resamples or len(replicates)) else None
