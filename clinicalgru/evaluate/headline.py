"""What the summary of an evaluation rests on: the primary metric, enough events, event rate, net benefit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import MIN_EVENTS
from clinicalgru.evaluate.decision_curve import TREAT_ALL, TREAT_NONE, decision_curve
from clinicalgru.evaluate.metric_descriptions import HEADLINES, describe_metric
from clinicalgru.evaluate.multiplicity import too_few_text
from clinicalgru.evaluate.predictions import TaskPredictions

MAX_RESAMPLES = 300  # of the net benefit
DIRECTED = ("higher", "lower")


def primary_metric(primary: str | None, metrics: Mapping[str, float], task_type: str) -> str:
    """Give the primary metric.

    Parameters
    ----------
    primary : str or None
        What was requested. None: the first of the summary.
    metrics : mapping of str to float
        Estimates by metric.
    task_type : str
        Type of the task.

    Returns
    -------
    str
        Its name.

    Raises
    ------
    ArgumentError
        If it is no metric of the task of which higher or lower values are better.

    Examples
    --------
    >>> primary_metric(None, {"auprc": 0.4, "auroc": 0.8}, "binary")
    'auroc'
    """
    if primary is None:
        return next((metric for metric in HEADLINES[task_type] if metric in metrics), next(iter(metrics), ""))
    known = [metric for metric in metrics if describe_metric(metric)[0].direction in DIRECTED]
    if primary not in known:
        raise ArgumentError(f"primary among {', '.join(known)}", f"{primary!r:.60}", "Choose one of them.")
    return primary


def too_few_verdict(
    model: TaskPredictions, estimates: Mapping[str, float], patients: tuple[int, int] | None = None
) -> str:
    """Give the verdict where there are too few stays with, or without, the event.

    Parameters
    ----------
    model : TaskPredictions
        Predictions of the model.
    estimates : mapping of str to float
        Its metrics.
    patients : tuple of int, optional
        Patients with the event, and without it.

    Returns
    -------
    str
        Such as "too few events (15)".

    Examples
    --------
    >>> from clinicalgru.evaluate.predictions import risk_predictions
    >>> too_few_verdict(risk_predictions([0] * 40 + [1] * 12, [0.5] * 52), {"auroc": 0.5})
    'too few events (12)'
    """
    if model.events is None or min(model.events, model.n_stays - model.events, *(patients or ())) >= MIN_EVENTS:
        return "too few events"
    text = too_few_text(model.events, model.n_stays, estimates.get("auroc", float("nan")), patients=patients)
    return text.partition(";")[0]


def training_rate(trained_on: Mapping[str, Any]) -> float | None:
    """Give the event rate in training.

    Parameters
    ----------
    trained_on : mapping
        Counts of a fitted model.

    Returns
    -------
    float or None
        None where it is unknown or suppressed.

    Examples
    --------
    >>> training_rate({"outcomes": 20, "stays": 200})
    0.1
    """
    events, stays = trained_on.get("outcomes"), trained_on.get("stays")
    return events / stays if isinstance(events, int) and isinstance(stays, int) and 0 < events < stays else None


def net_benefit_at(
    models: Mapping[str, TaskPredictions],
    threshold: float | None,
    *,
    patients: Any,
    n_resamples: int,
    random_state: int,
) -> pd.DataFrame:
    """Compute the net benefit of each model of a binary task at one threshold.

    Parameters
    ----------
    models : mapping of str to TaskPredictions
        By name.
    threshold : float or None
        Above 0 and below 1. None: the event rate.
    patients : array-like or None
        Patient of each stay.
    n_resamples, random_state : int
        Number and seed of the resamples; at most 300.

    Returns
    -------
    DataFrame
        As of `decision_curve`; empty for other types of task.
    """
    first, *others = models
    outcome, risk = models[first].outcome, models[first].risk
    if outcome is None or risk is None:
        return pd.DataFrame()
    at = float(outcome.mean()) if threshold is None else threshold
    reserved = (TREAT_ALL, TREAT_NONE)
    risks: dict[str, Any] = {name: models[name].risk for name in others if name not in reserved}
    curve = decision_curve(
        outcome,
        risk,
        baselines=risks,
        patients=None if patients is None else np.asarray(patients),
        thresholds=[at if threshold is not None else float(np.clip(float(f"{at:.2g}"), 1e-6, 0.99))],
        name=first if first not in reserved else "model",
        n_resamples=min(n_resamples, MAX_RESAMPLES),
        random_state=random_state,
    )
    return curve.table
