"""The command about a cohort: its Table 1."""

from __future__ import annotations

from typing import Any

import typer

from clinicalgru.cli.options import Exact, Extract, Page, TaskName, check_outcomes, min_cell_size, reading_command


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    reading_command(app)(table_one)


def table_one(
    reading: dict[str, Any],
    extract: Extract,
    task: TaskName = "in_hospital_mortality",
    page: Page = None,
    exact: Exact = False,
) -> None:
    """Describe the cohort of a task, in all and by outcome: Table 1.

    Example: clinicalgru table-one labs.csv.gz --stays stays.csv --outcomes outcomes.csv --group-columns site
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read: arguments of `clinicalgru.data.read_events.read_events`.
    extract, task, page : str, str, Path or None
        The extract, the task, and an HTML file to write.
    exact : bool
        Whether counts of 1 to 10 are shown too.
    """
    from clinicalgru.data.read_events import read_events
    from clinicalgru.data.task.select import select
    from clinicalgru.data.task.table_one import table_one as describe_cohort
    from clinicalgru.data.task.task import Task

    named_task = Task.load(task)
    check_outcomes(reading, named_task, extract)
    stays = select(read_events(extract, **reading), named_task)
    shown = describe_cohort(stays, min_cell_size=0 if stays.simulated else min_cell_size(exact))
    typer.echo(str(shown))
    if page is not None:
        shown.to_html(page)
