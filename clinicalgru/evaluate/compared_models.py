"""Predictions of a model and of the baselines that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from clinicalgru.checks import check_instance
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.predictions import TaskPredictions, risk_predictions
from clinicalgru.evaluate.validation import check_aligned

BOTH_ABLATIONS = ("no_sequence", "no_summaries")
NO_BASELINES: Mapping[str, Any] = MappingProxyType({})


def checked_baselines(baselines: Any, name: str) -> Mapping[str, Any]:
    """Check baselines by name; none of them has the name of the model.

    Parameters
    ----------
    baselines : mapping or None
        What was passed.
    name : str
        Name of the model.

    Returns
    -------
    mapping
        Baselines by name.

    Raises
    ------
    ArgumentError
        If it is no mapping, or a baseline has the name of the model.
    """
    if baselines is None:
        return NO_BASELINES
    check_instance("baselines", baselines, Mapping, fix="Pass {name: risks or fitted model}.")
    if name in baselines:
        raise ArgumentError("a unique name for each model", f"{name!r} twice", "Rename the baseline, or pass name=...")
    return baselines


def with_ablations(baselines: Any, model: Any, train: Any) -> Any:
    """Baselines by name, where they may be requested as ablations of the model.

    Parameters
    ----------
    baselines : mapping, str, sequence of str, or None
        "ablations", "no_sequence", "no_summaries", or several of these; other baselines stay as they are.
    model : fitted estimator
        The model that is fitted anew without one of its parts.
    train : Sequences or None
        Stays to fit on.

    Returns
    -------
    mapping or None
        Baselines by name.

    Raises
    ------
    ArgumentError
        If ablations are requested without training stays, or of something that is no model.
    """
    names = (baselines,) if isinstance(baselines, str) else baselines
    if not isinstance(names, (tuple, list)) or not names or not all(isinstance(name, str) for name in names):
        return baselines
    if train is None or not hasattr(model, "_fit_ablations"):
        got = "risks" if not hasattr(model, "_fit_ablations") else "train=None"
        fix = "Pass evaluate(model, stays, train=..., baselines=...), with all stays that the model learned from."
        raise ArgumentError("a model and its training stays with ablations as baselines", got, fix)
    wanted = [name for one in names for name in (BOTH_ABLATIONS if one == "ablations" else (one,))]
    return model._fit_ablations(train, wanted)


def predictions_of_models(
    model: Any, stays: Any, baselines: Mapping[str, Any], *, name: str, train: Any
) -> dict[str, TaskPredictions]:
    """Predict with a model and its baselines; each answers for its type of task.

    Parameters
    ----------
    model : fitted estimator
        The model.
    stays : Sequences
        Stays with known outcomes.
    baselines : mapping of str to fitted estimator or array-like
        By name.
    name : str
        Name of the model.
    train : Sequences or None
        Training stays of a survival model.

    Returns
    -------
    dict of str to TaskPredictions
        The model first.

    Raises
    ------
    ArgumentError
        If a baseline is neither a model nor, for a binary task, risks.
    """
    own: TaskPredictions = model._evaluation_inputs(stays, train=train)
    models = {name: own}
    for label, baseline in baselines.items():
        if hasattr(baseline, "_evaluation_inputs"):
            models[label] = baseline._evaluation_inputs(stays, train=train, settings=own.settings)
        elif own.task_type == "binary":
            named = {"name": f"risk of {label}", "patients": stays.patient}
            models[label] = risk_predictions(stays.outcome, baseline, **named)
        else:
            raise ArgumentError("a fitted model as baseline", describe(baseline), "Pass {name: fitted model}.")
    return models


def predictions_of_arrays(
    outcome: Any, risk: Any, baselines: Mapping[str, Any], *, name: str, patients: Any = None
) -> dict[str, TaskPredictions]:
    """Prepare outcomes and risks that were given as arrays.

    Parameters
    ----------
    outcome, risk : array-like, shape (n_stays,)
        Outcomes, and risks of the model.
    baselines : mapping of str to array-like
        Risks by name.
    name : str
        Name of the model.
    patients : array-like, shape (n_stays,), optional
        Patient of each stay.

    Returns
    -------
    dict of str to TaskPredictions
        The model first.

    Raises
    ------
    ArgumentError
        If outcomes or risks cannot be used.
    """
    if hasattr(outcome, "fit") or hasattr(outcome, "predict_proba"):
        fix = "Pass a clinicalgru model and its stays, or evaluate(outcome, risk)."
        raise ArgumentError("a clinicalgru model or an array of outcomes", describe(outcome), fix)
    models = {name: risk_predictions(outcome, risk, patients=patients)}
    for label, baseline in baselines.items():
        models[label] = risk_predictions(outcome, baseline, name=f"risk of {label}", patients=patients)
        check_aligned(outcome=outcome, **{f"baselines[{label!r}]": baseline})
    return models
