"""Values with an abnormality flag, read as if the flag had stood in a column of its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.ingest.value_flags import NOTE
from clinicalgru.errors import ArgumentError, InputError

FLAGGED = [
    "5.4 H",
    "5.4H",
    " 5.4 (L) ",
    "5.4*",
    "*5.4",
    "H 5.4",
    "5.4 [HH]*",
    "5.4 high",
    "5.4 (Critical)",
    "↑ 5.4",
    "5.4 A",
]
OTHERS = ["5.4 h", "5.4 HX", "5.4 C", "about 5.4 H", "5.4 5.5 H", "H", "5.4+", "5.4 mmol/L"]


def rows(values: list[str], variable: str = "lactate", **more: object) -> pd.DataFrame:
    return pd.DataFrame(
        {"patient_id": "1", "time": [float(i) for i in range(len(values))], "variable": variable, "value": values}
    ).assign(**more)


@pytest.mark.parametrize("kind", ["frame", "csv", "wide"])
def test_as_numbers_without_the_flag(kind: str, tmp_path: Path) -> None:
    data: object = rows([*FLAGGED, "5.4"])
    source = "long"
    if kind == "csv":
        data = tmp_path / "rows.csv"
        rows([*FLAGGED, "5.4"]).to_csv(data, index=False)
    if kind == "wide":
        data, source = rows([*FLAGGED, "5.4"]).rename(columns={"value": "lactate"}).drop(columns="variable"), "wide"
    events = cg.read_events(data, source=source, flags_in_values=True)
    assert events.measurements["value"].to_pylist() == [5.4] * (len(FLAGGED) + 1)
    assert events.ledger.notes[NOTE] == len(FLAGGED)
    assert events.reading["flags_in_values"] is True


def test_others_stay_rejected_and_nothing_is_lost() -> None:
    ledger = cg.read_events(rows([*OTHERS, "5.4"]), flags_in_values=True, max_rejected=1).ledger
    assert ledger.rejected == {"value is not a number": len(OTHERS)}
    assert ledger.used == 1
    assert ledger.rows_in == len(OTHERS) + 1
    assert NOTE not in ledger.notes


def test_a_letter_that_is_a_unit_of_the_variable_is_no_flag() -> None:
    values = ["0.5 L", "0.5 L*", "500 H"]
    only_flags = cg.read_events(rows(values, "urine_output"), flags_in_values=True, max_rejected=1)
    assert only_flags.measurements["value"].to_pylist() == [500.0]
    both = cg.read_events(rows(values, "urine_output"), flags_in_values=True, units_in_values=True, max_rejected=1)
    assert both.measurements["value"].to_pylist() == [500.0, 500.0]
    assert both.ledger.rejected == {"value is not a number": 1}


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("99 mg/dL H", "mg/dL"),
        ("99 H mg/dL", "mg/dL"),
        ("99 mg / dL*", "mg / dL"),
        ("99(H) mg/dL", "mg/dL"),
        ("99 mg/dL (L)", "mg/dL"),
        ("99 mg / dL", "mg / dL"),
    ],
)
def test_with_units_behind(value: str, unit: str) -> None:
    events = cg.read_events(rows([value], "glucose"), flags_in_values=True, units_in_values=True)
    expected = cg.read_events(rows(["99"], "glucose", unit=unit))
    assert events.measurements.equals(expected.measurements)
    assert events.ledger.notes.get(NOTE, 0) == ("H" in value or "*" in value or "(L)" in value)


def test_with_bounds_pairs_and_decimal_commas() -> None:
    table = rows(["<0,2 L", "120/80 H", "38,5*"], "x").assign(variable=["lactate", "BP", "temperature"])
    how = {"decimal": ",", "detection_limits": "bound", "names": {"BP": "sbp/dbp"}}
    found = cg.read_events(table, flags_in_values=True, **how).measurements
    assert sorted(found["value"].to_pylist()) == pytest.approx([0.2, 38.5, 80.0, 120.0])


def test_without_the_argument_the_error_names_it() -> None:
    with pytest.raises(InputError, match="flags_in_values=True"):
        cg.read_events(rows(FLAGGED))


def test_refused() -> None:
    with pytest.raises(ArgumentError, match="flags_in_values"):
        cg.read_events(rows(FLAGGED), flags_in_values="yes")
    with pytest.raises(ArgumentError, match="flags_in_values"):
        cg.read_events("extract", source="eicu", flags_in_values=True)
