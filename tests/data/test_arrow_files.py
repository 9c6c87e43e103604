"""Arrow and Feather files, and streams, are read as the same table in any other form, and never mapped into memory."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest

import clinicalgru as cg
from clinicalgru.errors import InputError

ROWS = pd.DataFrame(
    {
        "patient_id": pd.Categorical(["007", "007", "8"] * 50),
        "time": pd.date_range("2150-01-01", periods=150, freq="7min", tz="UTC").as_unit("ns"),
        "variable": ["heart_rate", "lactate", "heart_rate"] * 50,
        "value": pd.Series([80.0, 1.5, None] * 50, dtype="float32"),
    }
)
STAYS = pd.DataFrame({"patient_id": ["007", "8"], "stay_id": ["007", "8"], "age": [70, 80]})


def table() -> pa.Table:
    return pa.Table.from_pandas(ROWS, preserve_index=False)


def as_file(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table().schema) as writer:
        writer.write_table(table(), max_chunksize=40)


def as_stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table().schema) as writer:
        writer.write_table(table(), max_chunksize=40)


WRITERS = {
    "file.arrow": as_file,
    "stream.ipc": as_stream,
    "two.FEATHER": lambda path: feather.write_feather(table(), str(path), compression="zstd"),
}


@pytest.fixture(scope="module")
def expected() -> cg.read_events:
    return cg.read_events(ROWS, stays=STAYS)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_the_table_that_was_written(name: str, tmp_path: Path, expected) -> None:
    WRITERS[name](tmp_path / name)
    STAYS.to_feather(tmp_path / "stays.feather")
    events = cg.read_events(tmp_path / name, stays=tmp_path / "stays.feather")
    pd.testing.assert_frame_equal(events.to_frame(), expected.to_frame())
    assert events.stays["age"].equals(expected.stays["age"])
    assert events.ledger.rejected == expected.ledger.rejected == {"missing value": 50}


def test_a_stream_of_batches_is_the_table(expected) -> None:
    stream = pa.RecordBatchReader.from_batches(table().schema, table().to_batches(max_chunksize=40))
    pd.testing.assert_frame_equal(cg.read_events(stream, stays=STAYS).to_frame(), expected.to_frame())


@pytest.mark.parametrize("name", ["file.arrow", "stream.ipc", "two.FEATHER"])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_one_error_with_its_name(name: str, fraction: float, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * fraction)])
    with pytest.raises(InputError, match=f"{name}.*truncated or corrupt"):
        cg.read_events(tmp_path / name, stays=STAYS)


def test_a_stream_that_is_cut_off_between_batches_is_refused(tmp_path: Path) -> None:
    as_stream(tmp_path / "stream.ipc")
    (tmp_path / "stream.ipc").write_bytes((tmp_path / "stream.ipc").read_bytes()[:-8])
    with pytest.raises(InputError, match=r"stream\.ipc.*truncated"):
        cg.read_events(tmp_path / "stream.ipc")


def test_a_row_is_named_by_its_number_in_the_file(tmp_path: Path) -> None:
    bad = ROWS.astype({"value": object}).assign(value="about 80")
    bad.astype({"patient_id": str}).to_feather(tmp_path / "bad.feather")
    with pytest.raises(InputError, match=r"bad\.feather, row 0, column value"):
        cg.read_events(tmp_path / "bad.feather")


@pytest.mark.parametrize(
    ("name", "fix"),
    [("a.xlsx", "CSV UTF-8"), ("a.ndjson", "read_json"), ("a.duckdb", "write_parquet"), ("a.dta", "read_stata")],
)
def test_another_format_is_refused_with_the_way_to_read_it(name: str, fix: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=f"{name}.*{fix}"):
        cg.read_events(tmp_path / name)


@pytest.mark.parametrize("value", [Decimal("Infinity"), 1j, "\ud800"], ids=["decimal", "complex", "no Unicode"])
def test_values_without_an_arrow_type_are_one_error_that_names_the_column(value) -> None:
    frame = ROWS.head(1).assign(value=pd.Series([value], dtype=object))
    with pytest.raises(InputError, match="values that Arrow has no type for in value"):
        cg.read_events(frame)
