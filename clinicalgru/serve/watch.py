"""Watch a feed: whenever rows with a later `available_at` are there, all stays are scored as of that moment."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru.checks import check_number
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.ingest.table_files import SHOWN_ENDINGS, folder_files, is_table
from clinicalgru.errors import ArgumentError, ClinicalGRUError, system_errors
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.serve.atomic import private_folder, whole_file
from clinicalgru.serve.bundle import fitted_model, model_hash
from clinicalgru.serve.feed_watermark import feed_watermark, keep_rows_ahead
from clinicalgru.serve.score import score
from clinicalgru.serve.score_input import read_like_training
from clinicalgru.serve.target import Target

LOG = logging.getLogger("clinicalgru")
DEAD_LETTERS = "_dead_letters"  # folder in the output; readers of Parquet folders pass over it
OF_SCORE = ("hourly", "reasons", "strict", "min_scored", "n_workers", "device")


def watch(
    model: FittedModel | str | Path,
    data: str | Path,
    *,
    out: str | Path,
    every: float = 60.0,
    n_rounds: int | None = None,
    max_ahead_hours: float = 24.0,
    sleep: Callable[[float], None] = time.sleep,
    require_signature: str | Path | None = None,
    **options: Any,
) -> Iterator[pd.DataFrame | None]:
    """Score a feed again and again: once for each watermark, the last `available_at` of its rows.

    Parameters
    ----------
    model : estimator, str or Path
        A fitted model, or the folder of a bundle.
    data : str or Path
        A folder of tables to which files are added, or anything else that `read_events` reads, such as the address of a
        database with `source="sql"` and `query`.
    out : str or Path
        Folder of the scores: a partition for each watermark.
    every : float
        Seconds between two rounds.
    n_rounds : int or None
        Number of rounds; None: without end.
    max_ahead_hours : float
        How far ahead of the clock of this machine a row may be known; 24 covers local times without an offset. Later
        rows are left out until then, and kept as dead letters.
    sleep : callable
        Waits so many seconds.
    require_signature : str, Path or None
        Public key of who must have signed the bundle.
    **options
        Further arguments of `score`, and of `read_events`.

    Yields
    ------
    DataFrame or None
        Scores of a round; None where no row has become known since, or the round failed.

    Raises
    ------
    ArgumentError
        If the output is a file, or lies in the feed.
    ClinicalGRUError
        If the last of `n_rounds` rounds fails.

    Notes
    -----
    All that is kept is the output itself: a round that was ended is resumed, and one that has finished is not scored
    again, also after a restart. A file of the folder that cannot be read is copied to _dead_letters in the output, with
    the reason. Each round tries it again, as the stays table may have changed; once it can be read, the copy is
    removed. A round that fails as a whole is logged, and the next one tries again;
    the error of the last one is raised. A row dated far ahead does not move the watermark, see
    `max_ahead_hours`; where most dates lie ahead of the clock (a replay), a gap of ten years decides. Rows that come
    with an `available_at` before the watermark count at the next.

    Examples
    --------
    >>> import tempfile
    >>> import clinicalgru as cg
    >>> cohort = cg.simulate(60)
    >>> stays = cg.select(cg.read_events(cohort), cg.Task.load("in_hospital_mortality"))
    >>> model = cg.SummaryBaseline("logistic regression").fit(stays)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     feed = cohort.write(f"{folder}/feed")
    ...     options = {"stays": feed / "stays.parquet", "out": f"{folder}/scores", "every": 0.0}
    ...     rounds = list(cg.watch(model, feed / "measurements.parquet", n_rounds=2, **options))
    >>> [scores is not None for scores in rounds]
    [True, False]
    """
    check_number("every", every, minimum=0)
    check_number("max_ahead_hours", max_ahead_hours, minimum=0)
    place = Path(out)
    inside = Path(data).is_dir() and Path(data).absolute() in (place.absolute(), *place.absolute().parents)
    if place.suffix or inside:
        raise ArgumentError("out= as a folder besides the feed", "a file, or a folder in it", "Choose another out=.")
    model = fitted_model(model, require_signature=require_signature)
    done = 0
    while n_rounds is None or done < n_rounds:
        if done:
            sleep(every)
        done += 1
        try:
            scores = _round(model, data, place, dict(options), max_ahead_hours)
        except ClinicalGRUError as error:
            if done == n_rounds:
                raise
            LOG.error("this round failed: %s", error)
            scores = None
        yield scores


def _round(
    model: FittedModel, data: str | Path, out: Path, options: dict[str, Any], max_ahead_hours: float
) -> pd.DataFrame | None:
    rules = {name: options.pop(name) for name in OF_SCORE if name in options}
    feed: Any = data
    if Path(data).is_dir():
        feed = [file for file in _files(Path(data)) if _is_readable(model, file, out, options)]
        if not feed:
            LOG.warning("the feed holds no table that can be read (%s)", SHOWN_ENDINGS)
            return None
    events = read_like_training(model, feed, **options)
    watermark = feed_watermark(events, max_ahead_hours=max_ahead_hours)
    if watermark is None:
        return None
    with system_errors(out.name):
        keep_rows_ahead(events, watermark, out / DEAD_LETTERS)
    if _is_scored(model, events, watermark, out):
        return None
    moment: Any = pd.Timestamp(watermark, unit="us") if events.has_dates else watermark / HOUR
    return score(model, events, out=out, as_of=moment, resume=True, **rules)


def _files(folder: Path) -> list[Path]:
    """Tables of a folder, in order of their names; hidden ones, and files of another ending, may be in the making."""
    files = folder_files(folder).files
    return [file for file in files if is_table(file.name) and not file.name.startswith("_")]


def _is_readable(model: FittedModel, file: Path, out: Path, options: dict[str, Any]) -> bool:
    """Whether a file can be read alone now; otherwise it is kept as a dead letter until it can."""
    with system_errors(file.name), file.open("rb") as content:
        name = f"{hashlib.file_digest(content, 'sha256').hexdigest()[:16]}-{file.name}"
    letter, reason = out / DEAD_LETTERS / name, out / DEAD_LETTERS / f"{name}.json"
    try:
        read_like_training(model, file, **options)
    except ClinicalGRUError as error:
        if not reason.exists():
            with system_errors(file.name):
                _keep_dead_letter(file, letter, reason, error)
        return False
    for kept in (letter, reason):
        kept.unlink(missing_ok=True)
    return True


def _keep_dead_letter(file: Path, letter: Path, reason: Path, error: ClinicalGRUError) -> None:
    private_folder(letter.parent)
    with whole_file(letter) as copy:
        shutil.copyfile(file, copy)
        os.chmod(copy, 0o600)
    with whole_file(reason) as record:
        record.write_text(json.dumps({"file": file.name, "reason": f"{error}"}), encoding="utf-8")
    LOG.warning("a file of the feed cannot be read and is left out: %s", error)


def _is_scored(model: FittedModel, events: Events, watermark: int, out: Path) -> bool:
    """Whether there are scores of this model as of the watermark."""
    words = pd.Timestamp(watermark, unit="us").isoformat() if events.has_dates else f"hour-{watermark / HOUR:g}"
    target = Target.of(out, as_of=words, model=model_hash(model))
    return target.exists and target.manifest.exists()
