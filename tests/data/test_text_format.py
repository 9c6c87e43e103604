"""Text tables in other encodings than UTF-8, and numeric times in each unit, give what UTF-8 and hours give."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest
from helpers import slow_but

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, InputError

ROWS = [("p1", 0.5, "Hjärtfrekvens", "88", "/min"), ("p1", 1.0, "kreatinin °", "95", "µmol/L")]
TABLE = pd.DataFrame(ROWS, columns=["patient_id", "time", "variable", "value", "unit"])
NAMES = {"Hjärtfrekvens": "heart_rate", "kreatinin °": "creatinine"}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "encoding", slow_but(("utf-8", "utf-16"), ["utf-8", "latin-1", "windows-1252", "utf-16", "utf-8-sig", "mac-roman"])
)
def test_every_encoding_gives_the_same_extract(tmp_path: Path, encoding: str, packed: bool) -> None:
    text = TABLE.to_csv(index=False).encode(encoding)
    path = tmp_path / ("rows.csv.gz" if packed else "rows.csv")
    path.write_bytes(gzip.compress(text) if packed else text)
    stays = tmp_path / "stays.csv"
    stays.write_bytes("patient_id,stay_id,sex,ward é\np1,p1,f,Nord\n".encode(encoding))
    events = cg.read_events(path, stays=stays, names=NAMES, encoding=encoding)
    usual = cg.read_events(TABLE, names=NAMES)
    assert events.measurements.equals(usual.measurements)
    assert events.ledger.converted == usual.ledger.converted
    assert events.stays["sex"].tolist() == [0.0]


def test_a_byte_without_a_meaning_is_refused_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(TABLE.to_csv(index=False).encode("latin-1") + b"p1,2,\x81,7,\n")
    with pytest.raises(InputError, match=r"rows\.csv, row \d or later: Expected text in windows-1252"):
        cg.read_events(path, encoding="windows-1252", names=NAMES)


def test_text_that_is_not_utf_8_asks_for_its_encoding(tmp_path: Path) -> None:
    for encoding, word in (("latin-1", "windows-1252"), ("utf-16", "utf-16")):
        path = tmp_path / "rows.csv"
        path.write_bytes(TABLE.to_csv(index=False).encode(encoding))
        with pytest.raises(InputError, match=f"Expected UTF-8 text; .*pass its encoding, such as .{word}"):
            cg.read_events(path, names=NAMES)


@pytest.mark.parametrize("encoding", ["klingon", "rot13", 7, "", "undefined"])
def test_an_encoding_that_does_not_exist_is_refused(encoding: object) -> None:
    with pytest.raises(ArgumentError, match='Pass a name such as "utf-8"'):
        cg.read_events(TABLE, names=NAMES, encoding=encoding)


@pytest.mark.parametrize("source", ["long", "wide"])
@pytest.mark.parametrize("kind", slow_but(("text", "file"), ["text", "types", "file"]))
def test_a_date_and_a_time_in_two_columns_are_one_moment(tmp_path: Path, source: str, kind: str) -> None:
    """A row with a date alone has no time of day, as in one column."""
    clock = ["08:00", "09:30", "23:59", None]
    rows = pd.DataFrame(
        {"patient_id": "1", "stay_id": "1", "Day": "2024-01-02", "At": clock, "heart_rate": range(80, 84)}
    )
    one = rows.drop(columns=["Day", "At"]).assign(time=[f"2024-01-02 {at}" if at else "2024-01-02" for at in clock])
    stays = pd.DataFrame({"patient_id": ["1"], "stay_id": ["1"], "In": ["2024-01-01"], "InAt": ["22:15"]})
    if source == "long":
        rows = rows.melt(["patient_id", "stay_id", "Day", "At"], var_name="variable", value_name="value")
        one = one.melt(["patient_id", "stay_id", "time"], var_name="variable", value_name="value")
    usual = cg.read_events(one, stays=stays.assign(start="2024-01-01 22:15"), source=source)
    if kind == "types":
        rows = rows.assign(Day=pd.to_datetime(rows["Day"]), At=pd.to_datetime(rows["At"], format="%H:%M").dt.time)
    data = tmp_path / "rows.csv" if kind == "file" else rows
    if kind == "file":
        rows.to_csv(data, index=False)
    columns = {"time": "day + At", "stays": {"start": "In + InAt"}}
    events = cg.read_events(data, stays=stays, source=source, columns=columns)
    assert events.measurements.equals(usual.measurements)
    pd.testing.assert_frame_equal(events.stays, usual.stays)
    assert "column not used: Day" not in events.ledger.notes
    again = cg.read_events(data, stays=stays, **{k: v for k, v in events.reading.items() if k in ("source", "columns")})
    assert again.measurements.equals(usual.measurements)


def with_commas(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(str).replace(r"^(\D?\d*)\.(\d+)$", r"\1,\2", regex=True)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["long", "wide"])
def test_decimal_commas_give_what_points_give(tmp_path: Path, source: str) -> None:
    values = ["36.5", "1e2", "88", ".5", "<0.2", "+7.25"]
    rows = pd.DataFrame({"patient_id": "1.5", "stay_id": "1.5", "time": [0.5, 1, 1.25, 2, 3, 4], "lactate": values})
    if source == "long":
        rows = rows.melt(["patient_id", "stay_id", "time"], var_name="variable", value_name="value")
    stays = pd.DataFrame({"patient_id": ["1.5"], "stay_id": ["1.5"], "start": ["0.25"], "age": ["71.5"]})
    outcomes = pd.DataFrame({"stay_id": ["1.5"], "length_of_stay": ["3.5"]})
    keys = {"patient_id": "1.5", "stay_id": "1.5"}
    options = {"source": source, "detection_limits": "half", "max_rejected": 1}
    usual = cg.read_events(rows, stays=stays, outcomes=outcomes, **options)
    tables = {
        name: with_commas(table).assign(**{key: value for key, value in keys.items() if key in table})
        for name, table in {"rows": rows, "stays": stays, "outcomes": outcomes}.items()
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", sep=";", index=False)
    paths = {name: tmp_path / f"{name}.csv" for name in ("stays", "outcomes")}
    for given in ((tmp_path / "rows.csv", paths), (tables["rows"], {n: tables[n] for n in paths})):
        events = cg.read_events(given[0], **given[1], decimal=",", **options)
        assert events.measurements.equals(usual.measurements)
        pd.testing.assert_frame_equal(events.stays, usual.stays)


def test_a_point_is_no_decimal_where_commas_are() -> None:
    """ "1.234" may be one thousand two hundred and thirty-four."""
    rows = pd.DataFrame(
        {"patient_id": "p", "time": [0, 1, 2], "variable": "platelets", "value": ["1.234", "210", "98,5"]}
    )
    events = cg.read_events(rows, decimal=",", max_rejected=1)
    assert events.measurements["value"].to_pylist() == [210.0, 98.5]
    assert events.ledger.rejected == {"value is not a number": 1}


@pytest.mark.parametrize(
    ("column", "cell", "fix"),
    [("value", "80,5", "decimal=','"), ("time", "08:00", "'Date . Time'"), ("variable", "HF", "names=")],
)
def test_the_message_says_what_the_most_frequent_reason_needs(column: str, cell: str, fix: str) -> None:
    rows = pd.DataFrame({"patient_id": "p", "time": "1", "variable": "heart_rate", "value": "80"}, index=range(3))
    with pytest.raises(InputError, match=fix):
        cg.read_events(rows.assign(**{column: cell}))


def test_commas_are_refused_where_a_publisher_writes_points(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="Leave decimal out"):
        cg.read_events(tmp_path, source="eicu", decimal=",")


@pytest.mark.parametrize(
    ("unit", "per_hour"), [("milliseconds", 3.6e6), ("seconds", 3600), ("minutes", 60), ("days", 1 / 24)]
)
def test_numeric_times_of_each_unit_give_hours(unit: str, per_hour: float) -> None:
    there = cg.read_events(TABLE.assign(time=TABLE["time"] * per_hour), names=NAMES, time_unit=unit).measurements
    assert there.equals(cg.read_events(TABLE, names=NAMES).measurements)
