"""Scoring: an extract becomes one row for each stay, with a risk or the reason why there is none."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clinicalgru.checks import check_choice, check_number
from clinicalgru.data.events import Events
from clinicalgru.data.reading import PATHS
from clinicalgru.errors import ArgumentError, TooFewScored, system_errors
from clinicalgru.model.estimators.on_device import on_device
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.serve.atomic import already_there
from clinicalgru.serve.bundle import fitted_model, model_hash
from clinicalgru.serve.postgres import check_login, upsert
from clinicalgru.serve.score_input import LOG, ScoreInput, score_input
from clinicalgru.serve.score_rows import check_hourly, schema_of
from clinicalgru.serve.score_run import ScoreRun, now, open_run, run_id, write_shard
from clinicalgru.serve.shards import SHARD_STAYS, Shard, prepare_workers, score_in_workers, score_shard, shards_of
from clinicalgru.serve.spark import as_of_name, columns_of_scores, score_spark
from clinicalgru.serve.stay_status import DUE, SCORED
from clinicalgru.serve.target import Target, is_file_name


def score(
    model: FittedModel | str | Path,
    data: Any,
    *,
    out: str | Path | None = None,
    to: str | None = None,
    table: str | None = None,
    as_of: Any = None,
    hourly: bool = False,
    reasons: bool = False,
    strict: bool = False,
    min_scored: float = 0.0,
    n_workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    accept_differences: bool = False,
    device: str | None = None,
    require_signature: str | Path | None = None,
    engine: str = "local",
    **reading: Any,
) -> pd.DataFrame:
    """Predict every stay of an extract; outcomes are not needed.

    Parameters
    ----------
    model : estimator, str or Path
        A fitted model, or the folder of a bundle.
    data : object
        An extract, or Events; read with the variables, units and plausible ranges of the model.
    out : str, Path or None
        A .parquet or .csv file, or a folder, in which the run adds its part to the partition of its as-of time:
        as_of=2031-01-01T06%3A00%3A00/part-<model_hash>.parquet. Written as a whole or not at all, readable by its owner
        alone.
    to, table : str or None
        A PostgreSQL database, as postgresql://user@host:port/database, and the name of a table, which is made if it
        does not exist. Rows of the same stay_id, as_of and model_hash are replaced, in one transaction.
    as_of : str, datetime or number, optional
        The moment up to which the extract is seen: a date and time; hours since the start of the stays where the
        extract has no dates. None: the last `available_at` of the extract (without dates, rounded up to a full hour).
        Rows of a time that must be a mistake, such as 2199, do not count and are a warning, see docs/scoring.md. It is
        logged. A stay whose prediction is due later is not scored. An early warning gives the risk at this moment for
        each stay that is still open, and at its end for one that has ended.
    hourly : bool
        Of an early warning: one row for each hour of each stay, from the first with a measurement.
    reasons : bool
        Whether the column moved_by names the three variables that moved each prediction most. It takes a prediction
        for each variable.
    strict : bool
        Whether nothing is scored where the extract differs from what the model learned from. Otherwise each difference
        is a warning in the log: a variable that is absent or far rarer, a unit that looks exchanged, values outside
        those of training, another number of measurements in a stay, a table that is not given.
    min_scored : float
        Smallest fraction to be scored, 0 to 1, of the stays that are eligible, present and due.
    n_workers : int
        Number of processes, with one thread each; the results are the same.
    resume : bool
        Whether a run that was ended goes on: finished parts are not scored again. Another model, extract, as-of time or
        setting is refused.
    overwrite : bool
        Whether an existing output is replaced; otherwise it is refused.
    accept_differences : bool
        Whether an extract is scored that has no ends of stays, or no static variables, where training had them.
    device : {"auto", "cpu", "cuda", "mps"} or None
        Where networks compute. None: as the model does; one of a bundle takes "cuda" where there is such a device.
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle, see `sign`.
    engine : {"local", "spark"}
        "spark": `data` and `stays` are DataFrames of Spark, or addresses of Parquet, in the layout `long`. The result
        is a DataFrame of Spark, and `out` an address that Spark writes to. See `score_spark` and docs/spark.md.
    **reading
        Arguments of `read_events` where they differ from those that read the training extract.

    Returns
    -------
    DataFrame
        One row for each stay, ordered by patient and stay; the columns are those of data_schemas/scores.schema.json.
        prediction_time is missing if the extract has no dates; neither it nor prediction_hours (since the index time)
        is later than as_of. status is "scored", "too little known" (of fewer measurements than nearly all training
        stays) or "not scored"; reason_code and reason say why. risk_low and risk_high: 95 % range of such a
        risk over refits on bootstrap samples, where the bundle holds its instability; prediction_set: see
        docs/scoring.md. Other task types have other columns in place of risk: risk_<outcome>, risk_<class>,
        risk_<hours>h, or mean, median, low and high. scored_at is in UTC.

    Raises
    ------
    ArgumentError
        If `hourly` is set for a model that does not predict each time step, the model has no scores, `out` lies in the
        extract or the bundle, or exists, or an unfinished run is there, or the one to resume is another one.
    InputError
        If the extract cannot be read, or lacks ends of stays or static variables that training had; or if the system or
        the database refuses to write.
    InputMismatch
        If the extract differs from what the model learned from, and `strict` is set. Nothing is written.
    TooFewScored
        If fewer stays than `min_scored` can be scored. Nothing is written.
    SignatureError
        If the bundle is not signed by the required key.

    Examples
    --------
    >>> import tempfile
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60))
    >>> model = cg.SummaryBaseline("logistic regression").fit(cg.select(events, cg.Task.load("in_hospital_mortality")))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scores = cg.score(cg.save(model, f"{folder}/bundle"), events)
    >>> list(scores)[4:9], len(scores)
    (['as_of', 'risk', 'risk_low', 'risk_high', 'prediction_set'], 60)
    """
    check_number("min_scored", min_scored, minimum=0, maximum=1)
    check_number("n_workers", n_workers, minimum=1, whole=True)
    check_choice("engine", engine, ("local", "spark"))
    if engine == "spark":
        wanted = {"strict": strict, "min_scored": min_scored, "resume": resume, "to": to, "n_workers": n_workers > 1}
        _check_for_spark(wanted | {"device": device not in (None, "auto", "cpu")})
        shared = {
            "hourly": hourly,
            "reasons": reasons,
            "overwrite": overwrite,
            "accept_differences": accept_differences,
        }
        return score_spark(
            fitted_model(model, require_signature=require_signature), data, out=out, as_of=as_of, **shared, **reading
        )
    fitted = on_device(fitted_model(model, require_signature=require_signature), device)
    if to is not None:
        check_login(to, table, schema_of(columns_of_scores(fitted)))
    if out is not None:
        _check_place(out, model, data, *(reading.get(name) for name in PATHS))
        with system_errors(Path(out).name):
            _check_free(_expected_target(out, fitted, data, as_of, reading), is_replaced=resume or overwrite)
    if hourly:
        check_hourly(fitted)
    if out is not None and n_workers > 1:
        prepare_workers()
    given = score_input(fitted, data, as_of=as_of, strict=strict, accept_differences=accept_differences, **reading)
    options = {"as_of": given.as_of, "hourly": hourly, "movers": reasons}
    if out is None:
        scores = _in_memory(given, options)
        _check_min_scored(scores, min_scored)
    else:
        scores = _written(given, options, out, min_scored, n_workers=n_workers, resume=resume, overwrite=overwrite)
    if to is not None and table is not None:
        upsert(_arrow(scores), to, table)
    return scores


def _identity(given: ScoreInput, options: dict[str, Any]) -> dict[str, Any]:
    """What makes a run another one."""
    settings = {"hourly": options["hourly"], "reasons": options["movers"], "shard_stays": SHARD_STAYS}
    hashes = {"model_hash": model_hash(given.model), "input_hash": given.digest()}
    return {**hashes, "as_of": given.as_of_words, "settings": settings}


def _constants(identity: dict[str, Any], started: str) -> dict[str, Any]:
    """Columns that are the same in each row of a run."""
    moment = pd.Timestamp(started).as_unit("us")
    hashes = {name: identity[name] for name in ("model_hash", "input_hash")}
    return {**hashes, "scored_at": moment, "run_id": run_id(identity)}


def _in_memory(given: ScoreInput, options: dict[str, Any]) -> pd.DataFrame:
    constants = _constants(_identity(given, options), now())
    shards = shards_of(given.stays.patient, SHARD_STAYS)
    tables = [score_shard(given, shard, constants, options) for shard in shards]
    return _arrow(pd.concat(tables, ignore_index=True)).to_pandas()


def _written(
    given: ScoreInput,
    options: dict[str, Any],
    out: str | Path,
    min_scored: float,
    *,
    n_workers: int,
    resume: bool,
    overwrite: bool,
) -> pd.DataFrame:
    """Score shard by shard into the folder of a run, and publish them."""
    identity = _identity(given, options)
    with system_errors(Path(out).name):
        target = Target.of(out, as_of=identity["as_of"], model=identity["model_hash"])
        with open_run(target, identity, resume=resume, overwrite=overwrite) as run:
            if run is None:
                LOG.info("the output is complete; nothing is scored again")
                return target.read(given.as_of if given.stays.has_dates else None)
            shards = shards_of(given.stays.patient, SHARD_STAYS)
            todo = [shard for shard in shards if not run.is_finished(shard.number)]
            for done, _ in enumerate(_scored(given, options, run, todo, n_workers), len(shards) - len(todo) + 1):
                LOG.info("part %s of %s", done, len(shards))
            scores = pd.concat([pq.read_table(run.shard(s.number)).to_pandas() for s in shards], ignore_index=True)
            try:
                _check_min_scored(scores, min_scored)
            except TooFewScored:
                run.discard()
                raise
            run.publish(len(shards), scores["status"].value_counts().to_dict())
    return scores


def _scored(
    given: ScoreInput, options: dict[str, Any], run: ScoreRun, todo: list[Shard], n_workers: int
) -> Iterator[Shard]:
    """The shards, each as soon as its file is there."""
    constants = _constants(run.identity, run.started)
    if n_workers > 1 and len(todo) > 1:
        yield from score_in_workers(given, run, todo, constants, options, n_workers=n_workers)
        return
    for shard in todo:
        write_shard(_arrow(score_shard(given, shard, constants, options)), run.shard(shard.number))
        yield shard


def _arrow(scores: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(scores, schema=schema_of(scores.columns), preserve_index=False)


def _check_min_scored(table: pd.DataFrame, min_scored: float) -> None:
    """Raise where too few stays have a prediction, of those that are eligible, present and due."""
    stays = table.drop_duplicates(["patient_id", "stay_id"])
    due = stays[stays["reason_code"].isin(DUE)]
    scored = float((due["status"] == SCORED).mean()) if len(due) else 0.0
    if min_scored > 0 and scored < min_scored:
        fix = "Check the extract, and the reasons in a table without min_scored (--min-scored)."
        raise TooFewScored(f"at least {min_scored:.1%} of the stays that are due scored", f"{scored:.1%}", fix)


def _check_for_spark(wanted: dict[str, Any]) -> None:
    """Raise where an argument is not for Spark."""
    found = [name for name, value in wanted.items() if value]
    if found:
        fix = "Leave it out: Spark divides, retries and writes by itself; compare its table with the limits afterwards."
        raise ArgumentError("arguments that engine='spark' has", ", ".join(found), fix)


def _expected_target(out: str | Path, model: FittedModel, data: Any, as_of: Any, reading: dict[str, Any]) -> Target:
    """Where the scores will stand, as far as that can be known before the extract is read."""
    record = data.reading if isinstance(data, Events) else model.trained_on_.get("reading", {})
    zone = reading.get("timezone") or (None if "source" in reading else record.get("timezone"))
    name = "" if as_of is None else as_of_name(as_of, timezone=zone)
    return Target.of(out, as_of=name, model=model_hash(model))


def _check_free(target: Target, *, is_replaced: bool) -> None:
    """Raise where there is an output that is not to be replaced, or the system does not let us write one."""
    if target.exists:
        if not is_replaced:
            raise already_there(target.path)
        return
    folder = next(path for path in (target.folder, *target.folder.absolute().parents) if path.exists())
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "")


def _check_place(out: str | Path, model: Any, *inputs: Any) -> None:
    """Raise where the scores would be written into what they are made of."""
    with system_errors(Path(out).name):
        place = Path(out).resolve()
    files = (place,) if is_file_name(place) else (place, place / "scores.parquet")
    given = [model, *(each for one in inputs for each in (one if isinstance(one, list | tuple) else [one]))]
    for path in (Path(each).resolve() for each in given if isinstance(each, str | os.PathLike)):
        present = (file for file in files if os.path.isfile(file) and os.path.isfile(path))  # False without the right
        is_same = any(file.samefile(path) for file in present)  # a hard link too
        if is_same or path in files or (path in place.parents and path.is_dir()):
            got = "a place in the extract itself, or in the bundle"
            raise ArgumentError("out= besides the extract", got, "Choose another out=.")
