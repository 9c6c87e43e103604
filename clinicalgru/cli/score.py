"""The command that scores an extract, and its exit codes."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from clinicalgru.cli.options import (
    AcceptDifferences,
    AsJson,
    Bundle,
    Device,
    Exact,
    Extract,
    RequireSignature,
    min_cell_size,
    reading_command,
)
from clinicalgru.cli.stop import stoppable
from clinicalgru.disclosure import format_count
from clinicalgru.errors import InputError

NOTHING_SCORED = 5  # exit code; those of errors stand in `clinicalgru.errors`


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    reading_command(app, without=("outcomes", "outcomes_columns"))(score)


def score(
    reading: dict[str, Any],
    bundle: Bundle,
    extract: Extract,
    out: Annotated[
        str | None, typer.Option(help=".parquet or .csv file, or a folder (gets as_of=.../part-*.parquet)")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="PostgreSQL: postgresql://user@host:port/database, with --table")
    ] = None,
    table: Annotated[str | None, typer.Option(help="table of that database; rows of the same run are replaced")] = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="date and time up to which the extract is seen; default: its last available_at"),
    ] = None,
    hourly: Annotated[bool, typer.Option(help="one row for each stay and hour, for an early warning")] = False,
    reasons: Annotated[bool, typer.Option("--reasons", help="name the three variables that moved each risk")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="write nothing and exit 3 where the extract differs from that of training")
    ] = False,
    min_scored: Annotated[
        float, typer.Option(help="smallest fraction of due stays to be scored; else nothing is written, and exit 4")
    ] = 0.0,
    workers: Annotated[int, typer.Option(help="processes, each with one thread")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a run that was ended")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output")] = False,
    log: Annotated[Path | None, typer.Option(help="add a log of the run to this file, as JSON lines")] = None,
    device: Device = "auto",
    require_signature: RequireSignature = None,
    engine: Annotated[
        str, typer.Option(help="local, or spark: extract, --stays and --out are what Spark reads")
    ] = "local",
    master: Annotated[str | None, typer.Option(help="of Spark: local[2], spark://host:7077; else its settings")] = None,
    remote: Annotated[str | None, typer.Option(help="Spark Connect: sc://host, or local")] = None,
    accept_differences: AcceptDifferences = False,
    exact: Exact = False,
    as_json: AsJson = False,
) -> None:
    """Write the risk of every stay of an extract, one row each, to a file, a folder or PostgreSQL.

    Outcomes are not needed. The extract is read as the training extract was; options say what differs. Exit codes: 2
    bad input, 3 --strict, 4 --min-scored, 5 no stay is scored, 8 not signed, 130 stopped (finished parts are kept for
    --resume).

    Example: clinicalgru score out/mine/bundle tonight.parquet --stays tonight-stays.csv --out scores
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundle.
    bundle, extract : Path, str
        Folder of the bundle, and the extract.
    out, to, table : optional
        The file or folder to write, and a database and its table.
    as_of : str or None
        Moment up to which the extract is seen.
    hourly, reasons, strict : bool
        A row for each hour; the variables that moved each prediction; whether an extract that differs from that of
        training is refused.
    min_scored : float
        Smallest fraction of due stays to be scored.
    workers : int
        Number of processes.
    resume, overwrite : bool
        Whether a run that was ended goes on; whether an existing output is replaced.
    log : Path or None
        File of the run log.
    device, require_signature : str, Path or None
        Where networks compute; public key of who must have signed the bundle.
    engine, master, remote : str or None
        What scores, and where Spark runs.
    accept_differences, exact, as_json : bool
        Whether tables of training may be absent; counts of 1 to 10; JSON.

    Raises
    ------
    InputError
        If there is no place to write to.
    typer.Exit
        With code 5, if no stay is scored.
    """
    from clinicalgru.serve import score as scoring
    from clinicalgru.serve.run_log import log_to_file, report, status_counts
    from clinicalgru.serve.spark import start_session, statuses_of

    if out is None and to is None:
        raise InputError("--out, or --to and --table", "neither of them", "Pass a folder: --out scores.")
    places: dict[str, Any] = {"out": out, "to": to, "table": table, "resume": resume, "overwrite": overwrite}
    rules: dict[str, Any] = {"as_of": as_of, "hourly": hourly, "reasons": reasons, "strict": strict}
    limits: dict[str, Any] = {"min_scored": min_scored, "accept_differences": accept_differences, "device": device}
    limits["require_signature"] = require_signature
    began = time.monotonic()
    if engine == "spark":
        start_session(master=master, remote=remote)
    with log_to_file(log), stoppable("Finished parts are kept: go on with --resume."):
        limits |= {"n_workers": workers, "engine": engine}
        scores = scoring.score(bundle, extract, **places, **rules, **limits, **reading)
        scores = statuses_of(scores) if engine == "spark" else scores
        least = min_cell_size(exact)
        logging.getLogger("clinicalgru").info("finished", extra={"fields": report(scores, began, min_cell_size=least)})
        counts = status_counts(scores, min_cell_size=least)
        lines = [f"{status:<42}{format_count(count):>9}" for status, count in counts.items()]
        typer.echo(json.dumps(counts) if as_json else "\n".join(lines))
    if not (scores["status"] == scoring.SCORED).any():
        logging.getLogger("clinicalgru").error("no stay is scored")
        raise typer.Exit(NOTHING_SCORED)
