"""Sorted measurements equal those that pandas sorts, in parts or at once, whatever the order of the rows."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from clinicalgru.data.ingest import sort_rows
from clinicalgru.data.ingest.sort_rows import sorted_rows

N_STAYS, N_ROWS = 40, 5_000
FAR = {"minutes": 60_000_000, "a unit of the clock": 1, "more than 63 bits": 2**40 + 1}  # a step of time


def _rows(step, *, columns=()):
    """Rows with ties of all keys, most of them of a few stays, one stay without any."""
    rng = np.random.default_rng(3)
    names = {"stay": np.minimum(rng.integers(0, 2 * N_STAYS, N_ROWS), N_STAYS - 2), "available": 0, "time": 0}
    table = pd.DataFrame(names).assign(variable=rng.integers(0, 3, N_ROWS), place=rng.integers(0, 3, N_ROWS))
    table["available"] = rng.integers(-9, 9, N_ROWS) * step
    table["time"] = table["available"] - rng.integers(0, 3, N_ROWS) * step
    table["value"] = rng.integers(-2, 3, N_ROWS) / 2
    types = {"stay": np.int32, "variable": np.int16}
    return table.astype(types)[["stay", "available", "variable", *columns, "value"]]


def _sorted(table, folder, *, size=700):
    batches = pa.Table.from_pandas(table, preserve_index=False).to_batches(max_chunksize=size)
    made = list(sorted_rows(batches, n_rows=len(table), n_stays=N_STAYS, folder=folder))
    assert not list(folder.iterdir())  # the temporary file is removed
    return pa.Table.from_batches(made).to_pandas() if made else table


@pytest.mark.parametrize("rows_at_a_time", [10**6, 700, 20])
@pytest.mark.parametrize("step", FAR.values(), ids=list(FAR))
@pytest.mark.parametrize("columns", [(), ("time",), ("time", "place")], ids=["neither", "time", "place"])
def test_rows_are_in_the_order_of_pandas(columns, step, rows_at_a_time, tmp_path, monkeypatch):
    monkeypatch.setattr(sort_rows, "SORTED_ROWS", rows_at_a_time)
    table = _rows(step, columns=columns)
    keys = [name for name in ("stay", "available", "time", "variable", "place", "value") if name in table]
    expected = table.sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(_sorted(table, tmp_path), expected)


@pytest.mark.parametrize("rows_at_a_time", [10**6, 700])
def test_the_order_of_the_extract_changes_no_bit(rows_at_a_time, tmp_path, monkeypatch):
    monkeypatch.setattr(sort_rows, "SORTED_ROWS", rows_at_a_time)
    table = _rows(1)
    table["value"] = np.where(table["value"] == 0, np.where(np.arange(N_ROWS) % 2, 0.0, -0.0), table["value"])
    bits = [
        _sorted(table.sample(frac=1, random_state=seed), tmp_path, size=size)["value"].to_numpy().tobytes()
        for seed, size in ((0, 700), (1, 33))
    ]
    assert bits[0] == bits[1] != table["value"].to_numpy().tobytes()


def test_an_empty_batch_of_other_types_at_the_end_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sort_rows, "SORTED_ROWS", 700)
    table = _rows(1)
    batches = pa.Table.from_pandas(table, preserve_index=False).to_batches(max_chunksize=700)
    empty = pa.record_batch({name: pa.array([], pa.int64()) for name in table.columns})
    sizes = {"n_rows": len(table), "n_stays": N_STAYS, "folder": tmp_path}
    plain, ended = (pa.Table.from_batches(list(sorted_rows(given, **sizes))) for given in (batches, [*batches, empty]))
    assert ended.equals(plain)


def test_the_rows_of_a_part_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(sort_rows, "SORTED_ROWS", 400)
    sizes = []
    in_order = sort_rows._in_order
    monkeypatch.setattr(sort_rows, "_in_order", lambda rows: sizes.append(len(rows)) or in_order(rows))
    table = _rows(1).assign(stay=np.arange(N_ROWS, dtype=np.int32) % N_STAYS)
    _sorted(table.sample(frac=1, random_state=0), tmp_path)
    assert sum(sizes) == N_ROWS
    assert max(sizes) <= 400 + N_ROWS // N_STAYS


def test_no_rows_are_no_batches(tmp_path):
    empty = pa.record_batch({name: pa.array([], pa.int64()) for name in ("stay", "available", "variable", "value")})
    for batches in ([], [empty], [empty, empty]):
        assert list(sorted_rows(batches, n_rows=0, n_stays=0, folder=tmp_path)) == []
