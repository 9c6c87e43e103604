"""Options of a command from a YAML file, --config run.yaml; those of the command line go before."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from clinicalgru.data.dictionary.safe_yaml import load_yaml
from clinicalgru.errors import InputError

OPTION = "--config"


def with_config(app: typer.Typer, arguments: Sequence[str] | None) -> dict[str, Any]:
    """Take --config out of the arguments, and give what its file says as defaults of the command.

    Parameters
    ----------
    app : Typer
        The application.
    arguments : sequence of str or None
        Arguments of the command line. None: those of the process.

    Returns
    -------
    dict
        args, the other arguments; default_map, options and arguments of the command by its name.

    Raises
    ------
    InputError
        If the file cannot be read, or names what the command does not have.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    at = next((n for n, one in enumerate(given) if one == OPTION or one.startswith(f"{OPTION}=")), None)
    if at is None:
        return {"args": given}
    _, equals, path = given[at].partition("=")
    if not equals:
        if at + 1 == len(given):
            raise InputError("--config FILE", "no file", "Name a YAML file.")
        path = given[at + 1]
    rest = given[:at] + given[at + (1 if equals else 2) :]
    command: Any = typer.main.get_command(app)
    name = next((one for one in rest if one in command.commands), None)
    if name is None:
        raise InputError("a command", "none", "Write: clinicalgru COMMAND --config FILE.")
    content = load_yaml(Path(path), error=InputError)
    if not isinstance(content, dict):
        raise InputError("options by name", "other YAML", "Write lines such as out: scores.", where=Path(path).name)
    known = {form.lstrip("-").replace("-", "_"): one for one in command.commands[name].params for form in one.opts}
    defaults, unknown = {}, []
    for key, value in content.items():
        parameter = known.get(str(key).replace("-", "_"))
        if parameter is None:
            unknown.append(str(key))
        else:
            defaults[parameter.name] = _texts(value)
    if unknown:
        got = f"{', '.join(unknown)[:200]}"
        raise InputError(f"options of {name}", got, f"See clinicalgru {name} --help.", where=Path(path).name)
    return {"args": rest, "default_map": {name: defaults}}


def _texts(value: Any) -> Any:
    """Values as the command line would give them: text, or a list of texts; true and false as they are."""
    if isinstance(value, list):
        return [str(one) for one in value]
    return value if isinstance(value, bool) or value is None else str(value)
