"""Several tables in one extract, each with its own reading arguments; values that are limits of detection."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.ingest.data_tables import OWN
from clinicalgru.data.reading import arguments_like

VITALS = pd.DataFrame(
    {
        "MRN": ["1", "1", "2"],
        "Encounter": ["11", "11", "21"],
        "Taken": ["01/02/2030 08:00", "01/02/2030 09:00", "01/02/2030 08:30"],
        "HR": [80, 82, 999],
        "Temp": [98.6, 99.5, 100.4],
    }
)
LABS = pd.DataFrame(
    {
        "patient_id": ["1", "2", "2", "3"],
        "time": ["2030-01-02 08:10", "2030-01-02 08:40", "2030-01-02 09:00", "2030-01-02 09:00"],
        "variable": ["2160-0", "2524-7", "2524-7", "2160-0"],
        "value": ["1.1", "<0.2", "hemolysed", "> 20.5"],
        "unit": ["mg/dL", "mmol/L", "mmol/L", "mg/dL"],
    }
)
STAYS = pd.DataFrame({"patient_id": list("123"), "stay_id": ["11", "21", "31"], "start": ["2030-01-02"] * 3})
OF_VITALS = {
    "source": "wide",
    "columns": {
        "patient_id": "MRN",
        "stay_id": "Encounter",
        "time": "Taken",
        "heart_rate": "HR",
        "temperature": "Temp",
    },
    "units": {"temperature": "degF"},
    "time_format": "%m/%d/%Y %H:%M",
    "missing": [999],
}
OPTIONS: dict[str, Any] = {"vocabulary": "loinc", "allow": "all", "max_rejected": 0.9}


def rows(events: Any) -> list[tuple[str, str, str, float]]:
    frame = events.to_frame()
    return list(
        zip(frame["stay_id"], frame["time"].dt.strftime("%H:%M"), frame["variable"], frame["value"], strict=True)
    )


def test_each_table_is_read_by_its_own_arguments_and_counted_in_the_ledger():
    events = cg.read_events([{"data": VITALS, **OF_VITALS}, LABS], stays=STAYS, **OPTIONS)
    assert rows(events) == [
        ("11", "08:00", "heart_rate", 80),
        ("11", "08:00", "temperature", pytest.approx(37)),
        ("11", "08:10", "creatinine", 1.1),  # no stay_id there: by patient and time
        ("11", "09:00", "heart_rate", 82),
        ("11", "09:00", "temperature", pytest.approx(37.5)),
        ("21", "08:30", "temperature", pytest.approx(38)),
    ]
    assert events.ledger.rows_in == 6 + 4
    assert {note: n for note, n in events.ledger.notes.items() if note.startswith("rows of")} == {
        "rows of table 1": 6,
        "rows of table 2": 4,
    }
    assert "table 2, row" in str(events.ledger)
    assert events.ledger.missing == 1


def test_what_one_table_lacks_leaves_equal_cells_of_the_others_alone():
    noon = pd.Timestamp("2030-01-03 12:00")
    cells = {"patient_id": ["1"], "time": [noon], "variable": ["glucose"], "value": [10.0]}
    stays = pd.DataFrame(
        {"patient_id": ["1", "1"], "stay_id": ["1", "12"], "start": pd.to_datetime(["2030-01-01", "2030-01-03"])}
    )
    with_stay, without = pd.DataFrame({**cells, "stay_id": ["1"]}), pd.DataFrame(cells)
    later = without.assign(time=noon + pd.Timedelta(hours=1))
    with_unit = pd.concat([later.assign(unit="mmol/L"), later.assign(unit="", time=noon + pd.Timedelta(hours=2))])
    in_mmol = {"units": {"glucose": " mmol/L"}}  # spelt as cells may be
    events = cg.read_events([with_stay, {"data": without, **in_mmol}, with_unit], stays=stays)
    converted = pytest.approx(180.156)
    assert rows(events) == [
        ("1", "12:00", "glucose", 10),  # its own stay, which its patient's number names too; the dictionary's unit
        ("12", "12:00", "glucose", converted),
        ("12", "13:00", "glucose", converted),
        ("12", "14:00", "glucose", 10),
    ]
    assert events.ledger.converted == {"glucose: mmol/L -> mg/dL": 2}


@pytest.mark.slow
def test_files_of_a_folder_give_the_same_and_a_record_reads_the_next_extract(tmp_path: Path):
    VITALS.to_csv(tmp_path / "vitals.csv", index=False)
    LABS.to_csv(tmp_path / "labs.csv", index=False)
    tables = [{"data": "vitals.csv", **OF_VITALS}, {"data": "labs.csv"}]
    (tmp_path / "tables.yaml").write_text(json.dumps(tables))
    events = cg.read_events([{"data": VITALS, **OF_VITALS}, LABS], stays=STAYS, **OPTIONS)
    for given in (tables, tmp_path / "tables.yaml"):
        of_files = cg.read_events(tmp_path, data_tables=given, stays=STAYS, **OPTIONS)
        assert rows(of_files) == rows(events)
        assert of_files.ledger.notes["rows of labs.csv"] == 4
    again = cg.read_events(
        tmp_path, **arguments_like(of_files.reading, {"stays": STAYS}), allow="all", max_rejected=0.9
    )
    assert rows(again) == rows(events)
    like = arguments_like(events.reading, {"stays": STAYS})
    assert rows(cg.read_events([VITALS, LABS], **like, allow="all", max_rejected=0.9)) == rows(events)


@pytest.mark.parametrize(("rule", "lower", "upper"), [("bound", 0.2, 20.5), ("half", 0.1, 20.5)])
def test_a_limit_of_detection_is_a_value_on_request_and_counted(rule, lower, upper):
    events = cg.read_events(LABS, detection_limits=rule, **OPTIONS)
    assert [value for *_, value in rows(events)] == [1.1, lower, upper]
    notes = {note: n for note, n in events.ledger.notes.items() if "detection" in note}
    assert notes == {f"limits of detection used as values: {name}": 1 for name in ("creatinine", "lactate")}
    assert events.ledger.rejected == {"value is not a number": 1}
    assert events.reading["detection_limits"] == rule
    assert len(cg.read_events(LABS, **OPTIONS)) == 1


def test_what_is_refused_says_what_to_do():
    def refused(data: Any, match: str, **options: Any) -> None:
        with pytest.raises(cg.ClinicalGRUError, match=match):
            cg.read_events(data, **{**OPTIONS, **options})

    refused([{"data": VITALS, **OF_VITALS}, LABS], "table 2: Expected a column stay_id")
    refused([{"data": VITALS, **OF_VITALS, "anchor": "icu"}, LABS], "got anchor of table 1", stays=STAYS)
    refused([{"data": VITALS, **OF_VITALS, "source": "omop"}, LABS], "another source of table 1", stays=STAYS)
    refused([{"data": VITALS, **OF_VITALS, "columns": {"patient_id": "id"}}, LABS], "table 1", stays=STAYS)
    refused([VITALS, LABS], "as many data_tables as tables", data_tables=[OF_VITALS])
    refused(VITALS, "data as a folder, or a list", data_tables=[OF_VITALS])
    refused([{"data": VITALS, **OF_VITALS}, LABS], "a source of one table", source="mimic-iv")
    refused(LABS, "detection_limits", detection_limits="double")
    refused("extract", "limits of detection", source="physionet2012", detection_limits="half")


def test_own_arguments_are_arguments_of_read_events():
    assert set(OWN) <= set(inspect.signature(cg.read_events).parameters)
