"""Shards of patients: each is scored on its own, in this process or in workers, with one thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import InputError
from clinicalgru.model.estimators.on_device import device_of, on_device
from clinicalgru.serve.bundle import load_model, save
from clinicalgru.serve.score_input import ScoreInput
from clinicalgru.serve.score_rows import schema_of, score_sequences
from clinicalgru.serve.score_run import ScoreRun, write_shard

SHARD_STAYS = 5_000
START_METHOD = "forkserver" if sys.platform == "linux" else "spawn"  # elsewhere a fork of loaded libraries may crash


@dataclass(frozen=True)
class Shard:
    """Stays of whole patients.

    Attributes
    ----------
    number : int
        Its number.
    first, last : int
        Its stays, from the first up to before the last.
    """

    number: int
    first: int
    last: int


def shards_of(patient: np.ndarray, size: int) -> list[Shard]:
    """Divide stays into shards, none of which divides a patient.

    Parameters
    ----------
    patient : ndarray of str, shape (stay,)
        Patient of each stay; stays of a patient follow each other.
    size : int
        Number of stays from which on a shard ends.

    Returns
    -------
    list of Shard
        At least one.

    Examples
    --------
    >>> import numpy as np
    >>> [(shard.first, shard.last) for shard in shards_of(np.array(["a", "b", "b", "b", "c"], dtype=object), 2)]
    [(0, 4), (4, 5)]
    """
    begins = np.flatnonzero(np.append(True, patient[1:] != patient[:-1])) if len(patient) else np.zeros(1, dtype=int)
    bounds, first = [0], 0
    while first + size < len(patient):
        later = begins[np.searchsorted(begins, first + size) :]
        if not len(later):
            break
        first = int(later[0])
        bounds.append(first)
    ends = [*bounds[1:], len(patient)]
    return [Shard(number, low, high) for number, (low, high) in enumerate(zip(bounds, ends, strict=True))]


def score_shard(given: ScoreInput, shard: Shard, constants: dict[str, Any], options: dict[str, Any]) -> pd.DataFrame:
    """Score a shard.

    Parameters
    ----------
    given : ScoreInput
        All stays.
    shard : Shard
        The shard.
    constants : dict of str to object
        Further columns, the same in each row.
    options : dict of str to object
        Of `score_sequences`.

    Returns
    -------
    DataFrame
        Its rows.
    """
    stays = given.stays.between(shard.first, shard.last)
    reasons = given.reasons.iloc[shard.first : shard.last]
    return score_sequences(given.model, stays, reasons=reasons, **options).assign(**constants)


def prepare_workers() -> BaseContext:
    """Start the process that workers are forked from: it loads the libraries once, while this process reads.

    Returns
    -------
    BaseContext
        How workers start; each loads the libraries itself ("spawn") where there cannot be such a process.

    Notes
    -----
    Ctrl-C is blocked in it and in the workers: the parent ends them, and nothing is written of a part of a shard.
    """
    context = multiprocessing.get_context(START_METHOD)
    if START_METHOD != "forkserver":
        return context
    from multiprocessing import forkserver, resource_tracker  # not on Windows

    context.set_forkserver_preload([__name__])
    resource_tracker.ensure_running()  # it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    except OSError:  # the path of its socket is too long (TMPDIR), or this process was forked from one that has one
        return multiprocessing.get_context("spawn")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def score_in_workers(
    given: ScoreInput,
    run: ScoreRun,
    todo: list[Shard],
    constants: dict[str, Any],
    options: dict[str, Any],
    *,
    n_workers: int,
) -> Iterator[Shard]:
    """Score shards in worker processes, which write them to the folder of the run.

    Parameters
    ----------
    given : ScoreInput
        All stays.
    run : ScoreRun
        The run.
    todo : list of Shard
        Shards to score.
    constants, options
        As of `score_shard`.
    n_workers : int
        Number of processes.

    Yields
    ------
    Shard
        Each shard, when it is finished.

    Raises
    ------
    InputError
        If a worker process ends before its time.
    """
    bundle = save(given.model, run.folder / "bundle")
    folder = given.folder or given.stays.save(run.folder / "stays")
    context = prepare_workers()
    start = (bundle, folder, given.as_of, constants, options, device_of(given.model))
    with ProcessPoolExecutor(min(n_workers, len(todo)), context, initializer=_start_worker, initargs=start) as pool:
        jobs = {
            pool.submit(_work, shard, given.reasons.iloc[shard.first : shard.last], run.shard(shard.number)): shard
            for shard in todo
        }
        try:
            for job in as_completed(jobs):
                job.result()
                yield jobs[job]
        except BrokenProcessPool:
            fix = "Finished parts are kept: go on with resume=True (--resume). Fewer workers need less memory."
            raise InputError("worker processes that run to their end", "one that was ended", fix) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_WORKER: dict[str, Any] = {}  # of a worker process: what all its shards share


def _start_worker(
    bundle: Path,
    folder: Path,
    as_of: int | None,
    constants: dict[str, Any],
    options: dict[str, Any],
    device: str | None,
) -> None:
    import torch

    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    model: Any = on_device(load_model(bundle), device)
    if hasattr(model, "n_threads"):
        model.n_threads = 1
    _WORKER.update(model=model, stays=Sequences.open(folder), as_of=as_of, constants=constants, options=options)


def _end_with_parent() -> None:
    """End when the parent process ends, however that does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _work(shard: Shard, reasons: pd.DataFrame, path: Path) -> None:
    stays = _WORKER["stays"].between(shard.first, shard.last)
    given = ScoreInput(_WORKER["model"], stays, reasons, _WORKER["as_of"])
    table = score_shard(given, Shard(shard.number, 0, len(stays)), _WORKER["constants"], _WORKER["options"])
    schema = schema_of(table.columns)
    write_shard(pa.Table.from_pandas(table, schema=schema, preserve_index=False), path)
