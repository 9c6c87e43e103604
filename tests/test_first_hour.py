"""An analyst's first hour: three messy CSV files and one reading file, by the command line alone, to a saved model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.cli.main import main

READING = """\
vocabulary: loinc
stays: admissions.csv
outcomes: admissions.csv
outcomes_columns: [in_hospital_death]
group_columns: [Site]
detection_limits: half
columns:
  patient_id: MRN
  stay_id: Encounter
  stays: {start: Admitted, end: Discharged}
  outcomes: {in_hospital_death: Died}
data_tables:
  - {data: vitals.csv, source: wide, time_format: "%m/%d/%Y %H:%M", units: {temperature: degF},
     columns: {time: Taken, heart_rate: Pulse, temperature: Temp, sbp: SBP}}
  - {data: labs.csv, columns: {patient_id: MRN, time: Collected, variable: LOINC, value: Result, unit: Units}}
"""
VITALS = {"heart_rate": "Pulse", "temperature": "Temp", "sbp": "SBP"}
LABS = {"lactate": "2524-7", "creatinine": "2160-0", "wbc": "6690-2"}
KEYS = {"patient_id": "MRN", "stay_id": "Encounter"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide vital signs in degrees Fahrenheit with US dates; results as text by LOINC code; admissions with a site."""
    path = tmp_path_factory.mktemp("first-hour")
    cohort = cg.simulate(160, random_state=2)
    rows = cohort.measurements.assign(time=pd.to_datetime(cohort.measurements["time"]).dt.ceil("min"))
    vitals = rows[rows["variable"].isin(VITALS)]
    keys = ["patient_id", "stay_id", "time"]
    wide = vitals.pivot_table(index=keys, columns="variable", values="value").reset_index()
    wide["Taken"], wide["temperature"] = wide["time"].dt.strftime("%m/%d/%Y %H:%M"), wide["temperature"] * 1.8 + 32
    wide.drop(columns="time").rename(columns=KEYS | VITALS).to_csv(path / "vitals.csv", index=False)
    labs = rows[rows["variable"].isin(LABS)]
    result = labs["value"].round(2).astype(str)
    result = result.mask(
        labs["value"] < labs.groupby("variable")["value"].transform(lambda v: v.quantile(0.02)), "<0.6"
    )
    table = pd.DataFrame({"MRN": labs["patient_id"], "Collected": labs["time"], "LOINC": labs["variable"].map(LABS),
                          "Result": result, "Units": labs["unit"], "Comment": "none"})  # fmt: skip
    table.to_csv(path / "labs.csv", index=False)
    admissions = cohort.stays.merge(cohort.outcomes[["stay_id", "in_hospital_death"]], on="stay_id")
    admissions = admissions[["patient_id", "stay_id", "start", "end", "age", "sex", "in_hospital_death"]]
    names = KEYS | {"start": "Admitted", "end": "Discharged", "age": "Age", "in_hospital_death": "Died"}
    died = admissions["in_hospital_death"].map({1.0: "Yes", 0.0: "No"})
    site = np.where(np.arange(len(admissions)) % 2, "North", "South")
    admissions.assign(in_hospital_death=died, Site=site).rename(columns=names).to_csv(
        path / "admissions.csv", index=False
    )
    (path / "extract.yaml").write_text(READING)
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_the_ledger_and_table_one_of_three_messy_files(folder, capsys):
    reading = ("--reading", folder / "extract.yaml")
    assert run("check", folder, *reading, "--exact") == 0
    shown = capsys.readouterr().out
    for line in ("rows of vitals.csv", "rows of labs.csv", "degF -> Cel", "limits of detection used as values"):
        assert line in shown
    assert run("table-one", folder, *reading, "--exact", "--page", folder / "table1.html") == 0
    assert "North" in capsys.readouterr().out
    assert "North" in (folder / "table1.html").read_text()


@pytest.mark.slow
def test_three_messy_files_end_in_a_saved_model(folder, capsys, tmp_path):
    reading = ("--reading", folder / "extract.yaml")
    assert run("train", folder, *reading, "--out", tmp_path / "mine", "--no-leaks", "--quiet") == 0
    model = cg.load(tmp_path / "mine" / "bundle")
    assert {"lactate", "temperature"} <= {variable.name for variable in model.variables_}
    assert model.trained_on_["reading"]["data_tables"][1]["data"] == "labs.csv"
    tables = ("--stays", folder / "admissions.csv")
    assert run("score", tmp_path / "mine" / "bundle", folder, *tables, "--out", tmp_path / "s.parquet") == 0
    assert (pd.read_parquet(tmp_path / "s.parquet")["status"] == "scored").sum() > 100
