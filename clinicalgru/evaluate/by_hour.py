"""Performance of a model at several hours of the window: each stay as it was known then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.checks import check_number
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import bootstrap_metrics, class_patients, interval_table
from clinicalgru.evaluate.metrics import RISK_METRICS
from clinicalgru.evaluate.patient_overlap import patient_overlap, warn_of_overlap
from clinicalgru.evaluate.validation import Array, validate_outcome

HOURS = (1.0, 2.0, 4.0, 6.0, 12.0, 24.0, 36.0, 48.0, 72.0, 96.0, 168.0)  # since the start of the window
METRICS = ("auroc", "observed_expected", "calibration_slope")
COLUMNS = ["hours", "stays", "events", "metric", "estimate", "low", "high"]


def evaluate_by_hour(
    model: Any, stays: Any, *, hours: Sequence[float] | None = None, n_resamples: int = 300, random_state: int = 0
) -> pd.DataFrame:
    """Evaluate the risk of a model at several hours of the window, with 95 % bootstrap intervals.

    Parameters
    ----------
    model : fitted estimator
        For a binary outcome of a stay.
    stays : Sequences
        Stays with known outcomes that the model did not learn from. At each hour they are cut there; those of which
        nothing was measured by then are left out.
    hours : sequence of float or None
        Hours since the index time. None: 1, 2, 4, 6, 12, 24, 36, 48, 72, 96 and 168 hours after the start of the
        window, as far as it goes, and its end.
    n_resamples : int
        Number of bootstrap resamples of the patients.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    DataFrame
        hours, stays, events, metric (auroc, observed_expected, calibration_slope), estimate, low, high.

    Raises
    ------
    ArgumentError
        If the task has no binary outcome, or an hour is outside the window.

    Warns
    -----
    DataWarning
        If patients of these stays trained or calibrated the model.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(80, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> model = cg.GRUClassifier(cg.NetworkConfig(hidden_size=4), max_epochs=1, distillation=0)
    >>> model = model.fit(stays, verbose=False)
    >>> evaluate_by_hour(model, stays, hours=[6, 48], n_resamples=5)["hours"].unique().tolist()
    [6.0, 48.0]
    """
    check_number("n_resamples", n_resamples, minimum=1, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
    warn_of_overlap(patient_overlap({"the model": model}, stays), len(stays))
    return metrics_by_hour(model, stays, hours, n_resamples=int(n_resamples), random_state=int(random_state))


def metrics_by_hour(
    model: Any, stays: Any, hours: Sequence[float] | None, *, n_resamples: int, random_state: int
) -> pd.DataFrame:
    """Evaluate as `evaluate_by_hour` does, without a warning of patients that the model knows.

    Parameters
    ----------
    model, stays, hours, n_resamples, random_state : object
        See `evaluate_by_hour`.

    Returns
    -------
    DataFrame
        As of `evaluate_by_hour`.

    Raises
    ------
    ArgumentError
        If the task has no binary outcome, or an hour is outside the window.
    """
    if stays.task.task_type != "binary":
        fix = "Other tasks are evaluated at their own prediction times."
        raise ArgumentError("a task with one outcome of 0 or 1", stays.task.task_type, fix)
    outcome, tables = validate_outcome(stays.outcome), []
    for hour in _hours(hours, stays.task.window_hours):
        cut = stays.truncate_at(hour)
        seen = model.has_observations(cut) if hasattr(model, "has_observations") else cut.n_measurements > 0
        counts = {"hours": hour, "stays": int(seen.sum()), "events": int(outcome[seen].sum())}
        values = pd.DataFrame({"metric": METRICS, "estimate": np.nan, "low": np.nan, "high": np.nan})
        if 0 < counts["events"] < counts["stays"]:
            risk = model.predict_proba(cut[seen])[:, 1]
            values = _metrics(outcome[seen], risk, stays.patient[seen], n_resamples, random_state)
        tables.append(values.assign(**counts))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _hours(hours: Sequence[float] | None, window: tuple[float, float]) -> list[float]:
    """The hours to evaluate at, ascending."""
    first, last = window
    if hours is None:
        return [*(first + hour for hour in HOURS if first + hour < last), last]
    for hour in hours:
        check_number("hours", hour, minimum=first, maximum=last, open_minimum=True)
    return sorted({float(hour) for hour in hours})


def _metrics(outcome: Array, risk: Array, patient: Array, n_resamples: int, random_state: int) -> pd.DataFrame:
    """Metrics at one hour with their intervals."""
    of_hour = {"risk": lambda weights: {name: RISK_METRICS[name](outcome, risk, weights) for name in METRICS}}
    numbers = pd.factorize(patient)[0]
    estimates, replicates, _ = bootstrap_metrics(of_hour, numbers, n_resamples=n_resamples, random_state=random_state)
    count = min(class_patients(outcome, numbers))
    return interval_table(estimates["risk"], replicates["risk"], n_resamples=n_resamples, class_counts=count)
