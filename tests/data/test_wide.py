"""Wide tables: each cell is the one of the file, blank cells are counted, and findings name the variable's column."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.events import Events

WIDE = pd.DataFrame(
    {
        "patient_id": ["007", "007", "012"],
        "stay_id": ["1", "1", "2"],
        "time": [0.0, 1.5, 0.0],
        "heart_rate": [88.0, np.nan, 120.0],
        "glucose": [90.0, 99.0, np.nan],
        "sex": ["F", "f", " Male "],
        "ward": ["A", "B", None],
    }
)
PBC = {
    "patient_id": "id",
    "stay_id": "id",
    "time": "day",
    "bilirubin_total": "bili",
    "cholesterol": "chol",
    "alkaline_phosphatase": "alk.phos",
    "platelets": "platelet",
}


def values(events: Events) -> list[tuple]:
    table = events.to_frame()
    hours = table["time"].dt.total_seconds() / 3600
    return list(zip(table["stay_id"], hours, table["variable"], table["value"].round(3), strict=True))


def test_a_wide_table_is_read_as_one_would_by_hand():
    table = WIDE.assign(glucose=[5.0, 5.5, np.nan])
    events = cg.read_events(table, source="wide", units={"glucose": "mmol/L"})
    assert values(events) == [
        ("1", 0, "glucose", 90.078),
        ("1", 0, "heart_rate", 88),
        ("1", 1.5, "glucose", 99.086),
        ("2", 0, "heart_rate", 120),
    ]
    assert events.stays["sex"].tolist() == [0, 1]
    ledger = events.ledger
    assert (ledger.rows_in, ledger.used, ledger.static_values) == (9, 4, 3)
    assert ledger.rejected == {"missing value": 2}
    assert ledger.converted == {"glucose: mmol/L -> mg/dL": 2}
    assert ledger.notes["column not used: ward"] == 2


def test_a_unit_in_brackets_behind_the_name_of_a_column_is_that_of_its_values():
    named = {"Temp (F)": "temperature", "Weight (lb)": "weight", "BP (left arm)": "sbp", "Glucose (mmol/L)": "glucose"}
    table = pd.DataFrame({"patient_id": ["1"], "time": [0.0], "Temp (F)": [98.6], "Weight (lb)": ["200"],
                          "BP (left arm)": [120], "Glucose (mmol/L)": [5.0]})  # fmt: skip
    events = cg.read_events(table, source="wide", names=named)
    found = {variable: value for _, _, variable, value in values(events)}
    assert found == {"temperature": 37.0, "weight": 90.718, "sbp": 120, "glucose": 90.078}
    assert events.ledger.converted["weight: lb -> kg"] == 1
    table["Glucose (mmol/L)"] = 90.0
    stated = cg.read_events(table, source="wide", names=named, units={"glucose": "mg/dL"})  # an argument holds
    assert ("1", 0, "glucose", 90.0) in [("1", *row[1:]) for row in values(stated)]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet", "folder"])
def test_a_file_gives_what_the_frame_gives(tmp_path, form):
    if form == "parquet":
        path = tmp_path / "wide.parquet"
        WIDE.to_parquet(path)
    else:
        path = tmp_path / ("part.csv" if form == "folder" else f"wide.{form}")
        WIDE.to_csv(path, index=False)
    events = cg.read_events(tmp_path if form == "folder" else path, source="wide")
    expected = cg.read_events(WIDE, source="wide")
    assert values(events) == values(expected)
    assert events.ledger.rejected == expected.ledger.rejected
    assert events.ledger.rows_in == expected.ledger.rows_in == 9


def test_a_finding_names_row_and_column_of_the_file(tmp_path):
    table = WIDE.rename(columns={"heart_rate": "pulse"}).astype({"pulse": object})
    table.loc[2, "pulse"] = "999"
    path = tmp_path / "wide.csv"
    table.to_csv(path, index=False)
    events = cg.read_events(path, source="wide", columns={"heart_rate": "pulse"}, max_rejected=0.5)
    found = events.ledger.findings.set_index("reason")["where"]
    assert found["implausible"] == "wide.csv, row 4, column pulse"
    missing = events.ledger.findings.query("reason == 'missing value'").set_index("variable")["where"]
    assert missing.to_dict() == {
        "heart_rate": "wide.csv, row 3, column pulse",
        "glucose": "wide.csv, row 4, column glucose",
    }


def test_text_in_a_cell_and_a_time_that_cannot_be_read_are_counted_at_their_place():
    table = WIDE.astype({"glucose": object, "time": str})
    table.loc[0, "glucose"] = "<50"
    table.loc[1, "time"] = "later"
    events = cg.read_events(table.astype({"glucose": "str"}), source="wide", max_rejected=0.9)
    found = events.ledger.findings.set_index("reason")["where"].to_dict()
    assert found["value is not a number"] == "DataFrame, row 0, column glucose"
    assert found["time not readable"] == "DataFrame, row 1, column time"
    assert "<50" not in str(events.ledger)


def test_a_name_that_columns_gives_away_is_not_taken_from_the_old_column():
    table = WIDE.assign(pulse=[70.0, 71.0, 72.0])
    events = cg.read_events(table, source="wide", columns={"heart_rate": "pulse"})
    heart = events.to_frame().query("variable == 'heart_rate'")["value"]
    assert heart.tolist() == [70, 71, 72]
    assert events.ledger.notes["column not used: heart_rate"] == 2


def test_what_is_no_wide_table_is_refused_with_what_to_do():
    with pytest.raises(cg.ClinicalGRUError, match="a column time"):
        cg.read_events(WIDE.drop(columns="time"), source="wide")
    with pytest.raises(cg.ClinicalGRUError, match="columns that are variables"):
        cg.read_events(WIDE[["patient_id", "time", "ward"]], source="wide")
    with pytest.raises(cg.ClinicalGRUError, match="Did you mean heart_rate"):
        cg.read_events(WIDE, source="wide", columns={"heart_rat": "ward"})
    with pytest.raises(cg.ClinicalGRUError, match="a unit of glucose"):
        cg.read_events(WIDE, source="wide", units={"glucose": "mmHg"})
    with pytest.raises(cg.ClinicalGRUError, match="Did you mean glucose"):
        cg.read_events(WIDE, source="wide", units={"glukose": "mmol/L"})
    with pytest.raises(cg.ClinicalGRUError, match="time_unit among"):
        cg.read_events(WIDE, source="wide", time_unit="fortnights")


@pytest.mark.parametrize(("unit", "factor"), [("seconds", 1 / 3600), ("minutes", 1 / 60), ("hours", 1), ("days", 24)])
@pytest.mark.parametrize("kind", ["number", "text"])
def test_times_that_are_numbers_count_the_unit_named(unit, factor, kind):
    table = WIDE.assign(time=[0, 7, 3]).astype({"time": str if kind == "text" else "int64"})
    events = cg.read_events(table, source="wide", time_unit=unit)
    hours = events.to_frame()["time"].dt.total_seconds() / 3600
    assert hours.max() == pytest.approx(7 * factor, abs=1e-9)


@pytest.mark.slow
def test_durations_in_parquet_are_durations_whatever_unit_they_were_written_in(tmp_path):
    """DuckDB alone would read them as plain numbers, here 5,400 hours."""
    for resolution in ("s", "ms", "us", "ns"):
        table = WIDE.assign(time=pd.to_timedelta(WIDE["time"], unit="h").astype(f"timedelta64[{resolution}]"))
        table.to_parquet(tmp_path / "wide.parquet")
        assert values(cg.read_events(tmp_path / "wide.parquet", source="wide")) == values(
            cg.read_events(WIDE, source="wide")
        )


def test_words_for_sex_are_understood_in_a_stays_table_too():
    stays = pd.DataFrame({"patient_id": ["007", "012", "100"], "sex": ["FEMALE", "m", "unknown"]})
    rows = pd.DataFrame({"patient_id": ["007"], "time": [0.0], "variable": ["heart_rate"], "value": [80.0]})
    events = cg.read_events(rows, stays=stays)
    assert events.stays["sex"].tolist()[:2] == [0, 1]
    assert np.isnan(events.stays["sex"].iloc[2])
    assert events.ledger.notes["static values not used: sex"] == 1


@pytest.mark.slow
def test_visits_over_years_are_the_cells_of_pbcseq(real_data):
    path = real_data / "pbcseq" / "pbcseq.csv"
    raw = pd.read_csv(path)
    follow_up = raw.groupby("id", as_index=False)[["futime", "status"]].first()
    events = cg.read_events(path, source="wide", time_unit="days", columns=PBC, outcomes=follow_up)
    assert len(events.stays) == 312
    assert events.outcomes == ("futime", "status")
    assert events.stays["status"].value_counts().to_dict() == follow_up["status"].value_counts().to_dict()
    names = {theirs: ours for ours, theirs in PBC.items()} | {"albumin": "albumin", "ast": "ast"}
    cells = raw.melt(["id", "day"], [column for column in names if column not in ("id", "day")]).dropna()
    kept = events.to_frame()
    assert events.ledger.measurements == len(cells)
    assert set(kept["variable"]) == {names[column] for column in cells["variable"]}
    merged = kept.assign(id=kept["stay_id"].astype(int), day=kept["time"].dt.days).merge(
        cells.assign(variable=cells["variable"].map(names)), on=["id", "day", "variable"], validate="one_to_one"
    )
    assert len(merged) == len(kept) == len(cells) - events.ledger.n_counted_rejections
    np.testing.assert_array_equal(merged["value_x"], merged["value_y"])
    sex = raw.groupby("id")["sex"].first().map({"f": 0.0, "m": 1.0})
    np.testing.assert_array_equal(events.stays["sex"], sex.loc[events.stays["stay_id"].astype(int)])
    assert set(events.ledger.notes) >= {f"column not used: {name}" for name in ("edema", "stage", "protime")}


@pytest.mark.parametrize("place", ["mimic_demo", pytest.param("eicu_demo", marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", ["mortality24", "sepsis", "aki", "kidney_function", "los"])
def test_each_cohort_of_yaib_gives_the_cells_of_its_table(real_data, task, place):
    folder = real_data / "yaib-demo" / task / place
    raw = pd.read_parquet(folder / "dyn.parquet")
    outcomes = pd.read_parquet(folder / "outc.parquet").groupby("stay_id", as_index=False)["label"].max()
    events = cg.read_events(
        folder / "dyn.parquet",
        source="yaib",
        stays=folder / "sta.parquet",
        outcomes=outcomes.astype({"label": float}),
        columns={"patient_id": "stay_id"},
    )
    ledger = events.ledger
    cells = raw.drop(columns=["stay_id", "time"])
    assert ledger.rows_in == cells.size
    assert ledger.missing == cells.isna().to_numpy().sum()
    assert ledger.measurements == cells.notna().to_numpy().sum()
    assert not [note for note in ledger.notes if note.startswith("column not used")]
    assert events.stays["label"].notna().all()
    heart = events.to_frame().query("variable == 'heart_rate'")
    ours = heart.assign(stay_id=heart["stay_id"].astype(int)).set_index(["stay_id", "time"])["value"].sort_index()
    theirs = raw.set_index(["stay_id", "time"])["hr"].dropna().sort_index()
    theirs = theirs[theirs.between(10, 300)]
    np.testing.assert_array_equal(ours, theirs)
    when = [series.index.get_level_values("time").total_seconds() for series in (ours, theirs)]
    np.testing.assert_array_equal(*when)
    static_variables = (
        pd.read_parquet(folder / "sta.parquet").set_index("stay_id")["sex"].map({"Female": 0.0, "Male": 1.0})
    )
    np.testing.assert_array_equal(events.stays["sex"], static_variables.loc[events.stays["stay_id"].astype(int)])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_and_time_are_not_quadratic_in_the_columns(tmp_path):
    """Blank cells of 800 columns take less than ten times the memory of as many cells in 80 columns."""
    code = (
        "import re, sys; import clinicalgru as cg;"
        "events = cg.read_events(sys.argv[1], source='wide', variables=sys.argv[2]);"
        "print(len(events), re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    peaks = {}
    for n_columns, n_rows in ((80, 400), (800, 40)):
        names = [f"lab_{number}" for number in range(n_columns)]
        dictionary, table = tmp_path / f"{n_columns}.yaml", tmp_path / f"{n_columns}.parquet"
        fields = "unit: mmol/L, label: x, plausible: [0, 1000]"
        dictionary.write_text("".join(f"{name}: {{{fields}}}\n" for name in names))
        rows = pd.DataFrame({"patient_id": [str(i) for i in range(n_rows)], "time": 1.0} | dict.fromkeys(names, 5.0))
        rows.to_parquet(table)
        done = subprocess.run(
            [sys.executable, "-c", code, table, dictionary], check=True, capture_output=True, text=True
        )
        n_events, peaks[n_columns] = map(int, done.stdout.split())
        assert n_events == n_columns * n_rows
    assert peaks[800] < 3 * peaks[80]  # 1.6 times; where it was quadratic, 6.2 times
