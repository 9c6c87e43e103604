"""Rows with a stay and no patient: the table of stays has the patients. What is read equals that of rows with both."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.errors import InputError

STAYS = pd.DataFrame(
    {"patient_id": ["p1", "p1", "p2"], "stay_id": ["11", "12", "21"], "age": [60.0, 61.0, 70.0], "sex": [0, 0, 1]}
)
ROWS = pd.DataFrame(
    [
        ("p1", "11", 0.0, "heart_rate", 80.0),
        ("p1", "12", 1.5, "heart_rate", 90.0),
        ("p2", "21", 2.0, "lactate", 1.5),
        ("p2", "21", 2.0, "heart_rate", 900.0),
        ("p1", " 11", 3.0, "map", 70.0),
    ],
    columns=["patient_id", "stay_id", "time", "variable", "value"],
)
WIDE = pd.DataFrame(
    {
        "patient_id": ["p1", "p2"],
        "stay_id": ["12", "21"],
        "time": [0.0, 4.0],
        "heart_rate": [88.0, None],
        "map": [65, 70],
    }
)


def without_patients(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns="patient_id")


def read(data: object, **arguments: object) -> cg.Events:
    return cg.read_events(data, **{"stays": STAYS, "max_rejected": 0.5, **arguments})


def assert_equal(events: cg.Events, expected: cg.Events) -> None:
    pd.testing.assert_frame_equal(events.stays, expected.stays)
    assert events.measurements.equals(expected.measurements)
    counted = ["reason", "variable", "rows", "series"]
    pd.testing.assert_frame_equal(events.ledger.findings[counted], expected.ledger.findings[counted])
    assert events.ledger.rows_in == expected.ledger.rows_in


@pytest.mark.parametrize("form", ["long", "wide"])
@pytest.mark.parametrize("kind", ["frame", "csv", "parquet"])
def test_as_with_patients(form: str, kind: str, tmp_path: Path) -> None:
    whole = ROWS if form == "long" else WIDE
    rows = data = without_patients(whole)
    if kind != "frame":
        data = tmp_path / f"rows.{kind}"
        rows.to_csv(data, index=False) if kind == "csv" else rows.to_parquet(data)
    assert_equal(read(data, source=form), read(whole, source=form))


def test_several_tables_of_which_one_has_patients() -> None:
    tables = [{"source": "long"}, {"source": "wide"}]
    events = read([without_patients(ROWS), WIDE], data_tables=tables)
    assert_equal(events, read([ROWS, WIDE], data_tables=tables))


def test_a_stay_that_the_table_lacks_is_rejected_by_name() -> None:
    rows = pd.concat([without_patients(ROWS), pd.DataFrame([("99", 1.0, "map", 60.0)], columns=ROWS.columns[1:])])
    events = read(rows)
    (finding,) = events.ledger.findings.query("reason == 'stay not in the stays table'").to_dict("records")
    assert finding["rows"] == 1
    assert finding["where"].endswith("row 5, column stay_id")


def test_a_blank_stay_has_no_identifier() -> None:
    rows = without_patients(ROWS).assign(stay_id=["11", None, "21", "21", "11"])
    findings = read(rows).ledger.findings.set_index("reason")
    assert findings.at["no identifier", "rows"] == 1
    assert findings.at["no identifier", "where"].endswith("row 1, column stay_id")


def test_stays_of_two_patients_are_refused() -> None:
    stays = STAYS.assign(stay_id=["11", "12", "11"])
    with pytest.raises(InputError, match=r"stays, .*row 2: Expected each stay_id once; .*columns=.*patient_id"):
        read(without_patients(ROWS), stays=stays)


@pytest.mark.parametrize("drop", [["patient_id"], ["patient_id", "stay_id"]])
def test_without_a_stays_table_patients_are_needed(drop: list[str]) -> None:
    stays = None if drop == ["patient_id"] else STAYS
    with pytest.raises(InputError, match="Expected a column patient_id"):
        cg.read_events(ROWS.drop(columns=drop), stays=stays)


def test_ranges_of_unmapped_names_count_patients_and_not_stays() -> None:
    n = 22
    stays = pd.DataFrame({"patient_id": [f"p{i // 11}" for i in range(n)], "stay_id": [str(i) for i in range(n)]})
    rows = pd.DataFrame({"stay_id": stays["stay_id"], "time": 1.0, "heart_rate": 80.0, "shoe": 40.0})
    one_stay_each = stays.assign(patient_id=stays["stay_id"])
    low = {
        name: cg.unmapped(cg.read_events(rows, source="wide", stays=table))["low"].tolist()
        for name, table in {"two patients": stays, "22 patients": one_stay_each}.items()
    }
    assert low["22 patients"] == [40.0]
    assert pd.isna(low["two patients"]).all()


def test_one_column_named_as_patient_and_stay_of_all_tables_is_explained() -> None:
    outcomes = pd.DataFrame({"visit": ["11", "12", "21"], "death": [0, 1, 0]})
    columns = {"patient_id": "visit", "stay_id": "visit", "stays": {"patient_id": "patient_id"}}
    rows, stays = (table.rename(columns={"stay_id": "visit"}) for table in (without_patients(ROWS), STAYS))
    with pytest.raises(InputError, match=r"3 outcomes of stays with other patients\. Name the columns of each table"):
        cg.read_events(rows, stays=stays, outcomes=outcomes, columns=columns)
