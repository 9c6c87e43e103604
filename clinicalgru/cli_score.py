"""The command that scores an extract, and its exit codes."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from clinicalgru.cli_options import (
    AcceptDifferences,
    AsJson,
    Bundle,
    Exact,
    Extract,
    min_cell_size,
    reading_command,
)
from clinicalgru.disclosure import format_count

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
    out: Annotated[Path, typer.Option(help="folder (gets scores.parquet) or .parquet file")],
    as_of: Annotated[
        str | None,
        typer.Option(help="date and time up to which the extract is seen; default: its last available_at"),
    ] = None,
    hourly: Annotated[bool, typer.Option(help="one row for each stay and hour, for an early warning")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="write nothing and exit 3 where the extract differs from that of training")
    ] = False,
    min_scored: Annotated[
        float, typer.Option(help="smallest fraction of due stays to be scored; else nothing is written, and exit 4")
    ] = 0.0,
    accept_differences: AcceptDifferences = False,
    exact: Exact = False,
    as_json: AsJson = False,
) -> None:
    """Write the risk of every stay of an extract as Parquet, one row each. Outcomes are not needed.

    The extract is read as the training extract was; options say what differs.

    Example: clinicalgru score out/mine/bundle tonight.parquet --stays tonight-stays.csv --out scores
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundle.
    bundle, extract, out : Path, str, Path
        Folder of the bundle, the extract, and the file or folder to write.
    as_of : str or None
        Moment up to which the extract is seen.
    hourly, strict : bool
        A row for each hour; whether an extract that differs from that of training is refused.
    min_scored : float
        Smallest fraction of due stays to be scored.
    accept_differences, exact, as_json : bool
        Whether tables of training may be absent; counts of 1 to 10; JSON.

    Raises
    ------
    typer.Exit
        With code 5, if no stay is scored.
    """
    from clinicalgru.data.task.cohort_summary import suppressed
    from clinicalgru.serve import score as scoring

    options: dict[str, Any] = {"as_of": as_of, "hourly": hourly, "strict": strict, "min_scored": min_scored}
    table = scoring.score(bundle, extract, out=out, accept_differences=accept_differences, **options, **reading)
    what = table["status"] + (": " + table["reason_code"]).where(table["reason_code"] != "", "")
    counts = suppressed(what.value_counts(), min_cell_size=min_cell_size(exact))
    lines = [f"{status:<42}{format_count(count):>9}" for status, count in counts.items()]
    typer.echo(json.dumps(counts) if as_json else "\n".join(lines))
    if not (table["status"] == scoring.SCORED).any():
        logging.getLogger("clinicalgru").error("no stay is scored")
        raise typer.Exit(NOTHING_SCORED)
