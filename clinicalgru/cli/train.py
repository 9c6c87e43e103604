"""The commands that train: on the extract of a user, and on simulated patients as a demonstration."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicalgru.cli.options import (
    Device,
    Exact,
    Extract,
    Quiet,
    Seed,
    TaskName,
    check_outcomes,
    min_cell_size,
    parse_settings,
    print_paths,
    reading_command,
)
from clinicalgru.cli.progress import waiting
from clinicalgru.cli.stop import stoppable
from clinicalgru.disclosure import format_count
from clinicalgru.errors import ArgumentError, InputError

if TYPE_CHECKING:
    from clinicalgru.data.task.task import Task
    from clinicalgru.parts import Parts

NO_CHECKS: Mapping[str, Any] = MappingProxyType({})
NEXT = """
next
  open the two pages in a browser
  a worklist of patients      clinicalgru dashboard --bundle {out}/bundle --simulate 400
  notebooks, from 01 on       jupyter lab notebooks
  names of your own extract   clinicalgru map labs.csv --draft names.yaml
  a model of it               clinicalgru train labs.csv --names names.yaml --outcomes outcomes.csv --out out/mine
"""


def register(app: typer.Typer) -> None:
    """Add the commands to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    app.command()(demo)
    reading_command(app, shows_progress=True)(train)


def demo(
    source: Annotated[str, typer.Option(help="simulated, or physionet2012 with --data")] = "simulated",
    data: Annotated[Path | None, typer.Option(help="folder with set-a, set-b and their Outcomes files")] = None,
    out: Annotated[Path, typer.Option(help="folder for pages, bundle and scores")] = Path("out/demo"),
    stays: Annotated[int, typer.Option(help="simulated stays", min=200)] = 3200,
    random_state: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Run the whole line: read, train, evaluate against baselines, explain one stay, score the cohort.

    Example: clinicalgru demo --source physionet2012 --data physionet2012 --out out/p12
    \f
    Parameters
    ----------
    source, data : str, Path or None
        What to read: synthetic patients, or a folder of the PhysioNet 2012 challenge.
    out : Path
        Folder for pages, bundle and scores.
    stays, random_state, quiet : int, int, bool
        Number of synthetic stays, the seed, and whether the progress bar is hidden.

    Raises
    ------
    InputError
        If the source is unknown, or physionet2012 without `data`.
    """
    from clinicalgru import pipeline
    from clinicalgru.parts import physionet2012_parts, simulated_parts

    if source == "simulated":
        parts = simulated_parts(stays, random_state, typer.echo)
    elif source == "physionet2012" and data is not None:
        parts = physionet2012_parts(data, typer.echo)
    else:
        got = f"--source {source}" + ("" if data is not None else " without --data")
        raise InputError("--source simulated, or physionet2012 with --data", got, "Pass both.")
    began = time.monotonic()

    def fit() -> Any:
        options: dict[str, Any] = {"random_state": random_state, "verbose": not quiet, "auxiliary": parts.auxiliary}
        model = pipeline.fit(parts.development, **options)
        typer.echo(f"\ntrained in {time.monotonic() - began:.0f} s, {len(model.history_)} epochs\n")
        return model

    _fit_evaluate_write(fit, parts, out, random_state=random_state)
    typer.echo(NEXT.format(out=out))


def train(
    reading: dict[str, Any],
    extract: Extract,
    out: Annotated[Path, typer.Option(help="folder for pages, bundle and scores")],
    task: TaskName = "in_hospital_mortality",
    pretrained: Annotated[Path | None, typer.Option(help="bundle of a pretrained encoder to start from")] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="learn from the stays without a known outcome too (self-training)")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="parameter=value, such as max_epochs=30; repeatable")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="file that keeps the state of training after each epoch")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from --checkpoint where it exists")] = False,
    test_fraction: Annotated[float, typer.Option(help="fraction of the patients for evaluation")] = 0.25,
    test_from: Annotated[
        str | None, typer.Option(help="evaluate on patients whose first stay starts then or later")
    ] = None,
    split_column: Annotated[str | None, typer.Option(help="column of the stays that is train or test")] = None,
    device: Device = "auto",
    random_state: Seed = 0,
    leaks: Annotated[bool, typer.Option(help="look for leaks from the future on a sample of the stays")] = True,
    instability: Annotated[
        int, typer.Option(help="also train on so many bootstrap samples, 10 or more: how far single risks move", min=0)
    ] = 0,
    exact: Exact = False,
    quiet: Quiet = False,
) -> None:
    """Train on some of the patients, evaluate on the others next to baselines, save bundle and pages.

    The type of the task decides estimator and metrics: binary, multiclass, multilabel, regression, early_warning,
    survival, forecast. Source physionet2019 contains its outcomes; forecasts need none. On several processes: torchrun
    --nproc-per-node 2 -m clinicalgru train ...

    Example: clinicalgru train labs.csv.gz --stays stays.csv --outcomes outcomes.csv --out out/mine
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read: arguments of `clinicalgru.data.read_events.read_events`.
    extract, out, task : str, Path, str
        The extract, the folder for pages, bundle and scores, and the task that is learned.
    pretrained : Path or None
        Bundle that `pretrain` wrote.
    unlabelled : bool
        Whether stays without a known outcome are learned from too; see `GRUClassifier.fit`.
    set_, checkpoint, resume : optional
        Parameters of the estimator, file of the checkpoint, and whether training goes on from it.
    test_fraction, test_from, split_column : optional
        Which patients are evaluated on.
    device : str
        Where the network computes.
    random_state : int
        The seed.
    leaks : bool
        Whether `check_no_future` is run; its sentence is printed and kept in the bundle.
    instability : int
        Number of refits of `clinicalgru.instability`, each as long as the training, which the bundle keeps; 0: none.
    exact, quiet : bool
        Whether counts of 1 to 10 are shown too, and whether the progress bar is hidden.
    """
    from clinicalgru import pipeline
    from clinicalgru.data.read_events import read_events
    from clinicalgru.data.task.task import Task
    from clinicalgru.parts import describe_extract, split_parts, unlabelled_stays
    from clinicalgru.serve.bundle import load_pretrained

    named_task = Task.load(task)
    check_outcomes(reading, named_task, extract)
    _check_instability(instability, named_task)
    if resume and checkpoint is None:
        raise ArgumentError("--checkpoint with --resume", "no checkpoint", "Name the file of the checkpoint.")
    encoder = None if pretrained is None else load_pretrained(pretrained)
    how: dict[str, Any] = {"pretrained": encoder, "device": device, "parameters": parse_settings(set_ or [])}
    estimator = pipeline.new_estimator(named_task.task_type, random_state=random_state, **how)
    with waiting("reading the extract"):
        events = read_events(extract, **reading)
    typer.echo(describe_extract(events, min_cell_size=min_cell_size(exact)))
    by: dict[str, Any] = {"test": test_fraction, "test_from": test_from, "split_column": split_column}
    parts = split_parts(events, named_task, random_state, **by)
    kept: dict[str, Any] = {"checkpoint": checkpoint, "resume": resume, "auxiliary": parts.auxiliary}
    if unlabelled:
        kept["unlabelled"] = unlabelled_stays(events, named_task, parts)
        typer.echo(f"{format_count(len(kept['unlabelled']))} stays without a known outcome are learned from too")
    how = kept | {"random_state": random_state, "estimator": estimator, "verbose": not quiet}
    checks: dict[str, Any] = {"leaks": leaks, "membership": True, "n_refits": instability}
    before = "Nothing was written." if checkpoint is None else "--resume goes on after the last finished epoch."
    _fit_evaluate_write(
        lambda: pipeline.fit(parts.development, **how),
        parts,
        out,
        random_state=random_state,
        checks=checks,
        before=before,
    )


def _fit_evaluate_write(
    fit: Callable[[], Any],
    parts: Parts,
    out: Path,
    *,
    random_state: int,
    checks: Mapping[str, Any] = NO_CHECKS,
    before: str = "Nothing was written.",
) -> None:
    """Train and save the bundle; then evaluate, check, and write pages, scores and the bundle with what was found.

    `before` is what is printed where the command is stopped before there is a bundle.
    """
    from clinicalgru import pipeline
    from clinicalgru.model.training.distributed import torchrun_processes
    from clinicalgru.serve.bundle import save

    with stoppable(before) as stopping:
        with torchrun_processes() as rank:
            model = fit()
        if rank > 0:  # the first process of torchrun evaluates and writes
            return
        bundle = save(model, out / "bundle")
        stopping.kept = f"The model is kept in {bundle}: go on with clinicalgru evaluate."
        stopping.end_if_requested()  # Ctrl-C ends training with the best weights so far
        with waiting("evaluating"):
            evaluation = pipeline.evaluate_with_baselines(model, parts, random_state=random_state)
        typer.echo(evaluation)
        _check(model, parts, random_state=random_state, **checks)
        with waiting("writing pages, scores and bundle"):
            written = pipeline.write_all(model, evaluation, parts, out)
    print_paths(written, simulated=parts.test.simulated)


def _check_instability(n_refits: int, task: Task) -> None:
    """Raise where a model of this task cannot be refitted so often; nothing is read yet."""
    if not n_refits:
        return
    from clinicalgru.model.instability import check_n_refits

    check_n_refits(n_refits)
    if task.task_type != "binary":
        raise ArgumentError("--instability with a binary task", task.task_type, "Leave it out.")


def _check(
    model: Any, parts: Parts, *, random_state: int, leaks: bool = False, membership: bool = False, n_refits: int = 0
) -> None:
    """Measure what the bundle keeps of the model, and print it."""
    from clinicalgru import trained_model

    if leaks:
        with waiting("looking for leaks from the future"):
            found = trained_model.check_leakage(model, parts, random_state=random_state)
        typer.echo(f"\n{found.sentence}\n")
    audit = trained_model.measure_membership(model, parts) if membership else None
    if text := trained_model.membership_text(model, audit):
        typer.echo(f"{text}\n")
    if n_refits:
        with waiting(f"training again on {n_refits} bootstrap samples"):
            refits: dict[str, int] = {"n_refits": n_refits, "random_state": random_state}
            moved = trained_model.measure_instability(model, parts, **refits)
        if moved is not None:
            typer.echo(f"{moved}\n")
