"""The command that compares new patients with those of training."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clinicalgru.cli.options import (
    AcceptDifferences,
    AsJson,
    Bundle,
    Page,
    RequireSignature,
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
    reading_command(app)(drift)


def drift(
    reading: dict[str, Any],
    bundle: Bundle,
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="[SCORES]... EXTRACT", help="files or folders that score wrote; the extract is the last"
        ),
    ],
    page: Page = None,
    as_of: Annotated[str | None, typer.Option(help="date and time up to which the extract is seen")] = None,
    require_signature: RequireSignature = None,
    accept_differences: AcceptDifferences = False,
    as_json: AsJson = False,
) -> None:
    """Compare new patients with those of training: inputs, risks, outcomes, by week and group.

    The exit code is 9 where they differ. Without a change at most 1 % of runs end so. --group-columns names sites.

    Example: clinicalgru drift bundle scores month.parquet --stays stays.csv --outcomes o.csv --page drift.html
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundle.
    bundle, tables, page : Path, list of str, Path or None
        Folder of the bundle, tables of scores and the extract, and the page to write.
    as_of : str or None
        Moment up to which the extract is seen.
    require_signature : Path or None
        Public key of who must have signed the bundle.
    accept_differences, as_json : bool
        Whether tables of training may be absent; whether JSON is printed.

    Raises
    ------
    Exit
        With exit code 9.
    """
    from clinicalgru.serve.drift import drift as run_drift

    *scores, extract = tables
    options: dict[str, Any] = {"as_of": as_of, "accept_differences": accept_differences}
    options["require_signature"] = require_signature
    result = run_drift(bundle, extract, scores or None, **options, **reading)
    show_result(result, as_json=as_json, page=page, exit_code=result.exit_code)
