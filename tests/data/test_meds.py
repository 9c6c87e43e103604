"""MEDS: what is written is valid and comes back; the demo gives the same laboratory results as MIMIC-IV's own files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clinicalgru as cg
from clinicalgru.data.events import Events

INSTANT = ["patient_id", "start", "variable", "time"]


def dataset(folder: Path, rows: list[tuple[int, str | None, str, float | None]]) -> Path:
    frame = pd.DataFrame(rows, columns=["subject_id", "time", "code", "numeric_value"])
    frame["time"] = pd.to_datetime(frame["time"], format="ISO8601").astype("datetime64[us]")
    frame["numeric_value"] = frame["numeric_value"].astype("float32")
    (folder / "data").mkdir(parents=True)
    frame.to_parquet(folder / "data" / "0.parquet", index=False)
    return folder


@pytest.fixture
def invented(tmp_path: Path) -> Path:
    rows = [
        (1, None, "GENDER//F", None),
        (1, "2100-06-15", "MEDS_BIRTH", None),
        (1, "2151-01-01 00:00", "HOSPITAL_ADMISSION//URGENT", None),
        (1, "2151-01-01 06:00", "LAB//50912//mg/dL", 1.1),
        (1, "2151-01-02 00:00", "ICU_ADMISSION//Medical Intensive Care Unit (MICU)", None),
        (1, "2151-01-02 00:00", "PROCEDURE//ICD//9//3722", None),
        (1, "2151-01-02 06:00", "LAB//220045//bpm", 88.0),
        (1, "2151-01-02 06:00", "LAB//220615//mg/dL", 1.3),
        (1, "2151-01-02 06:00", "LAB//50912//mg/dL", 1.3),
        (1, "2151-01-02 06:00", "LAB//223835//UNK", 40.0),
        (1, "2151-01-02 07:00", "LOINC//2160-0//mg/dL", 98.6),
        (1, "2151-01-05 00:00", "ICU_DISCHARGE//Medical Intensive Care Unit (MICU)", None),
        (1, "2151-01-10 12:00", "DIAGNOSIS//ICD//10//A419", None),
        (1, "2151-01-10 12:00", "HOSPITAL_DISCHARGE//HOME", None),
        (1, "2151-01-10 12:00", "HOSPITAL_ADMISSION//TRANSFER", None),
        (1, "2151-01-12 12:00", "HOSPITAL_DISCHARGE//DIED", None),
    ]
    return dataset(tmp_path / "invented", rows)


def compared(events: Events, variables: set[str]) -> pd.DataFrame:
    """Facts with start and end of their stay."""
    stays = events.stays[["patient_id", "stay_id", "start", "end"]]
    has_dates = stays.assign(
        **{name: pd.to_datetime(stays[name].astype("int64"), unit="us") for name in ("start", "end")}
    )
    table = events.to_frame().merge(has_dates, on=["patient_id", "stay_id"])
    return table[table["variable"].isin(variables)]


def assert_same(left: Events, right: Events) -> None:
    """The same stays and facts, values as 32-bit numbers."""
    for name in ("stay", "time", "available", "variable"):
        np.testing.assert_array_equal(left.measurements[name].to_numpy(), right.measurements[name].to_numpy())
    values = (events.measurements["value"].to_numpy().astype(np.float32) for events in (left, right))
    np.testing.assert_array_equal(*values)
    assert left.coded.equals(right.coded)
    assert (left.code_vocabulary, left.variables, left.static_variables) == (
        right.code_vocabulary,
        right.variables,
        right.static_variables,
    )
    assert left.outcomes == right.outcomes
    columns = [*[variable.name for variable in left.static_variables], *left.outcomes]
    keys = ["patient_id", "stay_id"]
    pd.testing.assert_frame_equal(left.stays[[*keys, *columns]], right.stays[[*keys, *columns]], check_dtype=False)


@pytest.mark.slow
def test_codes_say_item_and_unit_and_a_charted_copy_is_counted(invented):
    events = cg.read_events(invented, source="meds", max_rejected=0.2)
    table = events.to_frame().set_index("variable")
    assert table.loc["creatinine", "value"] == 1.3
    assert table.loc["heart_rate", "value"] == 88
    assert table.loc["fio2", "value"] == pytest.approx(0.4)  # without a unit, percent as in MIMIC-IV
    assert events.ledger.rejected == {"outside every stay": 2, "implausible": 1, "duplicate": 1}
    assert events.stays["age"].tolist() == [50]
    assert events.stays["icu_type"].tolist() == [2]
    assert events.stays["in_hospital_death"].tolist() == [0]


@pytest.mark.slow
def test_admissions_that_follow_at_one_minute_are_two_stays_and_billing_codes_wait_for_the_discharge(invented):
    events = cg.read_events(invented, source="meds", anchor="hospital", max_rejected=0.2)
    assert events.stays["length_of_stay"].tolist() == [9.5, 2]
    assert events.stays["in_hospital_death"].tolist() == [0, 1]
    assert events.code_vocabulary == ("diagnosis//ICD10:A41.9", "procedure//ICD9:37.22")
    known = pd.to_datetime(events.coded["available"].to_numpy(), unit="us")
    assert set(known.astype(str)) == {"2151-01-10 12:00:00"}


@pytest.mark.slow
def test_what_is_refused_says_what_to_do(invented, tmp_path):
    with pytest.raises(cg.ClinicalGRUError, match="anchor icu, hospital, visit or stay"):
        cg.read_events(invented, source="meds", anchor="ward")
    with pytest.raises(cg.ClinicalGRUError, match="codes STAY_START"):
        cg.read_events(invented, source="meds", anchor="stay")
    with pytest.raises(cg.ClinicalGRUError, match="a folder data"):
        cg.read_events(tmp_path, source="meds")
    with pytest.raises(cg.ClinicalGRUError, match="a new or empty folder"):
        cg.write_meds(cg.read_events(invented, source="meds", max_rejected=0.2), invented)


@pytest.mark.slow
def test_written_events_come_back(events, tmp_path):
    """Identifiers that are no whole numbers, hours instead of dates, coded events, outcomes not recorded."""
    again = cg.read_events(cg.write_meds(events, tmp_path / "meds"), source="meds")
    assert_same(events, again)
    assert again.ledger.rejected == {}


@pytest.mark.slow
def test_hours_still_count_from_the_start_of_the_stay(tmp_path):
    rows = pd.DataFrame({"patient_id": ["1"] * 2, "time": [3.0, 5.5], "variable": "heart_rate", "value": [80, 90]})
    again = cg.read_events(cg.write_meds(cg.read_events(rows), tmp_path / "meds"), source="meds")
    task = cg.Task(name="any", outcome="none", window_hours=(0, 24))
    assert cg.select(again, task, include_ineligible=True).hours.tolist() == [3, 5.5]


@pytest.mark.slow
def test_written_dates_splits_and_late_results_come_back(three, tmp_path):
    stays = pd.DataFrame(
        {
            "patient_id": ["007", "012", "012", "100"],
            "stay_id": list("1234"),
            "start": ["2031-01-01 07:00", "2031-01-31", "2031-05-31", "2031-03-01"],
            "end": ["2031-01-02", None, "2031-06-02", "2031-03-02"],
            "sex": [1, 0, 0, None],
        }
    )
    events = cg.read_events(three, stays=stays, max_rejected=0.5)
    split = pd.Series({"007": "train", "012": "held_out", "100": "train"})
    events.stays["split"] = events.stays["patient_id"].map(split)
    again = cg.read_events(cg.write_meds(events, tmp_path / "meds"), source="meds")
    assert_same(events, again)
    columns = ["start", "end", "split"]
    pd.testing.assert_frame_equal(events.stays[columns], again.stays[columns], check_dtype=False)
    held_out = pq.read_table(tmp_path / "meds/data/held_out/0.parquet")
    assert set(held_out["patient_id"].to_pylist()) == {"012"}


def check_valid(folder: Path) -> None:
    """As the `meds` package checks it, and sorted with each subject in one shard."""
    meds = pytest.importorskip("meds")
    shards = sorted((folder / meds.data_subdirectory).rglob("*.parquet"))
    subjects: list[int] = []
    used: set[str] = set()
    for shard in shards:
        table = pq.ParquetFile(shard).read()
        meds.DataSchema.validate(table)
        frame = table.to_pandas()
        used |= set(frame["code"])
        subjects += frame["subject_id"].unique().tolist()
        ordered = frame.sort_values(["subject_id", "time"], na_position="first", kind="stable")
        pd.testing.assert_frame_equal(frame, ordered)
    assert len(subjects) == len(set(subjects))
    codes = pq.ParquetFile(folder / meds.code_metadata_filepath).read()
    meds.CodeMetadataSchema.validate(codes)
    assert used <= set(codes["code"].to_pylist())
    splits = folder / meds.subject_splits_filepath
    if splits.exists():
        table = pq.ParquetFile(splits).read()
        meds.SubjectSplitSchema.validate(table)
        assert sorted(table["subject_id"].to_pylist()) == sorted(subjects)
    meds.DatasetMetadataSchema.validate(json.loads((folder / meds.dataset_metadata_filepath).read_text()))


@pytest.mark.slow
def test_written_data_is_valid_meds(events, tmp_path):
    check_valid(cg.write_meds(events, tmp_path / "plain"))
    stays = events.stays.assign(split=np.where(events.stays["patient_id"] < "0000010", "train", "held_out"))
    check_valid(cg.write_meds(replace(events, stays=stays), tmp_path / "split"))


@pytest.fixture(scope="module")
def both(mimic_iv_demo: Events, real_data: Path) -> tuple[Events, Events]:
    return mimic_iv_demo, cg.read_events(real_data / "mimic-iv-demo-meds", source="meds")


@pytest.mark.slow
def test_mimic_iv_and_meds_give_the_same_laboratory_results(both, real_data):
    """Each instant that both have has the same value; each that only one has is explained by its rows."""
    mimic, meds = both
    lab = {v.name for v in mimic.variables if any(code < "2" for code in v.source_codes.get("mimic-iv", ()))}
    lab |= {
        v.name for v in mimic.variables if any(50_000 < int(c) < 60_000 for c in v.source_codes.get("mimic-iv", ()))
    }
    left, right = compared(mimic, lab), compared(meds, lab)
    # MEDS keeps no storetime: results of one instant that were stored apart are two facts there, one mean here.
    left = left.groupby(INSTANT, as_index=False).agg(
        value=("value", "mean"), facts=("value", "size"), end=("end", "max")
    )
    joined = left.merge(right[[*INSTANT, "value"]], on=INSTANT, how="outer", indicator=True, suffixes=("", "_meds"))
    same, only_mimic, only_meds = (joined[joined["_merge"] == which] for which in ("both", "left_only", "right_only"))
    assert len(same) >= 26_641
    assert len(only_mimic) + len(only_meds) < 0.02 * len(same)
    np.testing.assert_allclose(same["value"], same["value_meds"], rtol=1e-6)
    assert (same["facts"] > 1).sum() >= 59
    # charted under a stay_id, at a time before or after that stay
    assert ((only_mimic["time"] < only_mimic["start"]) | (only_mimic["time"] > only_mimic["end"])).all()
    # ... of which these fell, by their time, into the patient's other stay
    elsewhere = only_mimic.merge(only_meds, on=["patient_id", "variable", "time"], suffixes=("_mimic", ""))
    assert len(elsewhere) == len(only_meds)
    np.testing.assert_allclose(elsewhere["value_mimic"], elsewhere["value_meds"], rtol=1e-6)


@pytest.mark.slow
def test_every_row_is_in_the_ledger(both, real_data, tmp_path):
    shards = sorted((real_data / "mimic-iv-demo-meds/data").rglob("*.parquet"))
    assert both[1].ledger.rows_in == sum(pq.ParquetFile(shard).metadata.num_rows for shard in shards) == 916_166
    path = dataset(tmp_path / "odd", [(1, "2030-01-01 08:00", "HOSPITAL_ADMISSION", None), (1, "2030-01-01", None, 1.0),
                                      (1, "2030-01-01 09:00", "Blood/Pressure", 1.0)])  # fmt: skip
    ledger = cg.read_events(path, source="meds", max_rejected=1).ledger
    assert (ledger.rows_in, ledger.rejected) == (3, {"no variable": 1, "unmapped code": 1})


@pytest.mark.slow
def test_laboratory_rows_missing_in_meds_are_exact_repeats(real_data):
    keys = ["subject_id", "time", "code", "numeric_value"]
    lab = pd.read_csv(real_data / "mimic-iv-demo/hosp/labevents.csv.gz").query("valuenum.notna()")
    code = "LAB//" + lab["itemid"].astype(str) + "//" + lab["valueuom"].fillna("UNK")
    lab = lab.assign(code=code, time=pd.to_datetime(lab["charttime"]), numeric_value=lab["valuenum"].astype("float32"))
    shards = sorted((real_data / "mimic-iv-demo-meds/data").rglob("*.parquet"))
    meds = pd.concat([pq.ParquetFile(shard).read().to_pandas() for shard in shards])
    item = meds["code"].str.extract(r"^LAB//(\d+)//")[0].astype(float)
    meds = meds[item.lt(220_000) & meds["numeric_value"].notna()]
    assert (len(lab), len(meds)) == (95_246, 95_132)
    rows = pd.concat([lab.groupby(keys).size(), meds.groupby(keys).size()], axis=1, keys=["lab", "meds"])
    assert rows.notna().all(axis=None)
    assert (rows["lab"] >= rows["meds"]).all()
    assert (rows["lab"] - rows["meds"]).sum() == 114


@pytest.mark.slow
def test_mimic_iv_and_meds_agree_on_stays_and_outcomes(both):
    mimic, meds = (events.stays.set_index(["patient_id", "start"]).sort_index() for events in both)
    assert len(mimic) == len(meds) == 140
    for name in ("end", "age", "sex", "icu_type", "in_hospital_death", "length_of_stay"):
        np.testing.assert_array_equal(mimic[name].to_numpy(float), meds[name].to_numpy(float), err_msg=name)
    assert meds["split"].value_counts().to_dict() == {"train": 95, "held_out": 33, "tuning": 12}


@pytest.mark.slow
def test_the_demo_comes_back_from_meds(both, tmp_path):
    for number, events in enumerate(both):
        folder = cg.write_meds(events, tmp_path / str(number))
        assert_same(events, cg.read_events(folder, source="meds"))
        check_valid(folder)


def of_omop(folder: Path, *, ends: bool) -> Path:
    """As the ETLs from OMOP write it: vocabulary/code, and columns unit, table and end; times of day where recorded."""
    rows = [
        ("1950-01-01 00:00", "MEDS_BIRTH", None, None, "person", None),
        ("1950-01-01 00:00", "Gender/F", None, None, "person", None),
        ("2030-01-01 08:00", "Visit/IP", None, None, "visit", "2030-01-05 12:00"),
        ("2030-01-01 09:00", "LOINC/8867-4", 88.0, "/min", "measurement", None),
        ("2030-01-02 09:30", "LOINC/8310-5", 98.6, "9289", "measurement", None),
        ("2030-01-02 10:30", "ICD10CM/A41.9", None, None, "condition", None),
        ("2030-01-02 00:00", "RxNorm/313782", None, None, "drug_exposure", None),
        ("2030-01-05 11:00", "MEDS_DEATH", None, None, "death", None),
        ("2030-02-01 08:00", "Visit/OP", None, None, "visit", "2030-02-01 09:00"),
        ("2030-02-01 08:10", "LOINC/8867-4", 70.0, "/min", "measurement", None),
    ]
    frame = pd.DataFrame(rows, columns=["time", "code", "numeric_value", "unit", "table", "end"])
    for name in ("time", "end"):
        frame[name] = pd.to_datetime(frame[name]).astype("datetime64[us]")
    frame = frame.assign(subject_id=7, numeric_value=frame["numeric_value"].astype("float32"))
    (folder / "data").mkdir(parents=True)
    (frame if ends else frame.drop(columns="end")).to_parquet(folder / "data" / "data_0.parquet", index=False)
    return folder


@pytest.mark.slow
def test_a_dataset_from_omop_is_read_by_its_own_codes(tmp_path):
    events = cg.read_events(of_omop(tmp_path, ends=True), source="meds")
    stays = events.stays
    assert stays[["age", "sex", "in_hospital_death"]].to_numpy().tolist() == [[80, 0, 1]]
    assert stays["length_of_stay"].tolist() == [pytest.approx(4 + 4 / 24)]
    values = events.to_frame().set_index("variable")["value"].to_dict()
    assert values == {"heart_rate": 88, "temperature": pytest.approx(37, abs=1e-5)}
    known = {events.code_vocabulary[row.code]: str(pd.Timestamp(row.available, unit="us"))
             for row in events.coded.to_pandas().itertuples()}  # fmt: skip
    assert known == {  # a diagnosis when its visit ended; a column of midnights at the end of the day
        "diagnosis//ICD10:A41.9": "2030-01-05 12:00:00", "drug//RxNorm:313782": "2030-01-02 23:59:59.999999",
    }  # fmt: skip
    assert events.ledger.rejected == {"outside every stay": 1}
    every = cg.read_events(tmp_path, source="meds", anchor="visit")
    assert every.stays["length_of_stay"].round(3).tolist() == [4.167, 0.042]


@pytest.mark.slow
def test_a_dataset_of_eicu_says_sex_death_and_vital_signs_in_its_own_words(tmp_path):
    rows = [
        (3, None, "GENDER//Male", None),
        (3, "2014-01-01 10:00", "HOSPITAL_ADMISSION//Emergency Department//Midwest//f//<100", None),
        (3, "2014-01-01 12:00", "ICU_ADMISSION//Emergency Department//admit", None),
        (3, "2014-01-01 12:00", "ICU_ADMISSION_WEIGHT", 70.0),
        (3, "2014-01-01 12:05", "VITALS//PERIODIC//HEARTRATE", 91.0),
        (3, "2014-01-01 12:06", "VITALS//APERIODIC//BP//NONINVASIVE_SYSTOLIC", 120.0),
        (3, "2014-01-01 12:30", "LAB//BUN//mg/dL", 28.0),
        (3, "2014-01-02 12:30", "DIAGNOSIS//ICD//9//428.0", None),
        (3, "2014-01-03 12:00", "ICU_DISCHARGE//Expired//Death", None),
        (3, "2014-01-03 12:00", "HOSPITAL_DISCHARGE//Expired//Death", None),
    ]
    events = cg.read_events(dataset(tmp_path / "eicu", rows), source="meds")
    assert events.stays[["sex", "in_hospital_death", "length_of_stay"]].to_numpy().tolist() == [[1, 1, 2]]
    assert {"heart_rate", "bun"} <= set(events.to_frame()["variable"])
    assert len(events) == 3 + 1
    assert events.code_vocabulary == ("diagnosis//ICD9:428.0",)


@pytest.mark.slow
def test_codes_of_admission_discharge_and_death_may_be_given(tmp_path):
    rows = [
        (1, "2030-01-01 08:00", "AUFNAHME//Station 3", None),
        (1, "2030-01-01 09:00", "heart_rate///min", 88.0),
        (1, "2030-01-03 08:00", "EXITUS", None),
        (1, "2030-01-03 09:00", "ENTLASSUNG//innen", None),
        (1, "2030-02-01 08:00", "AUFNAHME", None),
        (1, "2030-02-03 09:00", "ENTLASSUNG", None),
    ]
    folder = dataset(tmp_path / "own", rows)
    with pytest.raises(cg.ClinicalGRUError, match="event_codes="):
        cg.read_events(folder, source="meds")
    codes = {"admission": ["AUFNAHME"], "discharge": "ENT*", "death": ["EXITUS"]}
    stays = cg.read_events(folder, source="meds", event_codes=codes).stays
    assert stays["length_of_stay"].round(3).tolist() == [2.042, 2.042]
    assert stays["in_hospital_death"].tolist() == [1, 0]
    for wrong in ({"arrival": ["A"]}, {"death": []}, {"death": [1]}, ["AUFNAHME"]):
        with pytest.raises(cg.ClinicalGRUError, match="event_codes"):
            cg.read_events(folder, source="meds", event_codes=wrong)


@pytest.mark.slow
def test_labels_of_aces_belong_to_the_stay_of_their_prediction_time(invented, tmp_path):
    meds = pytest.importorskip("meds")
    times = pd.to_datetime(["2151-01-02 00:00", "2151-01-11 12:00", "2160-01-01 00:00"]).astype("datetime64[us]")
    labels = pd.DataFrame({"subject_id": 1, "prediction_time": times, "boolean_value": [False, True, True]})
    for name in ("integer_value", "float_value", "categorical_value"):
        labels[name] = pd.Series([None] * 3, dtype=object)
    table = pa.Table.from_pandas(labels, schema=meds.LabelSchema.schema(), preserve_index=False)
    (tmp_path / "labels/train").mkdir(parents=True)
    pq.write_table(table, tmp_path / "labels/train/0.parquet")
    options = {"source": "meds", "anchor": "hospital", "max_rejected": 0.2}
    events = cg.read_events(invented, outcomes=tmp_path / "labels", **options)
    assert events.outcomes == ("boolean_value",)
    assert events.stays[["boolean_value", "prediction_hours"]].to_numpy().tolist() == [[0, 24], [1, 24]]
    assert events.ledger.notes["labels whose prediction time lies in no stay"] == 1
    task = cg.Task(name="aces", outcome="boolean_value", window_hours=(0, 24))
    assert cg.select(events, task, include_ineligible=True).outcome.ravel().tolist() == [0, 1]
    twice = pd.concat([labels, labels.assign(prediction_time=times + pd.Timedelta("1h"))])
    several = cg.read_events(invented, outcomes=twice[labels.columns[:3]], **options)
    assert several.stays.groupby("labelled_stay")["prediction_hours"].agg(list).tolist() == [[24, 25], [24, 25]]
    opposite = pd.concat([labels, labels.assign(boolean_value=~labels["boolean_value"])])
    with pytest.raises(cg.ClinicalGRUError, match="one label for each prediction time of a stay"):
        cg.read_events(invented, outcomes=opposite[labels.columns[:3]], **options)
