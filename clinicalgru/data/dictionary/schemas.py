"""The folder of shipped YAML files, and suggestions for names that are not in them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from clinicalgru.errors import DictionaryError


def schema_folder() -> Path:
    """The folder of dictionary, schemas and tasks: inside the package when installed, beside it in a checkout.

    >>> (schema_folder() / "variables.yaml").exists()
    True
    """
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "data_schemas", package.parent / "data_schemas"):
        if (folder / "variables.yaml").is_file():
            return folder
    raise DictionaryError("the folder data_schemas", "none in the package or beside it", "Install the package again.")


def nearest(text: str, known: Iterable[str]) -> str:
    """A sentence that suggests the most similar known name; empty where none is similar.

    >>> nearest("heart_rat", ["heart_rate", "height"])
    'Did you mean heart_rate? '
    """
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(text.casefold(), folded, n=1)
    return f"Did you mean {folded[near[0]]}? " if near else ""
