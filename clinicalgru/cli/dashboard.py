"""The command that serves the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clinicalgru.cli.options import RequireSignature, reading_command
from clinicalgru.cli.progress import waiting
from clinicalgru.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    reading_command(app, without=("outcomes", "outcomes_columns"), shows_progress=True)(dashboard)


def dashboard(
    reading: dict[str, Any],
    bundle: Annotated[Path, typer.Option(help="folder of a bundle")],
    extract: Annotated[str | None, typer.Option(help="extract, as of score")] = None,
    scores: Annotated[
        Path | None, typer.Option(help="table or folder of score; default: the extract is scored at the start")
    ] = None,
    require_signature: RequireSignature = None,
    port: Annotated[int, typer.Option(help="port on 127.0.0.1; 0: a free one", min=0, max=65535)] = 0,
    threshold: Annotated[float | None, typer.Option(help="risk from which stays are marked", min=0.0, max=1.0)] = None,
    identify: Annotated[bool, typer.Option("--identify", help="show stay_id and dates")] = False,
    simulate: Annotated[int | None, typer.Option(help="simulated stays in place of an extract", min=40)] = None,
) -> None:
    """Serve a worklist of scored stays and the page of each to a browser on this machine.

    It listens on 127.0.0.1 only, and answers only a browser that opened the address with the random token that it
    prints. Nothing is trained, and nothing is written. Stays have numbers; --identify shows stay_id and dates. Stop it
    with Ctrl-C.

    Example: clinicalgru dashboard --bundle out/mine/bundle --extract tonight.parquet --stays stays.csv --scores scores
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundle.
    bundle, extract, scores : Path, str or None, Path or None
        Folder of the bundle, the extract, and scores.
    require_signature : Path or None
        Public key of who must have signed the bundle.
    port, threshold, identify, simulate : int, float or None, bool, int or None
        Port, risk from which stays are marked, whether identifiers are shown, and simulated stays instead of an
        extract.

    Raises
    ------
    InputError
        If neither or both of an extract and simulated stays are given.
    """
    from clinicalgru.dashboard.server import DashboardServer
    from clinicalgru.dashboard.worklist import Worklist
    from clinicalgru.data.simulate.simulate import simulate as simulated_cohort

    if (extract is None) == (simulate is None):
        got = "neither" if extract is None else "both"
        raise InputError("--extract, or --simulate N", got, "Pass one of them.", where="dashboard")
    data = extract if simulate is None else simulated_cohort(simulate, random_state=2)
    shown: dict[str, Any] = {"scores": scores, "threshold": threshold, "show_id": identify}
    with waiting("reading and scoring"):
        worklist = Worklist(bundle, data, require_signature=require_signature, **shown, **reading)
    with DashboardServer(worklist, port) as server:
        if worklist.simulated:
            typer.echo("SIMULATED PATIENTS, not real ones")
        typer.echo(f"{len(worklist.rows):,} stays. Open this address in a browser on this machine; Ctrl-C ends it:")
        typer.echo(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("stopped")
