"""The options that several commands share, and what they say of how an extract is read."""

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
    str, typer.Option(help="long, wide, yaib, physionet2012, physionet2019, mimic-iv, meds, omop, fhir, sql")
]
Stays = Annotated[Path | None, typer.Option(help="table of stays: start, end, static descriptors")]
Outcomes = Annotated[Path | None, typer.Option(help="table of outcomes by stay_id")]
Variables = Annotated[Path | None, typer.Option(help="your own variables.yaml over the shipped one")]
TaskName = Annotated[str, typer.Option(help="name of a shipped task, or a YAML file")]
TimeUnit = Annotated[str, typer.Option(help="what times that are numbers count: seconds, minutes, hours or days")]
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="ours=theirs where names differ; may be given again and again")
]
Rejected = Annotated[float, typer.Option(help="largest part of rows that may be rejected")]
Seed = Annotated[int, typer.Option(help="same seed, same bits")]
Page = Annotated[Path | None, typer.Option(help="write one offline HTML page here")]
Exact = Annotated[bool, typer.Option("--exact", help="show counts of 1 to 10 too, which may tell of somebody")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress")]


def reading(time_unit: str, column: list[str] | None, max_rejected: float) -> dict[str, Any]:
    """How to read an extract, as `read_events` takes it."""
    pairs = [one.partition("=") for one in column or []]
    if not all(ours and theirs for ours, _, theirs in pairs):
        raise InputError("--column ours=theirs", "another form", "Write --column patient_id=id.")
    columns = {ours: theirs for ours, _, theirs in pairs}
    return {"time_unit": time_unit, "columns": columns or None, "max_rejected": max_rejected}


def with_outcomes(
    source: str, stays: Path | None, outcomes: Path | None, variables: Path | None, *, task: Task
) -> dict[str, Any]:
    """What to read where outcomes are needed. Refused before anything is read: none, of a source that brings none."""
    needed = task.task_type != "forecast" and source in ("long", "wide", "yaib", "sql", "physionet2012")
    if outcomes is None and needed:
        raise InputError(f"--outcomes beside an extract of source {source}", "none", "Pass a table by stay_id.")
    return {"source": source, "stays": stays, "outcomes": outcomes, "variables": variables}
