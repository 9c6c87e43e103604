"""Scoring on Spark: each part of the patients is scored where its rows are, and written by Spark itself."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.ingest.column_names import STAYS, columns_of, normalize
from clinicalgru.data.reading import arguments_like
from clinicalgru.errors import ArgumentError, InputError, describe
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.optional_packages import import_optional
from clinicalgru.serve.bundle import files, fitted_model, model_hash
from clinicalgru.serve.score_rows import SCORES, check_hourly, schema_of, uncertainty_columns
from clinicalgru.serve.score_run import now, run_id
from clinicalgru.serve.spark_worker import PART, PartScorer, with_stays, without_stays

JAVA = "Java 17 or newer is needed too."
PART_PATIENTS = 2_000  # patients of a part, about
ERROR = re.compile(r"clinicalgru\.errors\.\w+: (.+)")
TYPES = {"string": "string", "timestamp[us]": "timestamp_ntz", "double": "double"}


def score_spark(
    model: FittedModel | str | Path,
    data: Any,
    *,
    stays: Any = None,
    out: str | Path | None = None,
    as_of: Any = None,
    hourly: bool = False,
    reasons: bool = False,
    accept_differences: bool = False,
    overwrite: bool = False,
    spark: Any = None,
    **reading: Any,
) -> Any:
    """Predict every stay of an extract in the processes of Spark; see `score`.

    Parameters
    ----------
    model : estimator, str or Path
        A fitted model, or the folder of a bundle.
    data, stays : pyspark.sql.DataFrame or str
        Rows in the layout `long`, and their stays: DataFrames, or addresses of Parquet that the cluster can read. Both
        have the column of the patient.
    out : str, Path or None
        Address of a folder, to which Spark writes a partition for the as-of time; None: nothing is written.
    as_of : str, datetime or number
        The moment up to which the extract is seen. It must be given: each part sees its own rows only.
    hourly, reasons, accept_differences
        As of `score`.
    overwrite : bool
        Whether a partition of the as-of time is replaced.
    spark : pyspark.sql.SparkSession, optional
        The session; that of `data`, the active one or a new one where None.
    **reading
        As of `score`.

    Returns
    -------
    pyspark.sql.DataFrame
        The rows of `score`, in no order. Without `out` they are computed when they are used.

    Raises
    ------
    ArgumentError
        If pyspark is absent, `as_of` is not given, an argument is not for Spark, or the output exists.
    InputError
        If an extract cannot be read, or rows of a part cannot be used.
    """
    functions = import_optional("pyspark.sql.functions", extra="spark", note=JAVA)
    if as_of is None:
        raise ArgumentError("as_of with engine='spark'", "none", 'Pass as_of="2031-01-01 06:00" (--as-of).')
    fitted = fitted_model(model)
    if hourly:
        check_hourly(fitted)
    spark = spark or getattr(data, "sparkSession", None) or start_session()
    if isinstance(reading.get("variables"), str | Path):
        reading["variables"] = Dictionary.load(reading["variables"])
    like = arguments_like(fitted.trained_on_.get("reading", {}), {**reading, STAYS: stays})
    tables = _tables(spark, {"data": data, STAYS: stays}, like)
    options = {"hourly": hourly, "movers": reasons}
    identity: dict[str, Any] = {
        "model_hash": model_hash(fitted),
        "as_of": str(as_of),
        "settings": options | {"engine": "spark"},
    }
    columns = [name for name in columns_of_scores(fitted) if name != "scored_at"]
    scorer = PartScorer(
        bundle=_shipped(spark, files(fitted)),
        hash=identity["model_hash"],
        as_of=as_of,
        options=options,
        reading=reading,
        accept_differences=accept_differences,
        constants={"run_id": run_id(identity)},
        columns=columns,
    )
    parts = _parted(functions, tables)
    schema = ", ".join(f"`{name}` {TYPES[str(kind)]}" for name, kind in _types(columns))
    if STAYS in parts:
        pairs = parts["data"].groupBy(PART).cogroup(parts[STAYS].groupBy(PART))
        scores = pairs.applyInArrow(with_stays(scorer), schema)
    else:
        scores = parts["data"].groupBy(PART).applyInArrow(without_stays(scorer), schema)
    moment = functions.lit(datetime.fromisoformat(now()))
    scores = scores.withColumn("scored_at", moment).select(*columns_of_scores(fitted))
    if out is None:
        return scores
    name = as_of_name(as_of, timezone=like.get("timezone"))
    return _written(functions, spark, scores, str(out), name, overwrite=overwrite)


def start_session(*, master: str | None = None, remote: str | None = None) -> Any:
    """Start a session of Spark, or give the active one.

    Parameters
    ----------
    master : str or None
        Address of a cluster, such as "local[2]" or "spark://host:7077"; None: what spark-submit or the settings say.
    remote : str or None
        Address of a Spark Connect server, such as "sc://host", or "local".

    Returns
    -------
    pyspark.sql.SparkSession
    """
    session: Any = import_optional("pyspark.sql", extra="spark", note=JAVA).SparkSession
    if (master or remote or "").startswith("local"):  # workers on this machine take this Python
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = session.builder.appName("clinicalgru")
    if master is not None:
        builder = builder.master(master)
    return (builder if remote is None else builder.remote(remote)).getOrCreate()


def statuses_of(scores: Any) -> pd.DataFrame:
    """Collect what a run is summed up from.

    Parameters
    ----------
    scores : pyspark.sql.DataFrame
        As `score_spark` gives it.

    Returns
    -------
    DataFrame
        Columns status and reason_code, a row for each stay.
    """
    counts = scores.groupBy("status", "reason_code").count().collect()
    table = pd.DataFrame([tuple(row) for row in counts], columns=["status", "reason_code", "n"])
    return table.loc[table.index.repeat(table["n"]), ["status", "reason_code"]].reset_index(drop=True)


def columns_of_scores(model: FittedModel) -> list[str]:
    """Give the columns of the scores of a model.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    list of str
        Those of `SCORES`, with what the model predicts in place of the risk.
    """
    predicted = [*model.score_columns_, *uncertainty_columns(model)]
    first = SCORES.names.index("risk")
    return [*SCORES.names[:first], *predicted, *SCORES.names[first + 4 :]]


def _types(columns: list[str]) -> list[tuple[str, Any]]:
    return [(field.name, field.type) for field in schema_of(columns)]


def _is_connect(spark: Any) -> bool:
    return type(spark).__module__.startswith("pyspark.sql.connect")


def _shipped(spark: Any, bundle: dict[str, bytes]) -> Any:
    """The bundle as each executor gets it once: a broadcast; with Spark Connect a part of the plan."""
    return bundle if _is_connect(spark) else spark.sparkContext.broadcast(bundle)


def _tables(spark: Any, given: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Each table as a DataFrame, with the name of its column of the patient."""
    source = like.get("source", "long")
    if source not in ("long", "simulated"):
        raise ArgumentError("an extract of source long with engine='spark'", f"source {source}", "Write it as long.")
    return {
        name: _with_key(_frame(spark, table, name), columns_of(like.get("columns", {}), name), name)
        for name, table in given.items()
        if table is not None
    }


def _frame(spark: Any, table: Any, name: str) -> Any:
    if hasattr(table, "sparkSession"):
        return table
    if not isinstance(table, str | Path):
        fix = "Pass a DataFrame of Spark, or the address of Parquet files."
        raise ArgumentError("a DataFrame of Spark, or an address", describe(table), fix, where=name)
    if str(table).endswith((".csv", ".csv.gz", ".json", ".ndjson")):
        fix = "Pass Parquet, or a DataFrame of Spark."
        raise InputError("Parquet", "another kind of file", fix, where=name)
    with _spark_errors(name):
        return spark.read.parquet(str(table))


def _with_key(table: Any, columns: Mapping[str, str], name: str) -> tuple[Any, str]:
    key = normalize(columns.get("patient_id", "patient_id"))
    found = [column for column in table.columns if normalize(column) == key]
    if len(found) != 1:
        fix = "Name it: columns={'patient_id': ...} (--columns patient_id=...)."
        raise InputError("one column of the patient, by which Spark divides", f"{len(found)}", fix, where=name)
    return table, found[0]


def _parted(functions: Any, tables: Mapping[str, tuple[Any, str]]) -> dict[str, Any]:
    """The tables with the number of the part of each row; all rows of a patient are in one part."""
    table, key = tables.get(STAYS, tables["data"])
    with _spark_errors("extract"):
        n_patients = table.select(functions.col(f"`{key}`")).distinct().count()
    n_parts = max(1, math.ceil(n_patients / PART_PATIENTS))

    def part(key: str) -> Any:
        return functions.pmod(functions.hash(functions.col(f"`{key}`").cast("string")), functions.lit(n_parts))

    return {name: one.withColumn(PART, part(key)).repartition(n_parts, PART) for name, (one, key) in tables.items()}


def _written(functions: Any, spark: Any, scores: Any, out: str, name: str, *, overwrite: bool) -> Any:
    """Write the partition of the as-of time, and give what was written."""
    place = f"{out.rstrip('/')}/as_of={quote(name, safe='')}"
    with _spark_errors("output"):
        scores.drop("as_of").write.mode("overwrite" if overwrite else "errorifexists").parquet(place)
        moment = functions.lit(None if name.startswith("hour-") else name).cast("timestamp_ntz")
        return spark.read.parquet(place).withColumn("as_of", moment).select(*scores.columns)


def as_of_name(as_of: Any, *, timezone: str | None = None) -> str:
    """Give the name of the partition of a moment.

    Parameters
    ----------
    as_of : str, datetime or number
        The moment, as it was passed.
    timezone : str or None
        Time zone of the extract, for a moment without an offset.

    Returns
    -------
    str
        ISO 8601 of a date and time, in UTC where there is an offset or a time zone; hours of anything else.

    Raises
    ------
    ArgumentError
        If it is no such moment.

    Examples
    --------
    >>> as_of_name("2031-01-01 06:00"), as_of_name(24), as_of_name("2031-01-01 06:00+01:00")
    ('2031-01-01T06:00:00', 'hour-24', '2031-01-01T05:00:00')
    """
    try:
        return f"hour-{float(as_of):g}"
    except (TypeError, ValueError):
        pass
    try:
        moment: Any = pd.Timestamp(as_of)
        if moment.tzinfo is None and timezone:
            moment = moment.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
    except (TypeError, ValueError):
        moment = pd.NaT
    if moment is pd.NaT:
        fix = 'Pass a date and time, such as as_of="2031-01-01 06:00" (--as-of), with an offset when clocks change.'
        raise ArgumentError("a moment", "something else", fix, where="as_of")
    return (moment if moment.tzinfo is None else moment.tz_convert("UTC").tz_localize(None)).isoformat()


@contextmanager
def _spark_errors(where: str) -> Iterator[None]:
    """What Spark refuses, and errors of worker processes, as one error of ours."""
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        found = ERROR.search(str(error))
        if found:
            raise InputError("rows that can be scored", "others in a part", found[1], where=where) from None
        kinds = re.findall(r"^(\w*(?:Error|Exception)):", str(error), re.MULTILINE)  # a message may hold a value
        kind = error.getCondition() if hasattr(error, "getCondition") else None
        if kind in ("PATH_ALREADY_EXISTS", "PATH_NOT_FOUND"):
            words = "an existing one" if kind == "PATH_ALREADY_EXISTS" else "none there"
            fix = "Choose another out=, or pass overwrite=True (--overwrite)." if where == "output" else "Check it."
            raise ArgumentError("a free place to write to, and a place to read from", words, fix, where=where) from None
        fix = "See the log of Spark. The Python of its workers (PYSPARK_PYTHON) needs clinicalgru."
        got = f"{type(error).__name__} {kind or ''} {' '.join(kinds[-1:])}".rstrip()
        raise InputError("a job that Spark finishes", got, fix, where=where) from None
