"""Several values of one variable at one instant become their mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

FACTS = pa.schema(
    [
        ("stay", pa.int32()),
        ("available", pa.int64()),
        ("time", pa.int64()),
        ("variable", pa.int16()),
        ("value", pa.float64()),
    ]
)
INSTANT = ("stay", "available", "time", "variable")


def merge_instants(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Batches with one row for each (stay, available, time, variable), and how many rows were merged in each.

    batches  sorted by (stay, available, time, variable, value): the mean is summed in that order, so that shuffled
             extracts give equal bits
    """
    held: pa.RecordBatch | None = None
    for batch in batches:
        table = batch if held is None else pa.concat_batches([held, batch])
        starts = _starts(table)
        if len(starts) == 0:
            continue
        yield _means(table.slice(0, starts[-1]), starts[:-1])
        held = table.slice(starts[-1])  # its instant may go on in the next batch
    if held is not None:
        yield _means(held, np.array([0]))


def _starts(batch: pa.RecordBatch) -> np.ndarray:
    """Positions where a new instant begins."""
    changed = np.zeros(max(batch.num_rows - 1, 0), dtype=bool)
    for name in INSTANT:
        column = batch.column(name).to_numpy()
        changed |= column[1:] != column[:-1]
    return np.concatenate([np.zeros(min(batch.num_rows, 1), dtype=np.int64), np.flatnonzero(changed) + 1])


def _means(batch: pa.RecordBatch, starts: np.ndarray) -> tuple[pa.RecordBatch, int]:
    if len(starts) == batch.num_rows:
        return batch.cast(FACTS), 0
    rows = np.diff(np.append(starts, batch.num_rows))
    means = np.add.reduceat(batch.column("value").to_numpy(), starts) / rows
    columns = [batch.column(name).take(pa.array(starts)) for name in INSTANT]
    return pa.record_batch([*columns, pa.array(means)], names=FACTS.names).cast(FACTS), batch.num_rows - len(starts)
