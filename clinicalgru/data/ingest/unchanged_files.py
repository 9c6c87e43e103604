"""Files of an extract that must stay as they are while they are read, as they are read more than once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clinicalgru.data.ingest.database import is_address
from clinicalgru.errors import ClinicalGRUError, InputError

State = tuple[int, int, int, int]


@contextmanager
def unchanged_files(*inputs: Any) -> Iterator[None]:
    """Raise where a file was replaced, appended to or cut off while a block read it.

    Parameters
    ----------
    *inputs : object
        Paths of files and folders, and lists of them; tables in memory and addresses are passed over.

    Yields
    ------
    None
        Nothing; the block reads.

    Raises
    ------
    InputError
        If size, time of the last change or place on the disk of a file is another than at the start. Files that are
        added to a folder in the meantime are no error.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "labs.csv"
    ...     _ = path.write_text("patient_id,time")
    ...     with unchanged_files(path):
    ...         path.read_text()
    'patient_id,time'
    """
    before = {file: _state(file) for file in _files(inputs)}
    try:
        yield
    except ClinicalGRUError:
        _check(before)
        raise
    _check(before)


def _check(before: dict[Path, State | None]) -> None:
    for file, state in before.items():
        if _state(file) != state:
            fix = "Wait until it is written, or write it under another name and rename it when complete; read it again."
            raise InputError("files that stay as they are while read", "one that has changed", fix, where=file.name)


def _state(file: Path) -> State | None:
    """Size, time of the last change, and place on the disk; None for a file that cannot be found."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino


def _files(inputs: Iterable[Any]) -> Iterator[Path]:
    for one in inputs:
        if isinstance(one, list | tuple):
            yield from _files(one)
        elif isinstance(one, str | os.PathLike) and not is_address(one):
            if os.path.isfile(one):  # unlike Path.is_file, false where a folder is closed to us
                yield Path(one)
            elif os.path.isdir(one):
                yield from (Path(folder, name) for folder, _, names in os.walk(Path(one)) for name in names)
