"""Folders, files and containers: what is read, what is left out and noted, and what stops the load."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clinicalgru as cg
from clinicalgru.data.ingest import compression, tables
from clinicalgru.data.read_events import SOURCES
from clinicalgru.errors import InputError, system_error_number

PACK = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}


def values(data, **reading) -> list:
    return values_of(cg.read_events(data, **reading))


def values_of(events) -> list:
    return events.to_frame()["value"].round(3).tolist()


def text(rows: pd.DataFrame) -> bytes:
    return rows.to_csv(index=False).encode()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("folder", ["patient_id=0099", "time=2020-01-01", "value=1", "unit=Cel", "stay_id=9"])
def test_the_name_of_a_folder_never_changes_a_column(three, three_read, tmp_path, folder, form):
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / f"part.{form}"
    three.to_parquet(path) if form == "parquet" else path.write_bytes(text(three))
    expected = three_read.to_frame()
    for data in (path, tmp_path):
        pd.testing.assert_frame_equal(cg.read_events(data).to_frame(), expected)


def test_the_readers_of_duckdb_are_left_no_option_that_names_folders_or_files():
    for options in (tables.QUOTED, tables.UNQUOTED, tables.PARQUET_OPTIONS):
        for option in ("filename", "hive_partitioning", "hive_types_autocast", "union_by_name", "file_row_number"):
            assert f"{option}=false" in options


@pytest.mark.parametrize(
    "name", [".ipynb_checkpoints/a-checkpoint.csv", "._a.csv", "~$a.csv", "__MACOSX/a.csv", "a.csv~"]
)
def test_hidden_files_and_folders_are_left_out_and_noted(three, three_read, tmp_path, name):
    (tmp_path / "a.csv").write_bytes(text(three))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(text(three.assign(value="50")))
    events = cg.read_events(tmp_path)
    assert events.to_frame()["value"].round(2).tolist() == three_read.to_frame()["value"].round(2).tolist()
    assert [note for note in events.ledger.notes if name.partition("/")[0] in note]


def test_hidden_files_are_no_part_of_a_folder_of_stays_either(tmp_path):
    stay = "Time,Parameter,Value\n00:00,RecordID,132539\n00:00,Age,54\n00:07,HR,73\n"
    (tmp_path / "132539.txt").write_text(stay)
    (tmp_path / "._132539.txt").write_bytes(b"\0\5\x16\7")
    assert values(tmp_path, source="physionet2012") == [73]


@pytest.mark.slow
def test_linked_folders_are_followed_circles_refused_and_a_file_linked_twice_read_once(three, three_read, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.csv").write_bytes(text(three))
    (tmp_path / "extract").mkdir()
    (tmp_path / "extract" / "link").symlink_to(tmp_path / "store", target_is_directory=True)
    assert values(tmp_path / "extract") == values_of(three_read)
    (tmp_path / "extract" / "again").symlink_to(tmp_path / "store", target_is_directory=True)
    twice = cg.read_events(tmp_path / "extract").ledger
    assert twice.rows_in == 15
    assert [note for note in twice.notes if "second link" in note]
    (tmp_path / "store" / "up").symlink_to(tmp_path / "store", target_is_directory=True)
    with pytest.raises(InputError, match="a link to a folder that holds it"):
        cg.read_events(tmp_path / "extract")
    (tmp_path / "store" / "up").unlink()
    (tmp_path / "store" / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match=r"gone\.csv.*a link to nothing"):
        cg.read_events(tmp_path / "store")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.xlsx", "b.csv.lz4", "b.csv.part", "b.json", "b.zip", "b"])
def test_a_file_that_cannot_be_read_stops_the_load_unless_the_files_are_named(three, three_read, tmp_path, name):
    (tmp_path / "a.csv").write_bytes(text(three))
    (tmp_path / "README.md").write_text("About.")
    (tmp_path / name).write_bytes(b"PK\3\4")
    with pytest.raises(InputError, match=name):
        cg.read_events(tmp_path)
    assert values([tmp_path / "a.csv"]) == values_of(three_read)
    (tmp_path / name).unlink()
    assert cg.read_events(tmp_path).ledger.notes["document, not read: README.md"] == 1


def test_files_whose_columns_differ_are_refused_by_name_whatever_their_order(three, three_read, tmp_path):
    three.head(6).to_csv(tmp_path / "a.csv", index=False)
    three.tail(9)[three.columns[::-1]].rename(columns=str.upper).to_csv(tmp_path / "b.csv", index=False)
    assert values(tmp_path) == values_of(three_read)
    three.drop(columns="unit").tail(3).to_parquet(tmp_path / "c.parquet")
    with pytest.raises(InputError, match=r"c\.parquet: Expected the columns of a\.csv.*without unit"):
        cg.read_events(tmp_path)


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.csv.bz2", "x.txt", "x.csv.zst"])
@pytest.mark.parametrize("codec", [*PACK, "none"])
def test_compression_is_known_by_content_and_not_by_name(three, three_read, tmp_path, name, codec):
    content = text(three)
    half = len(content) // 2
    pack = PACK.get(codec, bytes)
    (tmp_path / name).write_bytes(pack(content[:half]) + pack(content[half:]))  # two streams are one file
    assert values(tmp_path / name) == values_of(three_read)


@pytest.mark.parametrize("codec", PACK)
def test_a_compressed_file_that_is_cut_off_damaged_or_a_bomb_is_refused(three, tmp_path, codec, monkeypatch):
    monkeypatch.setattr(compression, "SAFE_SIZE", 1 << 18)
    path = tmp_path / f"x.csv.{codec}"
    packed = PACK[codec](text(three))
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 255
    for content in (packed[:-5], packed[: len(packed) // 2], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.csv"):
            cg.read_events(path)
    path.write_bytes(PACK[codec](b"patient_id,time,variable,value\n" + b"1,0,heart_rate,80\n" * 60_000))
    with pytest.raises(InputError, match="unpacks as tables do"):
        list(compression.plain_chunks(path))


def test_other_formats_are_named_whatever_the_file_is_called(three, three_read, tmp_path):
    path = tmp_path / "x.csv"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.csv", text(three))
    with pytest.raises(InputError, match="Office file"):
        cg.read_events(path)
    three.to_parquet(path)
    assert values(path) == values_of(three_read)


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.xz"])
def test_an_archive_that_unpacks_beyond_reason_is_refused(tmp_path, form, monkeypatch):
    monkeypatch.setattr(compression, "SAFE_SIZE", 1 << 20)
    stays = {f"{100000 + i}.txt": b"Time,Parameter,Value\n00:00,RecordID,%d\n" % (100000 + i) for i in range(4)}
    stays = {name: content + b"\n" * 500_000 for name, content in stays.items()}
    path = tmp_path / f"set.{form}"
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in stays.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{form[-2:]}") as archive:
            for name, content in stays.items():
                (tmp_path / "stay").write_bytes(content)
                archive.add(tmp_path / "stay", name)
    with pytest.raises(InputError, match="unpacks as tables do"):
        cg.read_events(path, source="physionet2012")


@pytest.mark.slow
@pytest.mark.parametrize(
    "content", ["C7,S001,heart_rate,x\nC8,S002,hr,y\n", "C7,C7,0,heart_rate,8\nC8,C8,1,hr,9\n", "C7;S1\n"]
)
def test_a_file_without_header_is_refused_without_a_cell_of_it(three, tmp_path, content):
    for name in ("a.csv", "a.tsv"):
        (tmp_path / name).write_text(content)
        for reading in ({}, {"source": "wide"}):
            with pytest.raises(cg.ClinicalGRUError) as refused:
                cg.read_events(tmp_path / name, **reading)
            assert "C7" not in str(refused.value)
        for table in ("stays", "outcomes"):
            with pytest.raises(cg.ClinicalGRUError) as refused:
                cg.read_events(three, **{table: tmp_path / name})
            assert "C7" not in str(refused.value)


def test_only_the_same_header_again_is_a_row_to_count(three, tmp_path):
    path, content = tmp_path / "a.csv", text(three)
    path.write_bytes(content + content.split(b"\n")[0] + b"\n")
    assert cg.read_events(path, max_rejected=0.2).ledger.rejected["repeated header"] == 1
    path.write_bytes(content + text(three[three.columns[::-1]]))
    with pytest.raises(InputError, match=r"a\.csv, row 17, column time.*a header of other columns"):
        cg.read_events(path)


@pytest.mark.slow
def test_whatever_speaks_arrow_is_read(three, three_read):
    expected, table = values_of(three_read), pa.Table.from_pandas(three)
    with duckdb.connect() as connection:
        connection.register("three", table)
        for data in (table, table.to_batches()[0], table.to_reader(max_chunksize=2), connection.sql("FROM three")):
            assert values(data) == expected
    assert (
        values(
            table.to_reader(), max_rejected=1.0, stays=pa.table({"patient_id": ["007"], "stay_id": ["1"]}).to_reader()
        )
        == expected[:5]
    )


@pytest.mark.slow
def test_floating_point_of_16_bits_bytes_and_wide_decimals_are_read(three, three_read):
    numbers = three.assign(value=pd.to_numeric(three["value"]))
    small = numbers.assign(value=numbers["value"].astype(np.float16))
    assert np.allclose(values(small), values(numbers), rtol=1e-3)
    table = pa.Table.from_pandas(three)
    table = table.set_column(0, "patient_id", table["patient_id"].cast(pa.binary()))
    assert values(table) == values_of(three_read)
    with pytest.raises(InputError, match="column patient_id"):
        cg.read_events(table.set_column(0, "patient_id", pa.array([b"\xff"] * 15)))


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("form", ["frame", "parquet", "stays"])
def test_times_with_a_zone_are_instants_at_every_precision(three, tmp_path, unit, form):
    rows = three.iloc[:3].drop(columns="available_at")
    zoned = pd.to_datetime(rows["time"]).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo").dt.as_unit(unit)
    rows, stays = rows.assign(time=zoned), None
    if form == "parquet":
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), tmp_path / "x.parquet", version="2.6")
        rows = tmp_path / "x.parquet"
    if form == "stays":
        stays = pd.DataFrame({"patient_id": ["007"], "stay_id": ["1"], "start": zoned.iloc[:1]})
    events = cg.read_events(rows, stays=stays, timezone="America/New_York")
    assert str(events.to_frame()["time"].iloc[0]) == "2031-01-01 08:00:00"
    if form == "stays":
        assert events.stays["start"].iloc[0] == events.to_frame()["time"].astype("datetime64[us]").astype(int).iloc[0]


def test_what_the_system_refuses_is_one_clear_error(three, tmp_path):
    assert system_error_number("IO Error: Could not write file: No space left on device") == 28
    with pytest.raises(InputError, match="a longer name"):
        cg.read_events(tmp_path / ("a" * 300 + ".csv"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        cg.read_events(tmp_path / "file" / "a.csv")
    if os.geteuid():
        path = tmp_path / "a.csv"
        path.write_bytes(text(three))
        Path(path).chmod(0)
        with pytest.raises(InputError, match="permission denied"):
            cg.read_events(path)


@pytest.mark.parametrize("form", ["plain", "nanoseconds and a duration", "a column file_row_number"])
def test_rows_of_parquet_are_numbered_by_the_file_so_that_all_cores_read_it(tmp_path, form):
    n_rows, wrong = 500, 345
    rows = pd.DataFrame({"patient_id": "p", "stay_id": "s", "time": np.arange(n_rows) / 100, "variable": "heart_rate"})
    rows["value"] = np.where(np.arange(n_rows) == wrong, 9000.0, 80.0)
    if form.startswith("nano"):
        rows["time"] = pd.to_datetime("2030-01-01") + pd.to_timedelta(rows["time"], unit="h").astype("m8[ns]")
        rows["elapsed"] = pd.to_timedelta(np.arange(n_rows), unit="s").astype("m8[ns]")
    if form.startswith("a column"):
        rows["file_row_number"] = 7
    rows.to_parquet(tmp_path / "labs.parquet", index=False, row_group_size=50)
    where = cg.read_events(tmp_path / "labs.parquet").ledger.findings["where"]
    assert where.tolist() == [f"labs.parquet, row {wrong}, column value"]
    connection = duckdb.connect()
    (part,) = tables.open_parts(connection, tmp_path / "labs.parquet")
    plan = connection.sql(f"EXPLAIN SELECT {part.place} FROM {part.relation}").fetchall()[0][1]
    assert ("WINDOW" in plan.upper()) == form.startswith("a column")  # which one thread computes alone
    assert "file_row_number" not in part.types or form.startswith("a column")
    other = replace(part, sql=f"(SELECT 1 AS one FROM {part.sql})")  # of which the file knows no numbers
    assert connection.sql(f"SELECT {other.place} FROM {other.relation}").fetchall()[-1] == (n_rows - 1,)


def test_a_folder_of_archives_alone_and_an_archive_say_what_to_do(tmp_path):
    (tmp_path / "extract").mkdir()
    with zipfile.ZipFile(tmp_path / "extract" / "tables.zip", "w") as packed:
        packed.writestr("labs.csv", "patient_id,time,variable,value\n")
    (tmp_path / "extract" / "README.md").write_text("read me")
    for source in sorted(SOURCES.keys() - {"sql", "yaib"}):
        with pytest.raises(InputError, match=r"extract: .*archives only\. Unpack tables\.zip"):
            cg.read_events(tmp_path / "extract", source=source)
    rows = pd.DataFrame({"patient_id": ["1"], "time": [0.0], "variable": ["heart_rate"], "value": [80.0]})
    for data in (tmp_path / "extract" / "tables.zip", tmp_path / "extract"):
        with pytest.raises(InputError, match="Unpack"):
            cg.read_events(rows, stays=data)


@pytest.mark.parametrize("kind", ["pandas", "Arrow", "polars"])
@pytest.mark.parametrize("argument", ["data", "stays", "outcomes"])
def test_a_single_column_is_no_table(kind, argument):
    rows = pd.DataFrame({"patient_id": ["1"], "time": [0.0], "variable": ["heart_rate"], "value": [80.0]})
    make = {
        "pandas": lambda: rows["value"],
        "Arrow": lambda: pa.chunked_array([[1.0]]),
        "polars": lambda: pytest.importorskip("polars").Series([1.0]),
    }
    with pytest.raises(InputError, match=r"a single column, such as a Series\. Pass the whole table"):
        cg.read_events(**({"data": rows} | {argument: make[kind]()}))


def test_a_table_without_columns_says_so(tmp_path):
    pa.table({}).to_pandas().to_parquet(tmp_path / "none.parquet")
    for data in (pd.DataFrame(), pd.DataFrame(index=range(3)), pa.table({}), tmp_path / "none.parquet"):
        with pytest.raises(InputError, match="a table with columns; got one without"):
            cg.read_events(data)
