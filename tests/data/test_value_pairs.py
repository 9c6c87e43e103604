"""Values of two numbers, such as a blood pressure of 120/80, read as if an extract had written two rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.errors import DictionaryError

NAMES = {"Blood Pressure": "sbp/dbp", "Pulse": "heart_rate"}
ROWS = pd.DataFrame(
    [
        ("1", 0.0, "Blood Pressure", "120/80", "mmHg"),
        ("1", 1.0, "Pulse", "70", None),
        ("2", 2.0, " Blood Pressure", " 131.5 / 79 ", None),
        ("2", 3.0, "Blood Pressure", None, None),
        ("2", 4.0, "Blood Pressure", "16/10", "kPa"),
    ],
    columns=["patient_id", "time", "variable", "value", "unit"],
)
SINGLY = pd.DataFrame(
    [
        ("1", 0.0, "sbp", "120", "mmHg"),
        ("1", 0.0, "dbp", "80", "mmHg"),
        ("1", 1.0, "heart_rate", "70", None),
        ("2", 2.0, "sbp", "131.5", None),
        ("2", 2.0, "dbp", "79", None),
        ("2", 3.0, "sbp", None, None),
        ("2", 3.0, "dbp", None, None),
        ("2", 4.0, "sbp", "16", "kPa"),
        ("2", 4.0, "dbp", "10", "kPa"),
    ],
    columns=ROWS.columns,
)
NOTE = "rows of two values, counted as two rows: Blood Pressure"


def wide(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(unit=None).pivot(index=["patient_id", "time"], columns="variable", values="value").reset_index()


@pytest.mark.parametrize("kind", ["frame", "csv", "parquet"])
def test_as_two_rows(kind: str, tmp_path: Path) -> None:
    data: object = ROWS
    if kind != "frame":
        data = tmp_path / f"rows.{kind}"
        ROWS.to_csv(data, index=False) if kind == "csv" else ROWS.to_parquet(data)
    events, expected = cg.read_events(data, names=NAMES), cg.read_events(SINGLY)
    assert events.measurements.equals(expected.measurements)
    assert events.ledger.rows_in == expected.ledger.rows_in == len(SINGLY)
    assert events.ledger.used == expected.ledger.used
    assert events.ledger.notes[NOTE] == 4
    assert NOTE not in expected.ledger.notes


def test_a_column_of_a_wide_table() -> None:
    rows = ROWS[ROWS["unit"] != "kPa"].assign(variable=ROWS["variable"].str.strip())
    events = cg.read_events(wide(rows), source="wide", names=NAMES)
    expected = cg.read_events(wide(SINGLY[SINGLY["unit"] != "kPa"]), source="wide")
    assert events.measurements.equals(expected.measurements)
    assert events.ledger.rows_in == expected.ledger.rows_in
    kinds = ["reason", "variable", "rows"]
    pd.testing.assert_frame_equal(events.ledger.findings[kinds], expected.ledger.findings[kinds])


@pytest.mark.parametrize("value", ["120", 120.0, "high", "120/", "120/80/90", "-120/80"])
def test_what_is_no_pair_is_rejected_for_both_variables(value: object) -> None:
    rows = pd.DataFrame({"patient_id": "1", "time": [0.0], "variable": "Blood Pressure", "value": [value]})
    events = cg.read_events(rows, names=NAMES, max_rejected=1)
    reason = "value is not two numbers" if value in ("120", 120.0) else "value is not a number"
    assert set(events.ledger.findings["reason"]) == {reason}
    assert events.ledger.findings["rows"].tolist() == [1, 1]
    assert set(events.ledger.findings["variable"]) == {"sbp", "dbp"}


@pytest.mark.parametrize("missing", [[999, "not done"], {"Blood Pressure": [999, "not done"]}])
def test_values_that_mean_not_measured(missing: object) -> None:
    rows = ROWS.assign(value=["120/80", "70", "999", "not done", "16/10"])
    findings = cg.read_events(rows, names=NAMES, missing=missing).ledger.findings
    assert set(findings["reason"]) == {"missing value"}
    assert findings["rows"].sum() == 4


def test_decimal_commas() -> None:
    rows = ROWS.assign(value=ROWS["value"].str.replace(".", ","))
    events = cg.read_events(rows, names=NAMES, decimal=",")
    assert events.measurements.equals(cg.read_events(ROWS, names=NAMES).measurements)


def test_an_unknown_variable_of_a_pair_is_an_error() -> None:
    with pytest.raises(DictionaryError, match="sbp/diastole"):
        cg.read_events(ROWS, names={"Blood Pressure": "sbp/diastole"})


def test_the_bundle_keeps_the_pair() -> None:
    events = cg.read_events(ROWS, names=NAMES)
    assert events.reading["names"] == NAMES
    again = cg.read_events(ROWS, names=events.reading["names"])
    assert again.measurements.equals(events.measurements)


def test_suggestions() -> None:
    n = 12
    values = {"BP": "120/80", "Respirations": "16", "Pulse Oximetry": "97", "Blood Pressure (NIBP)": "118/60"}
    units = {"BP": "mmHg", "Pulse Oximetry": "%"}
    rows = pd.concat(
        pd.DataFrame(
            {
                "patient_id": [str(i) for i in range(n)],
                "time": 0.0,
                "variable": name,
                "value": value,
                "unit": units.get(name),
            }
        )
        for name, value in values.items()
    )
    found = cg.unmapped(cg.read_events(rows, max_rejected=1)).set_index("code")["suggestion"]
    assert found.to_dict() == {
        "BP": "sbp/dbp",
        "Respirations": "respiratory_rate",
        "Pulse Oximetry": "spo2",
        "Blood Pressure (NIBP)": "sbp/dbp",
    }


def test_a_variable_without_the_unit_is_not_suggested() -> None:
    rows = pd.DataFrame({"patient_id": "1", "time": 0.0, "variable": ["Pulse"], "value": 97.0, "unit": ["%"]})
    assert cg.unmapped(cg.read_events(rows, max_rejected=1))["suggestion"].tolist() != ["heart_rate"]
