"""Options that several commands share, and how those of `read_events` reach it."""

from __future__ import annotations

import inspect
import json
import logging
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, get_type_hints

import typer

from clinicalgru.atomic_write import atomic_write
from clinicalgru.cli.outputs import check_outputs
from clinicalgru.cli.progress import waiting
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import InputError

if TYPE_CHECKING:
    from clinicalgru.data.task.task import Task

Extract = Annotated[
    str, typer.Argument(help="CSV, Parquet, a folder of them, an archive of the source, or the address of a database")
]
Bundle = Annotated[Path, typer.Argument(help="folder of a bundle")]
TaskName = Annotated[str, typer.Option(help="name of a shipped task, or a YAML file")]
Seed = Annotated[int, typer.Option(help="seed; the same seed gives the same results")]
Page = Annotated[Path | None, typer.Option(help="write one offline HTML page here")]
Exact = Annotated[bool, typer.Option("--exact", help="show counts of 1 to 10 too, which can identify patients")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Device = Annotated[str, typer.Option(help="where networks compute: auto (cuda where there is one), cpu, cuda or mps")]
Identify = Annotated[bool, typer.Option("--identify", help="show the identifiers of stay and patient, and dates")]
Quiet = Annotated[bool, typer.Option("--quiet", help="hide the progress bar")]
AcceptDifferences = Annotated[
    bool, typer.Option("--accept-differences", help="go on without ends of stays or static variables that training had")
]
RequireSignature = Annotated[
    Path | None, typer.Option(help="refuse a bundle that is not signed by this Ed25519 public key (PEM); exit 8")
]

OUTCOMES_NEEDED = ("long", "wide", "yaib", "sql", "physionet2012")  # sources that contain none
PAIRS = "ours=theirs; repeatable"


def _text(help_text: str, *names: str) -> Any:
    return Annotated[str | None, typer.Option(*names, help=help_text)]


def _texts(help_text: str, *names: str) -> Any:
    return Annotated[list[str] | None, typer.Option(*names, help=help_text)]


def _number(help_text: str) -> Any:
    return Annotated[float | None, typer.Option(help=help_text)]


READING_OPTIONS: dict[str, Any] = {
    "reading": _text("YAML file with any of the options below, as read_events takes them"),
    "source": _text(
        "long (default), wide, yaib, sql, physionet2012, physionet2019, mimic-iv, eicu, clif, meds, omop or fhir"
    ),
    "stays": _text("table of stays: start, end, static covariates"),
    "outcomes": _text("table of outcomes by stay_id"),
    "variables": _text("your own variables.yaml, merged over the shipped one"),
    "names": _text("YAML or CSV file of your names of variables, as `map` drafts it"),
    "vocabulary": _texts("code system whose codes are names too, such as loinc; repeatable"),
    "columns": _texts(f"{PAIRS}; or table:ours=theirs, with data, stays or outcomes as table", "--columns", "--column"),
    "outcomes_columns": _texts("column of outcomes that is an outcome; repeatable", "--outcomes-columns"),
    "group_columns": _texts("column of stays that is a label, such as site; repeatable", "--group-columns"),
    "missing": _texts('value that means "not measured", or variable=value; repeatable'),
    "time_unit": _text("unit of numeric times: milliseconds, seconds, minutes, hours (default) or days"),
    "time_format": _text("strptime format of times that are not ISO 8601"),
    "timezone": _text("IANA time zone of times without an offset"),
    "units": _texts("variable=unit, where the extract writes none; repeatable"),
    "row_filter": _texts("column=value of the rows to use, such as STATUS=final; repeatable; STATUS= is a blank cell"),
    "data_tables": _text("YAML list of the tables of a folder: data (file), source, columns, units, time_format, ..."),
    "detection_limits": _text('what becomes of a value such as "<0.2": reject (default), bound or half'),
    "units_in_values": Annotated[
        bool | None, typer.Option("--units-in-values", help="a unit may stand behind the number, such as 38.1 °C")
    ],
    "flags_in_values": Annotated[
        bool | None, typer.Option("--flags-in-values", help='a flag may stand at the number, such as "5.4 H" or 1.2*')
    ],
    "delimiter": _text("delimiter of text tables"),
    "encoding": _text("encoding of text tables, such as windows-1252 (default utf-8)"),
    "decimal": _text("mark of decimals in text: . (default) or ,"),
    "anchor": _text("what a stay is: icu, hospital, visit or stay"),
    "event_codes": _texts("event=code of admission, discharge or death in meds; repeatable", "--event-codes"),
    "query": _text("one SELECT that returns the long columns, for source sql"),
    "max_rejected": _number("largest fraction of rows that may be rejected (default 0.1)"),
    "allow": _texts('variable that may lose any number of its values, or "all"; repeatable'),
    "memory_gb": _number("memory limit in GB (default 2)"),
}


def reading_command(
    app: typer.Typer, *, without: tuple[str, ...] = (), shows_progress: bool = False
) -> Callable[[Callable[..., None]], Any]:
    """Register a command whose argument `reading` becomes the options of `read_events`.

    Parameters
    ----------
    app : Typer
        The application.
    without : tuple of str
        Options that the command does not have.
    shows_progress : bool
        Whether the command itself shows what it is doing; else a line does on a terminal, see `waiting`.

    Returns
    -------
    callable
        Decorator; it returns the function as it is.
    """

    def register(command: Callable[..., None]) -> Callable[..., None]:
        options = {name: kind for name, kind in READING_OPTIONS.items() if name not in without}
        hints = get_type_hints(command, include_extras=True)
        own = [p for name, p in inspect.signature(command).parameters.items() if name != "reading"]
        parameters = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own]
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in options.items()
        ]

        def run(**given: Any) -> None:
            read = {name: given.pop(name) for name in options}
            reading = parse_reading(read)
            check_outputs(given, [*read.values(), *reading.values()])
            with nullcontext() if shows_progress else waiting(command.__name__.strip("_").replace("_", " ")):
                command(**given, reading=reading)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        app.command(name=command.__name__.rstrip("_").replace("_", "-"))(run)  # `map_` is "map"
        return command

    return register


def parse_reading(given: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of `read_events` from options: those of the YAML file, and over them the options themselves.

    Parameters
    ----------
    given : dict of str to object
        Values of `READING_OPTIONS`; None where an option was not given.

    Returns
    -------
    dict
        Arguments of `read_events`.

    Raises
    ------
    InputError
        If an option has another form, or the YAML file cannot be read.

    Examples
    --------
    >>> from clinicalgru.cli.options import parse_reading
    >>> parse_reading({"columns": ["patient_id=MRN", "stays:start=admitted"], "missing": ["glucose=999"]})
    {'columns': {'patient_id': 'MRN', 'stays': {'start': 'admitted'}}, 'missing': {'glucose': ['999']}}
    """
    given = {name: value for name, value in given.items() if value is not None and value != []}
    path = given.pop("reading", None)
    if "columns" in given:
        given["columns"] = _columns(given["columns"])
    if "units" in given:
        given["units"] = dict(_pairs("--units", given["units"], "glucose=mmol/L"))
    if "row_filter" in given:
        given["row_filter"] = _row_filter(given["row_filter"])
    if "missing" in given:
        given["missing"] = _missing(given["missing"])
    if "event_codes" in given:
        given["event_codes"] = _event_codes(given["event_codes"])
    if path is None:
        return given
    from clinicalgru.data.reading import load_reading

    return load_reading(path) | given


def parse_settings(texts: list[str]) -> dict[str, Any]:
    """Return parameters of an estimator from texts.

    Parameters
    ----------
    texts : list of str
        Each parameter=value; the value as YAML has it: a number, true, false, null or text.

    Returns
    -------
    dict of str to object
        Value by name.

    Raises
    ------
    InputError
        If a text has another form.

    Examples
    --------
    >>> from clinicalgru.cli.options import parse_settings
    >>> parse_settings(["max_epochs=30", "network__cell=lstm"])
    {'max_epochs': 30, 'network__cell': 'lstm'}
    """
    import yaml

    try:
        return {name: yaml.safe_load(value) for name, value in _pairs("--set", texts, "max_epochs=30")}
    except yaml.YAMLError:
        raise InputError("--set parameter=value", "another value", "Write --set max_epochs=30.") from None


def _event_codes(texts: list[str]) -> dict[str, list[str]]:
    """The codes of each event."""
    codes: dict[str, list[str]] = {}
    for event, code in _pairs("--event-codes", texts, "death=MEDS_DEATH"):
        codes.setdefault(event, []).append(code)
    return codes


def _row_filter(texts: list[str]) -> dict[str, list[str]]:
    """The values of each column."""
    values: dict[str, list[str]] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        if not (column and equals):
            raise InputError("--row-filter column=value", "another form", "Write --row-filter STATUS=final.")
        values.setdefault(column, []).append(value)
    return values


def _pairs(option: str, texts: list[str], example: str) -> list[tuple[str, str]]:
    """Pairs on both sides of the first =."""
    pairs = [text.partition("=") for text in texts]
    malformed = sum(not (ours and theirs) for ours, _, theirs in pairs)
    if malformed:
        got = f"{malformed} of {len(pairs)} {option} without a name on both sides of ="
        raise InputError(f"{option} ours=theirs", got, f"Write {option} {example}.")
    return [(ours, theirs) for ours, _, theirs in pairs]


def _columns(texts: list[str]) -> dict[str, Any]:
    """Columns of all tables, and of a table that is named before a colon."""
    columns: dict[str, Any] = {}
    for ours, theirs in _pairs("--columns", texts, "patient_id=id"):
        table, colon, name = ours.partition(":")
        if colon:
            columns.setdefault(table, {})[name] = theirs
        else:
            columns[ours] = theirs
    return columns


def _missing(texts: list[str]) -> list[str] | dict[str, list[str]]:
    """Values of all variables, or of those that are named before =."""
    by_name: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if (not equals and by_name) or (equals and len(by_name) == 0 and text is not texts[0]):
            fix = "Write --missing 999, or --missing glucose=999, not both."
            raise InputError("--missing of one form", "values with and without a variable", fix)
        if equals:
            by_name.setdefault(name, []).append(value)
    return by_name or texts


def check_outcomes(reading: dict[str, Any], task: Task, extract: str | None = None) -> None:
    """Raise where a file does not exist, or a task needs outcomes that nothing gives; nothing is read yet.

    Parameters
    ----------
    reading : dict
        Arguments of `read_events`.
    task : Task
        The task.
    extract : str, optional
        Path of the extract, or the address of a database.

    Raises
    ------
    InputError
        If a file or the outcomes are missing.
    """
    files = {"the extract": extract, "--stays": reading.get("stays"), "--outcomes": reading.get("outcomes")}
    for name, file in files.items():
        if isinstance(file, str) and "://" not in file and not Path(file).exists():
            got = f"no such path: {Path(file).name}"
            raise InputError("an existing file or folder", got, "Check the path.", where=name)
    source = reading.get("source", "long")
    if reading.get("outcomes") is None and task.outcome and source in OUTCOMES_NEEDED:
        raise InputError(f"--outcomes with an extract of source {source}", "no --outcomes", "Pass a table by stay_id.")


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


def min_cell_size(exact: bool) -> int:
    """Give the smallest count that is shown.

    Parameters
    ----------
    exact : bool
        Whether counts of 1 to 10 are shown too.

    Returns
    -------
    int
        0, or the limit of small-cell suppression.
    """
    return 0 if exact else MIN_CELL_SIZE


class _StandardErrorHandler(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at that moment, such as above a line of progress."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def log_to_standard_error() -> None:
    """Show what the package logs on standard error, each line with its level."""
    log = logging.getLogger("clinicalgru")
    handler = _StandardErrorHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    log.handlers[:] = [handler]  # of one command: those of an earlier one write elsewhere
    log.setLevel(logging.INFO)


def show_result(
    result: Any, *, as_json: bool, page: Path | None = None, markdown: Path | None = None, exit_code: int = 0
) -> None:
    """Print a result, write its page and Markdown, and end with its exit code.

    Parameters
    ----------
    result : object
        A result with `to_dict`, and `to_html` and `to_markdown` where these are requested.
    as_json : bool
        Whether JSON is printed.
    page, markdown : Path or None
        Files to write.
    exit_code : int
        That of the result; 0 goes on.

    Raises
    ------
    Exit
        With an exit code other than 0.
    """
    typer.echo(json.dumps(result.to_dict()) if as_json else result)
    if page is not None:
        result.to_html(page)
    if markdown is not None:
        with atomic_write(markdown) as draft:
            draft.write_text(result.to_markdown(), encoding="utf-8")
    if exit_code:
        raise typer.Exit(exit_code)
