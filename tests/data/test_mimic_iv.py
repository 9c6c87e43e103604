"""MIMIC-IV: an invented folder of two patients to be checked by eye, and the published demo against pandas."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.events import Events
from clinicalgru.data.sources.hospital_stays import DAY, readmitted

TABLES = {
    "hosp/patients": """subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod
1,F,60,2150,2008 - 2010,
2,M,91,2160,2011 - 2013,2161-03-10""",
    "hosp/admissions": """subject_id,hadm_id,admittime,dischtime,hospital_expire_flag
1,11,2151-01-01 00:00:00,2151-01-10 12:00:00,0
1,12,2151-01-20 00:00:00,2151-01-25 00:00:00,0
2,21,2161-03-01 00:00:00,2161-03-10 00:00:00,1""",
    "icu/icustays": """subject_id,hadm_id,stay_id,first_careunit,intime,outtime
1,11,111,Medical Intensive Care Unit (MICU),2151-01-02 00:00:00,2151-01-05 00:00:00
1,11,112,Neuro Stepdown,2151-01-07 00:00:00,2151-01-08 00:00:00
2,21,211,Coronary Care Unit (CCU),2161-03-01 06:00:00,2161-03-10 00:00:00""",
    "hosp/labevents": """subject_id,hadm_id,itemid,charttime,storetime,valuenum,valueuom
1,11,50912,2151-01-02 06:00:00,2151-01-02 08:00:00,1.5,mg/dL
1,,50912,2151-01-03 06:00:00,2151-01-03 05:00:00,1.7,mg/dL
1,11,50912,2151-01-01 06:00:00,2151-01-01 08:00:00,1.1,mg/dL
1,11,50912,2151-01-04 06:00:00,2151-01-04 08:00:00,,mg/dL
2,21,51519,2161-03-02 06:00:00,2161-03-02 08:00:00,5,units""",
    "hosp/d_labitems": """itemid,label,fluid,category
51519,Yeast,Urine,Hematology""",
    "icu/d_items": """itemid,label,linksto
225792,Invasive Ventilation,procedureevents
221906,Norepinephrine,inputevents""",
    "icu/chartevents": """subject_id,hadm_id,stay_id,itemid,charttime,storetime,valuenum,valueuom
1,11,111,220615,2151-01-02 06:00:00,,1.5,mg/dL
1,11,111,220615,2151-01-03 06:00:00,,1.9,mg/dL
1,11,111,220045,2151-01-02 06:00:00,2151-01-02 06:10:00,88,bpm
2,21,211,223761,2161-03-02 06:00:00,2161-03-02 06:10:00,98.6,°F
2,21,211,226707,2161-03-02 06:00:00,2161-03-02 06:10:00,70,Inch""",
    "icu/outputevents": """subject_id,hadm_id,stay_id,itemid,charttime,storetime,value,valueuom
1,11,111,226559,2151-01-02 07:00:00,2151-01-02 06:40:00,60,ml""",
    "icu/inputevents": """subject_id,hadm_id,stay_id,itemid,starttime,storetime
2,21,211,221906,2161-03-02 07:00:00,2161-03-02 07:30:00""",
    "icu/procedureevents": """subject_id,hadm_id,stay_id,itemid,starttime,storetime
2,21,211,225792,2161-03-02 07:00:00,2161-03-04 07:30:00
2,21,211,999999,2161-03-02 07:00:00,2161-03-04 07:30:00""",
    "hosp/diagnoses_icd": """subject_id,hadm_id,icd_code,icd_version
1,11,A419,10
1,12,E8490,9
2,21,4019,9""",
    "hosp/procedures_icd": """subject_id,hadm_id,chartdate,icd_code,icd_version
1,11,2151-01-02,3722,9""",
}


def write(folder: Path, *, parquet: bool = False) -> Path:
    for name, text in TABLES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        csv = path.with_suffix(".csv.gz")
        with gzip.open(csv, "wt", encoding="utf-8") as file:
            file.write(text + "\n")
        if parquet:
            frame = pd.read_csv(csv, dtype={"hadm_id": "Int64", "icd_code": str})
            for column in frame.columns:
                if column.endswith("time"):
                    frame[column] = pd.to_datetime(frame[column])
            frame.to_parquet(path.with_suffix(".parquet"), index=False)
            csv.unlink()
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("mimic"))


@pytest.fixture(scope="module")
def icu(folder: Path) -> Events:
    return cg.read_events(folder, source="mimic-iv")


@pytest.fixture(scope="module")
def hospital(folder: Path) -> Events:
    return cg.read_events(folder, source="mimic-iv", anchor="hospital")


def facts(events: Events, variable: str) -> pd.DataFrame:
    table = events.to_frame()
    return table[table["variable"] == variable].reset_index(drop=True)


def codes(events: Events) -> pd.DataFrame:
    table = events.coded.to_pandas()
    table["stay_id"] = events.stays["stay_id"].to_numpy()[table["stay"]]
    table["word"] = np.array(events.code_vocabulary)[table["code"]]
    return table


@pytest.mark.slow
def test_each_row_of_each_table_is_in_the_ledger(icu, hospital):
    rows = sum(TABLES[name].count("\n") for name in TABLES if "events" in name or name.endswith("_icd"))
    assert icu.ledger.rows_in == hospital.ledger.rows_in == rows


def test_a_result_goes_to_the_icu_stay_of_its_time_and_is_known_when_stored(icu):
    creatinine = facts(icu, "creatinine")
    assert creatinine["stay_id"].tolist() == ["111"] * 2
    assert creatinine["available_at"].astype(str).tolist() == ["2151-01-02 08:00:00", "2151-01-03 06:00:00"]
    assert icu.ledger.rejected["outside every stay"] == 1 + 1  # the result before the ICU, the diagnosis of 12


def test_a_result_goes_to_its_admission_where_a_stay_is_an_admission(hospital):
    assert sorted(facts(hospital, "creatinine")["stay_id"]) == ["11"] * 3
    assert hospital.ledger.rejected.get("outside every stay", 0) == 0


def test_a_charted_copy_of_a_result_is_counted_and_another_value_is_not_taken_for_a_copy(icu):
    assert icu.ledger.rejected["duplicate"] == 1
    assert facts(icu, "creatinine")["value"].tolist() == [1.5, pytest.approx((1.7 + 1.9) / 2)]
    copy = icu.ledger.findings.query("reason == 'duplicate'").iloc[0]
    assert copy["where"].startswith("chartevents.csv.gz, row 2,")


def test_a_value_stored_before_its_hour_is_known_at_its_hour(icu):
    urine = facts(icu, "urine_output")
    assert (urine["available_at"] == urine["time"]).all()


def test_an_empty_valuenum_is_a_missing_value_and_units_are_as_written(icu):
    assert icu.ledger.missing == 1
    assert facts(icu, "temperature")["value"].tolist() == [pytest.approx(37)]
    assert icu.stays.set_index("stay_id").loc["211", "height"] == pytest.approx(177.8)


def test_diagnoses_and_procedures_for_billing_are_known_at_the_discharge_only(icu, hospital):
    coded = codes(icu)
    billed = coded[coded["word"].str.contains("ICD")]
    assert dict(zip(billed["word"], billed["stay_id"], strict=True)) == {
        "diagnosis//ICD10:A41.9": "112",
        "procedure//ICD9:37.22": "112",
        "diagnosis//ICD9:401.9": "211",
    }
    discharge = pd.Series({"112": "2151-01-10 12:00", "211": "2161-03-10"}).astype("datetime64[us]").astype("int64")
    assert (billed["available"] == billed["stay_id"].map(discharge)).all()
    task = cg.Task(name="day one", outcome="in_hospital_death", window_hours=(0, 24))
    seen = cg.select(hospital, task)
    assert not [word for word in np.array(seen.code_vocabulary)[seen.code] if "ICD" in word]
    assert "diagnosis//ICD9:E849.0" in hospital.code_vocabulary


def test_drugs_and_procedures_carry_their_label_or_their_itemid(icu):
    words = set(codes(icu).query("stay_id == '211'")["word"])
    assert {"drug//Norepinephrine", "procedure//Invasive Ventilation", "procedure//999999"} <= words
    late = codes(icu).query("word == 'procedure//Invasive Ventilation'")
    assert pd.to_datetime(late["available"], unit="us").astype(str).tolist() == ["2161-03-04 07:30:00"]


def test_static_covariates_and_outcomes_follow_from_the_admission(icu, hospital):
    stays = icu.stays.set_index("stay_id")
    assert stays["age"].to_dict() == {"111": 61, "112": 61, "211": 92}
    assert stays["sex"].to_dict() == {"111": 0, "112": 0, "211": 1}
    assert stays["icu_type"].fillna(-1).to_dict() == {"111": 2, "112": -1, "211": 0}
    assert stays["hospital_to_icu_hours"].to_dict() == {"111": 24, "112": 144, "211": 6}
    assert stays["in_hospital_death"].to_dict() == {"111": 0, "112": 0, "211": 1}
    assert stays["length_of_stay"].to_dict() == {"111": 3, "112": 1, "211": 8.75}
    assert hospital.stays.set_index("stay_id")["length_of_stay"].to_dict() == {"11": 9.5, "12": 5, "21": 9}


def test_readmission_is_known_only_where_the_database_surely_covers_the_days_after(hospital):
    # Patient 2's discharge lies in 2012 at the earliest, so all of 2011 is covered; patient 1's in 2011 at the latest.
    known = hospital.stays.set_index("stay_id")["readmission_30d"]
    assert known["11"] == 1
    assert known["12"] == 0
    assert np.isnan(known["21"])  # died


def test_readmission_of_each_kind_of_follow_up():
    stays = pd.DataFrame(
        {
            "patient_id": ["a", "a", "a", "b", "c", "d", "e"],
            "start": pd.array([0, 40, 50, 0, 0, 0, 0], "Int64") * DAY,
            "end": pd.array([10, 45, 60, 10, 10, None, 10], "Int64") * DAY,
            "died": [0, 0, 0, 1, 0, 0, 0],
            "death": pd.array([None, None, None, 10, 20, None, None], "Int64") * DAY,
        }
    )
    followed = pd.Series([True] * 6 + [False])
    assert readmitted(stays, followed=followed).fillna(-1).tolist() == [1, 1, 0, -1, -1, -1, -1]
    assert readmitted(stays, followed=followed, days=29).fillna(-1).tolist() == [0, 1, 0, -1, -1, -1, -1]


def test_unmapped_codes_are_listed_with_their_labels(icu):
    listed = cg.unmapped(icu)[["code", "label", "rows", "units", "suggestion"]]
    assert listed.to_numpy().tolist() == [["51519", "Yeast, Urine", 1, "units", ""]]


@pytest.mark.slow
@pytest.mark.parametrize("anchor", ["icu", "hospital"])
def test_parquet_and_csv_give_the_same_events(folder, tmp_path, anchor):
    text = cg.read_events(folder, source="mimic-iv", anchor=anchor)
    binary = cg.read_events(write(tmp_path, parquet=True), source="mimic-iv", anchor=anchor)
    assert text.measurements.equals(binary.measurements)
    assert text.coded.equals(binary.coded)
    pd.testing.assert_frame_equal(text.stays, binary.stays)


@pytest.mark.slow
def test_what_is_refused_names_file_and_fix_but_no_patient(tmp_path):
    with pytest.raises(cg.ClinicalGRUError, match="anchor icu or hospital"):
        cg.read_events(tmp_path, source="mimic-iv", anchor="ward")
    with pytest.raises(cg.ClinicalGRUError, match="hosp/patients"):
        cg.read_events(tmp_path, source="mimic-iv")
    path = write(tmp_path) / "hosp" / "labevents.csv.gz"
    frame = pd.read_csv(path)
    path.unlink()
    frame.to_parquet(path.with_name("labevents.parquet"))  # pandas has made hadm_id floating point
    with pytest.raises(cg.ClinicalGRUError, match=r"labevents.parquet: Expected hadm_id as whole numbers"):
        cg.read_events(tmp_path, source="mimic-iv")
    frame.drop(columns="storetime").to_parquet(path.with_name("labevents.parquet"))
    with pytest.raises(cg.ClinicalGRUError, match=r"labevents.parquet: Expected the columns storetime"):
        cg.read_events(tmp_path, source="mimic-iv")


def without(folder: Path, name: str, *columns: str) -> None:
    """Take columns out of a table."""
    path = (folder / name).with_suffix(".csv.gz")
    frame = pd.read_csv(path, dtype=str).drop(columns=list(columns))
    frame.to_csv(path, index=False)


OPTIONAL = {
    "hosp/patients": ["dod", "anchor_year_group", "gender"],
    "hosp/admissions": ["hospital_expire_flag"],
    "icu/icustays": ["first_careunit"],
    "hosp/labevents": ["valueuom", "hadm_id"],
    "icu/chartevents": ["hadm_id"],
}


@pytest.mark.slow
def test_without_optional_columns_only_what_follows_from_them_is_unknown(tmp_path, folder):
    write(tmp_path)
    for table, columns in OPTIONAL.items():
        without(tmp_path, table, *columns)
    events, whole = (cg.read_events(each, source="mimic-iv", max_rejected=1) for each in (tmp_path, folder))
    for table, columns in OPTIONAL.items():
        for column in columns:
            assert events.ledger.notes[f"rows of {table} without a column {column}"] == TABLES[table].count("\n")
    unknown = ["sex", "icu_type", "in_hospital_death", "readmission_30d"]
    pd.testing.assert_frame_equal(*(each.stays.drop(columns=unknown, errors="ignore") for each in (events, whole)))
    assert all(name not in events.stays or events.stays[name].isna().all() for name in unknown)
    assert events.measurements.equals(whole.measurements)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("hosp/procedures_icd", "chartdate"),
        ("hosp/diagnoses_icd", "icd_version"),
        ("hosp/labevents", "storetime"),
        ("icu/icustays", "stay_id"),
        ("hosp/admissions", "hadm_id"),
        ("hosp/patients", "subject_id"),
    ],
)
def test_without_a_needed_column_the_message_names_file_and_column(tmp_path, table, column):
    without(write(tmp_path), table, column)
    with pytest.raises(cg.ClinicalGRUError, match=rf"{Path(table).name}.csv.gz: Expected the columns {column}"):
        cg.read_events(tmp_path, source="mimic-iv")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["int64", "Int32", "float64"])
def test_icd_codes_as_numbers_are_read_and_their_lost_zeros_noted(tmp_path, dtype):
    path = write(tmp_path) / "hosp/diagnoses_icd.csv.gz"
    path.unlink()
    rows = pd.DataFrame({"subject_id": 1, "hadm_id": 11, "icd_code": [42, 4019, 8, 25000], "icd_version": 9})
    rows.astype({"icd_code": dtype}).to_parquet(path.parent / "diagnoses_icd.parquet", index=False)
    events = cg.read_events(tmp_path, source="mimic-iv", max_rejected=1)
    found = [word for word in events.code_vocabulary if word.startswith("diagnosis")]
    assert found == ["diagnosis//ICD9:" + code for code in ("008", "042", "250.00", "401.9")]
    assert events.ledger.notes["codes of hosp/diagnoses_icd as numbers, whose leading zeros are lost"] == 4


@pytest.fixture(scope="module")
def demo(real_data: Path) -> Events:
    return cg.read_events(real_data / "mimic-iv-demo", source="mimic-iv", anchor="hospital")


@pytest.mark.slow
def test_the_demo_has_its_published_numbers(demo):
    assert len(demo.stays) == 275
    assert demo.stays["in_hospital_death"].sum() == 15
    assert demo.ledger.rows_in == 107_727 + 255_464 + 9_362 + 20_404 + 1_468 + 4_506
    assert demo.ledger.rejected == {
        "unmapped code": 109_908,
        "duplicate": 23_761,
        "outside every stay": 20_646,
        "missing value": 1_433,
        "implausible": 79,
    }
    assert cg.unmapped(demo)["rows"].sum() == 109_908


@pytest.mark.slow
def test_sodium_of_the_demo_is_what_pandas_finds(demo, real_data):
    """Labels, placement by admission or time, charted copies: computed a second time from the raw files."""
    folder = real_data / "mimic-iv-demo"
    items = [
        int(code) for code in demo.variables[[v.name for v in demo.variables].index("sodium")].source_codes["mimic-iv"]
    ]
    kinds = {"hadm_id": "Int64"}
    lab = pd.read_csv(folder / "hosp/labevents.csv.gz", dtype=kinds)
    lab = lab[lab["itemid"].isin(items) & lab["valuenum"].notna()]
    chart = pd.read_csv(folder / "icu/chartevents.csv.gz", dtype=kinds)
    chart = chart[chart["itemid"].isin(items)]
    admissions = pd.read_csv(folder / "hosp/admissions.csv.gz")
    loose = lab[lab["hadm_id"].isna()].drop(columns="hadm_id").merge(admissions, on="subject_id")
    loose = loose[(loose["charttime"] >= loose["admittime"]) & (loose["charttime"] <= loose["dischtime"])]
    lab = pd.concat([lab[lab["hadm_id"].notna()], loose])
    keys = ["hadm_id", "charttime", "valuenum"]
    chart = chart.merge(lab[keys].drop_duplicates().assign(copy=True), on=keys, how="left").query("copy.isna()")
    rows = pd.concat([lab, chart])
    rows["known"] = rows[["charttime", "storetime"]].apply(pd.to_datetime).max(axis=1)
    instants = rows.groupby(["hadm_id", "known", "charttime"])["valuenum"].mean()
    ours = facts(demo, "sodium")
    assert len(ours) == len(instants)
    assert ours["value"].sum() == pytest.approx(instants.sum())


@pytest.mark.slow
def test_limits_of_detection_in_values_and_comments_are_values_on_request(tmp_path):
    folder = write(tmp_path)
    lab = """subject_id,hadm_id,itemid,charttime,storetime,value,valuenum,valueuom,comments
1,11,50912,2151-01-02 06:00:00,2151-01-02 08:00:00,1.5,1.5,mg/dL,
1,11,50912,2151-01-02 07:00:00,2151-01-02 08:00:00,<0.4,,mg/dL,
1,11,50912,2151-01-02 08:00:00,2151-01-02 08:00:00,___,,mg/dL,LESS THAN 0.2.  VERIFIED BY DILUTION.
1,11,50912,2151-01-02 09:00:00,2151-01-02 09:00:00,___,,mg/dL,GREATER THAN 20.
1,11,50912,2151-01-02 10:00:00,2151-01-02 10:00:00,___,,mg/dL,GREATER THAN 20 NG/ML."""
    with gzip.open(folder / "hosp" / "labevents.csv.gz", "wt", encoding="utf-8") as file:
        file.write(lab + "\n")
    events = cg.read_events(folder, source="mimic-iv", detection_limits="half", max_rejected=1)
    known = facts(events, "creatinine").query("time < '2151-01-03' and time.dt.minute == 0")
    assert sorted(known["value"].round(3)) == [0.1, 0.2, 1.5, 20.0]
    assert events.ledger.notes["limits of detection used as values: creatinine"] == 3
