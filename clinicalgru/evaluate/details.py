"""What an evaluation of a binary task holds besides its metrics: net benefit, operating points, curve, groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.calibration_curve import calibration_curve
from clinicalgru.evaluate.headline import net_benefit_at
from clinicalgru.evaluate.multiplicity import weighted_holm
from clinicalgru.evaluate.operating_points import THRESHOLDS, operating_points
from clinicalgru.evaluate.predictions import TaskPredictions
from clinicalgru.evaluate.subgroups import Subgroups, subgroups, with_overall
from clinicalgru.evaluate.validation import Array

NO_GROUPS: Mapping[str, Any] = MappingProxyType({})
MAX_RESAMPLES = 200  # of curve, groups and operating points
GROUP_METRICS = ("auroc", "observed_expected", "brier")
WANTED: Mapping[str, float] = MappingProxyType({"sensitivity": 0.8})
AMOUNTS = ("few", "some", "many")  # thirds of the stays by number of measurements
MIN_STAYS = 100  # of fewer stays there are no default groups
MAX_LABELS = 20  # of a column that divides the stays by default
YEAR = "datetime64[Y]"


def weighted(models: Mapping[str, TaskPredictions], sample_weight: Any) -> dict[str, TaskPredictions]:
    """Let the metrics of predictions count each stay by its weight.

    Parameters
    ----------
    models : mapping of str to TaskPredictions
        By name.
    sample_weight : array-like of shape (n_stays,) or None
        Above 0. None: each stay counts once.

    Returns
    -------
    dict of str to TaskPredictions
        With a note, where there are weights, on their effective sample size (Kish 1965, "Survey Sampling").

    Raises
    ------
    ArgumentError
        If there is not one finite weight above 0 for each stay.

    Examples
    --------
    >>> from clinicalgru.evaluate.evaluation import evaluate
    >>> outcome, risk = [0, 1, 0, 1], [0.1, 0.8, 0.9, 0.6]
    >>> weighted_metrics = evaluate(outcome, risk, sample_weight=[1, 1, 3, 1], n_resamples=5).metrics
    >>> round(float(weighted_metrics["estimate"].iloc[0]), 6)
    0.25
    """
    if sample_weight is None:
        return dict(models)
    weight, stays = np.asarray(sample_weight, dtype=object), next(iter(models.values())).n_stays
    try:
        weight = weight.astype(np.float64)
    except (TypeError, ValueError):
        weight = np.zeros(0)
    if weight.shape != (stays,) or not (np.isfinite(weight) & (weight > 0)).all():
        fix = "Pass one weight for every stay; leave stays of weight 0 out."
        raise ArgumentError(f"a finite weight above 0 for each of {stays:,} stays", describe(sample_weight), fix)
    weight = weight * (stays / weight.sum())
    what = "metrics and differences are weighted; counts, curves, groups and operating points are not"
    effective = f"the weights leave as much information as {stays**2 / (weight @ weight):,.0f} stays of equal weight"
    note = {"Weights": f"{what}; {effective} (Kish)"}

    def one(predictions: TaskPredictions) -> TaskPredictions:
        metrics, usable = predictions.metrics, predictions.is_usable
        return replace(
            predictions,
            metrics=lambda weights: metrics(weights * weight),
            is_usable=None if usable is None else (lambda weights: usable(weights * weight)),
            notes={**predictions.notes, **note},
        )

    return {name: one(predictions) for name, predictions in models.items()}


def default_groups(stays: Any) -> dict[str, NDArray[Any]]:
    """Divide stays by how much was measured of them, by sex, by year and by their labels, as far as these are known.

    Parameters
    ----------
    stays : Sequences or array-like
        Stays; risks have no groups.

    Returns
    -------
    dict of str to ndarray of str
        Labels of each stay by what divides them; none of fewer than 100 stays.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(150)), cg.Task.load("in_hospital_mortality"))
    >>> list(default_groups(stays))[:2]
    ['number of measurements', 'sex']
    """
    if not hasattr(stays, "n_measurements") or len(stays) < MIN_STAYS:
        return {}
    rank = pd.Series(stays.n_measurements).rank(method="first", pct=True)
    amount = pd.cut(rank, [0, 1 / 3, 2 / 3, 1], labels=list(AMOUNTS))
    groups: dict[str, Any] = {"number of measurements": amount}
    names = [variable.name for variable in stays.static_variables]
    if "sex" in names:
        column = names.index("sex")
        categories = dict(enumerate(stays.static_variables[column].categories.values()))
        groups["sex"] = pd.Series(stays.static[:, column]).map(categories).to_numpy(object)
    if stays.has_dates:
        groups["year"] = stays.index_time.view("datetime64[us]").astype(YEAR).astype(str)
    for name in stays.groups:
        groups[str(name)] = stays.groups[name].to_numpy(object)
    return {name: labels for name, labels in groups.items() if 1 < pd.Series(labels).nunique() <= MAX_LABELS}


def binary_details(
    models: Mapping[str, TaskPredictions],
    threshold: float | None,
    *,
    groups: Mapping[str, Any] = NO_GROUPS,
    overall: pd.DataFrame | None = None,
    patients: Any = None,
    n_resamples: int,
    random_state: int,
    min_cell_size: int = MIN_CELL_SIZE,
) -> dict[str, Any]:
    """Compute net benefit, operating points, calibration curve and groups of a binary task.

    Parameters
    ----------
    models : mapping of str to TaskPredictions
        By name; the model first.
    threshold : float or None
        Risk from which a stay is acted upon. None: the event rate.
    groups : mapping of str to array-like
        Labels of the stays by what divides them.
    overall : DataFrame, optional
        metric, low, high of all stays, for the row of all stays of each grouping.
    patients : array-like or None
        Patient of each stay.
    n_resamples, random_state : int
        Number and seed of the resamples; at most 200, of the net benefit 300.
    min_cell_size : int
        Groups with fewer stays with, or without, the event are suppressed; 0 shows all.

    Returns
    -------
    dict
        Fields of `Evaluation`; none for other types of task.
    """
    model = next(iter(models.values()))
    outcome, risk = model.outcome, model.risk
    if outcome is None or risk is None:
        return {}
    draws: dict[str, Any] = {"n_resamples": min(n_resamples, MAX_RESAMPLES), "random_state": random_state}
    draws["patients"] = None if patients is None else np.asarray(patients)
    benefit = net_benefit_at(models, threshold, patients=patients, n_resamples=n_resamples, random_state=random_state)
    thresholds = sorted({*THRESHOLDS, float(benefit["threshold"].iloc[0])})
    options: dict[str, Any] = {"metrics": GROUP_METRICS, "min_cell_size": min_cell_size, **draws}
    divided = {str(name): subgroups(outcome, risk, labels, **options) for name, labels in groups.items()}
    if overall is not None:
        divided = {name: with_overall(one, overall) for name, one in divided.items()}
    return {
        "net_benefit": benefit,
        "operating_points": operating_points(outcome, risk, thresholds=thresholds, wanted=WANTED, **draws),
        "calibration_curve": _curve(outcome, risk, draws),
        "subgroups": adjusted_tests(divided),
    }


def adjusted_tests(groupings: Mapping[str, Subgroups]) -> dict[str, Subgroups]:
    """Correct the tests of calibration of several groupings of the same stays for their number.

    Parameters
    ----------
    groupings : mapping of str to Subgroups
        By what divides the stays.

    Returns
    -------
    dict of str to Subgroups
        The same with p values after Holm's correction.

    Examples
    --------
    >>> from clinicalgru.evaluate.subgroups import Subgroups
    >>> found = adjusted_tests({name: Subgroups(pd.DataFrame(), p) for name, p in (("sex", 0.04), ("year", 0.3))})
    >>> found["sex"].calibration_p
    0.08
    """
    p = np.array([groups.calibration_p for groups in groupings.values()], dtype=np.float64)
    adjusted = weighted_holm(p, np.ones(len(p))).tolist()
    return {
        name: replace(groups, calibration_p=value)
        for (name, groups), value in zip(groupings.items(), adjusted, strict=True)
    }


def _curve(outcome: Array, risk: Array, draws: Mapping[str, Any]) -> Any:
    """The flexible calibration curve; None where there can be none."""
    try:
        return calibration_curve(outcome, risk, **draws)
    except ArgumentError:  # too few patients, one risk for all, or risks that separate the outcomes
        return None
