"""The command line: each command is a few calls of the library. Exit code 0, or 2 with one message on bad input.

`score` also ends with 3 (an extract unlike that of training), 4 (too few stays scored) or 5 (none scored). `validate`
also ends with 6 (the risks do not fit) or 7 (too few events to say). 8: a bundle is not signed by the required key.
`drift` ends with 9 where patients differ from those of training.
"""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from clinicalgru.cli import (
    compare,
    dashboard,
    dictionary,
    drift,
    export,
    incidence,
    leaks,
    pretrain,
    report,
    score,
    sign,
    train,
    validate,
    watch,
)
from clinicalgru.cli.config import with_config
from clinicalgru.cli.option_text import as_options
from clinicalgru.cli.options import (
    AcceptDifferences,
    AsJson,
    Bundle,
    Device,
    Exact,
    Extract,
    Identify,
    Page,
    RequireSignature,
    check_outcomes,
    log_to_standard_error,
    min_cell_size,
    reading_command,
)
from clinicalgru.disclosure import format_count
from clinicalgru.errors import ClinicalGRUError, InputError, system_error


class _Commands(TyperGroup):
    """The commands, each with its whole first sentence, which a terminal of 80 columns wraps."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of the commands.

        Parameters
        ----------
        ctx, formatter : object
            As of `typer.core.TyperGroup`.
        """
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(limit=1000)) for name, one in commands if one is not None]
            )


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Risks from irregular, incomplete patient records.",
)


@reading_command(app)
def check(
    reading: dict[str, Any],
    extract: Extract,
    task: Annotated[str | None, typer.Option(help="a task, to count its cohort and outcomes")] = None,
    exact: Exact = False,
    as_json: AsJson = False,
) -> None:
    """Read an extract and print what became of each of its rows. Small counts are suppressed.

    Example: clinicalgru check labs.csv.gz --stays stays.csv --outcomes outcomes.csv --task in_hospital_mortality
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read: arguments of `clinicalgru.data.read_events.read_events`.
    extract, task : str, str or None
        The extract, and a task to count.
    exact, as_json : bool
        Whether counts of 1 to 10 are shown too; whether JSON is printed.
    """
    from clinicalgru.data.read_events import read_events
    from clinicalgru.data.task.cohort_summary import cohort, counted
    from clinicalgru.data.task.task import Task

    named_task = Task.load(task) if task is not None else None
    events = read_events(extract, **reading)
    least = min_cell_size(exact)
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


@reading_command(app)
def audit(
    reading: dict[str, Any],
    extract: Extract,
    site_column: Annotated[str | None, typer.Option(help="column of the stays with their site")] = None,
    page: Page = None,
    exact: Exact = False,
    as_json: AsJson = False,
) -> None:
    """Check the quality of an extract: conformance, completeness, plausibility, units, times. Nothing is changed.

    Example: clinicalgru audit labs.csv.gz --stays stays.csv --page audit.html
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read: arguments of `clinicalgru.data.read_events.read_events`.
    extract, site_column, page : str, str or None, Path or None
        The extract, the column of the stays with their site, and a page to write.
    exact, as_json : bool
        Whether counts of 1 to 10 are shown too; whether JSON is printed.
    """
    from clinicalgru.data.audit.audit import audit as run_audit
    from clinicalgru.data.read_events import read_events

    events = read_events(extract, **reading)
    result = run_audit(events, site_column=site_column)
    least = min_cell_size(exact)
    shown = (
        json.dumps(result.to_dict(min_cell_size=least), indent=1) if as_json else result.as_text(min_cell_size=least)
    )
    typer.echo(shown)
    if page is not None:
        result.to_html(page, min_cell_size=least)


@reading_command(app)
def evaluate(
    reading: dict[str, Any],
    bundle: Bundle,
    extract: Extract,
    page: Page = None,
    require_signature: RequireSignature = None,
    accept_differences: AcceptDifferences = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate a bundle on an extract with outcomes, such as the patients of another hospital.

    Example: clinicalgru evaluate out/mine/bundle other.csv.gz --stays stays.csv --outcomes outcomes.csv --page a.html
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundle.
    bundle, extract, page : Path, str, Path or None
        Folder of the bundle, the extract, and a page to write.
    require_signature : Path or None
        Public key of who must have signed the bundle.
    accept_differences, as_json : bool
        Whether tables of training may be absent; whether JSON is printed.
    """
    from clinicalgru import pipeline
    from clinicalgru.data.reading import arguments_like
    from clinicalgru.serve.bundle import load_model

    model = load_model(bundle, require_signature=require_signature)
    pipeline.check_evaluation_packages(model.task_.task_type)
    check_outcomes(arguments_like(model.trained_on_.get("reading", {}), reading), model.task_)
    events, sequences = pipeline.read_for(model, extract, accept_differences=accept_differences, **reading)
    evaluation = pipeline.evaluate(model, sequences)
    typer.echo(json.dumps(evaluation.to_dict()) if as_json else evaluation)
    if page is not None:
        pipeline.write_evaluation(model, evaluation, sequences, events, page)


@reading_command(app, without=("outcomes", "outcomes_columns"))
def explain(
    reading: dict[str, Any],
    bundle: Bundle,
    extract: Extract,
    stay: Annotated[str, typer.Option(help="stay_id of the stay to explain")],
    page: Page = None,
    target: Annotated[
        str | None, typer.Option(help="label, class or hours ahead to explain, where the bundle predicts several")
    ] = None,
    at_hours: Annotated[
        float | None, typer.Option(help="explain the prediction at this hour since the index time")
    ] = None,
    require_signature: RequireSignature = None,
    identify: Identify = False,
    accept_differences: AcceptDifferences = False,
    device: Device = "auto",
) -> None:
    """Explain one stay: what each measurement contributed to the risk. For a forecast: expected and observed values.

    Example: clinicalgru explain out/mine/bundle labs.csv.gz --stays stays.csv --stay 30012 --page why.html
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundle.
    bundle, extract, stay : Path, str, str
        Folder of the bundle, the extract, and the stay_id of the stay.
    page, target, at_hours, require_signature, identify, accept_differences, device : optional
        See the help of the command.

    Raises
    ------
    InputError
        If the extract does not contain exactly one such stay.
    """
    from clinicalgru import pipeline, stay_pages
    from clinicalgru.data.task.select import select
    from clinicalgru.model.estimators.on_device import on_device
    from clinicalgru.serve.bundle import load_model
    from clinicalgru.serve.score_input import read_like_training

    model = on_device(load_model(bundle, require_signature=require_signature), device)
    explained = pipeline.parse_target(model, target)
    events = read_like_training(model, extract, accept_differences=accept_differences, **reading)
    every = select(events, model.task_, include_ineligible=True)
    chosen = every.with_variables(model.variables_).with_static_variables(model.static_variables_)[every.stay == stay]
    if len(chosen) != 1:
        raise InputError("one stay of that stay_id", f"{len(chosen)} stays", "Check --stay against the extract.")
    explanation = stay_pages.explain_stay(model, chosen, target=explained, at_hours=at_hours, show_id=identify)
    typer.echo(explanation)
    if page is not None:
        changes = stay_pages.moved(model, chosen, target=explained, at_hours=at_hours)
        stay_pages.write_explanation(explanation, page, changes=changes)


MODELS = (
    train,
    pretrain,
    compare,
    incidence,
    leaks,
    report,
    validate,
    drift,
    export,
    sign,
)
for commands in (*MODELS, score, watch, dictionary):
    commands.register(app)
dashboard.register(app)


def main(arguments: list[str] | None = None) -> Any:
    """Run a command and end the process; an error gives one message on standard error and its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments. None: those of the process.
    """
    log_to_standard_error()
    warnings.formatwarning = lambda message, *_: f"WARNING: {as_options(str(message))}\n"  # without lines of code
    is_first = os.environ.get("RANK", "0") == "0"  # of the processes of torchrun, of which one speaks
    try:
        with nullcontext() if is_first else redirect_stdout(io.StringIO()):
            app(standalone_mode=True, **with_config(app, arguments))
    except ClinicalGRUError as error:
        _end_with(error, speaks=is_first)
    except OSError as error:  # of a place that no reader and no writer has named, such as the standard output
        _end_with(system_error(error, Path(error.filename or "a file").name), speaks=is_first)


def _end_with(error: ClinicalGRUError, *, speaks: bool) -> NoReturn:
    """End the process with the message of an error."""
    if speaks:
        typer.echo(as_options(str(error)), err=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
