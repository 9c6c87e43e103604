"""The folder of shipped YAML files, and suggestions for unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from clinicalgru.errors import DictionaryError


def schema_folder() -> Path:
    """Find the folder of the dictionary, schemas and tasks: in the package when installed, next to it in a checkout.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DictionaryError
        If the package is incomplete.

    Examples
    --------
    >>> (schema_folder() / "variables.yaml").exists()
    True
    """
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "data_schemas", package.parent / "data_schemas"):
        if (folder / "variables.yaml").is_file():
            return folder
    raise DictionaryError("the folder data_schemas", "no such folder in the package", "Install the package again.")


def nearest(text: str, known: Iterable[str]) -> str:
    """Suggest the most similar known name.

    Parameters
    ----------
    text : str
        An unknown name.
    known : iterable of str
        Known names.

    Returns
    -------
    str
        A sentence; empty where no name is similar.

    Examples
    --------
    >>> nearest("heart_rat", ["heart_rate", "height"])
    'Did you mean heart_rate? '
    """
    folded = {name.casefold(): name for name in known}
    matches = difflib.get_close_matches(text.casefold(), folded, n=1)
    return f"Did you mean {folded[matches[0]]}? " if matches else ""
