"""Temporary folders that outlive no process for long: those of dead processes are removed at the next start."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from functools import cache
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # a system without these locks keeps the folders of dead processes
    fcntl: Any = None  # type: ignore[no-redef]

PREFIX, LOCK = "clinicalgru-", ".lock"


class TemporaryFolder:
    """A temporary folder with a lock that its process holds as long as it lives.

    The lock ends with the process, however that ends, also across containers that share a disk. The first folder of a
    process removes the folders of this user whose lock nobody holds. A folder is removed by `cleanup`, at the end of a
    `with` block, or with its object, which is no fault (`tempfile.TemporaryDirectory` warns of it).

    Attributes
    ----------
    name : str
        Path of the folder.

    Examples
    --------
    >>> from pathlib import Path
    >>> with TemporaryFolder() as name:
    ...     Path(name).name.startswith("clinicalgru-")
    True
    """

    def __init__(self) -> None:
        remove_dead_folders()
        self.name = tempfile.mkdtemp(prefix=PREFIX)
        self._remove = weakref.finalize(self, _remove, self.name, _locked(Path(self.name)))

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def cleanup(self) -> None:
        """Remove the folder."""
        self._remove()


def _remove(name: str, lock: IO[bytes] | None) -> None:
    if lock is not None:
        lock.close()
    shutil.rmtree(name, ignore_errors=True)


@cache
def remove_dead_folders() -> int:
    """Remove the temporary folders of this user whose process has ended, once in each process.

    Returns
    -------
    int
        How many were removed.
    """
    return sum(_removed(folder) for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def _locked(folder: Path) -> IO[bytes] | None:
    """The open lock of a new folder; it has its name only once it is locked, so that nobody takes it before."""
    if fcntl is None:
        return None
    draft = folder / f"{LOCK}-draft"
    lock = draft.open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.rename(folder / LOCK)
    except OSError:  # a disk without locks
        lock.close()
        draft.unlink(missing_ok=True)
        return None
    return lock


def _removed(folder: Path) -> bool:
    """Whether a folder was removed: it is ours, has a lock, and nobody holds it."""
    if fcntl is None:
        return False
    with contextlib.suppress(OSError):
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return False
        with (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            return True
    return False
