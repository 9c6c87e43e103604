"""The command that writes up a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinicalgru.cli.options import AsJson, Bundle, Page, RequireSignature, show_result
from clinicalgru.cli.outputs import check_outputs


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    app.command()(report)


def report(
    bundle: Bundle,
    predictions: Annotated[Path | None, typer.Option(help="predictions.parquet that train wrote")] = None,
    log: Annotated[list[Path] | None, typer.Option(help="log of scoring runs; repeatable")] = None,
    page: Page = None,
    markdown: Annotated[Path | None, typer.Option(help="write the report in Markdown here")] = None,
    require_signature: RequireSignature = None,
    as_json: AsJson = False,
) -> None:
    """Report a bundle in the shape of TRIPOD+AI: items, figures computed again, model card, audit trail.

    The exit code is 6 where a figure does not compute again from the stored predictions.

    Example: clinicalgru report out/mine/bundle --predictions out/mine/predictions.parquet --page report.html
    \f
    Parameters
    ----------
    bundle, predictions, log : Path, Path or None, list of Path or None
        Folder of the bundle, stored predictions, and logs of scoring runs.
    page, markdown : Path or None
        Files to write.
    require_signature : Path or None
        Public key of who must have signed the bundle.
    as_json : bool
        Whether JSON is printed.

    Raises
    ------
    Exit
        With exit code 6.
    """
    from clinicalgru.serve.report import report as write_up

    read = [bundle, predictions, *(log or [])]
    check_outputs({"page": page, "markdown": markdown}, read)
    result = write_up(bundle, predictions=predictions, logs=log or [], require_signature=require_signature)
    show_result(result, as_json=as_json, page=page, markdown=markdown, exit_code=result.exit_code)
