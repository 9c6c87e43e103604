"""The command line: each command is a few calls of the library; exit 0, or 2 with one clear message on bad input."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import typer

from clinicalgru.disclosure import SMALLEST_CELL, nested, said, suppress
from clinicalgru.errors import ClinicalGRUError, InputError

if TYPE_CHECKING:
    from clinicalgru.data.events import Events

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Risks from irregular, incomplete patient records.",
)

Extract = Annotated[Path, typer.Argument(help="CSV, CSV.gz, Parquet, a folder of them, or an archive of the source")]
Bundle = Annotated[Path, typer.Argument(help="folder of a bundle")]
Needed = Annotated[Path, typer.Option(help="table of outcomes by stay_id")]
Source = Annotated[
    str, typer.Option(help="long, wide, yaib, physionet2012, physionet2019, mimic-iv, meds, omop, fhir, sql")
]
Stays = Annotated[Path | None, typer.Option(help="table of stays: start, end, static descriptors")]
Outcomes = Annotated[Path | None, typer.Option(help="table of outcomes by stay_id")]
Variables = Annotated[Path | None, typer.Option(help="your own variables.yaml over the shipped one")]
TaskName = Annotated[str, typer.Option(help="name of a shipped task, or a YAML file")]
Rejected = Annotated[float, typer.Option(help="largest part of rows that may be rejected")]
Seed = Annotated[int, typer.Option(help="same seed, same bits")]
Page = Annotated[Path | None, typer.Option(help="write one offline HTML page here")]
Exact = Annotated[bool, typer.Option("--exact", help="show counts of 1 to 10 too, which may tell of somebody")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress")]


@app.command()
def demo(
    source: Annotated[str, typer.Option(help="simulated, or physionet2012 (with --data)")] = "simulated",
    data: Annotated[Path | None, typer.Option(help="folder with set-a, set-b and their Outcomes files")] = None,
    out: Annotated[Path, typer.Option(help="folder for pages, bundle and scores")] = Path("out/demo"),
    stays: Annotated[int, typer.Option(help="simulated stays", min=200)] = 2500,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """The whole line: read, train, judge against boosted trees, explain one patient, score a cohort.

    Example: clinicalgru demo --source physionet2012 --data physionet2012 --out out/p12
    """
    from clinicalgru import workflow

    if source == "simulated":
        parts = workflow.simulated_parts(stays, seed, typer.echo)
    elif source == "physionet2012" and data is not None:
        parts = workflow.physionet2012_parts(data, typer.echo)
    else:
        came = f"--source {source}" + ("" if data is not None else " without --data")
        raise InputError("--source simulated, or physionet2012 with --data", came, "Pass both.")
    began = time.monotonic()
    model = workflow.fit(parts, seed=seed, progress=not quiet)
    typer.echo(f"\ntrained in {time.monotonic() - began:.0f} s, {len(model.history_)} epochs\n")
    evaluation = workflow.judge(model, parts, seed=seed)
    typer.echo(evaluation)
    _list(workflow.write_all(model, evaluation, parts, out), simulated=parts.test.simulated)


@app.command()
def check(
    extract: Extract,
    source: Source = "long",
    stays: Stays = None,
    outcomes: Outcomes = None,
    variables: Variables = None,
    max_rejected: Rejected = 0.1,
    exact: Exact = False,
    as_json: AsJson = False,
) -> None:
    """Read an extract and print its ledger: rows in = used + merged + rejected, by reason. Small counts are withheld.

    Example: clinicalgru check labs.csv.gz --stays stays.csv
    """
    from clinicalgru.data.sources.read import read_events

    events = read_events(
        extract, source=source, stays=stays, outcomes=outcomes, variables=variables, max_rejected=max_rejected
    )
    if as_json:
        ledger = events.ledger.withheld(smallest_cell=_smallest(exact))
        typer.echo(json.dumps({"ledger": ledger, "variables": _counts(events, exact)}, indent=1))
    else:
        typer.echo(events.ledger.as_text(smallest_cell=_smallest(exact)))
        typer.echo(f"\n{'variable':<40}{'measurements':>14}{'stays':>12}")
        for row in _counts(events, exact):
            typer.echo(f"{row['variable']:<40}{said(row['measurements']):>14}{said(row['stays']):>12}")


@app.command()
def audit(
    extract: Extract,
    source: Source = "long",
    stays: Stays = None,
    outcomes: Outcomes = None,
    variables: Variables = None,
    by: Annotated[str | None, typer.Option(help="column of the stays that says their site")] = None,
    page: Page = None,
    max_rejected: Rejected = 0.1,
    exact: Exact = False,
    as_json: AsJson = False,
) -> None:
    """What looks wrong in an extract: conformance, completeness, plausibility, units, times; nothing is changed.

    Example: clinicalgru audit labs.csv.gz --stays stays.csv --page audit.html
    """
    from clinicalgru.data.audit.run import audit as look
    from clinicalgru.data.sources.read import read_events

    events = read_events(
        extract, source=source, stays=stays, outcomes=outcomes, variables=variables, max_rejected=max_rejected
    )
    found = look(events, by=by)
    least = _smallest(exact)
    shown = json.dumps(found.to_dict(smallest_cell=least), indent=1) if as_json else found.as_text(smallest_cell=least)
    typer.echo(shown)
    if page is not None:
        from clinicalgru.view.audit_page import audit_page

        audit_page(found, page, smallest_cell=least)


@app.command()
def train(
    extract: Extract,
    outcomes: Needed,
    out: Annotated[Path, typer.Option(help="folder for pages, bundle and scores")],
    source: Source = "long",
    stays: Stays = None,
    variables: Variables = None,
    task: TaskName = "in_hospital_mortality",
    max_rejected: Rejected = 0.1,
    seed: Seed = 0,
    exact: Exact = False,
    quiet: Quiet = False,
) -> None:
    """Train on three quarters of the patients, judge on the others next to boosted trees, save bundle and pages.

    Example: clinicalgru train labs.csv.gz --stays stays.csv --outcomes outcomes.csv --out out/mine
    """
    from clinicalgru import workflow

    events = workflow.read_events(
        extract, source=source, stays=stays, outcomes=outcomes, variables=variables, max_rejected=max_rejected
    )
    typer.echo(workflow.told(events, smallest_cell=_smallest(exact)))
    parts = workflow.split_parts(events, workflow.Task.load(task), seed)
    model = workflow.fit(parts, seed=seed, progress=not quiet)
    evaluation = workflow.judge(model, parts, seed=seed)
    typer.echo(evaluation)
    _list(workflow.write_all(model, evaluation, parts, out), simulated=parts.test.simulated)


@app.command()
def evaluate(
    bundle: Bundle,
    extract: Extract,
    outcomes: Needed,
    page: Page = None,
    source: Source = "long",
    stays: Stays = None,
    variables: Variables = None,
    max_rejected: Rejected = 0.1,
    as_json: AsJson = False,
) -> None:
    """Judge a bundle on an extract with outcomes, such as the patients of another hospital.

    Example: clinicalgru evaluate out/mine/bundle other.csv.gz --outcomes other-outcomes.csv --page other.html
    """
    from clinicalgru import workflow
    from clinicalgru.serve.bundle import load

    model = load(bundle)
    workflow.check_binary(model.task_)
    reading = {"source": source, "stays": stays, "outcomes": outcomes, "max_rejected": max_rejected}
    events, sequences = workflow.read_for(model, extract, variables=variables, **reading)
    risk = model.predict_proba(sequences)[:, 1]
    evaluation = workflow.evaluate(sequences.outcome, risk, patients=sequences.patient)
    typer.echo(json.dumps(evaluation.to_dict()) if as_json else evaluation)
    if page is not None:
        workflow.write_evaluation(model, evaluation, sequences, events, page)


@app.command()
def explain(
    bundle: Bundle,
    extract: Extract,
    stay: Annotated[str, typer.Option(help="stay_id of the stay to explain")],
    page: Page = None,
    source: Source = "long",
    stays: Stays = None,
    variables: Variables = None,
    max_rejected: Rejected = 0.1,
) -> None:
    """Why one stay's risk is what it is: what each measurement contributed.

    Example: clinicalgru explain out/mine/bundle labs.csv.gz --stay 30012 --page why.html
    """
    from clinicalgru import workflow
    from clinicalgru.serve.bundle import load

    model = load(bundle)
    events = workflow.read_events(
        extract,
        source=source,
        stays=stays,
        variables=workflow.model_dictionary(model, variables),
        max_rejected=max_rejected,
    )
    every = workflow.select(events, model.task_, every_stay=True)
    chosen = every.with_variables(model.variables_).with_statics(model.statics_)[every.stay == stay]
    if len(chosen) != 1:
        raise InputError("one stay of that stay_id", f"{len(chosen)}", "Check --stay against the extract.")
    why = workflow.explain(model, chosen)
    typer.echo(why)
    if page is not None:
        workflow.patient_page(why, page)


@app.command()
def score(
    bundle: Bundle,
    extract: Extract,
    out: Annotated[Path, typer.Option(help="folder (gets scores.parquet) or .parquet file")],
    source: Source = "long",
    stays: Stays = None,
    variables: Variables = None,
    max_rejected: Rejected = 0.1,
    every_hour: Annotated[bool, typer.Option(help="of an early warning: one row for each stay and hour")] = False,
    exact: Exact = False,
    as_json: AsJson = False,
) -> None:
    """Risk of every stay of an extract, one row each, as Parquet; outcomes are not needed.

    Example: clinicalgru score out/mine/bundle tonight.parquet --out scores
    """
    from clinicalgru.serve import score as scoring

    reading: dict[str, Any] = {"source": source, "stays": stays, "variables": variables, "max_rejected": max_rejected}
    table = scoring.score(bundle, extract, out=out, every_hour=every_hour, **reading)
    counts = _withheld(table["status"].value_counts(), exact)
    lines = [f"{status:<12}{said(count):>9}" for status, count in counts.items()]
    typer.echo(json.dumps(counts) if as_json else "\n".join(lines))


def _smallest(exact: bool) -> int:
    return 0 if exact else SMALLEST_CELL


def _withheld(counts: pd.Series, exact: bool) -> dict[str, int | None]:
    """Counts by name; None = withheld."""
    shown = pd.Series(suppress(counts, smallest=_smallest(exact)))[: len(counts)]  # a total at the end
    return {str(name): None if pd.isna(count) else int(count) for name, count in shown.items()}


def _counts(events: Events, exact: bool) -> list[dict[str, Any]]:
    """Measurements and stays of each variable; None = withheld."""
    table, least = events.counts().set_index("variable"), _smallest(exact)
    measurements = _withheld(table["measurements"], exact)
    stays = {name: nested([len(events.stays), count], smallest=least)[1] for name, count in table["stays"].items()}
    return [{"variable": name, "measurements": measurements[name], "stays": stays[name]} for name in measurements]


def _list(paths: dict[str, Path], *, simulated: bool) -> None:
    typer.echo("\nSIMULATED PATIENTS, not real ones" if simulated else "")
    for name, path in paths.items():
        typer.echo(f"{name:<18}{path}")


def main(arguments: list[str] | None = None) -> Any:
    """Run a command; what is wrong with the input is one message on standard error, with exit code 2."""
    try:
        app(arguments, standalone_mode=True)
    except ClinicalGRUError as error:
        typer.echo(f"{error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
