"""From long rows to Sequences: rows a second and peak memory, each size in a process of its own.

    python benchmarks/ingest.py [--rows 100000 1000000 10000000] [--form parquet csv csv.gz]
                                [--against pandas polars duckdb pandas+checks polars+checks] [--repeat 3]

`--against` does the same job by hand, in a process of its own: parse, convert units, leave implausible
values out, join several values at one instant into their mean, sort, hours since the stay's first row, the first 48 of
them. It must give as many measurements of the same sum. It keeps no ledger and checks no cell; `+checks` does nearly as
much of that as `read_events` (see `ingest_checked.py`). polars is a dependency of this benchmark alone, and is left out
where it is not installed.

Rows are generated: stays of 200 rows over 48 hours, five variables, two of them in two units, one row in a thousand
implausible, shuffled. Memory is the largest resident size of the whole process, the interpreter and libraries included
(about 250 MB). CPU seconds are given next to seconds, for machines on which others work too.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import IO

import ingest_checked
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

VARIABLES = ("heart_rate", "temperature", "glucose", "creatinine", "lactate")
UNITS = (("/min", "/min"), ("Cel", "[degF]"), ("mg/dL", "mmol/L"), ("mg/dL", "mg/dL"), ("mmol/L", "mmol/L"))
CENTRE = ((80, 80), (37, 98.6), (120, 6.7), (1.1, 1.1), (2, 2))


def write_rows(path: Path, rows: int, chunk: int = 1_000_000) -> None:
    """An extract of so many rows, in chunks."""
    chance = np.random.default_rng(0)
    with _sink(path) as sink:
        writer = None
        for size in [chunk] * (rows // chunk) + ([rows % chunk] if rows % chunk else []):
            table = _rows(chance, size, stays=max(rows // 200, 1))
            writer = writer or _writer(path, sink, table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()


def _rows(chance: np.random.Generator, size: int, *, stays: int) -> pa.Table:
    names, units, centre = np.array(VARIABLES), np.array(UNITS), np.array(CENTRE, dtype=float)
    stay = chance.integers(0, stays, size)
    variable, second = chance.integers(0, 5, size), (chance.random(size) < 0.1).astype(int)
    value = centre[variable, second] * (1 + 0.05 * chance.standard_normal(size))
    value[chance.random(size) < 0.001] = 1e6
    minute = chance.integers(0, 48 * 60, size).astype("timedelta64[m]")
    identifier = np.char.zfill(stay.astype(str), 8)
    return pa.table(
        {
            "patient_id": pa.array(identifier),
            "stay_id": pa.array(identifier),
            "time": pa.array((np.datetime64("2031-01-01", "s") + minute).astype("datetime64[s]")),
            "variable": pa.array(names[variable]),
            "value": pa.array(value.round(3)),
            "unit": pa.array(units[variable, second]),
        }
    )


def _sink(path: Path) -> IO[bytes]:
    return gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else path.open("wb")  # type: ignore[return-value]


def _writer(path: Path, sink: IO[bytes], schema: pa.Schema) -> pq.ParquetWriter | pacsv.CSVWriter:
    if path.suffix == ".parquet":
        return pq.ParquetWriter(sink, schema)
    return pacsv.CSVWriter(sink, schema)


def ours(path: str) -> tuple[int, float]:
    """Read and select; the number and the sum of the measurements."""
    from clinicalgru.data.read_events import read_events
    from clinicalgru.data.task.select import select
    from clinicalgru.data.task.task import Task

    events = read_events(path)
    sequences = select(events, Task.load("in_hospital_mortality"), include_ineligible=True)
    assert events.ledger.rows_in == events.ledger.used + events.ledger.merged + sum(events.ledger.rejected.values())
    return len(sequences.value), float(sum(block.value.sum(dtype=float) for block in sequences.chunks()))


def _meaning() -> list[tuple[str, str, float, float, float, float]]:
    """variable, unit, offset, factor, low, high: what the dictionary says of the generated units."""
    from clinicalgru.data.dictionary.dictionary import Dictionary

    known, rows = Dictionary.load(), []
    for name, units in zip(VARIABLES, UNITS, strict=True):
        low, high = known[name].plausible or (-np.inf, np.inf)
        for unit in sorted(set(units)):
            way = known[name].conversion(unit)
            rows.append((name, unit, way.offset, way.factor, low, high))
    return rows


def by_pandas(path: str) -> tuple[int, float]:
    """The same by hand in pandas."""
    import pandas as pd

    text = {"patient_id": str, "stay_id": str}
    rows = pd.read_parquet(path) if path.endswith(".parquet") else pd.read_csv(path, dtype=text, parse_dates=["time"])
    names = ["variable", "unit", "offset", "factor", "low", "high"]
    rows = rows.merge(pd.DataFrame(_meaning(), columns=names), on=["variable", "unit"])
    rows["value"] = (rows["value"] + rows["offset"]) * rows["factor"]
    rows = rows[rows["value"].between(rows["low"], rows["high"])]
    keys = ["patient_id", "stay_id", "time", "variable"]
    rows = rows.groupby(keys)["value"].mean().reset_index()
    rows["hours"] = (rows["time"] - rows.groupby("stay_id")["time"].transform("min")).dt.total_seconds() / 3600
    rows = rows[rows["hours"] <= 48]
    return len(rows), float(rows["value"].sum())


def by_polars(path: str) -> tuple[int, float]:
    """The same by hand in polars, by its lazy and streaming engine."""
    import polars as pl

    text = {"patient_id": pl.String, "stay_id": pl.String}
    rows = (
        pl.scan_parquet(path)
        if path.endswith(".parquet")
        else pl.scan_csv(path, schema_overrides=text, try_parse_dates=True)
    )
    names = ["variable", "unit", "offset", "factor", "low", "high"]
    known = pl.LazyFrame(_meaning(), schema=names, orient="row")
    since = (pl.col("time") - pl.col("time").min().over("stay_id")).dt.total_microseconds() / 3.6e9
    done = (
        rows.join(known, on=["variable", "unit"])
        .with_columns(value=(pl.col("value") + pl.col("offset")) * pl.col("factor"))
        .filter(pl.col("value").is_between(pl.col("low"), pl.col("high")))
        .group_by("patient_id", "stay_id", "time", "variable")
        .agg(pl.col("value").mean())
        .sort("patient_id", "stay_id", "time", "variable")
        .with_columns(hours=since)
        .filter(pl.col("hours") <= 48)
        .collect(engine="streaming")
    )
    return len(done), float(done["value"].sum())


def by_duckdb(path: str) -> tuple[int, float]:
    """The same by hand in DuckDB, which checks nothing either."""
    import duckdb

    text = "types={'patient_id': 'VARCHAR', 'stay_id': 'VARCHAR'}"
    rows = f"read_parquet('{path}')" if path.endswith(".parquet") else f"read_csv('{path}', {text})"
    names = ["variable", "unit", "factor_offset", "factor", "low", "high"]
    known = pa.table(dict(zip(names, zip(*_meaning(), strict=True), strict=True)))
    with duckdb.connect() as connection:
        connection.register("known", known)
        relation = connection.sql(f"""
            SELECT *, epoch_us(time) - min(epoch_us(time)) OVER (PARTITION BY stay_id) AS since FROM (
                SELECT patient_id, stay_id, time, variable, avg((value + factor_offset) * factor) AS value
                FROM {rows} JOIN known USING (variable, unit)
                WHERE (value + factor_offset) * factor BETWEEN low AND high GROUP BY ALL)
            QUALIFY since <= 48 * 3600000000 ORDER BY patient_id, stay_id, time, variable""")
        done = relation.to_arrow_table()
    return done.num_rows, float(done["value"].to_numpy().sum())


def checked_by_pandas(path: str) -> tuple[int, float]:
    """The same with most of our checks and counts, in pandas."""
    return ingest_checked.by_pandas(path, _meaning())


def checked_by_polars(path: str) -> tuple[int, float]:
    """The same with most of our checks and counts, in polars."""
    return ingest_checked.by_polars(path, _meaning())


WAYS = {
    "clinicalgru": ours,
    "pandas": by_pandas,
    "polars": by_polars,
    "duckdb": by_duckdb,
    "pandas+checks": checked_by_pandas,
    "polars+checks": checked_by_polars,
}


def measure(way: str, path: str, answer: multiprocessing.Queue) -> None:
    """Do the job in this process; answer with measurements, their sum, seconds, CPU seconds and peak MB."""
    began, busy = time.perf_counter(), time.process_time()
    measurements, total = WAYS[way](path)
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    answer.put((measurements, total, seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def in_own_process(way: str, path: Path) -> tuple[int, float, float, float, float] | None:
    """What `measure` answers; None where the process was ended for want of memory."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    worker = context.Process(target=measure, args=(way, str(path), answer))
    worker.start()
    while worker.is_alive() and answer.empty():
        time.sleep(0.05)
    result = None if answer.empty() else answer.get()
    worker.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--form", nargs="+", default=["parquet", "csv"])
    parser.add_argument("--against", nargs="*", default=[], choices=[*WAYS][1:])
    parser.add_argument("--repeat", type=int, default=1, help="the least CPU time of so many runs counts")
    arguments = parser.parse_args()
    ways = ["clinicalgru", *(way for way in arguments.against if importlib.util.find_spec(way.partition("+")[0]))]
    print(
        f"{'rows':>12}{'form':>9}{'by':>14}{'s':>8}{'CPU s':>8}{'rows/s':>11}{'measurements':>14}{'peak MB':>9}"
        f"{'time':>7}{'CPU':>7}{'memory':>8}{'load':>7}   (time, CPU and memory: ours as a part of theirs)"
    )
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            for form in arguments.form:
                path = Path(folder) / f"extract.{form}"
                write_rows(path, rows)
                compare(path, rows, form, ways, arguments.repeat)
                path.unlink()


def compare(path: Path, rows: int, form: str, ways: list[str], repeat: int) -> None:
    """One line for each way of doing the job: the run of least CPU time."""
    first = None
    for way in ways:
        results = [in_own_process(way, path) for _ in range(repeat)]
        result = min((each for each in results if each), key=lambda each: each[3], default=None)
        if result is None:
            print(f"{rows:>12,}{form:>9}{way:>14}  did not end: out of memory")
            continue
        measurements, total, seconds, cpu, peak = result
        line = f"{rows:>12,}{form:>9}{way:>14}{seconds:>8.1f}{cpu:>8.1f}{rows / seconds:>11,.0f}{measurements:>14,}"
        ratios = "" if first is None else f"{first[2] / seconds:>7.2f}{first[3] / cpu:>7.2f}{first[4] / peak:>8.2f}"
        print(f"{line}{peak:>9,.0f}{ratios:>22}{os.getloadavg()[0]:>7.1f}", flush=True)
        first = first or result
        assert measurements == first[0], "not the same measurements"
        assert np.isclose(total, first[1], rtol=1e-6), "not the same values"


if __name__ == "__main__":
    main()
