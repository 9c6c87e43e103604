"""Sorting of measurements into canonical order: some stays at a time, of rows that wait in a file where they are many.

DuckDB's own sort takes several times as long, and more memory than its limit. Here the keys are packed into one number,
rows that are in order stay where they are, and the memory does not grow with the extract.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

SORTED_ROWS = 500_000  # at a time
PARTS = 4  # of the stays for so many rows, as some stays have more rows than others
MAX_PARTS = 1_000
KEY = ("stay", "available", "time", "variable")


def sorted_rows(
    batches: Iterable[pa.RecordBatch], *, n_rows: int, n_stays: int, folder: Path
) -> Iterator[pa.RecordBatch]:
    """Sort measurements by stay, available, time and variable; of one instant by place, then by value.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        stay (from 0), available, variable, value; where they are needed, time, and place (in the extract).
    n_rows : int
        Number of rows in all.
    n_stays : int
        Number of stays.
    folder : Path
        Folder of a temporary file, for more than `SORTED_ROWS` rows.

    Yields
    ------
    pyarrow.RecordBatch
        At most `SORTED_ROWS` rows, with the same columns.

    Examples
    --------
    >>> rows = pa.record_batch({"stay": [1, 0], "available": [0, 7], "variable": [0, 0], "value": [2.0, 1.0]})
    >>> [batch["value"].to_pylist() for batch in sorted_rows([rows], n_rows=2, n_stays=2, folder=Path("unused"))]
    [[1.0, 2.0]]
    """
    n_parts = min(n_stays, MAX_PARTS, PARTS * n_rows // SORTED_ROWS)
    if n_rows <= SORTED_ROWS or n_parts == 1:
        rows = [_rows(batch) for batch in batches if batch.num_rows]
        yield from _in_order(np.concatenate(rows)) if rows else ()
        return
    path = folder / "unsorted"
    try:
        rows_of = (_rows(batch) for batch in batches if batch.num_rows)
        with path.open("w+b", buffering=0) as file:
            yield from _sorted_by_part(file, rows_of, n_parts=n_parts, n_stays=n_stays)
    finally:
        path.unlink(missing_ok=True)


def _rows(batch: pa.RecordBatch) -> np.ndarray:
    """(row,) the columns of a batch as fields."""
    columns = {name: batch.column(name).to_numpy() for name in batch.schema.names}
    rows = np.empty(batch.num_rows, dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        rows[name] = column
    return rows


def _names(rows: np.ndarray) -> tuple[str, ...]:
    return rows.dtype.names or ()


def _sorted_by_part(
    file: BinaryIO, blocks: Iterable[np.ndarray], *, n_parts: int, n_stays: int
) -> Iterator[pa.RecordBatch]:
    """Write the rows by part of the stays, then sort some parts at a time."""
    pieces: list[list[tuple[int, int]]] = [[] for _ in range(n_parts)]  # of a part: first row in the file, rows
    size, begin = np.zeros(n_parts, dtype=np.int64), 0
    for rows in blocks:
        part = rows["stay"].astype(np.int64) * n_parts // n_stays
        dtype, counts = rows.dtype, np.bincount(part, minlength=n_parts)
        is_in_order = (part[1:] >= part[:-1]).all()
        (rows if is_in_order else rows[np.argsort(part, kind="stable")]).tofile(file)
        for number in np.flatnonzero(counts):
            pieces[number].append((begin, int(counts[number])))
            begin += int(counts[number])
        size += counts
    group = (np.cumsum(size) - 1) // SORTED_ROWS  # of parts that are sorted together
    together = ([piece for number in range(*run) for piece in pieces[number]] for run in _runs(group))
    with ThreadPoolExecutor(1) as executor:  # sorts the next rows while these are used
        waiting: Future[list[pa.RecordBatch]] | None = None
        for some in together:
            following = executor.submit(_read_in_order, file, dtype, some)
            yield from () if waiting is None else waiting.result()
            waiting = following
        yield from () if waiting is None else waiting.result()


def _read_in_order(file: BinaryIO, dtype: np.dtype, pieces: Sequence[tuple[int, int]]) -> list[pa.RecordBatch]:
    """The rows of some pieces of the file, in order."""
    rows, filled = np.empty(sum(count for _, count in pieces), dtype=dtype), 0
    for position, count in pieces:
        file.seek(position * dtype.itemsize)
        rows[filled : filled + count] = np.fromfile(file, dtype, count)
        filled += count
    return list(_in_order(rows))


def _runs(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and end of each run of equal values."""
    begins = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    yield from pairwise(begins)


def _in_order(rows: np.ndarray) -> Iterator[pa.RecordBatch]:
    """Rows of whole stays in order, as record batches."""
    order = _order(rows)
    for first in range(0, len(rows), SORTED_ROWS):
        block = rows[order[first : first + SORTED_ROWS]]
        yield pa.record_batch({name: pa.array(np.ascontiguousarray(block[name])) for name in _names(block)})


def _order(rows: np.ndarray) -> np.ndarray:
    """(row,) the positions of the rows in order; it does not depend on how they are given."""
    names = [name for name in KEY if name in _names(rows)]
    key = _as_one_number([rows[name] for name in names])
    if key is None:
        return np.lexsort([*_last_keys(rows), *(rows[name] for name in reversed(names))])
    order = np.argsort(key, kind="stable")
    key = key[order]
    is_equal = key[1:] == key[:-1]
    tied = np.flatnonzero(np.append(is_equal, False) | np.append(False, is_equal))
    if len(tied):
        order[tied] = order[tied][np.lexsort([*_last_keys(rows[order[tied]]), key[tied]])]
    return order


def _last_keys(rows: np.ndarray) -> list[np.ndarray]:
    """What orders measurements of one variable at one instant, the last key first: 0 and -0 are not the same bits."""
    place = [rows["place"]] if "place" in _names(rows) else []
    return [np.signbit(rows["value"]), rows["value"], *place]


def _as_one_number(columns: Sequence[np.ndarray]) -> np.ndarray | None:
    """(row,) a number in the order of the columns, the first before the second; None where 63 bits are too few."""
    number, size = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        low, high = int(column.min()), int(column.max())
        if high - low >= 2**62:
            return None
        above = column.astype(np.int64) - low
        step = int(np.gcd.reduce(above)) or 1
        steps = (high - low) // step + 1
        size *= steps
        if size >= 2**63:
            return None
        number = number * steps + above // step
    return number
