"""Large text tables are read in blocks: with the same result, and the same refusals, as by the careful reader alone."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest
from helpers import slow_but

import clinicalgru as cg
from clinicalgru.data.ingest import csv_blocks
from clinicalgru.data.sources import long_and_sql

HEADER = "patient_id,stay_id,time,variable,value,unit,ward\n"
ROWS = [
    f"{i % 3:02},{i % 3:02},2031-01-01 0{i % 9}:{i % 6}0:00,{name},{value},{unit},A b\n"
    for i, (name, value, unit) in enumerate(
        [("heart_rate", 80, "/min"), ("temperature", 98.6, "[degF]"), ("glucose", 5, "mmol/L"), ("nonsense", 1, "")] * 5
    )
]
PLAIN = HEADER + "".join(ROWS)
QUOTED = pd.DataFrame([row.strip().split(",") for row in [HEADER, *ROWS]]).to_csv(index=False, header=False, quoting=1)
IN_BLOCKS = {  # texts that are well-formed throughout
    "plain": PLAIN.encode(),
    "quoted": QUOTED.encode(),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "blanks and words for missing": PLAIN.replace("glucose,5", " glucose ,NA").replace("A b", " ").encode(),
    "not ASCII": PLAIN.replace("[degF]", "°F").encode(),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "header again": (PLAIN + HEADER + ROWS[0]).encode(),
    "last line without end": PLAIN[:-1].encode(),
    "last line cut off in a cell": PLAIN[:-2].encode(),
    "empty and quoted empty cells": (PLAIN + ROWS[0].replace("80", '""') + ROWS[1].replace("98.6", "")).encode(),
    "a delimiter within quotes": (PLAIN + ROWS[0].replace("A b", '"A,b"')).encode(),
}
NOT_IN_BLOCKS = {  # what another parser might read in another way
    "windows": PLAIN.replace("\n", "\r\n").encode(),
    "one carriage return": (PLAIN + ROWS[0].replace("\n", "\r\n")).encode(),
    "blank line": (PLAIN + "\n" + ROWS[0]).encode(),
    "quote within a cell": (PLAIN + ROWS[0].replace("A b", 'A"b')).encode(),
    "doubled quotes": (PLAIN + ROWS[0].replace("A b", '"A""b"')).encode(),
    "line end within quotes": (PLAIN + ROWS[0].replace("A b", '"A\nb"') + ROWS[1]).encode(),
    "quote that never closes": (PLAIN + ROWS[0].replace("A b", '"A b')).encode(),
    "a cell too many": (PLAIN + ROWS[0].replace("A b", "A,b")).encode(),
    "a cell too few": (PLAIN + ROWS[0].replace(",A b", "")).encode(),
    "a delimiter at the end": (PLAIN + ROWS[0].replace("\n", ",\n")).encode(),
    "Latin-1": PLAIN.replace("[degF]", "°F").encode("latin-1"),
    "NUL": PLAIN.encode() + b"\0",
    "mark in the middle": PLAIN.encode() + b"\xef\xbb\xbf" + PLAIN.encode(),
    "only a header": HEADER.encode(),
}
QUICK = ("quoted", "not ASCII", "header again", "windows", "quote within a cell", "a cell too many", "NUL")


def fingerprint(path: Path) -> str:
    """All that is read of a file, or why it is refused."""
    try:
        events = cg.read_events(path, max_rejected=1.0)
    except cg.ClinicalGRUError as error:
        return str(error)
    tables = [events.to_frame(), events.stays, events.ledger.findings]
    counts = [events.ledger.rows_in, events.ledger.used, events.ledger.merged, dict(events.ledger.notes)]
    return "\n".join([*(table.to_csv() for table in tables), str(counts), str(events.implausible.to_pydict())])


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each read was in blocks, from here on small ones."""
    answers: list[bool] = []

    def noted(*arguments: object) -> bool:
        answers.append(original(*arguments))  # type: ignore[arg-type]
        return answers[-1]

    original = long_and_sql._add_in_blocks
    monkeypatch.setattr(long_and_sql, "_add_in_blocks", noted)
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 300)
    chunks = csv_blocks.plain_chunks  # pieces of 100 bytes, so that a fault comes after blocks that were taken in
    pieces = lambda path: (c[i : i + 100] for c in chunks(path) for i in range(0, len(c), 100))  # noqa: E731
    monkeypatch.setattr(csv_blocks, "plain_chunks", pieces)
    return answers


@pytest.mark.parametrize("name", slow_but(QUICK, [*IN_BLOCKS, *NOT_IN_BLOCKS]))
def test_blocks_change_nothing(tmp_path, monkeypatch, in_blocks, name):
    path = tmp_path / "rows.csv"
    path.write_bytes((IN_BLOCKS | NOT_IN_BLOCKS)[name])
    careful = fingerprint(path)
    monkeypatch.setattr(csv_blocks, "SMALLEST_FILE", 0)
    assert fingerprint(path) == careful
    assert in_blocks == [False, name in IN_BLOCKS]


@pytest.mark.slow
def test_compressed_files_of_a_folder_and_one_that_is_damaged(tmp_path, monkeypatch, in_blocks):
    for number in range(2):
        (tmp_path / f"{number}.csv.gz").write_bytes(gzip.compress(PLAIN.encode()))
    careful = fingerprint(tmp_path)
    monkeypatch.setattr(csv_blocks, "SMALLEST_FILE", 0)
    assert fingerprint(tmp_path) == careful
    (tmp_path / "1.csv.gz").write_bytes(gzip.compress(PLAIN.encode())[:-6])
    assert "truncated or corrupt" in fingerprint(tmp_path)
    (tmp_path / "1.csv.gz").write_bytes(gzip.compress(PLAIN.replace(",ward", ",bed").encode()))
    assert "a file without ward" in fingerprint(tmp_path)
    (tmp_path / "1.csv.gz").write_bytes(gzip.compress((HEADER + ROWS[0] * 5000).encode()))  # packs beyond the usual
    assert "98.6" not in fingerprint(tmp_path / "1.csv.gz")
    assert in_blocks == [False, True, False, False, False]
