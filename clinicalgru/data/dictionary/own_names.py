"""Names of an extract for variables of the dictionary: the argument `names` of `read_events`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru.checks import check_choice
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.safe_yaml import load_yaml
from clinicalgru.errors import ArgumentError, InputError, describe, system_errors

FIX = 'Write names={"Lactate, Arterial": "lactate"}, or the path of a YAML or CSV file.'


def own_names(names: Any, dictionary: Dictionary) -> dict[str, str]:
    """Check the argument `names`, and load it from a file.

    Parameters
    ----------
    names : mapping of str to str, path or None
        Name in the extract -> variable. A YAML file of such pairs, or a CSV file with the columns name and variable.
    dictionary : Dictionary
        Where the variables are.

    Returns
    -------
    dict of str to str
        Name in the extract -> name of the variable, or of two with a slash between.

    Raises
    ------
    ArgumentError
        If `names` is of another type.
    InputError
        If the file cannot be read, or is no list of pairs.
    DictionaryError
        If a variable is unknown; the message suggests the nearest.

    Examples
    --------
    >>> own_names({"Lactate, Arterial": "lactate"}, Dictionary.load())
    {'Lactate, Arterial': 'lactate'}
    """
    if names is None:
        return {}
    if isinstance(names, str | os.PathLike):
        names = _loaded(Path(names))
    if not isinstance(names, Mapping):
        raise ArgumentError("names as pairs or a path", describe(names), FIX)
    pairs = {str(name).strip(): variable for name, variable in names.items()}
    for variable in pairs.values():
        if not isinstance(variable, str):
            raise ArgumentError("the name of a variable for each name", describe(variable), FIX)
    return {name: _found(variable, dictionary) for name, variable in pairs.items()}


def _found(variable: str, dictionary: Dictionary) -> str:
    """The name of a variable, or of two with a slash between, for values such as 120/80."""
    parts = [part.strip() for part in variable.split("/")]
    if variable not in dictionary and len(parts) == 2 and all(part in dictionary for part in parts):
        return "/".join(parts)
    return dictionary.find(variable).name


def vocabularies_of(vocabulary: Any, dictionary: Dictionary) -> tuple[str, ...]:
    """Check the argument `vocabulary`.

    Parameters
    ----------
    vocabulary : str, list of str or None
        Sources or code systems of the dictionary.
    dictionary : Dictionary
        The dictionary.

    Returns
    -------
    tuple of str

    Raises
    ------
    ArgumentError
        If one is unknown.
    """
    given = () if vocabulary is None else (vocabulary,) if isinstance(vocabulary, str) else tuple(vocabulary)
    for one in given:
        check_choice("vocabulary", one, dictionary.vocabularies)
    return given


def _loaded(path: Path) -> Any:
    """The pairs of a YAML or CSV file."""
    if not path.is_file():
        raise InputError("a YAML or CSV file of names", "no such file", "Correct the path.", where=path.name)
    if path.suffix.casefold() in (".yaml", ".yml"):
        content = load_yaml(path, error=InputError)
        return {} if content is None else content
    try:
        with system_errors(path.name):
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        if not isinstance(table.index, pd.RangeIndex):  # more cells than names, of which pandas makes an index
            raise pd.errors.ParserError
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):  # whose messages quote rows
        fix = "Write a first row of name,variable and one pair in each row, as UTF-8."
        raise InputError("a CSV file of names", "one that cannot be parsed", fix, where=path.name) from None
    if not {"name", "variable"} <= set(table.columns):  # not shown, as without a header they would be data
        got = f"{len(table.columns):,} columns, not both of them"
        raise InputError("columns name and variable", got, "Rename the columns.", where=path.name)
    table = table[table["variable"].str.strip() != ""]
    twice = table["name"].str.strip().duplicated()
    if twice.any():
        row = int(twice[twice].index[0]) + 2
        raise InputError("each name once", "a name twice", "Remove one of them.", where=f"{path.name}, row {row}")
    return dict(zip(table["name"], table["variable"].str.strip(), strict=True))
