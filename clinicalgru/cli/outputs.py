"""Files that commands write: never over what they read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clinicalgru.atomic_write import BUNDLE_FILES
from clinicalgru.errors import ArgumentError

OUTPUTS = ("page", "markdown", "out", "recalibrate", "draft", "log")  # options that name what a command writes


def check_outputs(given: Mapping[str, Any], tables: Sequence[Any] = ()) -> None:
    """Raise where a file to write is one that is read, or lies in a bundle.

    Parameters
    ----------
    given : mapping of str to object
        Options of a command by name; those of `OUTPUTS` are written, all others may be read.
    tables : sequence of object
        Further files that are read.

    Raises
    ------
    ArgumentError
        If one is; also where it is a link to it, or another name of the same file.
    """
    outputs = {name: Path(given[name]) for name in OUTPUTS if isinstance(given.get(name), str | Path)}
    named = [*(value for name, value in given.items() if name not in OUTPUTS), *tables]
    flat = [one for value in named for one in (value if isinstance(value, list | tuple) else [value])]
    inputs = (existing(one) for one in flat if isinstance(one, str | Path) and one != "")
    read = [one for one in inputs if one is not None]
    for name, output in outputs.items():
        target = existing(output)
        places = [output.absolute(), *([] if target is None else [target])]
        folders = (existing(one) for place in places for one in (place, *place.parents))
        is_bundle = any(one is not None and all(os.path.isfile(one / name) for name in BUNDLE_FILES) for one in folders)
        is_read = target is not None and os.path.isfile(target) and any(target.samefile(one) for one in read)
        if is_bundle or is_read:
            got = "a file that is read, or a place in a bundle"
            raise ArgumentError(f"--{name} besides the extract", got, "Choose another name.")


def existing(path: str | Path) -> Path | None:
    """Give a file or folder without links.

    Parameters
    ----------
    path : str or Path
        Any text.

    Returns
    -------
    Path or None
        None where there is none of that name, or there can be none.
    """
    try:
        return Path(path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None
