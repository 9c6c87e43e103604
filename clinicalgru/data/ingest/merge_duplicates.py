"""Merging of duplicates: several values of one variable at one instant become one, as the dictionary says how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from clinicalgru.data.dictionary.variable import MERGES

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


def merge_duplicates(
    batches: Iterable[pa.RecordBatch], merges: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, dict[str, int]]]:
    """Merge several values of one variable at one instant into one.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Measurements, sorted by stay, available, time, variable; then by value, or where the variable's merge is "last",
        by their order in the extract.
    merges : sequence of str
        How each variable merges: one of `MERGES`, by its position in the column `variable`.

    Yields
    ------
    batch : pyarrow.RecordBatch
        One row per (stay, available, time, variable).
    n_merged : dict of str to int
        How many rows were merged away in this batch: "exact repeats", or how different values were merged.

    Notes
    -----
    Exact repeats of a value count once, so that a row stored twice changes neither a mean nor a sum. Sums are taken in
    the order of the values, so that the order of the rows in the extract does not change a bit of them.
    """
    codes = np.array([MERGES.index(merge) for merge in merges], dtype=np.int8)
    pending: pa.RecordBatch | None = None
    for batch in batches:
        table = batch if pending is None else _joined(pending, batch)
        if table.num_rows == 0:
            continue
        is_new = _is_new_key(table)
        last = len(is_new) - 1 - int(np.argmax(is_new[::-1]))  # the next batch may continue its last key
        yield _merged(table.slice(0, last), is_new[:last], codes)
        pending = table.slice(last)
    if pending is not None:
        yield _merged(pending, _is_new_key(pending), codes)


def _is_new_key(batch: pa.RecordBatch) -> np.ndarray:
    """Whether a key begins, for each row."""
    is_new = np.ones(batch.num_rows, dtype=bool)
    is_new[1:] = False
    for name in KEY:
        column = batch.column(name).to_numpy()
        is_new[1:] |= column[1:] != column[:-1]
    return is_new


def _merged(batch: pa.RecordBatch, is_new: np.ndarray, codes: np.ndarray) -> tuple[pa.RecordBatch, dict[str, int]]:
    """One row for each key, and how many rows were merged away; `is_new` marks the first row of each key."""
    starts = np.flatnonzero(is_new)
    if len(starts) == batch.num_rows:
        return batch.select(MEASUREMENTS.names).cast(MEASUREMENTS), {}
    value = batch.column("value").to_numpy()
    is_distinct = is_new.copy()
    is_distinct[1:] |= value[1:] != value[:-1]
    distinct, first = value[is_distinct], np.flatnonzero(is_new[is_distinct])
    how = codes[batch.column("variable").to_numpy()[starts]]
    columns = [batch.column(name).take(pa.array(starts)) for name in KEY]
    merged = pa.record_batch([*columns, pa.array(_one_value(distinct, first, how))], names=MEASUREMENTS.names)
    return merged.cast(MEASUREMENTS), _counts(batch.num_rows, np.diff(np.append(first, len(distinct))), how)


def _one_value(values: np.ndarray, first: np.ndarray, how: np.ndarray) -> np.ndarray:
    """The value of each key, of which the distinct values begin at `first`."""
    n_values = np.diff(np.append(first, len(values)))
    merged, is_several = values[first], n_values > 1
    if is_several.any():
        merged[is_several] = _one_of_several(
            values[np.repeat(is_several, n_values)], n_values[is_several], how[is_several]
        )
    return merged


def _one_of_several(values: np.ndarray, n_values: np.ndarray, how: np.ndarray) -> np.ndarray:
    """The value of each key, of which so many distinct values follow each other."""
    last = np.cumsum(n_values) - 1
    first = last - n_values + 1
    total = np.add.reduceat(values, first)
    ways = {"mean": total / n_values, "sum": total, "last": values[last], "min": values[first], "max": values[last]}
    return np.choose(how, [ways[merge] for merge in MERGES])  # min and max: values of a key are sorted


def _counts(n_rows: int, n_values: np.ndarray, how: np.ndarray) -> dict[str, int]:
    """Rows merged away: exact repeats, and different values by how they were merged."""
    counts = {"exact repeats": n_rows - int(n_values.sum())}
    further = np.bincount(how, weights=n_values - 1, minlength=len(MERGES))
    counts |= dict(zip(MERGES, further.astype(int).tolist(), strict=True))
    return {name: count for name, count in counts.items() if count}


def _joined(first: pa.RecordBatch, second: pa.RecordBatch) -> pa.RecordBatch:
    """Two batches as one."""
    return pa.Table.from_batches([first, second]).combine_chunks().to_batches()[0]
