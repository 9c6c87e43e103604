"""From long rows to Sequences: rows a second and peak memory, each size in a process of its own.

    python benchmarks/ingest.py [--rows 100000 1000000 10000000] [--form parquet csv csv.gz]

Rows are generated: stays of 200 rows over 48 hours, five variables, two of them in two units, one row in a thousand
implausible, shuffled. Memory is the largest resident size of the whole process, the interpreter and libraries included
(about 250 MB).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

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
    names = np.array(VARIABLES)
    units, centre = np.array(UNITS), np.array(CENTRE, dtype=float)
    writer = None
    for size in [chunk] * (rows // chunk) + ([rows % chunk] if rows % chunk else []):
        stay = chance.integers(0, max(rows // 200, 1), size)
        variable, second = chance.integers(0, 5, size), (chance.random(size) < 0.1).astype(int)
        value = centre[variable, second] * (1 + 0.05 * chance.standard_normal(size))
        value[chance.random(size) < 0.001] = 1e6
        minute = chance.integers(0, 48 * 60, size).astype("timedelta64[m]")
        identifier = np.char.zfill(stay.astype(str), 8)
        table = pa.table(
            {
                "patient_id": pa.array(identifier),
                "stay_id": pa.array(identifier),
                "time": pa.array((np.datetime64("2031-01-01", "s") + minute).astype("datetime64[s]")),
                "variable": pa.array(names[variable]),
                "value": pa.array(value.round(3)),
                "unit": pa.array(units[variable, second]),
            }
        )
        writer = writer or _writer(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter | pacsv.CSVWriter:
    if path.suffix == ".parquet":
        return pq.ParquetWriter(path, schema)
    stream = pa.CompressedOutputStream(str(path), "gzip") if path.suffix == ".gz" else str(path)
    return pacsv.CSVWriter(stream, schema)


def measure(path: str, answer: multiprocessing.Queue) -> None:
    """Read and select in this process; answer with seconds for each, measurements and peak memory."""
    from clinicalgru.data.select import select
    from clinicalgru.data.sources.read import read_events
    from clinicalgru.data.task import Task

    began = time.perf_counter()
    events = read_events(path)
    read = time.perf_counter()
    sequences = select(events, Task.load("in_hospital_mortality"), every_stay=True)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert events.ledger.rows_in == events.ledger.used + events.ledger.merged + sum(events.ledger.rejected.values())
    answer.put((read - began, done - read, len(sequences.value), peak))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--form", nargs="+", default=["parquet", "csv"])
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print(f"{'rows':>12}{'form':>10}{'read s':>9}{'select s':>10}{'rows/s':>12}{'measurements':>14}{'peak MB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            for form in arguments.form:
                path = Path(folder) / f"extract.{form}"
                write_rows(path, rows)
                answer = context.Queue()
                worker = context.Process(target=measure, args=(str(path), answer))
                worker.start()
                read, selected, measurements, peak = answer.get()
                worker.join()
                speed = rows / (read + selected)
                print(
                    f"{rows:>12,}{form:>10}{read:>9.1f}{selected:>10.1f}{speed:>12,.0f}{measurements:>14,}{peak:>9,.0f}"
                )
                path.unlink()


if __name__ == "__main__":
    main()
