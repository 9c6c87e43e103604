"""Merging of duplicates: several values of one variable at one time become their mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

MEASUREMENTS = pa.schema(
    [
        ("stay", pa.int32()),
        ("available", pa.int64()),
        ("time", pa.int64()),
        ("variable", pa.int16()),
        ("value", pa.float64()),
    ]
)
KEY = ("stay", "available", "time", "variable")


def merge_duplicates(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Merge several values of one variable at one time into their mean.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Measurements, sorted by stay, available, time, variable, value.

    Yields
    ------
    batch : pyarrow.RecordBatch
        One row per (stay, available, time, variable).
    n_merged : int
        How many rows were merged in this batch.

    Notes
    -----
    The mean is summed in the order of the batches, so that the order of the rows in the extract does not change a bit
    of it.
    """
    pending: pa.RecordBatch | None = None
    for batch in batches:
        table = batch if pending is None else pa.concat_batches([pending, batch])
        starts = _starts(table)
        if len(starts) == 0:
            continue
        yield _means(table.slice(0, starts[-1]), starts[:-1])
        pending = table.slice(starts[-1])  # the next batch may continue its last key
    if pending is not None:
        yield _means(pending, np.array([0]))


def _starts(batch: pa.RecordBatch) -> np.ndarray:
    """Positions where a new key begins."""
    is_new = np.zeros(max(batch.num_rows - 1, 0), dtype=bool)
    for name in KEY:
        column = batch.column(name).to_numpy()
        is_new |= column[1:] != column[:-1]
    return np.concatenate([np.zeros(min(batch.num_rows, 1), dtype=np.int64), np.flatnonzero(is_new) + 1])


def _means(batch: pa.RecordBatch, starts: np.ndarray) -> tuple[pa.RecordBatch, int]:
    """The mean of each key's values, and how many rows were merged."""
    if len(starts) == batch.num_rows:
        return batch.cast(MEASUREMENTS), 0
    rows = np.diff(np.append(starts, batch.num_rows))
    means = np.add.reduceat(batch.column("value").to_numpy(), starts) / rows
    columns = [batch.column(name).take(pa.array(starts)) for name in KEY]
    merged = pa.record_batch([*columns, pa.array(means)], names=MEASUREMENTS.names).cast(MEASUREMENTS)
    return merged, batch.num_rows - len(starts)
