"""The command that evaluates survival models of competing events together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clinicalgru.cli.options import (
    AcceptDifferences,
    AsJson,
    Extract,
    Page,
    RequireSignature,
    check_outcomes,
    reading_command,
)
from clinicalgru.errors import ArgumentError, InputError


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
    page: Page = None,
    require_signature: RequireSignature = None,
    accept_differences: AcceptDifferences = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate survival models of competing events together: how often each occurs as the first.

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
    page : Path or None
        Page to write.
    require_signature : Path or None
        Public key of who must have signed each bundle.
    accept_differences, as_json : bool
        Whether tables of training may be absent; whether JSON is printed.
    """
    from clinicalgru import pipeline
    from clinicalgru.data.reading import arguments_like
    from clinicalgru.evaluate.incidence_evaluation import evaluate_incidence, first_event
    from clinicalgru.evaluate.patient_overlap import overlap_sentences, patient_overlap
    from clinicalgru.model.estimators.competing_risks import CompetingRisks, common_stays
    from clinicalgru.serve.bundle import load_model, model_hash

    named = _named(bundle)
    models = {event: load_model(folder, require_signature=require_signature) for event, folder in named.items()}
    model = CompetingRisks(models)
    for one in models.values():
        check_outcomes(arguments_like(one.trained_on_.get("reading", {}), reading), one.task_)
    reading |= {"accept_differences": accept_differences}
    events, selected = zip(*(pipeline.read_for(one, extract, **reading) for one in models.values()), strict=True)
    stays = common_stays(dict(zip(models, selected, strict=True)))
    first = next(iter(stays.values()))
    hours, cause = first_event({event: one.outcome for event, one in stays.items()})
    at = sorted(at_hours or first.task.survival_horizons_hours)
    if not at:
        raise ArgumentError("--at-hours", "none, and the task has no survival_horizons_hours", "Pass --at-hours 168.")
    predicted = model.predict_incidence(first, at)
    about: dict[str, Any] = {"patients": first.patient, "simulated": first.simulated}
    result = evaluate_incidence(hours, cause, predicted, events=model.events, at_hours=at, **about)
    overlap = patient_overlap(models, first)
    result = replace(result, warnings=tuple(overlap_sentences(overlap, len(first))))
    typer.echo(json.dumps(result.to_dict()) if as_json else result)
    if page is not None:
        hashes = {f"model of {event}": model_hash(one) for event, one in models.items()}
        result.to_html(page, provenance={"data": events[0].source, **hashes})


def _named(texts: list[str]) -> dict[str, Path]:
    """Folders by event."""
    pairs = [text.partition("=") for text in texts]
    named = {event: Path(folder) for event, equals, folder in pairs if event and equals and folder}
    if len(named) < len(texts) or len(named) < 2:
        got = f"{len(texts)} of them, {len(named)} with a name of its own"
        raise InputError("two or more --bundle EVENT=FOLDER", got, "Pass --bundle death=a --bundle home=b.")
    return named
