"""Messages of the library on the command line: arguments of `read_events` as the options that they are."""

from __future__ import annotations

import ast
import re
import shlex

from clinicalgru.cli.options import READING_OPTIONS

VALUE = r"""'[^']*'|"[^"]*"|\[[^\]]*\]|\{(?:[^{}]|\{[^{}]*\})*\}|True"""
ARGUMENT = re.compile(rf"(?<![\w.=(-])({'|'.join(READING_OPTIONS)})=({VALUE})?(?![\w=])")


def as_options(message: str) -> str:
    """Write the arguments of `read_events` in a message as options.

    Parameters
    ----------
    message : str
        Text of an error or a warning.

    Returns
    -------
    str
        The text, with options in place of arguments.

    Examples
    --------
    >>> from clinicalgru.cli.option_text import as_options
    >>> as_options("Pass decimal=',', flags_in_values=True, or columns={'time': 'Date + Time'}.")
    "Pass --decimal ,, --flags-in-values, or --columns 'time=Date + Time'."
    >>> as_options("Pass time_format=, or allow=['map', 'ph'].")
    'Pass --time-format, or --allow map --allow ph.'
    """
    return ARGUMENT.sub(lambda found: _option(found[1], found[2]), message)


def _option(name: str, written: str | None) -> str:
    option = f"--{name.replace('_', '-')}"
    try:
        value = None if written is None else ast.literal_eval(written)
    except (SyntaxError, ValueError):  # such as units={...}
        return option
    if value is None or value is True:
        return option
    if isinstance(value, dict):
        value = [f"{key}={text}" for key, text in _pairs(value)]
    texts = value if isinstance(value, list | tuple) else [value]
    return " ".join(f"{option} {shlex.quote(str(text))}" for text in texts if text is not Ellipsis)


def _pairs(value: dict[str, object]) -> list[tuple[str, object]]:
    """The entries of a mapping; those of a table within `columns` as table:name."""
    pairs: list[tuple[str, object]] = []
    for key, one in value.items():
        if isinstance(one, dict):
            pairs += [(f"{key}:{name}", text) for name, text in one.items()]
        else:
            pairs.append((key, one))
    return pairs
