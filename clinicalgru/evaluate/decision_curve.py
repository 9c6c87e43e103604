"""Decision curves: net benefit of acting at a threshold, next to treating all and treating none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clinicalgru.checks import check_instance, check_number
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.bootstrap import (
    MetricSet,
    bootstrap_metrics,
    class_patients,
    interval_table,
    numbered_patients,
)
from clinicalgru.evaluate.validation import Array, check_aligned, validate_outcome, validate_risk

TREAT_ALL, TREAT_NONE = "treat all", "treat none"


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit of models at thresholds.

    Attributes
    ----------
    table : DataFrame
        model, threshold, net_benefit, low, high; the last two models are "treat all" and "treat none".
    name : str
        Name of the model.
    """

    table: pd.DataFrame
    name: str

    def __str__(self) -> str:
        return self.table.round(4).to_string(index=False)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(self.table.round(4).to_html(index=False, escape=True, border=0))

    def plot(self) -> Any:
        """Draw net benefit against the threshold.

        Returns
        -------
        plotly.graph_objects.Figure
            One line per model; the higher line is the better policy.

        Examples
        --------
        >>> len(decision_curve([0, 1], [0.2, 0.7], n_resamples=2).plot().data)
        3
        """
        from clinicalgru.display import plot

        return plot(self, "net_benefit")


def decision_curve(
    outcome: ArrayLike,
    risk: ArrayLike,
    *,
    baselines: Mapping[str, ArrayLike] | None = None,
    patients: Any = None,
    thresholds: ArrayLike | None = None,
    name: str = "GRU",
    n_resamples: int = 200,
    random_state: int = 0,
) -> DecisionCurve:
    """Compute the net benefit of acting on every stay whose risk reaches a threshold.

    Net benefit is the rate of true positives, minus the rate of false positives times the odds of the threshold. 0 is
    as good as treating none. The event rate is the best possible value: 0.5 where half of the stays have the event, 1
    where all have.

    Parameters
    ----------
    outcome, risk : array-like, shape (n_stays,)
        As for `evaluate`.
    baselines : mapping of str to array-like, optional
        Risks of other models for the same stays, by name.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.
    thresholds : array-like, shape (n_thresholds,), optional
        Above 0 and below 1. None: 0.01, 0.02, ... 0.5.
    name : str
        Name of the model.
    n_resamples : int
        Number of bootstrap resamples for the 95 % intervals.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    DecisionCurve
        With the models, "treat all" and "treat none".

    Raises
    ------
    ArgumentError
        As for `evaluate`; also if thresholds are out of range, or a baseline is called "treat all" or "treat none".

    References
    ----------
    Vickers and Elkin 2006, "Decision curve analysis", Med Decis Making 26:565-574.

    Examples
    --------
    >>> curve = decision_curve([0, 0, 1, 1], [0.1, 0.6, 0.7, 0.9], thresholds=[0.5], n_resamples=20)
    >>> curve.table.set_index("model")["net_benefit"].round(3).to_dict()
    {'GRU': 0.25, 'treat all': 0.0, 'treat none': 0.0}
    """
    check_instance("name", name, str)
    check_number("random_state", random_state, minimum=0, whole=True)
    true = validate_outcome(outcome)
    at = _checked_thresholds(np.arange(1, 51) / 100 if thresholds is None else thresholds)
    risks = {name: validate_risk(risk, stays=len(true))} | _baseline_risks(baselines, outcome, len(true), name)
    patient = numbered_patients(patients, len(true))
    check_aligned(outcome=outcome, risk=risk, patients=patients)
    risks |= {TREAT_ALL: np.ones(len(true)), TREAT_NONE: np.zeros(len(true))}
    models = {model: _by_threshold(true, of_model, at) for model, of_model in risks.items()}
    estimates, replicates, _ = bootstrap_metrics(models, patient, n_resamples=n_resamples, random_state=random_state)
    count = min(class_patients(true, patient))
    tables = [
        interval_table(estimates[model], replicates[model], class_counts=count).assign(model=model, threshold=at)
        for model in models
    ]
    table = pd.concat(tables, ignore_index=True).rename(columns={"estimate": "net_benefit"})
    return DecisionCurve(table[["model", "threshold", "net_benefit", "low", "high"]], name)


def net_benefit(outcome: Array, risk: Array, weights: Array, thresholds: Array) -> Array:
    """Compute net benefit at thresholds.

    Parameters
    ----------
    outcome, risk : ndarray, shape (n_stays,)
        0 or 1; between 0 and 1.
    weights : ndarray, shape (n_resamples, n_stays)
        Weight of each stay.
    thresholds : ndarray, shape (n_thresholds,)
        Above 0 and below 1.

    Returns
    -------
    ndarray, shape (n_resamples, n_thresholds)
        True positives, minus false positives times the odds of the threshold, per stay.

    Examples
    --------
    >>> import numpy as np
    >>> net_benefit(np.array([0.0, 1.0]), np.array([0.3, 0.3]), np.ones((1, 2)), np.array([0.2]))
    array([[0.375]])
    """
    flagged = risk[:, None] >= thresholds
    true = weights @ (flagged * outcome[:, None])
    false = weights @ (flagged * (1 - outcome)[:, None])
    return (true - false * thresholds / (1 - thresholds)) / weights.sum(axis=1, keepdims=True)


def _by_threshold(outcome: Array, risk: Array, thresholds: Array) -> MetricSet:
    """Net benefit at each threshold as a set of metrics."""
    names = [str(number) for number in range(len(thresholds))]
    return lambda weights: dict(zip(names, net_benefit(outcome, risk, weights, thresholds).T, strict=True))


def _baseline_risks(baselines: Any, outcome: Any, stays: int, name: str) -> dict[str, Array]:
    """Validated risks of baselines by name."""
    check_instance("baselines", {} if baselines is None else baselines, Mapping, fix="Pass {name: risks}.")
    risks = {}
    for label, of_baseline in (baselines or {}).items():
        if label in (name, TREAT_ALL, TREAT_NONE):
            raise ArgumentError("a unique name for each model", f"{label!r} twice", "Rename the baseline.")
        risks[label] = validate_risk(of_baseline, stays=stays, name=f"risk of {label}")
        check_aligned(outcome=outcome, **{f"baselines[{label!r}]": of_baseline})
    return risks


def _checked_thresholds(thresholds: ArrayLike) -> Array:
    """Thresholds between 0 and 1."""
    try:
        numbers = np.asarray(thresholds, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError("thresholds as numbers", describe(thresholds), "Pass numbers such as [0.1, 0.2].") from None
    outside = int((~((numbers > 0) & (numbers < 1))).sum())
    if numbers.ndim != 1 or not len(numbers) or outside:
        got = f"shape {numbers.shape}, {outside} outside"
        raise ArgumentError("thresholds above 0 and below 1", got, "Pass numbers such as [0.1, 0.2].")
    return numbers
