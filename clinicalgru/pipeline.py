"""The whole line from an extract to scored stays, as the command line runs it; an example of how the parts fit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.events import Events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.select import select, split_patients
from clinicalgru.errors import ArgumentError, CalibrationWarning, TrainingError
from clinicalgru.evaluate.evaluation import Evaluation, evaluate
from clinicalgru.explain.faithfulness.faithfulness import faithfulness
from clinicalgru.explain.faithfulness.result import Faithfulness
from clinicalgru.explain.targets import member_networks
from clinicalgru.model.ablations import TRAINING_FRACTIONS
from clinicalgru.model.baselines.comparison import fit_baselines
from clinicalgru.model.baselines.missingness import missingness_alone
from clinicalgru.model.estimators.arguments import checked_arguments
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.pretrained import PretrainedEncoder
from clinicalgru.model.estimators.registry import BY_TASK_TYPE, Model
from clinicalgru.model.evaluation_inputs import check_evaluation_packages
from clinicalgru.model.provenance import provenance
from clinicalgru.parts import Parts
from clinicalgru.serve.bundle import model_hash, save
from clinicalgru.serve.predictions_file import write_predictions
from clinicalgru.serve.score import score
from clinicalgru.serve.score_input import read_like_training
from clinicalgru.stay_pages import explain_stay, moved, write_explanation

FAITHFULNESS_STAYS = 60  # of the test stays: some eight seconds


def fit(
    development: Sequences,
    *,
    random_state: int,
    estimator: GRUEstimator | None = None,
    verbose: bool = False,
    auxiliary: pd.DataFrame | None = None,
    unlabelled: Sequences | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Any:
    """Train, validate and calibrate a GRU estimator for the task of the stays on three parts of their patients.

    Parameters
    ----------
    development : Sequences
        Stays with known outcomes.
    random_state : int
        Seed of the split, and of training where no estimator is given.
    estimator : GRUEstimator, optional
        What is fitted; else that of the task with default parameters. See `new_estimator`.
    verbose : bool
        Whether to show progress.
    auxiliary : DataFrame, optional
        Auxiliary targets by stay_id; see `GRUClassifier.fit`.
    unlabelled : Sequences, optional
        Stays without outcome; see `GRUClassifier.fit`.
    checkpoint : Path, optional
        File that keeps the state of training after each epoch.
    resume : bool
        Whether training goes on from that file, where it exists.

    Returns
    -------
    GRUEstimator
        The fitted estimator of that type of task; an early warning with its threshold.

    Warns
    -----
    CalibrationWarning
        If the calibration part cannot calibrate the model, such as one without an event; the model is kept as it is.
    """
    train, validation, calibration = split_patients(development, TRAINING_FRACTIONS, random_state=random_state)
    if estimator is None:
        estimator = new_estimator(development.task.task_type, random_state=random_state)
    model: Any = estimator
    kept: dict[str, Any] = {"checkpoint_path": checkpoint}
    kept["resume_from"] = checkpoint if resume and checkpoint is not None and checkpoint.exists() else None
    if _lack_an_outcome(train, validation):  # a fit without parts divides so few outcomes into folds, and calibrates
        return model.fit(development, auxiliary=auxiliary, unlabelled=unlabelled, verbose=verbose, **kept)
    how: dict[str, Any] = {"validation": validation}
    if unlabelled is not None:  # it takes validation stays, or folds, by itself
        train, how = development[~np.isin(development.patient, calibration.patient)], {"unlabelled": unlabelled}
    model.fit(train, auxiliary=auxiliary, verbose=verbose, **how, **kept)
    try:
        model.calibrate(calibration)
    except (ArgumentError, TrainingError) as error:
        warnings.warn(f"{error} The model is not calibrated.", CalibrationWarning, stacklevel=2)
    return model.choose_threshold(calibration) if hasattr(model, "choose_threshold") else model


def _lack_an_outcome(*parts: Sequences) -> bool:
    """Whether one of the parts cannot train or validate a risk, as all of its stays have the same outcome."""
    return any(part.task.task_type == "binary" and len(np.unique(part.outcome)) < 2 for part in parts)


def new_estimator(
    task_type: str,
    *,
    random_state: int,
    pretrained: PretrainedEncoder | None = None,
    device: str = "auto",
    parameters: Mapping[str, Any] | None = None,
) -> Any:
    """Make the GRU estimator of a type of task; everything that can be checked without data is checked.

    Parameters
    ----------
    task_type : str
        Type of the task, such as "binary".
    random_state : int
        Seed of training.
    pretrained : PretrainedEncoder, optional
        Weights that training starts from.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network computes.
    parameters : mapping of str to object, optional
        Further parameters of the estimator, such as max_epochs or network__hidden_size.

    Returns
    -------
    GRUEstimator
        Not fitted.

    Raises
    ------
    MissingPackageError
        If a package of its evaluation is not installed.
    ArgumentError
        If there is no such parameter, or it cannot have that value.

    Examples
    --------
    >>> new_estimator("regression", random_state=0, parameters={"max_epochs": 30})
    GRURegressor(max_epochs=30)
    """
    check_evaluation_packages(task_type)
    model: Any = BY_TASK_TYPE[task_type](pretrained=pretrained, random_state=random_state, device=device)
    _set(model, parameters or {})
    checked_arguments(model)
    return model


def _set(model: Any, parameters: Mapping[str, Any]) -> None:
    known = model.get_params()
    unknown = [name for name in parameters if name not in known and name.partition("__")[0] != "network"]
    try:
        if unknown:
            raise ValueError
        model.set_params(**parameters)
    except (ValueError, TypeError):
        names = ", ".join(name for name in known if "__" not in name)
        got = ", ".join(unknown or parameters)
        fix = "Those of the network begin with network__, such as network__hidden_size."
        raise ArgumentError(f"parameters among {names}", got, fix) from None


def evaluate_with_baselines(model: Model, parts: Parts, *, random_state: int) -> Evaluation:
    """Evaluate a model on the test stays, next to baselines fitted on all development stays.

    Parameters
    ----------
    model : GRUEstimator
        Fitted on the development stays.
    parts : Parts
        Development and test stays.
    random_state : int
        Seed of baselines and resamples; that of `fit`, so that thresholds are chosen on the same patients.

    Returns
    -------
    Evaluation
        With paired differences.
    """
    baselines = fit_baselines(parts.development, random_state=random_state)
    evaluation = evaluate(model, parts.test, baselines=baselines, train=parts.development, random_state=random_state)
    added = {"Split": parts.split} if parts.split else {}
    if evaluation.task_type == "binary":
        alone = missingness_alone(parts.development, parts.test, random_state=random_state)
        added["Missingness alone"] = alone
    return replace(evaluation, notes={**evaluation.notes, **added})


def parse_target(model: Model, text: str | None) -> str | float | None:
    """Return the explanation target that a command line names.

    Parameters
    ----------
    model : Model
        Model to explain.
    text : str or None
        A label, the name or number of a class, or hours ahead.

    Returns
    -------
    str, float or None
        The target as `explain` takes it.

    Raises
    ------
    ArgumentError
        If the model has no such target, or its predictions are not explained.
    """
    if model.evaluated_as == "forecast":
        if text is not None:
            fix = "Leave it out: a forecast is explained for all variables."
            raise ArgumentError("no --target with a forecast", f"--target {text}", fix)
        return None
    target: str | float | None = text
    if text is not None and not hasattr(model, "labels_") and text not in model.task_.classes.values():
        try:
            target = float(text)
        except ValueError:
            raise ArgumentError("--target as a number", "text", "Give a class, or hours ahead.") from None
    member_networks(model, target)
    return target


def read_for(model: Model, extract: Any, **options: Any) -> tuple[Events, Sequences]:
    """Read an extract with outcomes for a fitted model.

    Parameters
    ----------
    model : Model
        Its dictionary, task and variables are used.
    extract : path or DataFrame
        As for `read_events`.
    **options
        Passed on to `read_like_training`.

    Returns
    -------
    events : Events
        The extract.
    stays : Sequences
        Stays with observations that the model uses.
    """
    events = read_like_training(model, extract, **options)
    selected = select(events, model.task_)
    stays = selected.with_variables(model.variables_).with_static_variables(model.static_variables_)
    return events, stays[model.has_observations(stays)]


def _evaluate_faithfulness(model: Model, test: Sequences, *, random_state: int = 0) -> Faithfulness:
    """Test how faithful explanations are to the model, on some test stays."""
    measured = np.flatnonzero(test.n_measurements > 0)
    chosen = np.random.default_rng(random_state).permutation(measured)[:FAITHFULNESS_STAYS]
    return faithfulness(model, test[np.sort(chosen)], random_state=random_state)


def write_evaluation(
    model: Model,
    evaluation: Evaluation,
    test: Sequences,
    events: Events,
    path: Path,
    *,
    faithfulness: Faithfulness | None = None,
) -> Path:
    """Write an evaluation as one offline page.

    Parameters
    ----------
    model : Model
        The model.
    evaluation : Evaluation
        Its evaluation.
    test : Sequences
        The stays.
    events : Events
        Their extract.
    path : Path
        File to write.
    faithfulness : Faithfulness, optional
        Of its explanations.

    Returns
    -------
    Path
        The file.
    """
    origin = provenance(model) | {"model_hash": model_hash(model), "tested_on": events.source}
    about: dict[str, Any] = {"ledger": events.ledger, "flow": test.flow, "provenance": origin}
    return evaluation.to_html(path, faithfulness=faithfulness, **about)


def write_all(model: Any, evaluation: Evaluation, parts: Parts, out: Path) -> dict[str, Path]:
    """Write the evaluation page, the page of the stay with the highest prediction, the bundle and the scores.

    Parameters
    ----------
    model : GRUEstimator
        The model.
    evaluation : Evaluation
        Its evaluation on the test stays.
    parts : Parts
        The stays.
    out : Path
        Folder.

    Returns
    -------
    dict of Path
        Files by name.
    """
    out.mkdir(parents=True, exist_ok=True)
    highest = int(np.nanargmax(model.score_rows(parts.test)[:, model.head_.default_output]))
    score(model, parts.test_events, out=out / "scores.parquet", overwrite=True)
    stored = {}
    if evaluation.task_type == "binary":
        risk = model.predict_proba(parts.test)[:, 1]
        stored = {"predictions": write_predictions(evaluation, parts.test, risk, out / "predictions.parquet")}
    faithful = _evaluate_faithfulness(model, parts.test) if evaluation.curves else None
    stay = parts.test[[highest]]
    shown, page = (evaluation, parts.test, parts.test_events), out / "evaluation.html"
    return {
        "evaluation page": write_evaluation(model, *shown, page, faithfulness=faithful),
        "patient page": write_explanation(explain_stay(model, stay), out / "patient.html", changes=moved(model, stay)),
        "bundle": save(model, out / "bundle"),
        "scores": out / "scores.parquet",
        **stored,
    }
