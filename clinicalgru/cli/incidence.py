"""The command that evaluates survival models of competing events together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicalgru.cli.options import (
    AcceptDifferences,
    AsJson,
    Extract,
    Identify,
    Page,
    RequireSignature,
    check_outcomes,
    reading_command,
)
from clinicalgru.errors import ArgumentError, InputError

if TYPE_CHECKING:
    from clinicalgru.evaluate.incidence_evaluation import IncidenceEvaluation
    from clinicalgru.explain.incidence_explanation import IncidenceExplanation
    from clinicalgru.model.estimators.competing_risks import CompetingRisks


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    reading_command(app)(competing_risks)


def competing_risks(
    reading: dict[str, Any],
    extract: Extract,
    bundle: Annotated[list[str], typer.Option(help="event=folder of its survival model; two or more")],
    at_hours: Annotated[
        list[float] | None, typer.Option(help="hours after the prediction time; those of the first task")
    ] = None,
    stay: Annotated[str | None, typer.Option(help="stay_id: explain this stay instead; needs no outcomes")] = None,
    page: Page = None,
    identify: Identify = False,
    require_signature: RequireSignature = None,
    accept_differences: AcceptDifferences = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate survival models of competing events together, or explain one stay: how often each occurs as the first.

    Each bundle is that of a survival task of its own event, with the same window and variables.

    Example: clinicalgru competing-risks new.csv.gz --bundle death=out/death/bundle --bundle home=out/home/bundle
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundles.
    extract, bundle : str, list of str
        The extract, and folders of the bundles by event.
    at_hours : list of float or None
        Hours at which the incidence is evaluated.
    stay : str or None
        Stay to explain.
    page : Path or None
        Page to write.
    identify : bool
        Whether the page of a stay shows identifiers and dates.
    require_signature : Path or None
        Public key of who must have signed each bundle.
    accept_differences, as_json : bool
        Whether tables of training may be absent; whether JSON is printed.
    """
    from clinicalgru.model.estimators.competing_risks import CompetingRisks
    from clinicalgru.serve.bundle import load_model

    named = _named(bundle)
    model = CompetingRisks({event: load_model(at, require_signature=require_signature) for event, at in named.items()})
    reading |= {"accept_differences": accept_differences}
    result: IncidenceEvaluation | IncidenceExplanation
    if stay is None:
        result, about = _evaluated(model, extract, at_hours, reading)
    else:
        result, about = _explained(model, extract, stay, at_hours=at_hours, show_id=identify, reading=reading), {}
    typer.echo(json.dumps(result.to_dict()) if as_json else result)
    if page is not None:
        result.to_html(page, **about)


def _evaluated(
    model: CompetingRisks, extract: str, at_hours: list[float] | None, reading: dict[str, Any]
) -> tuple[IncidenceEvaluation, dict[str, Any]]:
    """The evaluation on all stays, and what its page says of data and models."""
    from clinicalgru import pipeline
    from clinicalgru.data.reading import arguments_like
    from clinicalgru.evaluate.incidence_evaluation import evaluate_incidence, first_event
    from clinicalgru.evaluate.patient_overlap import overlap_sentences, patient_overlap
    from clinicalgru.model.estimators.competing_risks import common_stays
    from clinicalgru.serve.bundle import model_hash

    given = {name: value for name, value in reading.items() if name != "accept_differences"}
    for one in model.models.values():
        check_outcomes(arguments_like(one.trained_on_.get("reading", {}), given), one.task_)
    read = [pipeline.read_for(one, extract, **reading) for one in model.models.values()]
    stays = common_stays({event: selected for event, (_, selected) in zip(model.models, read, strict=True)})
    first = next(iter(stays.values()))
    hours, cause = first_event({event: one.outcome for event, one in stays.items()})
    at = sorted(at_hours or first.task.survival_horizons_hours)
    if not at:
        raise ArgumentError("--at-hours", "none, and the task has no survival_horizons_hours", "Pass --at-hours 168.")
    predicted = model.predict_incidence(first, at)
    about: dict[str, Any] = {"patients": first.patient, "simulated": first.simulated}
    result = evaluate_incidence(hours, cause, predicted, events=model.events, at_hours=at, **about)
    overlap = patient_overlap(model.models, first)
    result = replace(result, warnings=tuple(overlap_sentences(overlap, len(first))))
    hashes = {f"model of {event}": model_hash(one) for event, one in model.models.items()}
    return result, {"provenance": {"data": read[0][0].source, **hashes}}


def _explained(
    model: CompetingRisks,
    extract: str,
    stay: str,
    *,
    at_hours: list[float] | None,
    show_id: bool,
    reading: dict[str, Any],
) -> IncidenceExplanation:
    """The explanation of one stay."""
    from clinicalgru.data.task.select import select
    from clinicalgru.explain.incidence_explanation import explain_incidence
    from clinicalgru.serve.score_input import read_like_training

    first = next(iter(model.models.values()))
    every = select(read_like_training(first, extract, **reading), first.task_, include_ineligible=True)
    chosen = every.with_variables(first.variables_).with_static_variables(first.static_variables_)[every.stay == stay]
    if len(chosen) != 1:
        raise InputError("one stay of that stay_id", f"{len(chosen)} stays", "Check --stay against the extract.")
    return explain_incidence(model, chosen, at_hours=at_hours or (), show_id=show_id)


def _named(texts: list[str]) -> dict[str, Path]:
    """Folders by event."""
    pairs = [text.partition("=") for text in texts]
    named = {event: Path(folder) for event, equals, folder in pairs if event and equals and folder}
    if len(named) < len(texts) or len(named) < 2:
        got = f"{len(texts)} of them, {len(named)} with a name of its own"
        raise InputError("two or more --bundle EVENT=FOLDER", got, "Pass --bundle death=a --bundle home=b.")
    return named
