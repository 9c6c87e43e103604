"""Commands about names: the variables, the tasks, and a draft that maps the names of an extract."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from clinicalgru.atomic_write import atomic_write
from clinicalgru.cli import cohort
from clinicalgru.cli.options import AsJson, Extract, reading_command
from clinicalgru.errors import InputError, system_errors

HEADER = """\
# Your name: variable of clinicalgru (`clinicalgru variables` lists them). Check each line.
# Then read with --names {file}, or read_events(..., names="{file}").
"""


def register(app: typer.Typer) -> None:
    """Add the commands to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    cohort.register(app)
    app.command()(variables)
    app.command()(tasks)
    reading_command(app, without=("outcomes", "outcomes_columns"))(map_)


def variables(
    word: Annotated[str, typer.Argument(help="part of a name, label or code")] = "", as_json: AsJson = False
) -> None:
    """List the variables of the dictionary: name, unit, label and LOINC codes.

    Example: clinicalgru variables lactate
    \f
    Parameters
    ----------
    word : str
        Part of a name, label or code of any source; empty: all variables.
    as_json : bool
        Whether JSON is printed.
    """
    from clinicalgru.data.dictionary.dictionary import Dictionary

    wanted, found = word.casefold(), list[dict[str, Any]]()
    for variable in Dictionary.load().values():
        codes = [code for codes in variable.source_codes.values() for code in codes]
        if any(wanted in text.casefold() for text in (variable.name, variable.label, *codes)):
            loinc = list(variable.source_codes.get("loinc", ()))
            found.append({"name": variable.name, "unit": variable.unit, "label": variable.label, "loinc": loinc})
    if not found:
        got = f"{word!r}, which none has"
        fix = "Use a shorter word; without a word all are listed."
        raise InputError("a part of the name, label or code of a variable", got, fix, where="variables")
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    rows = [(one["name"], one["unit"] or "", one["label"], " ".join(one["loinc"])) for one in found]
    _print_columns(("NAME", "UNIT", "LABEL", "LOINC"), rows)


def tasks(as_json: AsJson = False) -> None:
    """List the shipped tasks: name, type and title.

    Example: clinicalgru tasks
    \f
    Parameters
    ----------
    as_json : bool
        Whether JSON is printed.
    """
    from clinicalgru.data.task.task import Task

    shipped = [Task.load(name) for name in Task.shipped()]
    rows = [{"name": task.name, "task_type": task.task_type, "title": task.title} for task in shipped]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    _print_columns(("NAME", "TYPE", "TITLE"), [tuple(row.values()) for row in rows])


def _print_columns(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows of text below their head, each column as wide as its longest text."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _values_text(row: Mapping[Any, Any]) -> str:
    """The units of a name, and the range of its values."""
    units = f" in {row['units']}" if row["units"] else ""
    return units if row["low"] != row["low"] else f"{units}, {row['low']:g} to {row['high']:g}"


def _without_outcomes(reading: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that rows and stays are read by; outcomes of a reading file may be of other stays, or absent."""
    columns = {table: names for table, names in reading.get("columns", {}).items() if table != "outcomes"}
    rest = {name: value for name, value in reading.items() if name not in ("outcomes", "outcomes_columns")}
    return rest | {"columns": columns, "max_rejected": 1.0}


def map_(
    reading: dict[str, Any],
    extract: Extract,
    draft: Annotated[Path, typer.Option(help="YAML file to write")] = Path("names.yaml"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the file")] = False,
) -> None:
    """Draft a file that maps the names of an extract which the dictionary does not know, with suggestions to check.

    Example: clinicalgru map labs.csv --draft names.yaml
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read: arguments of `clinicalgru.data.read_events.read_events`.
    extract : str
        The extract.
    draft : Path
        The file.
    overwrite : bool
        Whether an existing file is replaced.
    """
    from clinicalgru.data.dictionary.unmapped import unmapped
    from clinicalgru.data.read_events import read_events

    with system_errors(draft.name):
        is_there = draft.exists()
    if is_there and not overwrite:
        raise InputError("a new file", "a file that exists", "Use --overwrite, or another name.", where=draft.name)
    if isinstance(reading.get("names"), str | Path) and not Path(reading["names"]).exists():
        reading = {name: value for name, value in reading.items() if name != "names"}  # the file to be drafted
    found = unmapped(read_events(extract, **_without_outcomes(reading)))
    lines = []
    for row in found.to_dict("records"):
        pair = yaml.safe_dump({row["code"]: row["suggestion"] or "?"}, allow_unicode=True, width=10_000).strip()
        label = f", {row['label']}" if row["label"] else ""
        rows = f"{row['rows']:,} row{'' if row['rows'] == 1 else 's'}"
        comment = " ".join(f"{rows}{_values_text(row)}{label}".split())
        lines.append(f"{'' if row['suggestion'] else '# '}{pair}  # {comment}")
    with atomic_write(draft) as file:
        file.write_text(HEADER.format(file=draft.name) + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    suggested = int((found["suggestion"] != "").sum())
    typer.echo(f"{draft}: {len(found)} names without a variable, {suggested} with a suggestion to check")
