"""Files that are written completely or not at all: a draft in the same folder, flushed to disk, then renamed."""

from __future__ import annotations

import errno
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from clinicalgru.errors import InputError, system_errors

try:
    import fcntl
except ImportError:  # a system without these locks keeps the drafts of dead processes
    fcntl: Any = None  # type: ignore[no-redef]


REPLACEMENTS = 50  # tries against other processes that write the same folder
BUNDLE_FILES = ("manifest.json", "weights.safetensors")  # of every folder that `save` wrote


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, in_bundle: bool = False) -> Iterator[Path]:
    """Give a draft to write to; where the block succeeds, it takes the place of the file.

    Parameters
    ----------
    path : str or path
        File to write; its folder is created.
    in_bundle : bool
        Whether the file may lie in the folder of a bundle, as a signature does.

    Yields
    ------
    Path
        An empty draft of a random name in the folder of the file. Two processes never share one. Drafts of the same
        file that a killed process has left are removed.

    Raises
    ------
    InputError
        If the target is a device or a pipe, or lies in a bundle, or the system refuses to write, as without permission
        or on a full disk. The earlier file is unchanged.

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
        if target.exists() and not (target.is_file() or target.is_dir()):  # renaming would put a file in its place
            raise InputError("a file to write", "a device or a pipe", "Choose the name of a file.", where=target.name)
        if not in_bundle and all((target.parent / name).exists() for name in BUNDLE_FILES):
            fix = "Choose another folder: a bundle holds the files of its model alone."
            raise InputError("a file outside of a bundle", "one in the folder of a bundle", fix, where=target.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_dead_drafts(target)
        draft = target.with_name(f".{target.stem[:50]}-{secrets.token_hex(8)}.part")
        try:
            with draft.open("xb") as held:  # rights as the user's umask has them, and never another's file
                _lock(held)
                yield draft
                flush_to_disk(draft)
                os.replace(draft, target)
            flush_to_disk(target.parent)
        finally:
            draft.unlink(missing_ok=True)


def replace_folder(made: Path, target: Path, *, trash: Path) -> None:
    """Put a finished folder in the place of another, also where other processes do the same.

    Parameters
    ----------
    made : Path
        The finished folder, on the same disk.
    target : Path
        Where it is to stand; what stands there moves to `trash`.
    trash : Path
        A folder of this process on the same disk, which it removes afterwards.
    """
    for _ in range(REPLACEMENTS):
        try:
            os.replace(made, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            with suppress(FileNotFoundError):  # another process has moved it
                os.replace(target, trash / secrets.token_hex(8))
        else:
            return
    os.replace(made, target)


def holds_other_files(path: Path, own: str) -> bool:
    """Whether a path holds anything but what we would replace, also while other processes replace it.

    Parameters
    ----------
    path : Path
        A file, a folder, or neither.
    own : str
        Name of the file that is in each folder of the kind.

    Returns
    -------
    bool
        False where there is nothing, an empty folder, or one with the file.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> holds_other_files(Path(mkdtemp()), "manifest.json")
    False
    """

    def is_other() -> bool:
        try:
            names = os.listdir(path)
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            return True
        return bool(names) and own not in names

    return all(is_other() for _ in range(3))  # one that is just being removed may have lost the file


def _lock(file: IO[bytes]) -> bool:
    """Whether this process holds the lock of a file, until that is closed or the process ends."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process holds it, or the disk has no locks
        return False
    return True


def _remove_dead_drafts(target: Path) -> None:
    """Remove drafts of this file that no process writes any more."""
    for draft in target.parent.glob(f".{glob.escape(target.stem[:50])}-{'[0-9a-f]' * 16}.part"):
        with suppress(OSError), draft.open("rb") as file:
            if _lock(file):
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
