"""Rows that a filter leaves out are counted, and what remains is read as if they had never been there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.ledger import LEFT_OUT
from clinicalgru.errors import ArgumentError, InputError

ROWS = pd.DataFrame(
    {
        "patient_id": "1",
        "time": [float(hour) for hour in range(8)],
        "variable": ["lactate", "creatinine"] * 4,
        "value": ["1.5", "1.1", "2.5", "0.2", "oops", "1.3", None, "1.4"],
        "Status": ["final", " FINAL ", "corrected", "final", "in error", None, "final", "in error"],
        "operator": ["EQ", "EQ", "EQ", "LT", "EQ", "EQ", "EQ", "EQ"],
        "ERROR": [0.0, None, 0.0, 0.0, 0.0, 0.0, None, 1.0],
    }
)
FILTER = {"STATUS": ["Final", "corrected"], "operator": ["EQ"], "error": [0, ""]}
KEPT = ROWS.iloc[[0, 1, 2, 6]]


@pytest.mark.parametrize("kind", ["frame", "csv", "parquet", "folder", "several"])
def test_the_rest_is_read_as_if_the_others_were_not_there(kind: str, tmp_path: Path) -> None:
    data: object = ROWS
    if kind in ("csv", "folder"):
        data = tmp_path if kind == "folder" else tmp_path / "rows.csv"
        ROWS.to_csv(tmp_path / "rows.csv", index=False)
    if kind == "parquet":
        data = tmp_path / "rows.parquet"
        ROWS.to_parquet(data)
    if kind == "several":
        data = [{"data": ROWS, "row_filter": FILTER}, ROWS.iloc[:0]]
    events = cg.read_events(data, **({} if kind == "several" else {"row_filter": FILTER}))
    pd.testing.assert_frame_equal(events.to_frame(), cg.read_events(KEPT).to_frame())
    assert events.ledger.rejected == {LEFT_OUT: 4, "missing value": 1}
    assert events.ledger.rows_in == 8 == events.ledger.used + 5
    assert not any(rows for note, rows in events.ledger.notes.items() if "Status" in note or "ERROR" in note)


def test_rows_left_out_do_not_count_against_the_limits() -> None:
    many = pd.concat([ROWS.assign(time=ROWS["time"] + 10 * i) for i in range(10)])
    assert cg.read_events(many, row_filter={"operator": ["LT"]}, max_rejected=0).ledger.used == 10


def test_a_bundle_reads_as_its_training_did() -> None:
    assert cg.read_events(ROWS, row_filter=FILTER).reading["row_filter"] == FILTER


@pytest.mark.parametrize(
    "wrong", ["Status", {"Status": "final"}, {"Status": []}, {"Status": [None]}, {1: ["final"]}, {"Status": {"final"}}]
)
def test_another_form_is_refused(wrong: object) -> None:
    with pytest.raises(ArgumentError, match="row_filter"):
        cg.read_events(ROWS, row_filter=wrong)


def test_a_column_that_is_not_there_and_another_source_are_refused() -> None:
    with pytest.raises(InputError, match=r"the columns state, as row_filter names them; got columns .*Status"):
        cg.read_events(ROWS, row_filter={"state": ["final"]})
    wide = ROWS[["patient_id", "time", "Status"]].assign(lactate=1.5)
    with pytest.raises(ArgumentError, match="source long for row_filter"):
        cg.read_events(wide, source="wide", row_filter={"Status": ["final"]})
    with pytest.raises(ArgumentError, match="source long for row_filter"):
        cg.read_events([{"data": wide, "source": "wide", "row_filter": {"Status": ["final"]}}, ROWS])
