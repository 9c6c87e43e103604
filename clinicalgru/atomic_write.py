"""Files that are written completely or not at all: a draft in the same folder, flushed to disk, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clinicalgru.errors import system_errors


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a draft to write to; where the block succeeds, it takes the place of the file.

    Parameters
    ----------
    path : str or path
        File to write; its folder is created.

    Yields
    ------
    Path
        An empty draft of a random name in the folder of the file. Two processes never share one.

    Raises
    ------
    InputError
        If the system refuses to write, as without permission or on a full disk. The earlier file is unchanged.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> target = Path(mkdtemp()) / "notes.txt"
    >>> with atomic_write(target) as draft:
    ...     _ = draft.write_text("whole")
    >>> target.read_text(), [file.name for file in target.parent.iterdir()]
    ('whole', ['notes.txt'])
    """
    target = Path(path)
    with system_errors(target.name):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.stem[:50]}-{secrets.token_hex(8)}.part")
        try:
            draft.touch(exist_ok=False)  # rights as the user's umask has them, and never another's file
            yield draft
            flush_to_disk(draft)
            os.replace(draft, target)
            flush_to_disk(target.parent)
        finally:
            draft.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Parameters
    ----------
    path : Path
        File or folder. A system that cannot flush a folder is left alone.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> flush_to_disk(Path(mkdtemp()))
    """
    if path.is_dir():
        with suppress(OSError):
            _flush(path, os.O_RDONLY)
    else:
        _flush(path, os.O_RDWR)


def _flush(path: Path, flags: int) -> None:
    number = os.open(path, flags)
    try:
        os.fsync(number)
    finally:
        os.close(number)
