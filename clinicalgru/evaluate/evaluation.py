"""One result for every type of task: metrics with intervals, and paired differences from baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clinicalgru.checks import check_instance, check_number
from clinicalgru.disclosure import MIN_CELL_SIZE, stays_of_patients
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import bootstrap_metrics, class_patients, interval_table, numbered_patients
from clinicalgru.evaluate.by_hour import metrics_by_hour
from clinicalgru.evaluate.compared_models import (
    checked_baselines,
    predictions_of_arrays,
    predictions_of_models,
    with_ablations,
)
from clinicalgru.evaluate.details import NO_GROUPS, binary_details, default_groups, weighted
from clinicalgru.evaluate.evaluation_result import Evaluation
from clinicalgru.evaluate.headline import primary_metric, too_few_verdict, training_rate
from clinicalgru.evaluate.multiplicity import difference_table
from clinicalgru.evaluate.patient_overlap import patient_overlap, warn_of_overlap
from clinicalgru.evaluate.predictions import TaskPredictions
from clinicalgru.evaluate.validation import check_aligned

MAX_HOURLY_RESAMPLES = 300


def evaluate(
    outcome: Any,
    risk: Any,
    /,
    *,
    baselines: Mapping[str, Any] | Sequence[str] | None = None,
    patients: Any = None,
    train: Any = None,
    name: str = "GRU",
    by_hour: bool | None = None,
    primary: str | None = None,
    threshold: float | None = None,
    groups: Mapping[str, Any] | None = None,
    sample_weight: Any = None,
    n_resamples: int | None = None,
    random_state: int = 0,
) -> Evaluation:
    """Evaluate a fitted model on stays, or anybody's risks against outcomes, with 95 % bootstrap intervals.

    ``evaluate(model, stays)`` works for every type of task. ``evaluate(outcome, risk)`` takes arrays of a binary
    outcome and of risks from any source.

    Parameters
    ----------
    outcome : fitted estimator, or array-like of shape (n_stays,)
        A GRU estimator, ensemble, hybrid or baseline; or outcomes, 0 or 1, both present.
    risk : Sequences, or array-like of shape (n_stays,)
        Stays with known outcomes for a model; risks between 0 and 1 for outcomes.
    baselines : mapping of str to fitted estimator or array-like, or names of ablations, optional
        Models, or for a binary task their risks, by name; compared on the same resamples. "ablations", or one of
        "no_sequence" and "no_summaries": the model is trained on `train` anew without that part; see `fit_ablations`.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: those of the stays; for arrays, each stay is another patient.
    train : Sequences, optional
        Stays that the model learned from, for ablations. Of a survival model also those whose follow-up gives the
        censoring weights; None: those of the evaluated stays.
    name : str
        Name of the model in tables and figures.
    by_hour : bool or None
        Whether the model is also evaluated at several hours of the window; see `evaluate_by_hour`. None: where the
        outcome is binary and the model learned to answer at any hour.
    primary : str, optional
        The primary metric, to be named before the results are known. None: the first of the summary, such as "auroc".
    threshold : float, optional
        Risk from which a stay is acted upon, for the net benefit of a binary task. None: the event rate in training,
        else that of these stays.
    groups : mapping of str to array-like of shape (n_stays,), optional
        Labels of the stays by what divides them, such as ``{"site": site}``, for the performance of a binary task in
        each group. None: of a model and its stays, by `default_groups`; {} evaluates no groups.
    sample_weight : array-like, shape (n_stays,), optional
        Weight of each stay, above 0, in all metrics and differences. Counts, curves, groups and operating points are
        not weighted, and a note says so.
    n_resamples : int, optional
        Number of bootstrap resamples of the patients. None: 1,000, or fewer where metrics are expensive.
    random_state : int
        Seed; the same seed gives the same intervals.

    Returns
    -------
    Evaluation
        Print it, or use its methods `plot`, `to_html` and `to_dict`.

    Raises
    ------
    ArgumentError
        If outcomes or risks are unknown or impossible, lengths differ, pandas indexes differ, one class only is
        present, or a baseline has the name of the model.

    Warns
    -----
    DataWarning
        If patients of these stays trained or calibrated the model or a baseline, whose figures are optimistic then.

    Notes
    -----
    Patients are resampled with all their stays (cluster bootstrap); differences are paired. With fewer than 20 stays
    with, or without, the event there are no intervals and no verdicts. A model is called better where the p value is
    below 0.05 after Holm's correction over all baselines and metrics; the primary metric has half of the error.

    References
    ----------
    Efron and Tibshirani 1993, "An Introduction to the Bootstrap"; Field and Welsh 2007, "Bootstrapping clustered data";
    Holm 1979.

    Examples
    --------
    >>> evaluation = evaluate([0, 0, 1, 0, 1, 1], [0.1, 0.4, 0.35, 0.2, 0.8, 0.9], n_resamples=200)
    >>> evaluation.metrics.query("metric == 'auroc'")["estimate"].round(3).tolist()
    [0.889]
    """
    check_instance("name", name, str)
    check_number("random_state", random_state, minimum=0, whole=True)
    if n_resamples is not None:
        check_number("n_resamples", n_resamples, minimum=1, whole=True)
    baselines = checked_baselines(with_ablations(baselines, outcome, train), name)
    if hasattr(outcome, "_evaluation_inputs"):
        stays = risk if patients is None else _of_patients(risk, patients)
        models = predictions_of_models(outcome, stays, baselines, name=name, train=train)
        patients = stays.patient
    else:
        stays = risk
        models = predictions_of_arrays(outcome, risk, baselines, name=name, patients=patients)
        check_aligned(outcome=outcome, risk=risk, patients=patients)
    trained_on = getattr(outcome, "trained_on_", {}) if hasattr(outcome, "_evaluation_inputs") else {}
    origin = outcome._provenance() if hasattr(outcome, "_provenance") else {}
    origin.pop("simulated", None)  # of the training data; that of these stays decides what is shown
    rate = training_rate(trained_on) if models[name].task_type == "binary" else None
    simulated = bool(getattr(risk, "simulated", False))
    if groups is None:
        groups = default_groups(risk) if models[name].task_type == "binary" else {}
    evaluation = evaluate_predictions(
        models,
        patients=patients,
        primary=primary,
        threshold=rate if threshold is None else threshold,
        groups=groups,
        sample_weight=sample_weight,
        n_resamples=n_resamples,
        random_state=random_state,
        min_cell_size=0 if simulated else MIN_CELL_SIZE,
    )
    overlap = patient_overlap({name: outcome, **baselines}, risk)
    warn_of_overlap(overlap, evaluation.stays)
    known: dict[str, Any] = {"simulated": simulated, "provenance": origin, "patient_overlap": overlap}
    evaluation = replace(evaluation, training_rate=rate, **known)
    if hasattr(outcome, "_set_coverage"):
        least = 0 if simulated else evaluation.min_cell_stays
        table = outcome._set_coverage(stays, models[name], groups, min_cell_size=least)
        evaluation = replace(evaluation, prediction_sets=table)
    if by_hour is None:
        by_hour = evaluation.task_type == "binary" and bool(getattr(outcome, "answers_at_any_hour_", False))
    if not by_hour:
        return evaluation
    if not hasattr(outcome, "_evaluation_inputs"):
        raise ArgumentError("a model and its stays with by_hour", "risks", "Pass evaluate(model, stays).")
    n_hourly = min(evaluation.n_resamples, MAX_HOURLY_RESAMPLES)
    table = metrics_by_hour(outcome, stays, None, n_resamples=n_hourly, random_state=int(random_state))
    return replace(evaluation, by_hour=table)


def evaluate_predictions(
    models: Mapping[str, TaskPredictions],
    *,
    patients: Any = None,
    primary: str | None = None,
    threshold: float | None = None,
    groups: Mapping[str, Any] = NO_GROUPS,
    sample_weight: Any = None,
    n_resamples: int | None = None,
    random_state: int = 0,
    min_cell_size: int = MIN_CELL_SIZE,
) -> Evaluation:
    """Evaluate predictions of any type of task from any source.

    Parameters
    ----------
    models : mapping of str to TaskPredictions
        By name; the model first, then its baselines, all for the same stays.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay. None: each stay is another patient.
    primary, threshold, groups, sample_weight : optional
        See `evaluate`.
    n_resamples : int, optional
        Number of bootstrap resamples. None: as many as the predictions of the model say.
    random_state : int
        Seed of the resamples.
    min_cell_size : int
        Groups are suppressed in which fewer patients may have, or not have, the event; 0 shows all.

    Returns
    -------
    Evaluation
        Of the first model.

    Examples
    --------
    >>> from clinicalgru.evaluate.multi_metrics import regression_predictions
    >>> good, bad = (regression_predictions([1.0, 2, 3], [1.0, 2, last]) for last in (3, 1))
    >>> evaluate_predictions({"ours": good, "theirs": bad}, n_resamples=50).differences["verdict"][0]
    'no clear difference'
    """
    first, *_ = models
    models = weighted(models, sample_weight)
    model = models[first]
    patient = numbered_patients(patients, model.n_stays)
    least = stays_of_patients(patient.tolist(), min_cell_size or MIN_CELL_SIZE)
    by_class = None if model.outcome is None else class_patients(model.outcome, patient)
    n_resamples = model.n_resamples if n_resamples is None else int(n_resamples)
    estimates, replicates, dropped = bootstrap_metrics(
        {name: predictions.metrics for name, predictions in models.items()},
        patient,
        n_resamples=n_resamples,
        random_state=int(random_state),
        is_usable=model.is_usable,
    )
    primary = primary_metric(primary, estimates[first], model.task_type)
    few = too_few_verdict(model, estimates[first], by_class)
    counts: dict[str, Any] = {"n_resamples": n_resamples, "class_counts": _class_counts(model, patient)}
    tables = [interval_table(own, replicates[name], **counts).assign(model=name) for name, own in estimates.items()]
    differences = difference_table(estimates, replicates, primary=primary, too_few=few, **counts)
    return Evaluation(
        name=first,
        task_type=model.task_type,
        stays=model.n_stays,
        patients=int(patient.max()) + 1,
        min_cell_stays=least,
        events=model.events,
        class_patients=by_class,
        metrics=pd.concat(tables, ignore_index=True)[["model", "metric", "estimate", "low", "high"]],
        differences=differences,
        n_resamples=n_resamples,
        dropped=dropped,
        random_state=int(random_state),
        curves={name: of.curves for name, of in models.items() if of.curves is not None},
        calibration=dict(model.calibration),
        without_calibration=dict(model.without_calibration),
        is_probability=model.is_probability,
        notes=dict(model.notes),
        primary=primary,
        alarms=model.alarms,
        **binary_details(
            models,
            threshold,
            groups=groups,
            overall=tables[0] if sample_weight is None else None,  # weights are of the metrics alone
            patients=patients,
            n_resamples=n_resamples,
            random_state=int(random_state),
            min_cell_size=least if min_cell_size else 0,
        ),
    )


def _of_patients(stays: Any, patients: Any) -> Any:
    """The stays with other patients: those by which they are evaluated."""
    if not hasattr(stays, "patient"):
        return stays  # refused with the right words by the model
    return replace(stays, patient=numbered_patients(patients, len(stays)).astype(str).astype(object))


def _class_counts(model: TaskPredictions, patient: NDArray[np.int64]) -> dict[str, int]:
    """Patients with, or without, the event, whichever are fewer, by metric."""
    return {metric: min(len(np.unique(patient[mask])) for mask in masks) for metric, masks in model.class_stays.items()}
