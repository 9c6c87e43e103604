"""Verdicts on several comparisons at once: weighted Holm, so that equal models are rarely called better."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import ndtr

from clinicalgru.disclosure import MIN_CELL_SIZE, coarse_count, is_small
from clinicalgru.evaluate.bootstrap import MIN_EVENTS, percentile_interval
from clinicalgru.evaluate.metric_descriptions import compare_text, describe_metric
from clinicalgru.evaluate.sample_size import events_for_auroc
from clinicalgru.evaluate.validation import Array

PRIMARY_SHARE = 0.5  # of the 5 % error, for the primary metric
COLUMNS = ["baseline", "metric", "estimate", "low", "high", "p", "p_adjusted", "verdict"]


def weighted_holm(p: Array, weights: Array) -> Array:
    """Adjust p values so that any false rejection at 0.05 has a probability of at most 5 %.

    Parameters
    ----------
    p : ndarray, shape (n_tests,)
        P values; NaN where there is none.
    weights : ndarray, shape (n_tests,)
        Above 0: a test of twice the weight takes twice the share of the error.

    Returns
    -------
    ndarray, shape (n_tests,)
        Adjusted p values, at most 1.

    References
    ----------
    Holm 1979, "A simple sequentially rejective multiple test procedure", section 5.

    Examples
    --------
    >>> import numpy as np
    >>> weighted_holm(np.array([0.01, 0.04, 0.03]), np.ones(3))
    array([0.03, 0.06, 0.06])
    """
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known] / weights[known], kind="stable")]
    remaining = np.cumsum(weights[order][::-1])[::-1]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] / weights[order] * remaining), 1.0)
    return adjusted


def difference_table(
    estimates: Mapping[str, Mapping[str, float]],
    replicates: Mapping[str, Mapping[str, Array]],
    *,
    primary: str,
    n_resamples: int,
    class_counts: Mapping[str, int],
    too_few: str = "",
) -> pd.DataFrame:
    """Tabulate paired differences of the first model from the others, with a verdict on each.

    Parameters
    ----------
    estimates, replicates : mapping
        By model and metric; the first model is compared with the others.
    primary : str
        Metric that takes half of the error of 5 %.
    n_resamples : int
        Number of resamples that were drawn.
    class_counts : mapping of str to int
        See `TaskPredictions`.
    too_few : str
        Verdict where there are fewer than 20 stays with, or without, the event.

    Returns
    -------
    DataFrame
        baseline, metric, estimate, low, high, p, p_adjusted, verdict.
    """
    (name, own), *baselines = estimates.items()
    rows = []
    for baseline, values in baselines:
        for metric in (metric for metric in own if metric in values and describe_metric(metric)[0].direction):
            count = class_counts.get(metric, class_counts.get(""))
            few = count is not None and count < MIN_EVENTS
            estimate = own[metric] - values[metric]
            difference = replicates[name][metric] - replicates[baseline][metric]
            low, high = (np.nan, np.nan) if few else percentile_interval(difference, n_resamples)
            p = np.nan if np.isnan(low) else _p_value(estimate, difference)
            rows.append((baseline, metric, estimate, low, high, p, np.nan, too_few if few else ""))
    table = pd.DataFrame(rows, columns=COLUMNS)
    directed = table["metric"].map(lambda metric: describe_metric(metric)[0].direction in ("higher", "lower"))
    tested = np.flatnonzero(directed & table["p"].notna())
    is_primary = (table["metric"] == primary).to_numpy()[tested]
    n_primary, n_other = max(is_primary.sum(), 1), max((~is_primary).sum(), 1)
    share = np.where(is_primary, PRIMARY_SHARE / n_primary, (1 - PRIMARY_SHARE) / n_other)
    table.loc[tested, "p_adjusted"] = weighted_holm(table["p"].to_numpy(float)[tested], share)
    names = ["metric", "baseline", "low", "high", "p_adjusted"]
    verdicts = [
        compare_text(metric, name=name, baseline=baseline, low=low, high=high, p=p)
        for metric, baseline, low, high, p in table[names].itertuples(index=False)
    ]
    table["verdict"] = table["verdict"].where(table["verdict"] != "", verdicts)
    return table


def too_few_text(events: int, stays: int, auroc: float, *, patients: tuple[int, int] | None = None) -> str:
    """Say that there are too few stays with, or without, the event, and how many are needed.

    Parameters
    ----------
    events, stays : int
        Stays with the event, and all.
    auroc : float
        The AUROC; NaN where unknown.
    patients : tuple of int, optional
        Patients with the event, and without it: where the stays are enough, but are those of few patients.

    Returns
    -------
    str
        A count below 11, or of stays of fewer than 11 patients, is not given.

    Examples
    --------
    >>> too_few_text(15, 200, 0.8)
    'too few events (15); about 82 are needed for an AUROC within 0.05'
    >>> too_few_text(15, 200, 0.8, patients=(6, 90)).partition(";")[0]
    'too few events (of fewer than 11 patients)'
    """
    count, what = min((events, "events"), (stays - events, "stays without the event"))
    of_few = patients is not None and is_small(patients[what != "events"], MIN_CELL_SIZE)
    if count >= MIN_EVENTS and patients is not None:
        count, what = min((patients[0], "patients with the event"), (patients[1], "patients without the event"))
    needed = needed_for_auroc(count, stays, auroc)
    shown = f"of fewer than {MIN_CELL_SIZE} patients" if of_few and count >= MIN_CELL_SIZE else coarse_count(count)
    return f"too few {what} ({shown}); about {needed:,} are needed for an AUROC within 0.05"


def needed_for_auroc(count: int, stays: int, auroc: float) -> int:
    """Compute how many stays of the rarer outcome give the AUROC an interval of 0.05 to each side.

    Parameters
    ----------
    count, stays : int
        Stays of the rarer outcome, and all, of a sample with its rate.
    auroc : float
        The AUROC; NaN where unknown. Values are taken as 0.6 to 0.85.

    Returns
    -------
    int
        At least 20.

    Examples
    --------
    >>> needed_for_auroc(15, 200, 0.8)
    82
    """
    expected = float(np.clip(max(auroc, 1 - auroc) if auroc == auroc else 0.8, 0.6, 0.85))
    return max(events_for_auroc(expected, min(max(count, 1) / stays, 0.5)), MIN_EVENTS)


def _p_value(estimate: float, replicates: Array) -> float:
    """Two-sided p value of a difference of 0: normal, with the standard deviation of the replicates."""
    error = float(np.nanstd(replicates, ddof=1)) if len(replicates) > 1 else 0.0
    if error <= 1e-12:
        return 1.0 if abs(estimate) <= 1e-12 else 0.0
    return float(2 * ndtr(-abs(estimate) / error))
