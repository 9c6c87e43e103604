"""A log of runs as JSON lines: what was read, warned of and written, in counts; nothing of a patient."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru.data.task.cohort_summary import suppressed
from clinicalgru.errors import ArgumentError, ClinicalGRUError, system_error, system_errors
from clinicalgru.serve.integrity import MANIFEST

LOG = logging.getLogger("clinicalgru")
MAX_LINE = 1_000_000  # bytes


class _JsonLines(logging.Formatter):
    """One JSON object in each line: time, level, message, and the mapping that a record carries as `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(line | dict(getattr(record, "fields", {})))


class _LogFile(logging.FileHandler):
    """A file of lines, which raises what the system refuses: logging would print it, and go on without a log."""

    is_failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.is_failed = True
        raise system_error(error, Path(self.baseFilename).name) from None


@contextmanager
def log_to_file(path: str | Path | None) -> Iterator[None]:
    """Add what the package logs to a file, which its owner alone can read.

    Parameters
    ----------
    path : str, Path or None
        The file; lines are added to it. None: there is no file.

    Yields
    ------
    None
        Nothing; the block is logged.

    Raises
    ------
    InputError
        If the system refuses to write.
    ArgumentError
        If the file is there and holds something else, or its folder is a bundle; nothing is added to it.
    ClinicalGRUError
        Whatever the block raises; the file holds it too.
    """
    if path is None:
        yield
        return
    with system_errors(Path(path).name):
        _check_log(Path(path))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(_JsonLines())
    before = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(min(LOG.getEffectiveLevel(), logging.INFO))
    try:
        yield
    except ClinicalGRUError as error:  # its message reaches the user elsewhere
        if handler.is_failed:
            raise
        record = LOG.makeRecord(LOG.name, logging.ERROR, __file__, 0, f"{error}", (), None)
        record.fields = {"code": error.code, "exit_code": error.exit_code}
        handler.handle(record)
        raise
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(before)
        with system_errors(Path(path).name):
            handler.close()


def _check_log(path: Path) -> None:
    """Raise where lines of a log would damage an extract or a bundle."""
    got = "one in a bundle" if (path.parent / MANIFEST).exists() else ""
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE)
        try:
            is_log = {"time", "level", "message"} <= set(json.loads(first))
        except (ValueError, TypeError, RecursionError):
            is_log = False
        got = got or ("" if is_log else "an existing file of something else")
    if got:
        raise ArgumentError("a new file, or a log of earlier runs", got, "Choose another --log.", where=path.name)


def report(scores: pd.DataFrame, began: float, *, min_cell_size: int) -> dict[str, Any]:
    """Sum up a run.

    Parameters
    ----------
    scores : DataFrame
        As `score` gives it.
    began : float
        `time.monotonic()` of its beginning.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    dict
        statuses: rows by status and reason code, None = suppressed; as_of, model_hash, input_hash and run_id; seconds,
        and the peak of the memory of this process in MB.
    """
    once: dict[Any, Any] = scores.iloc[0].to_dict() if len(scores) else {}
    names = ("as_of", "model_hash", "input_hash", "run_id")
    about = {name: str(once[name]) for name in names if name in once and pd.notna(once[name])}
    counts = status_counts(scores, min_cell_size=min_cell_size)
    return {"statuses": dict(counts), **about, "seconds": round(time.monotonic() - began, 1), "peak_mb": _peak_mb()}


def status_counts(scores: pd.DataFrame, *, min_cell_size: int) -> Mapping[str, int | None]:
    """Count rows by status and reason code.

    Parameters
    ----------
    scores : DataFrame
        As `score` gives it.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    dict of str to int or None
        Rows by "status" or "status: reason code"; None = suppressed.
    """
    reason = (": " + scores["reason_code"]).where(scores["reason_code"] != "", "")
    return suppressed((scores["status"] + reason).value_counts(), min_cell_size=min_cell_size)


def _peak_mb() -> int | None:
    """Peak of the memory of this process; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
