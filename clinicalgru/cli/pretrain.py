"""The command that trains an encoder without outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clinicalgru.cli.options import Device, Exact, Extract, Quiet, Seed, min_cell_size, print_paths, reading_command
from clinicalgru.cli.progress import waiting


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    reading_command(app, without=("outcomes", "outcomes_columns"), shows_progress=True)(pretrain)


def pretrain(
    reading: dict[str, Any],
    extract: Extract,
    out: Annotated[Path, typer.Option(help="folder of the bundle of the encoder")],
    task: Annotated[str, typer.Option(help="task whose stays and window are used; its outcome is not needed")] = (
        "next_measurements"
    ),
    device: Device = "auto",
    random_state: Seed = 0,
    exact: Exact = False,
    quiet: Quiet = False,
) -> None:
    """Train the encoder without outcomes, on what is measured next, when, and how much; train then starts from it.

    Example: clinicalgru pretrain all-stays.csv.gz --stays stays.csv --out out/encoder
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read: arguments of `clinicalgru.data.read_events.read_events`.
    extract, out, task : str, Path, str
        The extract, the folder of the bundle, and the task whose stays and window are used.
    device : str
        Where the network computes.
    random_state, exact, quiet : int, bool, bool
        The seed, whether counts of 1 to 10 are shown too, and whether the progress bar is hidden.
    """
    from clinicalgru.data.read_events import read_events
    from clinicalgru.data.task.select import select
    from clinicalgru.data.task.task import Task
    from clinicalgru.model.estimators.pretraining import pretrain as pretrain_encoder
    from clinicalgru.model.training.distributed import torchrun_processes
    from clinicalgru.parts import describe_extract
    from clinicalgru.serve.bundle import save

    named_task = Task.load(task)
    with waiting("reading the extract"):
        events = read_events(extract, **reading)
    typer.echo(describe_extract(events, min_cell_size=min_cell_size(exact)))
    stays = select(events, named_task.without_outcome())
    with torchrun_processes() as rank:
        encoder = pretrain_encoder(stays, random_state=random_state, device=device, verbose=not quiet)
    if rank > 0:
        return
    print_paths({"pretrained encoder": save(encoder, out)}, simulated=events.simulated)
