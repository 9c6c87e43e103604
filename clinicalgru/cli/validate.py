"""The command that validates a bundle at another hospital or in another year."""

from __future__ import annotations

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


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    reading_command(app)(validate)


def validate(
    reading: dict[str, Any],
    bundle: Bundle,
    extract: Extract,
    page: Page = None,
    markdown: Annotated[Path | None, typer.Option(help="write the validation in Markdown here")] = None,
    recalibrate: Annotated[
        Path | None, typer.Option(help="write a new bundle with recalibrated risks here; the one before is kept")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="risk from which a stay is acted upon")] = None,
    require_signature: RequireSignature = None,
    accept_differences: AcceptDifferences = False,
    as_json: AsJson = False,
) -> None:
    """Validate a bundle at another hospital: evaluation, case mix, differences, a verdict.

    The exit code is 0 where the risks fit, 6 where they do not, 7 where there are too few events to say.

    Example: clinicalgru validate out/mine/bundle other.csv.gz --stays s.csv --outcomes o.csv --page other.html
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundle.
    bundle, extract, page, markdown : Path, str, Path or None, Path or None
        Folder of the bundle, the extract, and files to write.
    recalibrate : Path or None
        Folder of a new bundle.
    threshold : float or None
        Risk from which a stay is acted upon.
    require_signature : Path or None
        Public key of who must have signed the bundle.
    accept_differences, as_json : bool
        Whether tables of training may be absent; whether JSON is printed.

    Raises
    ------
    Exit
        With exit code 6 or 7.
    """
    from clinicalgru.data.reading import arguments_like
    from clinicalgru.serve.bundle import load_model
    from clinicalgru.serve.validate import validate as run_validation

    model = load_model(bundle, require_signature=require_signature)
    check_outcomes(arguments_like(model.trained_on_.get("reading", {}), reading), model.task_)
    result = run_validation(
        model,
        extract,
        recalibrate_to=recalibrate,
        threshold=threshold,
        accept_differences=accept_differences,
        **reading,
    )
    show_result(result, as_json=as_json, page=page, markdown=markdown, exit_code=result.exit_code)
