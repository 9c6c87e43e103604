"""The command that scores a feed again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clinicalgru.cli.options import AcceptDifferences, Bundle, Device, Extract, RequireSignature, reading_command
from clinicalgru.cli.stop import stoppable


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    reading_command(app, without=("outcomes", "outcomes_columns"), shows_progress=True)(watch)


def watch(
    reading: dict[str, Any],
    bundle: Bundle,
    extract: Extract,
    out: Annotated[Path, typer.Option(help="folder of the scores: a partition for each watermark")],
    every: Annotated[float, typer.Option(help="seconds between two rounds")] = 60.0,
    rounds: Annotated[int | None, typer.Option(help="number of rounds; default: without end")] = None,
    max_ahead_hours: Annotated[
        float, typer.Option(help="hours that a row may lie ahead of the clock; later ones are left out until then")
    ] = 24.0,
    workers: Annotated[int, typer.Option(help="processes, each with one thread")] = 1,
    log: Annotated[Path | None, typer.Option(help="add a log of the rounds to this file, as JSON lines")] = None,
    device: Device = "auto",
    require_signature: RequireSignature = None,
    accept_differences: AcceptDifferences = False,
) -> None:
    """Score a folder or table again whenever later rows are there; stop with Ctrl-C, and start again at any time.

    Example: clinicalgru watch out/mine/bundle feed --stays stays.parquet --out scores --every 60
    \f
    Parameters
    ----------
    reading : dict
        How the feed is read, where it differs from the training extract of the bundle.
    bundle, extract, out : Path, str, Path
        Folder of the bundle, the feed, and the folder of the scores.
    every, rounds, max_ahead_hours, workers : float, int or None, float, int
        Seconds between two rounds, their number, hours a row may lie ahead of the clock, and number of processes.
    log : Path or None
        File of the log.
    device, require_signature, accept_differences : optional
        Where networks compute, public key of who must have signed the bundle, whether tables of training may be absent.
    """
    from clinicalgru.serve.bundle import load_model
    from clinicalgru.serve.run_log import log_to_file
    from clinicalgru.serve.watch import watch as watch_feed

    model = load_model(bundle, require_signature=require_signature)
    options: dict[str, Any] = {
        "max_ahead_hours": max_ahead_hours,
        "n_workers": workers,
        "device": device,
        "accept_differences": accept_differences,
    }
    with log_to_file(log), stoppable("Finished rounds are kept; the next start goes on after them."):
        for scores in watch_feed(model, extract, out=out, every=every, n_rounds=rounds, **options, **reading):
            if scores is not None:
                typer.echo(f"{scores['as_of'].iloc[0]}: {(scores['status'] == 'scored').sum():,} stays scored")
