"""Files that are there as a whole or not at all, and that their owner alone can read."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clinicalgru.atomic_write import flush_to_disk
from clinicalgru.errors import ArgumentError


@contextlib.contextmanager
def whole_file(path: Path, *, overwrite: bool = True, scratch: Path | None = None) -> Iterator[Path]:
    """Write a file next to its place, and move it there once it is complete and on disk.

    Parameters
    ----------
    path : Path
        The file. Its folder exists.
    overwrite : bool
        Whether a file in its place is replaced; else it is never touched, even if it appears in the meantime.

    scratch : Path, optional
        Folder of the temporary file, on the same disk; that of the file where None.

    Yields
    ------
    Path
        A temporary file, to be written. It is removed if the block fails.

    Raises
    ------
    ArgumentError
        If there is a file in its place, and `overwrite` is not set.
    """
    descriptor, name = tempfile.mkstemp(dir=scratch or path.parent, prefix=f".{path.name[:50]}-", suffix=".tmp")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        flush_to_disk(temporary)
        if overwrite:
            os.replace(temporary, path)
        else:
            _move_to_free_place(temporary, path)
        flush_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _move_to_free_place(temporary: Path, path: Path) -> None:
    """A link is made only where there is no file: two writers cannot both succeed."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise already_there(path) from None
    except OSError:  # a disk without links
        if path.exists():
            raise already_there(path) from None
        os.replace(temporary, path)


def already_there(path: Path) -> ArgumentError:
    """Build the error of an output that exists.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    ArgumentError
        The error, to be raised.
    """
    fix = "Choose another out=, or pass overwrite=True (--overwrite)."
    return ArgumentError("an output that does not exist yet", "an existing one", fix, where=path.name)


def private_folder(path: Path) -> Path:
    """Make a folder, and those above it, that their owner alone can read; existing ones stay as they are.

    Parameters
    ----------
    path : Path
        The folder.

    Returns
    -------
    Path
        The folder.
    """
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    if not path.is_dir():
        path.mkdir()  # raises what the system says
    return path
