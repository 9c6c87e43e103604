"""eICU-CRD: an invented folder of three patients to be checked by eye, and the published demo against pandas."""

from __future__ import annotations

import dataclasses
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.events import HOUR, Events
from clinicalgru.errors import ArgumentError, InputError

COLUMNS = {  # as published
    "patient": (
        "patientunitstayid patienthealthsystemstayid gender age ethnicity hospitalid wardid apacheadmissiondx "
        "admissionheight hospitaladmittime24 hospitaladmitoffset hospitaladmitsource hospitaldischargeyear "
        "hospitaldischargetime24 hospitaldischargeoffset hospitaldischargelocation hospitaldischargestatus "
        "unittype unitadmittime24 unitadmitsource unitvisitnumber unitstaytype admissionweight dischargeweight "
        "unitdischargetime24 unitdischargeoffset unitdischargelocation unitdischargestatus uniquepid"
    ),
    "lab": (
        "labid patientunitstayid labresultoffset labtypeid labname labresult labresulttext labmeasurenamesystem "
        "labmeasurenameinterface labresultrevisedoffset"
    ),
    "vitalPeriodic": (
        "vitalperiodicid patientunitstayid observationoffset temperature sao2 heartrate respiration cvp etco2 "
        "systemicsystolic systemicdiastolic systemicmean pasystolic padiastolic pamean st1 st2 st3 icp"
    ),
    "vitalAperiodic": (
        "vitalaperiodicid patientunitstayid observationoffset noninvasivesystolic noninvasivediastolic "
        "noninvasivemean paop cardiacoutput cardiacinput svr svri pvr pvri"
    ),
    "nurseCharting": (
        "nursingchartid patientunitstayid nursingchartoffset nursingchartentryoffset nursingchartcelltypecat "
        "nursingchartcelltypevallabel nursingchartcelltypevalname nursingchartvalue"
    ),
    "respiratoryCharting": (
        "respchartid patientunitstayid respchartoffset respchartentryoffset respcharttypecat respchartvaluelabel "
        "respchartvalue"
    ),
    "intakeOutput": (
        "intakeoutputid patientunitstayid intakeoutputoffset intaketotal outputtotal dialysistotal nettotal "
        "intakeoutputentryoffset cellpath celllabel cellvaluenumeric cellvaluetext"
    ),
    "apachePatientResult": (
        "apachepatientresultsid patientunitstayid physicianspeciality physicianinterventioncategory "
        "acutephysiologyscore apachescore apacheversion predictedicumortality actualicumortality predictediculos "
        "actualiculos predictedhospitalmortality actualhospitalmortality"
    ),
}
ROWS = {  # the columns that are filled, and their cells
    "patient": (
        "patientunitstayid gender age hospitalid admissionheight hospitaladmitoffset hospitaldischargeoffset "
        "hospitaldischargestatus unittype admissionweight unitdischargeoffset unitdischargestatus uniquepid",
        """
11,Female,> 89,56,160,-120,9000,Alive,MICU,70.5,3000,Alive,002-1
12,Female,> 89,56,0,-5000,4000,,SICU,,600,Alive,002-1
21,Male,64,73,180,0,2000,Expired,Neuro ICU,80,2000,Expired,003-7
31,Other,17,73,,,,,Cardiac ICU,,-5,,004-9
""",
    ),
    "lab": (
        "patientunitstayid labresultoffset labname labresult labresulttext labmeasurenamesystem "
        "labmeasurenameinterface labresultrevisedoffset",
        """
11,60,BUN,31,31,mg/dL,mg/dL,90
11,-600,BUN,20,20,mg/dL,MG/DL,-590
11,120,BUN,25,25,mg/dL,mg/dL,100
11,60,ionized calcium,1.17,1.17,mg/dL,mmol/L,90
11,120,ionized calcium,4.8,1.2,mg/dL,mmol/L,130
21,30,lactate,,>15.0,mmol/L,mmol/L,40
21,30,FiO2,0.4,0.4,%,%,40
21,40,FiO2,40,40,%,%,40
21,40,anion gap,12,12,,,40
99,40,BUN,12,12,mg/dL,mg/dL,40
""",
    ),
    "vitalPeriodic": (
        "patientunitstayid observationoffset sao2 heartrate respiration temperature systemicsystolic "
        "systemicdiastolic systemicmean",
        """
11,5,97,88,18,,,,
21,10,,900,,37.2,110,60,75
""",
    ),
    "vitalAperiodic": (
        "patientunitstayid observationoffset noninvasivesystolic noninvasivediastolic noninvasivemean",
        """
11,7,120,70,85
""",
    ),
    "nurseCharting": (
        "patientunitstayid nursingchartoffset nursingchartentryoffset nursingchartcelltypevallabel "
        "nursingchartcelltypevalname nursingchartvalue",
        """
11,5,9,Heart Rate,Heart Rate,88
11,15,20,Heart Rate,Heart Rate,91
11,15,20,Temperature,Temperature (F),98.6
11,15,20,Temperature,Temperature Location,oral
11,15,20,Glasgow coma score,GCS Total,14
21,15,20,Glasgow coma score,GCS Total,Unable to score due to medication
""",
    ),
    "respiratoryCharting": (
        "patientunitstayid respchartoffset respchartentryoffset respchartvaluelabel respchartvalue",
        """
21,100,100,FiO2,60%
21,90,90,RT Vent On/Off,Start
21,190,190,RT Vent On/Off,Off
""",
    ),
    "intakeOutput": (
        "patientunitstayid intakeoutputoffset intakeoutputentryoffset celllabel cellvaluenumeric",
        """
21,60,65,Urine,300
""",
    ),
    "apachePatientResult": (
        "patientunitstayid acutephysiologyscore apachescore apacheversion predictedhospitalmortality "
        "actualhospitalmortality",
        """
11,40,52,IV,0.05,ALIVE
11,40,53,IVa,0.06,ALIVE
21,90,-1,IVa,-1,EXPIRED
""",
    ),
}
NAMES = {
    "bun": ["BUN"],
    "ionized_calcium": ["ionized calcium"],
    "lactate": ["lactate"],
    "fio2": ["FiO2"],
    "heart_rate": ["heartrate", "Heart Rate"],
    "temperature": ["temperature", "Temperature (F)", "Temperature (C)"],
    "spo2": ["sao2"],
    "sbp_invasive": ["systemicsystolic"],
    "sbp_noninvasive": ["noninvasivesystolic"],
    "gcs": ["GCS Total"],
    "urine_output": ["Urine"],
}


@pytest.fixture(scope="module")
def variables() -> cg.Dictionary:
    """The shipped variables under the names that this file's tables use."""
    shipped = cg.Dictionary.load()
    return cg.Dictionary(
        dataclasses.replace(
            variable,
            source_codes={"eicu": tuple(NAMES.get(name, ()))},
            unit_in={"eicu": "%"} if name == "fio2" else {},
        )
        for name, variable in shipped.items()
    )


def write(folder: Path, *, form: str = "csv", upper: bool = False, leave: tuple[str, ...] = ()) -> Path:
    folder.mkdir(exist_ok=True)
    for name in COLUMNS.keys() - set(leave):
        filled, cells = ROWS[name]
        table = pd.read_csv(io.StringIO(cells), names=filled.split(), dtype=str).reindex(columns=COLUMNS[name].split())
        text = table.rename(columns=str.upper if upper else {}).to_csv(index=False)
        path = folder / f"{name.upper() if upper else name}.{form}"
        if form == "csv.gz":
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.with_suffix(".csv").write_text(text, encoding="utf-8")
        if form == "parquet":
            pd.read_csv(path.with_suffix(".csv")).to_parquet(path, index=False)
            path.with_suffix(".csv").unlink()
    return folder


def read(folder: Path, variables: cg.Dictionary, **options) -> Events:
    return cg.read_events(folder, source="eicu", variables=variables, max_rejected=0.2, **options)


@pytest.fixture(scope="module")
def events(tmp_path_factory, variables) -> Events:
    return read(write(tmp_path_factory.mktemp("eicu")), variables)


def values(events: Events, variable: str) -> dict[tuple[str, float], float]:
    """Values of a variable by stay and minutes since the unit admission."""
    table = events.to_frame().query("variable == @variable")
    minutes = pd.to_timedelta(table["time"]) / pd.Timedelta(minutes=1)
    return dict(zip(zip(table["stay_id"], minutes, strict=True), table["value"].round(6), strict=True))


def test_stays_static_covariates_and_outcomes(events):
    stays = events.stays.set_index("stay_id")
    assert stays["patient_id"].to_dict() == {"11": "002-1", "12": "002-1", "21": "003-7", "31": "004-9"}
    assert (stays["end"] / (HOUR / 60)).tolist()[:3] == [3000, 600, 2000]
    assert pd.isna(stays.loc["31", "end"])  # it ended before it began
    assert stays["age"].tolist() == [90, 90, 64, 17]
    assert stays["sex"].tolist()[:3] == [0, 0, 1]
    assert pd.isna(stays.loc["31", "sex"])
    assert stays["site"].tolist() == ["56", "56", "73", "73"]
    assert stays["height"].fillna(-1).tolist() == [160, -1, 180, -1]
    assert stays["hospital_to_icu_hours"].tolist()[:3] == [2, pytest.approx(5000 / 60), 0]
    assert stays["icu_type"].fillna(-1).tolist() == [2, 3, -1, 0]  # positions of Medical, Surgical, unknown, Coronary
    assert events.ledger.notes["age above 89, given as a group (taken as 90)"] == 2


def test_a_blank_status_is_unknown(events):
    stays = events.stays.set_index("stay_id")
    assert stays["in_hospital_death"].fillna(-1).to_dict() == {"11": 0, "12": -1, "21": 1, "31": -1}
    assert stays["in_unit_death"].fillna(-1).to_dict() == {"11": 0, "12": 0, "21": 1, "31": -1}
    assert stays["apache_score"].fillna(-1).to_dict() == {"11": 53, "12": -1, "21": -1, "31": -1}
    assert stays["apache_predicted_death"].fillna(-1).to_dict() == {"11": 0.06, "12": -1, "21": -1, "31": -1}


def test_results_in_minutes_are_known_when_they_were_revised(events):
    table = events.to_frame().query("variable == 'bun'")
    known = (pd.to_timedelta(table["available_at"]) / pd.Timedelta(minutes=1)).tolist()
    assert values(events, "bun") == {("11", -600): 20, ("11", 60): 31, ("11", 120): 25}
    assert known == [-590, 90, 120]


def test_units_are_those_of_the_interface_where_the_publisher_did_not_convert(events):
    calcium = values(events, "ionized_calcium")
    assert calcium[("11", 60)] == 1.17
    assert calcium[("11", 120)] == pytest.approx(1.2, abs=0.01)
    assert values(events, "fio2") == {("21", 30): 0.4, ("21", 40): 0.4, ("21", 100): 0.6}


def test_each_table_gives_its_values_and_a_copy_counts_once(events):
    assert values(events, "heart_rate") == {("11", 5): 88, ("11", 15): 91}
    assert values(events, "temperature") == {("11", 15): 37, ("21", 10): 37.2}
    assert values(events, "sbp_noninvasive") == {("11", 7): 120}
    assert values(events, "gcs") == {("11", 15): 14}
    assert values(events, "urine_output") == {("21", 60): 300}
    assert values(events, "mechanical_ventilation") == {("21", 90): 1, ("21", 190): 0}
    rejected = events.ledger.rejected
    assert rejected["duplicate"] == 1
    assert rejected["implausible"] == 1
    assert rejected["censored value (< or >)"] == 1
    assert rejected["non-numeric"] == 1
    assert rejected["stay not in the stays table"] == 1


def test_a_task_counts_from_the_unit_admission(events):
    stays = cg.select(events, cg.Task.load("in_hospital_mortality_24h"))
    assert dict(zip(stays.stay, stays.outcome, strict=True)) == {"11": 0, "21": 1}


@pytest.mark.slow
@pytest.mark.parametrize(("form", "upper"), [("csv.gz", True), ("parquet", False), ("parquet", True)])
def test_form_and_letter_case_do_not_matter(tmp_path, variables, events, form, upper):
    other = read(write(tmp_path / "data", form=form, upper=upper), variables)
    pd.testing.assert_frame_equal(other.to_frame(), events.to_frame())
    pd.testing.assert_frame_equal(other.stays, events.stays)
    assert other.ledger.rejected == events.ledger.rejected


@pytest.mark.slow
def test_an_archive_is_read_as_its_folder(tmp_path, variables, events):
    folder = write(tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "eicu.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"eicu/2.0/{file.name}")
    pd.testing.assert_frame_equal(read(tmp_path / "eicu.zip", variables).to_frame(), events.to_frame())


@pytest.mark.slow
def test_absent_tables_are_noted_and_a_needed_one_is_named(tmp_path, variables):
    events = read(write(tmp_path / "some", leave=("vitalPeriodic", "nurseCharting", "apachePatientResult")), variables)
    assert events.ledger.notes["optional table absent: vitalPeriodic"] == 1
    with pytest.raises(InputError, match="a table patient"):
        read(write(tmp_path / "none", leave=("patient",)), variables)
    with pytest.raises(InputError, match="a table of events"):
        read(write(tmp_path / "alone", leave=tuple(set(COLUMNS) - {"patient"})), variables)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("patient", "uniquepid"),
        ("patient", "unitdischargeoffset"),
        ("lab", "labresultoffset"),
        ("vitalPeriodic", "observationoffset"),
    ],
)
def test_a_missing_column_is_named(tmp_path, variables, table, column):
    folder = write(tmp_path / "data")
    file = folder / f"{table}.csv"
    pd.read_csv(file, dtype=str).drop(columns=column).to_csv(file, index=False)
    with pytest.raises(InputError, match=f"{table}.csv: Expected a column {column}"):
        read(folder, variables)


@pytest.mark.slow
def test_optional_columns_may_be_absent(tmp_path, variables):
    folder = write(tmp_path / "data")
    for table, columns in {
        "patient": ["unitdischargestatus", "admissionheight"],
        "lab": ["labresultrevisedoffset", "labresulttext"],
    }.items():
        file = folder / f"{table}.csv"
        pd.read_csv(file, dtype=str).drop(columns=columns).to_csv(file, index=False)
    events = read(folder, variables)
    assert events.stays["in_unit_death"].isna().all()
    assert events.ledger.notes["optional column absent: admissionheight of patient.csv"] == 1


def test_what_is_refused(tmp_path, variables):
    folder = write(tmp_path / "data")
    with pytest.raises(ArgumentError):
        read(folder, variables, anchor="hospital")
    with pytest.raises(ArgumentError):
        read(folder, variables, timezone="Europe/Berlin")
    (folder / "lab.csv.gz").write_bytes(gzip.compress((folder / "lab.csv").read_bytes()))
    with pytest.raises(InputError, match=r"lab.csv and lab.csv.gz"):
        read(folder, variables)


def test_a_first_stay_is_unknown_where_stays_have_no_dates(events):
    task = cg.Task.from_dict(
        {
            **cg.Task.load("in_hospital_mortality_24h").to_dict(),
            "name": "first",
            "include": [{"column": "stay_number", "among": [1]}],
        }
    )
    flow = dict(cg.select(events, task).flow)
    assert flow["stay_number recorded"] == 2


@pytest.mark.slow
def test_the_demo_agrees_with_pandas(real_data: Path, variables):
    eicu_demo = real_data / "eicu-demo"
    events = read(eicu_demo, variables)
    lab = pd.read_csv(eicu_demo / "lab.csv")
    patient = pd.read_csv(eicu_demo / "patient.csv")
    assert events.ledger.rows_in == len(lab)
    assert len(events.stays) == len(patient) == 174
    assert events.stays["patient_id"].nunique() == patient["uniquepid"].nunique() == 100
    assert events.stays["in_hospital_death"].sum() == (patient["hospitaldischargestatus"] == "Expired").sum() == 9
    assert events.stays["in_hospital_death"].isna().sum() == patient["hospitaldischargestatus"].isna().sum()
    bun = lab[lab["labname"] == "BUN"].dropna(subset="labresult")
    bun["known"] = bun[["labresultoffset", "labresultrevisedoffset"]].max(axis=1)
    expected = bun.groupby(["patientunitstayid", "known", "labresultoffset"])["labresult"].mean()
    table = events.to_frame().query("variable == 'bun'")
    table["stay"] = table["stay_id"].astype(int)
    for name in ("time", "available_at"):
        table[name] = (pd.to_timedelta(table[name]) / pd.Timedelta(minutes=1)).round().astype(int)
    observed = table.set_index(["stay", "available_at", "time"])["value"].sort_index()
    np.testing.assert_allclose(observed.to_numpy(), expected.to_numpy())
    flow = dict(cg.select(events, cg.Task.load("in_hospital_mortality_24h")).flow)
    assert flow["still in the stay at the prediction"] == (patient["unitdischargeoffset"] >= 1440).sum() == 112


@pytest.mark.slow
def test_a_limit_of_detection_is_a_value_on_request(tmp_path, variables):
    events = read(write(tmp_path / "eicu"), variables, detection_limits="bound")
    assert values(events, "lactate")["21", 30.0] == 15
    assert "censored value (< or >)" not in events.ledger.rejected
    assert events.ledger.notes["limits of detection used as values: lactate"] == 1
