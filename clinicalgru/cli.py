"""The command line: each command is a few calls of the library. Exit code 0, or 2 with one message on bad input."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from clinicalgru.cli_options import (
    AsJson,
    Bundle,
    Columns,
    Exact,
    Extract,
    Outcomes,
    Page,
    Quiet,
    Rejected,
    Seed,
    Source,
    Stays,
    TaskName,
    TimeUnit,
    Variables,
    reading,
    with_outcomes,
)
from clinicalgru.disclosure import MIN_CELL_SIZE, format_count
from clinicalgru.errors import ClinicalGRUError, InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Risks from irregular, incomplete patient records.",
)


@app.command()
def demo(
    source: Annotated[str, typer.Option(help="simulated, or physionet2012 with --data")] = "simulated",
    data: Annotated[Path | None, typer.Option(help="folder with set-a, set-b and their Outcomes files")] = None,
    out: Annotated[Path, typer.Option(help="folder for pages, bundle and scores")] = Path("out/demo"),
    stays: Annotated[int, typer.Option(help="simulated stays", min=200)] = 2500,
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
    model = pipeline.fit(parts.development, random_state=random_state, verbose=not quiet, auxiliary=parts.auxiliary)
    typer.echo(f"\ntrained in {time.monotonic() - began:.0f} s, {len(model.history_)} epochs\n")
    evaluation = pipeline.evaluate_with_baselines(model, parts, random_state=random_state)
    typer.echo(evaluation)
    print_paths(pipeline.write_all(model, evaluation, parts, out), simulated=parts.test.simulated)


@app.command()
def check(
    extract: Extract,
    source: Source = "long",
    stays: Stays = None,
    outcomes: Outcomes = None,
    variables: Variables = None,
    task: Annotated[str | None, typer.Option(help="a task, to count its cohort and outcomes")] = None,
    time_unit: TimeUnit = "hours",
    column: Columns = None,
    max_rejected: Rejected = 0.1,
    exact: Exact = False,
    as_json: AsJson = False,
) -> None:
    """Read an extract and print what became of each of its rows. Small counts are suppressed.

    Example: clinicalgru check labs.csv.gz --stays stays.csv --outcomes outcomes.csv --task in_hospital_mortality
    \f
    Parameters
    ----------
    extract, source, stays, outcomes, variables, task, time_unit, column, max_rejected : optional but extract
        How the extract is read; see `clinicalgru.data.read_events.read_events`. `task` names a task to count.
    exact, as_json : bool
        Whether counts of 1 to 10 are shown too; whether JSON is printed.
    """
    from clinicalgru.data.read_events import read_events
    from clinicalgru.data.task.cohort_summary import cohort, counted
    from clinicalgru.data.task.task import Task

    named_task = Task.load(task) if task is not None else None
    tables: dict[str, Any] = {"source": source, "stays": stays, "outcomes": outcomes, "variables": variables}
    events = read_events(extract, **tables, **reading(time_unit, column, max_rejected))
    least = _min_cell_size(exact)
    counts = counted(events, min_cell_size=least)
    cohort_counts = cohort(events, named_task, min_cell_size=least) if named_task is not None else {}
    if as_json:
        ledger = events.ledger.suppressed(min_cell_size=least)
        typer.echo(json.dumps({"ledger": ledger, "variables": counts} | cohort_counts, indent=1))
    else:
        typer.echo(events.ledger.as_text(min_cell_size=least))
        typer.echo(f"\n{'variable':<40}{'measurements':>14}{'stays':>12}")
        for row in counts:
            typer.echo(f"{row['variable']:<40}{format_count(row['measurements']):>14}{format_count(row['stays']):>12}")
        for title, lines in cohort_counts.items():
            typer.echo("\n".join(["", title, *(f"{name:<54}{count:>20}" for name, count in lines.items())]))


@app.command()
def audit(
    extract: Extract,
    source: Source = "long",
    stays: Stays = None,
    outcomes: Outcomes = None,
    variables: Variables = None,
    site_column: Annotated[str | None, typer.Option(help="column of the stays with their site")] = None,
    page: Page = None,
    max_rejected: Rejected = 0.1,
    exact: Exact = False,
    as_json: AsJson = False,
) -> None:
    """Check the quality of an extract: conformance, completeness, plausibility, units, times. Nothing is changed.

    Example: clinicalgru audit labs.csv.gz --stays stays.csv --page audit.html
    \f
    Parameters
    ----------
    extract, source, stays, outcomes, variables, site_column, page, max_rejected : optional but extract
        How the extract is read; see `clinicalgru.data.read_events.read_events`. `page` is a page to write.
    exact, as_json : bool
        Whether counts of 1 to 10 are shown too; whether JSON is printed.
    """
    from clinicalgru.data.audit.audit import audit as run_audit
    from clinicalgru.data.read_events import read_events

    events = read_events(
        extract, source=source, stays=stays, outcomes=outcomes, variables=variables, max_rejected=max_rejected
    )
    result = run_audit(events, site_column=site_column)
    least = _min_cell_size(exact)
    shown = (
        json.dumps(result.to_dict(min_cell_size=least), indent=1) if as_json else result.as_text(min_cell_size=least)
    )
    typer.echo(shown)
    if page is not None:
        result.to_html(page, min_cell_size=least)


@app.command()
def train(
    extract: Extract,
    out: Annotated[Path, typer.Option(help="folder for pages, bundle and scores")],
    outcomes: Outcomes = None,
    source: Source = "long",
    stays: Stays = None,
    variables: Variables = None,
    task: TaskName = "in_hospital_mortality",
    time_unit: TimeUnit = "hours",
    column: Columns = None,
    max_rejected: Rejected = 0.1,
    random_state: Seed = 0,
    exact: Exact = False,
    quiet: Quiet = False,
) -> None:
    """Train on three quarters of the patients, evaluate on the others next to baselines, save bundle and pages.

    The type of the task decides estimator and metrics: binary, multiclass, multilabel, regression, early_warning,
    survival, forecast. Source physionet2019 contains its outcomes; forecasts need none.

    Example: clinicalgru train labs.csv.gz --stays stays.csv --outcomes outcomes.csv --out out/mine
    \f
    Parameters
    ----------
    extract, out : Path
        The extract, and the folder for pages, bundle and scores.
    outcomes, source, stays, variables, task, time_unit, column, max_rejected : optional
        How the extract is read; see `clinicalgru.data.read_events.read_events`. `task` is learned.
    random_state, exact, quiet : int, bool, bool
        The seed, whether counts of 1 to 10 are shown too, and whether the progress bar is hidden.
    """
    from clinicalgru import pipeline
    from clinicalgru.data.read_events import read_events
    from clinicalgru.data.task.task import Task
    from clinicalgru.parts import describe_extract, split_parts

    named_task = Task.load(task)
    pipeline.check_evaluation_packages(named_task.task_type)
    tables = with_outcomes(source, stays, outcomes, variables, task=named_task)
    events = read_events(extract, **tables, **reading(time_unit, column, max_rejected))
    typer.echo(describe_extract(events, min_cell_size=_min_cell_size(exact)))
    parts = split_parts(events, named_task, random_state)
    model = pipeline.fit(parts.development, random_state=random_state, verbose=not quiet, auxiliary=parts.auxiliary)
    evaluation = pipeline.evaluate_with_baselines(model, parts, random_state=random_state)
    typer.echo(evaluation)
    print_paths(pipeline.write_all(model, evaluation, parts, out), simulated=parts.test.simulated)


@app.command()
def evaluate(
    bundle: Bundle,
    extract: Extract,
    outcomes: Outcomes = None,
    page: Page = None,
    source: Source = "long",
    stays: Stays = None,
    variables: Variables = None,
    time_unit: TimeUnit = "hours",
    column: Columns = None,
    max_rejected: Rejected = 0.1,
    as_json: AsJson = False,
) -> None:
    """Evaluate a bundle on an extract with outcomes, such as the patients of another hospital.

    Example: clinicalgru evaluate out/mine/bundle other.csv.gz --outcomes other-outcomes.csv --page other.html
    \f
    Parameters
    ----------
    bundle, extract : Path
        Folder of the bundle, and the extract.
    outcomes, page, source, stays, variables, time_unit, column, max_rejected, as_json : optional
        How the extract is read; see `clinicalgru.data.read_events.read_events`. `page` is a page to write.
    """
    from clinicalgru import pipeline
    from clinicalgru.serve.bundle import load

    model = load(bundle)
    pipeline.check_evaluation_packages(model.task_.task_type)
    tables = with_outcomes(source, stays, outcomes, variables, task=model.task_)
    events, sequences = pipeline.read_for(model, extract, **tables, **reading(time_unit, column, max_rejected))
    evaluation = pipeline.evaluate(model, sequences)
    typer.echo(json.dumps(evaluation.to_dict()) if as_json else evaluation)
    if page is not None:
        pipeline.write_evaluation(model, evaluation, sequences, events, page)


@app.command()
def explain(
    bundle: Bundle,
    extract: Extract,
    stay: Annotated[str, typer.Option(help="stay_id of the stay to explain")],
    page: Page = None,
    source: Source = "long",
    stays: Stays = None,
    variables: Variables = None,
    target: Annotated[
        str | None, typer.Option(help="label, class or hours ahead to explain, where the bundle predicts several")
    ] = None,
    at_hours: Annotated[
        float | None, typer.Option(help="explain the prediction at this hour since the index time")
    ] = None,
    time_unit: TimeUnit = "hours",
    column: Columns = None,
    max_rejected: Rejected = 0.1,
) -> None:
    """Explain one stay: what each measurement contributed to the risk. For a forecast: expected and observed values.

    Example: clinicalgru explain out/mine/bundle labs.csv.gz --stay 30012 --page why.html
    \f
    Parameters
    ----------
    bundle, extract, stay : Path, Path, str
        Folder of the bundle, the extract, and the stay_id of the stay.
    page, source, stays, variables, target, at_hours : optional
        A page to write, the source and its tables, what is explained, and the hour since the index time.
    time_unit, column, max_rejected : optional
        How the extract is read; see `clinicalgru.data.read_events.read_events`.

    Raises
    ------
    InputError
        If the extract does not contain exactly one such stay.
    """
    from clinicalgru import pipeline
    from clinicalgru.data.read_events import read_events
    from clinicalgru.data.task.select import select
    from clinicalgru.serve.bundle import load

    model = load(bundle)
    explained = pipeline.parse_target(model, target)
    tables: dict[str, Any] = {
        "source": source,
        "stays": stays,
        "variables": pipeline.model_dictionary(model, variables),
    }
    events = read_events(extract, **tables, **reading(time_unit, column, max_rejected))
    every = select(events, model.task_, include_ineligible=True)
    chosen = every.with_variables(model.variables_).with_static_variables(model.static_variables_)[every.stay == stay]
    if len(chosen) != 1:
        raise InputError("one stay of that stay_id", f"{len(chosen)} stays", "Check --stay against the extract.")
    explanation = pipeline.explain_stay(model, chosen, target=explained, at_hours=at_hours)
    typer.echo(explanation)
    if page is not None:
        pipeline.write_explanation(explanation, page)


@app.command()
def score(
    bundle: Bundle,
    extract: Extract,
    out: Annotated[Path, typer.Option(help="folder (gets scores.parquet) or .parquet file")],
    source: Source = "long",
    stays: Stays = None,
    variables: Variables = None,
    time_unit: TimeUnit = "hours",
    column: Columns = None,
    max_rejected: Rejected = 0.1,
    hourly: Annotated[bool, typer.Option(help="one row for each stay and hour, for an early warning")] = False,
    exact: Exact = False,
    as_json: AsJson = False,
) -> None:
    """Write the risk of every stay of an extract as Parquet, one row each. Outcomes are not needed.

    Example: clinicalgru score out/mine/bundle tonight.parquet --out scores
    \f
    Parameters
    ----------
    bundle, extract, out : Path
        Folder of the bundle, the extract, and the file or folder to write.
    source, stays, variables, time_unit, column, max_rejected, hourly, exact, as_json : optional
        How the extract is read; see `clinicalgru.data.read_events.read_events`. `hourly` writes a row for each hour.
    """
    from clinicalgru.data.task.cohort_summary import suppressed
    from clinicalgru.serve import score as scoring

    tables: dict[str, Any] = {"source": source, "stays": stays, "variables": variables}
    table = scoring.score(bundle, extract, out=out, hourly=hourly, **tables, **reading(time_unit, column, max_rejected))
    counts = suppressed(table["status"].value_counts(), min_cell_size=_min_cell_size(exact))
    lines = [f"{status:<12}{format_count(count):>9}" for status, count in counts.items()]
    typer.echo(json.dumps(counts) if as_json else "\n".join(lines))


def _min_cell_size(exact: bool) -> int:
    """Smallest count that is shown."""
    return 0 if exact else MIN_CELL_SIZE


def print_paths(paths: dict[str, Path], *, simulated: bool) -> None:
    """Print the files written.

    Parameters
    ----------
    paths : dict of Path
        Files by name.
    simulated : bool
        Whether the patients are synthetic.
    """
    typer.echo("\nSIMULATED PATIENTS, not real ones" if simulated else "")
    for name, path in paths.items():
        typer.echo(f"{name:<18}{path}")


def main(arguments: list[str] | None = None) -> Any:
    """Run a command and end the process; bad input gives one message on standard error and exit code 2.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments. None: those of the process.
    """
    try:
        app(arguments, standalone_mode=True)
    except ClinicalGRUError as error:
        typer.echo(f"{error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
