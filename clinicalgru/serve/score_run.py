"""A run of scoring that survives an end at any moment: finished shards are kept, and published all at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clinicalgru.errors import ArgumentError
from clinicalgru.serve.atomic import already_there, private_folder, whole_file
from clinicalgru.serve.target import Target

try:
    import fcntl
except ImportError:  # Windows: two runs at once are kept apart by their names only
    fcntl = None  # type: ignore[assignment]

UNFINISHED = ".unfinished"
NAMES = {"model_hash": "model", "input_hash": "extract", "as_of": "as-of time", "settings": "settings"}


def run_id(identity: Mapping[str, Any]) -> str:
    """Give the identifier of a run: the same model, input and settings have the same.

    Parameters
    ----------
    identity : mapping
        Hashes of model and input, as-of time and settings.

    Returns
    -------
    str
        16 hex digits.
    """
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def now() -> str:
    """Give this moment.

    Returns
    -------
    str
        ISO 8601, in UTC.
    """
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class ScoreRun:
    """A run that writes to a target.

    Attributes
    ----------
    folder : Path
        Its folder of finished shards, within that of the target.
    target : Target
        What is written in the end.
    identity : dict
        Hashes of model and input, as-of time and settings.
    started : str
        When the run began, as ISO 8601; a resumed run keeps it.
    overwrite : bool
        Whether an existing output is replaced.
    """

    folder: Path
    target: Target
    identity: dict[str, Any]
    started: str
    overwrite: bool

    @property
    def about(self) -> dict[str, Any]:
        """What is kept with the output."""
        return {"run_id": run_id(self.identity), **self.identity, "scored_at": self.started}

    def shard(self, number: int) -> Path:
        """The file of a shard.

        Parameters
        ----------
        number : int
            Its number.

        Returns
        -------
        Path
            It is there once the shard is finished.
        """
        return self.folder / f"shard-{number:05d}.parquet"

    def is_finished(self, number: int) -> bool:
        """Whether a shard is finished.

        Parameters
        ----------
        number : int
            Its number.

        Returns
        -------
        bool
            False where its file is not there, or damaged.
        """
        try:
            return pq.read_metadata(self.shard(number)).num_rows >= 0
        except (OSError, pa.ArrowException):
            return False

    def publish(self, n_shards: int, counts: Mapping[str, int]) -> None:
        """Write the output as a whole, and remove the shards.

        Parameters
        ----------
        n_shards : int
            Number of shards.
        counts : mapping of str to int
            Rows by status, for the manifest of a partition.
        """
        tables = (pq.read_table(self.shard(number)) for number in range(n_shards))
        about = self.about | {"rows": dict(counts)}
        overwrite = self.overwrite or self.target.run_id() == about["run_id"]
        self.target.write(tables, about, overwrite=overwrite, scratch=self.folder)
        shutil.rmtree(self.folder)

    def discard(self) -> None:
        """Remove the shards, and the folder of the target if it is empty."""
        shutil.rmtree(self.folder)
        if self.target.partition:
            with contextlib.suppress(OSError):
                self.target.folder.rmdir()


def write_shard(rows: pa.Table, path: Path) -> None:
    """Write a finished shard.

    Parameters
    ----------
    rows : pyarrow.Table
        Its rows.
    path : Path
        The file.
    """
    with whole_file(path) as file:
        pq.write_table(rows, file)


@contextlib.contextmanager
def open_run(
    target: Target, identity: dict[str, Any], *, resume: bool = False, overwrite: bool = False
) -> Iterator[ScoreRun | None]:
    """Begin or resume a run; no other process can hold the same run at the same time.

    Parameters
    ----------
    target : Target
        What is written in the end.
    identity : dict
        Hashes of model and input, as-of time and settings.
    resume : bool
        Whether finished shards of an earlier run are used; it must be of the same model, input and settings.
    overwrite : bool
        Whether an existing output is replaced, and an unfinished run of the same kind begun anew.

    Yields
    ------
    ScoreRun or None
        The run; None where an earlier one has already finished.

    Raises
    ------
    ArgumentError
        If the output exists, an unfinished run is there, or the one to resume is another one.
    """
    name, folder = run_id(identity), _folder(target, run_id(identity))
    if resume and not overwrite and target.is_complete(name):
        if folder.exists():  # it ended between the output and the end of cleaning up
            with _locked(folder, target):
                shutil.rmtree(folder)
        yield None
        return
    _check_free(target, name, resume=resume, overwrite=overwrite)
    if resume and not folder.exists():
        _check_no_other(target, identity)
    if folder.exists() and not (resume or overwrite):
        fix = "Go on with it: resume=True (--resume); or begin anew: overwrite=True (--overwrite)."
        raise ArgumentError("no unfinished run", "one of the same model and extract", fix, where=target.path.name)
    private_folder(target.folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    with _locked(folder, target):
        try:
            _check_free(target, name, resume=resume, overwrite=overwrite)
        except ArgumentError:  # another run has finished in the meantime
            shutil.rmtree(folder)
            raise
        yield _begun(folder, target, identity, resume=resume, overwrite=overwrite)


def _check_free(target: Target, name: str, *, resume: bool, overwrite: bool) -> None:
    """Raise where there is an output, but for the one that a resumed run had begun to publish."""
    if target.exists and not overwrite and not (resume and target.run_id() == name):
        raise already_there(target.path)


def _folder(target: Target, name: str) -> Path:
    """The folder of an unfinished run: hidden, so that readers of the output pass over it."""
    place = "" if target.partition else f"{target.path.name[:50]}-"
    return target.folder / f".{place}{name}{UNFINISHED}"


def _check_no_other(target: Target, identity: dict[str, Any]) -> None:
    """Raise where there are unfinished runs here, but of something else."""
    for other in sorted(target.folder.glob(_folder(target, "*").name)):
        try:
            theirs = json.loads((other / "run.json").read_text(encoding="utf-8"))["identity"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue
        differs = [word for key, word in NAMES.items() if theirs.get(key) != identity.get(key)]
        fix = "Pass what that run had, or leave resume (--resume) out."
        got = f"another {' and another '.join(differs)}"
        raise ArgumentError("the model, extract and settings of the unfinished run", got, fix, where=target.path.name)


@contextlib.contextmanager
def _locked(folder: Path, target: Target) -> Iterator[None]:
    """Hold a run; the lock ends with the process, however it ends."""
    expected, got = "an output that no other run writes to", "one that is being written"
    error = ArgumentError(expected, got, "Wait for its end.", where=target.path.name)
    with open(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise error from None
        try:
            is_same = os.path.samestat(os.fstat(file.fileno()), os.stat(folder / "lock"))
        except FileNotFoundError:
            is_same = False
        if not is_same:  # the other run has finished in the meantime, and removed its folder
            raise error
        yield


def _begun(folder: Path, target: Target, identity: dict[str, Any], *, resume: bool, overwrite: bool) -> ScoreRun:
    """The run, with the moment of its first beginning."""
    record = folder / "run.json"
    try:
        started = json.loads(record.read_text(encoding="utf-8"))["started"] if resume else ""
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        started = ""
    if not started:
        started = now()
        for old in folder.glob("*"):
            if old.name != "lock":
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        with whole_file(record) as file:
            file.write_text(json.dumps({"identity": identity, "started": started}), encoding="utf-8")
    else:
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
    return ScoreRun(folder, target, identity, started, overwrite)
