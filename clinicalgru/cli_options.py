"""Options that several commands share, and how they are passed on to `read_events`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicalgru.errors import InputError

if TYPE_CHECKING:
    from clinicalgru.data.task.task import Task

Extract = Annotated[Path, typer.Argument(help="CSV, CSV.gz, Parquet, a folder of them, or an archive of the source")]
Bundle = Annotated[Path, typer.Argument(help="folder of a bundle")]
Source = Annotated[
    str, typer.Option(help="long, wide, yaib, physionet2012, physionet2019, mimic-iv, eicu, meds, omop, fhir, sql")
]
Stays = Annotated[Path | None, typer.Option(help="table of stays: start, end, static covariates")]
Outcomes = Annotated[Path | None, typer.Option(help="table of outcomes by stay_id")]
Variables = Annotated[Path | None, typer.Option(help="your own variables.yaml, merged over the shipped one")]
TaskName = Annotated[str, typer.Option(help="name of a shipped task, or a YAML file")]
TimeUnit = Annotated[str, typer.Option(help="unit of numeric times: seconds, minutes, hours or days")]
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="ours=theirs where column names differ; repeatable")
]
Rejected = Annotated[float, typer.Option(help="largest fraction of rows that may be rejected")]
Seed = Annotated[int, typer.Option(help="seed; the same seed gives the same results")]
Page = Annotated[Path | None, typer.Option(help="write one offline HTML page here")]
Exact = Annotated[bool, typer.Option("--exact", help="show counts of 1 to 10 too, which can identify patients")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Quiet = Annotated[bool, typer.Option("--quiet", help="hide the progress bar")]


def reading(time_unit: str, column: list[str] | None, max_rejected: float) -> dict[str, Any]:
    """Return options of `read_events`.

    Parameters
    ----------
    time_unit : str
        Unit of numeric times.
    column : list of str or None
        Pairs such as "patient_id=id".
    max_rejected : float
        Largest fraction of rejected rows.

    Returns
    -------
    dict
        Keyword arguments.

    Raises
    ------
    InputError
        If a pair has another form.
    """
    pairs = [pair.partition("=") for pair in column or []]
    malformed = sum(not (ours and theirs) for ours, _, theirs in pairs)
    if malformed:
        got = f"{malformed} of {len(pairs)} --column without a name on both sides of ="
        raise InputError("--column ours=theirs", got, "Write --column patient_id=id.")
    columns = {ours: theirs for ours, _, theirs in pairs}
    return {"time_unit": time_unit, "columns": columns or None, "max_rejected": max_rejected}


def with_outcomes(
    source: str, stays: Path | None, outcomes: Path | None, variables: Path | None, *, task: Task
) -> dict[str, Any]:
    """Return the tables to read where outcomes are needed.

    Parameters
    ----------
    source : str
        Source of the extract.
    stays, outcomes, variables : Path or None
        Further tables.
    task : Task
        The task.

    Returns
    -------
    dict
        Keyword arguments of `read_events`.

    Raises
    ------
    InputError
        If outcomes are missing and the source contains none; before anything is read.
    """
    needed = bool(task.outcome) and source in ("long", "wide", "yaib", "sql", "physionet2012")
    if outcomes is None and needed:
        raise InputError(f"--outcomes with an extract of source {source}", "no --outcomes", "Pass a table by stay_id.")
    return {"source": source, "stays": stays, "outcomes": outcomes, "variables": variables}
