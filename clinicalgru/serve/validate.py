"""Validate a model at another hospital or in another year: evaluate it there, compare the inputs, say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clinicalgru.checks import check_instance
from clinicalgru.data.dictionary.unmapped import unmapped
from clinicalgru.data.events import Events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.select import select
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import ArgumentError, InputError, TrainingError
from clinicalgru.evaluate.evaluation import evaluate
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.model.evaluation_inputs import check_evaluation_packages
from clinicalgru.model.provenance import provenance
from clinicalgru.serve.bundle import fitted_model, model_hash, save
from clinicalgru.serve.case_mix import compare_case_mix
from clinicalgru.serve.input_checks import input_warnings
from clinicalgru.serve.recalibrate import Recalibration, recalibrate
from clinicalgru.serve.score_input import model_dictionary, read_like_training
from clinicalgru.serve.validation_result import Validation, shown_unmapped, verdict_of


def validate(
    bundle: FittedModel | str | Path,
    data: Any,
    *,
    recalibrate_to: str | Path | None = None,
    threshold: float | None = None,
    accept_differences: bool = False,
    require_signature: str | Path | None = None,
    n_resamples: int | None = None,
    random_state: int = 0,
    **reading: Any,
) -> Validation:
    """Validate a model on the stays of another hospital or another year.

    Parameters
    ----------
    bundle : estimator, str or Path
        A fitted model, or the folder of a bundle.
    data : object
        An extract with outcomes, or Events; read with the variables, units and plausible ranges of the model.
    recalibrate_to : str or Path, optional
        Folder of a new bundle with the recalibrated model, see `recalibrate`. It must not exist. Where these stays
        cannot recalibrate the model, the result says why, and no bundle is written.
    threshold : float, optional
        Risk from which a stay is acted upon. None: the event rate in training; an early warning brings its own.
    accept_differences : bool
        Whether tables that training had may be absent.
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle, see `sign`.
    n_resamples, random_state : int
        See `evaluate`.
    **reading
        Arguments of `read_events` where they differ from those that read the training extract.

    Returns
    -------
    Validation
        Print it, or use its methods `to_html`, `to_markdown` and `to_dict`.

    Raises
    ------
    ArgumentError
        If the folder of the new bundle exists.
    InputError
        If the extract cannot be read, or has no stay with a known outcome.

    References
    ----------
    Steyerberg and Vergouwe 2014, Eur Heart J 35:1925-1931, seven steps of which validation is the last. Riley et al.
    2024, BMJ 384:e074820, evaluation of clinical prediction models: external validation.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> task = cg.Task.load("in_hospital_mortality")
    >>> model = cg.SummaryBaseline("logistic regression").fit(cg.select(cg.read_events(cg.simulate(300)), task))
    >>> elsewhere = cg.read_events(cg.simulate(300, random_state=7))
    >>> cg.validate(model, elsewhere, n_resamples=20).status in ("fits", "does not fit", "unclear")
    True
    """
    if recalibrate_to is not None:
        check_instance("recalibrate_to", recalibrate_to, str, Path)
        if Path(recalibrate_to).exists():
            fix = "Choose a new folder: the bundle before is kept as it is."
            raise ArgumentError("a new folder for the recalibrated bundle", "one that exists", fix)
    model = fitted_model(bundle, require_signature=require_signature)
    check_evaluation_packages(model.task_.task_type)
    events = read_like_training(model, data, accept_differences=accept_differences, **reading)
    stays = known_stays(model, events)
    evaluation = evaluate(model, stays, threshold=threshold, n_resamples=n_resamples, random_state=random_state)
    status, verdict = verdict_of(evaluation)
    change: Recalibration | None = None
    refused = ""
    if recalibrate_to is not None:
        try:
            change = recalibrate(model, stays)
        except (ArgumentError, TrainingError) as error:
            refused = str(error)
        else:
            save(change.model, recalibrate_to)
    origin = provenance(model) | {"model_hash": model_hash(model), "validated_on": events.source}
    return Validation(
        evaluation=evaluation,
        status=status,
        verdict=verdict,
        case_mix=compare_case_mix(model.trained_on_, stays),
        differences=tuple(input_warnings(model.trained_on_, events, stays)),
        unmapped=shown_unmapped(
            unmapped(events, model_dictionary(model)), min_cell_size=0 if events.simulated else MIN_CELL_SIZE
        ),
        provenance=origin | ({"changes": _changes(model)} if getattr(model, "changes_", []) else {}),
        about={"ledger": events.ledger, "flow": stays.flow},
        recalibration=change,
        not_recalibrated=refused,
    )


def known_stays(model: FittedModel, events: Events) -> Sequences:
    """Select the stays of an extract that a model can be evaluated on.

    Parameters
    ----------
    model : estimator
        A fitted model.
    events : Events
        An extract with outcomes.

    Returns
    -------
    Sequences
        Stays with known outcomes and observations that the model uses.

    Raises
    ------
    InputError
        If there is none.
    """
    selected = select(events, model.task_)
    stays = selected.with_variables(model.variables_).with_static_variables(model.static_variables_)
    stays = stays[np.asarray(model.has_observations(stays))]
    if len(stays) == 0:
        fix = "Check the outcomes, and the names of variables: `clinicalgru check` counts both."
        raise InputError("stays with a known outcome and a variable of the model", "none", fix)
    return stays


def _changes(model: FittedModel) -> str:
    return "; ".join(f"{change['what']} at {change['when']}" for change in model.changes_)
