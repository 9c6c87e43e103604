"""Decision curves: what acting on a risk above a threshold is worth, next to acting on everybody and on nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import numbered_patients, patient_resamples, percentile_interval
from clinicalgru.evaluate.validation import Array, checked_outcome, checked_risk

EVERYBODY, NOBODY = "everybody", "nobody"


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
) -> pd.DataFrame:
    """Net benefit at each threshold: events found for each stay, less false alarms at the rate the threshold implies.

    outcome, risk  (stay,)  as for `evaluate`
    baselines         name: (stay,), risks of other models for the same stays
    patients       (stay,)  who each stay belongs to; None takes every stay for another patient
    thresholds     above 0 and below 1; None: 0.01, 0.02, ... 0.5
    n_resamples      how many times the patients are drawn for the 95 % intervals
    returns        model, threshold, net_benefit, low, high; the last two models act on everybody and on nobody

    A stay is acted on when its risk is at or above the threshold. Refused: what `evaluate` refuses, thresholds out of
    range, a baseline called "everybody" or "nobody".
    Source: Vickers and Elkin 2006, Med Decis Making 26:565-574.

    >>> table = decision_curve([0, 0, 1, 1], [0.1, 0.6, 0.7, 0.9], thresholds=[0.5], n_resamples=20)
    >>> table.set_index("model")["net_benefit"].round(3).to_dict()
    {'GRU': 0.25, 'everybody': 0.0, 'nobody': 0.0}
    """
    outcome = checked_outcome(outcome)
    at = _checked_thresholds(np.arange(1, 51) / 100 if thresholds is None else thresholds)
    risks = {name: checked_risk(risk, stays=len(outcome))}
    for baseline, of_baseline in (baselines or {}).items():
        if baseline in (name, EVERYBODY, NOBODY):
            raise ArgumentError("a name of its own for each model", f"{baseline!r} twice", "Rename the baseline.")
        risks[baseline] = checked_risk(of_baseline, stays=len(outcome), name=f"risk of {baseline}")
    risks |= {EVERYBODY: np.ones(len(outcome)), NOBODY: np.zeros(len(outcome))}
    patient = numbered_patients(patients, len(outcome))
    once, tables = np.ones((1, len(outcome))), []
    for model, of in risks.items():
        draws = patient_resamples(patient, n_resamples=n_resamples, random_state=random_state)
        replicates = np.concatenate([net_benefit(outcome, of, weights, at) for weights in draws])
        tables.append(_table(model, at, net_benefit(outcome, of, once, at)[0], replicates))
    return pd.concat(tables, ignore_index=True)


def net_benefit(outcome: Array, risk: Array, weights: Array, thresholds: Array) -> Array:
    """(resample, threshold) true alarms less false ones at the odds of the threshold, for each stay.

    >>> net_benefit(np.array([0.0, 1.0]), np.array([0.3, 0.3]), np.ones((1, 2)), np.array([0.2]))
    array([[0.375]])
    """
    flagged = risk[:, None] >= thresholds
    true = weights @ (flagged * outcome[:, None])
    false = weights @ (flagged * (1 - outcome)[:, None])
    return (true - false * thresholds / (1 - thresholds)) / weights.sum(axis=1, keepdims=True)


def _checked_thresholds(thresholds: ArrayLike) -> Array:
    numbers = np.asarray(thresholds, dtype=np.float64)
    if numbers.ndim != 1 or not len(numbers) or not ((numbers > 0) & (numbers < 1)).all():
        raise ArgumentError(
            "thresholds above 0 and below 1", f"{numbers.size} values, not all of them so", "Correct it."
        )
    return numbers


def _table(model: str, thresholds: Array, estimate: Array, replicates: Array) -> pd.DataFrame:
    low, high = np.array([percentile_interval(column) for column in replicates.T]).T
    columns = {"threshold": thresholds, "net_benefit": estimate, "low": low, "high": high}
    return pd.DataFrame({"model": model, **columns})
