"""Values with a unit behind the number, read as if the unit had stood in its own column."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, InputError

ROWS = pd.DataFrame(
    [
        ("temperature", "38.1 °C", None, "38.1", "°C"),
        ("temperature", " 98.6F", "", "98.6", "F"),
        ("temperature", "37", None, "37", None),
        ("spo2", "97%", "%", "97", "%"),
        ("glucose", "5.5 MMOL/L", None, "5.5", "MMOL/L"),
        ("creatinine", "1.2 mg / dL", None, "1.2", "mg / dL"),
        ("sbp", None, None, None, None),
    ],
    columns=["variable", "value", "unit", "number", "own_unit"],
).assign(patient_id="1", time=range(7))
WRITTEN = ROWS[["patient_id", "time", "variable", "value", "unit"]]
APART = ROWS.assign(value=ROWS["number"], unit=ROWS["own_unit"])[WRITTEN.columns]


@pytest.mark.parametrize("kind", ["frame", "csv"])
def test_as_units_of_their_own(kind: str, tmp_path: Path) -> None:
    data: object = WRITTEN
    if kind == "csv":
        data = tmp_path / "rows.csv"
        WRITTEN.to_csv(data, index=False)
    events, expected = cg.read_events(data, units_in_values=True), cg.read_events(APART)
    assert events.measurements.equals(expected.measurements)
    assert events.ledger.used == expected.ledger.used == 6
    assert events.ledger.rows_in == expected.ledger.rows_in == 7
    assert events.reading["units_in_values"] is True


@pytest.mark.parametrize(
    ("value", "unit", "reason"),
    [
        ("5.4 H", None, "unknown unit"),  # hours
        ("5.4 (high)", None, "value is not a number"),
        ("5.4 mmol/L*", None, "value is not a number"),
        ("about 5 mmol/L", None, "value is not a number"),
        ("5.4 mmol/L", "mg/dL", "value is not a number"),  # which of the two is not known
        ("5.4 °C", None, "unknown unit"),  # a unit, but not of this variable
    ],
)
def test_others_stay_rejected(value: str, unit: str | None, reason: str) -> None:
    rows = pd.DataFrame({"patient_id": "1", "time": [0.0], "variable": "glucose", "value": value, "unit": unit})
    assert cg.read_events(rows, units_in_values=True, max_rejected=1).ledger.findings["reason"].tolist() == [reason]


def test_with_bounds_pairs_and_decimal_commas() -> None:
    rows = pd.DataFrame(
        {
            "patient_id": "1",
            "time": [0.0, 1.0, 2.0],
            "variable": ["lactate", "BP", "temperature"],
            "value": ["<0,2 mmol/L", "120/80 mmHg", "38,5 °C"],
        }
    )
    found = cg.read_events(
        rows, units_in_values=True, decimal=",", detection_limits="bound", names={"BP": "sbp/dbp"}
    ).measurements
    assert sorted(found["value"].to_pylist()) == pytest.approx([0.2, 38.5, 80.0, 120.0])


def test_in_wide_tables() -> None:
    rows = pd.DataFrame(
        {"patient_id": ["1", "2"], "time": 0.0, "temperature": ["38.1 °C", "100.4 F"], "heart_rate": 80}
    )
    events = cg.read_events(rows, source="wide", units_in_values=True)
    assert sorted(events.measurements["value"].to_pylist()) == pytest.approx([38.0, 38.1, 80.0, 80.0])


def test_without_the_argument_the_error_names_it() -> None:
    with pytest.raises(InputError, match="units_in_values=True"):
        cg.read_events(WRITTEN[WRITTEN["variable"] == "temperature"])


def test_refused() -> None:
    with pytest.raises(ArgumentError, match="units_in_values"):
        cg.read_events(WRITTEN, units_in_values="yes")
    with pytest.raises(ArgumentError, match="units_in_values"):
        cg.read_events("extract", source="eicu", units_in_values=True)
