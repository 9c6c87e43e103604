"""The commands that compare two bundles on the same stays: side by side, or held against a protocol."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clinicalgru.cli.options import (
    AcceptDifferences,
    AsJson,
    Bundle,
    Extract,
    Page,
    RequireSignature,
    check_outcomes,
    reading_command,
    show_result,
)
from clinicalgru.disclosure import format_count
from clinicalgru.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    reading_command(app)(compare)
    reading_command(app)(compare_bundles)


def compare(
    reading: dict[str, Any],
    first: Bundle,
    second: Bundle,
    extract: Extract,
    require_signature: RequireSignature = None,
    accept_differences: AcceptDifferences = False,
    as_json: AsJson = False,
) -> None:
    """Compare the risks of two bundles on the same stays: bootstrap, and DeLong's test of the AUROC.

    Example: clinicalgru compare out/old/bundle out/new/bundle other.csv.gz --stays stays.csv --outcomes outcomes.csv
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundles.
    first, second, extract : Path, Path, str
        Folders of the bundles, and the extract.
    require_signature : Path or None
        Public key of who must have signed both bundles.
    accept_differences, as_json : bool
        Whether tables of training may be absent; whether JSON is printed.
    """
    from clinicalgru import pipeline
    from clinicalgru.data.reading import arguments_like
    from clinicalgru.evaluate.compare import compare as compare_risks
    from clinicalgru.evaluate.patient_overlap import overlap_sentences, patient_overlap
    from clinicalgru.serve.bundle import load_model

    selected, risks, models = [], [], []
    for bundle in (first, second):
        model = load_model(bundle, require_signature=require_signature)
        check_outcomes(arguments_like(model.trained_on_.get("reading", {}), reading), model.task_)
        _, stays = pipeline.read_for(model, extract, accept_differences=accept_differences, **reading)
        if stays.task.task_type != "binary":
            fix = "Use evaluate for other types of task."
            raise InputError("bundles of a task with one outcome of 0 or 1", stays.task.task_type, fix)
        selected.append(stays)
        models.append(model)
        risks.append(model.predict_proba(stays)[:, 1])
    in_both, at_first, at_second = _common(selected[0], selected[1])
    alone = max(len(stays) for stays in selected) - len(at_first)
    names = (first.name, second.name) if first.name != second.name else ("first", "second")
    result = compare_risks(risks[0][at_first], risks[1][at_second], in_both, names=names)
    overlap = patient_overlap(dict(zip(names, models, strict=True)), in_both)
    result = replace(result, warnings=tuple(overlap_sentences(overlap, len(in_both))))
    if as_json:
        table = result.table.astype(object).where(result.table.notna(), None)
        typer.echo(json.dumps({"names": names, "warnings": result.warnings, "table": table.to_dict("records")}))
        return
    typer.echo(result)
    if alone:
        typer.echo(f"Stays that only one of the two can answer for are left out: {format_count(alone)}.")


def compare_bundles(
    reading: dict[str, Any],
    old: Bundle,
    new: Bundle,
    extract: Extract,
    protocol: Annotated[Path, typer.Option(help="YAML file: non_inferiority, calibration, subgroups, min_events")],
    page: Page = None,
    require_signature: RequireSignature = None,
    accept_differences: AcceptDifferences = False,
    as_json: AsJson = False,
) -> None:
    """Hold a new bundle against the old one by a protocol that was written before: pass or fail.

    The exit code is 0 where each condition is met, 6 where one is not, 7 where there are too few events.

    Example: clinicalgru compare-bundles old new later.csv.gz --protocol p.yaml --stays s.csv --outcomes o.csv
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundles.
    old, new, extract, protocol : Path, Path, str, Path
        Folders of the bundles, the extract, and the protocol.
    page : Path or None
        Page to write.
    require_signature : Path or None
        Public key of who must have signed both bundles.
    accept_differences, as_json : bool
        Whether tables of training may be absent; whether JSON is printed.

    Raises
    ------
    Exit
        With exit code 6 or 7.
    """
    from clinicalgru.data.reading import arguments_like
    from clinicalgru.serve.bundle import load_model
    from clinicalgru.serve.compare_bundles import compare_bundles as hold
    from clinicalgru.serve.protocol import load_protocol

    declared, models = (
        load_protocol(protocol),
        [load_model(bundle, require_signature=require_signature) for bundle in (old, new)],
    )
    for model in models:
        check_outcomes(arguments_like(model.trained_on_.get("reading", {}), reading), model.task_)
    result = hold(models[0], models[1], declared, extract, accept_differences=accept_differences, **reading)
    show_result(result, as_json=as_json, page=page, exit_code=result.exit_code)


def _common(one: Any, other: Any) -> tuple[Any, Any, Any]:
    """Stays of the first that the second has too, and their positions in both."""
    import numpy as np

    _, at_first, at_second = np.intersect1d(
        one.stay.astype(str), other.stay.astype(str), assume_unique=True, return_indices=True
    )
    stays = one[at_first]
    if not np.array_equal(stays.outcome, other.outcome[at_second]):
        fix = "Compare bundles of the same task."
        raise InputError("bundles with the same outcome of each stay", "other outcomes", fix)
    return stays, at_first, at_second
